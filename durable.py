"""Files that are on the disk, and not only on their way there, when a function returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .meter import Meter

COPY_BYTES = 4 << 20


def write(path: Path, data: bytes) -> None:
    """A new file with this content. Raises OSError, FileExistsError among them."""
    with path.open("xb", buffering=0) as file:
        _write_all(file, data)
        os.fsync(file.fileno())


def place(source: bytes | Path, target: Path, linkable: bool, meter: Meter) -> None:
    """A new file with the content of ``source``: a link to it where it is ``linkable`` and the disk can do
    that, else a copy. Raises OSError, and TransferCancelled when ``meter`` stops.
    """
    if isinstance(source, bytes):
        write(target, source)
    elif linkable and _linked(source, target):
        with target.open("r+b") as file:
            os.fsync(file.fileno())
    else:
        with source.open("rb", buffering=0) as old, target.open("xb", buffering=0) as new:
            while block := old.read(COPY_BYTES):
                meter.check()
                _write_all(new, block)
            os.fsync(new.fileno())


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # on another disk, or one that knows no links
        return False
    return True


def _write_all(file: Any, data: bytes) -> None:  # noqa: ANN401  a raw file; it may take less than it is given
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def flush_folder(folder: Path) -> None:
    """Make what was created and renamed in a folder last; Windows does so by itself and opens no folders."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def lock(descriptor: int) -> bool:
    """Whether this open file now holds the lock on its file; no other one can until it is closed.

    The operating system takes the lock back when a process ends, however that happens.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
