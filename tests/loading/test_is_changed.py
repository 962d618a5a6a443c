from __future__ import annotations

import threading
from io import BytesIO

import numpy as np
import pytest
from cloud_storage import errors, nodes_load
from cloud_storage.loading import is_changed
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import of_a_list, run_node
from PIL import Image


def stored(cloud, key, image, **options):
    data = BytesIO()
    image.save(data, options.pop("format", "PNG"), **options)
    cloud.put(key, data.getvalue(), PutOptions(), Meter())
    return data.getvalue()


def noise(height=20, width=30, channels=4, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def unplug(monkeypatch, cloud):
    def stat(self, key):
        raise errors.Unreachable("Could not reach it. Plug it in.")

    monkeypatch.setattr(type(cloud), "stat", stat)


def changed(key="a.png", node_id="4"):
    return nodes_load.LoadImageFromCloud.IS_CHANGED(key=key, profile=None, unique_id=node_id)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(is_changed, "_memories", {})


def queue(comfyui, inputs, others=None):
    prompt = {"4": {"class_type": "LoadImageFromCloud", "inputs": inputs}, **(others or {})}
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])


def test_is_changed_stays_while_the_object_stays(cloud, comfyui):
    queue(comfyui, {"key": "a.png"})
    stored(cloud, "a.png", Image.fromarray(noise(seed=1)))
    first = changed()
    run_node("LoadImageFromCloud", key="a.png", unique_id="4")
    assert changed() == first
    stored(cloud, "a.png", Image.fromarray(noise(seed=2)))
    second = changed()
    assert second != first
    assert changed() == second


def test_is_changed_holds_no_name_and_no_secret(cloud, comfyui, fast_place):
    queue(comfyui, {"key": "a.png"})
    stored(cloud, "a.png", Image.fromarray(noise()))
    answer = changed()
    assert isinstance(answer, str)
    assert len(answer) == 16
    int(answer, 16)


def test_is_changed_offline_is_the_last_answer(cloud, comfyui, monkeypatch):
    queue(comfyui, {"key": "a.png"})
    stored(cloud, "a.png", Image.fromarray(noise()))
    before = changed()
    unplug(monkeypatch, cloud)
    assert changed() == before


def test_is_changed_tells_a_missing_object_from_a_present_one(cloud, comfyui):
    queue(comfyui, {"key": "a.png"})
    missing = changed()
    assert changed() == missing
    stored(cloud, "a.png", Image.fromarray(noise()))
    assert changed() != missing


def test_is_changed_follows_the_wire_to_the_profile_node(cloud, comfyui, monkeypatch, fast_place):
    inner = connect.storage_of(None, is_changed.folders.profiles_file())
    prefix = f"{inner.path_prefix}inner/"
    wired = {
        "8": {"class_type": "CloudStorageProfile", "inputs": {"profile": "(env vars)", "path_prefix": prefix}}
    }
    queue(comfyui, {"key": "a.png", "profile": ["8", 0]}, wired)
    before = changed()
    stored(cloud, "inner/a.png", Image.fromarray(noise()))
    assert changed() != before
    stored(cloud, "a.png", Image.fromarray(noise()))
    after = changed()
    assert changed() == after


def test_is_changed_of_a_wired_key_uses_the_key_of_the_last_run(cloud, comfyui):
    queue(comfyui, {"key": ["7", 0]})
    stored(cloud, "a.png", Image.fromarray(noise(seed=1)))
    stored(cloud, "b.png", Image.fromarray(noise(seed=2)))
    first = changed(key=None)
    run_node("LoadImageFromCloud", key="a.png", unique_id="4")
    run_node("LoadImageFromCloud", key="b.png", unique_id="4")
    assert changed(key=None) == first
    stored(cloud, "a.png", Image.fromarray(noise(seed=3)))
    assert changed(key=None) != first


def test_is_changed_of_a_list_of_profiles_looks_through_each(cloud, comfyui):
    prefixes = [f"{cloud.path_prefix}{name}/" for name in "pq"]
    maker = {"8": {"class_type": "CloudStorageProfile", "inputs": {"path_prefix": ["7", 0]}}}
    queue(comfyui, {"key": "a.png", "profile": ["8", 0]}, maker)
    profiles = [run_node("CloudStorageProfile", path_prefix=prefix)[0] for prefix in prefixes]
    for seed, name in enumerate("pq"):
        stored(cloud, f"{name}/a.png", Image.fromarray(noise(seed=seed)))
    first = changed()
    of_a_list("LoadImageFromCloud", [{"key": "a.png", "profile": one} for one in profiles], "4")
    assert changed() == first
    for name in "pq":
        stored(cloud, f"{name}/a.png", Image.fromarray(noise(seed=9)))
        now = changed()
        assert now != first
        first = now


def test_is_changed_knows_what_each_prompt_brought(cloud, comfyui):
    """With ``--cache-lru`` ComfyUI keeps what other inputs came to, and asks of all by the same node's id."""
    for seed, key in enumerate("ab"):
        stored(cloud, f"{key}.png", Image.fromarray(noise(seed=seed)))

    def queued(key):
        queue(comfyui, {"key": ["7", 0]}, {"7": {"class_type": "PrimitiveString", "inputs": {"value": key}}})

    answers = {}
    for key in "ab":
        queued(key)
        answers[key] = changed(key=None)
        run_node("LoadImageFromCloud", key=f"{key}.png", unique_id="4")
    stored(cloud, "a.png", Image.fromarray(noise(seed=7)))
    queued("b")
    assert changed(key=None) == answers["b"]
    queued("a")
    assert changed(key=None) != answers["a"]


def test_is_changed_of_a_node_that_another_has_made_goes_by_its_last_profile(cloud, comfyui):
    queue(comfyui, {"key": "a.png"})
    wire = run_node("CloudStorageProfile", path_prefix=f"{cloud.path_prefix}inner/")[0]
    stored(cloud, "inner/a.png", Image.fromarray(noise(seed=1)))
    first = changed(node_id="2.0.0.1")
    run_node("LoadImageFromCloud", key="a.png", profile=wire, unique_id="2.0.0.1")
    assert changed(node_id="2.0.0.1") == first
    stored(cloud, "inner/a.png", Image.fromarray(noise(seed=2)))
    assert changed(node_id="2.0.0.1") != first


def test_a_list_that_takes_too_long_to_ask_for_is_asked_for_in_turns(cloud, comfyui, monkeypatch):
    queue(comfyui, {"key": ["7", 0]})
    keys = [f"{number}.png" for number in range(6)]
    for key in keys:
        stored(cloud, key, Image.fromarray(noise()))
    of_a_list("LoadImageFromCloud", [{"key": key} for key in keys], "4")
    first = changed(key=None)
    stat, asked = type(cloud).stat, []

    def slow(self, key):
        asked.append(key)
        if len(asked) % 3 == 0:
            over.wait(30)
        return stat(self, key)

    over = threading.Event()
    monkeypatch.setattr(type(cloud), "stat", slow)
    monkeypatch.setattr(is_changed, "THREADS", 1)
    monkeypatch.setattr(is_changed, "ANSWER_SECONDS", 0.5)
    stored(cloud, keys[-1], Image.fromarray(noise(seed=5)))
    assert any(changed(key=None) != first for _ in range(12))
    over.set()


def test_what_was_loaded_from_the_last_copy_is_asked_for_again(cloud, comfyui, monkeypatch):
    queue(comfyui, {"key": ["7", 0]})
    stored(cloud, "a.png", Image.fromarray(noise(seed=1)))
    first = changed(key=None)
    run_node("LoadImageFromCloud", key="a.png", unique_id="4")
    with monkeypatch.context() as away:
        unplug(away, cloud)
        assert changed(key=None) == first
        run_node("LoadImageFromCloud", key="a.png", unique_id="4")
        assert changed(key=None) == first
    assert changed(key=None) == first, "it is what was loaded"
    stored(cloud, "a.png", Image.fromarray(noise(seed=2)))
    assert changed(key=None) != first


def test_is_changed_gives_up_on_a_server_that_does_not_answer(cloud, comfyui, monkeypatch):
    queue(comfyui, {"key": "a.png"})
    stored(cloud, "a.png", Image.fromarray(noise()))
    before = changed()
    silent = threading.Event()
    monkeypatch.setattr(type(cloud), "stat", lambda self, key: silent.wait())
    monkeypatch.setattr(is_changed, "ANSWER_SECONDS", 0.05)
    assert changed() == before
    silent.set()


def test_is_changed_never_raises(comfyui):
    assert changed(key="../x") == changed(key="../x")
    assert changed(key="a.png", node_id=None) == changed(key="a.png", node_id=None)
