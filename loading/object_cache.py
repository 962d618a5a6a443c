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
import threading
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
KEPT = 7 / 8  # of MAX_BYTES, when copies are deleted: so not every further one makes another one go
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")

log = logging.getLogger("cloud_storage")

_arriving = KeyedLock()  # by the stems of their file names
_room: dict[Path, int] = {}  # bytes that may be added to a folder until it is looked through again
_lock = threading.Lock()


@dataclass(frozen=True)
class Limit:
    """How many bytes an object may have that is loaded as ``kind``, "an image"; None: OBJECT_MAX_BYTES."""

    kind: str = "an image"
    max_bytes: int | None = None


IMAGE = Limit()


@dataclass(frozen=True)
class LocalCopy:
    """A local file with an object's content. ``info`` is None if the server could not be reached, so that
    nobody knows whether the copy is current.
    """

    path: Path
    info: ObjectInfo | None

    @property
    def etag(self) -> str | None:
        """The object's; None if it is not known."""
        return self.info.etag if self.info else None


def fetch(
    storage: Storage,
    key: str,
    folder: Path,
    meter: Meter,
    limit: Limit = IMAGE,
    listed: ObjectInfo | None = None,
) -> LocalCopy:
    """Return a local copy of the object: after one HEAD if the cache has it, else after a download.

    ``listed`` is what a listing has just said of the object: then no HEAD is sent. What is downloaded is the
    object as it is by then. If the server cannot be reached, the last copy is returned, and Unreachable
    raised if there is none.
    Raises MediaError for an object that is larger than ``limit``, before the download, and StorageError if
    the disk refuses the copy. A later call may remove the file: read it at once. Threads that ask for one
    object at the same time download it once; one that waits raises TransferCancelled when its own ``meter``
    stops.
    """
    with disk_errors(f"load {key!r}", "ComfyUI's temp folder", DISK_ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
        stem = _digest(storage.place, storage.path_prefix, key)
        try:
            info = listed if listed is not None and listed.etag else storage.stat(key)
            return _fetch(storage, info, folder, stem, meter, limit)
        except Unreachable as error:
            copies = sorted(folder.glob(f"object-{stem}-*"), key=lambda path: path.stat().st_mtime)
            if not copies:
                raise
            log.warning("Using the last downloaded copy of %r: %s", key, error)
            return LocalCopy(copies[-1], None)


def used(folder: Path) -> int:
    """Return how many bytes the copies in ``folder`` have, which may be missing."""
    return sum(length for _, length, _ in _copies(folder))


def clear(folder: Path) -> None:
    """Delete the copies in ``folder``; one that is open on Windows stays."""
    for _, _, path in _copies(folder):
        with contextlib.suppress(OSError):
            path.unlink()
    with _lock:
        _room.pop(folder, None)


def _copies(folder: Path) -> list[tuple[float, int, Path]]:
    """When each copy was last used, its bytes, and its path."""
    found = []
    for path in folder.glob("object-*"):
        with contextlib.suppress(FileNotFoundError):  # deleted by another thread
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    return found


def _fetch(
    storage: Storage, info: ObjectInfo, folder: Path, stem: str, meter: Meter, limit: Limit
) -> LocalCopy:
    most = OBJECT_MAX_BYTES if limit.max_bytes is None else limit.max_bytes
    if info.size > most:
        said = f"it has {info.size:,} bytes, and {limit.kind} may have {most:,}"
        raise MediaError(sentence(f"load {info.key!r}", storage.place, said, f"Choose {limit.kind}."))
    path = _path(folder, stem, info)
    if not _is_complete(path, info):
        with _arriving.hold(stem, meter):
            if not _is_complete(path, info):  # no other thread has downloaded it meanwhile
                info, path = _download(storage, info.key, folder, stem, meter)
                _evict(folder, path, info.size)
    with contextlib.suppress(OSError):
        os.utime(path)
    return LocalCopy(path, info)


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


def _evict(folder: Path, new: Path, size: int) -> None:
    """Delete the least recently used copies if there may be more than MAX_BYTES, until there are KEPT of it.

    Looking through the folder takes as long as a small download, so it is done only when as many bytes have
    been added as there was room for the last time.
    """
    with _lock:
        _room[folder] = _room.get(folder, 0) - size
        if _room[folder] >= 0:
            return
    copies = _copies(folder)
    total = sum(length for _, length, _ in copies)
    most = MAX_BYTES * KEPT if total > MAX_BYTES else MAX_BYTES
    for _, length, path in sorted(copies):
        if total <= most:
            break
        if path != new:
            with contextlib.suppress(OSError):  # open on Windows, or deleted already
                path.unlink()
            total -= length
    with _lock:
        _room[folder] = MAX_BYTES - total


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:24]
