"""The soak of benchmarks/library_soak.py in its short form: a thousand prompts of it are run by hand."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def soak(comfyui, monkeypatch):
    spec = importlib.util.spec_from_file_location("library_soak", ROOT / "benchmarks" / "library_soak.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "library_soak", module)  # where its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_over_three_times_the_budget_and_with_kills_nothing_is_wrong(soak):
    outcome = soak.soak(prompts=30, kills=3, models=24)  # a third of them is more than two prompts name
    assert not outcome.wrong
    assert (outcome.prompts, outcome.kills) == (30, 3)
    assert outcome.budget * 2 < outcome.total
    assert 0 < outcome.most_used <= outcome.budget


def test_it_would_see_a_wrong_file_and_one_that_was_removed(soak, tmp_path):
    soak.host(tmp_path)
    soak.prepared(tmp_path)
    folder = tmp_path / "models" / "loras"
    (folder / soak.name(1)).parent.mkdir(parents=True)
    (folder / soak.name(1)).write_bytes(b"half a file")
    (folder / soak.OWN).unlink()
    found = soak.looked_at(tmp_path, [1, 2])["wrong"]
    assert found[0] == f"{soak.name(1)} has another content"
    assert found[1].startswith(soak.name(2))
    assert found[2] == f"{soak.OWN} was removed"
