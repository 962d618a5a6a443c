"""Downloads an object as a file into one of ComfyUI's folders: once, and never over another file unasked.

It is downloaded as a model is, see ``model_file``: it resumes, it is checked, and a record beside it says
which object it is a copy of. So an unchanged object is not downloaded again, and a changed one replaces its
own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..comfyui.cloud_files import SKIPPED, CloudFile
from ..errors import AlreadyExists, StorageError, sentence
from ..storage.base import Storage
from ..system.meter import Meter
from . import model_file
from .model_file import LocalModel, Wanted

NEW_NAME, OVERWRITE, FAIL, SKIP = "new name", "overwrite", "fail", "skip"
IF_EXISTS = (NEW_NAME, OVERWRITE, FAIL, SKIP)
MOST_NAMES = 10_000
DIGITS = 5


@dataclass(frozen=True)
class Downloaded:
    """The file is there, as ``path``: the object's copy, or with ``was_there`` another file, which was not
    changed.
    """

    path: Path
    status: str
    copy: LocalModel
    was_there: bool = False

    def cloud_file(self, storage: Storage, key: str, profile: str) -> CloudFile:
        """The file for programs; ``profile`` is the name of its profile."""
        file = self.copy.cloud_file(storage, key, profile)
        return replace(file, status=SKIPPED) if self.was_there else file


def fetch(
    storage: Storage, key: str, target: Path, if_exists: str, meter: Meter, say: Callable[[str], object]
) -> Downloaded:
    """Download the object if there is no current copy of it.

    ``if_exists`` is one of IF_EXISTS, for another file of that name: NEW_NAME puts a number after the name,
    SKIP uses that file. Raises AlreadyExists for FAIL, and what ``model_file.fetch`` does.
    """
    if if_exists == SKIP and target.is_file() and not model_file.is_copy(storage, key, target):
        return _skipped(target)
    for path in candidates(target) if if_exists == NEW_NAME else (target,):
        wanted = Wanted(key, path)
        try:
            copy = model_file.fetch(storage, wanted, meter, say)
        except AlreadyExists as error:
            if if_exists == SKIP and path.is_file():  # somebody has put it there meanwhile
                return _skipped(path)
            if if_exists in (FAIL, SKIP) or (if_exists == OVERWRITE and path.is_dir()):
                said = f"{path.name} is there already, and it is no copy of this object"
                advice = "Choose another if_exists, subfolder or filename."
                raise AlreadyExists(sentence(f"download {key!r}", storage.place, said, advice)) from error
            if if_exists == NEW_NAME:
                continue
            copy = model_file.fetch(storage, Wanted(key, path, force=True), meter, say)
        return Downloaded(path, _status(copy, path), copy)
    said = f"{MOST_NAMES:,} names like {target.name} are taken"
    raise StorageError(sentence(f"download {key!r}", str(target.parent), said, "Choose another filename."))


def _skipped(path: Path) -> Downloaded:
    status = f"{path.name} is there already. Nothing was downloaded."
    return Downloaded(path, status, LocalModel(status, None), was_there=True)


def candidates(target: Path) -> Iterator[Path]:
    """The names to try: the file's own, then with a number: a.png, a_00002.png, …"""
    yield target
    for number in range(2, MOST_NAMES + 1):
        yield target.with_name(f"{target.stem}_{number:0{DIGITS}d}{target.suffix}")


def state(storage: Storage, key: str, target: Path, if_exists: str) -> str:
    """The object's ETag and which file is its copy, as text for ``IS_CHANGED``."""
    etag = storage.stat(key).etag
    for path in candidates(target) if if_exists == NEW_NAME else (target,):
        if model_file.is_copy(storage, key, path):
            return f"{etag} as {path.name}"
        if not path.exists():
            break
    return f"{etag} and no copy"


def _status(copy: LocalModel, path: Path) -> str:
    """A sentence for the user. That of ``copy`` is about models."""
    if copy.fetched:
        return f"Downloaded {path.name}."
    if copy.info is None:
        return f"The server cannot be reached: {path.name} is the file downloaded earlier."
    return f"{path.name} is there already, unchanged."
