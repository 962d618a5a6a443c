"""That the rows are complete is held by ``tests/real_comfyui/test_library.py``, on each core."""

from __future__ import annotations

from cloud_storage.library.core_loaders import CORE, STANDS_FOR_FILES


def test_a_small_vae_has_an_encoder_and_a_decoder():
    assert STANDS_FOR_FILES["taesd"] == ("taesd_encoder.", "taesd_decoder.")
    assert {row.node for row in CORE if row.node.startswith("Checkpoint")} == {
        "CheckpointLoader",
        "CheckpointLoaderSimple",
    }
