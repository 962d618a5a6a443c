"""What is known of a local model file: which object it is a copy of, and that it still is that copy.

It lies beside the file and not in ComfyUI's user folder, because it has to be where the file is: a models
folder may be a volume that several machines use one after another, or several ComfyUIs at once. Its name
begins with a dot and ends in .json, which the lists of ComfyUI's loaders leave out.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ..system.file_mark import Mark


@dataclass(frozen=True)
class Record:
    """The object that a file is a copy of: its ``bucket``, whole ``key`` and ``etag``; and ``sha256`` where
    it is known. No endpoint: a bucket may have several addresses.

    ``former`` is the mark of the copy that this one is about to replace: the record is written before the
    file gets its name, and a process may be killed in between.
    """

    bucket: str
    key: str
    etag: str
    sha256: str
    mark: Mark
    former: Mark | None = None

    def is_of(self, path: Path) -> bool:
        """Whether ``path`` is the copy that this tells of, unchanged since."""
        return self.mark.fits(path)

    def is_ours(self, path: Path) -> bool:
        """Whether ``path`` was downloaded by this package and not changed since."""
        return self.is_of(path) or (self.former is not None and self.former.fits(path))


def record_path(target: Path) -> Path:
    """Where the record of the file ``target`` lies."""
    return target.with_name(f".{target.name}.cloud.json")


def read(target: Path) -> Record | None:
    """The record of the file ``target``; None where there is none that can be read."""
    try:
        said = json.loads(record_path(target).read_text(encoding="utf-8"))
        former = Mark(**said.pop("former")) if said.get("former") else said.pop("former", None)
        return Record(**{**said, "mark": Mark(**said["mark"]), "former": former})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(target: Path, record: Record) -> None:
    """Put the record beside ``target``, whole or not at all. Raises OSError."""
    path = record_path(target)
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(asdict(record), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
