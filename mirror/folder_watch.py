"""Notices new, changed and vanished files of a folder and its subfolders, by looking at it once a second.

A look costs one ``stat`` for each folder: a folder's time changes when a name is made, moved or removed in
it. Only such folders are read. What is written into an existing file changes no folder's time, so that each
look also checks SWEEP_FILES files, one after another: every file of a small folder at each look, 100,000
files within some minutes. The system's own notices are not used: they do not exist on network drives.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..system.file_fingerprint import Fingerprint

SWEEP_FILES = 300
# The time of a folder may be coarse (2 s on FAT), and then be the same after another change.
AGAIN_SECONDS = 2.5
SCAN_SHARE = 20  # a folder that took 50 ms to read is not read again within a second
_HIDDEN = getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 2)
_IS_WINDOWS = os.name == "nt"

Changes = dict[str, Fingerprint | None]  # by name below the folder; None: it is gone


@dataclass
class _Folder:
    """``files`` by name: size, time, and the number in the listing; ``again_at`` is when to read it again."""

    modified_ns: int = -1
    again_at: float | None = None
    not_before: float = 0.0
    files: dict[str, tuple[int, int, int]] = field(default_factory=dict)


class FolderWatch:
    """One folder. Used by one thread. ``leaves_out`` says which names below it do not count."""

    def __init__(self, root: Path, leaves_out: Callable[[str], bool]) -> None:
        self._root, self._leaves_out = os.path.realpath(root), leaves_out
        self._folders: dict[str, _Folder] = {}  # by path below the root: "", "sub/"
        self._sweep: Iterator[None] = iter(())
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
            folder = self._folders.get(path)
            if folder is None:
                continue
            try:
                modified = os.stat(f"{self._root}/{path}").st_mtime_ns  # noqa: PTH116
            except OSError:
                self._forget(path)
                continue
            is_due = folder.again_at is not None and now >= folder.again_at
            if (modified != folder.modified_ns or is_due) and now >= folder.not_before:
                is_other = modified != folder.modified_ns
                folder.modified_ns = modified
                folder.again_at = now + AGAIN_SECONDS if is_other and _is_recent(modified) else None
                self._read(path, folder, now)
        self._sweep_on(now)
        return self._changes

    def _forget(self, path: str) -> None:
        if path:
            for name in self._folders.pop(path).files:
                self._changes[path + name] = None

    def _read(self, path: str, folder: _Folder, now: float) -> None:
        began = time.monotonic()
        seen: set[str] = set()
        below: list[str] = []
        try:
            with os.scandir(f"{self._root}/{path}") as entries:
                for entry in entries:
                    self._entry(path, folder, entry, seen, below)
        except OSError:  # it vanishes, or may not be read: it is looked at again
            folder.modified_ns = -1
            folder.not_before = now + AGAIN_SECONDS
            return
        for name in folder.files.keys() - seen:
            del folder.files[name]
            self._changes[path + name] = None
        folder.not_before = now + SCAN_SHARE * (time.monotonic() - began)
        for sub in below:
            if sub not in self._folders:
                new = self._folders[sub] = _Folder()
                try:
                    new.modified_ns = os.stat(f"{self._root}/{sub}").st_mtime_ns  # noqa: PTH116
                except OSError:
                    self._forget(sub)
                    continue
                new.again_at = now + AGAIN_SECONDS if _is_recent(new.modified_ns) else None
                self._read(sub, new, now)

    def _entry(
        self, path: str, folder: _Folder, entry: os.DirEntry[str], seen: set[str], below: list[str]
    ) -> None:
        name = entry.name
        known = folder.files.get(name)
        if known is not None and not _IS_WINDOWS and known[2] == entry.inode():
            seen.add(name)
            return
        if self._leaves_out(path + name):
            return
        try:
            if entry.is_symlink() and not self._is_inside(path, entry):
                return
            if entry.is_dir():
                below.append(f"{path}{name}/")
                return
            status = entry.stat()
        except OSError:  # it vanished meanwhile
            return
        if not stat.S_ISREG(status.st_mode) or getattr(status, "st_file_attributes", 0) & _HIDDEN:
            return
        seen.add(name)
        found = (status.st_size, status.st_mtime_ns, entry.inode())
        if known is None or known[:2] != found[:2] or known[2] != found[2]:
            self._changes[path + name] = Fingerprint(*found[:2])
        folder.files[name] = found

    def _is_inside(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Return if a link leads to a file of this folder, or to a folder that does not contain it."""
        target = os.path.realpath(entry.path)
        if not target.startswith(self._root + os.sep):
            return False
        around = os.path.realpath(f"{self._root}/{path}")
        return not f"{around}{os.sep}".startswith(target + os.sep)

    def _sweep_on(self, now: float) -> None:
        for _ in range(SWEEP_FILES):
            if next(self._sweep, self) is self:
                self._sweep = self._sweeping(now)
                return

    def _sweeping(self, now: float) -> Iterator[None]:
        """Read each folder once, and check each file; yields after each."""
        for path in list(self._folders):
            folder = self._folders.get(path)
            if folder is None:
                continue
            folder.again_at = folder.again_at or now  # for file systems whose folders have no such time
            yield
            for name, known in list(folder.files.items()):
                if folder.files.get(name) is not known:
                    continue
                try:
                    status = os.stat(f"{self._root}/{path}{name}")  # noqa: PTH116
                except OSError:  # the folder's time says the same
                    continue
                if (status.st_size, status.st_mtime_ns) != known[:2]:
                    folder.files[name] = (status.st_size, status.st_mtime_ns, known[2])
                    self._changes[path + name] = Fingerprint(status.st_size, status.st_mtime_ns)
                yield


def _is_recent(modified_ns: int) -> bool:
    """Return if a folder has just changed; of one from the future, as after the clock was set back, too."""
    return time.time() - modified_ns / 1e9 < AGAIN_SECONDS
