"""Repairs a damaged or truncated PNG file, for decoders that otherwise return nothing of it.

The rows that can be inflated are kept. All others become zeros: black, and transparent if there is an alpha
channel. Metadata is dropped. Section numbers are those of https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from ..file_kind import PNG_SIGNATURE

MAX_BYTES = 1 << 31  # of inflated rows; a larger image is not repaired

_HEADER = struct.Struct(">IIBBBBB")  # width, height, depth, colour type, two methods, interlacing (11.2.1)
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}  # 11.3.7
_NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"eXIf"}  # all that the pixels depend on, besides the IDAT chunks
_FILTERS = range(5)  # that a row may begin with (9.2)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (11.2.1)


def without_metadata(data: bytes) -> Iterator[bytes]:
    """Yield the file without metadata and with correct checksums; then also without its animation; then also
    without its transparent colours.
    """
    chunks = list(_chunks(data))
    for needed in (_NEEDED | _ANIMATION, _NEEDED, _NEEDED - {b"tRNS"}):
        kept = [chunk for chunk in chunks if chunk[0] in {*needed, b"IDAT", b"IEND"}]
        yield PNG_SIGNATURE + b"".join(_chunk(*chunk) for chunk in kept)


def repaired(data: bytes) -> bytes | None:
    """Return a complete PNG file with the rows of ``data`` that can be inflated.

    Returns None if there is no such row, for a damaged header, and for an image that is interlaced or larger
    than MAX_BYTES.
    """
    chunks = list(_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != _HEADER.size:
        return None
    width, height, depth, colour_type, *_, interlacing = _HEADER.unpack(chunks[0][1])
    if interlacing or colour_type not in _CHANNELS:
        return None
    row_bytes = 1 + (width * depth * _CHANNELS[colour_type] + 7) // 8
    if height * row_bytes > MAX_BYTES:
        return None
    inflated = _inflated(b"".join(body for kind, body in chunks if kind == b"IDAT"), height * row_bytes)
    complete = len(inflated) // row_bytes
    valid = next((row for row in range(complete) if inflated[row * row_bytes] not in _FILTERS), complete)
    rows = inflated[: valid * row_bytes]
    if not rows:
        return None
    pixels = zlib.compress(rows + bytes(height * row_bytes - len(rows)), 1)
    kept = [(kind, body) for kind, body in chunks if kind in _NEEDED]
    return PNG_SIGNATURE + b"".join(_chunk(*chunk) for chunk in [*kept, (b"IDAT", pixels), (b"IEND", b"")])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and body of the chunks with a correct checksum, and of all chunks with pixels."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        if kind == b"IDAT" or data[position : position + 12 + length] == _chunk(kind, body):
            yield kind, body
        position += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _inflated(stream: bytes, max_bytes: int) -> bytes:
    """Inflate a zlib stream up to its end or its first damaged KiB; returns at most ``max_bytes``."""
    inflater = zlib.decompressobj()
    inflated = io.BytesIO()
    for start in range(0, len(stream), 1024):
        room = max_bytes - inflated.tell()
        if room == 0:
            break
        try:
            inflated.write(inflater.decompress(stream[start : start + 1024], room))
        except zlib.error:
            break
    return inflated.getvalue()
