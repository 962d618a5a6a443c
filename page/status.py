"""What the settings panel of the page shows of the server, and no secret: version, profile, mirror, cache."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comfyui import folders
from ..config.profiles_file import ENVIRONMENT
from ..errors import ConfigurationError
from ..loading import object_cache
from ..mirror import members
from ..profile import resolve
from . import thumbnails

_PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def status(query: Mapping[str, str]) -> dict[str, Any]:
    """``version`` and ``address`` of the package; of the profile that the environment means its ``name``, its
    ``models`` mode, and ``error``: why it cannot be used. Each may be "".

    ``mirror`` has the name and the folders of each profile that mirrors, ``mirror_errors`` why others do not.
    ``cached`` is how many bytes the copies of loaded objects and the thumbnails have, ``cached_max`` how many
    they may have.
    """
    file = folders.profiles_file()
    mirror = members.read(file)
    found = {
        **_package(),
        **_cached(),
        "name": "",
        "models": "",
        "error": "",
        "mirror": [{"name": name, "folders": one.mirror.folders} for name, one in mirror.profiles.items()],
        "mirror_errors": mirror.errors,
    }
    try:
        profile = resolve(ENVIRONMENT, {}, file)
    except ConfigurationError as error:
        return {**found, "error": str(error)}
    return {**found, "name": profile.name, "models": profile.models.mode}


def clear_cache(_said: Mapping[str, Any]) -> dict[str, Any]:
    """Delete the copies of loaded objects and the thumbnails; returns what is left, as ``status`` does.

    Nothing is lost but time: the next run downloads again. Raises StorageError.
    """
    object_cache.clear(folders.temp_folder())
    thumbnails.forget()
    return _cached()


def _cached() -> dict[str, Any]:
    return {
        "cached": object_cache.used(folders.temp_folder()) + thumbnails.kept_bytes(),
        "cached_max": object_cache.MAX_BYTES + thumbnails.KEPT_MAX_BYTES,
    }


@functools.cache
def _package() -> dict[str, str]:
    try:
        text = _PYPROJECT.read_text(encoding="utf-8")
    except OSError:  # an installation without it
        text = ""
    pairs = [line.partition("=") for line in reversed(text.splitlines())]  # of a name twice, the first one
    found = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    address = found.get("Repository", "")
    return {"version": found.get("version", ""), "address": address if address.startswith("https:") else ""}
