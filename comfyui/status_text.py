"""What may stand in a node's status text, which ComfyUI's page makes HTML of.

Keys, names and servers' words get in there, and anybody may have chosen them. On the canvas 1.27 sets
the text as HTML as it is; later ones clean it, each in its way: 1.58 escapes it before, so that an entity of
ours would be read as such. All make links of addresses, 1.49 and 1.58 also of ``[[text|address]]``, and 1.49
fails at ``__LNK0__``, its own mark of a link. Vue nodes read the text as Markdown, whose pictures are fetched
from anywhere. So what means something to one of them is replaced by a character that looks alike and means
nothing.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 2000  # a status, not a report; a server's words may be long

_ALIKE = (  # what is looked for, what stands there instead
    (re.compile("<"), "\uff1c"),
    (re.compile(">"), "\uff1e"),
    (re.compile("&"), "\uff06"),
    (re.compile(r"\["), "\uff3b"),
    (re.compile("]"), "\uff3d"),
    (re.compile(r"\*"), "\u2217"),
    (re.compile("`"), "\u02cb"),
    (re.compile("@"), "\uff20"),
    (re.compile("__LNK"), "\uff3f\uff3fLNK"),
    (re.compile("://"), "\uff1a//"),
    (re.compile(r"(?i)(www)\."), r"\1" "\uff0e"),
    # Control characters but the line's end, halves of characters, which no message can hold (UTF-8), and what
    # turns the direction of writing, so that a text reads as another one.
    (
        re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"),
        "\ufffd",
    ),
)


def safe(text: str) -> str:
    """``text`` as any frontend shows it: as text and nothing else, and no longer than MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS - 1] + "\u2026"
    for meaning, alike in _ALIKE:
        text = meaning.sub(alike, text)
    return text


def no_preview(error: Exception) -> str:
    """The sentence that says why a file was saved without a picture of it."""
    said = getattr(error, "strerror", "") or str(error)
    return f"There is no preview: {said.rstrip('. ')}."
