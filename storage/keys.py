"""Check object keys.

A key to write (``clean_key``) is normalized first. The key of an existing object (``existing_key``) is not
changed, because that would be the key of another object.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from ..errors import BadKey, sentence

MAX_KEY_BYTES = 1024  # docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; 1,023 on OSS
# What a key must not contain: the pattern, what the message says, and what to do.
_LONE_SURROGATE = (
    re.compile("[\ud800-\udfff]"),
    "it contains a lone surrogate, half a character",
    "Type that one again.",
)
_FAULTS = (
    (re.compile(r"\\"), "it contains a backslash", "Put / between folders."),
    (re.compile(r"(^|/)\.\.?(/|$)"), "it contains . or .. as a folder", "Write the name out."),
    (re.compile("[\x00-\x1f\x7f-\x9f]"), "it contains a control character", "Remove line breaks and tabs."),
    _LONE_SURROGATE,
    (re.compile("[\ufffe\uffff]"), "it contains a character that XML cannot carry", "Remove U+FFFE, U+FFFF."),
)
_SHOWN_CHARACTERS = 200  # of a wrong key, in a message
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/?]*/?", re.IGNORECASE)


def without_empty_folders(key: str) -> str:
    return re.sub("/{2,}", "/", key)


def trimmed_start(key: str) -> str:
    """Return ``key`` without the white space and "/" at its start."""
    return re.sub(r"^[\s/]+", "", key)


def clean_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """Return ``key`` as a key to write: in NFC, without leading or double "/".

    White space at both ends is removed, never refused; that within the key is kept, as in "a b/c .png".
    Raises BadKey for a key that is empty, ends in "/", is longer than ``max_bytes`` in UTF-8, or contains one
    of ``_FAULTS``.
    """
    key = trimmed_start(unicodedata.normalize("NFC", key.rstrip()))
    key = _checked(without_empty_folders(key), max_bytes, _FAULTS, "Shorten key_prefix or filename.")
    if key.endswith("/"):
        raise _bad(key, "it names a folder", "Give the name of a file.")
    return key


def existing_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """Return the ``key`` of an existing object, from a widget or a link, unchanged.

    Other programs create keys that are never written here: with a leading "/", a backslash, a tab, a folder
    "..". Raises BadKey for what cannot be a key: empty, longer than ``max_bytes``, or with half a surrogate
    pair.
    """
    return _checked(key, max_bytes, (_LONE_SURROGATE,), "Check the key: no object has one this long.")


def existing_prefix(prefix: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """Return a ``prefix`` to list, unchanged: "renders/2024-" finds every key that starts so, "" every key.

    Raises BadKey as ``existing_key`` does.
    """
    return existing_key(prefix, max_bytes) if prefix else prefix


def clean_prefix(prefix: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """Return a prefix of keys to write; it may be empty and need not end in "/". Raises as ``clean_key``."""
    prefix = prefix.strip("\r\n\t").lstrip("/")
    if prefix:
        _checked(f"{prefix}x", max_bytes + 1, _FAULTS, "Shorten path_prefix.")
    return prefix


def _checked(
    key: str, max_bytes: int, faults: Sequence[tuple[re.Pattern[str], str, str]], if_too_long: str
) -> str:
    for pattern, said, advice in faults:
        if pattern.search(key):
            raise _bad(key, said, advice)
    size = len(key.encode())
    if size > max_bytes:
        raise _bad(key, f"it has {size} bytes in UTF-8, and {max_bytes} are allowed here", if_too_long)
    if not key:
        raise _bad(key, "it is empty", "Give the name of a file.")
    return key


def _bad(key: str, said: str, advice: str) -> BadKey:
    return BadKey(sentence("use this object key", shown_key(key), said, advice))


def shown_key(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")


def is_address(text: str) -> bool:
    """Return whether ``text`` begins as an address does: ``s3://bucket/a``, ``https://…``."""
    return _ADDRESS.match(text.strip()) is not None


def not_found_advice(key: str, bucket: str, path_prefix: str) -> str:
    """Return what to correct in a key that was not found: it may be an address, or repeat the profile.

    A key is relative to the bucket and to the profile's path_prefix. Returns "" if neither is the case.
    """
    advice, rest = "", key
    if match := _ADDRESS.match(key):
        advice = "Give the key alone, without the address."
        rest = key[match.end() :].partition("?")[0]  # the query may be a signature
        rest = unquote(rest) if match[0].lower().startswith("http") else rest
    if rest.startswith(f"{bucket}/"):
        advice, rest = advice or "The key already starts with the bucket's name.", rest[len(bucket) + 1 :]
    if path_prefix and rest.startswith(path_prefix):
        advice = advice or "The key already starts with the profile's path_prefix, which is added to it."
        rest = rest[len(path_prefix) :]
    return f"{advice} Try the key {shown_key(rest)}." if advice and rest else advice
