"""Downloads an object into a file in parallel ranges: complete and checked, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import IntegrityError, sentence
from ..storage.base import ObjectInfo, Storage
from ..system import thread_pool
from ..system.concurrency import FIRST, MOST, AdaptiveConcurrency
from ..system.digests import file_sha256
from ..system.durable_write import write_all
from ..system.meter import Meter

T = TypeVar("T")
SINGLE_MAX_BYTES = 8 << 20  # up to this size one request reads the whole object
# Bytes of one request: many, for few round trips. Fewer at first, so that the best number of parallel
# requests is found soon, and fewer towards the end, so that all requests end together.
RANGE_MIN_BYTES, RANGE_MAX_BYTES = 16 << 20, 64 << 20
RANGES_FIRST = 2 * FIRST  # ranges of RANGE_MIN_BYTES at the beginning
RANGES_LEFT = 12  # the rest is always divided into at least this many
NOTE_BYTES = 1 << 20  # of a range between two calls of ``arrived``


def download(storage: Storage, key: str, target: Path, meter: Meter) -> ObjectInfo:
    """Write the object to the file ``target``, which nobody else uses yet, and remove that on any failure.

    Large objects come in parallel ranges, each with the ETag as its condition. The size is always compared,
    the sha256 if the object's metadata has one. Raises NotFound, Changed, IntegrityError, Unreachable,
    TransferCancelled, OSError for the disk.
    """
    try:
        info, chunks = storage.stream(key, 0, SINGLE_MAX_BYTES, None, meter)
        meter.expect(info.size)
        with target.open("wb", buffering=0) as file:
            for chunk in chunks:
                write_all(file, chunk)
            file.truncate(info.size)
        fetch_ranges(storage, info, target, ranges(SINGLE_MAX_BYTES, info.size), meter)
        _require_intact(storage, info, target, meter)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return info


def _require_intact(storage: Storage, info: ObjectInfo, target: Path, meter: Meter) -> None:
    if (size := target.stat().st_size) != info.size:
        said = f"{size} of {info.size} bytes arrived"
    elif info.sha256 and file_sha256(target, meter) != info.sha256:
        said = "these are not the bytes that were uploaded, their sha256 differs"
    else:
        return
    advice = "Run the node again; if that does not help, upload it again."
    raise IntegrityError(sentence(f"download {info.key!r}", storage.place, said, advice))


def ranges(start: int, stop: int) -> list[range]:
    """Divide bytes ``start`` to ``stop`` into the ranges of single requests, in order."""
    pieces: list[range] = []
    while start < stop:
        most = RANGE_MAX_BYTES if len(pieces) >= RANGES_FIRST else RANGE_MIN_BYTES
        step = min(max((stop - start) // RANGES_LEFT, RANGE_MIN_BYTES), most)
        pieces.append(range(start, min(start + step, stop)))
        start += step
    return pieces


def fetch_ranges(
    storage: Storage,
    info: ObjectInfo,
    part: Path,
    wanted: Sequence[range],
    meter: Meter,
    arrived: Callable[[int, int], object] = lambda start, stop: None,
) -> None:
    """Download these ranges of exactly this version of the object, in parallel, into a file of its size.

    ``arrived(start, stop)`` is called, by several threads at once, for bytes that have been written: every
    NOTE_BYTES, at the end of a range, and, when a range fails, for the bytes it had received. Raises Changed
    if the object has been replaced, errors of ``Storage.stream``, and OSError for the disk.
    """
    own = meter.part()

    def job(piece: range) -> Callable[[], None]:
        def fetch() -> None:
            noted = written = piece.start
            with own.governs(), part.open("r+b", buffering=0) as file:
                file.seek(piece.start)
                try:
                    for chunk in storage.stream(info.key, piece.start, piece.stop, info.etag, own)[1]:
                        write_all(file, chunk)
                        written += len(chunk)
                        if written - noted >= NOTE_BYTES:
                            arrived(noted, written)
                            noted = written
                finally:
                    if written > noted:
                        arrived(noted, written)
            if written < piece.stop:
                said = f"its end came after {written} of {info.size} bytes"
                advice = (
                    "Run the node again; if that does not help, check the proxy or network to the server."
                )
                raise IntegrityError(sentence(f"download {info.key!r}", storage.place, said, advice))

        return fetch

    def jobs() -> Iterator[Callable[[], None]]:
        for piece in wanted:
            own.check()
            yield job(piece)

    if wanted:
        concurrency = AdaptiveConcurrency(lambda: own.done, min(MOST, len(wanted)))
        thread_pool.run(jobs(), concurrency, on_failure=own.stop)
    meter.check()
