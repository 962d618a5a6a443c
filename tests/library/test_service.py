"""The one library of a process: when it lists, and that it follows ComfyUI's server."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.library import service
from cloud_storage.system.meter import Meter


@pytest.fixture(autouse=True)
def own_library(comfyui):
    service._made.cache_clear()
    yield
    if service._made.cache_info().currsize:
        service.library().prefetcher.close()
    service._made.cache_clear()


def test_there_is_one_library_and_it_sends_nothing_by_itself(comfyui):
    assert service.library() is service.library()
    assert service.catalogue().state().mode == "off"
    assert service.fetches().states() == []


def test_the_page_makes_it_list_once_and_again_when_the_settings_are_others(cloud, store):
    store("loras/a.safetensors")
    assert service.catalogue().state().listed is None
    service.asked()
    service.catalogue().wait(Meter())
    first = service.catalogue().state().listed
    assert [model.name for model in service.catalogue().models()] == ["a.safetensors"]
    service.asked()
    assert not service.catalogue().state().is_listing
    folders.profiles_file().parent.mkdir(parents=True, exist_ok=True)
    folders.profiles_file().write_text('{"profiles": {}}')
    service.asked()
    service.catalogue().wait(Meter())
    assert service.catalogue().state().listed > first


def started(comfyui):
    """Start as ComfyUI does: packages are loaded, then the server's start-up calls."""
    service.start()

    async def begin():
        for call in comfyui.app.on_startup:
            await call(comfyui.app)

    asyncio.run(begin())


def test_on_demand_lists_when_the_server_has_started(cloud, on_demand, store, comfyui):
    store("loras/a.safetensors")
    started(comfyui)
    while service.catalogue().state().listed is None:
        service.catalogue().wait(Meter())
    assert len(service.catalogue().models()) == 1
    nodes = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.safetensors", "model": ["0", 0]}}}
    nodes["2"] = {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}
    (handler,) = comfyui.on_prompt_handlers
    assert len(handler({"prompt": nodes})["prompt"]) == 3


def test_offer_lists_nothing_until_the_page_asks(cloud, comfyui):
    started(comfyui)
    assert service.catalogue().state().mode == "offer"
    assert service.catalogue().state().listed is None
    assert not service.catalogue().state().is_listing


def test_an_uploaded_model_is_in_the_list_at_once_with_its_checksum(cloud, comfyui, tmp_path):
    from conftest import run_node

    folder = tmp_path / "models" / "loras"
    folder.mkdir(parents=True)
    (folder / "new.safetensors").write_bytes(b"new")
    assert not service.catalogue().models()
    run_node("UploadModelToCloud", model_type="loras", model="new.safetensors")
    service.catalogue().wait(Meter())
    (model,) = service.catalogue().models()
    assert model.name == "new.safetensors"
    assert model.sha256 == hashlib.sha256(b"new").hexdigest()
    run_node("UploadModelToCloud", model_type="loras", model="new.safetensors", key_prefix="elsewhere/")
    assert not service.catalogue().state().is_listing
