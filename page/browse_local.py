"""What the browser's picker shows of ComfyUI's own folders: the files that Upload File to Cloud may send.

A key is a path as that node takes it: "output/clips/a.mp4", by the folder's name, wherever the folder lies.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from ..comfyui import uploadable_files
from ..errors import ConfigurationError, NotFound, sentence
from ..storage.base import ObjectInfo
from ..system.meter import Meter
from . import browse
from .browse import Kind, Listing


def listing(
    folder: str, text: str, order: str, token: str, meter: Meter, endings: tuple[str, ...] = ()
) -> Listing:
    """The folders and files of a folder, or with ``text`` the files below it in whose path it occurs.

    By name in pages of PAGE_ENTRIES files, or the first ORDERED_FILES in one of ORDERS. At most ORDERED_KEYS
    entries are looked at. Raises NotFound and ConfigurationError.
    """
    if order and order not in browse.ORDERS:
        raise ConfigurationError(f"There is no order {order!r}. Choose {' or '.join(browse.ORDERS)}.")
    folder = f"{folder.strip('/')}/" if folder.strip("/") else ""
    wanted, kind = text.casefold(), Kind(endings)
    folders: list[str] = []
    files: list[ObjectInfo] = []
    complete = True
    for count, (key, path) in enumerate(_below(folder) if text else _entries(folder)):
        meter.check()
        if count == browse.ORDERED_KEYS:
            complete = False
            break
        if _is_folder(path):
            folders.append(f"{key}/")
        elif wanted in key[len(folder) :].casefold() and kind.takes(key):
            files.extend(_described(key, path))
    files.sort(key=lambda info: info.key)
    names = () if text else tuple(sorted(folders))
    if order:
        files.sort(key=browse.ORDERS[order], reverse=True)
        return Listing(names, tuple(files[: browse.ORDERED_FILES]), "", kind.hidden, len(files), complete)
    start = int(token) if token.isdecimal() and len(token) < browse.ENDING_CHARACTERS else 0
    end = start + browse.PAGE_ENTRIES
    following = str(end) if end < len(files) else ""
    if start:
        return Listing((), tuple(files[start:end]), following)
    total = None if complete else len(files)
    return Listing(names, tuple(files[:end]), following, kind.hidden, total, complete)


def _entries(folder: str) -> Iterator[tuple[str, Path]]:
    """What lies directly in a folder and may be read: keys and resolved paths."""
    if not folder:
        yield from ((name, path) for name, path in uploadable_files.folders().items() if _is_folder(path))
        return
    name, *rest = folder.strip("/").split("/")
    root = uploadable_files.folders().get(name)
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
    except (OSError, ValueError, RuntimeError) as error:  # gone meanwhile, a zero byte, links in a circle
        said = getattr(error, "strerror", None) or "it cannot be read"
    raise NotFound(sentence("open the folder", repr(folder[:200]), said, "Choose another folder."))


def _resolved(path: Path) -> Path | None:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle, which hide no other file
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # whose folder may not be looked into: Python before 3.14 raises that
        return False


def _below(folder: str) -> Iterator[tuple[str, Path]]:
    """Every file below a folder; a folder that links lead to again is entered once."""
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
    except OSError:  # removed meanwhile
        return
    modified = datetime.fromtimestamp(status.st_mtime, timezone.utc)
    yield ObjectInfo(key, status.st_size, f"{status.st_mtime_ns:x}", modified)
