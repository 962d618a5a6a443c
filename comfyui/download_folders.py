"""Where a node may download a file to: below ComfyUI's input, output and temp folders, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError, sentence
from . import folders, local_names

FOLDERS = ("input", "output", "temp")


@dataclass(frozen=True)
class Target:
    """A file below one of the folders: ``root`` is that folder, ``name`` the path below it with "/"."""

    root: Path
    name: str

    @property
    def path(self) -> Path:
        return self.root / self.name


def target(folder: str, key: str, subfolder: str, filename: str) -> Target:
    """The file of the object ``key`` in ``folder``: ``filename``, or the last part of the key if that is
    empty. A filename without extension gets that of the key.

    Raises ConfigurationError for a name that leads out of the folder, for a hidden one, for one that some
    system does not accept, and for our own folder, which holds copies of objects.
    """
    last = key.rpartition("/")[2]
    name = filename.strip().replace("\\", "/")
    if name and not Path(name).suffix:
        name += Path(last).suffix
    below = subfolder.strip().replace("\\", "/").strip("/")
    segments = [part for part in f"{below}/{name or last}".split("/") if part]
    root = folders.file_folders()[folder]
    if not (name or last) or not segments:
        said, advice = "it names a folder", "Give the key of a file."
    elif local_names.is_outside(segments):
        said, advice = (
            f"it is outside of ComfyUI's {folder} folder",
            "Remove .. and . from subfolder and filename.",
        )
    elif local_names.is_hidden(segments):
        said, advice = "it is a hidden file or folder", "Type another name into filename."
    elif local_names.is_invalid(segments):
        said, advice = "some systems allow no file of that name", "Type another name into filename."
    elif segments[0].casefold() in _OURS or not _is_below(root, root.joinpath(*segments)):
        said, advice = "that folder belongs to something else", "Choose another subfolder."
    else:
        return Target(root, "/".join(segments))
    raise ConfigurationError(sentence("download to this file", "/".join(segments)[:300], said, advice))


_OURS = (
    folders.PREVIEW_FOLDER,
    folders.EARLIER_OUTBOX_FOLDER,
)  # copies of objects, and what is uploaded later


def _is_below(root: Path, path: Path) -> bool:
    """Whether a path is below a folder, links resolved: somebody may have put one into it."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links
        return False
