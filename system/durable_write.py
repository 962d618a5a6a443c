"""Write files so that they survive a power cut: their content is on the disk when a function returns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .meter import Meter

COPY_BYTES = 4 << 20


def write(path: Path, data: bytes) -> None:
    """Create a file with this content. Raises OSError, FileExistsError if it exists."""
    with path.open("xb", buffering=0) as file:
        write_all(file, data)
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Create or replace a file, whole or not at all, by way of ``<name>.new``. Raises OSError."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    write(fresh, data)
    fresh.replace(path)


def link_or_copy(source: bytes | Path, target: Path, linkable: bool, meter: Meter) -> None:
    """Create a file with the content of ``source``: a hard link if that is allowed and works, else a copy.

    Raises OSError, and TransferCancelled once ``meter`` is stopped.
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
    """Write all bytes to a raw file, whose ``write`` may write fewer. Raises OSError, as on a full disk."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def flush_folder(folder: Path) -> None:
    """Make created and renamed entries of a folder survive a power cut. Windows does so by itself."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
