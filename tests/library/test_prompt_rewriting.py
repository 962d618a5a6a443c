"""Which inputs of a queued prompt become wires, and what stays exactly as it was."""

from __future__ import annotations

import copy
import json
import os

import pytest
from cloud_storage.library import catalogue, loaders
from cloud_storage.library.core_loaders import CORE
from cloud_storage.library.loader_row import ENTRIES, LORAS_IN_TEXT, Loader
from cloud_storage.library.named_models import ADDED_CLASS, ADDED_ID
from cloud_storage.library.pack_loaders import PACKS

CHECKPOINT = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}}
LORA = {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "lora_name": "style/ink.safetensors"}}
SAVE = {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}
PROMPT = {"1": CHECKPOINT, "2": LORA, "3": SAVE}


@pytest.fixture
def rewritten(catalogued):
    """``rewritten(nodes)`` gives the nodes that run, where a bucket has these models; nothing is sent."""
    keys = ["checkpoints/base.safetensors", "loras/style/ink.safetensors"]

    def rewrite(nodes, **body):
        return rewrite.library.rewriter({"prompt": nodes, **body})["prompt"]

    def store(*others):
        keys.extend(others)
        rewrite.library = catalogued(*keys)

    rewrite.store = store
    store()
    return rewrite


def added(nodes):
    """What the added nodes fetch."""
    return {
        (node["inputs"]["folder_type"], node["inputs"]["name"])
        for node in nodes.values()
        if node["class_type"] == ADDED_CLASS
    }


def put(tmp_path, path):
    (tmp_path / "models" / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "models" / path).write_bytes(b"local")


def test_a_name_that_is_only_in_the_bucket_becomes_a_wire(rewritten):
    before = copy.deepcopy(PROMPT)
    nodes = rewritten(PROMPT)
    assert before == PROMPT, "the body that came in is not changed"
    assert added(nodes) == {("checkpoints", "base.safetensors"), ("loras", "style/ink.safetensors")}
    source, output = nodes["1"]["inputs"]["ckpt_name"]
    assert source.startswith(ADDED_ID)
    assert output == 0
    assert nodes[source]["inputs"] == {"folder_type": "checkpoints", "name": "base.safetensors"}
    assert nodes["2"]["inputs"]["model"] == ["1", 0]
    assert nodes["3"] is PROMPT["3"]
    json.dumps(nodes)


def test_the_same_prompt_has_the_same_nodes_and_one_file_has_one_node(rewritten):
    twice = {**PROMPT, "4": CHECKPOINT, "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0]}}}
    nodes = rewritten(twice)
    assert nodes["1"] == nodes["4"]
    assert len(nodes) == len(twice) + 2
    other_ids = rewritten(
        {"11": CHECKPOINT, "12": {"class_type": "SaveImage", "inputs": {"images": ["11", 0]}}}
    )
    assert other_ids["11"] == nodes["1"], "the node of a file does not depend on who names it"


def test_a_local_file_stays_a_name(rewritten, tmp_path):
    put(tmp_path, "checkpoints/base.safetensors")
    put(tmp_path, "loras/style/ink.safetensors")
    assert rewritten(PROMPT) is PROMPT


def test_what_was_a_wire_stays_one_when_the_file_has_arrived(rewritten, tmp_path):
    first = rewritten(PROMPT)
    put(tmp_path, "checkpoints/base.safetensors")
    put(tmp_path, "loras/style/ink.safetensors")
    assert rewritten(PROMPT) == first


def test_both_separators_name_a_model(rewritten):
    named = {**LORA, "inputs": {**LORA["inputs"], "lora_name": "style\\ink.safetensors"}}
    assert ("loras", "style/ink.safetensors") in added(rewritten({**PROMPT, "2": named}))


def test_what_does_not_run_is_not_fetched(rewritten):
    unconnected = {**PROMPT, "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}
    assert added(rewritten(unconnected)) == {("checkpoints", "base.safetensors")}
    assert rewritten({"1": CHECKPOINT, "2": LORA}) == {"1": CHECKPOINT, "2": LORA}, (
        "no output: ComfyUI says so"
    )


def test_only_the_targets_of_a_partial_run_count(rewritten):
    both = {**PROMPT, "4": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}
    assert added(rewritten(both, partial_execution_targets=["4"])) == {("checkpoints", "base.safetensors")}
    assert len(added(rewritten(both, partial_execution_targets=None))) == 2


def test_a_name_of_another_type_is_not_taken(rewritten):
    wrong = {**CHECKPOINT, "inputs": {"ckpt_name": "style/ink.safetensors"}}
    nodes = {"1": wrong, "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}
    assert rewritten(nodes) is nodes


def test_a_loader_outside_of_the_table_is_known_by_its_list(rewritten):
    rewritten.store("ipadapter/face.safetensors")
    nodes = {
        "1": {
            "class_type": "AnotherLoader",
            "inputs": {"file": "face.safetensors", "strength": "face.safetensors"},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    changed = rewritten(nodes)
    assert added(changed) == {("ipadapter", "face.safetensors")}
    assert changed["1"]["inputs"]["strength"] == "face.safetensors"


def test_pickles_are_fetched_only_if_the_settings_say_so(rewritten, monkeypatch):
    rewritten.store("vae/old.ckpt")
    nodes = {
        "1": {"class_type": "VAELoader", "inputs": {"vae_name": "old.ckpt"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    assert rewritten(nodes) is nodes
    monkeypatch.setenv("COMFY_S3_MODELS_PICKLES", "true")
    rewritten.store()
    assert added(rewritten(nodes)) == {("vae", "old.ckpt")}


@pytest.mark.parametrize("mode", ["off", "offer"])
def test_without_on_demand_a_prompt_stays_as_it_is(rewritten, mode, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", mode)
    rewritten.store()
    assert rewritten(PROMPT) is PROMPT


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], "text", {}, {"prompt": None}, {"prompt": []}, {"prompt": {}}, {"prompt": {"1": None}}),
        *({"prompt": {"1": {}}}, {"prompt": {"1": {"class_type": 1, "inputs": {"a": {"b": []}}}}}),
        {"prompt": {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": ["1", 0], "model": ["1", 0]}}}},
        {"prompt": {"1": {"class_type": "LoraLoader", "inputs": ["a"]}}},
        {"prompt": {"1": {"class_type": "LoraLoader", "inputs": {"lora_name": float("nan")}}}},
    ],
)
def test_what_is_no_prompt_comes_back_as_it_is(rewritten, body, caplog):
    assert rewritten.library.rewriter(body) is body


def test_a_class_that_fails_to_list_its_inputs_is_left_alone(rewritten, registered):
    class Broken:
        @classmethod
        def INPUT_TYPES(cls):
            raise RuntimeError("a fault of the package")

    registered["Broken"] = Broken
    nodes = {**PROMPT, "9": {"class_type": "Broken", "inputs": {"x": "base.safetensors"}}}
    assert len(added(rewritten(nodes))) == 2


def test_an_embedding_in_a_text_is_fetched_in_front_of_the_clip(rewritten, monkeypatch, tmp_path):
    import folder_paths

    types = {**folder_paths.folder_names_and_paths}
    types["embeddings"] = ([str(tmp_path / "models" / "embeddings")], folder_paths.supported_pt_extensions)
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    for key in ("embeddings/bad.safetensors", "embeddings/deep/hand.safetensors"):
        rewritten.store(key)
    text = "a cat, (embedding:bad:1.2), embedding:deep/hand, embedding:hand embedding:none"
    nodes = {
        "1": CHECKPOINT,
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": text}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    changed = rewritten(nodes)
    assert changed["2"]["inputs"]["text"] == text
    outer = changed[changed["2"]["inputs"]["clip"][0]]
    inner = changed[outer["inputs"]["passed"][0]]
    assert {outer["inputs"]["name"], inner["inputs"]["name"]} == {"bad.safetensors", "deep/hand.safetensors"}
    assert inner["inputs"]["passed"] == ["1", 1]
    by_wire = {
        **nodes,
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ["4", 0]}},
        "4": {"class_type": "PrimitiveString", "inputs": {"words": "embedding:bad"}},
    }
    assert ("embeddings", "bad.safetensors") in added(rewritten(by_wire))


@pytest.fixture
def table(monkeypatch):
    """Rows of packages, with these names of classes."""

    def use(*rows):
        by_node = {row.node: tuple(one for one in rows if one.node == row.node) for row in rows}
        monkeypatch.setattr(loaders, "TABLE", {**loaders.TABLE, **by_node})
        loaders.rows_of.cache_clear()

    yield use
    loaders.rows_of.cache_clear()


class Pack:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "text": ("STRING", {}), "later": ("MODEL", {"lazy": True})}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a <lora:ink:0.8> b", True),
        ("<lora:style/ink:1>", True),
        ("<lora:style\\ink.safetensors:1:1>", True),
        ("<LORA:ink>", True),
        ("<lora:inky:1>", False),
        ("<lyco:ink:1> lora:ink", False),
    ],
)
def test_a_lora_in_a_text_is_fetched_in_front_of_a_wire(rewritten, table, registered, text, found):
    registered["Pack"] = Pack
    table(Loader("Pack", "text", ("loras",), LORAS_IN_TEXT, front=("model",)))
    nodes = {
        "1": CHECKPOINT,
        "2": {"class_type": "Pack", "inputs": {"later": ["1", 0], "model": ["1", 0], "text": text}},
        "3": SAVE,
    }
    changed = rewritten(nodes)
    assert (("loras", "style/ink.safetensors") in added(changed)) is found
    assert changed["2"]["inputs"]["text"] == text
    assert changed["2"]["inputs"]["later"] == ["1", 0], "a lazy wire may never be asked for"
    if found:
        through = changed[changed["2"]["inputs"]["model"][0]]["inputs"]
        assert through == {"folder_type": "loras", "name": "style/ink.safetensors", "passed": ["1", 0]}


def test_a_lora_whose_short_name_two_models_have_is_not_guessed(rewritten, table, registered):
    rewritten.store("loras/other/ink.safetensors")
    registered["Pack"] = Pack
    table(Loader("Pack", "text", ("loras",), LORAS_IN_TEXT, front=("model",)))

    def loras(text):
        nodes = {"2": {"class_type": "Pack", "inputs": {"model": ["3", 0], "text": text}}, "3": SAVE}
        nodes["3"] = {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}
        return added(rewritten(nodes))

    assert not loras("<lora:ink:1>")
    assert loras("<lora:other/ink:1>") == {("loras", "other/ink.safetensors")}


def test_a_local_lora_of_that_short_name_is_what_the_text_means(rewritten, table, registered, tmp_path):
    put(tmp_path, "loras/mine/ink.safetensors")
    registered["Pack"] = Pack
    table(Loader("Pack", "text", ("loras",), LORAS_IN_TEXT, front=("model",)))
    nodes = {"2": {"class_type": "Pack", "inputs": {"text": "<lora:ink:1>"}}, "3": SAVE}
    assert rewritten(nodes) is nodes


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"on": True, "lora": "style/ink.safetensors", "strength": 1}, True),
        ({"on": False, "lora": "style/ink.safetensors", "strength": 1}, False),
        ({"__value__": [{"name": "ink", "active": True}, {"name": "none", "active": True}]}, True),
        ([{"name": "ink", "active": False}], False),
        ({"on": True, "lora": None}, False),
        ({}, False),
    ],
)
def test_a_name_in_an_entry_is_fetched_in_front_of_a_wire_or_with_the_value(
    rewritten, table, registered, entry, found
):
    registered["Pack"] = Pack
    table(
        Loader("Pack", "lora_*", ("loras",), ENTRIES, front=("model",)),
        Loader("Alone", "loras", ("loras",), ENTRIES),
    )
    registered["Alone"] = Pack
    nodes = {
        "2": {"class_type": "Pack", "inputs": {"model": ["4", 0], "lora_7": entry}},
        "3": SAVE,
        "4": {"class_type": "Alone", "inputs": {"model": ["2", 0], "loras": entry}},
    }
    nodes["2"]["inputs"]["model"] = ["4", 0]
    nodes["4"]["inputs"]["model"] = ["5", 0]
    changed = rewritten(nodes)
    assert (len(changed) > len(nodes)) is found
    assert changed["2"]["inputs"]["lora_7"] == entry
    if found:
        assert changed[changed["2"]["inputs"]["model"][0]]["inputs"]["passed"] == ["4", 0]
        assert changed[changed["4"]["inputs"]["loras"][0]]["inputs"]["passed"] == entry


def test_a_name_that_a_text_node_gives_is_fetched_on_its_way(rewritten):
    nodes = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["2", 0]}},
        "2": {"class_type": "PrimitiveString", "inputs": {"words": "base.safetensors"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    changed = rewritten(nodes)
    through = changed[changed["1"]["inputs"]["ckpt_name"][0]]["inputs"]
    assert through == {"folder_type": "checkpoints", "name": "base.safetensors", "passed": ["2", 0]}


def test_a_download_node_in_front_of_a_loader_is_left_alone(rewritten):
    nodes = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["2", 0]}},
        "2": {"class_type": "LoadModelFromCloud", "inputs": {"key": "models/checkpoints/base.safetensors"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    assert rewritten(nodes) is nodes


def test_a_small_vae_is_two_files_and_its_name_stays(rewritten, monkeypatch, tmp_path):
    import folder_paths

    types = {**folder_paths.folder_names_and_paths}
    types["vae_approx"] = ([str(tmp_path / "models" / "vae_approx")], folder_paths.supported_pt_extensions)
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", types)
    for part in ("taesd_encoder", "taesd_decoder", "taehv"):
        rewritten.store(f"vae_approx/{part}.safetensors")

    def changed(name):
        return rewritten(
            {
                "1": {"class_type": "VAELoader", "inputs": {"vae_name": name}},
                "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
            }
        )

    nodes = changed("taesd")
    assert added(nodes) == {
        ("vae_approx", "taesd_encoder.safetensors"),
        ("vae_approx", "taesd_decoder.safetensors"),
    }
    outer = nodes[nodes["1"]["inputs"]["vae_name"][0]]["inputs"]
    assert nodes[outer["passed"][0]]["inputs"]["passed"] == "taesd"
    assert added(changed("taehv.safetensors")) == {("vae_approx", "taehv.safetensors")}
    assert not added(changed("taesd_encoder.safetensors")), "no loader takes this part as a VAE"
    assert not added(changed("taesdxl"))
    assert not added(changed("pixel_space"))


def test_before_the_first_listing_a_missing_name_waits_for_it(rewritten, monkeypatch):
    made = rewritten.library
    monkeypatch.setattr(type(made.catalogue), "is_first_listing", lambda self: True)
    monkeypatch.setattr(type(made.catalogue), "find", lambda self, folder_type, name: None)
    assert added(made.rewriter({"prompt": PROMPT})["prompt"]) == {
        ("checkpoints", "base.safetensors"),
        ("loras", "style/ink.safetensors"),
    }
    pickle = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "a.ckpt"}}, "3": SAVE}
    assert made.rewriter({"prompt": pickle})["prompt"] is pickle


def test_five_hundred_names_send_nothing(rewritten, monkeypatch):
    """How long it takes is measured by benchmarks/library.py."""
    monkeypatch.setattr(catalogue, "connect", lambda profile: pytest.fail("a request"))
    nodes = {
        str(number): {
            **LORA,
            "inputs": {"lora_name": f"style{os.sep}{number}.safetensors", "model": ["1", 0]},
        }
        for number in range(500)
    }
    assert len(added(rewritten({**nodes, **PROMPT}))) == 2


def test_the_table_has_a_source_for_each_row_and_no_row_twice():
    rows = (*CORE, *PACKS)
    assert all(row.source for row in rows)
    assert len({(row.node, row.input, row.types, row.kind, row.names) for row in rows}) == len(rows)
