"""The package as a whole: how ComfyUI loads it, which room imports which, what its nodes are called."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys

import pytest
from package_modules import ROOT, imports, modules

# What a package may import of the others, besides itself and the packages around it. "nodes" are the node
# modules at the root; the root's other modules are packages of one module.
NODE_FLOOR = ("node_inputs", "saving", "loading", "library", "mirror", "syncing", "page")
GROUND = ("profile", "config", "providers", "system", "errors")
ROOMS = ("media", "media.image", "media.video", "media.audio")
IMPORTS = {
    "__init__": ("nodes", "page", "library", "mirror", "comfyui"),
    "nodes": (*NODE_FLOOR, "comfyui", *ROOMS, "storage", *GROUND),
    "cloud": (),  # it loads command_line by its name
    "command_line": (
        "library",
        "mirror",
        "syncing",
        "saving",
        "loading",
        "comfyui",
        "media",
        "storage",
        *GROUND,
    ),
    "node_inputs": ("saving", "media", "storage"),
    "saving": ("comfyui", "media", "storage", *GROUND),
    "loading": ("comfyui", *ROOMS, "storage", *GROUND),
    "library": ("saving", "loading", "comfyui", "storage", *GROUND),
    "mirror": ("saving", "loading", "comfyui", "storage", *GROUND),
    "syncing": ("loading", "comfyui", "storage", *GROUND),
    "page": ("library", "mirror", "saving", "loading", "comfyui", *ROOMS, "storage", *GROUND),
    "comfyui": (*ROOMS, "storage", *GROUND),
    "media.audio": ("system", "errors"),
    "media.image": ("system", "errors"),
    "media.video": ("media.audio", "system", "errors"),
    "media": ("system", "errors"),
    "storage.s3": GROUND,
    "storage.oss": GROUND,
    "storage": GROUND,
    "profile": ("config", "providers", "errors"),
    "config": ("providers", "system", "errors"),
    "providers": ("errors",),
    "system": ("errors",),
    "errors": (),
}
EMPTY = {name for name in modules() if name.endswith(".__init__")}
SDK_DOORS = {"boto3": "storage.s3.", "botocore": "storage.s3.", "oss2": "storage.oss."}
HOST_MODULES = ("comfy", "comfy_api", "comfy_execution", "folder_paths", "nodes", "server", "execution")
SDKS = ("boto3", "botocore", "oss2", "filelock", "PIL", "av", "isal", "requests", "urllib3", "aiohttp")

# What workflows of users name: id -> title, category, inputs, outputs. Only a new input is added, at the end.
CONTRACT = {
    "CloudStorageProfile": (
        "Cloud Storage Profile",
        "cloud_storage",
        ["profile", "provider", "bucket", "path_prefix", "region"],
        ("S3_PROFILE",),
    ),
    "TestCloudConnection": ("Test Cloud Connection", "cloud_storage", ["profile"], ("STRING",)),
    "SaveImageToCloud": (
        "Save Image to Cloud",
        "cloud_storage/save",
        [
            *("images", "key_prefix", "filename", "format", "quality", "profile"),
            *("if_exists", "link", "expires_hours", "embed_workflow", "on_failure"),
        ],
        ("STRING", "STRING", "IMAGE"),
    ),
    "SaveVideoToCloud": (
        "Save Video to Cloud",
        "cloud_storage/save",
        [
            *("video", "key_prefix", "filename", "format", "codec", "profile"),
            *("if_exists", "link", "expires_hours", "embed_workflow", "crf", "on_failure"),
        ],
        ("STRING", "STRING", "VIDEO"),
    ),
    "SaveAudioToCloud": (
        "Save Audio to Cloud",
        "cloud_storage/save",
        [
            *("audio", "key_prefix", "filename", "format", "profile"),
            *("quality", "if_exists", "link", "expires_hours", "embed_workflow", "on_failure", "audioUI"),
        ],
        ("STRING", "STRING", "AUDIO"),
    ),
    "LoadVideoFromCloud": (
        "Load Video from Cloud",
        "cloud_storage/load",
        [
            *("key", "force_rate", "custom_width", "custom_height", "frame_load_cap"),
            *("skip_first_frames", "select_every_nth", "profile", "vae", "format", "on_damage"),
        ],
        ("IMAGE,LATENT", "INT", "AUDIO", "VHS_VIDEOINFO", "VIDEO"),
    ),
    "LoadAudioFromCloud": (
        "Load Audio from Cloud",
        "cloud_storage/load",
        ["key", "profile", "start_seconds", "duration_seconds", "on_damage"],
        ("AUDIO",),
    ),
    "RetryPendingUploads": (
        "Retry Pending Uploads",
        "cloud_storage/save",
        ["profile"],
        ("INT", "INT", "STRING"),
    ),
    "UploadFileToCloud": (
        "Upload File to Cloud",
        "cloud_storage/save",
        ["file", "key_prefix", "filename", "profile", "if_exists", "link", "expires_hours"],
        ("STRING", "STRING"),
    ),
    "DownloadFileFromCloud": (
        "Download File from Cloud",
        "cloud_storage/load",
        ["key", "folder", "profile", "if_exists", "subfolder", "filename"],
        ("STRING", "STRING"),
    ),
    "SaveTextToCloud": (
        "Save Text to Cloud",
        "cloud_storage/save",
        [
            *("text", "key_prefix", "filename", "extension", "profile"),
            *("if_exists", "link", "expires_hours", "on_failure", "byte_order_mark"),
        ],
        ("STRING", "STRING", "STRING"),
    ),
    "LoadTextFromCloud": (
        "Load Text from Cloud",
        "cloud_storage/load",
        ["key", "profile", "on_damage"],
        ("STRING",),
    ),
    "SaveLatentToCloud": (
        "Save Latent to Cloud",
        "cloud_storage/save",
        [
            *("samples", "key_prefix", "filename", "profile"),
            *("if_exists", "link", "expires_hours", "embed_workflow", "on_failure"),
        ],
        ("STRING", "STRING", "LATENT"),
    ),
    "LoadLatentFromCloud": (
        "Load Latent from Cloud",
        "cloud_storage/load",
        ["key", "profile"],
        ("LATENT",),
    ),
    "SyncFolderWithCloud": (
        "Sync Folder with Cloud",
        "cloud_storage/models",
        ["direction", "folder", "prefix", "profile", "dry_run", "overwrite", "pattern"],
        ("STRING", "STRING,COMBO", "STRING"),
    ),
    "UploadModelToCloud": (
        "Upload Model to Cloud",
        "cloud_storage/models",
        ["model_type", "model", "key_prefix", "profile", "if_exists"],
        ("STRING", "STRING"),
    ),
    "LoadModelFromCloud": (
        "Download Model from Cloud",
        "cloud_storage/models",
        ["model_type", "key", "force_redownload", "profile", "sha256", "subfolder"],
        ("STRING,COMBO",),
    ),
    "LoadImagesFromCloud": (
        "Load Image Folder from Cloud",
        "cloud_storage/load",
        [
            *("prefix", "pattern", "sort", "skip_first", "select_every_nth", "limit", "size_mode"),
            *("profile", "on_damage"),
        ],
        ("IMAGE", "MASK", "STRING", "INT"),
    ),
    "LoadImageFromCloud": (
        "Load Image from Cloud",
        "cloud_storage/load",
        ["key", "profile", "on_damage"],
        ("IMAGE", "MASK"),
    ),
    "LoadMaskFromCloud": (
        "Load Mask from Cloud",
        "cloud_storage/load",
        ["key", "channel", "profile", "on_damage"],
        ("MASK",),
    ),
    "ListBucketContents": (
        "List Bucket Contents",
        "cloud_storage/browse",
        ["prefix", "max_results", "profile", "pattern"],
        ("STRING", "STRING", "INT"),
    ),
    "GeneratePresignedURL": (
        "Generate Sharing URL",
        "cloud_storage/browse",
        ["key", "expires_hours", "profile"],
        ("STRING",),
    ),
}


def package(module):
    folder, _, _ = module.rpartition(".")
    return folder or ("nodes" if module.startswith("nodes_") else module)


def test_every_package_is_in_the_table():
    assert {package(name) for name in set(modules()) - EMPTY} == set(IMPORTS)


def test_packages_import_what_the_table_allows():
    for name, path in modules().items():
        own = package(name)
        for target in imports(name, path)[0]:
            other = package(target)
            inside = own == other and own != "nodes"
            assert inside or own.startswith(f"{other}.") or other in IMPORTS[own], f"{name} imports {target}"


def test_imports_make_no_circle():
    waiting = {name: imports(name, path)[0] - {name} for name, path in modules().items()}
    while ready := {name for name, targets in waiting.items() if not targets & set(waiting)}:
        waiting = {name: targets for name, targets in waiting.items() if name not in ready}
    assert not waiting


def test_no_module_of_ours_is_imported_by_an_absolute_name():
    for name, path in modules().items():
        assert not imports(name, path)[1] & set(modules()) - {"profile"}, name


def test_the_init_files_of_packages_are_empty():
    assert all(not modules()[name].read_bytes() for name in EMPTY)


def test_one_module_knows_the_host_and_no_node_knows_an_sdk():
    for name, path in modules().items():
        _, foreign = imports(name, path)
        if not name.startswith("comfyui."):
            assert not foreign & set(HOST_MODULES), name
        for sdk, door in SDK_DOORS.items():
            assert sdk not in foreign or name.startswith(door), name


@pytest.mark.parametrize(
    "name", ["custom_nodes.comfyui-cloud-storage", "/srv/ComfyUI/custom_nodes/comfyui-cloud-storage"]
)
def test_it_loads_by_path_under_any_name_and_imports_no_sdk(name):
    program = f"""
import importlib.util, sys
import torch
before = set(sys.modules)
name = {name!r}.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, {str(ROOT / "__init__.py")!r})
module = importlib.util.module_from_spec(spec)
sys.modules[name] = module
spec.loader.exec_module(module)
loaded = {{m.split(".")[0] for m in set(sys.modules) - before}}
assert not loaded & set({SDKS!r}), loaded
assert len(module.NODE_CLASS_MAPPINGS) == {len(CONTRACT)}, module.NODE_CLASS_MAPPINGS
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/", stdin=subprocess.DEVNULL)


def test_what_is_published_loads_from_an_unzipped_folder_also_over_an_older_version(tmp_path):
    """Before the packages, all modules lay in the root: one of those that is left there is never imported."""
    kept_out = [line.strip("/") for line in (ROOT / ".comfyignore").read_text().splitlines()]
    folder = tmp_path / "comfyui-cloud-storage-1.0"
    shutil.copytree(ROOT, folder, ignore=lambda at, names: [*kept_out, ".git", ".venvs", "__pycache__"])
    flat = [
        "host",
        "transfer",
        "naming",
        "routes",
        *(path.name for path in folder.iterdir() if path.is_dir()),
    ]
    for name in flat:
        (folder / f"{name}.py").write_text("raise AssertionError('this module is of an older version')")
    program = f"""
import importlib, importlib.util, sys
sys.path.append({str(ROOT / "tests" / "stand_in")!r})
spec = importlib.util.spec_from_file_location("unzipped", {str(folder / "__init__.py")!r})
module = importlib.util.module_from_spec(spec)
sys.modules["unzipped"] = module
spec.loader.exec_module(module)
assert len(module.NODE_CLASS_MAPPINGS) == {len(CONTRACT)}, module.NODE_CLASS_MAPPINGS
for name in {sorted(name for name in modules() if name != "__init__")!r}:
    importlib.import_module(f"unzipped.{{name}}".removesuffix(".__init__"))
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/", stdin=subprocess.DEVNULL)


def test_the_nodes_are_those_of_the_contract(comfyui):
    import cloud_storage

    assert (
        set(cloud_storage.NODE_CLASS_MAPPINGS)
        == set(CONTRACT)
        == set(cloud_storage.NODE_DISPLAY_NAME_MAPPINGS)
    )
    for node_id, (shown, category, inputs, outputs) in CONTRACT.items():
        node = cloud_storage.NODE_CLASS_MAPPINGS[node_id]
        declared = node.INPUT_TYPES()
        assert cloud_storage.NODE_DISPLAY_NAME_MAPPINGS[node_id] == shown
        assert category == node.CATEGORY
        assert [*declared.get("required", {}), *declared.get("optional", {})] == inputs, (
            f"add a new input at the end of `optional`, and at the end of {node_id} in CONTRACT"
        )
        assert outputs == node.RETURN_TYPES
        assert len(node.RETURN_NAMES) == len(outputs) == len(node.OUTPUT_TOOLTIPS)
        assert "profile" not in declared.get("required", {}) or node_id == "CloudStorageProfile"
        json.dumps(declared)


def parameters_of(method):
    """The parameters of a node's method by name; ``**options`` stands for the fields of SaveRequest."""
    from cloud_storage.saving.save_request import SaveRequest

    found = inspect.signature(method).parameters
    return {**inspect.signature(SaveRequest).parameters, **found} if "options" in found else dict(found)


def test_every_input_has_a_default_a_tooltip_and_a_place_in_the_method(comfyui):
    import cloud_storage

    for node_id, node in cloud_storage.NODE_CLASS_MAPPINGS.items():
        declared = node.INPUT_TYPES()
        parameters = parameters_of(getattr(node, node.FUNCTION))
        offered = {**declared.get("required", {}), **declared.get("optional", {})}
        for name, (kind, *options) in offered.items():
            assert name in parameters, (node_id, name)
            assert options[0]["tooltip"], (node_id, name)
            if kind not in ("IMAGE", "VIDEO", "AUDIO", "LATENT"):
                assert parameters[name].default is not inspect.Parameter.empty, (node_id, name)
            if isinstance(kind, list):
                assert kind, (node_id, name)
            if "default" in options[0]:
                assert parameters[name].default == options[0]["default"], (node_id, name)
            if isinstance(kind, list) and name not in ("profile", "model"):  # lists of what this server has
                assert parameters[name].default == kind[0], (node_id, name)
        assert set(declared.get("hidden", {})) <= set(parameters), node_id
        if hasattr(node, "IS_CHANGED"):
            given = dict.fromkeys([*offered, *declared.get("hidden", {})])
            inspect.signature(node.IS_CHANGED).bind(**given)  # as ComfyUI calls it; raises TypeError


def test_the_picture_in_contributing_shows_the_folders_that_there_are():
    picture = re.search(r"```\n(├─.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    drawn, above = set(), ""
    for line in picture[1].splitlines():
        name = re.search(r"[├└]─ (\S+)", line)[1]
        if line.startswith("│"):
            drawn.add(above + name.rstrip("/"))
        else:
            above = name
            drawn.add(name.rstrip("/"))
    folders = {path.relative_to(ROOT).as_posix() for path in _tracked_folders()}
    modules_there = {path.name for path in ROOT.glob("*.py") if not path.name.startswith("nodes_")}
    assert {name for name in drawn if "." not in name} == folders
    assert {name for name in drawn if "." in name} == {*modules_there, "nodes_*.py"}


def _tracked_folders():
    for path in ROOT.iterdir():
        if path.is_dir() and not path.name.startswith((".", "__")):
            yield path
            if (path / "__init__.py").exists():
                yield from (inner.parent for inner in path.glob("*/__init__.py"))


def test_the_project_is_called_otherwise_than_comfyui():
    """The registry asks for that: docs.comfy.org/registry/specifications, name."""
    project = re.search(r'^name = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert "comfyui" not in project.lower()
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,99}", project)


def test_every_module_has_a_test_file_of_its_own():
    homes = {"nodes": ("nodes",), "node_inputs": ("nodes",)}
    for name in sorted(set(modules()) - EMPTY - {"__init__"}):
        folder, _, module = name.rpartition(".")
        folders = [folder.replace(".", "/")] if folder else [*homes.get(package(name), ("package",))]
        assert any((ROOT / "tests" / one / f"test_{module}.py").is_file() for one in folders), name
