from __future__ import annotations

import asyncio
import inspect
import math
from types import SimpleNamespace

import pytest
import torch
from cloud_storage.comfyui import input_values
from cloud_storage.errors import ConfigurationError, MediaError
from cloud_storage.profile import Profile


def node(inputs, method=None, **members):
    """A node class with these inputs, checked, and what its method was given."""
    asked: list[str] = []

    def declare(cls):
        asked.append("INPUT_TYPES")
        return {"required": inputs, "hidden": {"unique_id": "UNIQUE_ID", "prompt": "PROMPT"}}

    async def run(self, value=None, model=None, unique_id=None, prompt=None):
        return value if model is None else model

    members = {"FUNCTION": "run", "INPUT_TYPES": classmethod(declare), "run": method or run, **members}
    return input_values.check(type("Node", (), {**members, "asked": asked}))


def result(kind, value, options=None):
    return asyncio.run(node({"value": (kind, options or {})})().run(value=value))


@pytest.mark.parametrize(
    ("kind", "value", "found"),
    [
        ("STRING", "a", "a"),
        ("INT", 3.0, 3),
        ("INT", True, 1),
        ("FLOAT", 2, 2),
        ("BOOLEAN", 1, True),
        (["a", "b"], "b", "b"),
        ("S3_PROFILE", None, None),
        ("VAE", None, None),
        ("ANY KIND OF ANOTHER PACKAGE", object, object),
    ],
)
def test_a_right_value_is_passed_on_in_the_type_of_its_kind(kind, value, found):
    got = result(kind, value)
    assert got == found
    assert type(got) is type(found)


@pytest.mark.parametrize(
    ("kind", "value", "options"),
    [
        ("STRING", 1, {}),
        ("STRING", "x" * (input_values.MAX_CHARACTERS + 1), {}),
        ("INT", 1.5, {}),
        ("INT", "1", {}),
        ("INT", 5, {"max": 4}),
        ("FLOAT", math.nan, {"min": 0, "max": 1}),
        ("FLOAT", -1, {"min": 0}),
        ("BOOLEAN", 2, {}),
        (["a", "b"], "c", {}),
        ("S3_PROFILE", "mine", {}),
        ("VAE", object(), {}),
    ],
)
def test_a_wrong_value_is_refused_and_the_input_named(kind, value, options):
    with pytest.raises(ConfigurationError, match="value"):
        result(kind, value, options)


@pytest.mark.parametrize("value", [None, "text", torch.zeros((2, 3)), torch.zeros((0, 4, 4, 3))])
def test_what_is_no_picture_is_refused(value):
    with pytest.raises(MediaError, match="value"):
        result("IMAGE", value)


def test_what_a_node_declares_is_asked_for_once_and_new_models_are_known_all_the_same():
    made = node({"model": (["a.safetensors"], {})})
    assert asyncio.run(made().run(model="a.safetensors")) == "a.safetensors"
    assert asyncio.run(made().run(model="came later.safetensors")) == "came later.safetensors"
    assert made.asked == ["INPUT_TYPES"]


def test_every_method_is_a_coroutine_for_comfyui_also_a_plain_one():
    def run(self, value=""):
        return (value,)

    made = node({"value": ("STRING", {})}, run)
    assert inspect.iscoroutinefunction(made().run)
    assert asyncio.run(made().run("placed")) == ("placed",)


@pytest.mark.parametrize(("name", "value"), [("unique_id", 7), ("prompt", "text")])
def test_what_was_queued_with_the_prompt_is_checked_too(name, value):
    with pytest.raises(ConfigurationError, match=name):
        asyncio.run(node({})().run(**{name: value}))


def test_is_changed_answers_for_a_wrong_value_and_gets_none_for_a_wire():
    got = []

    def is_changed(cls, value="", other=""):
        got.append((value, other))
        return "asked"

    made = node({"value": ("INT", {}), "other": ("INT", {})}, IS_CHANGED=classmethod(is_changed))
    wrong = {made.IS_CHANGED(value=value) for value in ("a", "b")}
    assert len(wrong) == 2, "another wrong value is another answer"
    assert got == []
    assert made.IS_CHANGED(value=None, other=2.0) == "asked"
    assert got == [(None, 2)]


def test_what_a_node_refuses_itself_is_an_error_of_its_own():
    def validate(cls, value=None):
        return True if value == "good" else "It is not good."

    made = node({"value": ("STRING", {})}, VALIDATE_INPUTS=classmethod(validate))
    assert asyncio.run(made().run(value="good")) == "good"
    with pytest.raises(ConfigurationError, match="It is not good"):
        asyncio.run(made().run(value=3))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x" * 100, repr("x" * 60)),
        (10**5000, "a huge int"),
        (1.5, "1.5"),
        (SimpleNamespace(), "a value of type SimpleNamespace"),
    ],
    ids=["long text", "huge number", "number", "object"],
)
def test_a_value_is_told_in_few_words(value, words):
    assert input_values.shown(value) == words


def test_a_profile_is_a_profile():
    made = Profile.__new__(Profile)
    assert result("S3_PROFILE", made) is made
