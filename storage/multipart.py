"""Upload a large source in parts, in parallel: all of them or none, for any backend.

Parts have the same size because some servers require it (R2: "All non-trailing parts must have the same
length"). Every part is a ``Slice`` of the source, which counts the bytes that are sent.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import IntegrityError, StorageError, TooLarge, sentence
from ..providers import MIB, Provider
from ..system import thread_pool
from ..system.concurrency import FIRST, MOST, AdaptiveConcurrency
from ..system.digests import crc32
from ..system.meter import Meter

SINGLE_MAX_BYTES = 16 * MIB  # a larger source is uploaded in parts
PART_MIN_BYTES, PART_MAX_BYTES = 8 * MIB, 16 * MIB
PARTS = 6 * MOST  # at least, if the size allows: with few, most connections wait at the end for the last
SMALL_BYTES = MIB  # a slice of a file up to this size is read once, not for each checksum and for sending
# For one write to the socket: small where the line is slow, so that progress is smooth; large where it is
# fast, because after each block the threads compete for Python's interpreter.
BLOCK_MIN_BYTES, BLOCK_MAX_BYTES = 64 << 10, MIB
BLOCK_SECONDS = 0.05  # a block that took longer makes the next one smaller

log = logging.getLogger("cloud_storage")
P = TypeVar("P")


class Slice(io.RawIOBase):
    """Bytes ``start`` to ``start + length`` of a source, as a seekable file for an SDK to send.

    Bytes count on ``meter`` only after ``begin``: an SDK first reads a body to sign it. ``seek(0)``, with
    which an SDK starts a retry, subtracts them again. ``read`` returns blocks of its own size whatever size
    is asked for, because http.client asks for 16 KiB and sends whatever it gets. Raises TransferCancelled,
    and StorageError for the disk: an SDK would take an OSError for one of the connection, and send the
    request again. The caller closes it.
    """

    def __init__(self, source: bytes | Path, start: int, length: int, meter: Meter) -> None:
        super().__init__()
        self.meter = meter
        self._source, self._start, self._length = source, start, length
        self._position, self._counted, self._counting = 0, 0, False
        self._block, self._asked = BLOCK_MAX_BYTES, 0.0  # the size of the next block; when the last was read
        self._file: io.RawIOBase | io.BytesIO = io.BytesIO()  # for ``close``, if opening fails
        try:
            self._file = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb", buffering=0)
            if start:
                self._file.seek(start)
            if isinstance(source, Path) and length <= SMALL_BYTES:
                with self._file as file:
                    self._file = io.BytesIO(file.read(length) or b"")
                self._start = 0
        except OSError as error:
            raise _unreadable(source, error) from error

    def begin(self) -> None:
        """Count what is read from now on: the SDK is sending it."""
        self._counting = True
        self._block, self._asked = BLOCK_MIN_BYTES, time.monotonic()

    def read(self, size: int = -1) -> bytes:
        self.meter.check()
        wanted = self._length - self._position
        if size >= 0:
            wanted = min(wanted, self._next_block())
        try:
            block = self._file.read(wanted) or b""
        except OSError as error:
            raise _unreadable(self._source, error) from error
        if wanted and not block:
            raise IntegrityError(
                f"{self._source if isinstance(self._source, Path) else 'The data'} became shorter while it "
                "was uploaded. Run the node again when nothing writes to the file."
            )
        self._advance(len(block))
        return block

    def send_file(self, send: Callable[[int, int, int], int]) -> None:
        """Have ``send(descriptor, start, count)`` send the file itself, without copying it into this process.

        It returns how many bytes it sent. What it sends none of is left to ``read``, as all of a source that
        is no file, or a small one.
        """
        if not isinstance(self._file, io.FileIO):
            return
        descriptor, sent = self._file.fileno(), 1
        while sent and (left := self._length - self._position):
            self.meter.check()
            sent = send(descriptor, self._start + self._position, min(left, BLOCK_MAX_BYTES))
            self._advance(sent)
        self._file.seek(self._start + self._position)

    def _advance(self, count: int) -> None:
        self._position += count
        if self._counting:
            self._counted += count
            self.meter.add(count)

    def _next_block(self) -> int:
        """Return the size of the next block; larger and larger ones while the line takes them fast."""
        if not self._counting:
            return BLOCK_MAX_BYTES
        now = time.monotonic()
        is_fast, self._asked = now - self._asked < BLOCK_SECONDS, now
        size = self._block * 2 if is_fast else self._block // 2
        self._block = min(max(size, BLOCK_MIN_BYTES), BLOCK_MAX_BYTES)
        return self._block

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, min(self._length, base + offset))
        self._file.seek(self._start + self._position)
        if self._counting and self._counted:
            self.meter.add(-self._counted)
        self._counted, self._counting = 0, False
        return self._position

    def digest(self, algorithm: str) -> bytes:
        """Return the digest of the whole slice by this algorithm of ``hashlib``, and seek to the start."""
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for block in self._blocks():
            digest.update(block)
        return digest.digest()

    def crc32(self) -> bytes:
        """Return the CRC-32 of the whole slice as four bytes, and seek to the start."""
        crc = 0
        for block in self._blocks():
            crc = crc32(block, crc)
        return crc.to_bytes(4, "big")

    def _blocks(self) -> Iterator[bytes]:
        self.seek(0)
        while self._position < self._length:
            yield self.read(BLOCK_MAX_BYTES)
        self.seek(0)

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
    """Return the size of a source in bytes. Raises StorageError."""
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


def part_bytes(size: int, row: Provider) -> int:
    """Return the size of every part but the last: one of PARTS, or more if that makes too many parts.

    Raises TooLarge if no part size is allowed.
    """
    share = min(max(size // PARTS, PART_MIN_BYTES), PART_MAX_BYTES)
    smallest = max(share, -(-size // row.max_parts))
    chosen = max(row.min_part_bytes, -(-smallest // MIB) * MIB)
    if chosen > row.max_part_bytes:
        raise TooLarge(
            f"{size} bytes do not fit into {row.max_parts} parts of {row.max_part_bytes} bytes. "
            "The provider does not take objects of this size."
        )
    return chosen


def upload(
    source: bytes | Path,
    size: int,
    requests: Requests[P],
    row: Provider,
    meter: Meter,
    recorded: Callable[[str], AbstractContextManager[Callable[[], None]]],
) -> str:
    """Send ``source`` in parts and complete the upload. Returns the ETag.

    After a failure the upload is aborted and the failure raised. ``requests.send`` retries a part by itself.
    ``recorded(upload_id)`` is entered while the upload is open on the server, and gives a function, which is
    called if aborting fails.
    """
    step = part_bytes(size, row)
    own = meter.part()
    upload_id = requests.start()

    def send(number: int, start: int) -> P:
        with contextlib.closing(Slice(source, start, min(step, size - start), own)) as body:
            return requests.send(upload_id, number, body)

    def jobs() -> Iterator[Callable[[], P]]:
        for number, start in enumerate(range(0, size, step), 1):
            own.check()
            yield functools.partial(send, number, start)

    with recorded(upload_id) as keep_record:
        try:
            count = -(-size // step)
            concurrency = AdaptiveConcurrency(
                lambda: own.done, count, start=FIRST, refused=lambda: own.refusals
            )
            parts = thread_pool.run(jobs(), concurrency, on_failure=own.stop)
            meter.check()
            return requests.finish(upload_id, parts)
        except BaseException:
            try:
                with Meter().governs():  # abort also after Cancel
                    requests.abort(upload_id)
            except StorageError as error:
                log.warning("An unfinished upload may be left in the bucket: %s", error)
                keep_record()
            raise
