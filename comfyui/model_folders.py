"""Maps the key of a model to its local file, and back, by the rules of ComfyUI's model folders.

A bucket mirrors ComfyUI's models folder: ``models/loras/style/a.safetensors`` is ``style/a.safetensors`` of
the type ``loras``. A path outside of the folder, or a file that ComfyUI would not list there, is refused.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError, NotFound, sentence
from ..system.file_fingerprint import fingerprint_text
from . import folders as comfyui_folders
from . import local_names
from .folders import ModelFolders

FIRST = "checkpoints"
_NO_MODELS = ("custom_nodes", "datasets")  # folders of code, and of training images
_FOLDERS_ONLY = frozenset({"folder"})  # how ComfyUI marks types whose models are folders: diffusers

# Written by Python's pickle, which can run code when it is read
PICKLED = (".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
# Allowed extensions where ComfyUI lists every file of a type, as for most types of node packages: without
# this, a script could be put there, and run.
_WEIGHTS = frozenset({".safetensors", ".sft", ".gguf", ".onnx", *PICKLED})

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class LocalFile:
    """A model file: ``name`` as ComfyUI's loaders list it, and its path, which may not exist yet.

    ``read_only`` is the folder that comes first and where nothing can be written; None if it is ``path``'s.
    """

    name: str
    path: Path
    read_only: Path | None = None


def taken_instead(file: LocalFile) -> str:
    """A sentence if the file is not in the folder that comes first, because that is read-only; else ""."""
    return f"{file.read_only} is read-only, so the file is in {file.path.parent}." if file.read_only else ""


def types() -> list[str]:
    """The types whose models are files, also those of node packages; checkpoints first."""
    return sorted(_types(), key=lambda name: name != FIRST)


def _types() -> Mapping[str, ModelFolders]:
    return {
        name: entry
        for name, entry in comfyui_folders.model_folders().items()
        if name not in _NO_MODELS and entry.folders and entry.extensions != _FOLDERS_ONLY
    }


def file_of(model_type: str, key: str, subfolder: str = "") -> LocalFile:
    """The local file of the object ``key``: in the folder that has a file of that name, else in the first
    one that can be written to.

    Its subfolders are those after the type's name in the key (or after the name of one of the type's folders,
    such as ``unet`` for diffusion_models), or ``subfolder`` if given. Raises ConfigurationError.
    """
    entry = _entry(model_type)
    folders, _, file = _after_type(key, {model_type, *(folder.name for folder in entry.folders)}).rpartition(
        "/"
    )
    if not file:
        said, advice = "it names a folder", "Give the name of a file."
        raise ConfigurationError(sentence("take this as a model", repr(key), said, advice))
    if subfolder.strip():
        folders = subfolder.strip().replace("\\", "/")
    segments = [segment for segment in [*folders.split("/"), file] if segment]
    _refuse_bad(model_type, key, segments, entry)
    return _placed(entry, str(Path(*segments)))


def file_named(model_type: str, name: str) -> LocalFile:
    """The local file that loaders list as ``name``, with either separator; see ``file_of``. Raises
    ConfigurationError.
    """
    entry = _entry(model_type)
    segments = name.replace("\\", "/").split("/")
    _refuse_bad(model_type, name, segments, entry)
    return _placed(entry, str(Path(*segments)))


def _placed(entry: ModelFolders, name: str) -> LocalFile:
    holding = next((folder for folder in entry.folders if _is_file(folder / name)), None)
    if holding is not None:
        return LocalFile(name, holding / name)
    first = entry.folders[0]
    writable = next((folder for folder in entry.folders if _is_writable(folder)), first)
    return LocalFile(name, writable / name, None if writable == first else first)


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself, if it does not exist yet."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    except (OSError, StopIteration):  # a drive that is not there
        return False


class Types:
    """The types of models as they are registered now, for many questions: which of them lists a file."""

    def __init__(self) -> None:
        self._entries = _types()
        self._of_folder: dict[str, list[str]] = {}
        for name, entry in self._entries.items():
            for folder in {path.name for path in entry.folders} - {name}:
                self._of_folder.setdefault(folder, []).append(name)

    def listing(self, folder: str, name: str) -> list[str]:
        """The types that would list the file ``name``, with "/" as its separator, in a folder called
        ``folder``: the type of that name first, then those that have a folder of that name.
        """
        named = [folder] if folder in self._entries else []
        return [each for each in (*named, *self._of_folder.get(folder, ())) if self._lists(each, name)]

    def _lists(self, model_type: str, name: str) -> bool:
        try:
            _refuse_bad(model_type, name, name.split("/"), self._entries[model_type])
        except (ConfigurationError, IndexError):
            return False
        return True


def _is_file(path: Path) -> bool:
    """Whether the file exists; False if the path is too long or may not be read."""
    try:
        return path.is_file()
    except OSError:
        return False


def _after_type(key: str, names: set[str]) -> str:
    """The part of ``key`` after the first folder with one of these names; without one, only the file name."""
    segments = key.split("/")
    for index, segment in enumerate(segments[:-1], start=1):
        if segment in names:
            return "/".join(segments[index:])
    return segments[-1]


def _entry(model_type: str) -> ModelFolders:
    known = _types()
    if model_type not in known:
        said = "there is no such type here"
        raise ConfigurationError(
            sentence("use this model_type", model_type, said, f"Known: {', '.join(known)}.")
        )
    return known[model_type]


def _refuse_bad(model_type: str, key: str, segments: list[str], entry: ModelFolders) -> None:
    extension = Path(segments[-1]).suffix.lower()
    allowed = entry.extensions or _WEIGHTS
    if local_names.is_outside(segments):
        said, advice = "it is outside of the model folder", "Remove .. and . from key and subfolder."
    elif local_names.is_hidden(segments):
        said, advice = "it is a hidden file or folder", "Remove the dot at the beginning."
    elif local_names.is_invalid(segments):
        said, advice = "some systems allow no file of that name", "Rename the object or the subfolder."
    elif extension not in allowed:
        said = f"ComfyUI does not list {extension or 'files without extension'} for {model_type}"
        advice = f"Choose the right model_type; this one takes {' '.join(sorted(allowed))}."
    else:
        return
    raise ConfigurationError(sentence("take this as a model", repr(key), said, advice))


def can_run_code(name: str) -> bool:
    """Whether files with this extension can run code when they are loaded."""
    return name.lower().endswith(PICKLED)


def warning(name: str) -> str:
    """A warning if files with this extension can run code, else ""."""
    extension = Path(name).suffix.lower()
    if not can_run_code(name):
        return ""
    return (
        f"Warning: {extension} files can run code when they are loaded; only use files from people you trust."
    )


# ------------------------------------------------------------ local models


def names() -> list[str]:
    """All model files of all types as loaders list them, each name once; for a widget's list."""
    found: set[str] = set()
    for model_type in types():
        found.update(_listed(model_type))
    return sorted(found)


def _listed(model_type: str) -> list[str]:
    try:
        return comfyui_folders.model_names(model_type)
    except OSError as error:  # deleted meanwhile, or no permission: list the others
        log.debug("The files of %s cannot be listed: %s", model_type, error)
        return []


def all_folders() -> list[tuple[str, Path]]:
    """The type and path of every folder that may have models, in ComfyUI's order."""
    return [(name, folder) for name, entry in _types().items() for folder in entry.folders]


def elsewhere(extension: str) -> list[Path]:
    """The folders that may have models with this extension. Some are outside of ComfyUI's models folder,
    even in the folder of a node package, beside its code and settings.
    """
    wanted = extension.lower()
    entries = [entry for entry in _types().values() if wanted in (entry.extensions or _WEIGHTS)]
    return [folder for entry in entries for folder in entry.folders]


def local(model_type: str, name: str) -> LocalFile:
    """The file that a loader of this type would load. Raises NotFound, ConfigurationError."""
    entry = _entry(model_type)
    if name in _listed(model_type):
        holding = [folder / name for folder in entry.folders if _is_file(folder / name)]
        if holding:
            return LocalFile(name, holding[0])
    others = [other for other in types() if other != model_type and name in _listed(other)]
    said = f"no such file, but one of type {', '.join(others)}" if others else "no such file"
    advice = "Choose the file's model_type." if others else "Choose a file from the list."
    raise NotFound(sentence(f"find the model {name!r}", model_type, said, advice))


def state(model_type: str, name: str) -> str:
    """A text that changes with the content of a local model, for ``IS_CHANGED``; "" if there is no such
    file.
    """
    try:
        return fingerprint_text(local(model_type, name).path)
    except (ConfigurationError, OSError):  # the node meets the same error and shows it
        return ""


def key_name(model_type: str, name: str) -> str:
    """The key of a model below ``key_prefix``, of which ``file_of`` gives the same name."""
    return f"{model_type}/{name.replace(os.sep, '/')}"
