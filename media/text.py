"""Text as the bytes of a file, in UTF-8, with or without a byte order mark."""

from __future__ import annotations

import codecs
import mimetypes
import re

from ..errors import ConfigurationError, MediaError, sentence
from .damage import FAIL, LOAD

MAX_BYTES = 16_000_000  # ComfyUI keeps texts in memory, and sends them to the page when a node fails
REPLACEMENT = "\ufffd"  # in place of each byte that belongs to no character

_EXTENSION = re.compile(r"(\w[\w+-]*(\.\w[\w+-]*)*)?", re.ASCII)
_MOST_CHARACTERS = 32  # of an extension

# Extensions of which the system's own table knows nothing, or something else on each system.
_MEDIA_TYPES = {
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "xml": "application/xml",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
}


def clean_extension(text: str) -> str:
    """A typed extension without the dot at its start; "" for a file without one. Raises
    ConfigurationError.
    """
    extension = text.strip().removeprefix(".")
    if len(extension) > _MOST_CHARACTERS or not _EXTENSION.fullmatch(extension):
        said = "it has other characters than letters, digits, and a dot between them, or too many"
        raise ConfigurationError(
            sentence("use this extension", repr(text[:100]), said, "Type for example txt, json or csv.")
        )
    return extension


def media_type(extension: str) -> str:
    """The Content-Type of a text file; browsers would guess the encoding of one that says none."""
    last = extension.rpartition(".")[2].lower()
    found = _MEDIA_TYPES.get(last) or mimetypes.guess_type(f"a.{last}")[0] or "text/plain"
    return f"{found};charset=utf-8" if found.startswith("text/") else found


def encode(text: str, byte_order_mark: bool = False) -> bytes:
    """The text as UTF-8. Raises MediaError for half a character, and for more than MAX_BYTES."""
    try:
        data = (codecs.BOM_UTF8 if byte_order_mark else b"") + text.encode()
    except UnicodeEncodeError as error:
        said = f"character {error.start + 1} is half of one: a lone surrogate"
        raise MediaError(
            sentence("save the text", "its input", said, "Check the node that makes it.")
        ) from error
    if len(data) > MAX_BYTES:
        said = f"it has {len(data):,} bytes, and a text may have {MAX_BYTES:,}"
        raise MediaError(sentence("save the text", "its input", said, "Save it in parts."))
    return data


def decode(data: bytes, name: str, on_damage: str = LOAD) -> tuple[str, tuple[str, ...]]:
    """The text of a file without its byte order mark, and a sentence if some of its bytes are no UTF-8.

    Those are replaced by REPLACEMENT, or MediaError is raised if ``on_damage`` is FAIL. It is raised for a
    file that is no text in any case. ``name`` is the file's, for messages.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(), ()
    except UnicodeDecodeError as error:
        first = error.start
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        said, advice = "it is UTF-16", "Save it as UTF-8 and upload it again."
        raise MediaError(sentence("load the text", name, said, advice))
    if b"\0" in data:
        said, advice = "it is no text: it has zero bytes", "Choose the key of a text file."
        raise MediaError(sentence("load the text", name, said, advice))
    if on_damage == FAIL:
        said = f"byte {first:,} is not UTF-8"
        advice = f"Save it as UTF-8 and upload it again, or set on_damage to `{LOAD}`."
        raise MediaError(sentence("load the text", name, said, advice))
    text = data.decode(errors="replace")
    return text, (
        f"{name}: some bytes are not UTF-8, the first one is byte {first:,}: {REPLACEMENT} is there.",
    )
