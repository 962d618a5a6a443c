"""The workflows under Templates fit the nodes: every link, every widget, every choice."""

from __future__ import annotations

import json
from pathlib import Path

import cloud_storage
import pytest

WORKFLOWS = sorted((Path(__file__).resolve().parent.parent / "example_workflows").glob("*.json"))
SOCKETS = ("IMAGE", "MASK", "S3_PROFILE", "VIDEO", "AUDIO", "AUDIO_UI", "VAE")
KINDS = {"STRING": str, "INT": int, "FLOAT": float, "BOOLEAN": bool}
CORE = {  # of ComfyUI itself, in 0.3.64 and 0.33.0
    *("EmptyImage", "SolidMask", "FeatherMask", "ImageCompositeMasked", "ImageInvert", "ImageBatch"),
    *("CreateVideo", "EmptyAudio", "PreviewAudio"),
    *("PreviewAny", "PreviewImage", "MarkdownNote"),
    *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode"),
}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request, comfyui):
    return json.loads(request.param.read_text(encoding="utf-8"))


def declared(node):
    """Our node's inputs by name, in order: (type, options)."""
    inputs = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
    return {**inputs.get("required", {}), **inputs.get("optional", {})}


def ours(workflow):
    return [node for node in workflow["nodes"] if node["type"] in cloud_storage.NODE_CLASS_MAPPINGS]


def test_there_is_one_for_each_thing_that_people_begin_with():
    names = ["audio", "list-and-load", "model-from-the-bucket", "save-and-share", "video"]
    assert [path.stem for path in WORKFLOWS] == names


def test_every_node_is_ours_or_comfyuis(workflow):
    assert {node["type"] for node in workflow["nodes"]} <= set(cloud_storage.NODE_CLASS_MAPPINGS) | CORE
    assert ours(workflow)


def test_every_widget_has_a_value_of_its_kind(workflow):
    for node in ours(workflow):
        widgets = {name: spec for name, spec in declared(node).items() if spec[0] not in SOCKETS}
        assert len(node["widgets_values"]) == len(widgets), node["type"]
        for value, (name, (kind, options)) in zip(node["widgets_values"], widgets.items(), strict=True):
            if isinstance(kind, list) and name == "model":  # what this server has
                assert isinstance(value, str)
            elif isinstance(kind, list):
                assert value in kind, (node["type"], name)
            else:
                assert type(value) is KINDS[kind], (node["type"], name)
            if kind in ("INT", "FLOAT"):
                assert options["min"] <= value <= options["max"], (node["type"], name)


def test_every_link_joins_what_fits(workflow):
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert len({link[0] for link in workflow["links"]}) == len(workflow["links"]) == workflow["last_link_id"]
    for number, source, output, target, slot, kind in workflow["links"]:
        given, taken = nodes[source]["outputs"][output], nodes[target]["inputs"][slot]
        assert number in given["links"]
        assert number == taken["link"]
        assert kind == given["type"]
        assert taken["type"] in (*kind.split(","), "*")


def test_our_sockets_are_called_what_the_nodes_call_them(workflow):
    for node in ours(workflow):
        kind = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]]
        assert [output["name"] for output in node["outputs"]] == list(kind.RETURN_NAMES)
        assert [output["type"] for output in node["outputs"]] == list(kind.RETURN_TYPES)
        for given in node["inputs"]:
            assert declared(node)[given["name"]][0] == given["type"], (node["type"], given["name"])
