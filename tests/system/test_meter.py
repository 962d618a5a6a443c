"""Counts and the order to stop, between threads."""

from __future__ import annotations

import threading

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.system.meter import Counted, Meter, counted, current


def test_a_part_counts_on_the_whole_unless_told_otherwise():
    whole = Meter(10)
    for counts in (True, False):
        part = whole.part(counts)
        part.expect(5)
        part.add(3)
        part.add(-1)
        assert (part.done, part.total) == (2, 5)
    assert (whole.done, whole.total) == (2, 15)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_stopping_the_whole_stops_every_part_of_a_part_and_no_other_way_round(counts, when):
    whole = Meter()
    other = whole.part()
    other.stop()
    whole.check()
    if when == "before":
        whole.stop()
    part = whole.part(counts).part(counts)
    whole.stop()
    for raises in (part.check, lambda: part.add(1), lambda: part.wait(600)):
        with pytest.raises(TransferCancelled):
            raises()
    part.add(-1)
    assert part.stopped


@pytest.mark.parametrize("wait", ["seconds", "condition"])
def test_who_waits_is_woken_when_the_whole_is_stopped(wait):
    whole, begun, ended = Meter(), threading.Event(), []
    part, condition = whole.part(), threading.Condition()

    def waits():
        try:
            if wait == "seconds":
                begun.set()
                part.wait(600)
            with condition, part.wakes(condition):
                begun.set()
                while True:
                    part.check()
                    condition.wait()
        except TransferCancelled:
            ended.append(True)

    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    assert begun.wait(30)
    whole.stop()
    thread.join(30)
    assert ended
    assert not part._waiting


def test_the_meter_of_a_thread_is_the_one_that_governs_it():
    meter = Meter()
    with meter.governs():
        assert current() is meter
    assert not current().stopped
    assert current() is not meter


def test_several_meters_are_summed():
    first, second = Meter(10), Meter(20)
    first.add(1)
    second.expect_frames(4)
    second.add_frames(3)
    assert counted(iter([first, second])) == Counted(1, 30, 3, 4)
