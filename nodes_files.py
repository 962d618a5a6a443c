"""Nodes that store files as they are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import folders, results, uploadable_files
from .comfyui.node_lines import Line
from .comfyui.progress import Progress
from .loading import is_changed
from .saving import batch, choices, outbox_sender, upload_file
from .saving.list_order import Call
from .saving.names import NameContext
from .saving.save_request import in_order
from .storage.connect import storage_of
from .system.meter import Meter

if TYPE_CHECKING:
    from .profile import Profile


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
                        "tooltip": "A path below ComfyUI's output, input, temp or models folders, or "
                        "Filenames of VideoHelperSuite's Video Combine: then its finished video.",
                    },
                ),
                "key_prefix": node_inputs.key_prefix("comfyui/files/"),
                "filename": (
                    "STRING",
                    {
                        "default": "",
                        "tooltip": "Without extension; the %tokens% of the other save nodes work. Empty: the "
                        "file's own name.",
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "if_exists": node_inputs.IF_EXISTS,
                "link": node_inputs.LINK,
                "expires_hours": node_inputs.EXPIRES_HOURS,
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", **node_inputs.UNIQUE_ID},
        }

    @classmethod
    def IS_CHANGED(
        cls,
        file: Any = None,  # noqa: ANN401  a widget's text, or None of a wire
        key_prefix: str | None = None,
        filename: str | None = None,
        profile: None = None,
        if_exists: str | None = None,
        link: str | None = None,
        expires_hours: int | None = None,
        prompt: None = None,
        extra_pnginfo: None = None,
        unique_id: str | None = None,
    ) -> str:
        """Changes when the file does."""
        return is_changed.answer_of_files(unique_id) if file is None else uploadable_files.state(file)

    async def upload(
        self,
        file: Any = "",  # noqa: ANN401
        key_prefix: str = "comfyui/files/",
        filename: str = "",
        profile: Profile | None = None,
        if_exists: str = choices.NEW_NAME,
        link: str = choices.OBJECT_URL,
        expires_hours: int = 24,
        prompt: dict[str, Any] | None = None,
        extra_pnginfo: dict[str, Any] | None = None,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")

        def store(call: Call) -> tuple[upload_file.Published, str, list[Line]]:
            path = uploadable_files.chosen(file)
            is_changed.remember_file(unique_id, path)
            storage = storage_of(profile, folders.profiles_file())
            context = NameContext(datetime.now(), 0, 1, None, None, prompt, extra_pnginfo, unique_id or "")
            name = upload_file.name(key_prefix, filename, path.name, context, storage.room_for_key)
            published = upload_file.publish(storage, name, path, if_exists, meter, progress.text, call)
            url = batch.link(storage, published.key, link, timedelta(hours=expires_hours))
            through = outbox_sender.sender(profile, folders.profiles_file())
            links = batch.addresses(through, [published.key], [url], link) if url else []
            return published, url, links

        published, url, links = await in_order(unique_id, store, meter, progress)
        progress.text(published.status)
        return results.shown((url, [published.key]), [published.status, *links])


NODE_CLASS_MAPPINGS = {"UploadFileToCloud": UploadFileToCloud}
NODE_DISPLAY_NAME_MAPPINGS = {"UploadFileToCloud": "Upload File to Cloud"}
