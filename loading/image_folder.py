"""The images of a folder in the bucket, loaded side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ..comfyui import folders, server, video
from ..comfyui.amounts import several
from ..errors import NotFound
from ..media.damage import LOAD, Damage
from ..media.image import batch_sizes
from ..media.image.image_decoder import TRIED, ImageFile
from ..storage.base import ObjectInfo, Storage
from ..system import thread_pool
from ..system.meter import Meter
from . import object_cache, selection

if TYPE_CHECKING:
    import torch

THREADS = 8  # a small object is mostly waited for

# Of what Pillow opens
EXTENSIONS = frozenset(
    (
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
        *(".avif", ".tga", ".jp2", ".ppm", ".ico"),
    )
)


@dataclass(frozen=True)
class Loaded:
    """List outputs of a node: images and masks, as one batch or one by one; and sentences for the user.

    ``notes`` say what is missing of which image.
    """

    images: list[torch.Tensor]
    masks: list[torch.Tensor]
    keys: list[str]
    status: str
    notes: tuple[str, ...] = ()


def images(storage: Storage, prefix: str, pattern: str, choice: selection.Choice) -> Sequence[ObjectInfo]:
    """The images that are meant, by their extensions: other files of the folder do not count. Raises
    NotFound.
    """
    found = choice.of(
        info
        for info in selection.matching(storage, prefix, pattern)
        if PurePosixPath(info.key).suffix.lower() in EXTENSIONS
    )
    if not found:  # an empty list would fail in the next node, with words that name nothing
        left_out = f" once {choice.skip} are skipped" if choice.skip else ""
        raise NotFound(
            f"No image below {prefix!r} matches {pattern!r}{left_out} ({storage.place}). "
            "Check prefix, pattern and skip_first, and the profile's path_prefix."
        )
    return found


class Loading:
    """Loads the images of a folder; ``words`` says meanwhile, from any thread, how far it is."""

    def __init__(self) -> None:
        self._done, self._count = 0, 0

    def words(self) -> str:
        return f"Loaded {self._done} of {several(self._count, '{} image', '{} images')},"

    def load(
        self,
        storage: Storage,
        found: Sequence[ObjectInfo],
        size_mode: str,
        meter: Meter,
        on_damage: str = LOAD,
    ) -> Loaded:
        """Download what is not at hand, decode, and gather by ``image_sizes.gathered``.

        Of a file with several frames comes the first, so that images and keys go together. Raises MediaError,
        which names the key, and what ``cache.fetch`` raises.
        """
        self._count = len(found)
        meter.expect(sum(info.size for info in found))
        old: list[str] = []
        notes: dict[str, list[str]] = {}

        def job(info: ObjectInfo) -> Callable[[], batch_sizes.Frames]:
            def run() -> batch_sizes.Frames:
                copy = object_cache.fetch(
                    storage, info.key, folders.temp_folder() / "cache", meter.part(counts=False)
                )
                if not copy.etag:
                    old.append(info.key)
                reader, damage = video.image_reader(copy.path), Damage(info.key, TRIED, on_damage)
                file = ImageFile(copy.path, info.key, reader, damage, server.free_memory)
                frame = file.decode(first_only=True)
                self._done += 1
                meter.add(info.size)
                notes[info.key] = damage.notes
                return frame

            return run

        pictures = thread_pool.run(map(job, found), min(THREADS, len(found)), on_failure=meter.stop)
        pictures.reverse()
        one_by_one = (pictures.pop() for _ in found)  # none is held twice, in the list and in the batch
        gathered, masks = batch_sizes.gathered(one_by_one, len(found), size_mode)
        status = f"Loaded {several(len(found), '{} image', '{} images')}."
        if old:
            one, many = "{} image is a copy downloaded earlier", "{} images are copies downloaded earlier"
            copies = several(len(old), one, many)
            status += f" The server cannot be reached: {copies}."
        missing = tuple(note for info in found for note in notes[info.key])
        return Loaded(gathered, masks, [info.key for info in found], status, missing)
