"""Nodes that upload and download files as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import (
    cloud_files,
    download_folders,
    folders,
    model_folders,
    models_3d,
    results,
    uploadable_files,
)
from .comfyui.cloud_files import CloudFile
from .comfyui.models_3d import Models3D
from .comfyui.progress import Progress
from .loading import file_download, is_changed
from .saving.choices import KEEP_AND_STOP, STOP
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult, in_order
from .saving.store_file import File
from .storage.base import Storage
from .storage.connect import storage_of
from .system.meter import Meter
from .system.watch import run_in_thread

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
                    ",".join(("STRING", "VHS_FILENAMES", *models_3d.TYPES)),
                    {
                        "default": "",
                        "widgetType": "STRING",  # several types have no widget otherwise
                        "tooltip": "A file in ComfyUI's output, input, temp or models folder, for"
                        " example output/a.zip. Or connect Filenames of VideoHelperSuite's Video "
                        "Combine to upload its finished video, or a mesh or 3D file.",
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
            on_disk = models_3d.path_of(file)
            if on_disk is None:
                embedded = request.metadata(embed_workflow=True)
                models = models_3d.models_of(file, embedded.texts if embedded else None)
                if models is not None:
                    return _save_models(request, models, meter, call)
            path = uploadable_files.chosen(file if on_disk is None else on_disk)
            is_changed.remember_file(unique_id, path)
            return request.upload(path.name, path, meter, progress.text, call)

        saved = await in_order(unique_id, store, meter, progress)
        return results.shown((saved.urls, saved.keys), saved.lines, saved.files)


def _save_models(request: SaveRequest, models: Models3D, meter: Meter, call: Call) -> SaveResult:
    """Save 3D models that are in memory alone: as what was made here, they go to the outbox if they must."""
    named = replace(
        request,
        filename=request.filename if request.filename.strip() else SaveRequest.filename,
        on_failure=KEEP_AND_STOP,
    )

    def encode(number: int) -> File:
        return File(models.encode(number), models.media_type)

    names = named.names(models.extension, models.count)
    return named.save(names, encode, lambda _file, _key: None, meter, call)


class DownloadFileFromCloud:
    """Download an object as a file into one of ComfyUI's folders, for nodes that take a path or a name."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/load", "download", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING"), ("path", "filename")
    DESCRIPTION = (
        "Downloads a file into ComfyUI's input, output or temp folder, once: the reverse of Upload File. An "
        "interrupted download resumes where it stopped."
    )
    OUTPUT_TOOLTIPS = (
        "The file's path on this machine.",
        "The file's name below the folder, with its subfolder, for example 3d/chair.glb.",
    )
    SEARCH_ALIASES = ("s3 download", "download file", "get object", "glb", "zip", "下载文件")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "key": node_inputs.key("comfyui/files/a.zip"),
                "folder": (
                    list(download_folders.FOLDERS),
                    {
                        "tooltip": "The folder of ComfyUI that the file goes to. ComfyUI empties temp when "
                        "it starts."
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "if_exists": (
                    list(file_download.IF_EXISTS),
                    {
                        "tooltip": "What to do if another file has this name: download under a new name, "
                        "overwrite the file, fail, or skip the download and use the file. A copy of the same "
                        "object is used, or brought up to date."
                    },
                ),
                "subfolder": node_inputs.text_input("Subfolder of the folder, for example 3d. Empty: none."),
                "filename": node_inputs.text_input(
                    "The file's name here, for example chair.glb. Empty: as in the key."
                ),
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        key: str | None = None,
        folder: str | None = None,
        if_exists: str | None = file_download.NEW_NAME,  # missing in prompts of programs; None if wired
        subfolder: str | None = "",
        filename: str | None = "",
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        def state(storage: Storage, key: str, how: tuple[str, str, str, str]) -> str:
            name = node_inputs.key_for(storage, key)
            folder, if_exists, subfolder, filename = how
            target = download_folders.target(folder, name, subfolder, filename)
            return file_download.state(storage, name, target.path, if_exists)

        how = is_changed.given(folder, if_exists, subfolder, filename)
        return is_changed.answer(unique_id, key, state, how)

    async def download(
        self,
        key: str = "",
        folder: str = download_folders.FOLDERS[0],
        profile: Profile | None = None,
        if_exists: str = file_download.NEW_NAME,
        subfolder: str = "",
        filename: str = "",
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Downloaded")

        def fetch() -> tuple[Path, str, str, CloudFile]:
            storage = storage_of(profile, folders.profiles_file())
            name = node_inputs.key_for(storage, key)
            target = download_folders.target(folder, name, subfolder, filename)
            found = file_download.fetch(storage, name, target.path, if_exists, meter, progress.text)
            how = (folder, if_exists, subfolder, filename)
            is_changed.remember(unique_id, profile, key, found.copy.etag, how)
            shown = found.path.relative_to(target.root).as_posix()
            return (
                found.path,
                shown,
                found.status,
                found.cloud_file(storage, name, cloud_files.profile_name(profile)),
            )

        path, shown, status, file = await run_in_thread(fetch, meter, progress)
        lines = list(filter(None, (status, model_folders.warning(shown))))
        progress.text(" ".join(lines))
        return results.shown((str(path), shown), lines, [file])


NODE_CLASS_MAPPINGS = {
    "UploadFileToCloud": UploadFileToCloud,
    "DownloadFileFromCloud": DownloadFileFromCloud,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "UploadFileToCloud": "Upload File to Cloud",
    "DownloadFileFromCloud": "Download File from Cloud",
}
