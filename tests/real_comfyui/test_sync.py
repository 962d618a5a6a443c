"""A folder of diffusers in the bucket becomes one that ComfyUI's own DiffusersLoader lists.

Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.request

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT
from result_lists import checked
from servers.comfyui import running
from servers.comfyui_api import run

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)
FILES = {
    "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
    "unet/diffusion_pytorch_model.safetensors": os.urandom(9 << 20),  # in several ranges
    "vae/diffusion_pytorch_model.safetensors": os.urandom(1000),
    "text_encoder/config.json": b"{}",
}


@pytest.fixture(scope="module")
def address(place, base):
    for name, content in FILES.items():
        place.open().put(f"models/diffusers/sd/{name}", content, PutOptions(), Meter())
    with running(base, ROOT, place.environ) as url:
        yield url


def sync(direction, folder):
    inputs = {"direction": direction, "folder": folder, "prefix": "models/diffusers/sd/"}
    return {"class_type": "SyncFolderWithCloud", "inputs": inputs}


def test_a_folder_of_diffusers_is_synced_listed_and_read_by_comfyuis_loader(address, base):
    prompt = {
        "1": sync("download", "models/diffusers/sd"),
        "2": {"class_type": "DiffusersLoader", "inputs": {"model_path": ["1", 1]}},
        "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    ran = run(address, prompt)
    for name, content in FILES.items():
        assert (base / "models" / "diffusers" / "sd" / name).read_bytes() == content
    files = checked(ran.executed["1"]["cloud_files"])
    assert [file["status"] for file in files] == ["fetched"] * len(FILES)
    assert ran.error["node_type"] == "DiffusersLoader", "it reads our folder, in which there are no weights"
    assert any(word in ran.error["exception_message"] for word in ("header", "safetensor", "Header"))
    with urllib.request.urlopen(f"{address}/object_info/DiffusersLoader") as answer:
        (listed, *_) = json.load(answer)["DiffusersLoader"]["input"]["required"]["model_path"]
    assert "sd" in listed


def test_the_next_run_moves_nothing_and_a_new_file_goes_up(address, base, place):
    run(address, {"1": sync("download", "models/diffusers/sd")})
    again = run(address, {"1": sync("download", "models/diffusers/sd")})
    files = checked(again.outputs("1")["cloud_files"])
    assert len(files) == len(FILES)
    (base / "models" / "diffusers" / "sd" / "scheduler.json").write_bytes(b"{}")
    ran = run(address, {"1": sync("upload", "models/diffusers/sd")})
    statuses = [file["status"] for file in checked(ran.outputs("1")["cloud_files"])]
    assert sorted(statuses) == ["skipped"] * len(FILES) + ["stored"]
    assert place.open().read("models/diffusers/sd/scheduler.json") == b"{}"
