"""Keeps native code from making this process's threads real-time ones."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_THREADS = Path("/proc/self/task")


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Give this thread back the scheduling that it has now, and threads that took another with it too.

    Where the process belongs to root, as in most containers, SVT-AV1 makes the thread that opens it and the
    dozens that it starts SCHED_FIFO, priority 99: nothing else of the machine runs while they do, and this
    thread would stay so for ever. Seen with the SVT-AV1 4.1 of PyAV 18.1.
    """
    if sys.platform != "linux":
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        taken = os.sched_getscheduler(0)
        if taken != policy:
            for thread in _THREADS.iterdir():
                with contextlib.suppress(OSError):  # it has ended
                    if os.sched_getscheduler(int(thread.name)) == taken:
                        os.sched_setscheduler(int(thread.name), policy, parameters)
