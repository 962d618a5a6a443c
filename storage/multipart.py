"""Large uploads: equal parts side by side, all or none, for any backend that can name its four requests.

Parts are equal because some servers insist on it (R2: "All non-trailing parts must have the same length").
Every part is a slice of the source that counts what is sent, takes it back when a retry begins again, and
stops when told.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import IntegrityError, StorageError, TooLarge, sentence
from ..system import thread_pool
from ..system.meter import Meter

MIB = 1 << 20
SINGLE_MAX_BYTES = 16 * MIB  # above this an upload goes in parts
PART_BYTES = 32 * MIB  # with THREADS the fastest of 5 to 64 MiB, see benchmarks/throughput.py
THREADS = 4
# Of one write to the socket, see ``connection_watch``. http.client's own 16 KiB cost a third of the speed.
BLOCK_BYTES = 64 << 10

log = logging.getLogger("cloud_storage")
P = TypeVar("P")


class Slice(io.RawIOBase):
    """Bytes ``start`` to ``start + length`` of a source, as a seekable file for an SDK to send.

    Reading counts on ``meter`` only after ``begin``: an SDK reads a body once before, to sign it. ``seek(0)``
    takes the count back, for that is how an SDK starts again. ``read`` gives blocks of BLOCK_BYTES whatever
    is asked for, because http.client asks for 16 KiB and sends whatever it gets. Raises TransferCancelled,
    and StorageError for the disk: an OSError would be taken for the connection's, and the request sent again.
    Closed by whoever made it.
    """

    def __init__(self, source: bytes | Path, start: int, length: int, meter: Meter) -> None:
        super().__init__()
        self.meter = meter
        self._source, self._start, self._length = source, start, length
        self._position, self._counted, self._counting = 0, 0, False
        self._file: io.RawIOBase | io.BytesIO = io.BytesIO()  # for close, where opening fails
        try:
            self._file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0)
            self._file.seek(start)
        except OSError as error:
            raise _unreadable(source, error) from error

    def begin(self) -> None:
        """What is read from now on is being sent."""
        self._counting = True

    def read(self, size: int = -1) -> bytes:
        self.meter.check()
        wanted = self._length - self._position
        if size >= 0:
            wanted = min(wanted, BLOCK_BYTES)
        try:
            block = self._file.read(wanted) or b""
        except OSError as error:
            raise _unreadable(self._source, error) from error
        if wanted and not block:
            raise IntegrityError(
                f"{self._source if isinstance(self._source, Path) else 'The data'} became shorter while it "
                "was uploaded. Run the node again when nothing writes to the file."
            )
        self._position += len(block)
        if self._counting:
            self._counted += len(block)
            self.meter.add(len(block))
        return block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, min(self._length, base + offset))
        self._file.seek(self._start + self._position)
        if self._counting and self._counted:
            self.meter.add(-self._counted)
        self._counted, self._counting = 0, False
        return self._position

    def md5(self) -> bytes:
        """The digest of the whole slice, which is at its start again afterwards."""
        digest = hashlib.md5(usedforsecurity=False)
        self.seek(0)
        while block := self.read(BLOCK_BYTES):
            digest.update(block)
        self.seek(0)
        return digest.digest()

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


def size_of(source: bytes | Path) -> int:
    """How many bytes there are to send. Raises StorageError."""
    try:
        return len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: bytes | Path, error: OSError) -> StorageError:
    advice = "Check the file and the disk."
    return StorageError(sentence("read what to upload", str(source), error.strerror or str(error), advice))


class Requests(Protocol[P]):
    """The four requests of one multipart upload; each raises StorageError. ``finish`` returns the ETag."""

    def start(self) -> str: ...
    def send(self, upload_id: str, number: int, body: Slice) -> P: ...
    def finish(self, upload_id: str, parts: Sequence[P]) -> str: ...
    def abort(self, upload_id: str) -> None: ...


@dataclass(frozen=True)
class Limits:
    """What a provider allows: parts per upload, and bytes per part (the last one may be smaller)."""

    max_parts: int = 10_000
    min_part_bytes: int = 5 * MIB
    max_part_bytes: int = 5 * 1024 * MIB


def part_bytes(size: int, limits: Limits) -> int:
    """The size of every part but the last: PART_BYTES, or whole MiB more where that makes too many parts.

    Raises TooLarge when no part size fits.
    """
    fitting = -(-size // limits.max_parts)
    chosen = max(PART_BYTES, limits.min_part_bytes, -(-fitting // MIB) * MIB)
    if chosen > limits.max_part_bytes:
        raise TooLarge(
            f"{size} bytes do not fit into {limits.max_parts} parts of {limits.max_part_bytes} bytes. "
            "The provider does not take objects of this size."
        )
    return chosen


Noted = Callable[[str], AbstractContextManager[Callable[[], None]]]


def _nowhere(upload_id: str) -> AbstractContextManager[Callable[[], None]]:
    return contextlib.nullcontext(lambda: None)


def upload(
    source: bytes | Path,
    size: int,
    requests: Requests[P],
    limits: Limits,
    meter: Meter,
    noted: Noted = _nowhere,
) -> str:
    """Send ``source`` in parts and complete it, or abort it and raise what went wrong. Returns the ETag.

    ``requests.send`` sends a part again after a failure that may pass; the other parts stay.
    After a failure no upload is left open on the server, or that is logged where it cannot be told to abort.
    ``noted(upload_id)`` is entered as long as the upload is open; what it gives is called where it stays so.
    """
    step = part_bytes(size, limits)
    upload_id = requests.start()
    with noted(upload_id) as stays_open:
        return _send(source, size, step, upload_id, requests, meter, stays_open)


def _send(
    source: bytes | Path,
    size: int,
    step: int,
    upload_id: str,
    requests: Requests[P],
    meter: Meter,
    stays_open: Callable[[], None],
) -> str:
    own = meter.part()

    def job(number: int, start: int) -> Callable[[], P]:
        def send() -> P:
            data = Slice(source, start, min(step, size - start), own)
            with contextlib.closing(data) as body:
                return requests.send(upload_id, number, body)

        return send

    def jobs() -> Iterator[Callable[[], P]]:
        for number, start in enumerate(range(0, size, step), 1):
            own.check()
            yield job(number, start)

    try:
        parts = thread_pool.run(jobs(), min(THREADS, -(-size // step)), on_failure=own.stop)
        meter.check()
        return requests.finish(upload_id, parts)
    except BaseException:
        try:
            with Meter().governs():  # whatever has stopped the upload
                requests.abort(upload_id)
        except StorageError as error:
            log.warning("An unfinished upload may be left in the bucket: %s", error)
            stays_open()
        raise
