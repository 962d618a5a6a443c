"""What a workflow names: of the page, of the API, in subgraphs; where each model is, how it was matched."""

from __future__ import annotations

import pytest
from cloud_storage.library import catalogue_file, missing_models
from cloud_storage.library.missing_models import HERE, IN_BUCKET, MISSING

SHA = "a" * 64


@pytest.fixture
def catalogue(catalogued):
    return catalogued(
        "checkpoints/base.safetensors",
        "loras/style/ink.safetensors",
        "loras/other/twice.safetensors",
        "loras/twice.safetensors",
        "vae/soft.safetensors",
        "unet/large.safetensors",
    ).catalogue


@pytest.fixture
def found(catalogue):
    """What a workflow names, in short."""

    def short(workflow):
        return [
            (
                one.folder_type,
                one.name,
                one.state,
                one.model.name if one.model else "",
                one.matched_by,
                one.nodes,
            )
            for one in missing_models.of_workflow(workflow, catalogue)
        ]

    return short


def node(number, node_class, *values, **more):
    return {"id": number, "type": node_class, "widgets_values": list(values), "mode": 0, **more}


def put(tmp_path, path):
    (tmp_path / "models" / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "models" / path).write_bytes(b"local")


def test_each_model_is_here_in_the_bucket_or_missing(found, tmp_path):
    put(tmp_path, "vae/soft.safetensors")
    put(tmp_path, "vae/own.safetensors")
    workflow = {
        "nodes": [
            node(1, "CheckpointLoaderSimple", "base.safetensors"),
            node(2, "LoraLoader", "style\\ink.safetensors", 1.0, 1.0),
            node(3, "VAELoader", "soft.safetensors"),
            node(4, "VAELoader", "own.safetensors"),
            node(5, "LoraLoader", "nowhere.safetensors", 1.0, 1.0),
            node(6, "LoraLoader", "style/ink.safetensors", 0.5, 0.5),
            node(7, "VAELoader", "pixel_space"),
            node(8, "KSampler", 1, "fixed", 20, "euler"),
        ]
    }
    assert found(workflow) == [
        ("checkpoints", "base.safetensors", IN_BUCKET, "base.safetensors", "name", ("1",)),
        ("loras", "style\\ink.safetensors", IN_BUCKET, "style/ink.safetensors", "name", ("2", "6")),
        ("vae", "soft.safetensors", HERE, "soft.safetensors", "name", ("3",)),
        ("vae", "own.safetensors", HERE, "", "", ("4",)),
        ("loras", "nowhere.safetensors", MISSING, "", "", ("5",)),
    ]


def test_a_prompt_of_the_api_says_the_same(found):
    nodes = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
        "5": {"class_type": "LoraLoader", "inputs": {"model": ["4", 0], "lora_name": "no.safetensors"}},
    }
    expected = [
        ("checkpoints", "base.safetensors", IN_BUCKET, "base.safetensors", "name", ("4",)),
        ("loras", "no.safetensors", MISSING, "", "", ("5",)),
    ]
    assert found(nodes) == expected
    assert found({"prompt": nodes, "client_id": "x"}) == expected


def test_muted_and_bypassed_nodes_are_left_out(found):
    workflow = {
        "nodes": [
            node(1, "CheckpointLoaderSimple", "base.safetensors", mode=4),
            node(2, "LoraLoader", "style/ink.safetensors", 1.0, mode=2),
        ]
    }
    assert not found(workflow)


def test_subgraphs_are_looked_into_also_in_one_another(found):
    inner = {"id": "inner", "nodes": [node(7, "LoraLoader", "style/ink.safetensors", 1.0)]}
    outer = {"id": "outer", "nodes": [node(5, "inner"), node(6, "VAELoader", "soft.safetensors")]}
    workflow = {"nodes": [node(12, "outer"), node(13, "outer")], "definitions": {"subgraphs": [outer, inner]}}
    assert found(workflow) == [
        ("loras", "style/ink.safetensors", IN_BUCKET, "style/ink.safetensors", "name", ("12:5:7", "13:5:7")),
        ("vae", "soft.safetensors", IN_BUCKET, "soft.safetensors", "name", ("12:6", "13:6")),
    ]


def test_a_widget_that_a_subgraph_shows_outside_has_its_value_there(found):
    inner = {"id": "inner", "nodes": [node(7, "LoraLoader", "nowhere.safetensors", 1.0)]}
    workflow = {"nodes": [node(12, "inner", "style/ink.safetensors")], "definitions": {"subgraphs": [inner]}}
    assert ("loras", "style/ink.safetensors", IN_BUCKET, "style/ink.safetensors", "name", ("12",)) in found(
        workflow
    )


def test_a_subgraph_that_contains_itself_ends(found):
    inner = {"id": "inner", "nodes": [node(7, "inner")]}
    assert found({"nodes": [node(1, "inner")], "definitions": {"subgraphs": [inner]}}) == []


def test_a_name_is_matched_by_its_file_name_if_only_one_model_has_it(found):
    workflow = {
        "nodes": [
            node(1, "LoraLoader", "ink.safetensors", 1.0),
            node(2, "LoraLoader", "deep/twice.safetensors", 1.0),
            node(3, "VAELoader", "ink.safetensors"),
            node(4, "LoraLoader", "ink.sft", 1.0),
        ]
    }
    assert [(one[1], one[2], one[4]) for one in found(workflow)] == [
        ("ink.safetensors", IN_BUCKET, "base name"),
        ("deep/twice.safetensors", MISSING, ""),
        ("ink.safetensors", MISSING, ""),
        ("ink.sft", MISSING, ""),
    ]


def test_a_template_tells_folder_and_hash(found, catalogue):
    large = catalogue.find("diffusion_models", "large.safetensors")
    catalogue.note_sha256(large, large.etag, SHA)
    said = [
        {
            "name": "other-name.safetensors",
            "directory": "diffusion_models",
            "hash": SHA.upper(),
            "hash_type": "SHA256",
        },
        {"name": "soft.safetensors", "directory": "vae", "url": "https://example.com/soft.safetensors"},
        {"name": "x", "directory": None},
        "broken",
    ]
    workflow = {
        "nodes": [node(1, "UNETLoader", "other-name.safetensors", "default", properties={"models": said})]
    }
    assert found(workflow) == [
        ("diffusion_models", "other-name.safetensors", IN_BUCKET, "large.safetensors", "hash", ("1",)),
        ("vae", "soft.safetensors", IN_BUCKET, "soft.safetensors", "name", ("1",)),
    ]


def test_a_match_by_hash_of_another_type_is_for_the_type_that_the_node_lists(found, catalogue):
    soft = catalogue.find("vae", "soft.safetensors")
    catalogue.note_sha256(soft, soft.etag, SHA)
    said = [{"name": "mine.safetensors", "directory": "checkpoints", "hash": SHA}]
    workflow = {"nodes": [node(1, "CheckpointLoaderSimple", "mine.safetensors", properties={"models": said})]}
    assert found(workflow) == [
        ("checkpoints", "mine.safetensors", IN_BUCKET, "soft.safetensors", "hash", ("1",)),
    ]
    base = catalogue.find("checkpoints", "base.safetensors")
    catalogue.note_sha256(base, base.etag, SHA)
    assert found(workflow)[0][3] == "base.safetensors", "one of its own type comes first"


def test_a_widget_that_a_node_sets_does_not_count_and_one_of_a_primitive_does(found):
    widget = {"name": "lora_name", "widget": {"name": "lora_name"}, "link": 3}
    loader = node(1, "LoraLoader", "style/ink.safetensors", 1.0, inputs=[widget])
    workflow = {"nodes": [loader, node(2, "LoadModelFromCloud")], "links": [[3, 2, 0, 1, 1, "STRING"]]}
    assert not found(workflow)
    workflow["nodes"][1] = node(2, "PrimitiveNode", "style/ink.safetensors")
    assert len(found(workflow)) == 1


def test_a_class_that_is_not_installed_is_read_by_the_table(found, registered):
    registered.clear()
    workflow = {"nodes": [node(1, "VAELoader", "soft.safetensors"), node(2, "Unknown", "soft.safetensors")]}
    assert [one[5] for one in found(workflow)] == [("1",)]


@pytest.mark.parametrize(
    "workflow",
    [
        {},
        {"nodes": None},
        {"nodes": [None, 1, {}, {"id": 1}]},
        {"nodes": [{"id": 1, "type": "VAELoader", "widgets_values": {"vae_name": None}}]},
        {
            "nodes": [{"id": 1, "type": None, "properties": {"models": {}}, "inputs": {}}],
            "links": [None, [1]],
        },
        {"nodes": [], "definitions": {"subgraphs": {"a": 1}}},
        {"1": None, "2": {"inputs": None}},
    ],
)
def test_what_is_no_workflow_names_nothing(found, workflow):
    assert found(workflow) == []


def test_a_file_of_the_catalogue_is_read_without_a_server(catalogue):
    assert catalogue_file.VERSION == 1
    assert len(catalogue.models()) == 6
