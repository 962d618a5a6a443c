"""Calls of one node: names and numbers in the order in which they were made."""

from __future__ import annotations

import contextlib
import threading

import pytest
from cloud_storage import errors
from cloud_storage.saving import list_order
from cloud_storage.system.meter import Meter


@pytest.fixture
def calls():
    """Four calls of one node that have begun."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(list_order.begun("7")) for _ in range(4)]


@pytest.fixture(autouse=True)
def one_look(monkeypatch):
    monkeypatch.setattr(list_order, "LOOK_SECONDS", 0)


def waits(wait):
    """Whether a call has to wait, as far as one look tells."""
    meter = Meter()
    meter.stop()
    try:
        wait(meter)
    except errors.TransferCancelled:
        return True
    return False


def for_numbers(calls, series="a"):
    return [waits(call.place(series).wait) for call in calls]


def test_each_names_its_files_when_all_before_it_have(calls):
    first, second, third, _ = calls
    assert [waits(call.wait_for_names) for call in calls] == [False, True, True, True]
    third.named(())
    first.named(())
    assert [waits(call.wait_for_names) for call in calls] == [False, False, True, True]
    second.end()
    assert [waits(call.wait_for_names) for call in calls] == [False, False, False, False]


def test_each_has_its_numbers_when_all_before_it_in_the_same_series_have(calls):
    for call, series in zip(calls, ("a", "b", "abbb", "b"), strict=True):
        call.named(series)
    first, second, third, fourth = calls
    assert [call.place("a").is_first for call in (first, third)] == [True, False]
    assert [call.place("b").is_first for call in (second, third, fourth)] == [True, False, False]
    assert for_numbers([first, third], "a") == [False, True]
    assert for_numbers([second, third, fourth], "b") == [False, True, True]
    third.place("b").let_pass()
    assert for_numbers([fourth], "b") == [True], "for the second, which the third has to wait for"
    second.place("b").let_pass()
    assert for_numbers([third, fourth], "b") == [False, False]
    assert for_numbers([third], "a") == [True]
    first.end()
    assert for_numbers([third], "a") == [False]
    assert fourth.began_at > third.began_at


def test_who_waits_goes_on_when_it_may(calls):
    order = []

    def work(call):
        call.wait_for_names(Meter())
        call.named("a")
        call.place("a").wait(Meter())
        order.append(call)
        call.place("a").let_pass()

    threads = [threading.Thread(target=work, args=(call,)) for call in reversed(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == calls


def test_nobody_waits_long_for_what_takes_long(calls, monkeypatch):
    for call in calls:
        call.named("a")
    monkeypatch.setattr(list_order, "SOON_SECONDS", 1e9)
    calls[0].place("a").let_pass_soon()
    assert for_numbers(calls) == [False, True, True, True]
    monkeypatch.setattr(list_order, "SOON_SECONDS", 0)
    calls[0].place("a").let_pass_soon()
    assert for_numbers(calls) == [False, False, True, True]


def test_nobody_waits_when_one_has_given_up(calls):
    for call in calls:
        call.named("a")
    calls[2].place("a").give_up()
    assert for_numbers(calls) == [False, False, False, False]


def test_a_call_that_ends_holds_up_nobody():
    with list_order.begun("7") as first:
        with pytest.raises(OSError), list_order.begun("7"):
            raise OSError
        with list_order.begun("7") as third:
            assert waits(third.wait_for_names), "for the first"
            first.named("a")
            assert not waits(third.wait_for_names)
    with list_order.begun("7") as alone:
        alone.named("a")
        assert alone.place("a").is_first


def test_other_nodes_and_calls_of_no_node_do_not_wait():
    for one, other in (("7", "8"), (None, None)):
        with list_order.begun(one) as before, list_order.begun(other) as call:
            before.claimed.add("a.png")
            before.named("a")
            call.wait_for_names(Meter())
            call.named("a")
            assert call.place("a").is_first
            assert call.claimed == set()
