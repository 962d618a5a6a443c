"""Checksums of data and files on this machine."""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

from .meter import Meter

BLOCK_BYTES = 1 << 20


def file_sha256(path: Path, meter: Meter) -> str:
    """Return the hexadecimal SHA-256 of a file. Raises OSError, and TransferCancelled by ``meter``."""
    return file_digest(path, "sha256", meter)


def file_digest(path: Path, algorithm: str, meter: Meter) -> str:
    """Return the hexadecimal digest of a file by an algorithm of ``hashlib``. Raises as ``file_sha256``."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK_BYTES):
            meter.check()
            digest.update(block)
    return digest.hexdigest()


def crc32(data: bytes, crc: int = 0) -> int:
    """Return the CRC-32 of ``data`` after data that had ``crc``."""
    return _crc32()(data, crc)


@functools.cache
def _crc32() -> Callable[[bytes, int], int]:
    try:
        from isal.isal_zlib import crc32 as fast  # ten times as fast as zlib's
    except ImportError:
        return zlib.crc32
    return fast
