"""Objects already read, kept below ComfyUI's temp folder and used again while the ETag says they are
unchanged.

The folder is bounded in size, least recently used first. What it holds is only ever a copy: losing it costs a
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

from ..errors import DISK_ADVICE, MediaError, Unreachable, disk_told, sentence
from ..storage.base import ObjectInfo, Storage
from ..system.locks import KeyedLock
from ..system.meter import Meter
from .download import download

MAX_BYTES = 2 << 30
OBJECT_MAX_BYTES = 4 << 30  # no image that fits into memory as pixels is larger; a model soon is
_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")

log = logging.getLogger("cloud_storage")

_arriving = KeyedLock()  # by the stems of copies


@dataclass(frozen=True)
class Copy:
    """A local file with an object's content. ``etag`` is empty where the server could not confirm that it is
    current.
    """

    path: Path
    etag: str


def fetch(storage: Storage, key: str, folder: Path, meter: Meter) -> Copy:
    """A local copy of the object: one HEAD where the one at hand is still good, a download otherwise.

    Where the server cannot be reached, the last copy is used; without one, Unreachable is raised. MediaError
    is raised for an object that is too large for an image, before it travels. The file may be removed by a
    later call: read it at once. Threads that ask for one object at the same time, as the items of a list may,
    download it once; who waits for that raises TransferCancelled when its own ``meter`` stops. StorageError
    is raised where the disk does not take the copy.
    """
    with disk_told(f"load {key!r}", "ComfyUI's temp folder", DISK_ADVICE):
        return _fetched(storage, key, folder, meter)


def _fetched(storage: Storage, key: str, folder: Path, meter: Meter) -> Copy:
    folder.mkdir(parents=True, exist_ok=True)
    stem = _digest(storage.place, storage.path_prefix, key)
    try:
        info = storage.stat(key)
    except Unreachable as error:
        copies = sorted(folder.glob(f"object-{stem}-*"), key=lambda path: path.stat().st_mtime)
        if not copies:
            raise
        log.warning("Using the last downloaded copy of %r: %s", key, error)
        return Copy(copies[-1], "")
    if info.size > OBJECT_MAX_BYTES:
        said = f"it has {info.size:,} bytes, and an image may have {OBJECT_MAX_BYTES:,}"
        raise MediaError(sentence(f"load {key!r}", storage.place, said, "Choose an image."))
    path = _copy(folder, stem, info)
    if not _is_whole(path, info):
        with _arriving.hold(stem, meter):
            if not _is_whole(path, info):  # nobody has brought it meanwhile
                info, path = _bring(storage, key, folder, stem, meter)
                _evict(folder, keep=path)
    with contextlib.suppress(OSError):
        os.utime(path)
    return Copy(path, info.etag)


def _bring(storage: Storage, key: str, folder: Path, stem: str, meter: Meter) -> tuple[ObjectInfo, Path]:
    """Download the object; it may be another version by now than was asked for, and one that is at hand."""
    arriving = folder / f"arriving-{uuid.uuid4().hex}"
    info = download(storage, key, arriving, meter)
    path = _copy(folder, stem, info)
    if _is_whole(path, info):
        arriving.unlink()  # Windows replaces no file that somebody reads
    else:
        arriving.replace(path)
    return info, path


def _copy(folder: Path, stem: str, info: ObjectInfo) -> Path:
    """Where the copy of this version lies; it keeps the key's extension, which some decoders go by."""
    extension = _EXTENSION.search(info.key)
    return folder / f"object-{stem}-{_digest(info.etag, str(info.size))}{extension[0] if extension else ''}"


def _is_whole(path: Path, info: ObjectInfo) -> bool:
    try:
        return path.stat().st_size == info.size
    except FileNotFoundError:
        return False


def _evict(folder: Path, keep: Path) -> None:
    """Remove the least recently used copies until the rest fits into MAX_BYTES."""
    held = []
    for path in folder.glob("object-*"):
        with contextlib.suppress(FileNotFoundError):  # another load evicts at the same time
            status = path.stat()
            held.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in held)
    for _, size, path in sorted(held):
        if total <= MAX_BYTES:
            return
        if path != keep:
            with contextlib.suppress(OSError):  # open on Windows, or gone: the next eviction finds it
                path.unlink()
            total -= size


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:24]
