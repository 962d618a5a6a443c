"""Lists ComfyUI's own folders for the picker: the files that Upload File to Cloud may upload.

A key is a path as that node accepts it, for example "output/clips/a.mp4", wherever ComfyUI's output folder
is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from ..comfyui import folders, uploadable_files
from ..errors import NotFound, sentence
from ..storage.base import ObjectInfo
from ..system.meter import Meter
from .bucket_rows import Columns

MOST_ENTRIES = 20_000


def found(folder: str, text: str, meter: Meter) -> tuple[Columns, list[str], str]:
    """Return the files of a folder, or with a ``text`` all files below it, sorted by key; its folders; and a
    sentence if there are more than MOST_ENTRIES, of which only the first ones are looked at, else "".

    Raises NotFound.
    """
    columns, below, error = Columns(), list[str](), ""
    for count, (key, path) in enumerate(_below(folder) if text else _entries(folder)):
        meter.check()
        if count == MOST_ENTRIES:
            error = f"The folder has more than {MOST_ENTRIES} files: only the first ones are listed."
            break
        if _is_folder(path):
            below.append(f"{key}/")
        else:
            for info in _described(key, path):
                columns.add(info)
    return columns.changed({}), below, error


def _entries(folder: str) -> Iterator[tuple[str, Path]]:
    """Yield key and resolved path of each entry of a folder that may be read."""
    if not folder:
        yield from ((name, path) for name, path in folders.file_folders().items() if _is_folder(path))
        return
    name, *rest = folder.strip("/").split("/")
    root = folders.file_folders().get(name)
    try:
        named = root and root.joinpath(*rest)
        path = None if named is None or uploadable_files.asks_elsewhere(named) else named.resolve()
        if path and uploadable_files.may_be_read(path):
            with os.scandir(path) as entries:
                for entry in entries:
                    resolved = _resolved(path / entry.name)
                    if not entry.name.startswith(".") and resolved and uploadable_files.may_be_read(resolved):
                        yield f"{folder}{entry.name}", resolved
            return
        said = "there is no such folder in ComfyUI's output, input, temp or models folder"
    except (OSError, ValueError, RuntimeError) as error:  # deleted meanwhile, a zero byte, a loop of links
        said = getattr(error, "strerror", None) or "it cannot be read"
    raise NotFound(sentence("open the folder", repr(folder[:200]), said, "Choose another folder."))


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a loop of links, which must not hide the other files
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # no permission to read its folder: Python before 3.14 raises it
        return False


def _below(folder: str) -> Iterator[tuple[str, Path]]:
    """Yield every file below a folder; a folder that links lead to several times is read once."""
    waiting, entered = [folder], set[Path]()
    while waiting:
        name = waiting.pop()
        with contextlib.suppress(NotFound) if name != folder else contextlib.nullcontext():
            for key, path in _entries(name):
                if not _is_folder(path):
                    yield key, path
                elif path not in entered:
                    entered.add(path)
                    waiting.append(f"{key}/")


def _described(key: str, path: Path) -> Iterator[ObjectInfo]:
    try:
        status = path.stat()
    except OSError:  # deleted meanwhile
        return
    modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    yield ObjectInfo(key, status.st_size, f"{status.st_mtime_ns:x}", modified)
