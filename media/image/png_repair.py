"""Makes a whole PNG file of a damaged or cut-off one, for readers that otherwise give none of it.

The rule: nothing is invented. The rows that can still be inflated are kept, the others become zeros (black,
and transparent where there is alpha), and everything beside the pixels is dropped. Section numbers are those
of https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_BYTES = 1 << 31  # of inflated rows; a file that announces more is left alone

_HEADER = struct.Struct(">IIBBBBB")  # width, height, depth, colour type, two methods, interlacing (11.2.1)
_ANIMATION = {b"acTL", b"fcTL", b"fdAT"}  # 11.3.7
_NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"eXIf"}  # beside the IDAT chunks, all that the picture depends on
_FILTERS = range(5)  # what a row may begin with (9.2)
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (11.2.1)


def without_metadata(data: bytes) -> Iterator[bytes]:
    """The same file without what its pixels do not need, with right checksums; then without its animation as
    well, and at last without its transparent colours.
    """
    chunks = list(_chunks(data))
    for needed in (_NEEDED | _ANIMATION, _NEEDED, _NEEDED - {b"tRNS"}):
        kept = [chunk for chunk in chunks if chunk[0] in {*needed, b"IDAT", b"IEND"}]
        yield SIGNATURE + b"".join(_chunk(*chunk) for chunk in kept)


def repaired(data: bytes) -> bytes | None:
    """A PNG file with what is left of the picture in ``data``.

    None where not one row is left, and for what this cannot repair: a damaged header, an interlaced picture,
    one of more than MAX_BYTES.
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
    left = _inflated(b"".join(body for kind, body in chunks if kind == b"IDAT"), height * row_bytes)
    whole = len(left) // row_bytes
    sound = next((row for row in range(whole) if left[row * row_bytes] not in _FILTERS), whole)
    rows = left[: sound * row_bytes]
    if not rows:
        return None
    pixels = zlib.compress(rows + bytes(height * row_bytes - len(rows)), 1)
    kept = [(kind, body) for kind, body in chunks if kind in _NEEDED]
    return SIGNATURE + b"".join(_chunk(*chunk) for chunk in [*kept, (b"IDAT", pixels), (b"IEND", b"")])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of the file's chunks: the sound ones, and the pixels also where damaged or cut off."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        if kind == b"IDAT" or data[position : position + 12 + length] == _chunk(kind, body):
            yield kind, body
        position += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def _inflated(stream: bytes, max_bytes: int) -> bytes:
    """At most ``max_bytes`` of what a zlib stream holds before it breaks off or, to the KiB, is damaged."""
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
