"""Large uploads: equal parts side by side, all of them or none, for any backend that can name its four requests.

Parts are equal because some servers insist on it (R2: "All non-trailing parts must have the same length"). Every
part is a slice of the source that counts what is sent, takes it back when a retry begins again, and stops when told.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from . import workers
from .errors import ConfigurationError, IntegrityError, StorageError
from .storage import Meter

MIB = 1 << 20
SINGLE_MAX_BYTES = 16 * MIB  # above this an upload goes in parts
PART_BYTES = 32 * MIB  # with THREADS the fastest of 5 to 64 MiB, see benchmarks/throughput.py
THREADS = 4
BLOCK_BYTES = MIB  # of one write to the socket; http.client's own 16 KiB cost a third of the speed

log = logging.getLogger("cloud_storage")
P = TypeVar("P")


class Slice(io.RawIOBase):
    """Bytes ``start`` to ``start + length`` of a source, as a seekable file for an SDK to send.

    Reading counts on ``meter`` only after ``begin``: an SDK reads a body once before, to sign it. ``seek(0)`` takes the
    count back, for that is how an SDK starts again. ``read`` gives larger blocks than asked for, because http.client
    asks for 16 KiB and sends whatever it gets. Closed by whoever made it.
    """

    def __init__(self, source: bytes | Path, start: int, length: int, meter: Meter) -> None:
        super().__init__()
        self._file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0)
        self._source, self._start, self._length, self._meter = source, start, length, meter
        self._position, self._counted, self._counting = 0, 0, False
        self._file.seek(start)

    def begin(self) -> None:
        """What is read from now on is being sent."""
        self._counting = True

    def read(self, size: int = -1) -> bytes:
        self._meter.check()
        wanted = self._length - self._position
        if size >= 0:
            wanted = min(wanted, max(size, BLOCK_BYTES))
        block = self._file.read(wanted) or b""
        if wanted and not block:
            raise IntegrityError(
                f"{self._source if isinstance(self._source, Path) else 'The data'} became shorter while it was "
                "uploaded. Run the node again when nothing writes to the file."
            )
        self._position += len(block)
        if self._counting:
            self._counted += len(block)
            self._meter.add(len(block))
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, min(self._length, base + offset))
        self._file.seek(self._start + self._position)
        if self._counting and self._counted:
            self._meter.add(-self._counted)
        self._counted, self._counting = 0, False
        return self._position

    def tell(self) -> int:
        return self._position

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()


class Requests(Protocol[P]):
    """The four requests of one multipart upload; each raises StorageError."""

    def start(self) -> str: ...
    def send(self, upload_id: str, number: int, body: Slice) -> P: ...
    def finish(self, upload_id: str, parts: Sequence[P]) -> None: ...
    def abort(self, upload_id: str) -> None: ...


@dataclass(frozen=True)
class Limits:
    """What a provider allows: parts per upload, and bytes per part (the last one may be smaller)."""

    max_parts: int = 10_000
    min_part_bytes: int = 5 * MIB
    max_part_bytes: int = 5 * 1024 * MIB


def part_bytes(size: int, limits: Limits) -> int:
    """The size of every part but the last: PART_BYTES, or whole MiB more where that makes too many parts.

    Raises ConfigurationError when no part size fits.
    """
    fitting = -(-size // limits.max_parts)
    chosen = max(PART_BYTES, limits.min_part_bytes, -(-fitting // MIB) * MIB)
    if chosen > limits.max_part_bytes:
        raise ConfigurationError(
            f"{size} bytes do not fit into {limits.max_parts} parts of {limits.max_part_bytes} bytes. "
            "The provider does not take objects of this size."
        )
    return chosen


def upload(source: bytes | Path, size: int, requests: Requests[P], limits: Limits, meter: Meter) -> None:
    """Send ``source`` in parts and complete it, or abort it and raise what went wrong.

    After a failure no upload is left open on the server, unless the server cannot be reached to say so: that is logged.
    """
    step = part_bytes(size, limits)
    upload_id = requests.start()
    own = meter.part()

    def job(number: int, start: int) -> Callable[[], P]:
        def send() -> P:
            with contextlib.closing(Slice(source, start, min(step, size - start), own)) as body:
                return requests.send(upload_id, number, body)

        return send

    def jobs() -> Iterator[Callable[[], P]]:
        for number, start in enumerate(range(0, size, step), 1):
            own.check()
            yield job(number, start)

    try:
        parts = workers.run(jobs(), min(THREADS, -(-size // step)), on_failure=own.stop)
        meter.check()
        requests.finish(upload_id, parts)
    except BaseException:
        try:
            requests.abort(upload_id)
        except StorageError as error:
            log.warning("An unfinished upload may be left in the bucket: %s", error)
        raise
