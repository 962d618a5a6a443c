from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import sync_folders


@pytest.mark.parametrize(
    ("text", "below", "name"),
    [
        ("output/dataset", "output/dataset", "dataset"),
        (" models\\diffusers/sdxl/ ", "models/diffusers/sdxl", "sdxl"),
        ("models/loras/style/ink", "models/loras/style/ink", "style/ink"),
        ("input", "input", ""),
        ("models", "models", ""),
        ("models/loras", "models/loras", ""),
    ],
)
def test_a_folder_is_named_from_one_of_comfyuis(comfyui, tmp_path, text, below, name):
    found = sync_folders.chosen(text)
    assert found.path == tmp_path / below
    assert found.name.replace("\\", "/") == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "temp",
        "user",
        "custom_nodes/x",
        "/etc",
        "/output/x",
        "C:/x",
        "output/../user",
        "models/.git",
        "output/con",
        "input/elsewhere",
        "input/circle/x",
        "models/nodes",
        "output/a\0b",
    ],
)
def test_no_other_folder_is_reached(comfyui, tmp_path, text):
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "input" / "elsewhere").symlink_to(tmp_path / "user")
    (tmp_path / "input" / "circle").symlink_to("circle")
    (tmp_path / "models" / "nodes").symlink_to(tmp_path / "custom_nodes")
    with pytest.raises(errors.ConfigurationError, match="sync this folder"):
        sync_folders.chosen(text)


def test_models_may_be_on_another_disk(comfyui, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "models" / "loras").symlink_to(tmp_path / "disk")
    assert sync_folders.chosen("models/loras/style").path == tmp_path / "models" / "loras" / "style"


def test_what_may_not_be_written_into_it(comfyui):
    models, output = sync_folders.chosen("models/diffusers/sd"), sync_folders.chosen("output")
    for name in ("a.safetensors", "unet/config.json", "a.bin", "README.md", "a"):
        assert models.refuses(name) == ""
    for name in ("a.py", "unet/a.SO", "x.bat"):
        assert models.refuses(name) == "it is a program"
        assert output.refuses(name) == "", "nothing runs what is in the output folder"
    for place in (models, output):
        assert "hidden" in place.refuses(".git/config")
    assert output.refuses("Cloud_Storage_Outbox/x/entry.json")


def test_what_is_hidden_is_not_shown_by_links_either(comfyui, tmp_path):
    folder = tmp_path / "output" / "data"
    (folder / ".secret").mkdir(parents=True)
    for name in ("a.txt", ".env", ".secret/b.txt", "profiles.json"):
        (folder / name).write_text("x")
    (folder / "link.txt").symlink_to(".env")
    (folder / "linked").symlink_to(".secret")
    (folder / "out.txt").symlink_to(tmp_path / "user")
    (folder / "fine.txt").symlink_to("a.txt")
    place = sync_folders.chosen("output/data")
    shown = [name for name in ("a.txt", "fine.txt") if place.shows(folder / name)]
    hidden = (".env", ".secret/b.txt", "profiles.json", "link.txt", "linked/b.txt", "out.txt")
    assert shown == ["a.txt", "fine.txt"]
    assert not [name for name in hidden if place.shows(folder / name)]
