"""Checksums of files on this machine."""

from __future__ import annotations

import hashlib
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
