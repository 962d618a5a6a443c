"""Checksums of data and files on this machine."""

from __future__ import annotations

import functools
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from . import thread_pool
from .meter import Meter

BLOCK_BYTES = 1 << 20
# The algorithm of several threads: the SHA-256 of the SHA-256 of each piece of PIECE_BYTES, in order.
PIECES, PIECE_BYTES = "sha256-64m", 64 << 20
PIECE_THREADS = min(8, os.cpu_count() or 1)


def file_sha256(path: Path, meter: Meter) -> str:
    """Return the hexadecimal SHA-256 of a file. Raises OSError, and TransferCancelled by ``meter``."""
    return file_digest(path, "sha256", meter)


def file_digest(path: Path, algorithm: str, meter: Meter) -> str:
    """Return the hexadecimal digest of a file, by PIECES or an algorithm of ``hashlib``. Raises as
    ``file_sha256``.
    """
    if algorithm == PIECES:
        return pieces_digest(path, pieces(path.stat().st_size), meter.check)
    return _digest(path, 0, None, algorithm, meter.check).hexdigest()


def sha256_and_pieces(path: Path, meter: Meter) -> tuple[str, str]:
    """Return the hexadecimal SHA-256 of a file and its digest by PIECES, computed at the same time.

    The latter is "" for a file of one piece. Raises as ``file_sha256``.
    """
    size = path.stat().st_size
    if size <= PIECE_BYTES:
        return file_sha256(path, meter), ""
    whole, by_pieces = thread_pool.run(
        [lambda: file_sha256(path, meter), lambda: file_digest(path, PIECES, meter)], 2
    )
    return whole, by_pieces


def pieces(size: int) -> Iterable[range]:
    """Return the pieces of a file of ``size`` bytes, in order."""
    return (range(start, min(start + PIECE_BYTES, size)) for start in range(0, size, PIECE_BYTES))


def pieces_digest(path: Path, those: Iterable[range], check: Callable[[], object]) -> str:
    """Return the digest by PIECES of a file whose pieces are ``those``, drawn one by one when they are there.

    ``check`` is called by several threads, after every BLOCK_BYTES; what it raises comes through.
    """
    jobs = (functools.partial(_digest, path, piece.start, piece.stop, "sha256", check) for piece in those)
    whole = hashlib.sha256()
    for piece in thread_pool.run(jobs, PIECE_THREADS):
        whole.update(piece.digest())
    return whole.hexdigest()


def _digest(
    path: Path, start: int, stop: int | None, algorithm: str, check: Callable[[], object]
) -> hashlib._Hash:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while stop is None or start < stop:
            check()
            block = file.read(BLOCK_BYTES if stop is None else min(BLOCK_BYTES, stop - start))
            if not block:
                break
            digest.update(block)
            start += len(block)
    return digest


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
