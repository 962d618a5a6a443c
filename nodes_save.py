"""Nodes that store what the graph made: images.

A save is asynchronous: other nodes run while bytes travel. Nothing that exists is replaced unless the user
says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import host, inputs, media_image, saving
from .connect import storage_of
from .naming import NameContext, Template
from .storage import Meter
from .transfer import watched

if TYPE_CHECKING:
    import torch

    from .profile import Profile


class SaveImageToCloud:
    """Encode every image of a batch and store each under its own key."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "IMAGE"), ("urls", "keys", "images")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Stores every image of the batch in the bucket, the workflow inside, and never over an existing one."
    )
    OUTPUT_TOOLTIPS = (
        "One address per image, joined by semicolons.",
        "The keys, one by one; any node with a key input takes them.",
        "The images as they came in.",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The images to store; each becomes an object of its own."}),
                "key_prefix": inputs.key_prefix("comfyui/images/"),
                "filename": inputs.FILENAME,
                "format": (
                    list(media_image.FORMATS),
                    {"tooltip": "png is lossless; png and webp bring the workflow back when dropped in."},
                ),
                "quality": (
                    "INT",
                    {
                        "default": 95,
                        "min": 1,
                        "max": 100,
                        "tooltip": "Of jpg and webp; png is always lossless.",
                    },
                ),
            },
            "optional": {
                "profile": inputs.PROFILE,
                "if_exists": inputs.IF_EXISTS,
                "link": inputs.LINK,
                "expires_hours": inputs.EXPIRES_HOURS,
                "embed_workflow": inputs.EMBED_WORKFLOW,
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", **inputs.UNIQUE_ID},
        }

    async def save(
        self,
        images: torch.Tensor,
        key_prefix: str = "comfyui/images/",
        filename: str = "ComfyUI_%counter%",
        format: str = "png",
        quality: int = 95,
        profile: Profile | None = None,
        if_exists: str = saving.NEW_NAME,
        link: str = saving.OBJECT_URL,
        expires_hours: int = 24,
        embed_workflow: bool = True,
        prompt: dict[str, Any] | None = None,
        extra_pnginfo: dict[str, Any] | None = None,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        embeds = embed_workflow and not host.metadata_disabled()
        metadata = media_image.Metadata(prompt, extra_pnginfo) if embeds else None
        meter, progress = Meter(), host.Progress(unique_id, "Uploaded")

        def encode(index: int) -> saving.File:
            encoded = media_image.encode(images[index], format, quality, metadata)
            return saving.File(encoded.data, encoded.content_type, encoded.notes)

        def show(file: saving.File) -> dict[str, str]:
            return host.preview(file.source, media_image.FORMATS[format].extension)

        def store() -> tuple[list[saving.Saved[dict[str, str]]], list[str]]:
            storage = storage_of(profile, host.profiles_file())
            template = Template(
                key_prefix, filename, media_image.FORMATS[format].extension, inputs.room_for_key(storage)
            )
            now, size = datetime.now(), len(images)
            height, width = images.shape[1:3]
            names = [
                template.name(
                    NameContext(now, number, size, width, height, prompt, extra_pnginfo, unique_id or "")
                )
                for number in range(size)
            ]
            saved = saving.save(storage, names, encode, show, if_exists, meter)
            links = [
                saving.link(storage, one.info.key, link, timedelta(hours=expires_hours)) for one in saved
            ]
            return saved, links

        saved, links = await watched(store, meter, progress, finish=True)
        keys = [one.info.key for one in saved]
        progress.text(saving.summary(saved))
        urls = ";".join(filter(None, links))
        return {"ui": {"images": [one.shown for one in saved]}, "result": (urls, keys, images)}


NODE_CLASS_MAPPINGS = {"SaveImageToCloud": SaveImageToCloud}
NODE_DISPLAY_NAME_MAPPINGS = {"SaveImageToCloud": "Save Image to Cloud"}
