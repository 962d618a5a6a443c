"""Which files the queue names: what nobody may remove."""

from __future__ import annotations

import pytest
from cloud_storage.comfyui.prompt_queue import QueuedPrompt
from cloud_storage.library.named_models import ADDED_CLASS
from cloud_storage.library.queued_models import QueuedModels


@pytest.fixture
def here(comfyui, tmp_path):
    for name in ("a", "b", "c", "style/ink"):
        path = tmp_path / "models" / "loras" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "models" / "loras"


def prompt(prompt_id, **nodes):
    return QueuedPrompt(prompt_id, nodes)


def lora(name):
    return {"class_type": "LoraLoader", "inputs": {"lora_name": f"{name}.safetensors"}}


def added(name, **more):
    return {"class_type": ADDED_CLASS, "inputs": {"folder_type": "loras", "name": name, **more}}


def names(paths):
    return sorted(path.stem for path in paths)


def test_names_added_nodes_and_words_name_files(here):
    queued = QueuedModels(
        lambda: [
            prompt("1", a=lora("a"), b=lora("missing")),
            prompt("2", c=added("b.safetensors"), d=added("ink", is_word=True)),
        ]
    )
    assert names(queued.paths()) == ["a", "b", "ink"]
    assert queued.wanted() == [[], [("loras", "b.safetensors")]]
    assert queued.ids() == {"1", "2"}


def download(key, **inputs):
    return {"class_type": "LoadModelFromCloud", "inputs": {"model_type": "loras", "key": key, **inputs}}


def test_a_download_model_node_names_its_file_also_by_a_wire_from_a_text(here, registered):
    nodes = {
        "1": download("any/loras/style/ink.safetensors"),
        "2": download(["5", 0], subfolder=""),
        "3": download("x/../b.py"),
        "4": {"class_type": "LoadModelFromCloud"},
        "5": {"class_type": "PrimitiveString", "inputs": {"words": "c.safetensors"}},
        "6": download("elsewhere/b.safetensors", subfolder="other"),
    }
    queued = QueuedModels(lambda: [prompt("1", **nodes)])
    assert names(queued.paths()) == ["c", "ink"]
    assert names(queued.new_uses()) == ["c", "ink"]


def test_a_file_that_a_node_uses_counts_until_its_prompt_has_ended(here):
    prompts = [prompt("1"), prompt("2")]
    queued = QueuedModels(lambda: prompts)
    queued.hold(here / "a.safetensors", ["1"])
    queued.hold(here / "b.safetensors", ["2"])
    queued.hold(here / "b.safetensors", ["1"])
    queued.hold(here / "c.safetensors", [])
    assert names(queued.paths()) == ["a", "b"]
    del prompts[0]
    assert names(queued.paths()) == ["b"]
    prompts.clear()
    assert not queued.paths()


def test_each_prompt_is_a_use_once(here):
    prompts = [prompt("1", a=lora("a"))]
    queued = QueuedModels(lambda: prompts)
    assert names(queued.new_uses()) == ["a"]
    assert not queued.new_uses()
    prompts.append(prompt("2", a=lora("a")))
    assert names(queued.new_uses()) == ["a"]


def test_a_posted_prompt_counts_before_it_is_in_the_queue(here):
    queued = QueuedModels(list)
    assert not queued.is_expecting()
    with queued.unless_named(here / "a.safetensors") as is_free:
        assert is_free
    queued.posted({"1": lora("a")})
    assert queued.is_expecting()
    with queued.unless_named(here / "a.safetensors") as is_free:
        assert not is_free
    with queued.unless_named(here / "b.safetensors") as is_free:
        assert is_free


def test_what_is_posted_while_a_file_is_looked_at_is_not_missed(here, monkeypatch):
    queued = QueuedModels(list)
    original = queued.paths

    def paths():
        monkeypatch.setattr(queued, "paths", original)
        found = original()
        queued.posted({"1": lora("a")})  # after the queue was read
        return found

    monkeypatch.setattr(queued, "paths", paths)
    with queued.unless_named(here / "a.safetensors") as is_free:
        assert not is_free
