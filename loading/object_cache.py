"""A disk cache of objects below ComfyUI's temp folder; a copy is used again while the object has its ETag.

The cache has a maximal size; the least recently used copies are deleted first. Losing a copy costs a
download.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from ..errors import DISK_ADVICE, MediaError, Unreachable, disk_errors, sentence
from ..storage.base import ObjectInfo, Storage
from ..system.locks import KeyedLock
from ..system.meter import Meter
from .download import download

MAX_BYTES = 2 << 30
OBJECT_MAX_BYTES = 4 << 30  # an image that fits into memory is smaller; a model may not be
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")

log = logging.getLogger("cloud_storage")

_arriving = KeyedLock()  # by the stems of their file names


@dataclass(frozen=True)
class LocalCopy:
    """A local file with an object's content. ``etag`` is None if the server could not be reached, so that
    nobody knows whether the copy is current.
    """

    path: Path
    etag: str | None


def fetch(storage: Storage, key: str, folder: Path, meter: Meter) -> LocalCopy:
    """Return a local copy of the object: after one HEAD if the cache has it, else after a download.

    If the server cannot be reached, the last copy is returned, and Unreachable raised if there is none.
    Raises MediaError for an object that is too large for an image, before the download, and StorageError if
    the disk refuses the copy. A later call may remove the file: read it at once. Threads that ask for one
    object at the same time download it once; one that waits raises TransferCancelled when its own ``meter``
    stops.
    """
    with disk_errors(f"load {key!r}", "ComfyUI's temp folder", DISK_ADVICE):
        return _fetch(storage, key, folder, meter)


def _fetch(storage: Storage, key: str, folder: Path, meter: Meter) -> LocalCopy:
    folder.mkdir(parents=True, exist_ok=True)
    stem = _digest(storage.place, storage.path_prefix, key)
    try:
        info = storage.stat(key)
    except Unreachable as error:
        copies = sorted(folder.glob(f"object-{stem}-*"), key=lambda path: path.stat().st_mtime)
        if not copies:
            raise
        log.warning("Using the last downloaded copy of %r: %s", key, error)
        return LocalCopy(copies[-1], None)
    if info.size > OBJECT_MAX_BYTES:
        said = f"it has {info.size:,} bytes, and an image may have {OBJECT_MAX_BYTES:,}"
        raise MediaError(sentence(f"load {key!r}", storage.place, said, "Choose an image."))
    path = _path(folder, stem, info)
    if not _is_complete(path, info):
        with _arriving.hold(stem, meter):
            if not _is_complete(path, info):  # no other thread has downloaded it meanwhile
                info, path = _download(storage, key, folder, stem, meter)
                _evict(folder, keep=path)
    with contextlib.suppress(OSError):
        os.utime(path)
    return LocalCopy(path, info.etag)


def _download(storage: Storage, key: str, folder: Path, stem: str, meter: Meter) -> tuple[ObjectInfo, Path]:
    """Download the object. It may have been replaced since it was looked at, even by a version in the
    cache.
    """
    arriving = folder / f"arriving-{uuid.uuid4().hex}"
    info = download(storage, key, arriving, meter)
    path = _path(folder, stem, info)
    if _is_complete(path, info):
        arriving.unlink()  # Windows replaces no file that is open
    else:
        arriving.replace(path)
    return info, path


def _path(folder: Path, stem: str, info: ObjectInfo) -> Path:
    """The path of the copy of this version; with the key's extension, which some decoders need."""
    extension = _EXTENSION.search(info.key)
    return folder / f"object-{stem}-{_digest(info.etag, str(info.size))}{extension[0] if extension else ''}"


def _is_complete(path: Path, info: ObjectInfo) -> bool:
    try:
        return path.stat().st_size == info.size
    except FileNotFoundError:
        return False


def _evict(folder: Path, keep: Path) -> None:
    """Delete the least recently used copies until the rest has at most MAX_BYTES."""
    copies = []
    for path in folder.glob("object-*"):
        with contextlib.suppress(FileNotFoundError):  # deleted by another thread
            status = path.stat()
            copies.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in copies)
    for _, size, path in sorted(copies):
        if total <= MAX_BYTES:
            return
        if path != keep:
            with contextlib.suppress(OSError):  # open on Windows, or deleted already
                path.unlink()
            total -= size


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:24]
