from __future__ import annotations

import os

import pytest
from cloud_storage.errors import BadKey
from cloud_storage.mirror.names import Names

OUTPUT = Names("output", "comfyui/", ("*.json", "output/drafts/*"))
SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "is_left_out"),
    [
        ("a.png", False),
        ("sub/a.png", False),
        (".hidden.png", True),
        ("sub/.git", True),
        ("a.png.part", True),
        ("a.TMP", True),
        ("a.tmp.png", False),
        ("cloud_storage_outbox", True),
        ("sub/cloud_storage_outbox", False),
        ("sub/a.json", True),
        ("drafts/a.png", True),
        ("other/drafts/a.png", False),
        ("日本.png", False),
        (os.fsdecode(b"\xff.png"), os.name != "nt"),
    ],
)
def test_these_names_are_left_out(name, is_left_out):
    assert OUTPUT.leaves_out(name) is is_left_out


def test_the_outbox_is_a_folder_of_output_only():
    assert not Names("input", "").leaves_out("cloud_storage_outbox")


def test_a_key_is_the_path_below_the_prefix_and_others_have_the_checksum():
    keys = list(OUTPUT.keys("sub/a\u0308.b.png", SHA256, 1024))
    assert keys == [
        "comfyui/output/sub/ä.b.png",
        "comfyui/output/sub/ä.b-01234567.png",
        "comfyui/output/sub/ä.b-0123456789abcdef.png",
        f"comfyui/output/sub/ä.b-{SHA256}.png",
    ]


def test_a_name_that_is_too_long_for_a_key_is_refused():
    with pytest.raises(BadKey):
        next(OUTPUT.keys("a" * 200, SHA256, 100))
