"""Save Latent and Load Latent as ComfyUI runs them; core's own are in tests/real_comfyui/test_latents.py."""

from __future__ import annotations

import pytest
import torch
from cloud_storage import errors, nodes_latent
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import cli_args
from conftest import lines_of, of_a_list, outputs_of, run_node
from result_lists import files_of
from safetensors.torch import load

LATENT = {"samples": torch.randn(2, 4, 8, 6), "noise_mask": torch.rand(1, 64, 48), "batch_index": [0, 5]}


def test_a_latent_comes_back_with_all_its_keys(cloud):
    urls, (key,), same = outputs_of("SaveLatentToCloud", samples=LATENT)
    assert (key, same) == ("comfyui/latents/ComfyUI_00001.latent", LATENT)
    assert urls == cloud.url(key)
    (found,) = outputs_of("LoadLatentFromCloud", key=key)
    assert torch.equal(found["samples"], LATENT["samples"])
    assert torch.equal(found["noise_mask"], LATENT["noise_mask"])
    assert found["batch_index"] == [0, 5]


def metadata_of(data):
    import json

    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__")


def test_the_workflow_is_embedded_unless_somebody_wants_none(cloud, monkeypatch):
    given = {
        "samples": {"samples": LATENT["samples"]},
        "prompt": {"1": {}},
        "extra_pnginfo": {"workflow": {}},
    }

    def saved(**inputs):
        _, (key,), _ = outputs_of("SaveLatentToCloud", **given, **inputs)
        return metadata_of(cloud.read(key))

    assert saved() == {"prompt": '{"1": {}}', "workflow": "{}"}
    assert saved(embed_workflow=False) is None
    monkeypatch.setattr(cli_args.args, "disable_metadata", True)
    assert saved() is None


def test_a_value_that_a_file_cannot_hold_is_told_on_the_node(cloud):
    done = run_node("SaveLatentToCloud", samples={**LATENT, "hook": object()})
    assert "'hook' was left out of the file" in lines_of(done)[0]
    (file,) = files_of(done)
    assert load(cloud.read(file["key"])).keys() == {"latent_tensor", "noise_mask", "latent_format_version_0"}


def test_an_unchanged_latent_is_not_downloaded_again(cloud):
    _, (key,), _ = outputs_of("SaveLatentToCloud", samples=LATENT)
    done = [run_node("LoadLatentFromCloud", key=key) for _ in range(2)]
    assert [files_of(each)[0]["status"] for each in done] == ["fetched", "unchanged"]
    node = nodes_latent.LoadLatentFromCloud
    state = node.IS_CHANGED(key=key, unique_id="5")
    assert node.IS_CHANGED(key=key, unique_id="5") == state
    cloud.put(key, b"another", PutOptions(), Meter())
    assert node.IS_CHANGED(key=key, unique_id="5") != state
    with pytest.raises(errors.Unreadable, match="load the latent"):
        run_node("LoadLatentFromCloud", key=key)


def test_the_latents_of_a_list_are_saved_in_order(cloud):
    items = [{"samples": {"samples": torch.full((1, 4, 2, 2), float(number))}} for number in range(3)]
    keys = [found["result"][1][0] for found in of_a_list("SaveLatentToCloud", items)]
    assert keys == [f"comfyui/latents/ComfyUI_0000{number}.latent" for number in (1, 2, 3)]
    values = [outputs_of("LoadLatentFromCloud", key=key)[0]["samples"].mean().item() for key in keys]
    assert values == [0, 1, 2]


def test_a_latent_that_cannot_be_sent_waits_in_the_outbox(cloud, monkeypatch):
    with monkeypatch.context() as without_a_key:
        without_a_key.delenv("COMFY_S3_SECRET_KEY")
        done = run_node("SaveLatentToCloud", samples=LATENT, on_failure="keep and go on", filename="a")
    assert done["result"][1] == [""]
    assert run_node("RetryPendingUploads")["result"][:2] == (1, 0)
    (found,) = outputs_of("LoadLatentFromCloud", key="comfyui/latents/a.latent")
    assert torch.equal(found["samples"], LATENT["samples"])


def test_what_is_no_latent_is_refused_before_anything_is_sent(cloud):
    for samples in (None, LATENT["samples"], {}, {"samples": [1]}):
        with pytest.raises((errors.ConfigurationError, errors.MediaError)):
            run_node("SaveLatentToCloud", samples=samples)
    assert list(cloud.list()) == []
