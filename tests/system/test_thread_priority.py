"""What native code does to the priorities of threads is taken back."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from cloud_storage.system import thread_priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")


def scheduling(thread=0):
    return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority


def taken(policy, priority):
    """What this thread may take: root may take real-time scheduling, everybody may be a batch."""
    try:
        os.sched_setscheduler(0, policy, os.sched_param(priority))
    except PermissionError:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def test_this_thread_and_those_that_it_starts_get_back_what_it_had():
    before, ended, ready, found = scheduling(), threading.Event(), threading.Event(), []

    def wait():
        found.append(threading.get_native_id())
        ready.set()
        ended.wait()

    with thread_priority.kept():
        taken(os.SCHED_FIFO, 99)
        assert scheduling() != before
        thread = threading.Thread(target=wait)
        thread.start()
        ready.wait()
    try:
        assert scheduling() == before
        assert scheduling(found[0]) == before
    finally:
        ended.set()
        thread.join()


def test_after_an_error_too():
    before = scheduling()
    with pytest.raises(ValueError, match="refused"), thread_priority.kept():
        taken(os.SCHED_RR, 1)
        raise ValueError("refused")
    assert scheduling() == before


def test_what_was_real_time_before_stays_so():
    ours = []

    def work():
        taken(os.SCHED_RR, 1)
        before = scheduling()
        with thread_priority.kept():
            pass
        ours.append(scheduling() == before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ours == [True]
