"""A wanted model."""

from __future__ import annotations

from cloud_storage.command_line.wish import Wish


def test_it_is_shown_as_it_is_named_on_the_command_line():
    assert Wish("loras", "style/ink.safetensors", "models/x").shown == "loras/style/ink.safetensors"
