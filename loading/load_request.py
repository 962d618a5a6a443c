"""Loads one object for a node: opens it, decodes it in a thread, and says what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ..comfyui import cloud_files, folders
from ..comfyui.amounts import in_bytes
from ..comfyui.cloud_files import FETCHED, UNCHANGED, CloudFile
from ..comfyui.progress import Progress
from ..profile import Profile
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import storage_of
from ..storage.keys import existing_key
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import is_changed, object_cache
from .range_reader import RangeReader

T = TypeVar("T")
Opened = TypeVar("Opened")

# Yields the opened object, and what the server says of it; None if the server could not be reached.
Open = Callable[[Storage, str, Meter], "contextlib.AbstractContextManager[tuple[Opened, ObjectInfo | None]]"]


async def run(
    key: str,
    profile: Profile | None,
    node_id: str | None,
    open_object: Open[Opened],
    decode: Callable[[Opened, str, Meter], T],
) -> tuple[T, str, CloudFile]:
    """Open the object, decode it, and return the result, a status line, and the file for programs; with
    progress and Cancel.
    """
    meter, progress = Meter(), Progress(node_id, "Downloaded", "Loaded")

    def work() -> tuple[T, CloudFile, bool]:
        storage = storage_of(profile, folders.profiles_file())
        name = existing_key(key, storage.room_for_key)
        used = cloud_files.profile_name(profile)
        with open_object(storage, name, meter) as (source, info):
            is_changed.remember(node_id, profile, key, info.etag if info else None)
            result, became = decode(source, name, meter), FETCHED if meter.done else UNCHANGED
        if info is None:
            return result, CloudFile(became, storage.bucket, name, profile=used), False
        return result, cloud_files.of_object(became, storage, info, used), True

    result, file, is_current = await run_in_thread(work, meter, progress)
    if not is_current:
        status = "The server cannot be reached: this is the last downloaded copy."
    elif meter.done:
        status = f"Loaded {key}, {in_bytes(meter.done)} downloaded."
    else:
        status = f"Loaded {key}, unchanged."
    progress.text(status)
    return result, status, file


@contextlib.contextmanager
def ranges(storage: Storage, key: str, meter: Meter) -> Iterator[tuple[RangeReader, ObjectInfo | None]]:
    """The object as a file of which only the parts that are read are downloaded."""
    with contextlib.closing(RangeReader(storage, key, meter)) as source:
        yield source, source.info


def copies(limit: object_cache.Limit = object_cache.IMAGE) -> Open[Path]:
    """Open an object as a file of the cache; one that is larger than ``limit`` raises MediaError."""

    @contextlib.contextmanager
    def open_copy(storage: Storage, key: str, meter: Meter) -> Iterator[tuple[Path, ObjectInfo | None]]:
        copy = object_cache.fetch(storage, key, folders.temp_folder() / "cache", meter, limit)
        yield copy.path, copy.info

    return open_copy


def etag(storage: Storage, key: str, _how: None) -> str:
    """The object's ETag, as state for ``is_changed.answer``."""
    return storage.stat(existing_key(key, storage.room_for_key)).etag
