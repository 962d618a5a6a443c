"""A few threads over a sequence of jobs: results in the order of the jobs, the first failure stops the rest.

The threads are daemons of their own, not a shared pool: an executor would be joined when ComfyUI's event loop
or the interpreter ends, and a socket that answers nobody would then hold up both.
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

    Where ``threads`` is a function, it is asked again after each job, by one thread at a time, and threads
    are added or end as it says. ``jobs`` is drawn one by one as threads become free, so a generator bounds
    the memory. After a failure no further job is drawn, ``on_failure`` is called at once (to stop those under
    way), and the first exception is raised when all threads have ended.
    """
    source = enumerate(jobs)
    lock = threading.Lock()
    results: dict[int, T] = {}
    failures: list[BaseException] = []
    others: list[threading.Thread] = []
    at_work = 1  # the caller's own

    def draw() -> tuple[int, Callable[[], T]] | None:
        with lock:
            return None if failures else next(source, None)

    def needed() -> bool:
        """Start the threads that are missing; False where this one is too many."""
        nonlocal at_work
        with lock:
            wanted = threads() if callable(threads) else threads
            if wanted < at_work:
                at_work -= 1
                return False
            for _ in range(wanted - at_work):
                # in a copy of the caller's context: what stops the caller's requests stops theirs
                run = contextvars.copy_context().run
                others.append(threading.Thread(target=run, args=(work,), name="cloud-storage", daemon=True))
                others[-1].start()
                at_work += 1
            return True

    def work() -> None:
        try:
            while (drawn := draw()) is not None:
                number, job = drawn
                results[number] = job()
                if not needed():
                    return
        except BaseException as failure:  # noqa: BLE001  raised again below, in the thread that waits
            with lock:
                failures.append(failure)
                first = len(failures) == 1
            if first and on_failure is not None:
                on_failure()

    needed()
    work()
    while others:  # whoever starts one is in the list itself, or is this thread
        others.pop().join()
    if failures:
        raise failures[0]
    return [results[number] for number in sorted(results)]
