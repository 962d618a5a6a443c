"""What the OSS test server keeps: objects, open multipart uploads, and their bytes, many in temporary files.

A body never changes once it is stored, so a reader keeps the object it opened whatever is written meanwhile.
"""

from __future__ import annotations

import bisect
import ctypes
import functools
import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

CHUNK_BYTES = 1 << 20
MEMORY_BYTES = 1 << 20  # a body up to this size stays in memory
CRC64_POLYNOMIAL = 0x142F0E1EBA9EA3693  # ECMA-182, as x-oss-hash-crc64ecma; reflected, all ones in and out


class Reader(Protocol):
    """A request body."""

    def readinto(self, view: memoryview) -> int:
        """Fill the front of ``view``; 0 means that the body has ended, whole."""


class Spool:
    """A temporary file that several threads write and read. It has no name and ends with its last user."""

    def __init__(self, folder: Path | None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115  # closed in __del__
        self._lock = threading.Lock()
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def reserve(self, size: int) -> int:
        """Where the next ``size`` bytes may be written."""
        with self._lock:
            offset = self._end
            self._end += size
            return offset

    def write(self, offset: int, view: memoryview) -> None:
        with self._lock:
            self._file.seek(offset)
            while view:
                view = view[self._file.write(view) :]

    def read(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)


@dataclass(frozen=True)
class Piece:
    """Consecutive bytes of a body: in memory, or in a spool from ``offset`` on."""

    size: int
    memory: bytes | bytearray = b""
    spool: Spool | None = None
    offset: int = 0

    def cut(self, start: int, stop: int) -> Piece:
        if self.spool is None:
            return Piece(stop - start, bytes(memoryview(self.memory)[start:stop]))
        return Piece(stop - start, spool=self.spool, offset=self.offset + start)

    def chunks(self) -> Iterator[bytes | memoryview]:
        if self.spool is None:
            yield memoryview(self.memory)
            return
        for position in range(0, self.size, CHUNK_BYTES):
            yield self.spool.read(self.offset + position, min(CHUNK_BYTES, self.size - position))


@dataclass(frozen=True)
class Body:
    """The content of an object, in one piece per upload request."""

    pieces: tuple[Piece, ...] = ()

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def cut(self, start: int, stop: int) -> Iterator[Piece]:
        """The bytes from ``start`` to before ``stop``."""
        for piece in self.pieces:
            first, last = max(0, start), min(piece.size, stop)
            if first < last:
                yield piece if (first, last) == (0, piece.size) else piece.cut(first, last)
            start -= piece.size
            stop -= piece.size

    def read(self) -> bytes:
        return b"".join(chunk for piece in self.pieces for chunk in piece.chunks())


# --- CRC-64 ---


Crc64 = Callable[[memoryview, int], int]  # of more bytes, after those that had this CRC


@functools.cache
def crc64_function() -> Crc64 | None:
    """liblzma's, which is fast and leaves the GIL free, else crcmod's; None where that has no C extension."""
    for name in ("liblzma.so.5", "liblzma.5.dylib", "liblzma.dll"):
        try:
            function = ctypes.CDLL(name).lzma_crc64
        except (OSError, AttributeError):
            continue
        function.restype = ctypes.c_uint64
        function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64)
        return lambda view, crc: function((ctypes.c_char * len(view)).from_buffer(view), len(view), crc)
    try:
        from crcmod import crcmod
    except ImportError:
        return None
    if not crcmod._usingExtension:
        return None
    return crcmod.mkCrcFun(CRC64_POLYNOMIAL, initCrc=0, rev=True, xorOut=(1 << 64) - 1)


@functools.cache
def _zeros(power: int) -> tuple[int, ...]:
    """What 2**power zero bits do to a CRC: row i is the image of bit i (as in zlib's crc32_combine)."""
    if power == 0:
        reflected = int(f"{CRC64_POLYNOMIAL & ((1 << 64) - 1):064b}"[::-1], 2)
        return (reflected, *(1 << bit for bit in range(63)))
    half = _zeros(power - 1)
    return tuple(_apply(half, row) for row in half)


def _apply(matrix: tuple[int, ...], vector: int) -> int:
    image = 0
    while vector:
        lowest = vector & -vector
        image ^= matrix[lowest.bit_length() - 1]
        vector ^= lowest
    return image


def crc64_joined(first: int, second: int, second_size: int) -> int:
    """The CRC of two strings in a row, from the CRC of each and the size of the second in bytes."""
    bits = second_size * 8
    for power in range(bits.bit_length()):
        if bits >> power & 1:
            first = _apply(_zeros(power), first)
    return first ^ second


# --- Receiving ---


@dataclass(frozen=True)
class Received:
    """One request body, stored: its bytes, its MD5, and its CRC-64 where that can be had."""

    piece: Piece
    md5: bytes
    crc64: int | None


def receive(reader: Reader, size: int | None, spool: Callable[[], Spool], crc64: bool) -> Received:
    """Store a request body of ``size`` bytes (None: not known before its end), small ones in memory.

    Raises what ``reader`` raises when the body breaks off; then nothing is kept.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    crc64_of = crc64_function() if crc64 else None
    crc = 0

    def count(view: memoryview) -> None:
        nonlocal crc
        md5.update(view)
        if crc64_of is not None:
            crc = crc64_of(view, crc)

    if size is not None and size <= MEMORY_BYTES:
        memory = bytearray(size)
        view, filled = memoryview(memory), 0
        while got := reader.readinto(view[filled:]):
            filled += got
        count(view)
        piece = Piece(size, memory)
    elif size is not None:
        target = spool()
        offset = target.reserve(size)
        for position, view in _blocks(reader):
            count(view)
            target.write(offset + position, view)
        piece = Piece(size, spool=target, offset=offset)
    else:
        # A chunked body shares its file with no one: nobody knows how much room to reserve.
        target, size = spool(), 0
        for position, view in _blocks(reader):
            count(view)
            target.write(position, view)
            size = position + len(view)
        piece = Piece(size, spool=target)
    return Received(piece, md5.digest(), None if crc64_of is None else crc)


def _blocks(reader: Reader) -> Iterator[tuple[int, memoryview]]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    position = 0
    while got := reader.readinto(buffer):
        yield position, buffer[:got]
        position += got


# --- Buckets ---


@dataclass(frozen=True)
class StoredObject:
    """One object.

    ``headers`` are those it was stored with, in lower case; ``etag`` has no quotes; ``md5`` is empty for one
    made of parts; ``modified`` is in UTC, whole seconds; ``kind`` is Normal or Multipart.
    """

    key: str
    body: Body = field(repr=False)
    etag: str
    md5: bytes
    crc64: int | None
    modified: datetime
    kind: str = "Normal"
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.body.size

    @property
    def data(self) -> bytes:
        """The whole content."""
        return self.body.read()


@dataclass(frozen=True)
class Part:
    number: int
    received: Received
    modified: datetime

    @property
    def etag(self) -> str:
        return self.received.md5.hex().upper()

    @property
    def size(self) -> int:
        return self.received.piece.size


@dataclass
class Upload:
    """A multipart upload that is neither completed nor aborted."""

    key: str
    upload_id: str
    started: datetime
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    spool: Callable[[], Spool] = field(repr=False)
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``last`` is the key or common prefix it ends with, "" when nothing follows."""

    objects: list[StoredObject]
    prefixes: list[str]
    last: str


@dataclass
class Bucket:
    """Objects in key order. Every method is called under the server's lock."""

    name: str
    acl: str
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    _keys: list[bytes] = field(default_factory=list, repr=False)  # in UTF-8, sorted

    def put(self, stored: StoredObject) -> None:
        if stored.key not in self.objects:
            bisect.insort(self._keys, stored.key.encode())
        self.objects[stored.key] = stored

    def delete(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            del self._keys[bisect.bisect_left(self._keys, key.encode())]

    def page(self, prefix: str, delimiter: str, after: str, limit: int, resumed: bool) -> Page:
        """At most ``limit`` keys and common prefixes greater than ``after``.

        ``resumed`` means that ``after`` ended a page: where it is a common prefix, what it stands for is done
        with.
        """
        first, rolled_by, start = prefix.encode(), delimiter.encode(), after.encode()
        position = max(bisect.bisect_left(self._keys, first), bisect.bisect_right(self._keys, start))
        if resumed and rolled_by and start.endswith(rolled_by) and start.startswith(first) and start != first:
            position = max(position, self._beyond(start))
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        last = ""
        while position < len(self._keys) and self._keys[position].startswith(first):
            if len(objects) + len(prefixes) == limit:
                return Page(objects, prefixes, last)
            key = self._keys[position]
            cut = key.find(rolled_by, len(first)) if rolled_by else -1
            if cut < 0:
                last = key.decode()
                objects.append(self.objects[last])
                position += 1
            else:
                rolled = key[: cut + len(rolled_by)]
                last = rolled.decode()
                prefixes.append(last)
                position = self._beyond(rolled)
        return Page(objects, prefixes, "")

    def _beyond(self, prefix: bytes) -> int:
        """The position of the first key that is greater than all that start with ``prefix``."""
        return bisect.bisect_left(self._keys, prefix[:-1] + bytes([prefix[-1] + 1]))
