from __future__ import annotations

import threading

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.system.budget import Budget
from cloud_storage.system.meter import Meter


class Asking(Meter):
    """A meter that says when a thread has begun to wait for its share."""

    def __init__(self):
        super().__init__()
        self.asked = threading.Event()

    def check(self):
        self.asked.set()
        super().check()


def begun(budget, count, got, meter=None):
    """A thread that waits for ``count`` units and notes them; returns it when it has asked."""
    meter = meter or Asking()

    def take():
        try:
            got.append((count, budget.take(count, meter)))
        except TransferCancelled:
            got.append("cancelled")

    thread = threading.Thread(target=take)
    thread.start()
    assert meter.asked.wait(60)
    return thread


def test_what_is_held_is_never_more_than_the_limit():
    budget, got = Budget(10), []
    first = budget.take(6, Meter())
    second = begun(budget, 5, got)
    assert (got, budget.held) == ([], 6)
    first()
    second.join()
    assert budget.held == 5
    with budget.hold(5, Meter()):
        assert budget.held == 10
    got[0][1]()
    assert budget.held == 0


def test_more_than_the_limit_is_given_out_alone():
    budget, got = Budget(10), []
    first = budget.take(1, Meter())
    large = begun(budget, 11, got)
    assert budget.held == 1
    first()
    large.join()
    assert budget.held == 11
    small = begun(budget, 1, got)
    assert budget.held == 11
    got[0][1]()
    small.join()
    assert budget.held == 1


def test_a_small_share_does_not_overtake_a_large_one():
    budget, got = Budget(10), []
    first = budget.take(6, Meter())
    large, small = begun(budget, 8, got), begun(budget, 1, got)
    assert budget.held == 6
    first()
    large.join()
    small.join()
    assert sorted(count for count, _ in got) == [1, 8]
    assert budget.held == 9


def test_a_wait_ends_with_its_meter_and_the_next_one_gets_its_turn():
    budget, got, meter = Budget(10), [], Asking()
    first = budget.take(10, Meter())
    stopped = begun(budget, 10, got, meter)
    behind = begun(budget, 1, got)
    meter.stop()
    stopped.join()
    assert got == ["cancelled"]
    first()
    behind.join()
    assert budget.held == 1


def test_a_limit_that_is_a_function_is_asked_again():
    limits, got = [1], []
    budget = Budget(lambda: limits[0])
    budget.take(1, Meter())
    second = begun(budget, 1, got)
    limits[0] = 2
    second.join()
    assert budget.held == 2


def test_a_failure_gives_back_what_was_held():
    budget = Budget(1)
    with pytest.raises(ZeroDivisionError), budget.hold(1, Meter()):
        1 / 0  # noqa: B018
    assert budget.held == 0
