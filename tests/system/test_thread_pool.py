from __future__ import annotations

import threading
import time

import pytest
from cloud_storage.system import thread_pool


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
    crew, running, most = set(), set(), []

    def together():
        crew.add(threading.current_thread())
        side_by_side.wait(60)  # breaks unless three run at once
        finished.set()

    def alone():
        running.add(threading.current_thread())
        most.append(len(running))
        while max(most) < 2 and any(thread.is_alive() for thread in crew - running - {main}):
            time.sleep(0.001)  # whoever is still there would draw the next job
        running.discard(threading.current_thread())

    main = threading.current_thread()
    thread_pool.run([together] * 3 + [alone] * 20, lambda: 1 if finished.is_set() else 3)
    assert most == [1] * 20
