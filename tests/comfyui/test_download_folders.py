from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.comfyui.download_folders import FOLDERS, target


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_name_is_that_of_the_key_or_another(comfyui, tmp_path, folder):
    for given, name in (
        (("a/b/chair.glb", "", ""), "chair.glb"),
        (("a/b/chair.glb", "3d", ""), "3d/chair.glb"),
        (("a/b/chair.glb", "/3d\\old/", "stool"), "3d/old/stool.glb"),
        (("a/b/chair.glb", "", "stool.gltf"), "stool.gltf"),
        (("a:b", "", "c"), "c"),
        (("图 1.png", "", ""), "图 1.png"),
    ):
        found = target(folder, *given)
        assert (found.name, found.path) == (name, tmp_path / folder / name)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("a/", "", ""), "names a folder"),
        (("a/b", "../x", ""), "outside of ComfyUI's input folder"),
        (("a/b", "", "../../b"), "outside"),
        (("a/..", "", ""), "outside"),
        (("a/.env", "", ""), "hidden"),
        (("a/b", ".git", ""), "hidden"),
        (("a/12:30.png", "", ""), "some systems"),
        (("a/con", "", ""), "some systems"),
        (("a/b", "", "x" * 300), "some systems"),
        (("a/b", "Cloud_Storage/cache", ""), "belongs to something else"),
        (("a/b", "cloud_storage_outbox/x", ""), "belongs to something else"),
        (("a/b", "elsewhere", ""), "belongs to something else"),
        (("a/b", "circle", ""), "belongs to something else"),
    ],
)
def test_what_leads_elsewhere_is_refused(comfyui, tmp_path, given, said):
    (tmp_path / "input" / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "input" / "circle").symlink_to("circle")
    with pytest.raises(errors.ConfigurationError, match=said):
        target("input", *given)


def test_a_folder_that_is_itself_a_link_is_no_obstacle(comfyui, tmp_path):
    (tmp_path / "temp").rmdir()
    (tmp_path / "temp").symlink_to(tmp_path / "output")
    assert target("temp", "a/b", "sub", "").path == tmp_path / "temp" / "sub" / "b"
