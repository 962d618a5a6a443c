"""The workflows under Templates fit the nodes: every link, every widget, every choice."""

from __future__ import annotations

import itertools
import json

import cloud_storage
import pytest
from conftest import ROOT
from PIL import Image

WORKFLOWS = sorted((ROOT / "example_workflows").glob("*.json"))
SOCKETS = ("IMAGE", "MASK", "S3_PROFILE", "VIDEO", "AUDIO", "AUDIO_UI", "VAE", "LATENT")
KINDS = {"STRING": str, "INT": int, "FLOAT": float, "BOOLEAN": bool}
CORE = {  # of ComfyUI itself, in 0.3.64 and 0.33.0, and deprecated in neither
    *("EmptyImage", "SolidMask", "FeatherMask", "ImageCompositeMasked", "RepeatImageBatch", "ImageAddNoise"),
    *("ImageQuantize", "ImageScaleBy", "CreateVideo", "EmptyAudio"),
    *("PreviewAny", "PreviewImage", "MaskPreview", "PreviewAudio", "MarkdownNote"),
    *("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler", "VAEDecode"),
    *("LoraLoaderModelOnly", "PrimitiveStringMultiline", "SetLatentNoiseMask", "LatentUpscaleBy"),
}
NEED_A_MODEL = {"library", "model-from-the-bucket", "team-library"}
LOADERS = {"CheckpointLoaderSimple", "LoraLoaderModelOnly"}
TITLE = 30  # pixels of a node's title, which stands above its place
LEAST_WIDTH, LEAST_HEIGHT, MOST_BYTES = 900, 400, 200_000  # of a picture


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request, comfyui):
    return {**json.loads(request.param.read_text(encoding="utf-8")), "file": request.param.name}


def declared(node):
    """Our node's inputs by name, in order: (type, options)."""
    inputs = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
    return {**inputs.get("required", {}), **inputs.get("optional", {})}


def ours(workflow):
    return [node for node in workflow["nodes"] if node["type"] in cloud_storage.NODE_CLASS_MAPPINGS]


def test_there_is_one_for_each_thing_that_people_begin_with():
    assert [path.stem for path in WORKFLOWS] == [
        *("audio", "batch-folder", "files-and-folders", "latents", "library", "load-and-edit"),
        *("model-from-the-bucket", "offline-outbox", "save-and-share", "team-library", "text", "video"),
    ]


def test_every_node_is_ours_or_comfyuis(workflow):
    assert {node["type"] for node in workflow["nodes"]} <= set(cloud_storage.NODE_CLASS_MAPPINGS) | CORE
    assert ours(workflow)


def test_each_says_first_what_to_do(workflow):
    (note,) = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    assert note["id"] == 1
    (text,) = note["widgets_values"]
    assert text.startswith("# ")
    assert 150 < len(text) < 900


def test_only_what_is_about_models_needs_one():
    for path in WORKFLOWS:
        kinds = {node["type"] for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]}
        assert bool(kinds & LOADERS) == (path.stem in NEED_A_MODEL), path.stem


def box(node):
    (left, top), (width, height) = node["pos"], node["size"]
    return left, top - TITLE, left + width, top + height


def test_no_node_lies_on_another(workflow):
    for one, other in itertools.combinations(workflow["nodes"], 2):
        (left, top, right, bottom), (x, y, end, low) = box(one), box(other)
        assert right <= x or end <= left or bottom <= y or low <= top, (one["id"], other["id"])


def test_a_group_holds_a_node_or_does_not(workflow):
    for group in workflow["groups"]:
        x, y, width, height = group["bounding"]
        for left, top, right, bottom in map(box, workflow["nodes"]):
            inside = x <= left and y <= top and right <= x + width and bottom <= y + height
            outside = right <= x or x + width <= left or bottom <= y or y + height <= top
            assert inside or outside, group["title"]


def test_each_has_a_picture_that_templates_can_show():
    pictures = sorted((WORKFLOWS[0].parent).glob("*.jpg"))
    assert [path.stem for path in pictures] == [path.stem for path in WORKFLOWS]
    for path in pictures:
        assert path.stat().st_size < MOST_BYTES, path.name
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "JPEG"
            assert picture.width >= LEAST_WIDTH, path.name
            assert picture.height >= LEAST_HEIGHT, path.name


def test_every_widget_has_a_value_of_its_kind(workflow):
    for node in ours(workflow):
        widgets = {name: spec for name, spec in declared(node).items() if spec[0] not in SOCKETS}
        what = f"{workflow['file']}: widgets_values of {node['type']}: add a value for each new input"
        assert len(node["widgets_values"]) == len(widgets), what
        for value, (name, (kind, options)) in zip(node["widgets_values"], widgets.items(), strict=True):
            if isinstance(kind, list) and name == "model":  # what this server has
                assert isinstance(value, str)
            elif isinstance(kind, list):
                assert value in kind, (node["type"], name)
            else:
                assert type(value) is KINDS[kind.split(",")[0]], (node["type"], name)
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
        assert taken["type"] == "*" or set(taken["type"].split(",")) & set(kind.split(","))


def test_our_sockets_are_called_what_the_nodes_call_them(workflow):
    for node in ours(workflow):
        kind = cloud_storage.NODE_CLASS_MAPPINGS[node["type"]]
        assert [output["name"] for output in node["outputs"]] == list(kind.RETURN_NAMES)
        pairs = zip(node["outputs"], kind.RETURN_TYPES, strict=True)
        assert all(output["type"] in (given, *str(given).split(",")) for output, given in pairs)
        for given in node["inputs"]:
            assert declared(node)[given["name"]][0] == given["type"], (node["type"], given["name"])
