"""An object as a seekable file: only the ranges that are read are downloaded; sequential reads are
prefetched.

At each position that is read sequentially, at most half of what was read there so far is prefetched. So a few
frames of a long video download a few blocks, and a whole video comes at the speed of the network. If all of
an object is read and its metadata has a sha256, the two are compared.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass

from ..errors import IntegrityError, sentence
from ..storage.base import Storage
from ..system.meter import Meter

BLOCK_BYTES = 64 << 10  # the unit of requests and of the cache
REQUEST_BLOCKS = 64  # at most in one request: 4 MiB; larger requests are not faster
AHEAD_BLOCKS = 256  # at most prefetched at one position: 16 MiB hide a round trip of 100 ms at 1 Gbit/s
CACHE_BLOCKS = 1024  # in memory, the least recently read are dropped first: 64 MiB
REQUESTS = 4  # at the same time
POSITIONS = 4  # that are read sequentially at the same time: video, audio, and an index


@dataclass
class _Run:
    """A position that is read sequentially: the last block read there, and how many were read before it."""

    last: int
    blocks: int = 1


class RangeReader(io.RawIOBase):
    """One version of an object, for one thread at a time; close it, or its requests continue.

    The constructor downloads the first block and raises NotFound and the like; ``info`` is the object as the
    server described it then. ``read`` raises what ``Storage.read`` raises: Changed if the object has been
    replaced, IntegrityError if all of it has been read and its sha256 differs, TransferCancelled if ``meter``
    is stopped, which counts all downloaded bytes. The first exception is kept in ``failure``, for callers of
    libraries that swallow it.
    """

    def __init__(self, storage: Storage, key: str, meter: Meter) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self._storage, self._key = storage, key
        self._meter = meter.part()
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._coming: set[int] = set()
        self._requests = 0
        self._error: BaseException | None = None  # of a request
        self._runs: deque[_Run] = deque(maxlen=POSITIONS)
        self._digest = hashlib.sha256()
        self._digested = 0  # blocks, from the first one on
        self._changed = threading.Condition()
        self.info, chunks = storage.stream(key, 0, BLOCK_BYTES, None, self._meter)
        self._keep(0, b"".join(chunks))

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes, fewer at the end of a block; b"" at the end of the object."""
        try:
            index, offset = divmod(self._position, BLOCK_BYTES)
            if size == 0 or self._position >= self.info.size:
                return b""
            block = self._block(index)
        except BaseException as error:
            self.failure = self.failure or error
            raise
        part = block[offset:] if size < 0 else block[offset : offset + size]
        self._position += len(part)
        return part

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.info.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Stop the requests and free the blocks."""
        self._meter.stop()
        with self._changed:
            self._blocks.clear()
        super().close()

    # ------------------------------------------------------------------------------------ blocks

    def _block(self, index: int) -> bytes:
        with self._changed, self._meter.wakes(self._changed):
            ahead = self._ahead(index)
            while index not in self._blocks:
                self._meter.check()
                if self._error is not None:
                    raise self._error
                if index not in self._coming:
                    self._request(index, 1 + ahead)
                self._changed.wait()
            if self._digested == self._count and self._digest.hexdigest() != self.info.sha256:
                said = "these are not the bytes that were uploaded, their sha256 differs"
                advice = "Run the node again; if that does not help, upload it again."
                raise IntegrityError(sentence(f"read {self._key!r}", self._storage.place, said, advice))
            self._blocks.move_to_end(index)
            block = self._blocks[index]
            self._fetch_ahead(index + 1, ahead)
            return block

    def _ahead(self, index: int) -> int:
        """How many blocks after ``index`` to prefetch: half of what was read sequentially up to it."""
        run = next((run for run in self._runs if run.last <= index <= run.last + 1), None)
        if run is None:
            run = _Run(index)
            self._runs.append(run)
        elif run.last < index:
            run.last, run.blocks = index, run.blocks + 1
        return min(run.blocks // 2, AHEAD_BLOCKS)

    def _fetch_ahead(self, start: int, count: int) -> None:
        """Request those of ``count`` blocks that are missing, if they are enough for a request."""
        end = min(start + count, self._count)
        missing = next((index for index in range(start, end) if not self._has(index)), end)
        if end - missing >= max(1, min(count // 2, REQUEST_BLOCKS)) and self._requests < REQUESTS:
            self._request(missing, end - missing)

    def _has(self, index: int) -> bool:
        return index in self._blocks or index in self._coming

    def _request(self, start: int, count: int) -> None:
        """Request up to ``count`` blocks, in a thread of its own, but none that is here already."""
        end = min(start + min(count, REQUEST_BLOCKS), self._count)
        end = next((index for index in range(start + 1, end) if self._has(index)), end)
        self._coming.update(range(start, end))
        self._requests += 1
        threading.Thread(target=self._fetch, args=(start, end), name="cloud-storage", daemon=True).start()

    def _fetch(self, start: int, end: int) -> None:
        error: BaseException | None = None
        try:
            with self._meter.governs():
                self._receive(start, end)
        except BaseException as failure:  # noqa: BLE001  raised again in the thread that reads
            error = failure
        with self._changed:
            self._coming.difference_update(range(start, end))
            self._requests -= 1
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def _count(self) -> int:
        """The object's number of blocks."""
        return -(-self.info.size // BLOCK_BYTES)

    def _receive(self, start: int, end: int) -> None:
        """Keep the blocks of one request, each as soon as it is complete."""
        first, stop = start * BLOCK_BYTES, min(end * BLOCK_BYTES, self.info.size)
        index, held = start, bytearray()
        for chunk in self._storage.stream(self._key, first, stop, self.info.etag, self._meter)[1]:
            held += chunk
            while len(held) >= BLOCK_BYTES:
                self._keep(index, bytes(held[:BLOCK_BYTES]))
                del held[:BLOCK_BYTES]
                index += 1
        if held:
            self._keep(index, bytes(held))
            index += 1
        if index < end:
            said = f"only {index - start} of {end - start} blocks from byte {first} arrived"
            raise IntegrityError(
                sentence(f"read {self._key!r}", self._storage.place, said, "Run the node again.")
            )

    def _keep(self, index: int, block: bytes) -> None:
        with self._changed:
            if not self._meter.stopped:
                self._blocks[index] = block
            while self.info.sha256 and self._digested in self._blocks:
                self._digest.update(self._blocks[self._digested])
                self._digested += 1
            while len(self._blocks) > CACHE_BLOCKS:
                self._blocks.popitem(last=False)
            self._changed.notify_all()
