"""Nodes that save and load latents, as ComfyUI's own Save Latent and Load Latent do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import latents, results
from .comfyui.progress import Progress
from .loading import is_changed, load_request
from .loading.object_cache import Limit
from .media import latent_file
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult, in_order
from .saving.store_file import File
from .system.meter import Meter

if TYPE_CHECKING:
    from .profile import Profile


class SaveLatentToCloud:
    """Store a latent as a file that ComfyUI's own Load Latent reads too."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "LATENT"), ("urls", "keys", "samples")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Saves a latent to the bucket as a .latent file, which ComfyUI's own Load Latent reads too. Masks and"
        " batch numbers are saved with it."
    )
    OUTPUT_TOOLTIPS = (
        "The address of the file.",
        "The key, for any node with a key input. Empty for a file that waits in the outbox.",
        "The latent, unchanged.",
    )
    SEARCH_ALIASES = ("s3 save latent", "upload latent", "safetensors", "保存 Latent")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "samples": ("LATENT", {"tooltip": "The latent to save; a batch becomes one file."}),
                "key_prefix": node_inputs.key_prefix("comfyui/latents/"),
                "filename": node_inputs.FILENAME,
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
        samples: dict[str, Any],
        key_prefix: str = "comfyui/latents/",
        embed_workflow: bool = True,
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(key_prefix=key_prefix, unique_id=unique_id, **options)
        metadata = request.metadata(embed_workflow)

        def encode(_index: int) -> File:
            data, notes = latent_file.encode(samples, metadata.texts if metadata else None)
            return File(data, latent_file.MEDIA_TYPE, (*notes, *(metadata.notes if metadata else ())))

        def store(call: Call) -> SaveResult:
            names = request.names(latent_file.EXTENSION, 1)
            return request.save(names, encode, lambda _file, _key: None, meter, call, look_first=True)

        saved = await in_order(unique_id, store, meter, progress)
        return results.shown((saved.urls, saved.keys, samples), saved.lines, saved.files)


class LoadLatentFromCloud:
    """Load a latent as ComfyUI's own Load Latent does."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # as in nodes_load.py
    RETURN_TYPES, RETURN_NAMES = ("LATENT",), ("samples",)
    DESCRIPTION = (
        "Loads a .latent file from the bucket, of this package or of ComfyUI's own Save Latent. An unchanged "
        "object is not downloaded again."
    )
    OUTPUT_TOOLTIPS = ("The latent, with the mask and batch numbers that were saved with it.",)
    SEARCH_ALIASES = ("s3 load latent", "download latent", "safetensors", "加载 Latent")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"key": node_inputs.key("comfyui/latents/a.latent")},
            "optional": {"profile": node_inputs.PROFILE},
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(cls, key: str | None = None, unique_id: str | None = None, **others: object) -> str:
        return is_changed.answer(unique_id, key, load_request.etag)

    async def load(
        self, key: str = "", profile: Profile | None = None, unique_id: str | None = None
    ) -> dict[str, Any]:
        def decode(path: Path, name: str, _meter: Meter) -> dict[str, Any]:
            return latent_file.decode(path, name, latents.nest())

        copies = load_request.copies(Limit("a latent"))
        samples, status, file = await load_request.run(key, profile, unique_id, copies, decode)
        return results.shown((samples,), [status], [file])


NODE_CLASS_MAPPINGS = {"SaveLatentToCloud": SaveLatentToCloud, "LoadLatentFromCloud": LoadLatentFromCloud}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SaveLatentToCloud": "Save Latent to Cloud",
    "LoadLatentFromCloud": "Load Latent from Cloud",
}
