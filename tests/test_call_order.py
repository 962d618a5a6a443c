"""Calls of one node, let through in the order they were made."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta

import pytest
from cloud_storage import call_order, errors
from cloud_storage.meter import Meter


@pytest.fixture
def calls():
    """Four calls of one node that have begun."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(call_order.begun("7")) for _ in range(4)]


def waits(call):
    """Whether a call has to wait for its numbers, as far as one look tells."""
    meter = Meter()
    meter.stop()
    try:
        call.numbers.wait(meter)
    except errors.TransferCancelled:
        return True
    return False


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(call_order, "LOOK_SECONDS", 0)


def test_each_waits_until_all_before_it_let_it_pass(calls):
    first, second, third, fourth = calls
    assert [call.is_first for call in calls] == [True, False, False, False]
    assert [waits(call) for call in calls] == [False, True, True, True]
    third.numbers.let_pass()
    first.numbers.let_pass()
    assert [waits(call) for call in calls] == [False, False, True, True]
    second.numbers.let_pass()
    assert [waits(call) for call in calls] == [False, False, False, False]
    assert fourth.began_at > third.began_at


def test_who_waits_goes_on_when_it_is_let_pass(calls):
    order = []

    def work(call):
        call.names.wait(Meter())
        order.append(call)
        call.names.let_pass()

    threads = [threading.Thread(target=work, args=(call,)) for call in reversed(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == calls


def test_a_call_that_ends_holds_up_nobody():
    with call_order.begun("7"):
        with pytest.raises(OSError), call_order.begun("7"):
            raise OSError
        with call_order.begun("7") as third:
            assert waits(third), "for the first"
    with call_order.begun("7") as alone:
        assert alone.is_first


def test_other_nodes_and_calls_of_no_node_do_not_wait():
    with call_order.begun("7"), call_order.begun("8") as other:
        assert other.is_first
        assert other.claimed == {}
    with call_order.begun(None), call_order.begun(None) as other:
        assert other.is_first


def test_a_clock_that_is_set_back_does_not_change_the_order(monkeypatch):
    before = call_order.now()
    assert before < call_order.now(), "no two calls have one time"
    monkeypatch.setattr(call_order, "_last", before + timedelta(days=1))
    assert call_order.now() > before + timedelta(days=1)
