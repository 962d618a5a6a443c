"""A workflow of the package whose node ids are the same is taken as it is meant there."""

from __future__ import annotations

import inspect

import cloud_storage
import pytest
import torch
from cloud_storage.saving.foreign_values import Translated, translated
from conftest import run_node

SAVERS = ("SaveImageToCloud", "SaveVideoToCloud", "SaveAudioToCloud")


def prompt(**inputs):
    return {"3": {"class_type": "SaveImageToCloud", "inputs": inputs}}


@pytest.mark.parametrize(
    ("given", "choices"),
    [
        ((True, 24, 24, None, "3"), ("new name", "presigned", 24)),  # by place: presign, expires_hours
        ((False, 48, 24, None, "3"), ("new name", "object url", 48)),
        ((True, 9999, 24, None, "3"), ("new name", "presigned", 168)),
        ((True, "none", 5, None, "3"), ("new name", "presigned", 5)),
        (("new name", "object url", 7, prompt(presign=True), "3"), ("new name", "presigned", 7)),  # by name
        (("skip", "object url", 7, prompt(presign=False), "3"), ("skip", "object url", 7)),
    ],
)
def test_presign_and_its_hours_become_link_and_expires_hours(given, choices):
    found = translated(*given)
    assert (found.if_exists, found.link, found.expires_hours) == choices
    assert len(found.remarks) == 1
    assert choices[1] in found.remarks[0]


@pytest.mark.parametrize(
    "given",
    [
        ("skip", "none", 24, None, None),
        ("skip", "none", 24, prompt(), "3"),
        ("skip", "none", 24, prompt(presign=True, link="none"), "3"),
        ("skip", "none", 24, prompt(presign=[]), "3"),
        ("skip", "none", 24, {"3": None}, "3"),
    ],
)
def test_our_own_values_stay_and_nothing_is_said(given):
    assert translated(*given) == Translated("skip", "none", 24)


@pytest.mark.parametrize("node_id", SAVERS)
def test_comfyui_is_told_to_let_them_run_and_nothing_else(node_id):
    check = cloud_storage.NODE_CLASS_MAPPINGS[node_id].VALIDATE_INPUTS
    assert set(inspect.getfullargspec(check).args) == {"cls", "if_exists", "link"}
    ours = {"if_exists": "skip", "link": "none"}
    for fine in ({}, ours, {"if_exists": None}, {"if_exists": True, "link": 24}):
        assert check(**fine) is True
    assert "if_exists cannot be 'x'. Choose one of: new name" in check(if_exists="x")
    assert "link cannot be 24. Choose one of: object url" in check(if_exists="skip", link=24)


def test_the_picture_is_saved_with_the_link_that_was_meant_and_the_node_says_so(cloud):
    result = run_node(
        "SaveImageToCloud",
        images=torch.zeros((1, 8, 8, 3)),
        key_prefix="a/",
        filename="x",
        if_exists=True,
        link=24,
        unique_id="3",
        prompt=prompt(if_exists=True, link=24),
    )
    urls, keys, _ = result["result"]
    assert keys == ["a/x.png"]
    assert "signature" in urls.lower()
    assert "presigned" in str(result["ui"]["cloud_storage"][0])
