"""Which files of this machine a workflow can reach, and which it never can."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import uploadable_files
from cloud_storage.page import browse_local
from cloud_storage.system.meter import Meter


@pytest.fixture
def root(comfyui, tmp_path):
    for name in (
        "output/video/a.mp4",
        "input/in.png",
        "temp/t.bin",
        "models/loras/l.pt",
        "outside/secret.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    return tmp_path


def test_a_path_below_comfyuis_folders_is_taken_absolute_or_not(root):
    assert uploadable_files.chosen(str(root / "output/video/a.mp4")) == root / "output/video/a.mp4"
    for text, name in [
        ("video/a.mp4", "output/video/a.mp4"),
        ("output/video/a.mp4", "output/video/a.mp4"),
        (' "in.png" ', "input/in.png"),
        ("t.bin", "temp/t.bin"),
        ("loras/l.pt", "models/loras/l.pt"),
    ]:
        assert uploadable_files.chosen(text) == root / name


def test_a_wire_of_videohelpersuite_means_its_finished_video(root):
    paths = [str(root / "input/in.png"), str(root / "output/video/a.mp4")]
    assert uploadable_files.chosen((True, paths)) == root / "output/video/a.mp4"
    assert uploadable_files.chosen([False, paths]) == root / "output/video/a.mp4"
    for empty in ((True, []), (), (True, [None])):
        with pytest.raises(errors.NotFound, match="wire"):
            uploadable_files.chosen(empty)
    with pytest.raises(errors.NotFound, match="in ComfyUI's output, input, temp or models folder"):
        uploadable_files.chosen((True, [str(root / "outside/secret.txt")]))


def links_out(root):
    (root / "output" / "link.txt").symlink_to(root / "outside" / "secret.txt")
    (root / "output" / "folder").symlink_to(root / "outside")


@pytest.mark.parametrize(
    "path",
    [
        "{root}/outside/secret.txt",
        "/etc/passwd",
        "../outside/secret.txt",
        "output/../outside/secret.txt",
        "video/../../outside/secret.txt",
        "link.txt",
        "folder/secret.txt",
        "{root}/output/folder/secret.txt",
        ".",
        "./",
        "..",
        "/",
        "output",
    ],
)
def test_what_lies_elsewhere_is_out_of_reach_by_links_too(root, path):
    links_out(root)
    with pytest.raises(errors.NotFound, match="in ComfyUI's output, input, temp or models folder"):
        uploadable_files.chosen(path.format(root=root))


@pytest.mark.parametrize(
    "path",
    ["output/profiles.json", "output/.env", "output/.git/config", "user/__cloud_storage/x.txt", "user/a"],
)
def test_profiles_and_hidden_files_are_out_of_reach_wherever_they_lie(root, path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(root))  # a folder above all others
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"secret")
    with pytest.raises(errors.NotFound):
        uploadable_files.chosen(str(file))


def test_a_link_to_profiles_is_no_way_round(root):
    profiles = root / "user" / "__cloud_storage" / "profiles.json"
    profiles.parent.mkdir()
    profiles.write_text("{}")
    (root / "output" / "a.txt").symlink_to(profiles)
    with pytest.raises(errors.NotFound):
        uploadable_files.chosen("a.txt")


def test_a_link_within_comfyuis_folders_is_followed(root):
    (root / "output" / "same.mp4").symlink_to(root / "output" / "video" / "a.mp4")
    assert uploadable_files.chosen("same.mp4") == root / "output" / "video" / "a.mp4"


def test_of_a_model_folder_elsewhere_only_models_are_taken(root):
    import folder_paths

    pack = root / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    for name in ("w.safetensors", "config.json", "nodes.py"):
        (pack / name).write_bytes(b"content")
    folder_paths.folder_names_and_paths["pack"] = ([str(pack)], set())
    assert uploadable_files.chosen(str(pack / "w.safetensors")) == pack / "w.safetensors"
    for name in ("config.json", "nodes.py"):
        with pytest.raises(errors.NotFound):
            uploadable_files.chosen(str(pack / name))


@pytest.mark.parametrize("path", ["gone.png", "output/gone.png", "video", ""])
def test_what_is_no_file_is_an_error_that_says_where_to_look(root, path):
    with pytest.raises((errors.NotFound, errors.ConfigurationError), match="output, input, temp or models"):
        uploadable_files.chosen(path)


def test_the_state_is_another_one_when_the_file_is_and_names_no_path(root):
    before = uploadable_files.state("in.png")
    (root / "input" / "in.png").write_bytes(b"other content")
    assert uploadable_files.state("in.png") != before
    assert "in.png" not in before
    assert (
        uploadable_files.state(None)
        == uploadable_files.state("gone.png")
        == uploadable_files.state("/etc/passwd")
        == ""
    )


WINDOWS = [PureWindowsPath(rf"C:\ComfyUI\{name}") for name in ("output", "input", "temp")]


@pytest.mark.parametrize(
    "path",
    [
        *(r"\\host\share\a.png", "//host/share/a.png", r"\\host@8080\share\a.png", r"\\nas\other\a.png"),
        *(r"\\?\UNC\host\share\a.png", r"\\.\UNC\host\share\a.png"),
    ],
)
def test_on_windows_no_other_machine_is_asked_for_a_file(monkeypatch, path):
    """A PureWindowsPath resolves nothing: what would be looked at is an AttributeError."""
    monkeypatch.setattr(uploadable_files, "Path", PureWindowsPath)
    paths = [*WINDOWS, PureWindowsPath(r"\\nas\models\all")]
    folders = dict(zip(("output", "input", "temp", "models"), paths, strict=True))
    monkeypatch.setattr(uploadable_files.folders, "file_folders", lambda: folders)
    monkeypatch.setattr(uploadable_files.model_folders, "elsewhere", lambda ending: [])
    with pytest.raises(errors.NotFound):
        uploadable_files.chosen(path)
    for folder in (f"output/{path}", f"output/{path[:-6]}") if path[0] == "\\" else ():
        with pytest.raises(errors.NotFound):
            list(browse_local._entries(folder))
    for own in (r"C:\ComfyUI\output\a.png", r"\\NAS\models\all\a.safetensors", "a.png"):
        with pytest.raises(AttributeError, match="resolve"):
            uploadable_files.chosen(own)


def test_a_folder_that_may_not_be_looked_into_hides_no_other(root, monkeypatch):
    """What Python before 3.14 does where the folder around it may not be entered."""
    is_folder = Path.is_dir

    def is_dir(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return is_folder(path)

    (root / "output" / "closed").mkdir()
    monkeypatch.setattr(Path, "is_dir", is_dir)
    assert browse_local.found("output/", "", Meter())[1] == ["output/video/"]
    assert "output/video/a.mp4" in browse_local.found("output/", "a.mp4", Meter())[0].keys
