"""Values of other nodes in a name: found as ComfyUI finds them, whatever the prompt holds."""

from __future__ import annotations

import pytest
from cloud_storage.saving import widget_values
from token_prompt import filled


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("%KSampler.seed%", "42"),
        ("%Base.cfg%", "7.5"),
        ("%KSampler.denoise%", "1"),
        ("%CheckpointLoaderSimple.ckpt_name%", "SDXL_v1.0.safetensors"),
        ("%Positive v1.5.text%", "a _cat__ 50%__%seed%"),
        ("%CLIPTextEncode.text%", "a _cat__ 50%__%seed%"),
        ("%Negative.text%", "dog"),
        ("%EmptyLatentImage.width%", "1024"),  # through a link to a constant
        ("%EmptyLatentImage.batch_size%", "%EmptyLatentImage.batch_size%"),  # a computed one is not known
        ("%KSampler.latent_image%", "%KSampler.latent_image%"),
        ("%Switches.on%%Switches.none%%Switches.sizes%", "true1,2"),
    ],
)
def test_a_widget_of_another_node_is_found_through_the_api(typed, expected):
    assert filled(typed) == expected


def drawn(node_id, kind, title=None, **more):
    node = {"id": node_id, "type": kind, "properties": {"Node name for S&R": kind}, **more}
    return {**node, "title": title} if title else node


def workflow(*nodes, subgraphs=()):
    return {"workflow": {"nodes": list(nodes), "definitions": {"subgraphs": list(subgraphs)}}}


def test_the_alias_of_a_node_goes_before_titles():
    renamed = drawn(7, "CLIPTextEncode", "KSampler") | {"properties": {"Node name for S&R": "Base"}}
    shown = workflow(renamed, drawn(3, "KSampler", "Base"), drawn(6, "CLIPTextEncode"))
    assert filled("%Base.text%", extra_pnginfo=shown) == "dog"
    assert filled("%KSampler.text%", extra_pnginfo=shown) == "dog"  # no alias KSampler has a text
    assert filled("%KSampler.seed%", extra_pnginfo=shown) == "42"
    titled = drawn(6, "CLIPTextEncode", "Negative")
    aliased = {"id": 7, "type": "CLIPTextEncode", "properties": {"Node name for S&R": "Negative"}}
    assert filled("%Negative.text%", extra_pnginfo=workflow(titled, aliased)) == "dog"


def test_of_nodes_with_one_name_the_first_of_the_workflow_counts():
    shown = workflow(drawn(7, "CLIPTextEncode"), drawn(6, "CLIPTextEncode"))
    assert filled("%CLIPTextEncode.text%", extra_pnginfo=shown) == "dog"


def test_a_node_that_does_not_run_is_passed_over():
    shown = workflow(drawn(99, "CLIPTextEncode", widgets_values=["muted"]), drawn(7, "CLIPTextEncode"))
    assert filled("%CLIPTextEncode.text%", extra_pnginfo=shown) == "dog"


def test_a_node_without_properties_goes_by_its_class():
    assert filled("%KSampler.seed%", extra_pnginfo=workflow({"id": 3, "type": "KSampler"})) == "42"


def test_a_primitive_node_that_only_the_workflow_shows_has_a_value():
    shown = workflow(drawn(20, "PrimitiveNode", "Project", widgets_values=["alpine", "fixed"]))
    assert filled("%Project.value%", extra_pnginfo=shown) == "alpine"


def test_nodes_in_subgraphs_are_found_and_lend_the_subgraph_their_widgets():
    inner = {"id": "s-1", "name": "Sampling", "nodes": [drawn(5, "KSampler", "Inner"), drawn(6, "s-2")]}
    deepest = {"id": "s-2", "name": "Deepest", "nodes": [drawn(1, "Note8", "Far")]}
    prompt = {
        "30:5": {"class_type": "KSampler", "inputs": {"seed": 7}},
        "30:6:1": {"class_type": "Note8", "inputs": {"text": "hi"}},
    }
    shown = workflow(drawn(30, "s-1"), subgraphs=[inner, deepest])
    for typed in ("%Inner.seed%", "%Sampling.seed%", "%KSampler.seed%", "%seed%"):
        assert filled(typed, prompt=prompt, extra_pnginfo=shown) == "7"
    for typed in ("%Far.text%", "%Deepest.text%", "%Sampling.text%"):
        assert filled(typed, prompt=prompt, extra_pnginfo=shown) == "hi"


class Counted(list):
    """A list that fails when it has been gone through ``most`` times: what is endless else ends there."""

    def __init__(self, items, most):
        super().__init__(items)
        self.most, self.times = most, 0

    def __iter__(self):
        self.times += 1
        if self.times > self.most:
            pytest.fail(f"it was gone through more than {self.most} times")
        return super().__iter__()


def test_subgraphs_that_hold_each_other_many_times_are_looked_into_once():
    names = [f"s-{number}" for number in range(12)]
    within = Counted([drawn(number, name) for number, name in enumerate(names)] * 3, 2 * len(names))
    graphs = [{"id": name, "nodes": within} for name in names]
    path = ":".join(map(str, range(12)))
    prompt = {f"{path}:99": {"class_type": "KSampler", "inputs": {"seed": 3}}}
    shown = workflow(drawn(0, "s-0"), subgraphs=graphs)
    assert filled("%a.b%%KSampler.seed%", prompt=prompt, extra_pnginfo=shown) == "%a.b%3"
    looked = within.times
    assert filled("%ab%%seed%%date%", prompt=prompt, extra_pnginfo=shown).startswith("%ab%")
    assert within.times == looked, "no token asks for a node"


@pytest.mark.parametrize("depth", [5000, 100_000])
def test_a_value_may_be_nested_as_deep_as_anybody_likes(depth):
    value, wrapped, held = 7, 7, {}
    for _ in range(depth):
        value, wrapped, held = [value], {"__value__": wrapped}, {"a": held}
    inputs = {"list": value, "wrap": wrapped, "dict": held, "number": 10**5000}
    prompt = {"1": {"class_type": "N", "inputs": inputs, "_meta": {"title": held}}}
    shown = workflow({"id": value, "type": held, "title": value}, subgraphs=[{"id": value, "name": held}])
    made = filled("%N.list%-%N.wrap%-%N.dict%-%N.number%", prompt=prompt, extra_pnginfo=shown)
    assert made == "7-7-[object Object]-Infinity"


def test_of_a_path_through_subgraphs_no_more_is_kept_than_may_lie_in_each_other():
    """A path of 200,000 parts has as many beginnings, 40 GB of them: looked at here is one of 2,000."""
    prompt = {":".join(["1"] * 2_000): {"class_type": "N", "inputs": {"x": 7}}}
    assert len(widget_values._holders(prompt)) <= widget_values.MAX_DEPTH
    assert filled("%N.x%", prompt=prompt, extra_pnginfo=workflow(drawn(1, "s-1"))) == "7"


def test_a_subgraph_that_holds_itself_ends():
    loop = {"id": "s-1", "name": "Loop", "nodes": [drawn(1, "s-1")]}
    assert filled("%Loop.seed%", extra_pnginfo=workflow(drawn(30, "s-1"), subgraphs=[loop])) == "%Loop.seed%"


@pytest.mark.parametrize(
    "broken",
    [
        {"workflow": None},
        {"workflow": []},
        {"workflow": {"nodes": {"3": {}}}},
        {"workflow": {"nodes": [None, 3, {}, {"properties": []}], "definitions": {"subgraphs": [None, 4]}}},
    ],
)
def test_a_malformed_workflow_harms_nothing(broken):
    assert filled("%KSampler.seed%", extra_pnginfo=broken) == "42"


@pytest.mark.parametrize(
    "broken", [{"3": None}, {"3": {"inputs": []}}, {"3": {"inputs": {"seed": ["3", 0]}}}, {}]
)
def test_a_malformed_prompt_harms_nothing(broken):
    assert filled("%KSampler.seed%_%seed%", prompt=broken) == "%KSampler.seed%_%seed%"


# The seed ---------------------------------------------------------------------------------------------


def sampler(seed, **links):
    return {"class_type": "KSampler", "inputs": {"seed": seed, **links}}


def test_the_seed_nearest_upstream_of_the_saving_node_is_taken():
    prompt = {
        "1": sampler(111),
        "2": sampler(222, latent_image=["1", 0]),
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0]}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0]}},
        "5": {"class_type": "Save", "inputs": {"images": ["3", 0]}},
        "6": {"class_type": "Save", "inputs": {"images": ["4", 0]}},
    }
    assert filled("%seed%", prompt=prompt, node_id="5") == "222"
    assert filled("%seed%", prompt=prompt, node_id="6") == "111"
    assert filled("%seed%", prompt=prompt, node_id="") == "111"


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ({"1": {"inputs": {"noise_seed": 5}}}, "5"),
        ({"1": {"inputs": {"noise_seed": ["2", 0]}}, "2": {"inputs": {"seed": 6}}}, "6"),
        (
            {
                "1": {"inputs": {"seed": ["2", 0]}},
                "2": {"inputs": {"value": ["3", 0]}},
                "3": {"inputs": {"value": 8}},
            },
            "8",
        ),
        ({"1": {"inputs": {"seed": "randomize"}}, "2": {"inputs": {"seed": 9}}}, "9"),
        (
            {"1": {"inputs": {"seed": True}}, "2": {"inputs": {"seed": 18446744073709551615}}},
            "18446744073709551615",
        ),
    ],
)
def test_a_seed_may_have_two_names_and_come_through_links(nodes, expected):
    assert filled("%seed%", prompt=nodes) == expected
