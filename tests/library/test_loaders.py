"""The table of loaders, and what the page gets from it for its lists."""

from __future__ import annotations

import pytest
from cloud_storage.library import loaders
from cloud_storage.library.core_loaders import CORE
from cloud_storage.library.pack_loaders import PACKS


def test_each_row_has_a_source_and_is_there_once():
    rows = (*CORE, *PACKS)
    assert all(row.source and row.types for row in rows)
    assert len({(row.node, row.input, row.types, row.kind, row.names) for row in rows}) == len(rows)


@pytest.mark.usefixtures("comfyui")
def test_inputs_are_those_of_the_table_and_then_of_the_rule():
    assert loaders.inputs_of("VAELoader") == {"vae_name": ("vae", "vae_approx")}
    assert loaders.inputs_of("DualCLIPLoader") == {
        "clip_name1": ("text_encoders",),
        "clip_name2": ("text_encoders",),
    }
    assert loaders.inputs_of("AnotherLoader") == {"file": ("ipadapter",)}
    assert loaders.inputs_of("CLIPTextEncode") == loaders.inputs_of("no such class") == {}
    assert not loaders.inputs_of("Power Lora Loader (rgthree)"), "its names are in no list"


def test_a_pattern_is_about_many_inputs():
    assert loaders.rows_of("TripleCLIPLoader", "clip_name3")
    assert loaders.rows_of("Power Lora Loader (rgthree)", "lora_12")
    assert not loaders.rows_of("Power Lora Loader (rgthree)", "model")
    assert not loaders.rows_of("TripleCLIPLoader", "other_clip_name3")
