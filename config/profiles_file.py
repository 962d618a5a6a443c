"""profiles.json: what is read of it, and what its form has to be. What a profile may say is in ``settings``.

Nothing is cached. Messages name the file without its path, since other people read them; the log has it. No
value of the file is in an error or in a ``repr``: it may be a secret.
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

ENVIRONMENT = "(env vars)"  # the name that means: the environment, or else the default profile
FILE_NAME = "profiles.json"
ON_SERVER = f"{FILE_NAME} on the server"  # what messages call the file
DEFAULT_FIELD = "default"  # of profiles.json: the profile to use where the environment names none

log = logging.getLogger("cloud_storage")


class Quiet(dict[str, Any]):
    """Settings by name, whose ``repr`` shows the names alone."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


@dataclass(frozen=True)
class ProfilesFile:
    """What profiles.json says: its profiles by name, and which one is the default, "" where none is named."""

    exists: bool = False
    profiles: Mapping[str, Any] = field(default_factory=Quiet)
    default: str = ""


def read(file: Path) -> ProfilesFile:
    try:
        content = json.loads(file.read_bytes().decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except FileNotFoundError:
        return ProfilesFile()
    except OSError as error:
        said = f"cannot be read: {error.strerror or error}. Make it a file that ComfyUI's user may read."
    except UnicodeDecodeError as error:
        said = f"is not UTF-8 at byte {error.start}. Save it as UTF-8."
    except (ValueError, RecursionError) as error:
        said = f"is not valid JSON: {error}. Fix the file and try again."
    else:
        return _checked(content)
    log.warning("%s %s", file, said)
    raise ConfigurationError(f"{ON_SERVER} {said}")  # without its cause: that holds the whole text


def _checked(content: object) -> ProfilesFile:
    """What the file says, if it has the form that it is to have."""
    if isinstance(content, dict) and _lacks_its_frame(content):
        form = '{"profiles": {"mine": {"bucket": "my-bucket"}}}'
        raise ConfigurationError(f"Nothing is called profiles in {ON_SERVER}. Write it like {form}.")
    whole = json_object(content, ON_SERVER, ("profiles", DEFAULT_FIELD))
    profiles = json_object(whole.get("profiles", {}), f"profiles in {ON_SERVER}")
    for name in (ENVIRONMENT, ""):
        if name in profiles:
            raise ConfigurationError(f"A profile in {ON_SERVER} is called {name!r}. Give it another name.")
    default = whole.get(DEFAULT_FIELD) or ""
    if not isinstance(default, str) or (default and default not in profiles):
        raise ConfigurationError(
            f"{DEFAULT_FIELD} in {ON_SERVER} names no profile. Write one of: {', '.join(profiles) or 'none'}."
        )
    return ProfilesFile(exists=True, profiles=profiles, default=default)


def _lacks_its_frame(content: dict[str, Any]) -> bool:
    """Whether a profile, or several by name, stand where {"profiles": …} is to be, misspelt or not."""
    found = {key: value for key, value in content.items() if key != DEFAULT_FIELD}
    frames = [
        key for key, value in found.items() if isinstance(value, dict) and did_you_mean(key, ["profiles"])
    ]
    return bool(found) and "profiles" not in found and not frames


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = Quiet()
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the name {key!r} is there twice in one object")
        found[key] = value
    return found


def json_object(value: object, where: str, known: Iterable[str] | None = None) -> dict[str, Any]:
    """``value``, if it is a JSON object with none but ``known`` fields; None: any."""
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


def exposed(file: Path) -> str:
    """A sentence where other users of this machine may read the file, which holds keys; "" where none may."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:  # there is none, or none to read: whoever needs it will say so
        return ""
    if os.name == "nt" or not mode & (stat.S_IRWXG | stat.S_IRWXO):  # Windows keeps such rights elsewhere
        return ""
    return f"Other users of this machine may read {ON_SERVER} (its mode is {mode:o}). Run `chmod 600` on it."
