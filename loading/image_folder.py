"""Loads the images of a folder in the bucket: fetched over as many connections as pay off while the listing
continues, and decoded on all processors.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..comfyui import cloud_files, folders, server, video
from ..comfyui.amounts import several
from ..comfyui.cloud_files import FETCHED, UNCHANGED, CloudFile
from ..errors import NotFound, Unreadable
from ..media.damage import FAIL, LOAD, ImageDamage
from ..media.image import batch_sizes
from ..media.image.image_decoder import TRIED, ImageFile
from ..media.media_facts import MediaFacts
from ..storage.base import ObjectInfo, Storage
from ..system import thread_pool
from ..system.budget import Budget
from ..system.concurrency import FIRST, MOST, AdaptiveConcurrency
from ..system.meter import Meter
from . import object_cache, selection

if TYPE_CHECKING:
    import torch

MOST_DOWNLOADS = MOST  # at the same time
DECODE_THREADS = max(1, os.cpu_count() or 1)
_decoding = Budget(DECODE_THREADS)  # more at once would only take turns

# Files that Pillow opens
EXTENSIONS = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".tga", ".jp2", ".ppm", ".ico"),
    )
)


@dataclass(frozen=True)
class LoadedImages:
    """Images and masks, as one batch each or one by one, and their keys; ``status`` and ``notes`` are for the
    user, ``notes`` about damaged files, and ``files`` for programs, in the order of ``keys``.
    """

    images: list[torch.Tensor]
    masks: list[torch.Tensor]
    keys: list[str]
    status: str
    notes: tuple[str, ...] = ()
    files: tuple[CloudFile, ...] = ()


def images(storage: Storage, prefix: str, pattern: str, choice: selection.Choice) -> Iterator[ObjectInfo]:
    """The chosen images of a folder, by their extensions: other files do not count. Raises NotFound.

    They come as the listing does, which is requested when they are drawn, except for the first.
    """
    found = choice.of(
        info
        for info in selection.matching(storage, prefix, pattern)
        if PurePosixPath(info.key).suffix.lower() in EXTENSIONS
    )
    first = next(found, None)
    if first is None:  # an empty list would fail in the next node, whose message would not say why
        left_out = f" after the first {choice.skip}" if choice.skip else ""
        raise NotFound(
            f"No image below {prefix!r} matches {pattern!r}{left_out} ({storage.place}). "
            "Check prefix, pattern and skip_first, and the profile's path_prefix."
        )
    return itertools.chain([first], found)


class Loading:
    """Loads the images of a folder; any thread may call ``words`` for a text on the progress."""

    def __init__(self) -> None:
        self.found: list[ObjectInfo] = []  # what ``load`` has drawn so far
        self._done = 0

    def words(self) -> str:
        return f"Loaded {self._done} of {several(len(self.found), '{} image', '{} images')},"

    def load(
        self,
        storage: Storage,
        chosen: Iterable[ObjectInfo],
        size_mode: str,
        meter: Meter,
        on_damage: str = LOAD,
        profile: str = "",
    ) -> LoadedImages:
        """Download the images that are not in the cache, decode them, and put them into batches.

        ``chosen``, at least one, may still be on its way: downloads begin with the first. Of an animated
        image only the first frame is taken, so that there is one image for each key. Files that are no images
        are left out, unless ``on_damage`` is FAIL or there are no others. Raises MediaError, which names the
        key, and what ``object_cache.fetch`` and drawing from ``chosen`` raise. ``profile`` is the name of the
        profile.
        """
        found, gathering = self.found, batch_sizes.Gathering(size_mode)
        unconfirmed: list[str] = []
        notes: dict[str, list[str]] = {}
        unreadable: dict[str, Unreadable] = {}
        arriving = meter.part(counts=False)  # the node's progress is that of images which are decoded
        downloads = AdaptiveConcurrency(
            lambda: arriving.done, MOST_DOWNLOADS, start=FIRST, refused=lambda: arriving.refusals
        )
        files: dict[str, CloudFile] = {}
        fetching = Budget(lambda: downloads.count)

        def listed() -> Iterator[tuple[int, ObjectInfo]]:
            for index, info in enumerate(chosen):
                found.append(info)
                meter.expect(info.size)
                yield index, info
            gathering.expect(len(found))

        def job(drawn: tuple[int, ObjectInfo]) -> Callable[[], None]:
            index, info = drawn

            def run() -> None:
                with fetching.hold(1, meter), arriving.governs():
                    cache = folders.temp_folder() / "cache"
                    own = arriving.part()
                    copy = object_cache.fetch(storage, info.key, cache, own, listed=info)
                if copy.etag is None:
                    unconfirmed.append(info.key)
                reader, damage = video.image_reader(copy.path), ImageDamage(info.key, TRIED, on_damage)
                file = ImageFile(copy.path, info.key, reader, damage, server.free_memory)
                notes[info.key] = damage.notes
                try:
                    with _decoding.hold(1, meter):
                        frame = file.decode(first_only=True)
                        gathering.add(index, frame)
                    self._done += 1
                    status, (height, width) = FETCHED if own.done else UNCHANGED, frame[0].shape[1:3]
                    files[info.key] = cloud_files.of_object(
                        status, storage, copy.info or info, profile, MediaFacts(width, height)
                    )
                except Unreadable as error:
                    if on_damage == FAIL:
                        raise
                    unreadable[info.key] = error
                    notes[info.key].append(str(error))
                meter.add(info.size)

            return run

        # Threads that decode fetch nothing meanwhile.
        jobs = map(job, thread_pool.ahead(listed()))
        thread_pool.run(jobs, lambda _: downloads() + DECODE_THREADS, on_failure=meter.stop)
        keys = [info.key for info in found if info.key not in unreadable]
        if not keys:
            raise unreadable[found[0].key]
        images, masks = gathering.result()
        status = _status(len(keys), len(unreadable), len(unconfirmed))
        missing = tuple(note for info in found for note in notes[info.key])
        told = tuple(files[key] for key in keys)
        return LoadedImages(images, masks, keys, status, missing, told)


def _status(loaded: int, left_out: int, unconfirmed: int) -> str:
    """Return the words for the user, by how many images there are of each kind."""
    status = f"Loaded {several(loaded, '{} image', '{} images')}."
    if left_out:
        one, many = "{} file that cannot be read", "{} files that cannot be read"
        status += f" Left out: {several(left_out, one, many)}."
    if unconfirmed:
        one, many = "{} image is a copy downloaded earlier", "{} images are copies downloaded earlier"
        status += f" The server cannot be reached: {several(unconfirmed, one, many)}."
    return status
