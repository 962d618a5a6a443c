"""ComfyUI's folders: where settings, waiting uploads, previews and models are on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..config.profiles_file import FILE_NAME
from ..errors import DISK_ADVICE, disk_errors

PREVIEW_FOLDER = "cloud_storage"
OUTBOX_FOLDER = "outbox"
EARLIER_OUTBOX_FOLDER = "cloud_storage_outbox"  # below output, the outbox of earlier versions
TEMP = "ComfyUI's temp folder"


def system_folder() -> Path:
    """``user/__cloud_storage``, for settings: core 0.33 serves no file below such a folder over HTTP."""
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "__cloud_storage"


def profiles_file() -> Path:
    """The path of profiles.json, which may not exist."""
    return system_folder() / FILE_NAME


def outbox_folder() -> Path:
    """The folder of files that wait for a later upload; it may not exist.

    It is beside profiles.json, where no route of ComfyUI writes: whatever is in it will be uploaded.
    """
    return system_folder() / OUTBOX_FOLDER


def earlier_outbox_folder() -> Path:
    """The outbox of earlier versions; it may not exist. It is below ComfyUI's output folder, where anybody
    can write through ``/upload/image``.
    """
    import folder_paths

    return Path(folder_paths.get_output_directory()) / EARLIER_OUTBOX_FOLDER


def temp_folder() -> Path:
    """Return our folder below ComfyUI's temp folder, which ComfyUI empties when it starts; create it if
    missing. Raises StorageError.
    """
    import folder_paths

    folder = Path(folder_paths.get_temp_directory()) / PREVIEW_FOLDER
    with disk_errors("write a file", TEMP, DISK_ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class ModelFolders:
    """The folders of one type of model, in ComfyUI's order, and the extensions of the files that it lists
    there, in lower case with their dot; no extensions: it lists all files.
    """

    folders: tuple[Path, ...]
    extensions: frozenset[str]


def model_folders() -> dict[str, ModelFolders]:
    """The folders of every type that ComfyUI or a node package has registered, also custom_nodes and
    datasets.
    """
    import folder_paths

    return {
        name: ModelFolders(tuple(map(Path, entry[0])), frozenset(one.lower() for one in entry[1]))
        for name, entry in list(folder_paths.folder_names_and_paths.items())
    }


def model_names(model_type: str) -> list[str]:
    """The files of one type as loaders list them: with subfolders and the system's path separator."""
    import folder_paths

    return list(folder_paths.get_filename_list(model_type))


def model_path(model_type: str, name: str) -> Path | None:
    """The file that a loader of this type would load, also by an earlier name of the type (unet, clip); None
    if there is none (``folder_paths.get_full_path``). Any thread.
    """
    import folder_paths

    found = folder_paths.get_full_path(model_type, name)
    return Path(found) if found else None


class LocalModels:
    """Which model files this machine has now, for many questions at once: the folders are read once from
    ``folder_paths``, as ``get_full_path`` does for each question. For one prompt; any thread.
    """

    def __init__(self) -> None:
        self._folders: dict[str, list[str]] = {}

    def have(self, types: Sequence[str], name: str) -> bool:
        """Whether a loader of one of these types finds the file ``name``, below one of the type's folders."""
        for model_type in types:  # hundreds of times in the server's event loop: no generators
            for folder in self._folders.get(model_type) or self._read(model_type):
                if _is_file(f"{folder}/{name}"):
                    return True
        return False

    def _read(self, model_type: str) -> list[str]:
        import folder_paths

        entry = folder_paths.folder_names_and_paths.get(current_type(model_type), ((),))
        found = self._folders[model_type] = [str(folder) for folder in entry[0]]
        return found


def _is_file(path: str) -> bool:
    """As ``isfile``, but without an exception within for a file that is missing, which takes longer than to
    look.
    """
    try:
        return os.access(path, os.F_OK) and os.path.isfile(path)  # noqa: PTH113
    except ValueError:  # no file can have this name
        return False


def current_type(model_type: str) -> str:
    """The name by which ComfyUI knows a type today: unet is diffusion_models."""
    import folder_paths

    return str(folder_paths.map_legacy(model_type))


def file_folders() -> dict[str, Path]:
    """ComfyUI's folders of files, by the names with which a path of a workflow may begin."""
    import folder_paths

    return {
        "output": Path(folder_paths.get_output_directory()),
        "input": Path(folder_paths.get_input_directory()),
        "temp": Path(folder_paths.get_temp_directory()),
        "models": Path(folder_paths.models_dir),
    }
