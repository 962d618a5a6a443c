"""Which profiles mirror folders: that of the environment, and each named one that has the setting itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..comfyui import folders
from ..config import profiles_file, settings
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS
from ..errors import ConfigurationError
from ..profile import Profile, resolve

WORKFLOWS = "workflows"
_WORKFLOWS_PATH = ("default", WORKFLOWS)  # below ComfyUI's user folder


@dataclass(frozen=True)
class Members:
    """The profiles that mirror, by name, and what is wrong with others. ``is_on``: some setting asks."""

    profiles: Mapping[str, Profile]
    errors: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        return bool(self.profiles or self.errors)


def read(file: Path, environ: Mapping[str, str] | None = None) -> Members:
    """Read the members from the environment and profiles.json. Never raises; sends nothing.

    A named profile that has the setting from the environment is no member: the environment means one bucket.
    Two profiles of the same bucket and folder are one member.
    """
    found: dict[str, Profile] = {}
    errors: list[str] = []
    places: set[str] = set()
    for name in settings.profile_names(file):
        try:
            profile = resolve(name, {}, file, environ)
        except ConfigurationError as error:
            if _asks(name, file, environ):
                errors.append(str(error))
            continue
        is_own = name == ENVIRONMENT or profile.sources["mirror"] != "the environment"
        if profile.mirror.folders and is_own and place(profile) not in places:
            places.add(place(profile))
            found[profile.name] = profile
    return Members(found, tuple(errors))


def _asks(name: str, file: Path, environ: Mapping[str, str] | None) -> bool:
    """Return if a profile that cannot be used has the setting."""
    if name == ENVIRONMENT:
        return bool((os.environ if environ is None else environ).get(SETTINGS["mirror"].variable, "").strip())
    try:
        entry = profiles_file.read(file).profiles[name]
    except (ConfigurationError, KeyError):
        return False
    return isinstance(entry, dict) and bool(entry.get("mirror"))


def place(profile: Profile) -> str:
    """Return an identifier of where the keys of a profile go, without a secret."""
    return "\n".join((profile.endpoint_url, profile.bucket, profile.path_prefix, profile.mirror.prefix))


def folder(name: str) -> Path:
    """Return the folder of this machine that is called output, input or workflows in the settings."""
    if name == WORKFLOWS:
        return folders.system_folder().parent.joinpath(*_WORKFLOWS_PATH)
    return folders.file_folders()[name]
