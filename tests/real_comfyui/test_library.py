"""The library in a real ComfyUI: from an empty models folder, core's own loaders load what is in the bucket.

By POST /prompt alone, as any client queues. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT, make_place
from PIL import Image
from result_lists import checked
from servers.comfyui import running
from servers.fault_proxy import FaultProxy
from servers.faults import Cut, Fault

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

MODELS = {
    "checkpoints/sd3/tiny.safetensors": tiny_models.checkpoint(1),
    "clip/clip_l.safetensors": tiny_models.clip(),
    "loras/style/ink.safetensors": tiny_models.lora(),
    "loras/deep/wash.safetensors": tiny_models.lora(2),
    "controlnet/edges.safetensors": tiny_models.controlnet(),
    "vae/pixels.safetensors": tiny_models.vae(),
    "unet/unet.safetensors": tiny_models.unet(2),
    **{f"loras/queue/{number}.safetensors": tiny_models.lora(number) for number in range(10)},
    **{f"loras/{name}.safetensors": tiny_models.lora(5) for name in ("gone", "twice", "local", "valued")},
    "upscale_models/no-model.safetensors": tiny_models.lora(6),
    "loras/large.safetensors": tiny_models.safetensors(
        {"diffusion_model.joint_blocks.0.x_block.attn.proj.lora_A.weight": (1, 64)}, size=40_000_000
    ),
}
POLL_SECONDS = 0.1
KSAMPLER = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
WORKFLOW = {  # ids as the page gives them, also those of nodes in a subgraph
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd3/tiny.safetensors"}},
    "2": {"class_type": "CLIPLoader", "inputs": {"clip_name": "clip_l.safetensors", "type": "sd3"}},
    "20:3": {
        "class_type": "LoraLoader",
        "inputs": {
            "model": ["1", 0],
            "clip": ["2", 0],
            "lora_name": "style\\ink.safetensors",
            "strength_model": 1.0,
            "strength_clip": 1.0,
        },
    },
    "4": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["20:3", 1], "text": "a cat"}},
    "5": {"class_type": "ControlNetLoader", "inputs": {"control_net_name": "edges.safetensors"}},
    "6": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
    "7": {
        "class_type": "ControlNetApply",
        "inputs": {"conditioning": ["4", 0], "control_net": ["5", 0], "image": ["6", 0], "strength": 0.0},
    },
    "8": {"class_type": "EmptySD3LatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "9": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["30", 0],
            "positive": ["7", 0],
            "negative": ["4", 0],
            "latent_image": ["8", 0],
            **KSAMPLER,
        },
    },
    "30": {
        "class_type": "Power Lora Loader (rgthree)",
        "inputs": {
            "model": ["20:3", 0],
            "clip": ["20:3", 1],
            "lora_1": {"on": True, "lora": "deep/wash.safetensors", "strength": 1.0},
        },
    },
    "11": {
        "class_type": "UNETLoader",
        "inputs": {"unet_name": "unet.safetensors", "weight_dtype": "default"},
    },
    "12": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["11", 0],
            "positive": ["4", 0],
            "negative": ["4", 0],
            "latent_image": ["9", 0],
            **KSAMPLER,
        },
    },
    "13": {"class_type": "SaveLatent", "inputs": {"samples": ["12", 0], "filename_prefix": "latent"}},
    "10": {"class_type": "VAELoader", "inputs": {"vae_name": "pixels.safetensors"}},
    "14": {"class_type": "VAEEncode", "inputs": {"pixels": ["6", 0], "vae": ["10", 0]}},
    "15": {"class_type": "VAEDecode", "inputs": {"samples": ["14", 0], "vae": ["10", 0]}},
    "16": {"class_type": "SaveImage", "inputs": {"images": ["15", 0], "filename_prefix": "picture"}},
}
# Loaders of packages: names within structured values. They have the ids of rgthree's and Lora-Manager's, and
# the same inputs. The second one refuses a prompt that names a file which is not here.
PACKAGE = """
import folder_paths, nodes

class Flexible(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return super().get(key, ("*",))

class Loader:
    RETURN_TYPES, FUNCTION = ("MODEL", "CLIP"), "load"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": Flexible({"model": ("MODEL",), "clip": ("CLIP",)}), "hidden": {}}

    def load(self, model=None, clip=None, **entries):
        for entry in entries.values():
            folder_paths.get_full_path_or_raise("loras", entry["lora"])
            model, clip = nodes.LoraLoader().load_lora(model, clip, entry["lora"], entry["strength"], 0.0)
        return model, clip

class Listed:
    RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "load", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {}), "loras": ("LORAS", {})}}

    @classmethod
    def VALIDATE_INPUTS(cls, loras=None):
        return not loras or "a LoRA is missing"

    def load(self, text, loras):
        entries = loras["__value__"] if isinstance(loras, dict) else loras
        for entry in entries:
            folder_paths.get_full_path_or_raise("loras", entry["name"] + ".safetensors")
        return {"ui": {"loaded": [entry["name"] for entry in entries]}}

NODE_CLASS_MAPPINGS = {"Power Lora Loader (rgthree)": Loader, "Lora Stacker (LoraManager)": Listed}
"""


def until(is_so: Callable[[], object]) -> None:
    """Wait until something is so; the test's own time limit ends what never is."""
    pause = threading.Event()
    while not is_so():
        pause.wait(POLL_SECONDS)


class Core:
    """A running ComfyUI with an empty models folder, as an API client sees it."""

    def __init__(self, address: str, base: Path, storage: Any, proxy: FaultProxy) -> None:
        self.address, self.base, self.storage, self.proxy = address, base, storage, proxy

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                said = answer.read()
                return json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            return json.load(error)

    def queue(self, nodes: object, **more: object) -> str:
        said = self.ask("/prompt", {"prompt": nodes, **more})
        assert "prompt_id" in said, said
        return str(said["prompt_id"])

    def result(self, prompt_id: str) -> dict[str, Any]:
        """What came of a prompt, when it has ended: its status, outputs, and messages by their kinds."""
        until(lambda: self.ask(f"/history/{prompt_id}"))
        entry = self.ask(f"/history/{prompt_id}")[prompt_id]
        return {
            "outputs": entry["outputs"],
            **dict(entry["status"]["messages"]),
        }

    def run(self, nodes: object, **more: object) -> dict[str, Any]:
        return self.result(self.queue(nodes, **more))

    def file(self, path: str) -> Path:
        return self.base / "models" / path


@pytest.fixture(scope="module")
def core(servers, tmp_path_factory):
    place = make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")
    storage = place.open()
    for key, content in MODELS.items():
        storage.put(f"models/{key}", content, PutOptions(), Meter())
    base = tmp_path_factory.mktemp("comfyui") / "base"
    package = base.with_name("package")
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    target = urllib.parse.urlsplit(place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        settings = {"ENDPOINT_URL": proxy.url, "MODELS": "on demand"}
        environ = {**place.environ, **{f"COMFY_S3_{name}": value for name, value in settings.items()}}
        with running(base, ROOT, environ, [package]) as url:
            yield Core(url, base, storage, proxy)


def loras(*names: str) -> dict[str, Any]:
    """A prompt of nothing but LoRA loaders and what they need, which changes with each name."""
    nodes = {
        "1": WORKFLOW["1"],
        "2": WORKFLOW["2"],
        "6": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["3", 1], "text": "a cat"}},
        "9": {"class_type": "SaveLatent", "inputs": {"samples": ["8", 0], "filename_prefix": "lora"}},
        "8": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["3", 0],
                "positive": ["6", 0],
                "negative": ["6", 0],
                "latent_image": ["7", 0],
                **KSAMPLER,
            },
        },
        "7": WORKFLOW["8"],
    }
    for number, name in enumerate(names, start=3):
        before = (["1", 0], ["2", 0]) if name == names[-1] else ([f"x{number + 1}", 0], [f"x{number + 1}", 1])
        inputs = {"model": before[0], "clip": before[1], "lora_name": name}
        nodes["3" if number == 3 else f"x{number}"] = {
            "class_type": "LoraLoader",
            "inputs": {**inputs, "strength_model": 1.0, "strength_clip": 0.0},
        }
    return nodes


def test_an_empty_machine_runs_a_workflow_as_it_is_and_the_second_run_is_cached(core):
    """Every kind of model, one in a subgraph with the other system's separator, one in a structured value."""
    page = {
        "nodes": [{"id": 1, "type": "CheckpointLoaderSimple", "pos": [1.5, 2]}],
        "extra": {"ä": "雪"},
        "links": [],
    }
    more = {"extra_data": {"extra_pnginfo": {"workflow": page}}}
    first = core.run(WORKFLOW, **more)
    assert "execution_success" in first, first["execution_error"]["exception_message"]
    assert {"13", "16"} <= set(first["outputs"])
    assert (
        core.file("checkpoints/sd3/tiny.safetensors").read_bytes()
        == MODELS["checkpoints/sd3/tiny.safetensors"]
    )
    assert core.file("unet/unet.safetensors").exists()
    assert core.file("text_encoders/clip_l.safetensors").exists(), (
        "the first folder of the type, not the key's"
    )
    assert core.file("loras/deep/wash.safetensors").exists()
    (picture,) = (core.base / "output").glob("picture*.png")
    with Image.open(picture) as image:
        assert image.text["workflow"] == json.dumps(page), "the user's own, byte for byte"
    second = core.run(WORKFLOW, **more)
    assert set(WORKFLOW) <= set(second["execution_cached"]["nodes"]), "the loaders and the samplers too"
    assert "execution_success" in second


def test_a_queue_of_ten_prompts_has_ten_models(core):
    waiting = [core.queue(loras(f"queue/{number}.safetensors")) for number in range(10)]
    assert all("execution_success" in core.result(prompt_id) for prompt_id in waiting)
    assert len(list(core.file("loras/queue").glob("*.safetensors"))) == 10


def test_two_prompts_that_want_one_file_fetch_it_once(core):
    core.proxy.requests.clear()
    waiting = [core.queue(loras("twice.safetensors", f"queue/{number}.safetensors")) for number in (1, 2)]
    assert all("execution_success" in core.result(prompt_id) for prompt_id in waiting)
    gets = [one for one in core.proxy.requests if one.method == "GET" and "twice" in one.path]
    assert len(gets) == 1


def test_what_comfyui_refuses_is_refused_as_before(core):
    said = core.ask("/prompt", {"prompt": loras("nowhere.safetensors")})
    assert said["error"]["type"] == "prompt_outputs_failed_validation"
    assert said["node_errors"]["3"]["errors"][0]["type"] == "value_not_in_list"
    only_loaders = {name: node for name, node in loras("queue/1.safetensors").items() if name in "123"}
    assert core.ask("/prompt", {"prompt": only_loaders})["error"]["type"] == "prompt_no_outputs"


def test_a_model_that_has_left_the_bucket_is_a_clear_error(core):
    core.storage.delete("models/loras/gone.safetensors")
    ended = core.run(loras("gone.safetensors"))
    assert "it is no longer in the bucket" in ended["execution_error"]["exception_message"]
    until(lambda: "error" in core.ask("/prompt", {"prompt": loras("gone.safetensors")}))  # it is listed anew


def test_a_local_file_that_appears_meanwhile_is_loaded(core):
    core.file("loras").mkdir(exist_ok=True, parents=True)
    core.file("loras/local.safetensors").write_bytes(tiny_models.lora(9))
    assert "execution_success" in core.run(loras("local.safetensors"))
    assert core.file("loras/local.safetensors").read_bytes() == tiny_models.lora(9)


def test_a_name_in_a_value_that_its_node_would_refuse_comes_with_the_value(core):
    entry = {"name": "valued", "strength": "1", "active": True}
    inputs = {"text": "<lora:valued:1>", "loras": {"__value__": [entry]}}
    ended = core.run({"1": {"class_type": "Lora Stacker (LoraManager)", "inputs": inputs}})
    assert ended["outputs"].pop("1") == {"loaded": ["valued"]}, ended
    ((added, output),) = ended["outputs"].items()
    assert added.startswith("cloud_storage~")
    (file,) = checked(output["cloud_files"])  # programs find it in the history
    assert (file["key"], file["status"]) == ("models/loras/valued.safetensors", "fetched")


def test_a_loader_of_the_newer_kind_of_nodes_gets_its_file(core):
    """Upscale models are loaded by a node of the V3 schema. The file is no such model: its loader says so."""
    nodes = {
        "1": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "no-model.safetensors"}},
        "2": WORKFLOW["6"],
        "3": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["1", 0], "image": ["2", 0]},
        },
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "large"}},
    }
    ended = core.run(nodes)
    assert ended["execution_error"]["node_id"] == "1"
    assert core.file("upscale_models/no-model.safetensors").exists()


def silent(core):
    """Downloads of the large LoRA fall silent after their first megabyte."""
    return core.proxy.add(Fault(Cut("response body", 1_000_000, "silence"), "GET", "large"))


def begun(core):
    """Wait until the file begins to arrive."""
    part = core.file("loras/large.safetensors.part")
    until(lambda: part.exists() and part.stat().st_blocks > 0)
    return part


def test_cancel_ends_the_fetch_and_the_next_run_resumes_it(core):
    silent(core)
    prompt_id = core.queue(loras("large.safetensors"))
    part = begun(core)
    core.ask("/interrupt", {})
    assert "execution_interrupted" in core.result(prompt_id)
    core.proxy.clear()
    assert part.exists(), "what has arrived is kept"
    assert "execution_success" in core.run(loras("large.safetensors"))
    assert core.file("loras/large.safetensors").read_bytes() == MODELS["loras/large.safetensors"]
    assert not part.exists()


def test_a_prompt_that_is_deleted_from_the_queue_ends_its_fetch(core):
    core.file("loras/large.safetensors").unlink(missing_ok=True)
    silent(core)
    slow = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 4096, "height": 4096, "batch_size": 1, "color": 1},
        },
        "2": {"class_type": "ImageBlur", "inputs": {"image": ["1", 0], "blur_radius": 31, "sigma": 10.0}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "slow"}},
    }
    running_id = core.queue(slow)
    waiting_id = core.queue(loras("large.safetensors"))
    part = begun(core)
    core.ask("/queue", {"delete": [waiting_id]})
    until(lambda: not (part.parent / ".large.safetensors.lock").exists())
    core.proxy.clear()
    core.result(running_id)
    assert not core.file("loras/large.safetensors").exists()


def test_progress_and_errors_are_sent_for_the_loader(core):
    """What ComfyUI's page gets over its websocket: texts and bars under the id of the loader."""
    import aiohttp

    client = uuid.uuid4().hex
    core.file("loras/large.safetensors").unlink(missing_ok=True)

    async def messages(nodes):
        found: list[Any] = []
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{core.address}/ws?clientId={client}") as ws,
        ):
            said = await session.post(f"{core.address}/prompt", json={"prompt": nodes, "client_id": client})
            assert said.status == 200, await said.text()
            async for message in ws:
                if message.type == aiohttp.WSMsgType.BINARY:
                    kind, length = (
                        int.from_bytes(message.data[:4], "big"),
                        int.from_bytes(message.data[4:8], "big"),
                    )
                    if kind == 3:  # a text: server.py, BinaryEventTypes
                        text = message.data[8 + length :].decode()
                        found.append(("text", message.data[8 : 8 + length].decode(), text))
                    continue
                content = json.loads(message.data)
                data = content["data"]
                if content["type"] == "progress_state":
                    found += [("bar", one, state["max"]) for one, state in data["nodes"].items()]
                elif content["type"] in ("execution_error", "cloud_storage.model_error"):
                    found.append((content["type"], data))
                if content["type"] in ("execution_success", "execution_error"):
                    return found
        return found

    core.proxy.bandwidth_bytes_per_second = 2_000_000  # of each connection
    found = asyncio.run(messages(loras("large.safetensors")))
    core.proxy.clear()
    assert any(one[:2] == ("text", "3") and one[2].startswith("Downloaded ") for one in found)
    assert any(one[:2] == ("bar", "3") and one[2] > 1 for one in found)
    core.storage.put("models/loras/gone.safetensors", tiny_models.lora(4), PutOptions(), Meter())
    core.file("loras/large.safetensors").unlink()
    core.storage.delete("models/loras/large.safetensors")
    found = asyncio.run(messages(loras("large.safetensors")))
    told = next(one[1] for one in found if one[0] == "cloud_storage.model_error")
    failed = next(one[1] for one in found if one[0] == "execution_error")
    assert told["nodes"] == ["3"]
    assert told["added"] == failed["node_id"]
    assert told["message"] == failed["exception_message"].strip()
    assert "it is no longer in the bucket" in told["message"]
    texts = [one[2] for one in found if one[:2] == ("text", "3")]
    assert "no longer in the bucket" in texts[-1]


def test_no_list_of_models_of_core_is_missed():
    """Walks every class of this core: each list of models is in the table with its types, or is found by the
    rule.
    """
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    script = ROOT / "tests" / "real_comfyui" / "library_classes.py"
    command = [python, str(script), str(ROOT)]
    done = subprocess.run(command, cwd=os.environ["COMFYUI_PATH"], capture_output=True, text=True, check=True)
    listed = json.loads(done.stdout.splitlines()[-1])
    assert len(listed) > 30
    for one in listed:
        assert set(one["types"]) <= set(one["table"]), one
        if one["node"] != "VAELoader":  # its list has more entries than files: the table knows them
            assert set(one["types"]) <= set(one["rule"]), one
