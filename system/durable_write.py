"""Writes files so that they survive a power cut: their content is on the disk when a function returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .meter import Meter

COPY_BYTES = 4 << 20


def write(path: Path, data: bytes) -> None:
    """Make a new file with this content. Raises OSError, FileExistsError among them."""
    with path.open("xb", buffering=0) as file:
        write_all(file, data)
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Give a file, new or not, this content, all or nothing, through ``<name>.new``. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write(fresh, data)
    fresh.replace(path)


def link_or_copy(source: bytes | Path, target: Path, linkable: bool, meter: Meter) -> None:
    """Make a new file with the content of ``source``: a hard link if it is ``linkable`` and the disk knows
    links, else a copy. Raises OSError, and TransferCancelled when ``meter`` is stopped.
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
    except OSError:  # another disk, or a file system without links
        return False
    return True


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write every byte to a raw file, whose ``write`` may take fewer: a full disk takes what fits and raises
    OSError at the next call.
    """
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def flush_folder(folder: Path) -> None:
    """Put what was created and renamed in a folder on the disk; Windows does so itself."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
