from __future__ import annotations

import threading
import time

import pytest
from cloud_storage.system import thread_pool
from cloud_storage.system.meter import Meter, current


def test_results_come_in_the_order_of_the_jobs():
    gate = threading.Event()

    def first():
        gate.wait()
        return "first"

    def second():
        gate.set()
        return "second"

    assert thread_pool.run([first, second], 2) == ["first", "second"]


def test_one_thread_runs_in_the_callers_own():
    assert thread_pool.run([threading.current_thread] * 3, 1) == [threading.current_thread()] * 3


def test_jobs_are_drawn_as_threads_become_free():
    running, most = set(), []
    lock = threading.Lock()

    def job(number):
        def run():
            with lock:
                running.discard(number)

        with lock:
            running.add(number)
            most.append(len(running))
        return run

    thread_pool.run((job(number) for number in range(50)), 3)
    assert max(most) <= 4


def test_the_first_failure_stops_the_rest_and_is_raised():
    ran, stopped = [], []

    def fail():
        raise KeyError("first")

    def jobs():
        yield fail
        for number in range(100):
            ran.append(number)
            yield lambda: None

    with pytest.raises(KeyError, match="first"):
        thread_pool.run(jobs(), 1, on_failure=lambda: stopped.append(True))
    assert (ran, stopped) == ([], [True])


def test_a_failing_source_of_jobs_is_raised():
    def jobs():
        yield lambda: 1
        raise LookupError("no more")

    with pytest.raises(LookupError):
        thread_pool.run(jobs(), 4)


def test_no_jobs_no_results():
    assert thread_pool.run([], 4) == []


def test_threads_are_added_and_end_as_they_are_wanted():
    side_by_side, finished = threading.Barrier(3), threading.Event()
    crew, ended = set(), []

    def together():
        crew.add(threading.current_thread())
        side_by_side.wait(60)  # breaks unless three run at once
        finished.set()

    def alive():
        return [thread for thread in crew if thread.is_alive()]

    def jobs():
        yield from [together] * 3
        for _ in range(60_000):  # until they have ended, a minute at most
            if finished.is_set() and len(alive()) == 1:
                ended.append(1)
                return
            yield lambda: time.sleep(0.001)

    thread_pool.run(jobs(), lambda _: 1 if finished.is_set() else 3)
    assert ended == [1]


def test_a_number_that_grows_starts_threads_while_jobs_are_running():
    both = threading.Barrier(2)
    sizes = iter([1, 1, 2])
    assert thread_pool.run([lambda: both.wait(60)] * 2, lambda _: next(sizes, 2)) in ([0, 1], [1, 0])


def test_a_system_without_room_for_a_further_thread_costs_no_job(monkeypatch):
    real, started = threading.Thread.start, []

    def start(thread):
        if started and thread.name == "cloud-storage":
            raise RuntimeError("can't start new thread")
        started.append(thread)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    assert thread_pool.run([lambda: 1] * 5, lambda _: 4) == [1] * 5


def test_what_has_begun_gives_its_result_or_its_failure_as_often_as_it_is_asked():
    result = thread_pool.begin(lambda: 7)
    assert (result(), result()) == (7, 7)
    failure = thread_pool.begin(lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            failure()


def test_items_are_drawn_ahead_and_the_failure_comes_after_them():
    drawn = threading.Event()

    def items():
        yield 1
        yield 2
        drawn.set()
        raise ZeroDivisionError

    coming = thread_pool.ahead(items())
    assert next(coming) == 1
    assert drawn.wait(60), "nobody has asked for more"
    assert next(coming) == 2
    with pytest.raises(ZeroDivisionError):
        next(coming)


def test_a_thread_of_its_own_has_the_meter_of_the_caller():
    meter = Meter()
    with meter.governs():
        assert thread_pool.begin(current)() is meter
        assert next(thread_pool.ahead(current() for _ in range(1))) is meter
