"""What the settings panel of the page shows of the server: the package's version, and no secret."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comfyui import folders
from ..config.profiles_file import ENVIRONMENT
from ..errors import ConfigurationError
from ..profile import resolve

_PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def status(query: Mapping[str, str]) -> dict[str, Any]:
    """``version`` and ``address`` of the package; of the profile that the environment means its ``name``, its
    ``models`` mode, and ``error``: why it cannot be used. Each may be "".
    """
    found = {**_package(), "name": "", "models": "", "error": ""}
    try:
        profile = resolve(ENVIRONMENT, {}, folders.profiles_file())
    except ConfigurationError as error:
        return {**found, "error": str(error)}
    return {**found, "name": profile.name, "models": profile.models.mode}


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
