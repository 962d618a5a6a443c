"""Writes one profile into profiles.json and changes no other byte of the file.

Both doors use it: ``cloud.py setup`` and the dialog of the page. The file is replaced as a whole by one that
only this user may read, so a crash leaves the old one or the new one. Two that write at once wait for each
other. No value of a profile is in an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import AlreadyExists, ConfigurationError, disk_errors
from ..system import durable_write, locks
from ..system.meter import Meter
from . import profiles_file
from .profiles_file import DEFAULT_FIELD, ENVIRONMENT, ON_SERVER, MaskedDict
from .settings import is_locked

FIRST_NAME = "mine"
NAME_CHARACTERS = 64
# Settings that both doors ask for; the others of a profile that is replaced are kept.
ASKED = (
    *("provider", "access_key", "secret_key", "session_token", "bucket", "region", "endpoint_url"),
    *("account_id", "path_prefix", "auth"),
)
_NAME = re.compile(r"[^\W_][\w .()+-]*")
_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\r\n]*")


def check_name(name: str) -> str:
    """Return the name of a new profile, stripped. Raises ConfigurationError for one that would be a riddle in
    a drop-down or in a shell.
    """
    name = name.strip()
    if name == ENVIRONMENT:
        raise ConfigurationError("This name stands for the environment. Give another one.")
    if not name:
        raise ConfigurationError("The profile has no name. Give it one, for example mine.")
    if len(name) > NAME_CHARACTERS or not _NAME.fullmatch(name):
        raise ConfigurationError(
            "The name of the profile has characters that it cannot have, or too many. "
            f"Use up to {NAME_CHARACTERS} letters, digits, spaces and . - _ + ( )."
        )
    return name


def write(
    file: Path,
    name: str,
    values: Mapping[str, str],
    *,
    replaces: bool = False,
    is_default: bool = False,
    even_locked: bool = False,
) -> bool:
    """Add the profile ``name`` with these settings to the file, which need not exist. Any thread.

    With ``is_default`` it becomes the profile of nodes without one; else that one remains the same. Returns
    whether it is the default one now. ``even_locked`` is for whoever owns the machine. Raises AlreadyExists
    unless ``replaces``, ConfigurationError for a damaged file, a profile that is locked, or a default that
    is, and StorageError.
    """
    name = check_name(name)
    entry = MaskedDict({key: value for key, value in values.items() if value})
    with disk_errors("write profiles.json", file, "Check the folder's permissions."):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locks.locked(file.with_name(f"{file.name}.lock"), Meter(), lambda: None):
            there = profiles_file.read(file)
            default = _default(there)
            if name in there.profiles:
                _check_replaceable(there.profiles[name], name, replaces, even_locked)
                old = profiles_file.check_object(there.profiles[name], f"profile {name!r} of {ON_SERVER}")
                kept = {key: value for key, value in old.items() if key not in ASKED}
                entry = MaskedDict({**entry, **kept})
            is_taken = is_default and default not in ("", name) and not even_locked
            if is_taken and is_locked(there.profiles[default]):
                raise ConfigurationError(
                    f"The profile {default!r} is locked and the default one, so another one cannot become "
                    f"that. Leave the box empty, or change {ON_SERVER}."
                )
            chosen = name if is_default else default
            said = chosen if len(there.profiles) + (name not in there.profiles) > 1 else there.default
            _replace(file, _edited(_bytes(file), name, entry, said if said != there.default else ""))
    return is_default or default in ("", name)


def _default(there: profiles_file.ProfilesFile) -> str:
    """The profile of nodes without one, "" if that is none."""
    return there.default or (next(iter(there.profiles)) if len(there.profiles) == 1 else "")


def _check_replaceable(entry: object, name: str, replaces: bool, even_locked: bool) -> None:
    if not replaces:
        raise AlreadyExists(
            f"There is a profile {name!r} in {ON_SERVER}. Give another name, or replace that one."
        )
    if not even_locked and is_locked(entry):
        raise ConfigurationError(
            f"The profile {name!r} is locked, so it cannot be replaced from here. Change {ON_SERVER}."
        )


def _bytes(file: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return file.read_bytes()
    return b""


# ------------------------------------------------------------ the text of the file


class _Member(NamedTuple):
    """One member of a JSON object, and where its value begins and ends in the text."""

    name: str
    start: int
    end: int


def _edited(data: bytes, name: str, entry: Mapping[str, Any], default: str) -> bytes:
    """Return the file's content with the profile in it, and with another ``default`` unless that is ""."""
    head = _BOM if data.startswith(_BOM) else b""
    text = data[len(head) :].decode()
    before = MaskedDict(json.loads(text)) if text.strip() else MaskedDict()
    line = "\r\n" if "\r\n" in text else "\n"
    if not text.strip():
        text = f"{{{line}}}{line}"
    if "profiles" not in before:
        text = _with_member(text, text.index("{"), "profiles", f"{{{line}  }}", "  ", line)
    (profiles,) = [one.start for one in _members(text, text.index("{")) if one.name == "profiles"]
    written = json.dumps(entry, indent=2, ensure_ascii=False).replace("\n", f"{line}    ")
    text = _with_member(text, profiles, name, written, "    ", line)
    if default:
        text = _with_member(text, text.index("{"), DEFAULT_FIELD, json.dumps(default), "  ", line)
    after = MaskedDict(json.loads(text))
    wanted = {**before, "profiles": {**before.get("profiles", {}), name: entry}}
    if after != {**wanted, **({DEFAULT_FIELD: default} if default else {})}:
        raise ConfigurationError(f"{ON_SERVER} has a form that is not changed from here. Edit it by hand.")
    return head + text.encode()


def _with_member(text: str, start: int, name: str, value: str, indent: str, line: str) -> str:
    """Return the text with a member replaced in, or added to, the object at ``start``."""
    members = list(_members(text, start))
    for one in members:
        if one.name == name:
            return text[: one.start] + value + text[one.end :]
    added = f"{line}{indent}{json.dumps(name, ensure_ascii=False)}: {value}"
    if members:
        return f"{text[: members[-1].end]},{added}{text[members[-1].end :]}"
    end = _skip(text, start + 1)
    return f"{text[: start + 1]}{added}{line}{indent[2:]}{text[end:]}"


def _members(text: str, start: int) -> Iterator[_Member]:
    """Yield the members of the object that begins at ``start``, of a text that is valid JSON."""
    decoder = json.JSONDecoder()
    place = _skip(text, start + 1)
    while text[place] == '"':
        name, place = scanstring(text, place + 1)
        begin = _skip(text, _skip(text, place) + 1)
        _, end = decoder.raw_decode(text, begin)
        yield _Member(name, begin, end)
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _replace(file: Path, data: bytes) -> None:
    """Replace a file as a whole by one that only this user may read, from its first byte on. A link to a file
    is kept.
    """
    target = Path(os.path.realpath(file))
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(fresh, flags, 0o600), "wb", buffering=0) as opened:
            durable_write.write_all(opened, data)
            os.fsync(opened.fileno())
        fresh.replace(target)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    durable_write.flush_folder(target.parent)
