"""Fetches follow the queue: ahead of it, in its order, and not for what was deleted from it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from cloud_storage.library.named_models import ADDED_CLASS
from cloud_storage.loading.model_record import record_path
from cloud_storage.system.meter import Meter

from .conftest import queue


def prompt(*names):
    nodes = {
        f"cloud_storage~{name}": {
            "class_type": ADDED_CLASS,
            "inputs": {"folder_type": "loras", "name": f"{name}.safetensors"},
        }
        for name in names
    }
    return nodes


@pytest.fixture
def made(library, store, monkeypatch):
    for name in "abcde":
        store(f"loras/{name}.safetensors")
    found = SimpleNamespace(**vars(library()), started=[])
    original = found.fetches.start

    def start(model, name="", **more):
        found.started.append(model.name[0])
        return original(model, name, **more)

    monkeypatch.setattr(found.fetches, "start", start)
    return found


@pytest.fixture
def nothing_runs(made, monkeypatch):
    """Fetches stay where they are, waiting for their turn."""
    monkeypatch.setattr(made.fetches, "_wait_for_turn", lambda fetch: fetch.meter.wait(30))


def test_the_models_of_the_queue_are_fetched_in_its_order_two_at_a_time(made, comfyui, nothing_runs):
    queue(comfyui, prompt("a", "b"), prompt("c"), prompt("a", "d"))
    assert made.prefetcher.look()
    assert made.started == ["a", "b"]
    made.prefetcher.look()
    assert made.started == ["a", "b"]
    assert [fetch.for_page for fetch in made.fetches.busy()] == [False, False]


def test_what_is_here_makes_room_for_the_next(made, comfyui, tmp_path):
    queue(comfyui, prompt("a", "b"), prompt("c"), prompt("d"))
    for _ in "abcd":
        made.prefetcher.look()
        for fetch in made.fetches.busy():
            made.fetches.wait(fetch, Meter())
    assert made.started == list("abcd")
    assert made.prefetcher.look()
    queue(comfyui)
    assert not made.prefetcher.look()


def test_a_prompt_that_is_deleted_from_the_queue_ends_its_fetches(made, comfyui, nothing_runs):
    queue(comfyui, prompt("a", "b"), prompt("a"))
    made.prefetcher.look()
    first, second = made.fetches.busy()
    queue(comfyui, prompt("a"))
    made.prefetcher.look()
    assert second.meter.stopped
    assert not first.meter.stopped
    queue(comfyui)
    made.prefetcher.look()
    assert first.meter.stopped


def test_what_fails_is_tried_again_only_for_other_prompts(made, comfyui, cloud):
    cloud.delete("models/loras/a.safetensors")
    queue(comfyui, prompt("a"))
    made.prefetcher.look()
    for fetch in made.fetches.busy():
        with pytest.raises(FileNotFoundError):
            made.fetches.wait(fetch, Meter())
    made.prefetcher.look()
    assert made.started == ["a"]
    assert not [state for state in made.fetches.states() if state.status == "failed" and not state.error]
    queue(comfyui, prompt("b"))
    made.prefetcher.look()
    assert made.started == ["a", "b"]


def test_a_prompt_in_the_queue_is_a_use_of_its_models(made, comfyui, tmp_path):
    import os

    made.fetches.wait(made.fetches.start(made.catalogue.find("loras", "a.safetensors")), Meter())
    record = record_path(tmp_path / "models" / "loras" / "a.safetensors")
    os.utime(record, (1, 1))
    named = {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.safetensors"}}}
    queue(comfyui, named)
    made.prefetcher.look()
    assert record.stat().st_mtime > 1
    os.utime(record, (1, 1))
    made.prefetcher.look()
    assert record.stat().st_mtime == 1, "once for each prompt"


def test_a_posted_prompt_is_fetched_for_when_it_is_in_the_queue_and_not_before(made, comfyui):
    body = {
        "1": {"class_type": "LoraLoader", "inputs": {"model": ["0", 0], "lora_name": "a.safetensors"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    nodes = made.rewriter({"prompt": body})["prompt"]
    assert made.prefetcher.look(), "it may come"
    assert not made.started
    queue(comfyui, nodes)
    made.prefetcher.look()
    assert made.started == ["a"]


def test_a_thread_looks_while_there_is_something_to_do_and_ends_when_told(made, comfyui, tmp_path):
    queue(comfyui, prompt("a"))
    made.prefetcher.wake()
    fetch = None
    while fetch is None:
        fetch = next((one for one in (*made.fetches.busy(), *made.fetches._ended)), None)
    made.fetches.wait(fetch, Meter())
    assert (tmp_path / "models" / "loras" / "a.safetensors").exists()
    thread = made.prefetcher._thread
    made.prefetcher.close()
    thread.join(30)
    assert not thread.is_alive()
