"""Locks by name: between the threads of this process, and between processes through a lock file.

Cancel ends every wait. The operating system releases the lock of a process that ends, however it ends, so a
crash leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingDependency
from .meter import Meter
from .system_lock import SystemLock

if TYPE_CHECKING:
    from filelock import FileLock

POLL_SECONDS = 0.2  # the system does not report that another process has released a lock

log = logging.getLogger("cloud_storage")


class KeyedLock:
    """A lock for each key: one thread holds a key at a time, and threads with other keys do not wait."""

    def __init__(self) -> None:
        self._held: set[Hashable] = set()
        self._released = threading.Condition()

    @contextlib.contextmanager
    def hold(self, key: Hashable, meter: Meter) -> Iterator[None]:
        """Wait for ``key`` and hold it. Raises TransferCancelled when ``meter`` is stopped meanwhile."""
        with self._released, meter.wakes(self._released):
            while key in self._held:
                meter.check()
                self._released.wait()
            self._held.add(key)
        try:
            yield
        finally:
            self.release(key)

    def acquire(self, key: Hashable) -> bool:
        """Take ``key`` without waiting. Returns False if it is held."""
        with self._released:
            is_free = key not in self._held
            self._held.add(key)
            return is_free

    def release(self, key: Hashable) -> None:
        with self._released:
            self._held.remove(key)
            self._released.notify_all()


# On NFS the kernel's lock belongs to the process and excludes no other thread of it (man 2 flock).
_threads = KeyedLock()


@contextlib.contextmanager
def locked(path: Path, meter: Meter, wait_begins: Callable[[], object]) -> Iterator[None]:
    """Wait for the lock file ``path`` and hold it. The file is made for this and removed afterwards.

    ``wait_begins`` is called once if another thread or process holds it. Raises TransferCancelled when
    ``meter`` is stopped meanwhile, OSError if the file cannot be made, and MissingDependency.
    """
    waits = False
    while True:
        with alone(path) as is_held:
            if is_held:
                yield
                return
        if not waits:
            wait_begins()
            waits = True
        meter.wait(POLL_SECONDS)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Take the lock file ``path`` without waiting; yields False if another thread or process holds it."""
    lock = _file_lock(path)
    if not _threads.acquire(lock.lock_file):
        yield False
        return
    try:
        is_held = _acquire(lock)
        try:
            yield is_held
        finally:
            if is_held:
                _remove_and_release(lock)
    finally:
        _threads.release(lock.lock_file)


def keeps_out(path: Path) -> bool:
    """Return True if the lock file ``path``, which this thread holds, excludes others.

    False on a file system that gives a lock to everybody who asks, or once for each process, as NFS does.
    Raises OSError.
    """
    second = _file_lock(path)
    try:
        return not _acquire(second)
    finally:
        with contextlib.suppress(OSError):
            second.release()


def _file_lock(path: Path) -> FileLock | SystemLock:
    try:
        from filelock import FileLock
    except ImportError:
        return SystemLock(os.path.realpath(path))
    try:
        lock = FileLock(os.path.realpath(path), fallback_to_soft=False)
        # New in 3.30. Before, it removed the lock file itself, even one that another process had just made.
        _ = lock.fallback_to_soft
    except (AttributeError, TypeError) as error:
        raise MissingDependency(
            "filelock is too old. "
            "Run `pip install --upgrade filelock` with ComfyUI's Python and start ComfyUI again."
        ) from error
    return lock


def _acquire(lock: FileLock | SystemLock) -> bool:
    try:
        if isinstance(lock, SystemLock):
            return lock.acquire()
        return _acquire_file_lock(lock)
    except OSError as error:
        if error.filename is not None:  # opening the file failed; a failed lock has no file name
            raise
        log.warning("This file system has no locks, other processes are not kept out: %s", error)
    return True


def _acquire_file_lock(lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _remove_and_release(lock: FileLock | SystemLock) -> None:
    # Removed while the lock is held: afterwards it may be another holder's. filelock notices a file that
    # was removed before it was locked. Windows removes no open file; there ``release`` removes it.
    for step in (Path(lock.lock_file).unlink, lock.release):
        with contextlib.suppress(OSError):  # a network's file system; the descriptor is closed: man 2 close
            step()
