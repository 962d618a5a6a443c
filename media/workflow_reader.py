"""Reads the workflow of a file: JSON, or a file of another kind with one inside. Needs no other package.

ComfyUI's nodes, those of this package and VideoHelperSuite keep it in different places: text chunks of a PNG,
the EXIF of a WebP, the metadata of an MP4 by keys or as a comment, the comments of a FLAC; those of other
kinds are in workflow_places.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import MediaError, StorageError
from . import workflow_places
from .workflow_places import MAX_BYTES, Texts

_NAMES = ("workflow", "prompt")  # the page's form first: it is what the page shows for this file
_ADVICE = (
    "Choose a workflow in JSON, or an image, video or audio file that ComfyUI has saved with its workflow."
)


def read(path: Path) -> Mapping[str, Any]:
    """Return a workflow in the page's or the API's form. Raises MediaError without one, and OSError."""
    with path.open("rb") as file:
        return find(file, path.name)


def find(file: BinaryIO, name: str) -> Mapping[str, Any]:
    """Return the workflow of an open file called ``name``: see ``read``. Reads as little as possible.

    What the file's own ``read`` and ``seek`` raise is raised only if nothing was found before.
    """
    head = file.read(12)
    file.seek(0)
    for is_kind, texts in _KINDS:
        if is_kind(head):
            return _found(name, texts(file))
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b""):
        raise MediaError(f"{name} has no workflow inside. {_ADVICE}")
    text = file.read(MAX_BYTES)
    try:
        return _checked(name, json.loads(text.decode("utf-8-sig")))
    except (ValueError, RecursionError) as error:
        if isinstance(error, MediaError):
            raise
        raise MediaError(f"{name} has no workflow: it is not JSON. {_ADVICE}") from error


def is_of_page(workflow: Mapping[str, Any]) -> bool:
    """Whether a workflow is in the page's form, with places of nodes, and not in the API's."""
    return isinstance(workflow.get("nodes"), list)


def _found(name: str, texts: Texts) -> Mapping[str, Any]:
    """The first workflow of the page's form, else the last one of the API's."""
    prompt: Mapping[str, Any] | None = None
    failure: Exception | None = None
    try:
        for kind, text in texts:
            if kind not in _NAMES:
                continue
            try:
                found = _checked(name, json.loads(text))
            except (ValueError, RecursionError):
                continue
            if kind == _NAMES[0]:
                return found
            prompt = found
    except (MediaError, StorageError, OSError) as error:  # of reading; what was found before counts
        failure = error
    except (struct.error, ValueError, zlib.error, IndexError, AttributeError):
        pass  # a damaged file: the same
    if prompt is not None:
        return prompt
    if failure is not None:
        raise failure
    raise MediaError(f"{name} has no workflow inside. {_ADVICE}")


def _checked(name: str, content: Any) -> Mapping[str, Any]:  # noqa: ANN401
    """Return the nodes of what may be a workflow, or the body of a request with one."""
    if isinstance(content, dict):
        if isinstance(content.get("nodes"), list):
            return dict(content)
        if isinstance(content.get("prompt"), dict):
            content = content["prompt"]
        if content and all(isinstance(node, dict) and "class_type" in node for node in content.values()):
            return dict(content)
    raise MediaError(f"{name} has no workflow: it is other JSON. {_ADVICE}")


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
        if kind != 4:  # noqa: PLR2004
            file.seek(length, 1)
            continue
        block = file.read(length)
        yield from workflow_places.vorbis_comments(block)


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
    (lambda head: head.startswith(b"\xff\xd8\xff"), lambda file: workflow_places.jpeg(file, _exif)),
    (lambda head: head.startswith(b"\x1aE\xdf\xa3"), workflow_places.webm),
    (lambda head: head.startswith(b"OggS"), workflow_places.ogg),
    (lambda head: head.startswith(b"ID3"), workflow_places.mp3),
    (lambda head: head.startswith(b"glTF"), workflow_places.glb),
    (lambda head: head[5:10] == b'\0\0\0{"', workflow_places.safetensors),
)
