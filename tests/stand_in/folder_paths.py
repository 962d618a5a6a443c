"""Stand-in for ComfyUI's ``folder_paths``: the true signatures, below one folder that a test sets.

The lists of files are not cached, as those of ComfyUI are until a folder's time of change is another one.
"""

from __future__ import annotations

from pathlib import Path

base_path = ""
models_dir = ""
supported_pt_extensions: set[str] = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}

# By type: the folders, and the extensions of the files that are listed; all files where there are none.
folder_names_and_paths: dict[str, tuple[list[str], set[str]]] = {}


def get_user_directory() -> str:
    return f"{base_path}/user"


def get_temp_directory() -> str:
    return f"{base_path}/temp"


def get_output_directory() -> str:
    return f"{base_path}/output"


def get_input_directory() -> str:
    return f"{base_path}/input"


def get_folder_paths(folder_name: str) -> list[str]:
    return folder_names_and_paths[folder_name][0][:]


class CacheHelper:
    """The lists that were asked for while it is on, as in core 0.3.64."""

    def __init__(self) -> None:
        self.cache: dict[str, tuple[list[str], dict[str, float], float]] = {}
        self.active = False

    def __enter__(self) -> CacheHelper:
        self.active = True
        return self

    def __exit__(self, *_: object) -> None:
        self.active = False
        self.cache.clear()


cache_helper = CacheHelper()


def get_filename_list(folder_name: str) -> list[str]:
    found = _files(map_legacy(folder_name))
    if cache_helper.active:
        cache_helper.cache[map_legacy(folder_name)] = (found, {}, 0.0)
    return found


def _files(folder_name: str) -> list[str]:
    folders, extensions = folder_names_and_paths[folder_name]
    found = {
        str(path.relative_to(folder))
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.is_file()
    }
    return sorted(name for name in found if not extensions or Path(name).suffix.lower() in extensions)


def map_legacy(folder_name: str) -> str:
    return {"unet": "diffusion_models", "clip": "text_encoders"}.get(folder_name, folder_name)


def get_full_path(folder_name: str, filename: str) -> str | None:
    folders = folder_names_and_paths.get(map_legacy(folder_name), ([], set()))[0]
    paths = (Path(folder) / filename for folder in folders)
    return next((str(path) for path in paths if path.is_file()), None)
