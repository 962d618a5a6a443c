"""Which local file stands for a model's key, and which key for a local model: the rules of ComfyUI's folders.

A bucket mirrors ComfyUI's models folder: ``models/loras/style/a.safetensors`` is ``style/a.safetensors`` of
the type ``loras``. What would leave the folder, or what ComfyUI would not list there, is refused.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError, NotFound, sentence
from ..system.file_fingerprint import fingerprint_text
from . import folders as comfyui_folders
from .folders import ModelFolders

FIRST = "checkpoints"
_NO_MODELS = ("custom_nodes", "datasets")  # folders of code, and of pictures to train on
_FOLDERS_ONLY = frozenset({"folder"})  # ComfyUI's mark for types whose models are folders: diffusers

# Written by Python's pickle, which can run code when it is read
PICKLED = (".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl")
# Taken where ComfyUI lists every file of a type, as it does for most types that node packages register: a
# script there could be run.
_WEIGHTS = frozenset({".safetensors", ".sft", ".gguf", ".onnx", *PICKLED})

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Place:
    """A model file: ``name`` as ComfyUI's loaders list it, and where it lies or is to lie."""

    name: str
    path: Path


def types() -> list[str]:
    """The types that have files, those of node packages included."""
    found = list(_types())
    return sorted(found, key=lambda name: name != FIRST)


def _types() -> Mapping[str, ModelFolders]:
    return {
        name: entry
        for name, entry in comfyui_folders.model_folders().items()
        if name not in _NO_MODELS and entry.folders and entry.extensions != _FOLDERS_ONLY
    }


def place(model_type: str, key: str, subfolder: str = "") -> Place:
    """Where the object ``key`` belongs: in the folder that has a file of that name, else in ComfyUI's first.

    Sub-folders are those behind the type's name in the key (or behind a folder that the type has, as
    ``unet`` for diffusion_models), or ``subfolder`` where one is given. Raises ConfigurationError.
    """
    entry = _entry(model_type)
    folders, _, file = _behind(key, {model_type, *(folder.name for folder in entry.folders)}).rpartition("/")
    if not file:
        said, advice = "it names a folder", "Give the name of a file."
        raise ConfigurationError(sentence("take this as a model", repr(key), said, advice))
    if subfolder.strip():
        folders = subfolder.strip().replace("\\", "/")
    segments = [segment for segment in [*folders.split("/"), file] if segment]
    _refuse_bad(model_type, key, segments, entry)
    name = str(Path(*segments))
    holding = [folder for folder in entry.folders if _is_file(folder / name)]
    return Place(name, (holding or entry.folders)[0] / name)


def _is_file(path: Path) -> bool:
    """Whether there is a file; a path that is too long, or closed to us, leads to none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _behind(key: str, names: set[str]) -> str:
    """What stands behind the first folder in ``key`` that is called so; the bare file name without one."""
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
    if any(segment in (".", "..") for segment in segments):
        said, advice = "it would leave the folder of the models", "Remove .. and . from key and subfolder."
    elif any(segment.startswith(".") for segment in segments):
        said, advice = "it names something hidden", "Remove the dot at the beginning."
    elif any(map(_is_ill, segments)) or len("/".join(segments).encode(errors="replace")) > NAME_MAX_BYTES:
        said, advice = "not every system can have a file of that name", "Rename the object, or the subfolder."
    elif extension not in allowed:
        said = f"ComfyUI does not list {extension or 'files without extension'} for {model_type}"
        advice = f"Choose the right model_type; this one takes {' '.join(sorted(allowed))}."
    else:
        return
    raise ConfigurationError(sentence("take this as a model", repr(key), said, advice))


def _is_ill(segment: str) -> bool:
    return bool(
        _ILL.search(segment)
        or segment[-1] in ". "
        or _DEVICE.match(segment)
        or len(segment.encode(errors="replace")) > SEGMENT_MAX_BYTES
    )


NAME_MAX_BYTES = 1024  # of folders and file together; Linux takes 4,096 for a whole path, macOS 1,024
SEGMENT_MAX_BYTES = 255 - 50  # of a name on most disks, less what is put behind it while it arrives
# Windows takes these for devices, in every folder and with any extension.
# learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_DEVICE = re.compile(
    r"(?i)(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(\.|$)"
)
_ILL = re.compile('[\\\\:*?"<>|\x00-\x1f\ud800-\udfff]')  # a colon also names a drive or a stream on Windows


def warning(name: str) -> str:
    """A sentence about what a file of this name can do; "" where there is nothing to warn of."""
    extension = Path(name).suffix.lower()
    if extension not in PICKLED:
        return ""
    return (
        f"Warning: {extension} files can run code when they are loaded; only use those of people you trust."
    )


# ------------------------------------------------------------ local models


def names() -> list[str]:
    """Every model file of every type as its loader lists it, each name once; for a widget's list."""
    found: set[str] = set()
    for model_type in types():
        found.update(_listed(model_type))
    return sorted(found)


def _listed(model_type: str) -> list[str]:
    try:
        return comfyui_folders.model_names(model_type)
    except OSError as error:  # a folder was removed meanwhile, or may not be read: the others still count
        log.debug("The files of %s cannot be listed: %s", model_type, error)
        return []


def elsewhere(extension: str) -> list[Path]:
    """The folders that may hold models with this extension; some lie outside ComfyUI's models folder, in that
    of a node package even, beside its code and settings.
    """
    wanted = extension.lower()
    entries = [entry for entry in _types().values() if wanted in (entry.extensions or _WEIGHTS)]
    return [folder for entry in entries for folder in entry.folders]


def local(model_type: str, name: str) -> Place:
    """The model file that a loader of this type would load. Raises NotFound, ConfigurationError."""
    entry = _entry(model_type)
    if name in _listed(model_type):
        holding = [folder / name for folder in entry.folders if _is_file(folder / name)]
        if holding:
            return Place(name, holding[0])
    others = [other for other in types() if other != model_type and name in _listed(other)]
    said = f"there is no such file, but one among {', '.join(others)}" if others else "there is no such file"
    advice = "Choose the model_type that the file belongs to." if others else "Choose a file of the list."
    raise NotFound(sentence(f"find the model {name!r}", model_type, said, advice))


def state(model_type: str, name: str) -> str:
    """What tells one content of a local model from another, for ``IS_CHANGED``; "" where there is none."""
    try:
        return fingerprint_text(local(model_type, name).path)
    except (ConfigurationError, OSError):  # execution will meet and show it
        return ""


def key_name(model_type: str, name: str) -> str:
    """A model's key below ``key_prefix``, so that ``place`` finds its name again."""
    return f"{model_type}/{name.replace(os.sep, '/')}"
