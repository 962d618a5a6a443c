"""Reads the workflow inside an object, without the object: at most BUDGET_BYTES of it, by ranges."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from ..errors import MediaError
from ..media import workflow_reader
from ..storage.base import Storage
from ..system.meter import Meter

BUDGET_BYTES = 512 << 10
FIRST_BYTES = 64 << 10  # of the first request: most files have their workflow there
NEXT_BYTES = 4 << 10  # of a request at another place; it doubles while the reading continues there
REQUESTS = 40  # each takes a round trip


class OutOfReach(MediaError):
    """The workflow, if there is one, lies beyond what may be read."""


def workflow(storage: Storage, key: str, meter: Meter) -> dict[str, Any]:
    """Return the ``workflow`` in the page's form, or the ``prompt`` in the API's; the ``name`` of the file
    without its folders and its extension; and how many ``bytes`` were read.

    Raises MediaError if the object has none, or OutOfReach, and errors of ``Storage.stream``.
    """
    name = PurePosixPath(key).name
    reader = _BudgetReader(storage, key, meter)
    found = workflow_reader.find(cast("BinaryIO", reader), name)
    form = "workflow" if workflow_reader.is_of_page(found) else "prompt"
    return {form: found, "name": PurePosixPath(name).stem, "bytes": reader.taken}


class _BudgetReader(io.RawIOBase):
    """One version of an object as a file, for one thread; what was read is kept. Raises OutOfReach."""

    def __init__(self, storage: Storage, key: str, meter: Meter) -> None:
        super().__init__()
        self.taken = 0  # bytes that were requested
        self._storage, self._key, self._meter = storage, key, meter
        self._requests = 0
        self._parts: list[tuple[int, bytes]] = []  # where each begins
        self._position = 0
        self._step = FIRST_BYTES
        self._etag: str | None = None
        self._size = FIRST_BYTES  # until the first answer says it
        self._fetch(0, FIRST_BYTES)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, begin + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        start = min(self._position, self._size)
        stop = self._size if size < 0 else min(start + size, self._size)
        while (missing := self._missing(start, stop)) is not None:
            self._fetch(missing, stop)
        self._position = stop
        return b"".join(self._pieces(start, stop))

    def _missing(self, start: int, stop: int) -> int | None:
        """The first byte of a range that is not here; None if all are."""
        for begin, data in sorted(self._parts):
            if begin <= start < begin + len(data):
                start = begin + len(data)
        return start if start < stop else None

    def _pieces(self, start: int, stop: int) -> list[bytes]:
        found = []
        for begin, data in sorted(self._parts):
            if begin <= start < min(stop, begin + len(data)):
                found.append(data[start - begin : stop - begin])
                start += len(found[-1])
        return found

    def _fetch(self, start: int, stop: int) -> None:
        follows = any(begin + len(data) == start for begin, data in self._parts)
        self._step = self._step * 2 if follows else NEXT_BYTES if self._parts else FIRST_BYTES
        length = min(max(stop - start, self._step), self._size - start)
        left = BUDGET_BYTES - self.taken
        if stop - start > left or self._requests == REQUESTS:
            raise OutOfReach(
                f"The workflow of {PurePosixPath(self._key).name} is not within the {BUDGET_BYTES >> 10} kB "
                "that are read of a file in the bucket. Download the file and open it in ComfyUI."
            )
        length = min(length, left)
        info, chunks = self._storage.stream(self._key, start, start + length, self._etag, self._meter)
        data = b"".join(chunks)
        self._size, self._etag = info.size, info.etag
        self.taken += len(data)
        self._requests += 1
        self._parts.append((start, data))
