"""Checksums of files on this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from .meter import Meter

T = TypeVar("T")


def file_sha256(path: Path, meter: Meter) -> str:
    """The hexadecimal sha256 of a file, stopped by ``meter``."""
    return file_digest(path, "sha256", meter)


def file_digest(path: Path, algorithm: str, meter: Meter) -> str:
    """The hexadecimal digest of a file by an algorithm of ``hashlib``, stopped by ``meter``."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            meter.check()
            digest.update(block)
    return digest.hexdigest()
