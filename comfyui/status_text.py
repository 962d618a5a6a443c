"""Makes the status text of a node safe: ComfyUI's page turns it into HTML.

The text may have keys, names and messages of servers, which anybody may have chosen. On the canvas, frontend
1.27 uses the text as HTML; later ones clean it in different ways: 1.58 escapes it first, so that an entity of
ours would be shown as such. All make links of addresses, 1.49 and 1.58 also of ``[[text|address]]``, and 1.49
fails at ``__LNK0__``, its own placeholder of a link. Vue nodes render the text as Markdown, whose images are
fetched from anywhere. So every character with a meaning is replaced by one that looks alike and has none.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 2000  # a status, not a report; a server's words may be long

_ALIKE = (  # the pattern and its replacement
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
    # Control characters except the line feed, surrogates, which cannot be sent as UTF-8, and characters
    # that change the direction of writing, so that a text reads as another one.
    (
        re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"),
        "\ufffd",
    ),
)


def safe(text: str) -> str:
    """Return ``text`` so that every frontend shows it as plain text, cut to MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS - 1] + "\u2026"
    for meaning, alike in _ALIKE:
        text = meaning.sub(alike, text)
    return text


def no_preview(error: Exception) -> str:
    """A sentence for a file that was saved but has no preview."""
    said = getattr(error, "strerror", "") or str(error)
    return f"There is no preview: {said.rstrip('. ')}."
