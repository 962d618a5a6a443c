"""Nodes that save what the graph made: images, video, audio.

A save is asynchronous: other nodes run while bytes travel. Nothing that exists is replaced unless the user
says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import results
from .comfyui import video as comfyui_video
from .comfyui.progress import Progress
from .media import formats, media_facts
from .media.audio import audio_encoder
from .media.image import image_encoder
from .media.media_facts import MediaFacts
from .media.video import video_plan, video_writer
from .saving import foreign_values
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult, in_order
from .saving.store_file import File
from .system.meter import Meter

if TYPE_CHECKING:
    import torch


class SaveImageToCloud(foreign_values.Tolerant):
    """Encode every image of a batch and store each under its own key."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "IMAGE"), ("urls", "keys", "images")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Saves every image to the bucket, with the workflow embedded. Existing objects are kept unless "
        "if_exists is overwrite."
    )
    OUTPUT_TOOLTIPS = (
        "One address for each image, joined by semicolons.",
        "The keys, one by one, for any node with a key input. Empty for a file that waits in the outbox.",
        "The images, unchanged.",
    )
    SEARCH_ALIASES = ("s3 save image", "upload image", "save to bucket", "oss", "上传图像")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The images to save; each becomes an object of its own."}),
                "key_prefix": node_inputs.key_prefix("comfyui/images/"),
                "filename": node_inputs.FILENAME,
                "format": (
                    list(image_encoder.FORMATS),
                    {
                        "tooltip": "png is lossless. Drop a png or webp file on the page to restore "
                        "its workflow."
                    },
                ),
                "quality": (
                    "INT",
                    {
                        "default": 95,
                        "min": 1,
                        "max": 100,
                        "tooltip": "Quality of jpg and webp, for example 90. png is always lossless.",
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                **node_inputs.OBJECT_OPTIONS,
                "embed_workflow": node_inputs.EMBED_WORKFLOW,
                "on_failure": node_inputs.ON_FAILURE,
            },
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    async def save(
        self,
        images: torch.Tensor,
        key_prefix: str = "comfyui/images/",
        format: str = "png",
        quality: int = 95,
        embed_workflow: bool = True,
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(key_prefix=key_prefix, unique_id=unique_id, **options).understood()
        metadata = request.metadata(embed_workflow)
        extension = image_encoder.FORMATS[format].name
        height, width = images.shape[1:3]

        def encode(index: int) -> File:
            encoded = image_encoder.encode(images[index], format, quality, metadata)
            facts = MediaFacts(width, height)
            return File(encoded.data, encoded.content_type, encoded.notes, facts=facts)

        def show(file: File, key: str) -> dict[str, str]:
            return results.preview(file.source, extension, key)

        def store(call: Call) -> SaveResult:
            names = request.names(extension, len(images), width, height)
            return request.save(names, encode, show, meter, call)

        saved = await in_order(unique_id, store, meter, progress)
        outputs = (saved.urls, saved.keys, images)
        return results.shown(outputs, saved.lines, saved.files, images=saved.previews)


class SaveVideoToCloud(foreign_values.Tolerant):
    """Store a video as a file: copied as it is where that is possible, else encoded."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "VIDEO"), ("urls", "keys", "video")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Saves a video to the bucket, with the workflow embedded. Existing objects are kept unless "
        "if_exists is overwrite."
    )
    OUTPUT_TOOLTIPS = (
        "The address of the video.",
        "The key, for any node with a key input. Empty for a file that waits in the outbox.",
        "The video, unchanged.",
    )
    SEARCH_ALIASES = ("s3 save video", "upload video", "mp4", "webm", "上传视频")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": ("VIDEO", {"tooltip": "The video to save."}),
                "key_prefix": node_inputs.key_prefix("comfyui/videos/"),
                "filename": node_inputs.FILENAME,
                "format": (
                    list(formats.FORMATS),
                    {
                        "tooltip": "auto copies a file without loss into the first of mp4, webm, "
                        "mkv and gif that can hold it. Frames become mp4, or webm if transparent."
                        " gif has no audio."
                    },
                ),
                "codec": (
                    list(formats.CODEC_CHOICES),
                    {
                        "tooltip": "auto copies the video if the format can hold it, or encodes "
                        "it with the format's usual codec. Any other codec always encodes."
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                **node_inputs.OBJECT_OPTIONS,
                "embed_workflow": node_inputs.EMBED_WORKFLOW,
                "crf": (
                    "INT",
                    {
                        "default": video_plan.CRF_OF_CODEC,
                        "min": video_plan.CRF_OF_CODEC,
                        "max": 63,
                        "tooltip": "Quality: a lower value is better and makes a larger file. -1:"
                        " the codec's usual value: h264 19, h265 22, vp9 26, av1 28. Any other "
                        "value always encodes.",
                    },
                ),
                "on_failure": node_inputs.ON_FAILURE,
            },
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    async def save(
        self,
        video: Any,  # noqa: ANN401  ComfyUI's VIDEO
        key_prefix: str = "comfyui/videos/",
        format: str = formats.AUTO,
        codec: str = formats.AUTO,
        embed_workflow: bool = True,
        crf: int = video_plan.CRF_OF_CODEC,
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded", "Encoded")
        request = SaveRequest(key_prefix=key_prefix, unique_id=unique_id, **options).understood()
        metadata = request.metadata(embed_workflow)

        def store(call: Call) -> SaveResult:
            with comfyui_video.video_clip(video) as clip:
                plan = video_plan.plan(clip, format, codec, crf)
                extension = plan.container.name
                target = results.new_preview(extension)

                def encode(_index: int) -> File:
                    notes = video_writer.write(plan, clip, target, metadata, meter)
                    facts = media_facts.of_video(target)
                    return File(target, plan.container.content_type, notes, linkable=True, facts=facts)

                def show(_file: File, key: str) -> dict[str, str]:
                    film = video_writer.playable(target, plan.container, results.new_preview, meter.part())
                    return results.preview(film, film.suffix, key)

                names = request.names(extension, 1, plan.width, plan.height)
                return request.save(names, encode, show, meter, call, look_first=True)

        saved = await in_order(unique_id, store, meter, progress)
        outputs = (saved.urls, saved.keys, video)
        return results.shown(outputs, saved.lines, saved.files, **results.player(saved.previews))


class SaveAudioToCloud(foreign_values.Tolerant):
    """Encode every clip of a batch and store each under its own key."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "AUDIO"), ("urls", "keys", "audio")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Saves every audio clip to the bucket, with the workflow embedded. Existing objects are kept unless "
        "if_exists is overwrite."
    )
    OUTPUT_TOOLTIPS = (
        "One address for each clip, joined by semicolons.",
        "The keys, one by one, for any node with a key input. Empty for a file that waits in the outbox.",
        "The audio, unchanged.",
    )
    SEARCH_ALIASES = ("s3 save audio", "upload audio", "mp3", "flac", "上传音频")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "audio": (
                    "AUDIO",
                    {"tooltip": "The audio to save; each clip becomes an object of its own."},
                ),
                "key_prefix": node_inputs.key_prefix("comfyui/audio/"),
                "filename": node_inputs.FILENAME,
                "format": (
                    list(formats.AUDIO_FORMATS),
                    {
                        "tooltip": "flac and wav are lossless with 24 bits. A wav file cannot "
                        "restore the workflow."
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "quality": (
                    list(formats.AUDIO_QUALITIES),
                    {
                        "tooltip": "Quality of mp3 (auto: V0, the best) and opus (auto: 128k); flac and wav "
                        "are lossless."
                    },
                ),
                **node_inputs.OBJECT_OPTIONS,
                "embed_workflow": node_inputs.EMBED_WORKFLOW,
                "on_failure": node_inputs.ON_FAILURE,
                "audioUI": node_inputs.AUDIO_PLAYER,
            },
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    async def save(
        self,
        audio: Any,  # noqa: ANN401  ComfyUI's AUDIO, of any mapping
        key_prefix: str = "comfyui/audio/",
        format: str = "flac",
        quality: str = formats.AUTO,
        embed_workflow: bool = True,
        audioUI: str = "",  # noqa: N803  what ComfyUI calls its player
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(key_prefix=key_prefix, unique_id=unique_id, **options).understood()
        metadata = request.metadata(embed_workflow)
        clips, rate = audio_encoder.clips(audio)
        form = formats.AUDIO_FORMATS[format]

        def encode(index: int) -> File:
            target = results.new_preview(form.name)
            notes = audio_encoder.encode(clips[index], rate, form, quality, metadata, target, meter)
            facts = MediaFacts(seconds=clips[index].shape[-1] / rate)
            return File(target, form.content_type, notes, linkable=True, facts=facts)

        def show(file: File, key: str) -> dict[str, str]:
            return results.preview(file.source, form.name, key)

        def store(call: Call) -> SaveResult:
            names = request.names(form.name, len(clips))
            return request.save(names, encode, show, meter, call)

        saved = await in_order(unique_id, store, meter, progress)
        return results.shown((saved.urls, saved.keys, audio), saved.lines, saved.files, audio=saved.previews)


NODE_CLASS_MAPPINGS = {
    "SaveImageToCloud": SaveImageToCloud,
    "SaveVideoToCloud": SaveVideoToCloud,
    "SaveAudioToCloud": SaveAudioToCloud,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SaveImageToCloud": "Save Image to Cloud",
    "SaveVideoToCloud": "Save Video to Cloud",
    "SaveAudioToCloud": "Save Audio to Cloud",
}
