"""Where JPEG, WebM, Matroska, Ogg, MP3, GLB and safetensors files keep their workflow.

Each function yields names and texts of one kind of file, and reads only what it needs: the file may be an
object of a bucket. Damaged files raise struct.error, ValueError or IndexError.
"""

from __future__ import annotations

import codecs
import json
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

MAX_BYTES = 64 << 20  # of one text; a workflow with images in it may have some MB
Texts = Iterator[tuple[str, str]]

_LACED = 255  # a segment of an Ogg page of this size continues in the next one
_UNKNOWN_SIZE = -1


def vorbis_comments(block: bytes) -> Texts:
    """www.rfc-editor.org/rfc/rfc9639#section-8.6"""
    position = 4 + int.from_bytes(block[:4], "little")
    (count,) = struct.unpack_from("<I", block, position)
    position += 4
    for _ in range(count):
        (size,) = struct.unpack_from("<I", block, position)
        name, _, text = block[position + 4 : position + 4 + size].partition(b"=")
        position += 4 + size
        yield name.decode("latin-1").lower(), text.decode()


def ogg(file: BinaryIO) -> Texts:
    """The second packet of Opus and Vorbis: www.rfc-editor.org/rfc/rfc3533#section-6, rfc7845#section-5.2"""
    packets: list[bytes] = [b""]
    while len(packets) < 3 and (head := file.read(27))[:4] == b"OggS":  # noqa: PLR2004
        for size in file.read(head[26]):
            packets[-1] += file.read(size)
            if len(packets[-1]) > MAX_BYTES:
                return
            if size < _LACED:
                packets.append(b"")
    for start in (b"OpusTags", b"\x03vorbis"):
        if len(packets) > 1 and packets[1].startswith(start):
            yield from vorbis_comments(packets[1][len(start) :])


def mp3(file: BinaryIO) -> Texts:
    """id3.org/id3v2.4.0-structure; frames of the user's own texts."""
    head = file.read(10)
    left = _synchsafe(head[6:10])
    while left > 10 and (frame := file.read(10))[:1] not in (b"", b"\0"):  # noqa: PLR2004
        size = _synchsafe(frame[4:8]) if head[3] >= 4 else int.from_bytes(frame[4:8], "big")  # noqa: PLR2004
        left -= 10 + size
        if frame[:4] != b"TXXX" or size > MAX_BYTES:
            file.seek(size, 1)
            continue
        body = file.read(size)
        encoding = ("latin-1", "utf-16", "utf-16-be", "utf-8")[body[0]]
        name, _, text = body[1:].decode(encoding).partition("\0")
        yield name.lower(), text.lstrip("\ufeff").rstrip("\0")


def _synchsafe(data: bytes) -> int:
    return sum(byte << 7 * place for place, byte in enumerate(reversed(data)))


def jpeg(file: BinaryIO, exif: Callable[[bytes], Texts]) -> Texts:
    """www.w3.org/Graphics/JPEG/itu-t81.pdf, B.1.1.3: the segments before the image itself."""
    file.seek(2)
    while len(head := file.read(4)) == 4 and head[0] == 0xFF and head[1] != 0xDA:  # noqa: PLR2004
        size = int.from_bytes(head[2:], "big") - 2
        if head[1] == 0xE1:  # noqa: PLR2004
            data = file.read(size)
            if data.startswith(b"Exif\0\0"):
                yield from exif(data[6:])
        else:
            file.seek(size, 1)


def safetensors(file: BinaryIO) -> Texts:
    """github.com/huggingface/safetensors#format; the metadata is the first entry of the header."""
    (length,) = struct.unpack("<Q", file.read(8))
    begin = b'{"__metadata__":'
    if file.read(len(begin)) != begin or length > MAX_BYTES:
        return
    text, decoder = "", codecs.getincrementaldecoder("utf-8")()  # a part may end within a character
    left = length - len(begin)
    step = 16 << 10
    while left > 0:
        data = file.read(min(step, left))
        if not data:
            return
        left -= len(data)
        step *= 2
        text += decoder.decode(data)
        try:
            found, _ = json.JSONDecoder().raw_decode(text.lstrip())
        except ValueError:
            continue
        for name, value in found.items():
            yield name.lower(), str(value)
        return


def glb(file: BinaryIO) -> Texts:
    """registry.khronos.org/glTF/specs/2.0, the extras of the asset: core, comfy_extras/nodes_hunyuan3d.py"""
    file.seek(12)
    length, kind = struct.unpack("<I4s", file.read(8))
    if kind != b"JSON" or length > MAX_BYTES:
        return
    extras = json.loads(file.read(length)).get("asset", {}).get("extras", {})
    for name, value in extras.items():
        yield name.lower(), value if isinstance(value, str) else json.dumps(value)


# ------------------------------------------------------------ Matroska: www.rfc-editor.org/rfc/rfc9559

_SEGMENT, _CLUSTER, _SEEK_HEAD, _SEEK = 0x18538067, 0x1F43B675, 0x114D9B74, 0x4DBB
_SEEK_ID, _SEEK_POSITION = 0x53AB, 0x53AC
_TAGS, _TAG, _SIMPLE_TAG, _TAG_NAME, _TAG_STRING = 0x1254C367, 0x7373, 0x67C8, 0x45A3, 0x4487


def webm(file: BinaryIO) -> Texts:
    """Tags of the segment, wherever they are: a table at its begin has their place."""
    for kind, start, size in _elements(file, 0, file.seek(0, 2)):
        if kind == _SEGMENT:
            end = file.seek(0, 2) if size == _UNKNOWN_SIZE else start + size
            yield from _segment(file, start, end)
            return


def _segment(file: BinaryIO, begin: int, end: int) -> Texts:
    places: list[int] = []
    for kind, start, size in _elements(file, begin, end):
        if kind == _SEEK_HEAD:
            places = [begin + place for place in _places(_body(file, start, size))]
        elif kind == _TAGS:
            yield from _tags(_body(file, start, size))
            places = []
        elif kind == _CLUSTER and (places or size == _UNKNOWN_SIZE):
            break
    for place in places:
        for kind, start, size in _elements(file, place, end):
            if kind == _TAGS:
                yield from _tags(_body(file, start, size))
            break


def _body(file: BinaryIO, start: int, size: int) -> bytes:
    if not 0 <= size <= MAX_BYTES:
        raise ValueError
    file.seek(start)
    return file.read(size)


def _elements(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the kind, the begin of the content, and the size of each element."""
    while start < end:
        file.seek(start)
        kind, size, length = _head(file.read(12))
        yield kind, start + length, size
        if size == _UNKNOWN_SIZE:
            return
        start += length + size


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        kind, size, length = _head(data[position : position + 12])
        position += length
        yield kind, data[position : position + size]
        position += size


def _head(data: bytes) -> tuple[int, int, int]:
    """The kind of an element, the size of its content, and the length of this head."""
    first = 9 - data[0].bit_length()
    second = 9 - data[first].bit_length()
    if first > 4 or second > 8:  # noqa: PLR2004
        raise ValueError
    bits = (1 << 7 * second) - 1
    size = int.from_bytes(data[first : first + second], "big") & bits
    return int.from_bytes(data[:first], "big"), _UNKNOWN_SIZE if size == bits else size, first + second


def _places(table: bytes) -> Iterator[int]:
    for kind, entry in _children(table):
        if kind == _SEEK:
            found = dict(_children(entry))
            if int.from_bytes(found.get(_SEEK_ID, b""), "big") == _TAGS:
                yield int.from_bytes(found.get(_SEEK_POSITION, b""), "big")


def _tags(data: bytes) -> Texts:
    for kind, tag in _children(data):
        for part, entry in _children(tag) if kind == _TAG else ():
            if part == _SIMPLE_TAG:
                found = dict(_children(entry))
                name = found.get(_TAG_NAME, b"").decode("utf-8", "replace")
                yield name.lower(), found.get(_TAG_STRING, b"").rstrip(b"\0").decode("utf-8", "replace")
