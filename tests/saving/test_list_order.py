"""Calls of one node reserve their keys in the order in which they were made."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest
from cloud_storage import errors
from cloud_storage.saving import choices, list_order, numbering
from cloud_storage.saving.names import Name
from cloud_storage.system.meter import Meter
from memory_bucket import MemoryBucket


def stopped():
    """A meter that ends a wait at the first look."""
    meter = Meter()
    meter.stop()
    return meter


class Calls:
    """Calls of one node, in one event loop that nothing runs in."""

    def __init__(self, count, node_id="7"):
        self.bucket = MemoryBucket()
        with contextlib.ExitStack() as stack:

            async def begin():
                return [stack.enter_context(list_order.begun(node_id)) for _ in range(count)]

            self.calls = asyncio.run(begin())
            self._stack = stack.pop_all()

    def reserve(self, index, name="a", count=1, meter=None, if_exists=choices.NEW_NAME):
        names = [Name((f"{name}_", ""), ".png", number) for number in range(count)]
        reserved = self.calls[index].reserve(self.bucket, names, if_exists, meter or stopped())
        return [next(file.candidates()) for file in reserved]

    def waits(self, index):
        """Whether a call has to wait, as far as one look tells. One that has not is over then."""
        try:
            self.reserve(index)
        except errors.TransferCancelled:
            return True
        return False

    def end(self):
        self._stack.close()


@pytest.fixture
def calls():
    calls = Calls(4)
    yield calls
    calls.end()


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(numbering, "counters", numbering.CounterMemory())
    monkeypatch.setattr(list_order, "CANCEL_CHECK_SECONDS", 0)


def test_each_reserves_its_keys_when_all_before_it_have(calls):
    assert [calls.waits(index) for index in (1, 2, 3)] == [True, True, True]
    assert calls.reserve(0, count=2) == ["a_00001.png", "a_00002.png"]
    assert [calls.waits(index) for index in (2, 3)] == [True, True]
    assert calls.reserve(1) == ["a_00003.png"]
    calls.calls[3].end()
    assert calls.reserve(2) == ["a_00004.png"]


def test_one_that_ends_early_lets_nobody_go_before_those_before_it(calls):
    calls.calls[1].end()
    assert [calls.waits(index) for index in (2, 3)] == [True, True], "for the first"
    calls.calls[0].end()
    assert calls.reserve(2) == ["a_00001.png"]


def test_one_that_waits_goes_on_when_it_may(calls, monkeypatch):
    monkeypatch.setattr(list_order, "CANCEL_CHECK_SECONDS", 0.05)
    keys = {}

    def work(index):
        keys[index] = calls.reserve(index, meter=Meter())

    threads = [threading.Thread(target=work, args=(index,)) for index in (3, 2, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [keys[index] for index in range(4)] == [[f"a_{number:05d}.png"] for number in (1, 2, 3, 4)]


def test_one_whose_listing_fails_lets_the_next_go(calls):
    calls.bucket.failure = errors.Forbidden("not this folder")
    with pytest.raises(errors.Forbidden):
        calls.reserve(0)
    calls.bucket.failure = None
    assert not calls.waits(1)
    assert calls.reserve(2) == ["a_00002.png"]


def test_a_listing_that_is_cancelled_lets_the_next_go(calls):
    calls.bucket.failure = errors.TransferCancelled("cancelled")
    with pytest.raises(errors.TransferCancelled):
        calls.reserve(0)
    calls.bucket.failure = None
    assert not calls.waits(1)
    assert calls.reserve(2) == ["a_00002.png"]


def test_a_list_ends_with_its_last_call():
    for _ in range(2):
        calls = Calls(2)
        assert calls.reserve(0, if_exists=choices.OVERWRITE) == ["a_00001.png"], "nothing is left of the last"
        assert calls.reserve(1, if_exists=choices.OVERWRITE) == ["a_00002.png"]
        calls.end()
    assert list_order._lists == {}


def test_other_nodes_other_event_loops_and_calls_of_no_node_do_not_wait():
    lists = [Calls(1, node_id) for node_id in ("7", "7", "8", None, None)]
    for calls in lists:
        assert calls.reserve(0, if_exists=choices.OVERWRITE) == ["a_00001.png"]
    for calls in lists:
        calls.end()


def test_a_later_call_has_begun_later(calls):
    began = [call.began_at for call in calls.calls]
    assert began == sorted(set(began))
