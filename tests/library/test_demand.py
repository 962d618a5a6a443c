"""What a node of a running prompt waits for, and what it is told."""

from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.library.demand import Demand
from cloud_storage.system.meter import Meter


@pytest.fixture
def made(library, store):
    store("loras/style/ink.safetensors", b"ink")
    return library()


def demand(made, name, **more):
    return Demand(made.catalogue, made.fetches, "loras", name, **more)


def test_it_is_met_when_the_file_is_here(made, tmp_path):
    one = demand(made, "style/ink.safetensors")
    assert one.arrivals() == 1
    one.meet(Meter())
    assert (tmp_path / "models" / "loras" / "style" / "ink.safetensors").read_bytes() == b"ink"
    assert one.meter.done == 3
    again = demand(made, "style/ink.safetensors")
    again.meet(Meter())
    assert again.meter.done == 0, "it was here"
    assert again.arrivals() == 1


def test_what_is_nowhere_is_an_error_after_a_new_listing(made, store):
    with pytest.raises(errors.NotFound, match="neither here nor in the bucket"):
        demand(made, "no.safetensors").meet(Meter())
    store("loras/new.safetensors")
    demand(made, "new.safetensors").meet(Meter())


def test_a_word_is_what_it_means_or_nothing(made, tmp_path):
    one = demand(made, "ink", is_word=True)
    assert one.arrivals() == 1
    one.meet(Meter())
    assert (tmp_path / "models" / "loras" / "style" / "ink.safetensors").exists()
    demand(made, "another word", is_word=True).meet(Meter())


def test_a_fetch_that_no_prompt_is_known_to_want_goes_on_because_a_node_does(made, monkeypatch, tmp_path):
    """The queue does not say which file a word means."""
    wait = made.fetches.wait

    def ended_and_awaited(fetch, meter):
        made.fetches.cancel_all_but(set())
        wait(fetch, meter)

    monkeypatch.setattr(made.fetches, "wait", ended_and_awaited)
    demand(made, "ink", is_word=True).meet(Meter())
    assert (tmp_path / "models" / "loras" / "style" / "ink.safetensors").exists()


def test_cancel_ends_the_wait(made, monkeypatch):
    monkeypatch.setattr(made.fetches, "_wait_for_turn", lambda fetch: fetch.meter.wait(30))
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        demand(made, "style/ink.safetensors").meet(meter)
