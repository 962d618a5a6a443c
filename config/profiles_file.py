"""Reads profiles.json and checks its form. What a profile may contain is checked by ``settings``.

Nothing is cached. Messages name the file without its path, because other people read them; the log has the
path. No value of the file is in an error or in a ``repr``: it may be a secret.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, did_you_mean

ENVIRONMENT = "(env vars)"  # this name stands for the environment, or else for the default profile
FILE_NAME = "profiles.json"
ON_SERVER = f"{FILE_NAME} on the server"  # what messages call the file
DEFAULT_FIELD = "default"  # of profiles.json: the profile to use if the environment names no bucket

log = logging.getLogger("cloud_storage")


class MaskedDict(dict[str, Any]):
    """Settings by name; its ``repr`` shows only the names."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@dataclass(frozen=True)
class ProfilesFile:
    """The profiles of profiles.json by name, and the name of the default one, "" if it names none."""

    exists: bool = False
    profiles: Mapping[str, Any] = field(default_factory=MaskedDict)
    default: str = ""


def read(file: Path) -> ProfilesFile:
    """Read profiles.json; a missing file has no profiles. Raises ConfigurationError."""
    try:
        content = json.loads(file.read_bytes().decode("utf-8-sig"), object_pairs_hook=_refuse_duplicates)
    except FileNotFoundError:
        return ProfilesFile()
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}. Make it a file that ComfyUI's user may read."
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at byte {error.start}. Save it as UTF-8."
    except (ValueError, RecursionError) as error:
        problem = f"is not valid JSON: {error}. Fix the file and try again."
    else:
        return _check_form(content)
    log.warning("%s %s", file, problem)
    raise ConfigurationError(f"{ON_SERVER} {problem}")  # not "from": the cause contains the whole text


def _check_form(content: object) -> ProfilesFile:
    """The content as ProfilesFile. Raises ConfigurationError if its form is wrong."""
    if isinstance(content, dict) and _has_no_profiles(content):
        form = '{"profiles": {"mine": {"bucket": "my-bucket"}}}'
        raise ConfigurationError(f'{ON_SERVER} has no "profiles". Write it like {form}.')
    whole = check_object(content, ON_SERVER, ("profiles", DEFAULT_FIELD))
    profiles = check_object(whole.get("profiles", {}), f"profiles in {ON_SERVER}")
    for name in (ENVIRONMENT, ""):
        if name in profiles:
            raise ConfigurationError(f"A profile in {ON_SERVER} is called {name!r}. Give it another name.")
    default = whole.get(DEFAULT_FIELD) or ""
    if not isinstance(default, str) or (default and default not in profiles):
        raise ConfigurationError(
            f"{DEFAULT_FIELD} in {ON_SERVER} is not the name of a profile. "
            f"Write one of: {', '.join(profiles) or 'none'}."
        )
    return ProfilesFile(exists=True, profiles=profiles, default=default)


def _has_no_profiles(content: dict[str, Any]) -> bool:
    """Whether profiles are written without {"profiles": …} around them. Its misspelling is another error."""
    found = {key: value for key, value in content.items() if key != DEFAULT_FIELD}
    frames = [
        key for key, value in found.items() if isinstance(value, dict) and did_you_mean(key, ["profiles"])
    ]
    return bool(found) and "profiles" not in found and not frames


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = MaskedDict()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the name {key!r} occurs twice in one object")
        found[key] = value
    return found


def check_object(value: object, where: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    """``value`` if it is a JSON object with only ``known`` fields, else ConfigurationError."""
    if not isinstance(value, dict):
        raise ConfigurationError(
            f'Not a JSON object: {where}. Write it in braces, as in {{"name": "value"}}.'
        )
    known = list(value if known is None else known)
    for key in value:
        if key not in known:
            hint = did_you_mean(key, known)
            raise ConfigurationError(
                f"Unknown field {key!r} in {where}.{hint} Known fields: {', '.join(known)}."
            )
    return value


def permission_warning(file: Path) -> str:
    """A sentence if other users of this machine may read the file, which contains keys; else ""."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:  # missing or unreadable: who reads it reports that
        return ""
    if os.name == "nt" or not mode & (stat.S_IRWXG | stat.S_IRWXO):  # Windows has no such mode
        return ""
    return f"Other users of this machine may read {ON_SERVER} (its mode is {mode:o}). Run `chmod 600` on it."
