from __future__ import annotations

import threading

import pytest
from cloud_storage import workers


def test_results_come_in_the_order_of_the_jobs():
    gate = threading.Event()

    def first():
        gate.wait()
        return "first"

    def second():
        gate.set()
        return "second"

    assert workers.run([first, second], 2) == ["first", "second"]


def test_one_thread_runs_in_the_callers_own():
    assert workers.run([threading.current_thread] * 3, 1) == [threading.current_thread()] * 3


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

    workers.run((job(number) for number in range(50)), 3)
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
        workers.run(jobs(), 1, on_failure=lambda: stopped.append(True))
    assert (ran, stopped) == ([], [True])


def test_a_failing_source_of_jobs_is_raised():
    def jobs():
        yield lambda: 1
        raise LookupError("no more")

    with pytest.raises(LookupError):
        workers.run(jobs(), 4)


def test_no_jobs_no_results():
    assert workers.run([], 4) == []
