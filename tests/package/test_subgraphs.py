"""The blueprints in subgraphs/, which newer versions of ComfyUI offer, fit the nodes."""

from __future__ import annotations

import json

import cloud_storage
import pytest
from conftest import ROOT

BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))
CORE = {"ImageScaleBy"}  # of ComfyUI itself
INPUT, OUTPUT = -10, -20  # the ends of a subgraph, as the origin and the target of links


@pytest.fixture(params=BLUEPRINTS, ids=lambda path: path.stem)
def blueprint(request, comfyui):
    return {**json.loads(request.param.read_text(encoding="utf-8")), "name": request.param.stem}


def declared(node):
    """Our node's inputs by name, in order: (type, options)."""
    inputs = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
    return {**inputs.get("required", {}), **inputs.get("optional", {})}


def test_each_is_one_node_with_its_subgraph_and_the_file_s_name(blueprint):
    (node,) = blueprint["nodes"]
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    assert node["type"] == subgraph["id"]
    assert node["title"] == subgraph["name"] == blueprint["name"]
    assert subgraph["description"].endswith(".")
    for side in ("inputs", "outputs"):
        assert [each["name"] for each in node[side]] == [each["name"] for each in subgraph[side]]
    widgets = [each["name"] for each in node["inputs"] if "widget" in each]
    assert node["properties"]["proxyWidgets"] == [["-1", name] for name in widgets]
    assert len(node["widgets_values"]) == len(widgets)


def test_every_node_is_ours_or_comfyui_s_and_has_a_value_for_each_widget(blueprint):
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    for node in subgraph["nodes"]:
        if node["type"] not in cloud_storage.NODE_CLASS_MAPPINGS:
            assert node["type"] in CORE
            continue
        sockets = ("IMAGE", "S3_PROFILE")
        widgets = {name: kind for name, (kind, *_) in declared(node).items() if kind not in sockets}
        assert len(node["widgets_values"]) == len(widgets)
        for value, kind in zip(node["widgets_values"], widgets.values(), strict=True):
            assert not isinstance(kind, list) or value in kind
        outputs = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]].RETURN_NAMES
        assert [output["name"] for output in node["outputs"]] == list(outputs)
        assert {each["name"] for each in node["inputs"]} <= set(declared(node))


def test_every_link_is_at_both_of_its_ends(blueprint):
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    for link in subgraph["links"]:
        origin, slot = link["origin_id"], link["origin_slot"]
        if origin == INPUT:
            assert link["id"] in subgraph["inputs"][slot]["linkIds"]
        else:
            assert link["id"] in nodes[origin]["outputs"][slot]["links"]
        target, slot = link["target_id"], link["target_slot"]
        if target == OUTPUT:
            assert link["id"] in subgraph["outputs"][slot]["linkIds"]
        else:
            assert nodes[target]["inputs"][slot]["link"] == link["id"]
            assert nodes[target]["inputs"][slot]["type"] == link["type"]


def test_there_are_some():
    assert len(BLUEPRINTS) == 2
