"""Nodes that save and load text: prompts, captions, JSON, tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import results
from .comfyui.input_values import CHARACTERS
from .comfyui.progress import Progress
from .loading import is_changed, load_request
from .loading.object_cache import Limit
from .media import text as text_file
from .media.damage import LOAD
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult, in_order
from .saving.store_file import File
from .system.meter import Meter

if TYPE_CHECKING:
    from .profile import Profile


class SaveTextToCloud:
    """Store a text as a file."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING", "STRING"), ("urls", "keys", "text")
    OUTPUT_IS_LIST = (False, True, False)
    DESCRIPTION = (
        "Saves a text to the bucket as a file in UTF-8: a prompt, a caption, JSON, a table. Existing objects "
        "are kept unless if_exists is overwrite."
    )
    OUTPUT_TOOLTIPS = (
        "The address of the file.",
        "The key, for any node with a key input. Empty for a file that waits in the outbox.",
        "The text, unchanged.",
    )
    SEARCH_ALIASES = ("s3 save text", "upload text", "save string", "json", "caption", "保存文本")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "text": (
                    "STRING",
                    {
                        "default": "",
                        "multiline": True,
                        "dynamicPrompts": False,
                        CHARACTERS: text_file.MAX_BYTES,
                        "tooltip": "The text to save, up to 16 MB. Each text of a list becomes an object of "
                        "its own.",
                    },
                ),
                "key_prefix": node_inputs.key_prefix("comfyui/text/"),
                "filename": node_inputs.FILENAME,
                "extension": node_inputs.text_input(
                    "The file's extension, for example txt, json, csv or md.", "txt"
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                **node_inputs.OBJECT_OPTIONS,
                "on_failure": node_inputs.ON_FAILURE,
                "byte_order_mark": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Begin the file with a byte order mark, which Excel needs to read a csv "
                        "file as UTF-8.",
                    },
                ),
            },
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    async def save(
        self,
        text: str = "",
        key_prefix: str = "comfyui/text/",
        extension: str = "txt",
        byte_order_mark: bool = False,
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(key_prefix=key_prefix, unique_id=unique_id, **options)

        def store(call: Call) -> SaveResult:
            ending = text_file.clean_extension(extension)
            data = text_file.encode(text, byte_order_mark)
            file = File(data, text_file.media_type(ending))
            return request.save(
                request.names(ending, 1), lambda _: file, lambda _file, _key: None, meter, call
            )

        saved = await in_order(unique_id, store, meter, progress)
        return results.shown((saved.urls, saved.keys, text), saved.lines, saved.files)


class LoadTextFromCloud:
    """Load a text file."""

    CATEGORY, FUNCTION = "cloud_storage/load", "load"
    HAS_INTERMEDIATE_OUTPUT = True  # as in nodes_load.py
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("text",)
    DESCRIPTION = (
        "Loads a text file in UTF-8 from the bucket, up to 16 MB. An unchanged object is not "
        "downloaded again."
    )
    OUTPUT_TOOLTIPS = ("The text, without a byte order mark.",)
    SEARCH_ALIASES = ("s3 load text", "download text", "read json", "load string", "caption", "加载文本")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"key": node_inputs.key("comfyui/text/a.txt")},
            "optional": {"profile": node_inputs.PROFILE, "on_damage": node_inputs.ON_DAMAGE},
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(cls, key: str | None = None, unique_id: str | None = None, **others: object) -> str:
        return is_changed.answer(unique_id, key, load_request.etag)

    async def load(
        self,
        key: str = "",
        profile: Profile | None = None,
        on_damage: str = LOAD,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        def decode(path: Path, name: str, _meter: Meter) -> tuple[str, tuple[str, ...]]:
            return text_file.decode(path.read_bytes(), name, on_damage)

        copies = load_request.copies(Limit("a text", text_file.MAX_BYTES))
        (text, notes), status, file = await load_request.run(key, profile, unique_id, copies, decode)
        return results.shown((text,), [status, *notes], [file])


NODE_CLASS_MAPPINGS = {"SaveTextToCloud": SaveTextToCloud, "LoadTextFromCloud": LoadTextFromCloud}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SaveTextToCloud": "Save Text to Cloud",
    "LoadTextFromCloud": "Load Text from Cloud",
}
