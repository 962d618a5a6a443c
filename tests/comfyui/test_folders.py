from __future__ import annotations

from pathlib import Path

import folder_paths
import pytest
from cloud_storage import errors
from cloud_storage.comfyui import folders


def test_settings_and_waiting_uploads_are_where_comfyui_serves_no_files(comfyui):
    served = {Path(folder) for folder in (folder_paths.get_output_directory(), folder_paths.models_dir)}
    for path in (folders.profiles_file(), folders.outbox_folder()):
        assert path.is_relative_to(Path(folder_paths.get_user_directory()) / "__cloud_storage")
        assert not served & set(path.parents)
        assert not path.exists(), "asking makes nothing"


def test_the_temp_folder_is_made_where_it_is_missing(comfyui):
    assert folders.temp_folder().is_dir()
    assert folders.temp_folder().parent == Path(folder_paths.get_temp_directory())


def test_a_disk_that_refuses_is_a_plain_error(comfyui):
    Path(folder_paths.get_temp_directory()).rmdir()
    Path(folder_paths.get_temp_directory()).write_text("a file")
    with pytest.raises(errors.StorageError, match="temp folder"):
        folders.temp_folder()


def test_the_types_of_models_come_with_their_folders_and_extensions(comfyui, tmp_path):
    found = folders.model_folders()
    assert found["loras"].folders == (tmp_path / "models" / "loras",)
    assert ".safetensors" in found["loras"].extensions
    assert found["ipadapter"].extensions == frozenset()


def test_the_files_of_a_type_are_listed_with_their_subfolders(comfyui, tmp_path):
    path = tmp_path / "models" / "loras" / "style" / "a.safetensors"
    path.parent.mkdir(parents=True)
    path.touch()
    assert [Path(name) for name in folders.model_names("loras")] == [Path("style/a.safetensors")]


def test_a_model_is_found_by_its_type_also_by_its_earlier_name(comfyui, tmp_path):
    path = tmp_path / "models" / "unet" / "big" / "a.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    for folder_type in ("diffusion_models", "unet"):
        assert folders.model_path(folder_type, "big/a.safetensors") == path
        assert folders.LocalModels().have([folder_type], "big/a.safetensors")
        assert folders.current_type(folder_type) == "diffusion_models"
    assert folders.model_path("loras", "big/a.safetensors") is None
    assert folders.model_path("no such type", "a") is None
    assert not folders.LocalModels().have(["loras"], "big/a.safetensors")
    assert not folders.LocalModels().have(["no such type"], "a")
    assert not folders.LocalModels().have(["loras"], "no\0file")
