"""Objects of a bucket to files of this machine: whole and checked, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import IntegrityError, sentence
from ..storage.base import ObjectInfo, Storage
from ..system import thread_pool
from ..system.concurrency import FIRST, MOST, Lanes
from ..system.digests import file_sha256
from ..system.durable_write import write_all
from ..system.meter import Meter

T = TypeVar("T")
SINGLE_MAX_BYTES = 8 << 20  # up to this size one request reads the whole object
# What one request asks for: much, for few round trips; less at first, so that it is soon known how many at
# once are worth it, and less towards the end, so that all end together
RANGE_MIN_BYTES, RANGE_MAX_BYTES = 16 << 20, 64 << 20
RANGES_FIRST = 2 * FIRST  # that are small
RANGES_LEFT = 12  # that the rest is always cut into
NOTE_BYTES = 1 << 20  # of a range between two notes of what has arrived


def download(storage: Storage, key: str, target: Path, meter: Meter) -> ObjectInfo:
    """Write the object to ``target``: whole and checked, or not at all.

    Large objects come in parallel ranges, each guarded by the ETag, into a temporary file beside ``target``
    that is renamed at the end and removed on any failure. The size is always compared, the sha256 where the
    object's metadata has one. Raises NotFound, Changed, IntegrityError, Unreachable, TransferCancelled,
    OSError for the disk.
    """
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        info = _fetch(storage, key, part, meter)
        if part.stat().st_size != info.size:
            raise IntegrityError(
                f"Could not download {key!r} ({storage.place}): "
                f"{part.stat().st_size} of {info.size} bytes arrived. Run the node again."
            )
        if info.sha256 and file_sha256(part, meter) != info.sha256:
            raise IntegrityError(
                f"Could not download {key!r} ({storage.place}): the bytes are not those that "
                "were uploaded, their sha256 differs. Run the node again; if it stays, upload it anew."
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return info


def _fetch(storage: Storage, key: str, part: Path, meter: Meter) -> ObjectInfo:
    info, chunks = storage.stream(key, 0, SINGLE_MAX_BYTES, None, meter)
    meter.expect(info.size)
    with part.open("xb", buffering=0) as file:
        for chunk in chunks:
            write_all(file, chunk)
        file.truncate(info.size)
    fetch_ranges(storage, info, part, ranges(SINGLE_MAX_BYTES, info.size), meter)
    return info


def ranges(start: int, stop: int) -> list[range]:
    """Bytes ``start`` to ``stop`` in pieces to ask for, in their order."""
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
    """Write those ranges of exactly this version of the object into a file of its size, side by side.

    ``arrived(start, stop)`` is called, by several threads at once, for bytes that have been written: every
    NOTE_BYTES, at the end of a range, and for what a range that fails has got so far. Raises Changed when the
    object is another one by now, else as ``Storage.stream`` does, and OSError for the disk.
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
                advice = "Run the node again; if it stays, look at what stands between here and the server."
                raise IntegrityError(sentence(f"download {info.key!r}", storage.place, said, advice))

        return fetch

    def jobs() -> Iterator[Callable[[], None]]:
        for piece in wanted:
            own.check()
            yield job(piece)

    if wanted:
        lanes = Lanes(lambda: own.done, min(MOST, len(wanted)))
        thread_pool.run(jobs(), lanes, on_failure=own.stop)
    meter.check()
