"""Run jobs in a few threads: results in the order of the jobs, and the first failure stops the rest.

The threads are daemons, not an executor: that is joined when ComfyUI's event loop or the interpreter ends,
and a socket without an answer would then block both.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def run(
    jobs: Iterable[Callable[[], T]],
    threads: int | Callable[[], int],
    on_failure: Callable[[], object] | None = None,
) -> list[T]:
    """Run every job and return their results in order, at most ``threads`` at a time.

    If ``threads`` is a function, it is called again after each job, by one thread at a time, and threads are
    started or end to match. ``jobs`` is read one by one as threads become free, so a generator limits the
    memory. After a failure no further job is started, ``on_failure`` is called at once (to stop the running
    ones), and the first exception is raised when all threads have ended.
    """
    source = enumerate(jobs)
    lock = threading.Lock()
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    others: list[threading.Thread] = []
    running = 1  # this thread

    def next_job() -> tuple[int, Callable[[], T]] | None:
        with lock:
            return None if failures else next(source, None)

    def adjust_threads() -> bool:
        """Start missing threads; returns False if this one is too many."""
        nonlocal running
        with lock:
            wanted = threads() if callable(threads) else threads
            if wanted < running:
                running -= 1
                return False
            for _ in range(wanted - running):
                # in a copy of the caller's context: its current meter stops their requests too
                run = contextvars.copy_context().run
                others.append(threading.Thread(target=run, args=(work,), name="cloud-storage", daemon=True))
                others[-1].start()
                running += 1
            return True

    def work() -> None:
        try:
            while (drawn := next_job()) is not None:
                number, job = drawn
                results[number] = job()
                if not adjust_threads():
                    return
        except BaseException as failure:  # noqa: BLE001  raised again below
            with lock:
                failures.append(failure)
                first = len(failures) == 1
            if first and on_failure is not None:
                on_failure()

    adjust_threads()
    work()
    while others:  # a thread that starts others is in the list itself, or is this one
        others.pop().join()
    if failures:
        raise failures[0]
    return [results[number] for number in sorted(results)]
