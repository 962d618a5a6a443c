"""What every command has: its options, its console, the ComfyUI it works for, and the bucket."""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..comfyui import folders
from ..comfyui.installation import Installation
from ..config.profiles_file import ENVIRONMENT
from ..errors import ConfigurationError
from ..storage.connect import connect
from . import running
from .console import Console

if TYPE_CHECKING:
    from ..profile import Profile
    from ..storage.base import Storage


@dataclass
class Context:
    """``summary`` are the fields of the last object for programs."""

    options: argparse.Namespace
    name: str
    console: Console
    installation: Installation
    summary: dict[str, object] = field(default_factory=dict)

    @functools.cached_property
    def profile(self) -> Profile:
        """Return the profile that is chosen. Raises ConfigurationError."""
        from ..profile import resolve

        return resolve(self.options.profile or ENVIRONMENT, {}, folders.profiles_file())

    @functools.cached_property
    def _storage(self) -> Storage:
        return connect(self.profile)

    def storage(self) -> Storage:
        """Return the bucket. Imports its SDK; call it in a worker thread. Raises ConfigurationError."""
        return self._storage

    @functools.cached_property
    def profile_name(self) -> str:
        return self.profile.name

    def state_folder(self) -> Path:
        """Return the folder for what earlier commands have moved."""
        return folders.system_folder() / "sync"

    def require_comfyui(self) -> None:
        """Raise ConfigurationError if it is not known where ComfyUI's folders of models are."""
        if self.installation.base is None:
            raise ConfigurationError(
                "This script is not in the custom_nodes of a ComfyUI. Give its folder with --comfyui DIR."
            )

    def exit_code(self) -> int:
        """Return the exit code by what the console has reported."""
        return running.FAILED if self.console.failed else running.DONE
