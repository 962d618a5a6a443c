"""What counts as a wire, a name and a stem; the rest is in test_prompt_rewriting.py."""

from __future__ import annotations

import pytest
from cloud_storage.library import named_models
from cloud_storage.library.named_models import ADDED_CLASS, Added


@pytest.mark.parametrize("value", [["1", 0], ["12:5", 1], ["x", 0.0]])
def test_a_wire_is_a_node_and_an_output(value):
    assert named_models.is_wire(value)


@pytest.mark.parametrize("value", [["1"], ["1", "0"], [1, 0], ["1", True], ("1", 0), "1", None, {}])
def test_anything_else_is_a_value(value):
    assert not named_models.is_wire(value)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a.safetensors", "a"), ("x/y\\a.b.PT", "a.b"), ("v1.5", "v1.5"), ("x/v1.5", "v1.5"), ("", "")],
)
def test_a_stem_has_neither_folder_nor_extension(name, stem):
    assert named_models.stem(name) == stem


def test_added_nodes_are_told_from_all_others():
    nodes = {
        "a": {"class_type": ADDED_CLASS, "inputs": {"folder_type": "loras", "name": "a.pt"}},
        "b": {"class_type": ADDED_CLASS, "inputs": {"folder_type": "loras", "name": "b", "is_word": True}},
        "c": {"class_type": "LoraLoader", "inputs": {"lora_name": "c.pt"}},
        "d": None,
        "e": {"class_type": ADDED_CLASS, "inputs": None},
    }
    assert list(named_models.added_models(nodes)) == [
        Added("loras", "a.pt", False),
        Added("loras", "b", True),
    ]
    assert [one.name for one in named_models.in_prompt(nodes)] == ["c.pt"]
