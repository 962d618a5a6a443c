"""Finds out whether an image file is truncated or damaged, by its format's own structure.

Also removes the metadata of a JPEG, for decoders that fail on it.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Callable
from typing import BinaryIO

from ..file_kind import JPEG_START, PNG_SIGNATURE

BLOCK_BYTES = 1 << 20
_TRIED_BYTES, _TRIED_PIXELS = 32 << 20, 16_000_000
_MORE_BITS = bytes.fromhex("5aa533cc") * 16  # of a scan; decoders read missing bits as zeros
_JPEG_END = b"\xff\xd9"
_PNG_PIXELS = (b"IDAT", b"fdAT")
_INFLATED_BYTES = 1 << 14  # at once: 16 MiB at most, because zlib needs a byte for 1,032
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B


def damage(file: BinaryIO) -> str:
    """Return what is wrong, such as "the file is cut off"; "" for a complete file and an unknown format."""
    file.seek(0)
    head = file.read(12)
    try:
        for begins, look in _LOOKS:
            if begins(head):
                return look(file, head)
    except _End:
        return "the file is cut off"
    return ""


class _End(Exception):
    """The file ends too early."""


def _read(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    if len(found) < count:
        raise _End
    return found


def _of_jpeg(file: BinaryIO, head: bytes) -> str:
    """Read the segments up to the first scan, then look for the end marker, which no scan contains.

    See ITU-T T.81, B.1.1.2.
    """
    file.seek(2)
    while True:
        marker, kind = _read(file, 2)
        if marker != 0xFF:  # noqa: PLR2004
            return ""
        if kind == 0xFF:  # noqa: PLR2004  may be repeated
            file.seek(-1, 1)
            continue
        if kind == 0xDA:  # noqa: PLR2004  start of scan
            break
        file.seek(int.from_bytes(_read(file, 2), "big") - 2, 1)
    last = b""
    while block := file.read(BLOCK_BYTES):
        if _JPEG_END in last + block:
            return ""
        last = block[-1:]
    if not only_end_marker_is_missing(file):
        raise _End
    return ""


def only_end_marker_is_missing(file: BinaryIO) -> bool:
    """Return whether a JPEG without end marker has all of its pixels: bytes appended to it change none.

    A progressive one that ends exactly after a scan counts as complete. Returns False for a file that is too
    large to try.
    """
    from PIL import Image

    file.seek(0)
    data = file.read(_TRIED_BYTES + 1)
    if len(data) > _TRIED_BYTES:
        return False
    data = data.rstrip(b"\xff")  # half of the marker
    seen = set()
    try:
        for appended in (b"", _MORE_BITS):
            with Image.open(io.BytesIO(data + appended + _JPEG_END)) as image:
                if image.width * image.height > _TRIED_PIXELS:
                    return False
                seen.add(zlib.crc32(image.tobytes()))
    except Exception:  # noqa: BLE001  Pillow's plugins raise any error; then more is wrong than the end
        return False
    return len(seen) == 1


def _of_png(file: BinaryIO, head: bytes) -> str:
    """Compare the checksums of all chunks with pixels, up to IEND (https://www.w3.org/TR/png-3/, 5.3).

    A wrong checksum or a missing IEND is no damage if all pixels are there.
    """
    file.seek(8)
    with contextlib.suppress(_End):
        while True:
            length, kind = int.from_bytes(_read(file, 4), "big"), _read(file, 4)
            if kind == b"IEND":
                return ""
            if kind not in _PNG_PIXELS:
                file.seek(length + 4, 1)
                continue
            checksum = zlib.crc32(kind)
            while length:
                block = _read(file, min(length, BLOCK_BYTES))
                checksum = zlib.crc32(block, checksum)
                length -= len(block)
            if int.from_bytes(_read(file, 4), "big") != checksum:
                return "" if _has_all_png_pixels(file) else "a part of the file is damaged"
    if not _has_all_png_pixels(file):
        raise _End
    return ""


def _has_all_png_pixels(file: BinaryIO) -> bool:
    """Return whether every frame is complete: a zlib stream, which ends with a checksum of its own (10.1)."""
    file.seek(16)
    width, height = (int.from_bytes(file.read(4), "big") for _ in "wh")
    frame_bytes = 16 * (width + 1) * (height + 1)  # more than any depth and interlacing needs
    frames, begun, stream, left = 0, 0, zlib.decompressobj(), frame_bytes
    file.seek(8)
    while len(start := file.read(8)) == 8:  # noqa: PLR2004  a length and a kind
        end, kind = file.tell() + int.from_bytes(start[:4], "big"), start[4:]
        if kind == b"acTL":
            frames = int.from_bytes(file.read(4), "big")
        elif kind == b"fcTL":
            if left < frame_bytes and not stream.eof:
                return False
            begun, stream, left = begun + 1, zlib.decompressobj(), frame_bytes
        elif kind in _PNG_PIXELS:
            file.seek(4 if kind == b"fdAT" else 0, 1)  # its sequence number
            while block := file.read(max(0, min(_INFLATED_BYTES, end - file.tell()))):
                try:
                    left -= len(stream.decompress(block))
                except zlib.error:
                    return False
                if left < 0:
                    return False
        file.seek(end + 4)
    return stream.eof and begun == frames


def _of_gif(file: BinaryIO, head: bytes) -> str:
    """Read all blocks up to the trailer, which may be missing (GIF89a, 17 to 27)."""
    file.seek(10)
    _skip_colours(file, _read(file, 3)[0])
    while start := file.read(1):
        if start[0] == _GIF_IMAGE:
            _skip_colours(file, _read(file, 9)[8])
            _read(file, 1)
        elif start[0] == _GIF_EXTENSION:
            _read(file, 1)
        else:
            return ""
        while length := _read(file, 1)[0]:
            _read(file, length)
    return ""


def _skip_colours(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        _read(file, 3 << (flags & 7) + 1)


def _of_webp(file: BinaryIO, head: bytes) -> str:
    """Compare the stated length with the file's. The last padding byte may be missing (RFC 9649, 2.3)."""
    position, end, size = 12, 8 + int.from_bytes(head[4:8], "little"), file.seek(0, 2)
    while end == size + 1 and position < size:
        file.seek(position + 4)
        position += 8 + int.from_bytes(_read(file, 4), "little")
        if position == size and position % 2:
            return ""
        position += position % 2
    if end > size:
        raise _End
    return ""


_LOOKS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, bytes], str]], ...] = (
    (lambda head: head.startswith(JPEG_START + b"\xff"), _of_jpeg),
    (lambda head: head.startswith(PNG_SIGNATURE), _of_png),
    (lambda head: head.startswith(b"GIF8"), _of_gif),
    (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", _of_webp),
)


def without_metadata(data: bytes) -> bytes:
    """Return a JPEG without the application segments and comments before the first scan.

    JFIF's and Adobe's segments are kept: they define the colours.
    """
    kept, position = [data[:2]], 2
    while data[position : position + 1] == b"\xff" and data[position + 1 : position + 2] != b"\xda":
        kind = data[position + 1]
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if not ((0xE1 <= kind <= 0xEF and kind != 0xEE) or kind == 0xFE):  # noqa: PLR2004  ITU-T T.81, table B.1
            kept.append(data[position:end])
        position = max(end, position + 2)
    return b"".join([*kept, data[position:]])
