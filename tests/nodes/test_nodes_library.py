"""The node that the library adds, as ComfyUI runs it: the file, the name, and what the loaders show."""

from __future__ import annotations

import asyncio
import os

import cloud_storage
import pytest
from cloud_storage import errors, nodes_library
from cloud_storage.library import service
from cloud_storage.library.named_models import ADDED_CLASS
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import model_management
from result_lists import files_of

ID = "cloud_storage~1"


@pytest.fixture
def bucket(cloud, comfyui, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "on demand")
    service._made.cache_clear()
    cloud.put("models/loras/style/ink.safetensors", b"ink" * 100, PutOptions(), Meter())
    service.catalogue().refresh()
    service.catalogue().wait(Meter())
    nodes = {
        ID: {"class_type": ADDED_CLASS, "inputs": {"folder_type": "loras", "name": "style/ink.safetensors"}},
        "4": {"class_type": "LoraLoader", "inputs": {"lora_name": [ID, 0]}},
        "12:5": {"class_type": "LoraLoader", "inputs": {"lora_name": [ID, 0]}},
    }
    comfyui.prompt_queue.currently_running = {0: (0, "the prompt", nodes, {}, [])}
    yield cloud
    service.library().prefetcher.close()
    service._made.cache_clear()


def fetch(**inputs):
    node = nodes_library.CloudStorageLibraryModel()
    given = {"folder_type": "loras", "name": "style/ink.safetensors", "unique_id": ID, **inputs}
    return asyncio.run(node.fetch(**given))


def test_it_fetches_the_file_and_gives_its_name_as_loaders_list_it(bucket, tmp_path, comfyui):
    assert fetch()["result"] == (f"style{os.sep}ink.safetensors",)
    assert (tmp_path / "models" / "loras" / "style" / "ink.safetensors").read_bytes() == b"ink" * 100
    assert {node_id for _, node_id, _ in comfyui.texts} == {"4", "12:5"}, "both loaders show it"
    assert comfyui.texts[-1][0] == "Downloaded style/ink.safetensors."


def test_it_gives_on_what_passes_through_it(bucket):
    value = object()
    assert fetch(passed=value)["result"] == (value,)
    assert fetch(passed=None)["result"] == (None,)


def test_it_lists_the_file_for_programs_as_fetched_also_if_that_was_ahead_of_the_prompt(bucket, tmp_path):
    info = bucket.stat("models/loras/style/ink.safetensors")
    known = {"bucket": bucket.bucket, "key": info.key, "size": info.size, "etag": info.etag}
    known["profile"] = "(env vars)"
    assert files_of(fetch()) == [{**known, "status": "fetched"}]
    assert files_of(fetch()) == [{**known, "status": "unchanged"}]
    (tmp_path / "models" / "loras" / "style" / "ink.safetensors").unlink()
    service.fetches().wait(service.fetches().start(service.catalogue().models()[0]), Meter())
    assert files_of(fetch()) == [{**known, "status": "fetched"}]


def test_a_file_of_the_user_is_none_for_programs(bucket, tmp_path):
    path = tmp_path / "models" / "loras" / "style" / "ink.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"my own")
    assert files_of(fetch()) == []


def test_its_answer_to_is_changed_stays_the_same_and_sends_nothing(bucket, monkeypatch):
    def asked():
        return nodes_library.CloudStorageLibraryModel.IS_CHANGED(
            folder_type="loras", name="style/ink.safetensors", passed=None, unique_id=ID
        )

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "stat", lambda *_: pytest.fail("a request"))
        before = asked()
    service.fetches().wait(service.fetches().start(service.catalogue().models()[0]), Meter())
    assert asked() == before


def test_an_error_is_shown_on_the_loaders_and_reported_to_the_page(bucket, comfyui):
    bucket.delete("models/loras/style/ink.safetensors")
    with pytest.raises(errors.NotFound) as caught:
        fetch()
    assert comfyui.texts[-1][1] == "12:5"
    assert "no longer in the bucket" in comfyui.texts[-1][0]
    ((event, told, client),) = comfyui.events
    assert (event, client) == ("cloud_storage.model_error", "browser")
    assert told == {
        "prompt_id": "the prompt",
        "added": ID,
        "nodes": ["4", "12:5"],
        "message": str(caught.value),
    }


def test_cancel_ends_it(bucket, monkeypatch):
    monkeypatch.setattr(service.fetches(), "_wait_for_turn", lambda fetch: fetch.meter.wait(30))
    model_management.interrupt_current_processing()
    with pytest.raises(model_management.InterruptProcessingException):
        fetch()


def test_it_is_no_output_and_nobody_is_offered_it():
    node = nodes_library.HIDDEN_NODES[ADDED_CLASS]
    assert not hasattr(node, "OUTPUT_NODE")
    assert node.DEPRECATED
    assert node.DEV_ONLY
    assert ADDED_CLASS not in cloud_storage.NODE_CLASS_MAPPINGS
    inputs = node.INPUT_TYPES()
    assert [*inputs["required"], *inputs["optional"]] == ["folder_type", "name", "passed", "is_word"], (
        "pictures have prompts with this node: a new input is the last one"
    )
