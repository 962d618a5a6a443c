"""The files of a folder on this machine, as names below it: what a sync sends, and what it may write there.

Symbolic links are followed inside of the folder only. Files that a download leaves while it is under way, and
the records beside models, belong to this machine and are left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..comfyui import local_names
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter

# Beginning and end of the name under which a small file is written; see ``temporary``
_ARRIVING = ".cloud-part"
# Of downloads and models: ``download_journal``, ``model_record``
_OURS = re.compile(rf".*\.part\.journal(\.new)?|\..*\.cloud\.json(\.new)?|\..*{re.escape(_ARRIVING)}")
_SETTINGS_FOLDER = "__cloud_storage"  # ``comfyui.folders.system_folder``: access keys, and what waits there
_LOCK = re.compile(r"\.(.*)\.lock")
LEFTOVER_SECONDS = 24 * 3600  # after which an unfinished small file belongs to no running process
_IS_WINDOWS = os.name == "nt"
_IGNORES_CASE = sys.platform in ("win32", "darwin")  # as the disks of these systems usually do


@dataclass
class LocalFiles:
    """The files of a folder by their names, "/" between folders.

    ``left_out`` has what is no file of this folder, and ``unreadable`` what cannot be read, with the reason.
    A name there may be that of a folder: then nothing is known of what is below it.
    """

    files: dict[str, Fingerprint] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    unfinished: list[Path] = field(default_factory=list)  # small files that a killed process may have left

    def sweep(self) -> None:
        """Remove the unfinished small files of processes that were killed."""
        oldest = time.time() - LEFTOVER_SECONDS
        for path in self.unfinished:
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()

    def hides(self, name: str) -> bool:
        """Whether ``name`` is left out or unreadable, or may be in a folder that is."""
        others = [*self.left_out, *self.unreadable]
        return any(name == other or name.startswith(f"{other}/") for other in others)


def found(folder: Path, meter: Meter) -> LocalFiles:
    """Return the files below ``folder``. Raises OSError if the folder itself cannot be read, and
    TransferCancelled.
    """
    listed = LocalFiles()
    root = folder.resolve()
    waiting = [(str(root), "", frozenset([str(root)]))]
    while waiting:
        path, below, above = waiting.pop()
        try:
            with os.scandir(path) as entries:
                inside = list(entries)
        except OSError as error:
            if not below:
                raise
            listed.unreadable[below[:-1]] = error.strerror or str(error)
            continue
        meter.check()
        names = {entry.name for entry in inside}
        for entry in inside:
            if entry.name.endswith(_ARRIVING):
                listed.unfinished.append(Path(entry.path))
            if not _is_ours(entry.name, names):
                name = f"{below}{_as_in_keys(entry.name)}"
                folder_inside = _take(listed, entry, name, root, above)
                if folder_inside:
                    waiting.append((entry.path, f"{name}/", above | {folder_inside}))
    return listed


def _take(listed: LocalFiles, entry: os.DirEntry[str], name: str, root: Path, above: frozenset[str]) -> str:
    """Note a file, or why it is left out. Returns the real path of a folder to look into, else ""."""
    try:
        if entry.is_symlink():
            real = Path(entry.path).resolve(strict=True)
            if not real.is_relative_to(root):
                listed.left_out[name] = "it is a symbolic link that leads out of the folder"
                return ""
            if real.is_dir():
                if str(real) not in above:
                    return str(real)
                listed.left_out[name] = "it is a symbolic link to a folder that it is in"
                return ""
        elif entry.is_dir():
            return os.path.realpath(entry.path)
        status = entry.stat()
        if stat.S_ISREG(status.st_mode):
            listed.files[name] = Fingerprint(status.st_size, status.st_mtime_ns)
        else:
            listed.left_out[name] = "it is neither a file nor a folder"
    except FileNotFoundError:
        if entry.is_symlink():
            listed.left_out[name] = "it is a symbolic link that leads nowhere"
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        listed.unreadable[name] = getattr(error, "strerror", None) or "it is a loop of symbolic links"
    return ""


def _is_ours(name: str, names: set[str]) -> bool:
    """Whether a file belongs to this machine alone; ``names`` are those in its folder."""
    if _OURS.fullmatch(name) or name == _SETTINGS_FOLDER:
        return True
    if name.endswith(".part"):
        return f"{name}.journal" in names
    lock = _LOCK.fullmatch(name)
    return lock is not None and f"{lock[1]}.part" in names


def _as_in_keys(name: str) -> str:
    """Return a file's name as keys have it: macOS may return a decomposed form of what it was given."""
    return unicodedata.normalize("NFC", name) if sys.platform == "darwin" else name


def temporary(target: Path) -> Path:
    """Return a path, which nobody else uses, under which the bytes of a small file are written."""
    return target.with_name(f".{uuid.uuid4().hex}{_ARRIVING}")


def refused(name: str) -> str:
    """Return why no file of this machine can have this name, below any folder; "" if one can."""
    segments = name.split("/")
    if local_names.is_outside(segments):
        return "its key has . or .. as a folder"
    if "" in segments:
        return "its key has an empty name between two /"
    if "\0" in name:
        return "its key contains a zero byte"
    if _IS_WINDOWS and local_names.is_invalid(segments):
        return "Windows allows no file of that name"
    # a record or an unfinished download of a folder that was uploaded by another program
    if _OURS.fullmatch(segments[-1]):
        return "a file of that name is used by this package"
    return ""


def clashing(names: Iterator[str]) -> dict[str, str]:
    """Return which of these names, in order, cannot be on one disk together, and why."""
    taken: dict[str, str] = {}
    folders: set[str] = set()
    clashes: dict[str, str] = {}
    for name in names:
        key = name.casefold() if _IGNORES_CASE else name
        if key in taken:
            clashes[name] = f"{taken[key]} is the same name on this system"
            continue
        taken[key] = name
        parts = key.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    for key in folders & taken.keys():
        clashes[taken[key]] = "other objects have it as their folder"
    return clashes


class Targets:
    """The folder into which files are written: none leaves it by a symbolic link. Any thread may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._root = folder, folder.resolve()
        self._made: set[Path] = set()

    def prepare(self, path: Path) -> str:
        """Make the folder of a file, or return why the file may not be written. Raises OSError."""
        folder = path.parent
        if folder in self._made:
            return ""
        there = folder
        while not there.exists() and not there.is_symlink() and there != self._folder:
            there = there.parent
        if there != self._folder and not there.resolve().is_relative_to(self._root):
            return "a symbolic link leads out of the folder"
        folder.mkdir(parents=True, exist_ok=True)
        self._made.add(folder)
        return ""
