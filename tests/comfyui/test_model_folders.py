"""Which local file a key stands for, and which keys are refused."""

from __future__ import annotations

import os

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import model_folders

pytestmark = pytest.mark.usefixtures("comfyui")


def test_the_types_are_those_with_files_checkpoints_first(tmp_path):
    assert model_folders.types() == [
        *("checkpoints", "configs", "loras", "vae", "diffusion_models", "ipadapter")
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("models/loras/a.safetensors", "a.safetensors"),
        ("models/loras/style/ink/a.safetensors", "style/ink/a.safetensors"),
        ("team/loras/loras/a.safetensors", "loras/a.safetensors"),
        ("loras/a.safetensors", "a.safetensors"),
        ("exports/2026/a.safetensors", "a.safetensors"),
        ("a.SAFETENSORS", "a.SAFETENSORS"),
        ("models/loras//x//a.pt", "x/a.pt"),
    ],
)
def test_sub_folders_behind_the_types_name_are_kept(tmp_path, key, name):
    place = model_folders.file_of("loras", key)
    assert place.name == name.replace("/", os.sep)
    assert place.path == tmp_path / "models" / "loras" / name


def test_a_subfolder_of_the_users_takes_their_place(tmp_path):
    place = model_folders.file_of("loras", "models/loras/style/a.safetensors", "mine/new")
    assert place.path == tmp_path / "models" / "loras" / "mine" / "new" / "a.safetensors"
    assert model_folders.file_of("loras", "loras/a.pt", "x\\y").name == f"x{os.sep}y{os.sep}a.pt"


def test_the_folder_that_comfyui_lists_first_is_used_or_that_which_has_the_file(tmp_path):
    models = tmp_path / "models"
    key = "models/diffusion_models/big/a.safetensors"
    assert model_folders.file_of("diffusion_models", key).path == models / "unet" / "big" / "a.safetensors"
    assert model_folders.file_of("diffusion_models", "unet/b/a.sft").name == f"b{os.sep}a.sft"
    held = models / "diffusion_models" / "big" / "a.safetensors"
    held.parent.mkdir(parents=True)
    held.write_bytes(b"here")
    assert model_folders.file_of("diffusion_models", key).path == held


@pytest.mark.parametrize(
    ("model_type", "key", "subfolder", "words"),
    [
        ("loras", "loras/a.safetensors", "../../custom_nodes", "outside of the model folder"),
        ("loras", "loras/a.safetensors", "/etc/../..", "outside of the model folder"),
        ("loras", "loras/../../a.safetensors", "", "outside of the model folder"),
        ("loras", "loras/.hidden/a.safetensors", "", "hidden"),
        ("loras", ".a.safetensors", "", "hidden"),
        ("loras", "loras/a.safetensors", "C:\\Windows", "some systems"),
        ("loras", "loras/con. /a.safetensors", "", "some systems"),
        ("loras", "loras/a.safetensors", "s" * 300, "some systems"),
        ("loras", "loras/a.safetensors", "s/" * 2000, "some systems"),
        ("loras", "loras/a.py", "", "does not list .py"),
        ("loras", "loras/a.safetensors.part", "", r"does not list \.part"),
        ("loras", "loras/a", "", "without extension"),
        ("loras", "models/loras/", "", "names a folder"),
        ("loras", "exports/", "", "names a folder"),
        ("loras", "models/loras/", "x", "names a folder"),
        ("loras", "models/loras/", "x.safetensors", "names a folder"),
        ("loras", "/", "", "names a folder"),
        ("configs", "configs/a.safetensors", "", r"takes \.yaml"),
        ("ipadapter", "ipadapter/a.py", "", "does not list .py"),
        ("custom_nodes", "custom_nodes/a.safetensors", "", "no such type"),
        ("diffusers", "diffusers/a.safetensors", "", "no such type"),
        ("nothing", "a.safetensors", "", "no such type"),
    ],
)
def test_what_would_leave_the_folder_or_is_not_listed_there_is_refused(model_type, key, subfolder, words):
    with pytest.raises(errors.ConfigurationError, match=words):
        model_folders.file_of(model_type, key, subfolder)


@pytest.mark.parametrize(
    "name",
    ["CON", "nul", "Aux", "prn", "COM1", "lpt9", "com\u00b9", "CONIN$", "conout$", "aux ", "nul.tar", "com0"],
)
def test_a_name_that_windows_takes_for_a_device_is_refused_in_every_place(name):
    for key, subfolder in (
        (f"loras/{name}.safetensors", ""),
        (f"loras/{name}/a.safetensors", ""),
        (f"loras/x/{name}/y/a.safetensors", ""),
        ("loras/a.safetensors", name),
        ("loras/a.safetensors", f"x/{name}/y"),
        ("loras/a.safetensors", f"x\\{name}\\y"),
    ):
        with pytest.raises(errors.ConfigurationError, match="some systems"):
            model_folders.file_of("loras", key, subfolder)


@pytest.mark.parametrize("name", ["console", "auxiliary", "com10", "com", "null", "a.con", "lpt", "nul_"])
def test_a_name_that_only_begins_like_a_device_is_taken(name):
    assert model_folders.file_of("loras", f"loras/{name}.safetensors", name).path.parent.name == name


def test_an_absolute_subfolder_is_below_the_folder_all_the_same(tmp_path):
    place = model_folders.file_of("loras", "a.safetensors", "/etc/cron.d")
    assert place.path == tmp_path / "models" / "loras" / "etc" / "cron.d" / "a.safetensors"


def test_of_a_type_that_lists_every_file_weights_are_taken():
    for name in ("a.safetensors", "a.gguf", "a.onnx", "a.bin"):
        assert model_folders.file_of("ipadapter", f"ipadapter/{name}").name == name


def test_pickled_formats_are_taken_with_a_warning():
    for extension in ("ckpt", "pt", "pth", "bin", "PT"):
        assert "run code" in model_folders.warning(f"a.{extension}")
    assert model_folders.warning("a.safetensors") == ""


def test_every_local_model_is_offered_once_and_found_by_its_type(tmp_path):
    for path in ("loras/x/a.safetensors", "loras/b.pt", "vae/b.pt", "loras/notes.txt", "configs/c.yaml"):
        file = tmp_path / "models" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"model")
    listed = f"x{os.sep}a.safetensors"
    assert model_folders.names() == sorted(["b.pt", "c.yaml", listed])
    place = model_folders.local("loras", listed)
    assert place.path == tmp_path / "models" / "loras" / "x" / "a.safetensors"
    assert model_folders.file_of("loras", f"models/{model_folders.key_name('loras', listed)}").name == listed
    with pytest.raises(errors.NotFound, match="one of type loras"):
        model_folders.local("vae", listed)
    for name in ("gone.safetensors", "../loras/b.pt", "notes.txt"):
        with pytest.raises(errors.NotFound):
            model_folders.local("loras", name)


def test_a_folder_that_cannot_be_listed_does_not_hide_the_others(tmp_path, monkeypatch):
    import folder_paths

    real = folder_paths.get_filename_list

    def listing(folder_name):
        if folder_name == "vae":
            raise FileNotFoundError("a sub-folder that was removed")
        return real(folder_name)

    (tmp_path / "models" / "loras").mkdir()
    (tmp_path / "models" / "loras" / "a.pt").write_bytes(b"model")
    monkeypatch.setattr(folder_paths, "get_filename_list", listing)
    assert model_folders.names() == ["a.pt"]


def test_a_folder_that_cannot_be_written_to_is_passed_over_and_said(tmp_path, monkeypatch):
    import folder_paths

    (tmp_path / "a file").write_text("no folder can be made in a file")
    folders = [str(tmp_path / "a file" / "loras"), str(tmp_path / "writable" / "loras")]
    types = {**folder_paths.folder_names_and_paths, "loras": (folders, {".safetensors"})}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    file = model_folders.file_of("loras", "models/loras/style/a.safetensors")
    assert file.path == tmp_path / "writable" / "loras" / "style" / "a.safetensors"
    said = model_folders.taken_instead(file)
    assert said.startswith(f"{folders[0]} is read-only")
    assert str(file.path.parent) in said
    types["loras"] = (folders[:1], {".safetensors"})
    alone = model_folders.file_named("loras", "style\\a.safetensors")
    assert str(alone.path).startswith(folders[0]), "the download will say what is wrong"
    assert not model_folders.taken_instead(alone)


def test_types_that_list_a_file_are_those_of_its_folder_and_extension(monkeypatch):
    import folder_paths

    types = {**folder_paths.folder_names_and_paths}
    types["unet_gguf"] = (types["diffusion_models"][0], {".gguf"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    now = model_folders.Types()
    assert now.listing("unet", "a.gguf") == ["unet_gguf"]
    assert now.listing("diffusion_models", "x/a.safetensors") == ["diffusion_models"]
    assert now.listing("unet", "a.safetensors") == ["diffusion_models"]
    assert now.listing("loras", "a.txt") == now.listing("nothing", "a.safetensors") == []
    assert now.listing("loras", "../a.safetensors") == now.listing("loras", "") == []
    assert now.listing("loras", "x//a.safetensors") == now.listing("loras", ".a.safetensors") == []
