"""What the catalogue lists, under which types and names, and that it is there again after a restart."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from cloud_storage.library import catalogue, catalogue_file, members
from cloud_storage.library.catalogue import Model
from cloud_storage.storage.base import ObjectInfo
from cloud_storage.system.meter import Meter
from conftest import make_place, own_prefix

from .conftest import listed


def names(found):
    return [(model.folder_type, model.name.replace(os.sep, "/")) for model in found.models()]


def test_models_have_the_type_of_their_folder_and_the_name_that_loaders_list(library, store):
    for key in (
        *("checkpoints/a.safetensors", "loras/style/ink.safetensors", "vae/b.pt"),
        *("unet/c.safetensors", "diffusion_models/d.sft", "ipadapter/e.bin"),
    ):
        store(key)
    for ignored in (
        *("loras/readme.txt", "loras/.hidden.safetensors", "unknown/x.safetensors", "x.safetensors"),
        *("loras/con.safetensors", "custom_nodes/x/y.safetensors", "diffusers/x/y.safetensors"),
    ):
        store(ignored)
    found = library().catalogue
    assert names(found) == [
        ("checkpoints", "a.safetensors"),
        ("diffusion_models", "c.safetensors"),
        ("diffusion_models", "d.sft"),
        ("ipadapter", "e.bin"),
        ("loras", "style/ink.safetensors"),
        ("vae", "b.pt"),
    ]
    model = found.find("loras", "style/ink.safetensors")
    assert model == found.find("loras", "style\\ink.safetensors")
    assert (model.key, model.size, model.profile) == ("models/loras/style/ink.safetensors", 7, "(env vars)")
    assert model.etag and model.modified
    assert found.find("unet", "c.safetensors") == found.find("diffusion_models", "c.safetensors")
    assert found.find("vae", "style/ink.safetensors") is None
    assert found.names("loras") == [str(Path("style", "ink.safetensors"))]
    assert found.names("clip") == found.names("no such type") == []


def test_a_folder_of_two_types_gives_a_file_to_the_one_that_lists_its_extension(
    library, store, monkeypatch, tmp_path
):
    import folder_paths

    types = dict(folder_paths.folder_names_and_paths)
    types["unet_gguf"] = (types["diffusion_models"][0], {".gguf"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    store("unet/a.gguf")
    store("diffusion_models/b.gguf")
    store("unet/c.safetensors")
    found = library().catalogue
    assert found.names("unet_gguf") == ["a.gguf", "b.gguf"]
    assert found.names("diffusion_models") == ["c.safetensors"]


def test_a_restart_knows_the_models_without_a_request(library, store, monkeypatch):
    store("loras/a.safetensors")
    before = library().catalogue
    monkeypatch.setattr(catalogue, "connect", lambda profile: pytest.fail("a request"))
    after = catalogue.of_this_comfyui()
    assert after.models() == before.models()
    assert after.state().listed == before.state().listed
    assert after.state().complete


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "listings": {"a": {}}}']
)
def test_a_damaged_file_is_made_anew(library, store, content):
    store("loras/a.safetensors")
    file = library().catalogue._file
    file.write_text(content)
    found = catalogue.of_this_comfyui()
    assert not found.models()
    assert found.state().listed is None
    assert names(listed(found)) == [("loras", "a.safetensors")]
    assert json.loads(file.read_text())["version"] == catalogue_file.VERSION


def test_a_listing_that_fails_keeps_what_was_known_and_says_why(library, store, monkeypatch):
    store("loras/a.safetensors")
    found = library().catalogue
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong")
    listed(found)
    assert names(found) == [("loras", "a.safetensors")]
    state = found.state()
    assert state.error.startswith("Could not list")
    assert not state.complete
    monkeypatch.undo()


def test_another_bucket_does_not_have_the_models_of_the_one_before(library, store, monkeypatch):
    store("loras/a.safetensors")
    found = library().catalogue
    monkeypatch.setenv("COMFY_S3_PATH_PREFIX", own_prefix())
    assert not names(listed(found))
    assert found.state().complete


def test_an_upload_is_listed_with_its_sha256(library, store):
    found = library().catalogue
    store("loras/a.safetensors")
    found.uploaded("(env vars)", "models/loras/a.safetensors")
    found.wait(Meter())
    assert names(found) == [("loras", "a.safetensors")]
    model = found.models()[0]
    assert model.sha256 is None  # the test's upload recorded none
    found.note_sha256(model, model.etag, "f" * 64)
    assert found.find("loras", "a.safetensors").sha256 == "f" * 64
    assert listed(found).find("loras", "a.safetensors").sha256 == "f" * 64, "a listing keeps it"
    assert catalogue.of_this_comfyui().models() == found.models()
    found.note_sha256(model, "another version", "e" * 64)
    assert found.find("loras", "a.safetensors").sha256 == "f" * 64


def test_the_first_profile_that_has_a_name_wins_and_each_is_listed(comfyui, servers, tmp_path, monkeypatch):
    from cloud_storage.comfyui import folders
    from cloud_storage.storage.base import PutOptions

    file = folders.profiles_file()
    place = make_place("ministack-http", servers, file)
    prefixes = [own_prefix() for _ in range(3)]
    for number, prefix in enumerate(prefixes):
        storage = place.open(path_prefix=prefix)
        storage.put("models/loras/same.safetensors", bytes(number + 1), PutOptions(), Meter())
        storage.put(f"models/loras/{number}.safetensors", b"", PutOptions(), Meter())
    entry = {name.removeprefix("COMFY_S3_").lower(): value for name, value in place.environ.items()}
    profiles = {
        "b": {**entry, "path_prefix": prefixes[1]},
        "none": {**entry, "path_prefix": prefixes[2], "models": "off"},
        "wrong": {**entry, "endpoint_url": "ftp://x"},
        "again": {**entry, "path_prefix": prefixes[1]},
    }
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profiles": profiles}))
    for name, value in place.settings({"path_prefix": prefixes[0], "models": "on demand"}).items():
        monkeypatch.setenv(name, value)
    found = listed(catalogue.of_this_comfyui())
    assert [one.name for one in found.members.members] == ["(env vars)", "b"]
    assert found.state().mode == "on demand"
    assert [(model.name, model.profile) for model in found.models()] == [
        ("0.safetensors", "(env vars)"),
        ("1.safetensors", "b"),
        ("same.safetensors", "(env vars)"),
        ("same.safetensors", "b"),
    ]
    assert found.find("loras", "same.safetensors").size == 1
    assert "endpoint_url" in found.state().error
    assert not found.state().complete


def test_without_settings_there_is_no_library_and_no_error(comfyui):
    found = catalogue.of_this_comfyui()
    assert found.state() == catalogue.State("off", complete=True)
    assert listed(found).state().error == ""


def test_a_changed_profiles_file_is_noticed(library, tmp_path):
    from cloud_storage.comfyui import folders

    found = library().catalogue
    assert not found.settings_changed()
    folders.profiles_file().parent.mkdir(parents=True, exist_ok=True)
    folders.profiles_file().write_text('{"profiles": {}}')
    assert found.settings_changed()
    listed(found)
    assert not found.settings_changed()


class Pages:
    """A storage with many models that counts the requests which a server answers with 1,000 keys each."""

    room_for_key = 1024

    def __init__(self, count):
        self.keys = [
            f"models/loras/folder-{number % 50:02}/a-model-of-some-name-{number:05}.safetensors"
            for number in range(count)
        ]
        self.requests = 0

    def list(self, prefix="", limit=None, after=""):
        for number, key in enumerate(self.keys[:limit]):
            self.requests += number % 1000 == 0
            yield ObjectInfo(key, 6_000_000_000 + number, f'"{number:032x}-750"')


def test_ten_thousand_models_take_ten_requests_and_less_than_twenty_megabytes(library, monkeypatch):
    found = library().catalogue
    pages = Pages(10_000)
    monkeypatch.setattr(catalogue, "connect", lambda profile: pages)
    listed(found)  # what is imported and cached once does not count
    pages.requests = 0
    tracemalloc.start()
    try:
        fresh = listed(catalogue.of_this_comfyui())
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(fresh.models()) == 10_000
    assert pages.requests <= 11
    assert used <= 20_000_000, used


def test_a_bucket_with_too_many_objects_is_listed_in_part_and_says_so(library, monkeypatch):
    found = library().catalogue
    monkeypatch.setattr(catalogue, "connect", lambda profile: Pages(30))
    monkeypatch.setattr(catalogue, "MOST_OBJECTS", 20)
    listed(found)
    assert len(found.models()) == 21
    assert "more than 20 objects" in found.state().error
    assert not found.state().complete


def test_a_model_is_small_and_frozen():
    assert not hasattr(Model("loras", "a", "k", 1, "e", None, None, "p"), "__dict__")
    assert members.Members().mode == "off"
