"""models pull --workflow: every form of a workflow, and what neither side has."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

PROMPT = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
    "5": {"class_type": "LoraLoader", "inputs": {"lora_name": "style/ink.safetensors", "model": ["4", 0]}},
    "6": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}},
    "7": {"class_type": "UNETLoader", "inputs": {"unet_name": "nowhere.safetensors"}},
}
PAGE = {
    "nodes": [
        {"id": 4, "type": "CheckpointLoaderSimple", "mode": 0, "widgets_values": ["base.safetensors"]},
        {"id": 5, "type": "LoraLoader", "mode": 0, "widgets_values": ["style/ink.safetensors", 1, 1]},
        {"id": 9, "type": "LoraLoader", "mode": 4, "widgets_values": ["bypassed.safetensors", 1, 1]},
    ],
    "links": [],
}


@pytest.fixture
def models(cli, storage):
    """Two models in the bucket, one on this machine."""
    for name in ("checkpoints/base.safetensors", "loras/style/ink.safetensors"):
        storage.put(f"models/{name}", name.encode(), PutOptions(), Meter())
    path = cli.comfyui / "models" / "vae" / "ae.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"here")
    return cli.comfyui / "models"


def test_a_prompt_of_the_api_and_what_nobody_has(cli, models, bare_python):
    """In an environment without ComfyUI's packages."""
    cli = replace(cli, python=bare_python)
    (cli.cwd / "api.json").write_text(json.dumps({"prompt": PROMPT}))
    done = cli.json("models", "pull", "--workflow", "api.json")
    assert (done.code, done.done["files"]) == (1, {"fetched": 2, "unchanged": 1, "failed": 1})
    assert (models / "loras/style/ink.safetensors").read_bytes() == b"loras/style/ink.safetensors"
    assert (models / "checkpoints/base.safetensors").exists()
    (failed,) = [event for event in done.events if event.get("status") == "failed"]
    assert "nowhere.safetensors is neither here nor in the bucket" in failed["message"]
    assert "node 7 of api.json" in failed["message"]


def test_the_pages_form_a_picture_and_a_second_run(cli, models):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    (cli.cwd / "page.json").write_text(json.dumps(PAGE))
    texts = PngInfo()
    texts.add_text("workflow", json.dumps(PAGE))
    Image.new("RGB", (8, 8)).save(cli.cwd / "a.png", pnginfo=texts)
    first = cli.json("models", "pull", "--workflow", "page.json")
    assert (first.code, first.done["files"]) == (0, {"fetched": 2})
    second = cli.json("models", "pull", "--workflow", "page.json", "a.png")
    assert (second.code, second.done["bytes"]) == (0, 0)
    assert set(second.done["files"]) == {"unchanged"}


def test_a_file_without_a_workflow_fails_and_the_others_are_done(cli, models):
    (cli.cwd / "page.json").write_text(json.dumps(PAGE))
    (cli.cwd / "other.json").write_text("{}")
    done = cli.json("models", "pull", "--workflow", "other.json", "missing.png", "page.json")
    assert (done.code, done.done["files"]) == (1, {"failed": 2, "fetched": 2})


def test_models_of_packages_and_one_that_is_a_word_of_a_text(cli, models, storage):
    """The machine has neither the packages nor their folders, and a text names files without extension."""
    for name in ("diffusion_models/flux.gguf", "sams/vit_b.pth", "embeddings/ugly.pt"):
        storage.put(f"models/{name}", name.encode(), PutOptions(), Meter())
    prompt = {
        "1": {"class_type": "UnetLoaderGGUF", "inputs": {"unet_name": "flux.gguf"}},
        "2": {"class_type": "SAMLoader", "inputs": {"model_name": "vit_b.pth"}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "(embedding:ugly:1.2)", "clip": ["4", 1]}},
    }
    (cli.cwd / "api.json").write_text(json.dumps(prompt))
    done = cli.json("models", "pull", "--workflow", "api.json")
    assert (done.code, done.done["files"]) == (0, {"fetched": 3}), done
    for name in ("unet/flux.gguf", "sams/vit_b.pth", "embeddings/ugly.pt"):
        assert (models / name).exists(), name
    again = cli.json("models", "pull", "--workflow", "api.json")
    assert (again.code, again.done["files"], again.done["bytes"]) == (0, {"unchanged": 3}, 0), again
