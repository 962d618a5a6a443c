"""The node that the library adds to a prompt in front of a loader whose model is only in the bucket."""

from __future__ import annotations

import os
from typing import Any

from . import node_inputs
from .comfyui import prompt, prompt_queue, results
from .comfyui.cloud_files import CloudFile
from .comfyui.progress import Progress, Several
from .errors import StorageError
from .library import named_models, service
from .system.meter import Meter
from .system.watch import run_in_thread

ANYTHING = node_inputs.FileName("*")
ERROR_EVENT = "cloud_storage.model_error"  # for web/: an error of this node belongs to the loaders behind it
_NOTHING = object()


class CloudStorageLibraryModel:
    """Fetch one model of the library, unless it is here, and give its name or what came in as ``passed``.

    Nobody places this node: it is hidden, and ``library/prompt_rewriting.py`` adds it to prompts. It is no
    output node, or else ComfyUI would run a prompt that has no output of its own.
    """

    CATEGORY, FUNCTION = "cloud_storage/models", "fetch"
    RETURN_TYPES, RETURN_NAMES = (ANYTHING,), ("value",)
    DESCRIPTION = (
        "Downloads one model of the library before a loader runs. ComfyUI adds this node by itself when a "
        "workflow is queued. You need not place it."
    )
    OUTPUT_TOOLTIPS = ("The file's name as loaders list it, or the value of passed.",)
    DEPRECATED = DEV_ONLY = True  # frontends do not offer it

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "folder_type": (
                    "STRING",
                    {"default": "", "tooltip": "The model folder of ComfyUI, for example loras."},
                ),
                "name": ("STRING", {"default": "", "tooltip": "The file's name as loaders list it."}),
            },
            "optional": {
                "passed": (ANYTHING, {"tooltip": "A value to pass on when the file is here."}),
                "is_word": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "The name is a word of a text, without its extension."},
                ),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def IS_CHANGED(
        cls,
        folder_type: str | None = None,
        name: str | None = None,
        passed: object = None,
        is_word: bool | None = False,
        unique_id: str | None = None,
    ) -> int:
        """Changes when the file has to be fetched once more. Sends nothing."""
        return service.demand(folder_type or "", name or "", is_word=bool(is_word)).arrivals()

    async def fetch(
        self,
        folder_type: str = "",
        name: str = "",
        passed: Any = _NOTHING,  # noqa: ANN401
        is_word: bool = False,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, loaders = Meter(), prompt.consumers(unique_id)
        progress = Several([Progress(one, "Downloaded") for one in loaders])
        demand = service.demand(folder_type, name, is_word=is_word)

        def tick(_: Meter) -> None:
            progress(demand.meter, demand.text)

        def meet() -> CloudFile | None:
            demand.meet(meter)
            return demand.file()

        try:
            file = await run_in_thread(meet, meter, tick)
        except StorageError as error:
            progress.text(str(error))
            told = {"added": unique_id, "nodes": loaders, "message": str(error)}
            prompt_queue.send_event(ERROR_EVENT, {"prompt_id": prompt.id_of_prompt(unique_id), **told})
            raise
        if demand.has_fetched:  # or else the last text would be some bytes before the end
            progress.text(" ".join(filter(None, (f"Downloaded {name}.", demand.text))))
        value = name.replace("/", os.sep) if passed is _NOTHING else passed
        return results.shown((value,), [], [file] if file else [])


HIDDEN_NODES = {named_models.ADDED_CLASS: CloudStorageLibraryModel}
