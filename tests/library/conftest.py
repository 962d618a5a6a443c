"""A library of its own for each test: a bucket, a stand-in ComfyUI with loaders, and a queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from cloud_storage.storage.base import ObjectInfo, PutOptions
from cloud_storage.system.meter import Meter
from conftest import make_place


class Loader:
    """A loader of the stand-in: its list is that of a folder type, as core's."""

    TYPE, INPUT = "loras", "lora_name"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        import folder_paths

        names = folder_paths.get_filename_list(cls.TYPE)
        return {"required": {"model": ("MODEL",), cls.INPUT: (names,), "strength": ("FLOAT", {})}}


class Output:
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}}


class Text:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"clip": ("CLIP",), "text": ("STRING", {"multiline": True})}}


class Words:
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"words": ("STRING", {})}}


def loader(folder_type: str, name: str) -> type:
    return type("Loader", (Loader,), {"TYPE": folder_type, "INPUT": name})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> dict[str, type]:
    """The node classes of the stand-in: core's loaders, one that no table knows, a text, and an output."""
    import nodes

    classes = {
        "CheckpointLoaderSimple": loader("checkpoints", "ckpt_name"),
        "LoraLoader": Loader,
        "VAELoader": loader("vae", "vae_name"),
        "UNETLoader": loader("diffusion_models", "unet_name"),
        "AnotherLoader": loader("ipadapter", "file"),
        "CLIPTextEncode": Text,
        "PrimitiveString": Words,
        "SaveImage": Output,
    }
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", classes)
    return classes


@pytest.fixture(scope="session")
def fast_place(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One bucket: what differs between backends is tested in ``tests/storage/``."""
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def store(cloud: Any) -> Any:
    """``store(key, content)`` puts an object below models/ of the bucket."""

    def put(key: str, content: bytes = b"weights") -> None:
        cloud.put(f"models/{key}", content, PutOptions(), Meter())

    return put


@pytest.fixture
def on_demand(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFY_S3_MODELS", "on demand")


def listed(catalogue: Any) -> Any:
    """The catalogue, after a listing."""
    catalogue.refresh()
    catalogue.wait(Meter())
    return catalogue


@pytest.fixture
def catalogued(comfyui: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``catalogued(*keys)`` assembles a library on demand whose catalogue on disk has these models. No server
    is there to be asked.
    """
    from cloud_storage.comfyui import folders
    from cloud_storage.library import catalogue, catalogue_file, members, service

    settings = {"BUCKET": "b", "ACCESS_KEY": "a", "SECRET_KEY": "s", "MODELS": "on demand"}
    for name, value in {**settings, "MODELS_KEEP_FREE_GB": "0", "ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(f"COMFY_S3_{name}", value)
    made: list[Any] = []

    def assemble(*keys: str) -> Any:
        objects = tuple(ObjectInfo(f"models/{key}", 7, f'"{key}"') for key in keys)
        listing = catalogue_file.Listing(datetime.now(timezone.utc), objects)
        file = folders.profiles_file()
        places = [one.place for one in members.read(file).members]
        catalogue_file.write(file.with_name(catalogue_file.FILE_NAME), dict.fromkeys(places, listing))
        made.append(service.assembled(catalogue.of_this_comfyui()))
        return made[-1]

    yield assemble
    for one in made:
        one.prefetcher.close()


@pytest.fixture
def library(cloud: Any, on_demand: None) -> Iterator[Any]:
    """``library()`` assembles a library on demand, with a catalogue that is listed."""
    from cloud_storage.library import catalogue, service

    made: list[Any] = []

    def assemble() -> Any:
        made.append(service.assembled(listed(catalogue.of_this_comfyui())))
        return made[-1]

    yield assemble
    for one in made:
        one.prefetcher.close()
        for fetch in one.fetches.busy():
            fetch.meter.stop()


def queue(comfyui: Any, *prompts: dict[str, Any], running: int = 0) -> None:
    """Put prompts into ComfyUI's queue; the first ``running`` of them run."""
    items = [(number, f"{number}: {', '.join(nodes)}", nodes, {}, []) for number, nodes in enumerate(prompts)]
    comfyui.prompt_queue.currently_running = dict(enumerate(items[:running]))
    comfyui.prompt_queue.queue = items[running:]
