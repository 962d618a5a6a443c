"""A library for tests of the page: loaders of the stand-in ComfyUI, and a bucket with models."""

from __future__ import annotations

from typing import Any

from cloud_storage.library import service
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

MODELS = {
    "loras/style/ink.safetensors": b"ink",
    "loras/paper.safetensors": b"paper",
    "checkpoints/base.safetensors": b"base model",
    "vae/soft.safetensors": b"vae",
}


def loader(folder_type: str, name: str) -> type:
    """A class of nodes with a list of the files of one type, as core's."""

    class Loader:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            import folder_paths

            return {"required": {name: (folder_paths.get_filename_list(folder_type),)}}

    return Loader


def loaders() -> dict[str, type]:
    """Core's loaders, one that no table knows, and a node without a list."""

    class Other:
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"images": ("IMAGE",)}}

    return {
        "CheckpointLoaderSimple": loader("checkpoints", "ckpt_name"),
        "LoraLoaderModelOnly": loader("loras", "lora_name"),
        "VAELoader": loader("vae", "vae_name"),
        "AnotherLoader": loader("ipadapter", "file"),
        "SaveImage": Other,
    }


def fill(storage: Any, models: dict[str, bytes] | None = None) -> None:
    """Put models below models/ of a bucket."""
    for key, content in (MODELS if models is None else models).items():
        storage.put(f"models/{key}", content, PutOptions(), Meter())


def listed() -> Any:
    """The library's catalogue, after a listing."""
    catalogue = service.catalogue()
    catalogue.refresh()
    catalogue.wait(Meter())
    return catalogue


def arrived() -> None:
    """Return when no download runs any more."""
    fetches = service.fetches()
    for fetch in fetches.busy():
        with fetches._changed:
            fetches._changed.wait_for(lambda fetch=fetch: fetch.has_ended, 60)


def workflow(*nodes: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A workflow of the page: a node for each class and value of its list."""
    made = [
        {"id": number, "type": kind, "mode": 0, "inputs": [], "widgets_values": [value]}
        for number, (kind, value) in enumerate(nodes, 1)
    ]
    return {"nodes": made, "links": [], **more}
