"""A few threads over a sequence of jobs: results in the order of the jobs, the first failure stops the rest.

The threads are daemons of their own, not a shared pool: an executor would be joined when ComfyUI's event loop
or the interpreter ends, and a socket that answers nobody would then hold up both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def run(
    jobs: Iterable[Callable[[], T]], threads: int, on_failure: Callable[[], object] | None = None
) -> list[T]:
    """Run every job and return their results in order, at most ``threads`` at a time.

    ``jobs`` is drawn one by one as threads become free, so a generator bounds the memory. After a failure no
    further job is drawn, ``on_failure`` is called at once (to stop those under way), and the first exception
    is raised when all threads have ended.
    """
    source = enumerate(jobs)
    lock = threading.Lock()
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def draw() -> tuple[int, Callable[[], T]] | None:
        with lock:
            return None if failures else next(source, None)

    def work() -> None:
        try:
            while (drawn := draw()) is not None:
                number, job = drawn
                results[number] = job()
        except BaseException as failure:  # noqa: BLE001  raised again below, in the thread that waits
            with lock:
                failures.append(failure)
                first = len(failures) == 1
            if first and on_failure is not None:
                on_failure()

    others = [threading.Thread(target=work, name="cloud-storage", daemon=True) for _ in range(threads - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    if failures:
        raise failures[0]
    return [results[number] for number in sorted(results)]
