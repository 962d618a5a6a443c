"""Reads the workflow of a file: JSON, or a PNG, WebP, MP4 or FLAC with one inside. Needs no other package.

ComfyUI's nodes, those of this package and VideoHelperSuite keep it in different places: text chunks of a PNG,
the EXIF of a WebP, the metadata of an MP4 by keys or as a comment, and the comments of a FLAC.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import MediaError

MAX_BYTES = 64 << 20  # of one text; a workflow with images in it may have some MB
_NAMES = ("workflow", "prompt")  # the page's form first: it is what the page shows for this file
_ADVICE = "Choose a workflow in JSON, or a PNG, WebP, MP4 or FLAC that ComfyUI has saved with its workflow."


def read(path: Path) -> Mapping[str, Any]:
    """Return a workflow in the page's or the API's form. Raises MediaError without one, and OSError."""
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        for is_kind, texts in _KINDS:
            if is_kind(head):
                return _found(path, dict(_tolerant(texts(file))))
        text = file.read(MAX_BYTES)
    try:
        return _checked(path, json.loads(text.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        raise MediaError(f"{path.name} has no workflow: it is not JSON. {_ADVICE}") from error


def _tolerant(texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield what is read before the file turns out to be damaged."""
    try:
        yield from texts
    except (struct.error, ValueError, zlib.error, IndexError):
        return


def _found(path: Path, texts: Mapping[str, str]) -> Mapping[str, Any]:
    for name in _NAMES:
        if name in texts:
            try:
                return _checked(path, json.loads(texts[name]))
            except (ValueError, RecursionError):
                continue
    raise MediaError(f"{path.name} has no workflow inside. {_ADVICE}")


def _checked(path: Path, content: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """Return the nodes of what may be a workflow, or the body of a request with one."""
    if isinstance(content, dict):
        if isinstance(content.get("nodes"), list):
            return dict(content)
        if isinstance(content.get("prompt"), dict):
            content = content["prompt"]
        if content and all(isinstance(node, dict) and "class_type" in node for node in content.values()):
            return dict(content)
    raise MediaError(f"{path.name} has no workflow: it is other JSON. {_ADVICE}")


# ------------------------------------------------------------ the places of each kind of file


def _png(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """www.w3.org/TR/png-3/#11textinfo"""
    file.seek(8)
    while len(head := file.read(8)) == 8:  # noqa: PLR2004
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"tEXt", b"zTXt", b"iTXt") and length <= MAX_BYTES:
            name, _, rest = file.read(length).partition(b"\0")
            file.seek(4, 1)
            if kind == b"tEXt":
                yield name.decode("latin-1"), rest.decode("latin-1")
            elif kind == b"zTXt":
                yield name.decode("latin-1"), _inflated(rest[1:]).decode("latin-1")
            else:
                text = rest[2:].split(b"\0", 2)[2]
                yield name.decode("latin-1"), (_inflated(text) if rest[0] else text).decode()
        else:
            file.seek(length + 4, 1)


def _inflated(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, MAX_BYTES)


def _webp(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """developers.google.com/speed/webp/docs/riff_container"""
    file.seek(12)
    while len(head := file.read(8)) == 8:  # noqa: PLR2004
        kind, length = struct.unpack("<4sI", head)
        if kind == b"EXIF" and length <= MAX_BYTES:
            yield from _exif(file.read(length).removeprefix(b"Exif\0\0"))
            file.seek(length % 2, 1)
        else:
            file.seek(length + length % 2, 1)


def _exif(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the texts of the first directory: each is the name, a colon and the JSON."""
    order = {b"II": "<", b"MM": ">"}[data[:2]] if data[:2] in (b"II", b"MM") else "<"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for number in range(count):
        _, kind, length, offset = struct.unpack_from(f"{order}HHII", data, start + 2 + 12 * number)
        if kind == 2 and length > 4:  # noqa: PLR2004  a text that does not fit into the entry itself
            text = data[offset : offset + length].rstrip(b"\0").decode("utf-8", "replace")
            name, _, rest = text.partition(":")
            yield name.strip().lower(), rest


def _flac(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """www.rfc-editor.org/rfc/rfc9639#section-8.6"""
    file.seek(4)
    is_last = False
    while not is_last and len(head := file.read(4)) == 4:  # noqa: PLR2004
        is_last, kind, length = bool(head[0] & 0x80), head[0] & 0x7F, int.from_bytes(head[1:], "big")
        block = file.read(length)
        if kind == 4:  # noqa: PLR2004
            position = 4 + int.from_bytes(block[:4], "little")
            (count,) = struct.unpack_from("<I", block, position)
            position += 4
            for _ in range(count):
                (size,) = struct.unpack_from("<I", block, position)
                name, _, text = block[position + 4 : position + 4 + size].partition(b"=")
                position += 4 + size
                yield name.decode("latin-1").lower(), text.decode()


def _mp4(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """developer.apple.com/documentation/quicktime-file-format/metadata_atoms_and_types"""
    size = file.seek(0, 2)
    yield from _boxes(file, 0, size, [])


def _boxes(file: BinaryIO, start: int, stop: int, names: list[str]) -> Iterator[tuple[str, str]]:
    while start + 8 <= stop:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        body = start + 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            body += 8
        end = min(start + length, stop) if length else stop
        if end < body:
            return
        if kind in (b"moov", b"udta"):
            yield from _boxes(file, body, end, [])
        elif kind == b"meta":
            file.seek(body + 4)
            is_full = file.read(4) != b"hdlr"  # QuickTime's has no version before its boxes
            yield from _boxes(file, body + 4 * is_full, end, names)
        elif kind == b"keys" and end - body <= MAX_BYTES:
            file.seek(body)
            names += _keys(file.read(end - body))
        elif kind == b"ilst":
            yield from _items(file, body, end, names)
        start = end


def _keys(data: bytes) -> Iterator[str]:
    (count,) = struct.unpack_from(">I", data, 4)
    position = 8
    for _ in range(count):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 8 : position + length].decode("utf-8", "replace")
        position += length


def _items(file: BinaryIO, start: int, stop: int, names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the entries of a list; their names are numbers of ``names``, or four letters."""
    while start + 24 <= stop:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length < 24 or length > MAX_BYTES:  # noqa: PLR2004  an entry's head and that of its value
            return
        text = file.read(length - 8)[16:].decode("utf-8", "replace")
        number = int.from_bytes(kind, "big")
        if 0 < number <= len(names):
            yield from _named(names[number - 1].lower(), text)
        elif kind == b"\xa9cmt":
            yield from _named("comment", text)
        start += length


def _named(name: str, text: str) -> Iterator[tuple[str, str]]:
    if name != "comment":
        yield name, text
        return
    content = json.loads(text)  # VideoHelperSuite's: {"prompt": …, "workflow": …}, as objects or as texts
    if isinstance(content, dict):
        for key, value in content.items():
            yield key.lower(), value if isinstance(value, str) else json.dumps(value)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO], Iterator[tuple[str, str]]]], ...] = (
    (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    (lambda head: head[:4] == b"RIFF" and head[8:] == b"WEBP", _webp),
    (lambda head: head.startswith(b"fLaC"), _flac),
    (lambda head: head[4:8] == b"ftyp", _mp4),
)
