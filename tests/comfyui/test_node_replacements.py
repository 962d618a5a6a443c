"""Nodes of other packages that open as ours where their package is missing."""

from __future__ import annotations

import json

import cloud_storage
import nodes
import pytest
from cloud_storage.comfyui import node_replacements


class Manager:
    """What core 0.33 has at this place, as far as a package sees it."""

    def __init__(self):
        self.registered = []

    def register(self, one):
        self.registered.append(one)


def inputs_of(node_id):
    return cloud_storage.NODE_CLASS_MAPPINGS[node_id].INPUT_TYPES()


@pytest.mark.parametrize("one", node_replacements.REPLACEMENTS, ids=lambda one: one.old_node_id)
def test_each_replacement_gives_our_node_all_that_it_requires_and_nothing_else(one):
    declared = inputs_of(one.new_node_id)
    given = {row["new_id"]: row.get("set_value") for row in one.input_mapping}
    assert set(declared["required"]) == set(given)
    for name, (kind, *options) in declared["required"].items():
        if given[name] is not None:
            usual = (options[0] if options else {}).get("default", kind[0])
            assert given[name] == usual
    assert one.old_node_id not in cloud_storage.NODE_CLASS_MAPPINGS
    old = {row["old_id"] for row in one.input_mapping if "old_id" in row}
    assert set(one.old_widget_ids) < old


def test_a_core_that_knows_replacements_is_told_and_an_older_one_is_left_alone(comfyui, monkeypatch):
    node_replacements.register()
    assert comfyui.on_prompt_handlers == []
    comfyui.node_replace_manager = Manager()
    node_replacements.register()
    known = comfyui.node_replace_manager.registered
    assert [one.old_node_id for one in known] == ["SaveImageS3", "SaveVideoFilesS3"]
    assert comfyui.on_prompt_handlers == [node_replacements.replaced]
    for one in known:
        assert json.loads(json.dumps(one.as_dict()))["new_node_id"] == one.new_node_id


def test_a_missing_node_of_a_queued_prompt_becomes_ours(comfyui):
    body = {
        "prompt": {
            "9": {"class_type": "SaveImageS3", "inputs": {"images": ["3", 0], "filename_prefix": "a/b"}}
        }
    }
    assert node_replacements.replaced(body)["prompt"]["9"] == {
        "class_type": "SaveImageToCloud",
        "inputs": {
            "images": ["3", 0],
            "filename": "a/b",
            "key_prefix": "comfyui/images/",
            "format": "png",
            "quality": 95,
        },
    }


def test_an_input_that_is_missing_stays_missing_for_the_server_to_say_so(comfyui):
    body = {"prompt": {"9": {"class_type": "SaveVideoFilesS3", "inputs": {}}}}
    node = node_replacements.replaced(body)["prompt"]["9"]
    assert node == {"class_type": "UploadFileToCloud", "inputs": {"key_prefix": "comfyui/files/"}}


def test_a_package_that_is_there_keeps_its_nodes(comfyui, monkeypatch):
    monkeypatch.setitem(nodes.NODE_CLASS_MAPPINGS, "SaveImageS3", object)
    body = {"prompt": {"9": {"class_type": "SaveImageS3", "inputs": {"images": ["3", 0]}}}}
    assert node_replacements.replaced(json.loads(json.dumps(body))) == body


@pytest.mark.parametrize(
    "body",
    [{}, {"prompt": None}, {"prompt": []}, {"prompt": {"1": 2}}, {"prompt": {"1": {"class_type": ["x"]}}}]
    + [{"prompt": {"1": {"class_type": "SaveImageS3", "inputs": inputs}}} for inputs in (None, [], "x")],
)
def test_what_is_no_prompt_is_left_to_the_server(comfyui, body):
    assert node_replacements.replaced(json.loads(json.dumps(body))) == body
