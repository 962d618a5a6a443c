"""ComfyUI's folders without ComfyUI: compared with ComfyUI's own where one is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cloud_storage.comfyui import folders, installation, model_folders
from cloud_storage.comfyui.installation import Options
from cloud_storage.errors import ConfigurationError

A1111 = """\
#config for a1111 ui
a111:
    base_path: path/to/webui/   # relative to this file

    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS

"""


@pytest.fixture
def comfyui_folder(tmp_path, monkeypatch) -> Path:
    base = tmp_path / "ComfyUI"
    (base / "custom_nodes" / "package").mkdir(parents=True)
    monkeypatch.setitem(sys.modules, "folder_paths", None)
    return base


def installed(base, **options):
    found = installation.find(base / "custom_nodes" / "package", Options(**options))
    installation.install(found)
    import folder_paths

    return found, folder_paths


def test_the_custom_nodes_that_the_package_is_in_tells_where_comfyui_is(comfyui_folder, tmp_path):
    found, paths = installed(comfyui_folder)
    assert (found.base, found.models) == (comfyui_folder, comfyui_folder / "models")
    assert paths.get_user_directory() == str(comfyui_folder / "user")
    (tmp_path / "elsewhere").mkdir()
    link = comfyui_folder / "custom_nodes" / "linked"
    link.symlink_to(tmp_path / "elsewhere")
    assert installation.find(link, Options()).base == comfyui_folder


def test_without_comfyui_settings_are_those_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("APPDATA" if os.name == "nt" else "XDG_CONFIG_HOME", str(tmp_path))
    found = installation.find(tmp_path / "package", Options())
    assert (found.base, found.user) == (None, tmp_path / "comfyui-cloud-storage")


def test_the_options_are_comfyuis(comfyui_folder, tmp_path):
    folders = {name: tmp_path / name for name in ("base_directory", "models_directory", "user_directory")}
    found, paths = installed(comfyui_folder, **folders)
    models = tmp_path / "models_directory"
    assert paths.get_folder_paths("loras") == [str(models / "loras")]
    assert paths.get_folder_paths("unet") == [str(models / "unet"), str(models / "diffusion_models")]
    assert found.user == tmp_path / "user_directory"
    assert paths.get_output_directory() == str(tmp_path / "base_directory" / "output")
    with pytest.raises(ConfigurationError, match="There is no"):
        installation.find(comfyui_folder, Options(comfyui=tmp_path / "missing"))


@pytest.mark.parametrize("has_yaml", [True, False])
def test_extra_model_paths_are_read_with_and_without_pyyaml(comfyui_folder, monkeypatch, has_yaml):
    if has_yaml:
        pytest.importorskip("yaml")
    else:
        monkeypatch.setitem(sys.modules, "yaml", None)
    text = A1111 + "other:\n    base_path: /store\n    is_default: true\n    clip: 'my/clip'\n    loras: l\n"
    (comfyui_folder / "extra_model_paths.yaml").write_text(text)
    _, paths = installed(comfyui_folder)
    webui = comfyui_folder / "path" / "to" / "webui" / "models"
    assert paths.get_folder_paths("loras") == [
        str(Path("/store/l")),
        str(comfyui_folder / "models" / "loras"),
        str(webui / "Lora"),
        str(webui / "LyCORIS"),
    ]
    assert paths.get_folder_paths("text_encoders")[0] == str(Path("/store/my/clip"))
    assert paths.get_folder_paths("checkpoints")[1] == str(webui / "Stable-diffusion")


def test_yaml_of_another_form_is_not_guessed(comfyui_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (comfyui_folder / "extra_model_paths.yaml").write_text("a:\n    loras: [one, two]\n")
    with pytest.raises(ConfigurationError, match=r"line 2 .* `pip install pyyaml`"):
        installed(comfyui_folder)


def test_files_are_listed_and_found_as_comfyui_does(comfyui_folder):
    models = comfyui_folder / "models"
    for name in ("loras/style/a.safetensors", "loras/b.txt", "ipadapter/c.bin", "loras/D.CKPT", "clip/e.sft"):
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        (models / name).write_bytes(b"x")
    _, paths = installed(comfyui_folder)
    assert paths.get_filename_list("loras") == ["D.CKPT", str(Path("style/a.safetensors"))]
    assert paths.get_filename_list("ipadapter") == ["c.bin"]
    assert paths.get_filename_list("text_encoders") == ["e.sft"]
    assert folders.model_path("clip", "e.sft") == models / "clip" / "e.sft"
    assert folders.model_path("loras", "nothing") is None
    named = model_folders.file_of("loras", "loras/style/a.safetensors")
    assert named.path == models / "loras/style/a.safetensors"


def test_types_of_packages_are_where_their_loaders_look(comfyui_folder):
    """Also with extra_model_paths.yaml, whose folders ComfyUI reads before the packages do."""
    text = "a:\n    unet: /store/unet\n    is_default: true\n"
    (comfyui_folder / "extra_model_paths.yaml").write_text(text)
    _, paths = installed(comfyui_folder)
    assert paths.get_folder_paths("unet_gguf") == paths.get_folder_paths("diffusion_models")
    assert paths.get_folder_paths("unet_gguf")[0] == str(Path("/store/unet"))
    face = model_folders.file_of("ultralytics_bbox", "ultralytics_bbox/face.pt")
    assert face.path == comfyui_folder / "models" / "ultralytics" / "bbox" / "face.pt"
    model = model_folders.file_of("unet_gguf", "unet_gguf/flux.gguf")
    assert model.name == "flux.gguf"


def test_a_new_type_is_a_folder_below_models_and_no_misspelled_one(comfyui_folder):
    installed(comfyui_folder)
    installation.add_type("ipadapter")
    installation.add_type("unet")
    assert "ipadapter" in model_folders.types()
    for wrong in ("lora", "../up", "a/b", ""):
        with pytest.raises(ConfigurationError):
            installation.add_type(wrong)


@pytest.mark.skipif("COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH names no ComfyUI")
def test_the_types_are_those_of_the_real_comfyui(comfyui_folder):
    program = (
        "import json, folder_paths as f; "
        "print(json.dumps({n: [p, sorted(e)] for n, (p, e) in f.folder_names_and_paths.items()}))"
    )
    core = os.environ["COMFYUI_PATH"]
    shown = subprocess.run(
        [os.environ.get("COMFYUI_PYTHON", sys.executable), "-c", program],
        cwd=core,
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(shown.stdout.splitlines()[-1])
    installation.install(installation.find(comfyui_folder, Options(comfyui=Path(core))))
    import folder_paths

    ours = folder_paths.folder_names_and_paths
    for name, (places, extensions) in theirs.items():
        assert [list(map(os.path.realpath, ours[name][0])), sorted(ours[name][1])] == [
            list(map(os.path.realpath, places)),
            extensions,
        ], name
