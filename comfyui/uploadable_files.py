"""Checks which files of this machine may be uploaded: those below ComfyUI's own folders that are not hidden.

A workflow may come from a stranger: it must not reach access keys, settings, or the rest of the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from ..config.profiles_file import FILE_NAME
from ..errors import ConfigurationError, NotFound, sentence
from ..system.file_fingerprint import fingerprint_text
from . import folders, model_folders

SHOWN_FOLDERS = ("output", "input", "temp")  # whose files ComfyUI's page shows
_ALLOWED = "Choose a file below ComfyUI's output, input, temp or models folders."


def chosen(file: Any) -> Path:  # noqa: ANN401  a widget's text or a wire's tuple
    """The path of the chosen file, all links resolved.

    ``file`` is a path, absolute or below one of the folders, or the VHS_FILENAMES of VideoHelperSuite's Video
    Combine: (whether it was saved, the paths), whose last path is the finished video. Raises
    ConfigurationError if it is empty, and NotFound, which does not reveal whether the file exists
    elsewhere.
    """
    if isinstance(file, (list, tuple)):
        named = file[1] if len(file) > 1 else ()
        paths = [path for path in named if isinstance(path, str)] if isinstance(named, (list, tuple)) else []
        file = paths[-1] if paths else None
    if not isinstance(file, (str, Path)):
        raise NotFound("The wired node gave no file. Check the node that is wired to file.")
    text = str(file).strip().strip('"')
    if not text:
        raise ConfigurationError(f"No file is chosen. {_ALLOWED}")
    try:
        found = next((path for path in _meant(text) if may_be_read(path) and path.is_file()), None)
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, a loop of links
        found = None
    if found is None:
        said = "no such file in ComfyUI's output, input, temp or models folder"
        raise NotFound(sentence("upload this file", text[:500], said, _ALLOWED))
    return found


def shown(kind: str, subfolder: str, file_name: str) -> Path:
    """The path of a file that ComfyUI's page shows, by its query for ``/view``; all links resolved.

    ``kind`` is one of SHOWN_FOLDERS. Raises NotFound for any other file, and does not reveal whether it
    exists.
    """
    found = None
    root = folders.file_folders()[kind] if kind in SHOWN_FOLDERS else None
    if root is not None and file_name:
        try:
            path = root.joinpath(subfolder, file_name)
            resolved = None if asks_elsewhere(path) else path.resolve()
            if resolved and _shows(root, resolved) and may_be_read(resolved) and resolved.is_file():
                found = resolved
        except (OSError, ValueError, RuntimeError):  # too long, a zero byte, a loop of links
            found = None
    if found is None:
        said = "no such file in ComfyUI's output, input or temp folder"
        raise NotFound(sentence("upload this file", file_name[:500], said, "Run the node again."))
    return found


def state(file: Any) -> str:  # noqa: ANN401
    """A text that changes with the content of the chosen file, for ``IS_CHANGED``; "" if there is none."""
    try:
        return fingerprint_text(chosen(file))
    except (ConfigurationError, OSError):  # the node meets the same error and shows it
        return ""


def _meant(text: str) -> list[Path]:
    """The paths that a text may mean: an absolute one; below the folder that it names; below or beside a
    folder.
    """
    given = Path(text)
    if given.is_absolute():
        paths = [given]
    else:
        known = folders.file_folders()
        first, *rest = given.parts or ("",)  # "." has no parts
        named = [known[first].joinpath(*rest)] if first in known else []
        others = [base / given for folder in known.values() for base in (folder, folder.parent)]
        paths = [*named, *others]
    return [path.resolve() for path in paths if not asks_elsewhere(path)]


def asks_elsewhere(path: Path) -> bool:
    """Whether reading a path, even resolving it, would contact another machine than those of ComfyUI's
    folders.

    Windows would send that machine the user's name and a hash of the password. Such a path begins with two
    backslashes, as that of a device: learn.microsoft.com/en-us/dotnet/standard/io/file-path-formats.
    """
    if not isinstance(path, PureWindowsPath):
        return False
    drives = {folder.drive.casefold() for folder in _roots(path)}
    return path.drive.startswith("\\\\") and path.drive.casefold() not in drives


def may_be_read(path: Path) -> bool:
    """Whether a resolved path may be uploaded: it is below ComfyUI's folders and not hidden there."""
    if path.name == FILE_NAME or path.is_relative_to(folders.system_folder().parent.resolve()):
        return False
    return any(_shows(folder, path) for folder in _roots(path))


def _roots(path: Path) -> Iterator[Path]:
    """Yield the folders that may have a file with the extension of ``path``."""
    yield from folders.file_folders().values()
    yield from model_folders.elsewhere(path.suffix)


def _shows(folder: Path, path: Path) -> bool:
    root = folder.resolve()
    return path.is_relative_to(root) and not any(part[0] == "." for part in path.relative_to(root).parts)
