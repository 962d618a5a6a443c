"""The copies on this machine: the files in ComfyUI's model folders that this package fetched.

Each has a record beside it (``loading/model_record.py``). The record's time is when the copy was used last:
all ComfyUIs on one models folder see it there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..comfyui import model_folders
from ..loading import model_record
from ..loading.download_journal import journal_of
from ..loading.model_record import Record

PART = ".part"


@dataclass(frozen=True)
class Found:
    """A copy: ``name`` as loaders list it. It is unchanged since it was fetched, as its record says."""

    folder_type: str
    name: str
    path: Path
    record: Record
    last_used: datetime

    @property
    def size(self) -> int:
        """Return its bytes."""
        return self.record.mark.size


@dataclass(frozen=True)
class Scan:
    """All copies, least recently used first, and the unfinished downloads (``.part``), oldest first."""

    copies: tuple[Found, ...]
    parts: tuple[Path, ...]


def scan() -> Scan:
    """Look for copies in all model folders. Reads folders and the records: for a thread."""
    copies: dict[Path, Found] = {}
    parts: dict[Path, float] = {}
    for folder_type, folder in model_folders.all_folders():
        for path in _files(folder):
            target = model_record.target_of(path)
            if target is not None and target not in copies:
                found = _found(folder_type, folder, target, path)
                if found is not None:
                    copies[target] = found
            elif path.name.endswith(PART) and journal_of(path).exists():
                parts[path] = _time(path)
    used = sorted(copies.values(), key=lambda one: (one.last_used, one.path))
    return Scan(tuple(used), tuple(sorted(parts, key=parts.__getitem__)))


def note_use(path: Path) -> None:
    """Record that a prompt named this file now, if it is a copy."""
    with contextlib.suppress(OSError):  # not a copy, or a folder that nobody may write to
        os.utime(model_record.record_path(path))


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            yield Path(root, name)


def _found(folder_type: str, folder: Path, target: Path, record_path: Path) -> Found | None:
    record = model_record.read(target)
    if record is None or not record.is_of(target):
        return None
    used = datetime.fromtimestamp(_time(record_path), timezone.utc)
    return Found(folder_type, str(target.relative_to(folder)), target, record, used)


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
