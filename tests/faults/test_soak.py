"""The soak of benchmarks/soak.py, for a few seconds: minutes of it are run by hand."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture
def soak(comfyui, monkeypatch):
    spec = importlib.util.spec_from_file_location("soak", ROOT / "benchmarks" / "soak.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak", module)  # where its dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("server", ["s3", "oss"])
def test_through_a_line_that_breaks_nothing_is_lost_and_nothing_is_wrong(soak, monkeypatch, server):
    monkeypatch.setattr(soak, "PAUSE_SECONDS", (0.05, 0.3))
    monkeypatch.setattr(soak, "REFUSED_SECONDS", (0.05, 0.3))
    outcome = soak.soak(server, seconds=5, workers=4)
    assert outcome.saved
    assert outcome.faults
    assert (outcome.lost, outcome.twice, outcome.wrong) == (set(), set(), []), str(outcome)


def test_it_would_see_a_lost_one_one_stored_twice_and_a_wrong_one(soak, cloud):
    outcome = soak.Outcome(saved={1, 2, 3})
    monkey = soak.nodes_save.SaveImageToCloud()
    for number in (2, 2, 3):
        soak.asyncio.run(monkey.save(soak.image(number), "soak/"))
    broken = soak.image(3)
    broken[0, 9, 9] = 1 - broken[0, 9, 9]
    soak.asyncio.run(monkey.save(broken, "soak/"))
    soak.asyncio.run(monkey.save(soak.image(9), "soak/"))
    soak._look(outcome)
    assert (outcome.lost, outcome.twice) == ({1}, {2})
    assert outcome.wrong == ["soak/ComfyUI_00004.png", "nobody saved 9"]
