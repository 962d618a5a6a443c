"""Notices new, changed and vanished files of a folder and its subfolders, by looking at it once a second.

A look asks for the time of each folder, which changes when a name is made, moved or removed in it. Only such
a folder is read, and only new names in it are asked for size and time: that takes 0.1 s for 100,000 files.

What is written into an existing file changes no folder's time. So each look also checks the RECENT_FILES that
changed last, and SWEEP_FILES of all, in turn. The system's own notices are not used: they do not exist on
network drives.
"""

from __future__ import annotations

import itertools
import math
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..system.file_fingerprint import Fingerprint

RECENT_FILES = 100
SWEEP_FILES = 200  # 100,000 files within 500 looks, some 10 minutes
# The time of a folder may be coarse (2 s on FAT), and then be the same after another change.
AGAIN_SECONDS = 2.5
# A folder that took 50 ms to read is not read again within a second, so that it takes 5 % of a core at most
# while files are made in it; a slower one takes more, as files are to be noticed within seconds.
READ_SHARE, READ_PAUSE_SECONDS = 20, 2.0
_HIDDEN = getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 2)
_IS_WINDOWS = os.name == "nt"

Changes = dict[str, Fingerprint | None]  # by name below the folder; None: it is gone
_File = tuple[int, int, int]  # size, time in nanoseconds, inode


@dataclass
class _Folder:
    """``files`` by name. ``below``: the paths of its subfolders.

    ``again_at``: read it again then, though its time is the same; ``not_before``: not before that.
    """

    modified_ns: int = -1
    again_at: float = math.inf
    not_before: float = 0.0
    files: dict[str, _File] = field(default_factory=dict)
    below: set[str] = field(default_factory=set)


class FolderWatch:
    """One folder. Used by one thread. ``leaves_out`` says which names below it do not count."""

    def __init__(self, root: Path, leaves_out: Callable[[str], bool]) -> None:
        self._root, self._leaves_out = os.path.realpath(root), leaves_out
        self._folders: dict[str, _Folder] = {}  # by path below the root: "", "sub/"
        self._recent: OrderedDict[tuple[str, str], None] = OrderedDict()  # by folder and name, newest last
        self._sweep: Iterator[tuple[str, str]] = iter(())
        self._changes: Changes = {}

    @property
    def files(self) -> int:
        """Return how many files were seen."""
        return sum(len(folder.files) for folder in self._folders.values())

    def look(self, now: float) -> Changes:
        """Return what has changed since the last look; at the first one all files. ``now`` is monotonic.

        Raises OSError if the folder itself cannot be read: then nothing is said of its files.
        """
        os.stat(self._root)  # noqa: PTH116
        self._changes = {}
        if not self._folders:
            with os.scandir(self._root):  # raises before anything is noted
                self._folders[""] = _Folder()
        for path in list(self._folders):
            self._look_at(path, now)
        for path, name in list(self._recent):
            self._check(path, name)
        in_turn = list(itertools.islice(self._sweep, SWEEP_FILES))
        if len(in_turn) < SWEEP_FILES:
            self._sweep = self._all_files()
        for path, name in in_turn:
            self._check(path, name)
        return self._changes

    def _look_at(self, path: str, now: float) -> None:
        """Read a folder, and new ones below it, if its time has changed or it is to be read again."""
        folder = self._folders.get(path)
        if folder is None:
            return
        try:
            modified = os.stat(f"{self._root}/{path}").st_mtime_ns  # noqa: PTH116
        except OSError:
            self._forget(path)
            return
        is_other = modified != folder.modified_ns
        if now < folder.not_before or not (is_other or now >= folder.again_at):
            return
        folder.modified_ns = modified
        folder.again_at = now + AGAIN_SECONDS if is_other and _is_recent(modified) else math.inf
        self._read(path, folder, now)

    def _forget(self, path: str) -> None:
        if path and path in self._folders:
            folder = self._folders.pop(path)
            for name in folder.files:
                self._changes[path + name] = None
            for sub in folder.below:
                self._forget(sub)

    def _read(self, path: str, folder: _Folder, now: float) -> None:
        began = time.monotonic()
        known, found, below = folder.files, dict[str, _File](), set[str]()
        try:
            with os.scandir(f"{self._root}/{path}") as entries:
                for entry in entries:
                    before = known.get(entry.name)
                    if before is not None and not _IS_WINDOWS and before[2] == entry.inode():
                        found[entry.name] = before
                    elif before is not None or not self._leaves_out(path + entry.name):
                        self._read_entry(path, entry, before, found, below)
        except OSError:  # it vanishes, or may not be read: it is looked at again
            folder.modified_ns = -1
            folder.not_before = now + AGAIN_SECONDS
            return
        vanished = folder.below - below
        folder.files, folder.below = found, below
        folder.not_before = now + min(READ_SHARE * (time.monotonic() - began), READ_PAUSE_SECONDS)
        for name in known.keys() - found.keys():
            self._changes[path + name] = None
        for sub in vanished:
            self._forget(sub)
        for sub in below - self._folders.keys():
            self._folders[sub] = _Folder()
            self._look_at(sub, now)

    def _read_entry(
        self,
        path: str,
        entry: os.DirEntry[str],
        before: _File | None,
        found: dict[str, _File],
        below: set[str],
    ) -> None:
        """Add a new entry, or one that was replaced, to ``found`` or ``below``."""
        try:
            if entry.is_symlink() and not self._is_inside(path, entry):
                return
            if entry.is_dir():
                below.add(f"{path}{entry.name}/")
                return
            status = entry.stat()
        except OSError:  # it vanished meanwhile
            return
        if not stat.S_ISREG(status.st_mode) or getattr(status, "st_file_attributes", 0) & _HIDDEN:
            return
        # Windows would ask for each inode
        file = (status.st_size, status.st_mtime_ns, 0 if _IS_WINDOWS else entry.inode())
        found[entry.name] = file
        if file != before:
            self._note(path, entry.name, file)

    def _is_inside(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Return if a link leads to a file of this folder, or to a folder that does not contain it."""
        target = os.path.realpath(entry.path)
        if not target.startswith(self._root + os.sep):
            return False
        around = os.path.realpath(f"{self._root}/{path}")
        return not f"{around}{os.sep}".startswith(target + os.sep)

    def _check(self, path: str, name: str) -> None:
        """Note if something was written into a file that is known."""
        folder = self._folders.get(path)
        if folder is None or name not in folder.files:
            self._recent.pop((path, name), None)
            return
        size, modified_ns, inode = folder.files[name]
        try:
            status = os.stat(f"{self._root}/{path}{name}")  # noqa: PTH116
        except OSError:  # it vanished, which the time of its folder says too
            return
        if (status.st_size, status.st_mtime_ns) != (size, modified_ns):
            folder.files[name] = (status.st_size, status.st_mtime_ns, inode)
            self._note(path, name, folder.files[name])

    def _note(self, path: str, name: str, file: _File) -> None:
        self._changes[path + name] = Fingerprint(*file[:2])
        self._recent[path, name] = None
        self._recent.move_to_end((path, name))
        if len(self._recent) > RECENT_FILES:
            self._recent.popitem(last=False)

    def _all_files(self) -> Iterator[tuple[str, str]]:
        """Yield the folder and the name of each file once; each folder is read again meanwhile."""
        for path in list(self._folders):
            folder = self._folders.get(path)
            if folder is None:
                continue
            if folder.again_at == math.inf:
                folder.again_at = 0.0  # for file systems whose folders have no such time
            yield path, ""
            for name in list(folder.files):
                yield path, name


def _is_recent(modified_ns: int) -> bool:
    """Return if a folder has just changed; of one from the future, as after the clock was set back, too."""
    return time.time() - modified_ns / 1e9 < AGAIN_SECONDS
