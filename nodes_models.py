"""Nodes that bring model files from the bucket into ComfyUI's folders, and from there into the bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import cloud_files, folders, model_folders, results
from .comfyui.cloud_files import CloudFile
from .comfyui.progress import Progress
from .library import service
from .loading import is_changed, model_file
from .saving import save_request, upload_file
from .saving.choices import STOP
from .saving.list_order import Call
from .saving.save_request import SaveRequest, SaveResult
from .storage.base import Storage
from .storage.connect import storage_of
from .system.meter import Meter
from .system.watch import run_in_thread

if TYPE_CHECKING:
    from .profile import Profile


def _model_type() -> tuple[list[str], dict[str, str]]:
    return (
        model_folders.types(),
        {"tooltip": "The model folder of ComfyUI that the file belongs to, for example loras."},
    )


class LoadModelFromCloud:
    """Download a model file into ComfyUI's model folder, so that a loader can load it in the same run."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/models", "download", True
    RETURN_TYPES, RETURN_NAMES = (node_inputs.FILE_NAME,), ("model_filename",)
    DESCRIPTION = (
        "Downloads a model file into ComfyUI's folder of its type, once. Connect model_filename "
        "to a loader. An interrupted download resumes where it stopped."
    )
    OUTPUT_TOOLTIPS = (
        "The file's name as loaders list it. Connect it to ckpt_name, lora_name, "
        "vae_name or a similar input.",
    )
    SEARCH_ALIASES = ("s3 model", "download checkpoint", "download lora", "model from bucket", "下载模型")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model_type": _model_type(),
                "key": node_inputs.key("models/loras/a.safetensors"),
                "force_redownload": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Download the file even if it is already there, and replace it.",
                    },
                ),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "sha256": node_inputs.text_input(
                    "The SHA-256 that the file must have (64 hex digits). "
                    "Empty: the one that was recorded at upload, if any."
                ),
                "subfolder": node_inputs.text_input(
                    "Subfolder of the model folder, for example styles. Empty: as in the key."
                ),
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        model_type: str | None = None,
        key: str | None = None,
        subfolder: str | None = "",  # missing in older prompts; None if wired
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        def state(storage: Storage, key: str, how: tuple[str, str]) -> str:
            name = node_inputs.key_for(storage, key)
            model_type, subfolder = how
            path = model_folders.file_of(model_type, name, subfolder).path
            service.in_use(path)  # perhaps only the loader runs
            return model_file.state(storage, name, path)

        return is_changed.answer(unique_id, key, state, is_changed.given(model_type, subfolder))

    async def download(
        self,
        model_type: str = model_folders.FIRST,
        key: str = "",
        force_redownload: bool = False,
        profile: Profile | None = None,
        sha256: str = "",
        subfolder: str = "",
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Downloaded")

        def fetch() -> tuple[str, str, CloudFile]:
            storage = storage_of(profile, folders.profiles_file())
            name = node_inputs.key_for(storage, key)
            file = model_folders.file_of(model_type, name, subfolder)
            wanted = model_file.Wanted(name, file.path, model_file.clean_sha256(sha256), force_redownload)
            service.in_use(file.path)
            model, besides = service.download(storage, wanted, model_type, file.name, meter, progress.text)
            is_changed.remember(unique_id, profile, key, model.etag, (model_type, subfolder))
            told = model.cloud_file(storage, name, cloud_files.profile_name(profile))
            status = " ".join(filter(None, (model.status, besides, model_folders.taken_instead(file))))
            return file.name, status, told

        model_filename, status, told = await run_in_thread(fetch, meter, progress)
        lines = list(filter(None, (status, model_folders.warning(model_filename))))
        progress.text(" ".join(lines))
        return results.shown((model_filename,), lines, [told])


class UploadModelToCloud:
    """Store a local model file in the bucket, where Download Model finds it by the same name."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/models", "upload", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "STRING"), ("key", "url")
    DESCRIPTION = "Uploads a model file with its checksum. Unchanged content is not uploaded again."
    OUTPUT_TOOLTIPS = ("The key, for Download Model from Cloud.", "The address of the object.")
    SEARCH_ALIASES = ("s3 upload model", "publish lora", "share checkpoint", "上传模型")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model_type": _model_type(),
                "model": (
                    model_folders.names() or [""],
                    {"tooltip": "The model file as loaders list it. It must belong to model_type."},
                ),
                "key_prefix": node_inputs.text_input(
                    "Folder in the bucket, for example models/. The model_type and the file's subfolders are "
                    "added to it.",
                    "models/",
                ),
            },
            "optional": {"profile": node_inputs.PROFILE, "if_exists": node_inputs.IF_EXISTS},
            "hidden": node_inputs.SAVE_CONTEXT,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        model_type: str | None = None,
        model: str | None = None,
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        """Changes when the file does."""
        if model_type is None or model is None:
            return is_changed.answer_of_files(unique_id)
        return model_folders.state(model_type, model)

    async def upload(
        self,
        model_type: str = model_folders.FIRST,
        model: str = "",
        key_prefix: str = "models/",
        unique_id: str | None = None,
        **options: Any,  # noqa: ANN401  fields of SaveRequest
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded")
        request = SaveRequest(
            key_prefix=key_prefix, filename="", on_failure=STOP, unique_id=unique_id, **options
        )

        def store() -> SaveResult:
            place = model_folders.local(model_type, model)
            is_changed.remember_file(unique_id, place.path)
            below = model_folders.key_name(model_type, place.name)
            with upload_file.of_one_file.hold(place.path, meter):  # which a list may name twice
                return request.upload(below, place.path, meter, progress.text, Call())

        saved = await save_request.run(store, meter, progress)
        service.uploaded(request.profile, saved.keys)
        return results.shown((*saved.keys, saved.urls), saved.lines, saved.files)


NODE_CLASS_MAPPINGS = {
    "LoadModelFromCloud": LoadModelFromCloud,
    "UploadModelToCloud": UploadModelToCloud,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadModelFromCloud": "Download Model from Cloud",
    "UploadModelToCloud": "Upload Model to Cloud",
}
