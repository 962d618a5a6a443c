"""Nodes that load one object: image, mask, video, audio.

An image is downloaded only if its ETag differs from the one of the copy in the cache; if the server cannot be
reached, that copy is used, and the node says so. Of videos and audio only the needed ranges are downloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from . import node_inputs
from .comfyui import results, server
from .comfyui import video as comfyui_video
from .loading import is_changed, load_request
from .media.audio import audio_loader
from .media.container import File
from .media.damage import LOAD, ImageDamage
from .media.image import image_decoder, preview
from .media.media_facts import MediaFacts
from .media.video import frame_sinks, frame_window, video_loader
from .system.meter import Meter

if TYPE_CHECKING:
    import torch

    from .profile import Profile

PICTURES = "cloud_storage_pictures"  # the key in a node's ``ui`` that web/node_runs.js reads

log = logging.getLogger("cloud_storage")


class _LoadNode:
    """What the nodes that load one object have in common."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    # Core 0.33 shows the result of such a node again when it is cached and the nodes after it are too
    # (execution.py, _is_intermediate_output). For core 0.3.64 web/runs.js does that.
    HAS_INTERMEDIATE_OUTPUT = True

    @classmethod
    def IS_CHANGED(cls, key: str | None = None, unique_id: str | None = None, **others: object) -> str:
        return is_changed.answer(unique_id, key, load_request.etag)


class LoadImageFromCloud(_LoadNode):
    """Load an image, or every frame of an animated one, as ComfyUI's own Load Image does."""

    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MASK"), ("image", "mask")
    DESCRIPTION = "Loads an image and its mask from the bucket. An unchanged object is not downloaded again."
    OUTPUT_TOOLTIPS = (
        "The image; a file with several frames gives a batch.",
        "The inverted alpha channel. An image without alpha gives zeros of the image's size.",
    )
    SEARCH_ALIASES = ("s3 load image", "download image", "image from bucket", "下载图像")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return _inputs()

    async def load(
        self,
        key: str = "",
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(file: image_decoder.ImageFile) -> tuple[tuple[Any, ...], torch.Tensor]:
            image, mask = file.decode()
            return (image, mask), image

        return await _load_image(key, profile, on_damage, unique_id, decode)


class LoadMaskFromCloud(_LoadNode):
    """Load one channel of an image as a mask, as ComfyUI's own Load Image (as Mask) does."""

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

    async def load(
        self,
        key: str = "",
        channel: str = "alpha",
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(file: image_decoder.ImageFile) -> tuple[tuple[Any, ...], torch.Tensor]:
            mask = file.decode_mask(channel)
            return (mask,), mask[..., None].expand(-1, -1, -1, 3)

        return await _load_image(key, profile, on_damage, unique_id, decode)


class LoadVideoFromCloud(_LoadNode):
    """Load frames of a video and their audio; only the needed part of the file is downloaded."""

    # The first output can be wired as either; web/nodes_page.js shows the one that it is.
    RETURN_TYPES = ("IMAGE,LATENT", "INT", "AUDIO", "VHS_VIDEOINFO", "VIDEO")
    RETURN_NAMES = ("images", "frame_count", "audio", "video_info", "video")
    DESCRIPTION = (
        "Loads frames of a video in the bucket, and their audio. Only the needed part of the file"
        " is downloaded. An unchanged object is not loaded again."
    )
    OUTPUT_TOOLTIPS = (
        "The frames, or a LATENT of them if a vae is connected.",
        "How many frames were loaded.",
        "The audio of exactly these frames; silence if the video has none.",
        "Frame rate, frame count, duration and size, of the file and of the loaded frames.",
        "The loaded frames and audio as a VIDEO; empty if a vae is connected.",
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
                        "tooltip": "How many frames per second to load, for example 16; 0: every "
                        "frame of the file.",
                    },
                ),
                "custom_width": node_inputs.count(
                    "Width in pixels, for example 512. 0: as in the file; or from custom_height, "
                    "in the file's aspect ratio.",
                    16384,
                ),
                "custom_height": node_inputs.count(
                    "Height in pixels, for example 512. 0: as in the file; or from custom_width, "
                    "in the file's aspect ratio.",
                    16384,
                ),
                "frame_load_cap": node_inputs.count("Load at most this many frames; 0: all."),
                "skip_first_frames": node_inputs.count("Skip this many frames at the start, for example 24."),
                "select_every_nth": node_inputs.count(
                    "Then load every nth frame: 2 is every second one.", least=1
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "vae": (
                    "VAE",
                    {"tooltip": "If connected, the frames are encoded, and the first output is a LATENT."},
                ),
                "format": (
                    list(frame_window.PRESETS),
                    {
                        "tooltip": "Load for this video model: with its frame rate (if force_rate"
                        " is 0), and with a size and a frame count that it accepts."
                    },
                ),
                "on_damage": node_inputs.ON_DAMAGE,
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

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
        window = frame_window.Window(
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
            return loaded, _preview(loaded.frames) if vae is None else {}

        (loaded, shown), status, file = await load_request.run(
            key, profile, unique_id, load_request.ranges, decode
        )
        files = [replace(file, facts=_facts_of(loaded.info))]
        lines = [status, *loaded.notes]
        facts = (loaded.count, loaded.audio, loaded.info)
        if vae is not None:
            video = results.blocked(
                "With a vae connected, Load Video from Cloud keeps no frames for a video."
            )
            return results.shown(({"samples": loaded.frames}, *facts, video), lines, files)
        sound = loaded.audio if loaded.has_audio else None
        opaque = loaded.frames[..., :3]  # ComfyUI's own Save Video accepts no fourth channel
        if opaque.shape != loaded.frames.shape:
            lines.append("The transparency is in images only: video has none.")
        video = comfyui_video.video_of(opaque, sound, loaded.rate)
        return results.shown((loaded.frames, *facts, video), lines, files, **shown)


class LoadAudioFromCloud(_LoadNode):
    """Load the audio of an audio or video file; only the needed part of the file is downloaded."""

    RETURN_TYPES, RETURN_NAMES = ("AUDIO",), ("audio",)
    DESCRIPTION = "Loads the audio of an audio or video file in the bucket, or a part of it."
    OUTPUT_TOOLTIPS = ("The audio, with the file's sample rate and all its channels.",)
    SEARCH_ALIASES = ("s3 load audio", "download audio", "下载音频")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"key": node_inputs.key("comfyui/audio/a.flac")},
            "optional": {
                "profile": node_inputs.PROFILE,
                "start_seconds": node_inputs.seconds("Start at this second, for example 2.5."),
                "duration_seconds": node_inputs.seconds("Load this many seconds; 0: to the end."),
                "on_damage": node_inputs.ON_DAMAGE,
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

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

        (audio, notes), status, file = await load_request.run(
            key, profile, unique_id, load_request.ranges, decode
        )
        if not (start_seconds or duration_seconds):  # else the file's own duration is unknown
            seconds = audio["waveform"].shape[-1] / audio["sample_rate"]
            file = replace(file, facts=MediaFacts(seconds=seconds))
        return results.shown((audio,), [status, *notes], [file])


async def _load_image(
    key: str,
    profile: Profile | None,
    on_damage: str,
    node_id: str | None,
    decode: Callable[[image_decoder.ImageFile], tuple[tuple[Any, ...], torch.Tensor]],
) -> dict[str, Any]:
    """What an image node returns. ``decode`` returns its outputs, and the frames to show."""
    damage = ImageDamage(key, image_decoder.TRIED, on_damage)

    def decode_copy(
        path: Path, name: str, _meter: Meter
    ) -> tuple[tuple[Any, ...], dict[str, Any], MediaFacts]:
        reader = comfyui_video.image_reader(path)
        outputs, frames = decode(image_decoder.ImageFile(path, name, reader, damage, server.free_memory))
        count, height, width = frames.shape[:3]
        return outputs, _preview(frames), MediaFacts(width, height, count if count > 1 else None)

    (outputs, shown, facts), status, file = await load_request.run(
        key, profile, node_id, load_request.copies(), decode_copy
    )
    return results.shown(outputs, [status, *damage.notes], [replace(file, facts=facts)], **shown)


def _facts_of(info: Mapping[str, int | float]) -> MediaFacts:
    """What a video's ``video_info`` says of the file."""
    width, height, count = (
        int(info[f"source_{name}"]) or None for name in ("width", "height", "frame_count")
    )
    return MediaFacts(width, height, count, info["source_duration"] or None)


def _preview(frames: torch.Tensor) -> dict[str, Any]:
    """The ``ui`` of a preview of frames [B, H, W, 3 or 4], animated if there are several: a query for
    ComfyUI's /view, with the true size. It is not in ``images``, which Assets, Save Image and Mask Editor
    use.

    Encoding takes time, so call it outside of ComfyUI's own thread. If it fails, there is no preview.
    """
    count, height, width = frames.shape[:3]
    try:
        shown = results.preview(preview.make_preview(frames), "webp")
    except Exception as error:  # noqa: BLE001  a missing preview must not make loading fail
        log.warning("There is no preview of what was loaded: %s", error)
        return {PICTURES: []}
    return {PICTURES: [urlencode({**shown, "width": width, "height": height, "frames": count})]}


def _inputs(**further: Any) -> dict[str, Any]:  # noqa: ANN401  ComfyUI's own form
    return {
        "required": {"key": node_inputs.key("comfyui/images/a.png"), **further},
        "optional": {"profile": node_inputs.PROFILE, "on_damage": node_inputs.ON_DAMAGE},
        "hidden": node_inputs.UNIQUE_ID,
    }


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
