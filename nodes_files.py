"""Nodes that store files as they are."""

from __future__ import annotations

from typing import Any

from . import node_inputs
from .comfyui import results, uploadable_files
from .comfyui.progress import Progress
from .loading import is_changed
from .saving.choices import STOP
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult, in_order
from .system.meter import Meter


class UploadFileToCloud:
    """Store one file of ComfyUI's own folders."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/save", "upload", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING"), ("urls", "keys")
    OUTPUT_IS_LIST = (False, True)
    DESCRIPTION = "Uploads a file from ComfyUI's output, input, temp or models folder to the bucket."
    OUTPUT_TOOLTIPS = ("The address of the file.", "The key, for any node with a key input.")
    SEARCH_ALIASES = ("s3 upload", "upload file", "VHS_FILENAMES", "上传文件")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "file": (
                    "STRING,VHS_FILENAMES",
                    {
                        "default": "",
                        "widgetType": "STRING",  # two types have no widget otherwise
                        "tooltip": "A file in ComfyUI's output, input, temp or models folder, for"
                        " example output/a.zip. Or connect Filenames of VideoHelperSuite's Video "
                        "Combine to upload its finished video.",
                    },
                ),
                "key_prefix": node_inputs.key_prefix("comfyui/files/"),
                "filename": node_inputs.text_input(
                    "File name without extension; the %tokens% of the save nodes work. Empty: the file's own "
                    "name."
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                **node_inputs.OBJECT_OPTIONS,
            },
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        file: Any = None,  # noqa: ANN401  a widget's text, or None of a wire
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        """Changes when the file does."""
        return is_changed.answer_of_files(unique_id) if file is None else uploadable_files.state(file)

    async def upload(
        self,
        file: Any = "",  # noqa: ANN401
        key_prefix: str = "comfyui/files/",
        filename: str = "",
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(
            key_prefix=key_prefix, filename=filename, on_failure=STOP, unique_id=unique_id, **options
        )

        def store(call: Call) -> SaveResult:
            path = uploadable_files.chosen(file)
            is_changed.remember_file(unique_id, path)
            return request.upload(path.name, path, meter, progress.text, call)

        saved = await in_order(unique_id, store, meter, progress)
        return results.shown((saved.urls, saved.keys), saved.lines, saved.files)


NODE_CLASS_MAPPINGS = {"UploadFileToCloud": UploadFileToCloud}
NODE_DISPLAY_NAME_MAPPINGS = {"UploadFileToCloud": "Upload File to Cloud"}
