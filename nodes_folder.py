"""The node that loads the images of a folder in the bucket."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import cloud_files, folders, results
from .comfyui.progress import Progress
from .loading import image_folder, is_changed, selection
from .media.damage import LOAD
from .media.image import batch_sizes
from .storage.base import ObjectInfo, Storage
from .storage.connect import storage_of
from .system.meter import Meter
from .system.watch import run_in_thread

if TYPE_CHECKING:
    from .profile import Profile

_CHOICE = ("pattern", "sort", "skip_first", "select_every_nth", "limit")  # the widgets of ``_images``


class LoadImagesFromCloud:
    """Load the images of a folder, as one batch or one by one."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # as in nodes_load.py
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK", "STRING", "INT"), ("images", "masks", "keys", "count")
    OUTPUT_IS_LIST = (True, True, True, False)  # a batch is a list of one
    DESCRIPTION = (
        "Loads the images of a folder in the bucket. Of an animated image, only the first frame is loaded."
    )
    OUTPUT_TOOLTIPS = (
        "One batch in the size of the first image, or one item for each image.",
        "The masks of the images in the same form: the inverted alpha channel, 1 where padding was added.",
        "The keys of the images, one by one, in the same order.",
        "How many images were loaded.",
    )
    SEARCH_ALIASES = ("s3 load images", "load folder", "batch from bucket", "批量加载图像")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "prefix": node_inputs.text_input(
                    "Load the images in this folder, for example comfyui/images/."
                ),
                "pattern": node_inputs.text_input(
                    "Load only keys that match this after the prefix, for example *.png or cat_??.webp.", "*"
                ),
                "sort": (
                    list(selection.FOLDER_SORTS),
                    {"tooltip": "The order of the images: by name, newest first or oldest first."},
                ),
                "skip_first": node_inputs.count(
                    "Skip this many images at the start, for example 10.", 100_000
                ),
                "select_every_nth": node_inputs.count(
                    "Then load every nth image: 2 is every second one.", 100_000, least=1
                ),
                "limit": (
                    "INT",
                    {"default": 16, "min": 1, "max": 4096, "tooltip": "Load at most this many images."},
                ),
                "size_mode": (
                    list(batch_sizes.SIZE_MODES),
                    {
                        "tooltip": "If the images have different sizes: pad, crop or stretch them"
                        " to the size of the first one, or output each image on its own."
                    },
                ),
            },
            "optional": {"profile": node_inputs.PROFILE, "on_damage": node_inputs.ON_DAMAGE},
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(cls, prefix: str | None = None, unique_id: str | None = None, **widgets: Hashable) -> str:
        def state(storage: Storage, prefix: str, how: tuple[str, str, int, int, int]) -> str:
            return selection.state(_images(storage, prefix, *how))

        how = is_changed.given(*map(widgets.get, _CHOICE))
        return is_changed.answer(unique_id, prefix, state, how)

    async def load(
        self,
        prefix: str = "",
        pattern: str = "*",
        sort: str = selection.NAME,
        skip_first: int = 0,
        select_every_nth: int = 1,
        limit: int = 16,
        size_mode: str = batch_sizes.SIZE_MODES[0],
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, loading = Meter(), image_folder.Loading()
        progress = Progress(unique_id, loading.words)

        def load() -> image_folder.LoadedImages:
            storage = storage_of(profile, folders.profiles_file())
            how = pattern, sort, skip_first, select_every_nth, limit
            chosen = _images(storage, prefix, *how)
            name = cloud_files.profile_name(profile)
            loaded = loading.load(storage, chosen, size_mode, meter, on_damage, name)
            is_changed.remember(unique_id, profile, prefix, selection.state(loading.found), how)
            return loaded

        loaded = await run_in_thread(load, meter, progress)
        progress.text(loaded.status)
        outputs = (loaded.images, loaded.masks, loaded.keys, len(loaded.keys))
        return results.shown(outputs, [loaded.status, *loaded.notes], loaded.files)


def _images(
    storage: Storage, prefix: str, pattern: str, sort: str, skip: int, nth: int, limit: int
) -> Iterator[ObjectInfo]:
    return image_folder.images(storage, prefix, pattern, selection.Choice(sort, skip, nth, limit))


NODE_CLASS_MAPPINGS = {"LoadImagesFromCloud": LoadImagesFromCloud}
NODE_DISPLAY_NAME_MAPPINGS = {"LoadImagesFromCloud": "Load Image Folder from Cloud"}
