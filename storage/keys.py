"""What an object key may be.

A key to write (``clean_key``) is put in order first. The key of an object that exists (``existing_key``) is
kept as it is, or it would name another object.
"""

from __future__ import annotations

import re
import unicodedata

from ..errors import BadKey, sentence

MAX_KEY_BYTES = 1024  # docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html; 1,023 on OSS
_HALF_A_CHARACTER = (
    re.compile("[\ud800-\udfff]"),
    "it holds a lone surrogate, half a character",
    "Type that one again.",
)
# What no key that is written may hold, what is said of it, and what to do.
_FAULTS = (
    (re.compile(r"\\"), "it holds a backslash", "Put / between folders."),
    (re.compile(r"(^|/)\.\.?(/|$)"), "it has . or .. as a folder in it", "Write the name out."),
    (re.compile("[\x00-\x1f\x7f-\x9f]"), "it holds a control character", "Remove line breaks and tabs."),
    _HALF_A_CHARACTER,
    (re.compile("[\ufffe\uffff]"), "it holds a character that XML cannot carry", "Remove U+FFFE, U+FFFF."),
)
_SHOWN_CHARACTERS = 200  # of a bad key, in a message


def without_empty_folders(key: str) -> str:
    return re.sub("/{2,}", "/", key)


def without_leading_slashes(key: str) -> str:
    """``key`` from its first character on that is neither white space nor "/"."""
    return re.sub(r"^[\s/]+", "", key)


def clean_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """``key`` in order, to write an object under: NFC, no "/" in front, none doubled, no space around it.

    Raises ConfigurationError for a key that is empty, ends in "/", is longer than ``max_bytes`` in UTF-8, or
    holds a backslash, control characters, half a surrogate pair, or "." or ".." as a folder.
    """
    return _checked(
        without_empty_folders(without_leading_slashes(unicodedata.normalize("NFC", key.rstrip()))), max_bytes
    )


def existing_key(key: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """``key`` of an object that is there already, from a widget or a wire: exactly as it is.

    Other programs give objects names that are never written here: with a "/" in front, a backslash, a tab, a
    folder called "..". Whatever is changed about such a name makes it that of another object. Raises BadKey
    for what can be no object's name: nothing, more than ``max_bytes``, half a surrogate pair.
    """
    fault = _half_a_character(key) or _too_long(key, max_bytes, "Check the key: no object has one this long.")
    if not key:
        fault = ("it is empty", "Give the name of a file.")
    if fault:
        raise _bad(key, fault)
    return key


def existing_prefix(prefix: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """What to list by, exactly as it is: "renders/2024-" finds every key that begins so, "" finds all.

    Raises BadKey as ``existing_key`` does.
    """
    return existing_key(prefix, max_bytes) if prefix else prefix


def clean_prefix(prefix: str, max_bytes: int = MAX_KEY_BYTES) -> str:
    """What stands in front of keys that are written: may be empty and end anywhere. Raises as ``clean_key``
    does.
    """
    prefix = prefix.strip("\r\n\t").lstrip("/")
    if prefix:
        _checked(f"{prefix}x", max_bytes + 1, "Shorten path_prefix.")
    return prefix


def _half_a_character(key: str) -> tuple[str, str] | None:
    pattern, said, advice = _HALF_A_CHARACTER
    return (said, advice) if pattern.search(key) else None


def _too_long(key: str, max_bytes: int, advice: str) -> tuple[str, str] | None:
    size = len(key.encode(errors="surrogatepass"))
    said = f"it has {size} bytes in UTF-8, and {max_bytes} are allowed here"
    return (said, advice) if size > max_bytes else None


def _bad(key: str, fault: tuple[str, str]) -> BadKey:
    return BadKey(sentence("use this object key", shown_key(key), *fault))


def _checked(key: str, max_bytes: int, shorter: str = "Shorten key_prefix or filename.") -> str:
    fault = next(((said, advice) for pattern, said, advice in _FAULTS if pattern.search(key)), None)
    fault = fault or _too_long(key, max_bytes, shorter)
    if fault is None and (not key or key.endswith("/")):
        fault = ("it names a folder" if key else "it is empty", "Give the name of a file.")
    if fault is not None:
        raise _bad(key, fault)
    return key


def shown_key(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
