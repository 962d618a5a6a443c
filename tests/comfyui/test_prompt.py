from __future__ import annotations

from cloud_storage.comfyui import prompt

PROMPT = {
    "1": {"class_type": "CloudStorageProfile", "inputs": {"profile": "mine"}},
    "2": {"class_type": "PrimitiveString", "inputs": {"value": "a.png"}},
    "4": {"class_type": "LoadImageFromCloud", "inputs": {"key": ["2", 0], "profile": ["1", 0]}},
}


def run(comfyui, prompt):
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])


def changed(node_id, **inputs):
    return {**PROMPT, node_id: {**PROMPT[node_id], "inputs": {**PROMPT[node_id]["inputs"], **inputs}}}


def test_a_node_is_of_the_prompt_that_runs_or_of_any_where_none_does(comfyui):
    assert prompt.is_of_prompt("4")
    run(comfyui, PROMPT)
    assert prompt.is_of_prompt("4")
    assert prompt.is_of_prompt(None)
    assert not prompt.is_of_prompt("4.0.0.1"), "another node has made it"


def test_what_is_wired_to_an_input_is_found(comfyui):
    assert prompt.linked_widgets("4", "profile") is None
    run(comfyui, PROMPT)
    assert prompt.linked_widgets("4", "profile") == ("CloudStorageProfile", {"profile": "mine"})
    for node_id, name in (("1", "profile"), ("4", "other"), ("9", "profile"), (None, "profile")):
        assert prompt.linked_widgets(node_id, name) is None


def test_a_damaged_prompt_has_no_wires(comfyui):
    for inputs in ({"profile": []}, {"profile": ["gone", 0]}, {"profile": [[], 0]}):
        run(comfyui, changed("4", **inputs))
        assert prompt.linked_widgets("4", "profile") is None


def test_the_lineage_changes_with_all_that_leads_to_a_node_and_with_nothing_else(comfyui):
    assert prompt.lineage("4") == ""
    run(comfyui, PROMPT)
    first = prompt.lineage("4")
    assert prompt.lineage("4") == first
    assert prompt.lineage("9") == ""
    run(comfyui, changed("2", value="b.png"))
    assert prompt.lineage("4") != first
    run(comfyui, {**PROMPT, "5": {"class_type": "Other", "inputs": {}}})
    assert prompt.lineage("4") == first


def test_nodes_in_a_circle_end_no_search(comfyui):
    run(comfyui, changed("2", value=["4", 0]))
    assert len(prompt.lineage("4")) == 64


def test_consumers_are_followed_through_nodes_of_the_same_class(comfyui):
    added = {"class_type": "Added", "inputs": {}}
    nodes = {
        "a": added,
        "b": {**added, "inputs": {"passed": ["a", 0]}},
        "c": {**added, "inputs": {"passed": ["b", 0]}},
        "4": {"class_type": "LoraLoader", "inputs": {"lora_name": ["a", 0], "strength": 1.0}},
        "12:5": {"class_type": "Other", "inputs": {"model": ["c", 0]}},
        "6": {"class_type": "Other", "inputs": {"model": ["4", 0]}},
    }
    comfyui.prompt_queue.currently_running = {0: (0, "the prompt", nodes, {}, [])}
    assert sorted(prompt.consumers("a")) == ["12:5", "4"]
    assert prompt.consumers("c") == ["12:5"]
    assert prompt.consumers("6") == prompt.consumers("none") == prompt.consumers(None) == []
    assert prompt.id_of_prompt("a") == "the prompt"
    assert prompt.id_of_prompt("none") is None
