"""The rule: which lists are lists of models, by what a class asks ComfyUI for."""

from __future__ import annotations

import pytest
from cloud_storage.comfyui import node_classes


@pytest.fixture
def known(comfyui, monkeypatch):
    import nodes

    classes: dict[str, type] = {}
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", classes)

    def register(required, optional=None, **more):
        def inputs(cls):
            return {"required": required(), **({"optional": optional()} if optional else {})}

        classes["Node"] = type("Node", (), {"INPUT_TYPES": classmethod(inputs), **more})
        return "Node"

    return register


def listed(folder_type):
    import folder_paths

    return folder_paths.get_filename_list(folder_type)


def put(tmp_path, *paths):
    for path in paths:
        (tmp_path / "models" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / path).write_bytes(b"")


def test_a_list_of_a_folder_type_is_known_in_both_forms(known, tmp_path):
    put(tmp_path, "loras/a.safetensors", "vae/b.safetensors")
    node = known(
        lambda: {
            "lora": (listed("loras"),),
            "vae": ("COMBO", {"options": listed("vae")}),
            "mode": (["x", "y"],),
        },
        lambda: {"other": (["None", *listed("loras")], {"default": "None"}), "text": ("STRING", {})},
    )
    assert node_classes.model_lists(node) == {"lora": ("loras",), "vae": ("vae",), "other": ("loras",)}


def test_a_list_with_other_files_is_none_of_a_type(known, tmp_path):
    put(tmp_path, "loras/a.safetensors")
    node = known(lambda: {"a": ([*listed("loras"), "b.safetensors"],), "b": (["fast", "slow"],)})
    assert node_classes.model_lists(node) == {}


def test_lists_of_several_types_in_one_are_of_all_of_them(known, tmp_path):
    put(tmp_path, "loras/a.safetensors", "vae/b.safetensors")
    node = known(lambda: {"both": (sorted(listed("loras") + listed("vae")),)})
    assert node_classes.model_lists(node) == {"both": ("loras", "vae")}


def test_on_a_machine_without_models_an_empty_list_may_be_of_each_type_that_was_asked_for(known):
    node = known(lambda: {"a": (listed("loras"),), "b": (["None", *listed("vae")],), "c": (["euler"],)})
    assert node_classes.model_lists(node) == {"a": ("loras", "vae"), "b": ("loras", "vae")}


def test_a_class_is_asked_once_and_one_that_fails_lists_nothing(known):
    asked = []

    def inputs():
        asked.append(1)
        return {"a": (listed("loras"),)}

    node = known(inputs)
    assert node_classes.model_lists(node) == node_classes.model_lists(node)
    assert len(asked) == 1

    def fails():
        raise RuntimeError("a fault of the package")

    assert node_classes.model_lists(known(fails)) == {}
    assert node_classes.model_lists("no such class") == {}


def test_lazy_wires_and_raw_links_are_not_awaited(known):
    node = known(
        lambda: {"model": ("MODEL",), "later": ("MODEL", {"lazy": True})},
        lambda: {"raw": ("*", {"rawLink": True}), "clip": ("CLIP", {})},
    )
    assert node_classes.awaited_inputs(node) == {"model", "clip"}
    assert node_classes.awaited_inputs("no such class") == frozenset()


def test_widgets_are_in_the_order_in_which_their_values_are_saved(known):
    node = known(
        lambda: {
            "model": ("MODEL",),
            "seed": ("INT", {}),
            "steps": ("INT", {"default": 20}),
            "sampler": (["euler"],),
            "wired": ("STRING", {"forceInput": True}),
        },
        lambda: {"number": ("INT", {"control_after_generate": True}), "text": ("STRING", {})},
    )
    assert node_classes.widget_names(node) == ["seed", "", "steps", "sampler", "number", "", "text"]
    assert node_classes.text_inputs(node) == {"wired", "text"}
    assert node_classes.widget_names("no such class") is None
    assert node_classes.text_inputs("no such class") is None


def test_outputs_are_what_prompts_run_for(known):
    assert node_classes.is_output(known(dict, OUTPUT_NODE=True))
    assert not node_classes.is_output(known(dict))
    assert not node_classes.is_output("no such class")


def test_a_hidden_node_is_known_as_one_of_this_package(known):
    import nodes

    kind = type("Hidden", (), {})
    node_classes.register_hidden({"Hidden": kind}, "folder")
    assert nodes.NODE_CLASS_MAPPINGS["Hidden"] is kind
    assert kind.RELATIVE_PYTHON_MODULE == "custom_nodes.folder"


@pytest.mark.parametrize("name", ["a.safetensors", "x/B.PT", "a.gguf", "a.onnx"])
def test_a_model_is_known_by_its_extension(name):
    assert node_classes.looks_like_a_model(name)
    assert not node_classes.looks_like_a_model(name + ".txt")
