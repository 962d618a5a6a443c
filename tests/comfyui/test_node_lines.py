from __future__ import annotations

import json

import pytest
from cloud_storage.comfyui.node_lines import ERROR, WARNING, Line, file_name, for_page


def test_a_text_stays_a_text_and_a_line_brings_the_rest():
    opens = {"profile": "mine", "key": "a.png"}
    lines = ["done", Line("done too"), Line("look out", WARNING), Line("https://b/a.png", opens=opens)]
    assert for_page(lines) == [
        "done",
        "done too",
        ["look out", {"level": WARNING}],
        ["https://b/a.png", {"opens": opens}],
    ]
    assert json.loads(json.dumps(for_page(lines))) == for_page(lines)


@pytest.mark.parametrize("ending", [".obj", ".GLB", ".usdz"])
def test_a_text_that_ends_like_a_3d_model_is_no_bare_text(ending):
    assert for_page([f"Saved a{ending}"]) == [[f"Saved a{ending}", {}]]


def test_a_line_reads_as_its_text():
    assert str(Line("It failed.", ERROR)) == "It failed."


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("out/cat_00001_.png", "cat_00001_.webp"),
        ("out/cat.WEBP", "cat.webp"),
        ("", "preview.webp"),
        ("a/..", "preview.webp"),
        ("a/what?<b>.png", "what__b_.webp"),
        ("a/CON.png", "_CON.webp"),
        ("a/half \ud800.png", "half _.webp"),
        (f"a/{'x' * 300}.png", f"{'x' * 60}.webp"),
    ],
)
def test_a_preview_is_called_like_its_object_on_every_disk(key, name):
    assert file_name(key, "webp") == name
