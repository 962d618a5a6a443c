"""Folders of ComfyUI: where settings, waiting uploads, previews and models lie on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.profiles_file import FILE_NAME
from ..errors import DISK_ADVICE, disk_told

if TYPE_CHECKING:
    pass

PREVIEW_FOLDER = "cloud_storage"
OUTBOX_FOLDER = "outbox"
EARLIER_OUTBOX_FOLDER = "cloud_storage_outbox"  # in output, where what waits was kept before
TEMP = "ComfyUI's temp folder"


def system_folder() -> Path:
    """``user/__cloud_storage``: settings of the server. Core 0.33 serves no such folder over HTTP."""
    import folder_paths

    return Path(folder_paths.get_user_directory()) / "__cloud_storage"


def profiles_file() -> Path:
    """Where profiles.json lies, whether it is there or not."""
    return system_folder() / FILE_NAME


def outbox_folder() -> Path:
    """Where files wait that could not be sent, whether it is there or not.

    Beside profiles.json, where no route of ComfyUI writes: what lies there is sent without a question.
    """
    return system_folder() / OUTBOX_FOLDER


def earlier_outbox_folder() -> Path:
    """Where earlier versions kept such files, whether it is there or not: below ComfyUI's output folder, into
    which its ``/upload/image`` writes for whoever asks.
    """
    import folder_paths

    return Path(folder_paths.get_output_directory()) / EARLIER_OUTBOX_FOLDER


def temp_folder() -> Path:
    """Our folder below ComfyUI's temp folder, made where missing; ComfyUI empties temp when it starts. Raises
    StorageError where the disk does not allow it.
    """
    import folder_paths

    folder = Path(folder_paths.get_temp_directory()) / PREVIEW_FOLDER
    with disk_told("write a file", TEMP, DISK_ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class ModelFolders:
    """Where ComfyUI looks for the models of one type, in its order, and what it lists there.

    It lists files that end in one of ``extensions`` (lower case, with their dot), all where there are none.
    """

    folders: tuple[Path, ...]
    extensions: frozenset[str]


def model_folders() -> dict[str, ModelFolders]:
    """Every type that ComfyUI or a node package has registered, also custom_nodes and datasets."""
    import folder_paths

    return {
        name: ModelFolders(tuple(map(Path, entry[0])), frozenset(one.lower() for one in entry[1]))
        for name, entry in list(folder_paths.folder_names_and_paths.items())
    }


def model_names(model_type: str) -> list[str]:
    """The files of one type as its loaders list them: with sub-folders, under the system's separator."""
    import folder_paths

    return list(folder_paths.get_filename_list(model_type))


def file_folders() -> list[Path]:
    """ComfyUI's output, input, temp and models folders."""
    import folder_paths

    return [
        Path(folder)
        for folder in (
            folder_paths.get_output_directory(),
            folder_paths.get_input_directory(),
            folder_paths.get_temp_directory(),
            folder_paths.models_dir,
        )
    ]
