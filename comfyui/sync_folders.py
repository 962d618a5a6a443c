"""Which folders a node may sync, below ComfyUI's input, output and models folders, and which files there.

A workflow may come from a stranger: it must neither read what is hidden nor put programs where they may run.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..config.profiles_file import FILE_NAME
from ..errors import ConfigurationError, sentence
from . import folders, local_names
from .folders import EARLIER_OUTBOX_FOLDER

ROOTS = ("input", "output", "models")
MODELS = "models"
_ADVICE = "Write a folder below input, output or models, for example models/diffusers/sdxl."
# What a system or a node package may run. Weights that can run code are downloaded with a warning, as models.
_PROGRAMS = frozenset(
    (
        *(".py", ".pyc", ".pyd", ".pyw", ".pyz", ".so", ".dll", ".dylib", ".exe", ".com", ".scr", ".msi"),
        *(".bat", ".cmd", ".ps1", ".psm1", ".vbs", ".vbe", ".js", ".mjs", ".jse", ".wsf", ".wsh", ".hta"),
        *(".sh", ".bash", ".zsh", ".command", ".lnk", ".url", ".desktop", ".jar", ".app", ".reg", ".node"),
    )
)


@dataclass(frozen=True)
class SyncFolder:
    """A folder that may be synced: ``root`` is one of ROOTS, ``segments`` are the folders below it."""

    root: str
    segments: tuple[str, ...]
    path: Path

    @functools.cached_property
    def _real(self) -> Path:
        return self.path.resolve()

    @property
    def name(self) -> str:
        """The folder as loaders list it: below the folder of its type, with the system's separator."""
        below = self.segments[1:] if self.root == MODELS else self.segments
        return str(Path(*below)) if below else ""

    def refuses(self, name: str) -> str:
        """Return why the file ``name`` below this folder may not be written; "" if it may."""
        segments = (*self.segments, *name.split("/"))
        if local_names.is_hidden(segments):
            return "it is a hidden file or folder"
        if self.root == "output" and segments[0].casefold() == EARLIER_OUTBOX_FOLDER:
            return "that folder belongs to something else"
        if self.root == MODELS and PurePosixPath(name).suffix.lower() in _PROGRAMS:
            return "it is a program"
        return ""

    def shows(self, path: Path) -> bool:
        """Whether a file of this folder may be uploaded: neither it nor what it links to is hidden."""
        try:
            parts = path.resolve().relative_to(self._real).parts
        except (OSError, ValueError, RuntimeError):  # it leads out of the folder, or nowhere
            return False
        named = (*self.segments, *path.relative_to(self.path).parts)
        is_outbox = self.root == "output" and EARLIER_OUTBOX_FOLDER in (named[0].casefold(), *parts)
        return not (local_names.is_hidden((*named, *parts)) or is_outbox or path.name == FILE_NAME)


def chosen(text: str) -> SyncFolder:
    """The folder that a text names: "output/dataset". It may not exist. Raises ConfigurationError."""
    root, *segments = [part for part in text.strip().replace("\\", "/").split("/") if part] or [""]
    shown = text.strip()[:300]
    if root not in ROOTS or text.strip().startswith(("/", "\\")):
        said, advice = "it is not below ComfyUI's input, output or models folder", _ADVICE
    elif local_names.is_outside(segments):
        said, advice = "it is outside of that folder", "Remove .. and . from folder."
    elif local_names.is_hidden(segments):
        said, advice = "it is a hidden file or folder", _ADVICE
    elif local_names.is_invalid(segments):
        said, advice = "some systems allow no file of that name", "Choose another folder."
    else:
        base = folders.file_folders()[root]
        path = base.joinpath(*segments)
        if _is_within(root, base, path):
            return SyncFolder(root, tuple(segments), path)
        said, advice = "a link leads out of that folder", _ADVICE
    raise ConfigurationError(sentence("sync this folder", shown, said, advice))


def _is_within(root: str, base: Path, path: Path) -> bool:
    """Whether a path is below a folder of ComfyUI, links resolved: models may be on another disk."""
    allowed = [base]
    if root == MODELS:
        allowed += [
            folder
            for model_type, entry in folders.model_folders().items()
            if model_type != "custom_nodes"
            for folder in entry.folders
        ]
    try:
        real = path.resolve()
        return any(real.is_relative_to(folder.resolve()) for folder in allowed)
    except (OSError, ValueError, RuntimeError):  # a loop of links
        return False
