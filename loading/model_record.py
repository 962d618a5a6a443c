"""A sidecar file beside each downloaded model: which object the model is a copy of.

It is beside the model and not in ComfyUI's user folder, because several machines or ComfyUIs may use one
models folder. Its name begins with a dot and ends in .json, so that ComfyUI's loaders do not list it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..system import durable_write
from ..system.file_fingerprint import Fingerprint


@dataclass(frozen=True)
class Record:
    """The object that a file is a copy of: ``bucket``, ``key`` with the profile's prefix, ``etag``, and
    ``sha256``, "" if unknown. Not the endpoint: a bucket may have several addresses.

    ``mark`` is the size and time of the copy. ``former`` is that of the copy that is about to be replaced:
    the record is written before the file is renamed, and the process may be killed in between.
    """

    bucket: str
    key: str
    etag: str
    sha256: str
    mark: Fingerprint
    former: Fingerprint | None = None

    def is_of(self, path: Path) -> bool:
        """Whether the file ``path`` is the copy of this record, unchanged since."""
        return self.mark.fits(path)

    def is_ours(self, path: Path) -> bool:
        """Whether this package downloaded the file ``path``, and it is unchanged since."""
        return self.is_of(path) or (self.former is not None and self.former.fits(path))


_END = ".cloud.json"


def record_path(target: Path) -> Path:
    """The path of the record of the file ``target``."""
    return target.with_name(f".{target.name}{_END}")


def target_of(record: Path) -> Path | None:
    """The path of the file whose record would be the file ``record``; None if that is no record's name."""
    name = record.name
    return record.with_name(name[1 : -len(_END)]) if name.startswith(".") and name.endswith(_END) else None


def read(target: Path) -> Record | None:
    """Read the record of the file ``target``; None if there is none or it is damaged."""
    try:
        said = json.loads(record_path(target).read_text(encoding="utf-8"))
        former = Fingerprint(**said.pop("former")) if said.get("former") else said.pop("former", None)
        return Record(**{**said, "mark": Fingerprint(**said["mark"]), "former": former})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write(target: Path, record: Record) -> None:
    """Write the record of the file ``target``, all of it or nothing. Raises OSError."""
    durable_write.replace(record_path(target), json.dumps(asdict(record)).encode())
