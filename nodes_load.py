"""Nodes that bring objects into the graph: image, mask, video, sound.

An image is fetched only when its ETag differs from the local copy's; offline, the last copy is used and said
so. Of films and sounds only the ranges travel that are needed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from . import node_inputs
from .comfyui import folders, results, server
from .comfyui import video as comfyui_video
from .comfyui.amounts import in_bytes
from .comfyui.progress import Progress
from .loading import is_changed, object_cache
from .loading.range_reader import RangeReader
from .media.audio import audio_loader
from .media.damage import LOAD, Damage
from .media.image import image_decoder, preview
from .media.truncation import File
from .media.video import frame_sinks, frame_window, video_loader
from .storage.base import Storage
from .storage.connect import storage_of
from .system.meter import Meter
from .system.watch import watched

if TYPE_CHECKING:
    import torch

    from .profile import Profile

PICTURES = "cloud_storage_pictures"  # what web/cloud_storage.js looks for in a node's ``ui``
# HAS_INTERMEDIATE_OUTPUT: core 0.33 sends again what such a node has to show when all behind it is cached too
# (execution.py, _is_intermediate_output). For core 0.3.64 web/runs.js asks for it.

log = logging.getLogger("cloud_storage")
T = TypeVar("T")
Pictured = tuple[tuple[Any, ...], dict[str, Any]]  # what a node gives, and ``ui`` for a picture of it
Decode = Callable[[image_decoder.ImageFile], T]


class LoadImageFromCloud:
    """Load an image, or every frame of an animated one, as ComfyUI's own Load Image does."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # a cached node is shown again, see above
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK"), ("image", "mask")
    DESCRIPTION = "Loads an image and its mask from the bucket. An unchanged object is not downloaded again."
    OUTPUT_TOOLTIPS = (
        "The image; several frames come as a batch.",
        "The inverted alpha channel; zeros of the image's size if it has none.",
    )
    SEARCH_ALIASES = ("s3 load image", "download image", "image from bucket", "下载图像")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return _inputs()

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        profile: None = None,
        on_damage: str | None = None,
        unique_id: str | None = None,
    ) -> str:
        return is_changed.answer(unique_id, key, _etag)

    async def load(
        self,
        key: str = "",
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(file: image_decoder.ImageFile) -> Pictured:
            image, mask = file.decode()
            return (image, mask), _picture(image)

        (outputs, picture), lines = await _loaded(key, profile, on_damage, unique_id, decode)
        return results.shown(outputs, lines, **picture)


class LoadMaskFromCloud:
    """Load one channel of an image as a mask, as ComfyUI's own Load Image (as Mask) does."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # a cached node is shown again, see above
    RETURN_TYPES, RETURN_NAMES = ("MASK",), ("mask",)
    DESCRIPTION = "Loads one channel of an image in the bucket as a mask."
    OUTPUT_TOOLTIPS = ("The channel, 0 to 1; alpha is inverted, as in Load Image (as Mask).",)
    SEARCH_ALIASES = ("s3 load mask", "download mask", "alpha", "下载遮罩")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        channel = (
            list(image_decoder.CHANNELS),
            {"tooltip": "The channel that becomes the mask; alpha is inverted."},
        )
        return _inputs(channel=channel)

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        channel: str | None = None,
        profile: None = None,
        on_damage: str | None = None,
        unique_id: str | None = None,
    ) -> str:
        return is_changed.answer(unique_id, key, _etag)

    async def load(
        self,
        key: str = "",
        channel: str = "alpha",
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(file: image_decoder.ImageFile) -> Pictured:
            mask = file.decode_mask(channel)
            return (mask,), _picture(mask[..., None].expand(-1, -1, -1, 3))

        (outputs, picture), lines = await _loaded(key, profile, on_damage, unique_id, decode)
        return results.shown(outputs, lines, **picture)


class LoadVideoFromCloud:
    """Load frames of a film and their sound; only the part of the file that holds them is downloaded."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # a cached node is shown again, see above
    # Either fits a wire of the first output; the page shows which it is.
    RETURN_TYPES = ("IMAGE,LATENT", "INT", "AUDIO", "VHS_VIDEOINFO", "VIDEO")
    RETURN_NAMES = ("images", "frame_count", "audio", "video_info", "video")
    DESCRIPTION = (
        "Loads frames of a video in the bucket, and their audio. Only the part of the file that is needed "
        "is downloaded; an unchanged object is not loaded again."
    )
    OUTPUT_TOOLTIPS = (
        "The frames; a LATENT of them if a vae is connected.",
        "How many frames were loaded.",
        "The audio of exactly these frames; silence if the video has none.",
        "Frame rate, frame count, duration and size, of the file and of what was loaded.",
        "The loaded frames and audio as a VIDEO; none if a vae is connected.",
    )
    SEARCH_ALIASES = ("s3 load video", "download video", "frames", "下载视频")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "key": node_inputs.key("comfyui/videos/a.mp4"),
                "force_rate": (
                    "FLOAT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": 240,
                        "step": 0.01,
                        "tooltip": "Frames per second, picked by the file's own times; 0: every frame.",
                    },
                ),
                "custom_width": node_inputs.count(
                    "In pixels; 0: as in the file, or the ratio to custom_height is kept.", 16384
                ),
                "custom_height": node_inputs.count(
                    "In pixels; 0: as in the file, or the ratio to custom_width is kept.", 16384
                ),
                "frame_load_cap": node_inputs.count("Load at most this many frames; 0: all."),
                "skip_first_frames": node_inputs.count("Skip this many frames at the start."),
                "select_every_nth": node_inputs.count("Take every nth of the remaining frames.", least=1),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "vae": (
                    "VAE",
                    {"tooltip": "If connected, frames are encoded and the first output is a LATENT."},
                ),
                "format": (
                    list(frame_window.PRESETS),
                    {
                        "tooltip": "The video model to load for: its frame rate if force_rate is 0, a size "
                        "and a frame count that it accepts."
                    },
                ),
                "on_damage": node_inputs.ON_DAMAGE,
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        force_rate: float | None = None,
        custom_width: int | None = None,
        custom_height: int | None = None,
        frame_load_cap: int | None = None,
        skip_first_frames: int | None = None,
        select_every_nth: int | None = None,
        profile: None = None,
        vae: None = None,
        format: str | None = None,
        on_damage: str | None = None,
        unique_id: str | None = None,
    ) -> str:
        return is_changed.answer(unique_id, key, _etag)

    async def load(
        self,
        key: str = "",
        force_rate: float = 0,
        custom_width: int = 0,
        custom_height: int = 0,
        frame_load_cap: int = 0,
        skip_first_frames: int = 0,
        select_every_nth: int = 1,
        profile: Profile | None = None,
        vae: Any = None,  # noqa: ANN401  ComfyUI's VAE
        format: str = frame_window.NONE,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        window = frame_window.window(
            force_rate,
            custom_width,
            custom_height,
            frame_load_cap,
            skip_first_frames,
            select_every_nth,
            format,
        )

        def decode(source: File, name: str, meter: Meter) -> tuple[video_loader.Loaded, dict[str, Any]]:
            sink = frame_sinks.Tensor() if vae is None else frame_sinks.Latents(vae, meter)
            loaded = video_loader.load(source, name, window, sink, meter, server.free_memory, on_damage)
            return loaded, _picture(loaded.frames) if vae is None else {}

        (loaded, picture), status = await _read(key, profile, unique_id, decode)
        lines = [status, *loaded.notes]
        facts = (loaded.count, loaded.sound, loaded.info)
        if vae is not None:
            video = results.blocked(
                "With a vae connected, Load Video from Cloud keeps no frames for a video."
            )
            return results.shown(({"samples": loaded.frames}, *facts, video), lines)
        sound = loaded.sound if loaded.has_sound else None
        opaque = loaded.frames[..., :3]  # ComfyUI's own Save Video takes no fourth channel
        if opaque.shape != loaded.frames.shape:
            lines.append("The transparency is in images only: video has none.")
        video = comfyui_video.video_of(opaque, sound, loaded.rate)
        return results.shown((loaded.frames, *facts, video), lines, **picture)


class LoadAudioFromCloud:
    """Load sound from a file of sound or of video; only the part of the file that is needed is downloaded."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # a cached node is shown again, see above
    RETURN_TYPES, RETURN_NAMES = ("AUDIO",), ("audio",)
    DESCRIPTION = "Loads the audio of an audio or video file in the bucket, or a part of it."
    OUTPUT_TOOLTIPS = ("The audio at the file's own sample rate, with all channels.",)
    SEARCH_ALIASES = ("s3 load audio", "download audio", "下载音频")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"key": node_inputs.key("comfyui/audio/a.flac")},
            "optional": {
                "profile": node_inputs.PROFILE,
                "start_seconds": node_inputs.seconds("Start here."),
                "duration_seconds": node_inputs.seconds("Load this much; 0: to the end."),
                "on_damage": node_inputs.ON_DAMAGE,
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        profile: None = None,
        start_seconds: float | None = None,
        duration_seconds: float | None = None,
        on_damage: str | None = None,
        unique_id: str | None = None,
    ) -> str:
        return is_changed.answer(unique_id, key, _etag)

    async def load(
        self,
        key: str = "",
        profile: Profile | None = None,
        start_seconds: float = 0,
        duration_seconds: float = 0,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(source: File, name: str, meter: Meter) -> tuple[dict[str, Any], tuple[str, ...]]:
            return audio_loader.load(
                source, name, start_seconds, duration_seconds, meter, on_damage, server.free_memory
            )

        (audio, notes), status = await _read(key, profile, unique_id, decode)
        return results.shown((audio,), [status, *notes])


async def _read(
    key: str, profile: Profile | None, node_id: str | None, decode: Callable[[File, str, Meter], T]
) -> tuple[T, str]:
    """What ``decode`` makes of the object, read by ranges, and a line on it; with progress and Cancel."""
    meter, progress = Meter(), Progress(node_id, "Downloaded", "Loaded")

    def read() -> T:
        storage = storage_of(profile, folders.profiles_file())
        name = node_inputs.key_for(storage, key)
        with contextlib.closing(RangeReader(storage, name, meter)) as source:
            is_changed.remember(node_id, profile, key, source.info.etag)
            return decode(source, name, meter)

    result = await watched(read, meter, progress)
    status = f"Loaded {key}, {in_bytes(meter.done)} downloaded."
    progress.text(status)
    return result, status


def _picture(frames: torch.Tensor) -> dict[str, Any]:
    """``ui`` for a small picture of frames [B, H, W, 3 or 4], which moves where there are several: a query of
    ComfyUI's /view, and the true size. Not in ``images``, which its assets, Save Image and Mask Editor take.

    Encoding takes its time: not for the thread in which ComfyUI runs its nodes. Where it fails there is none.
    """
    count, height, width = frames.shape[:3]
    try:
        shown = results.preview(preview.small(frames), "webp")
    except Exception as error:  # noqa: BLE001  a preview is not worth what was loaded
        log.warning("There is no preview of what was loaded: %s", error)
        return {PICTURES: []}
    return {PICTURES: [urlencode({**shown, "width": width, "height": height, "frames": count})]}


def _inputs(**further: Any) -> dict[str, Any]:  # noqa: ANN401  ComfyUI's own form
    return {
        "required": {"key": node_inputs.key("comfyui/images/a.png"), **further},
        "optional": {"profile": node_inputs.PROFILE, "on_damage": node_inputs.ON_DAMAGE},
        "hidden": node_inputs.UNIQUE_ID,
    }


async def _loaded(
    key: str, profile: Profile | None, on_damage: str, node_id: str | None, decode: Decode[T]
) -> tuple[T, list[str]]:
    """The object's content, decoded, and lines on where it came from and what is missing; with progress and
    Cancel.
    """
    meter, progress = Meter(), Progress(node_id, "Downloaded")
    damage = Damage(key, image_decoder.TRIED, on_damage)

    def fetch() -> tuple[T, bool]:
        storage = storage_of(profile, folders.profiles_file())
        name = node_inputs.key_for(storage, key)
        copy = object_cache.fetch(storage, name, folders.temp_folder() / "cache", meter)
        is_changed.remember(node_id, profile, key, copy.etag or None)
        reader = comfyui_video.image_reader(copy.path)
        file = image_decoder.ImageFile(copy.path, name, reader, damage, server.free_memory)
        return decode(file), bool(copy.etag)

    result, current = await watched(fetch, meter, progress)
    if not current:
        status = "The server cannot be reached: this is the last downloaded copy."
    elif meter.done:
        status = f"Loaded {key}, {in_bytes(meter.done)} downloaded."
    else:
        status = f"Loaded {key}, unchanged."
    progress.text(status)
    return result, [status, *damage.notes]


def _etag(storage: Storage, key: str, _how: None) -> str:
    return storage.stat(node_inputs.key_for(storage, key)).etag


NODE_CLASS_MAPPINGS = {
    "LoadImageFromCloud": LoadImageFromCloud,
    "LoadMaskFromCloud": LoadMaskFromCloud,
    "LoadVideoFromCloud": LoadVideoFromCloud,
    "LoadAudioFromCloud": LoadAudioFromCloud,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadImageFromCloud": "Load Image from Cloud",
    "LoadMaskFromCloud": "Load Mask from Cloud",
    "LoadVideoFromCloud": "Load Video from Cloud",
    "LoadAudioFromCloud": "Load Audio from Cloud",
}
