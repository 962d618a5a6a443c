"""Latents against ComfyUI's own Save Latent and Load Latent, bit for bit, in both directions.

Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from servers.comfyui_api import run

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def save(samples, prefix):
    return node("SaveLatentToCloud", samples=samples, key_prefix=prefix, filename="a")


@pytest.fixture(params=["float32", "float16", "bfloat16"])
def given(request, base, address):
    """A file of random numbers in the input folder, as Load Latent offers them; its name."""
    import torch
    from safetensors.torch import save_file

    samples = torch.randn(2, 4, 8, 6, generator=torch.Generator().manual_seed(1))
    tensors = {
        "latent_tensor": samples.to(getattr(torch, request.param)),
        "latent_format_version_0": torch.tensor([]),
    }
    name = f"{request.param}.latent"
    save_file(tensors, str(base / "input" / name))
    return name


def parts(data):
    """The header, as safetensors writes it in any order, and the bytes of the tensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    return len(data), json.loads(data[8:end]), data[end:]


def tensors(data):
    _, header, content = parts(data)
    header.pop("__metadata__", None)
    return header, content


def newest(base, prefix):
    """The last file that ComfyUI's Save Latent has written with this prefix."""
    return sorted((base / "output").glob(f"{prefix}_*.latent"))[-1].read_bytes()


def test_our_file_is_cores_file_and_each_reads_the_others(address, base, place, given):
    stem = given.removesuffix(".latent")
    storage = place.open()
    ran = run(
        address,
        {
            "1": node("LoadLatent", latent=given),
            "2": node("SaveLatent", samples=["1", 0], filename_prefix=f"core-{stem}"),
            "3": save(["1", 0], f"{stem}/"),
            "4": node("LoadLatentFromCloud", key=["3", 1]),
            "5": node("SaveLatent", samples=["4", 0], filename_prefix=f"back-{stem}"),
        },
    )
    (file,) = ran.outputs("3")["cloud_files"]
    core, ours = newest(base, f"core-{stem}"), storage.read(file["key"])
    assert parts(ours) == parts(core), "metadata too: both hold the same prompt"
    assert parts(ours)[1]["__metadata__"]["prompt"]
    assert tensors(newest(base, f"back-{stem}")) == tensors(core)

    storage.put(f"{stem}/core.latent", core, PutOptions(), Meter())
    (base / "input" / f"ours-{given}").write_bytes(ours)
    ran = run(
        address,
        {
            "1": node("LoadLatentFromCloud", key=f"{stem}/core.latent"),
            "2": node("SaveLatent", samples=["1", 0], filename_prefix=f"theirs-{stem}"),
            "3": node("LoadLatent", latent=f"ours-{given}"),
            "4": node("SaveLatent", samples=["3", 0], filename_prefix=f"ours-{stem}"),
        },
    )
    assert ran.error is None, ran.error
    assert tensors(newest(base, f"theirs-{stem}")) == tensors(core)
    assert tensors(newest(base, f"ours-{stem}")) == tensors(core)


def test_a_mask_comes_back_and_cores_load_latent_overlooks_it(address, base, place, given):
    stem = f"masked-{given.removesuffix('.latent')}"
    ran = run(
        address,
        {
            "1": node("LoadLatent", latent=given),
            "2": node("SolidMask", value=0.25, width=48, height=64),
            "3": node("SetLatentNoiseMask", samples=["1", 0], mask=["2", 0]),
            "4": node("LatentFromBatch", samples=["3", 0], batch_index=1, length=1),
            "5": save(["4", 0], f"{stem}/one/"),
            "6": node("LoadLatentFromCloud", key=["5", 1]),
            "7": save(["6", 0], f"{stem}/two/"),
        },
    )
    assert ran.error is None, ran.error
    one, two = (place.open().read(f"{stem}/{name}/a.latent") for name in ("one", "two"))
    header, _ = tensors(one)
    assert header["noise_mask"]["shape"][-2:] == [64, 48]
    assert tensors(one) == tensors(two)
    said = [json.loads(parts(data)[1]["__metadata__"]["cloud_storage_latent"]) for data in (one, two)]
    assert said[0] == said[1]
    assert said[0]["values"]["batch_index"] == [1]
    (base / "input" / f"{stem}.latent").write_bytes(one)
    ran = run(
        address,
        {
            "1": node("LoadLatent", latent=f"{stem}.latent"),
            "2": node("SaveLatent", samples=["1", 0], filename_prefix=stem),
        },
    )
    assert ran.error is None, ran.error
    assert tensors(newest(base, stem))[0].keys() == {"latent_tensor", "latent_format_version_0"}


def test_a_latent_of_video_and_audio_comes_back_on_the_core_that_has_such(address, place):
    import urllib.request

    with urllib.request.urlopen(f"{address}/object_info") as answer:
        kinds = json.load(answer)
    if "LTXVConcatAVLatent" not in kinds:
        pytest.skip("this core has no latent of several parts")
    ran = run(
        address,
        {
            "1": node("EmptyLatentImage", width=64, height=64, batch_size=1),
            "2": node("LTXVConcatAVLatent", video_latent=["1", 0], audio_latent=["1", 0]),
            "3": save(["2", 0], "nested/one/"),
            "4": node("LoadLatentFromCloud", key=["3", 1]),
            "5": node("LTXVSeparateAVLatent", av_latent=["4", 0]),
            "6": save(["5", 0], "nested/video/"),
        },
    )
    assert ran.error is None, ran.error
    header, _ = tensors(place.open().read("nested/one/a.latent"))
    assert {"latent_tensor.0", "latent_tensor.1"} <= header.keys()
    header, _ = tensors(place.open().read("nested/video/a.latent"))
    assert header["latent_tensor"]["shape"] == [1, 4, 8, 8]
