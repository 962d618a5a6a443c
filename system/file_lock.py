"""One at a time, among the threads of this process and all other processes that use the same file.

The operating system holds the lock and lets go of it when a process ends, however it ends: nothing has to be
cleaned up after a crash.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from .meter import Meter

POLL_SECONDS = 0.2

log = logging.getLogger("cloud_storage")

if sys.platform == "win32":
    import msvcrt

    def _acquire(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _acquire(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # some network and FUSE file systems have no locks
            log.warning("This file system has no locks, other processes are not kept out: %s", error)
        return True


# Held by threads of this process. Where the file system is NFS, the kernel's lock belongs to the process and
# keeps no thread out (man 2 flock).
_held: set[str] = set()
_guard = threading.Lock()


@contextlib.contextmanager
def locked(path: Path, meter: Meter, wait_begins: Callable[[], object]) -> Iterator[None]:
    """Hold the lock that ``path`` stands for: a file made for it, and removed afterwards.

    ``wait_begins`` is called once where somebody else holds it. Raises TransferCancelled when ``meter`` stops
    meanwhile, and OSError where the file cannot be made.
    """
    name = os.path.realpath(path)
    waits = False
    while (descriptor := _try(name)) is None:
        if not waits:
            wait_begins()
            waits = True
        meter.wait(POLL_SECONDS)
    try:
        yield
    finally:
        _release(name, descriptor)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """As ``locked``, without waiting: whether nobody else holds the lock, and it is held from here on."""
    name = os.path.realpath(path)
    descriptor = _try(name)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            _release(name, descriptor)


def keeps_out(path: Path) -> bool:
    """Whether the lock, which this thread holds, keeps anybody out: some file systems give it to all who ask.
    False as well where a lock belongs to the process, as on NFS. Raises OSError.
    """
    descriptor = os.open(os.path.realpath(path), os.O_RDWR)
    try:
        return not _acquire(descriptor)
    finally:
        os.close(descriptor)


def _try(name: str) -> int | None:
    """The descriptor of the locked file, or None where somebody else holds it."""
    with _guard:
        if name in _held:
            return None
        _held.add(name)
    descriptor, mine = -1, False
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
        # A holder removes the file when it ends: what was locked may be a file of no name any more.
        mine = _acquire(descriptor) and _is_named(name, descriptor)
    finally:
        if not mine:
            if descriptor >= 0:
                os.close(descriptor)
            with _guard:
                _held.discard(name)
    return descriptor if mine else None


def _is_named(name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(Path(name).stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(name: str, descriptor: int) -> None:
    in_use = False
    try:
        Path(name).unlink()
    except PermissionError:
        in_use = True
    except OSError:  # whoever removed it: what has this name now is somebody else's
        pass
    with contextlib.suppress(OSError):  # of a network's file system; it is closed all the same: man 2 close
        os.close(descriptor)  # which lets go of the lock
    if in_use:  # on Windows, by this descriptor; else by the next holder, and it stays
        with contextlib.suppress(OSError):
            Path(name).unlink()
    with _guard:
        _held.discard(name)
