from __future__ import annotations

import sys
import types

from cloud_storage.comfyui import latents


def test_a_core_without_latents_of_several_parts_has_nothing_to_make_one():
    assert latents.nest() is None


def test_a_core_that_has_them_makes_one(monkeypatch):
    module = types.ModuleType("comfy.nested_tensor")
    module.NestedTensor = tuple
    monkeypatch.setitem(sys.modules, "comfy.nested_tensor", module)
    assert latents.nest()([1, 2]) == (1, 2)
