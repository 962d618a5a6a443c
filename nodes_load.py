"""Nodes that bring objects into the graph: image and mask.

An object is fetched only when its ETag differs from the local copy's; offline, the last copy is used and said
so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from . import cache, freshness, host, inputs, media_image, media_kind
from .connect import storage_of
from .storage import Meter, Storage
from .transfer import watched

if TYPE_CHECKING:
    import torch

    from .profile import Profile

T = TypeVar("T")
Decode = Callable[[bytes, str, "media_image.Reader | None"], T]


class LoadImageFromCloud:
    """Load an image, or every frame of an animated one, as ComfyUI's own Load Image does."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK"), ("image", "mask")
    DESCRIPTION = (
        "Loads an image from the bucket. An unchanged object is neither downloaded nor loaded again."
    )
    OUTPUT_TOOLTIPS = (
        "The image; several frames come as a batch.",
        "The inverted alpha channel; zeros of the image's size where it has none.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return _inputs()

    @classmethod
    def IS_CHANGED(cls, key: str | None = None, profile: None = None, unique_id: str | None = None) -> str:
        return freshness.answer(unique_id, key, _etag)

    async def load(
        self, key: str = "", profile: Profile | None = None, unique_id: str | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return await _loaded(key, profile, unique_id, media_image.decode)


class LoadMaskFromCloud:
    """Load one channel of an image as a mask, as ComfyUI's own Load Image (as Mask) does."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("mask",)
    DESCRIPTION = "Loads one channel of an image in the bucket as a mask."
    OUTPUT_TOOLTIPS = ("The channel, 0 to 1; alpha is inverted, as in Load Image (as Mask).",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        channel = (
            list(media_image.CHANNELS),
            {"tooltip": "The channel that becomes the mask; alpha is inverted."},
        )
        return _inputs(channel=channel)

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        channel: str | None = None,
        profile: None = None,
        unique_id: str | None = None,
    ) -> str:
        return freshness.answer(unique_id, key, _etag)

    async def load(
        self,
        key: str = "",
        channel: str = "alpha",
        profile: Profile | None = None,
        unique_id: str | None = None,
    ) -> tuple[torch.Tensor]:
        def decode(data: bytes, name: str, reader: media_image.Reader | None) -> torch.Tensor:
            return media_image.decode_mask(data, channel, name, reader)

        return (await _loaded(key, profile, unique_id, decode),)


def _inputs(**further: Any) -> dict[str, Any]:  # noqa: ANN401  ComfyUI's own form
    return {
        "required": {"key": inputs.KEY, **further},
        "optional": {"profile": inputs.PROFILE},
        "hidden": inputs.UNIQUE_ID,
    }


async def _loaded(key: str, profile: Profile | None, node_id: str | None, decode: Decode[T]) -> T:
    """The object's content, decoded; with progress, Cancel, and a word on the node when the copy is old."""
    meter, progress = Meter(), host.Progress(node_id, "Downloaded")

    def fetch() -> tuple[T, bool]:
        storage = storage_of(profile, host.profiles_file())
        name = inputs.key_for(storage, key)
        copy = cache.fetch(storage, name, host.temp_folder() / "cache", meter)
        if copy.etag:
            freshness.remember(node_id, profile, key, copy.etag)
        data = copy.path.read_bytes()
        reader = host.image_reader(copy.path) if media_kind.is_image(data) else None
        return decode(data, name, reader), bool(copy.etag)

    result, current = await watched(fetch, meter, progress)
    if not current:
        progress.text("The server cannot be reached: this is the last downloaded copy.")
    return result


def _etag(storage: Storage, key: str) -> str:
    return storage.stat(inputs.key_for(storage, key)).etag


NODE_CLASS_MAPPINGS = {
    "LoadImageFromCloud": LoadImageFromCloud,
    "LoadMaskFromCloud": LoadMaskFromCloud,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadImageFromCloud": "Load Image from Cloud",
    "LoadMaskFromCloud": "Load Mask from Cloud",
}
