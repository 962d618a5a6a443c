"""Files that are on the disk, and not only on their way there, when a function returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .meter import Meter

COPY_BYTES = 4 << 20


def write(path: Path, data: bytes) -> None:
    """A new file with this content. Raises OSError, FileExistsError among them."""
    with path.open("xb", buffering=0) as file:
        write_all(file, data)
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Give a file this content, new or old, all of it or nothing: through ``<name>.new``. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write(fresh, data)
    fresh.replace(path)


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
                write_all(new, block)
            os.fsync(new.fileno())


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # on another disk, or one that knows no links
        return False
    return True


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte to a raw file, which may take only some of them at a time: a disk that is full takes
    what fits and raises OSError at the next try.
    """
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def flush_folder(folder: Path) -> None:
    """Make what was created and renamed in a folder last; Windows does so by itself and opens no folders."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
