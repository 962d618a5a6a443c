"""The soak of benchmarks/mirror_soak.py in its short form: half an hour of it is run by hand."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def soak(comfyui, monkeypatch):
    spec = importlib.util.spec_from_file_location("mirror_soak", ROOT / "benchmarks" / "mirror_soak.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mirror_soak", module)  # where its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_with_kills_and_outages_nothing_is_lost_or_twice_or_half(soak):
    outcome = soak.soak(seconds=15, seed=3, pace=0.05, still=0.4)
    assert not outcome.wrong
    assert outcome.versions > 0
    assert outcome.kills > 0
