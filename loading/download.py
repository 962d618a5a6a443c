"""Downloads an object into a file in parallel ranges: complete and checked, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
# Bytes of one request: many, for few round trips; the fewer, the fewer are left, so that all requests end
# together. There may soon be MOST requests: a large range that one of the first has begun would end last.
RANGE_MIN_BYTES, RANGE_MAX_BYTES = 8 << 20, 64 << 20
RANGES_LEFT = 3 * MOST
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
        if info.size > SINGLE_MAX_BYTES:
            with target.open("wb", buffering=0) as file:
                file.truncate(info.size)
            gap = range(SINGLE_MAX_BYTES, info.size)
            fetch_ranges(storage, info, target, [gap], meter, beginning=chunks)
        else:
            with target.open("wb", buffering=0) as file:
                for chunk in chunks:
                    write_all(file, chunk)
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


def ranges(gaps: Iterable[range]) -> Iterator[range]:
    """Divide the bytes of ``gaps`` into the ranges of single requests, in order."""
    waiting = list(gaps)
    left = sum(map(len, waiting))
    for gap in waiting:
        start = gap.start
        while start < gap.stop:
            step = min(max(left // RANGES_LEFT, RANGE_MIN_BYTES), RANGE_MAX_BYTES)
            piece = range(start, min(start + step, gap.stop))
            yield piece
            left -= len(piece)
            start = piece.stop


def fetch_ranges(
    storage: Storage,
    info: ObjectInfo,
    part: Path,
    gaps: Sequence[range],
    meter: Meter,
    arrived: Callable[[int, int], object] = lambda start, stop: None,
    beginning: Iterator[bytes] | None = None,
) -> None:
    """Download these bytes of exactly this version of the object, in parallel, into a file of its size.

    ``beginning`` are the first bytes of the object, where they are on their way already. ``arrived(start,
    stop)`` is called, by several threads at once, for bytes that have been written: every NOTE_BYTES, at the
    end of a range, and, when a range fails, for the bytes it had received. Raises Changed if the object has
    been replaced, errors of ``Storage.stream``, and OSError for the disk.
    """
    own = meter.part()

    def write(start: int, chunks: Iterator[bytes]) -> int:
        noted = written = start
        with part.open("r+b", buffering=0) as file:
            file.seek(start)
            try:
                for chunk in chunks:
                    write_all(file, chunk)
                    written += len(chunk)
                    if written - noted >= NOTE_BYTES:
                        arrived(noted, written)
                        noted = written
            finally:
                if written > noted:
                    arrived(noted, written)
        return written

    def job(piece: range) -> Callable[[], object]:
        def fetch() -> None:
            with own.governs():
                chunks = storage.stream(info.key, piece.start, piece.stop, info.etag, own)[1]
                written = write(piece.start, chunks)
            if written < piece.stop:
                said = f"its end came after {written} of {info.size} bytes"
                advice = (
                    "Run the node again; if that does not help, check the proxy or network to the server."
                )
                raise IntegrityError(sentence(f"download {info.key!r}", storage.place, said, advice))

        return fetch

    def jobs() -> Iterator[Callable[[], object]]:
        if beginning is not None:
            yield lambda: write(0, beginning)
        for piece in ranges(gaps):
            own.check()
            yield job(piece)

    most = sum(-(-len(gap) // RANGE_MIN_BYTES) for gap in gaps) + (beginning is not None)
    concurrency = AdaptiveConcurrency(lambda: own.done, most, start=FIRST, refused=lambda: own.refusals)
    thread_pool.run(jobs(), concurrency if most > 1 else 1, on_failure=own.stop)
    meter.check()
