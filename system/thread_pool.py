"""Run jobs in a few threads: results in the order of the jobs, and the first failure stops the rest.

Or one job beside the caller: ``begin`` for a result, ``ahead`` for items that it draws one after another.

The threads are daemons, not an executor: that is joined when ComfyUI's event loop or the interpreter ends,
and a socket without an answer would then block both.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")
ADJUST_SECONDS = 0.05  # between two calls of the function that says how many threads there shall be


def run(
    jobs: Iterable[Callable[[], T]],
    threads: int | Callable[[int], int],
    on_failure: Callable[[], object] = lambda: None,
) -> list[T]:
    """Run every job and return their results in order, at most ``threads`` at a time.

    If ``threads`` is a function, the caller's thread calls it every ADJUST_SECONDS with the number of threads
    that run, and starts some or lets some end after their job. ``jobs`` is read one by one as threads become
    free, so a generator limits the memory. After a failure no further job is started, ``on_failure`` is
    called at once (to stop the running ones), and the first exception is raised when all threads have ended.
    """
    pool = _Pool(jobs, on_failure)
    if callable(threads):
        while pool.is_busy:
            pool.resize(threads(pool.running))
            pool.wait(ADJUST_SECONDS)
    else:
        pool.resize(threads, with_this_one=True)
        pool.work()
    return pool.results()


def begin(work: Callable[[], T]) -> Callable[[], T]:
    """Start ``work`` in a thread; return the function that waits for its end, and returns or raises the same.

    What stops the work ends the wait: any thread may wait, several times.
    """
    result: Future[T] = Future()

    def run_it() -> None:
        try:
            result.set_result(work())
        except BaseException as failure:  # noqa: BLE001  raised again by who waits
            result.set_exception(failure)

    _start(run_it)
    return result.result


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, which a thread of its own draws as fast as they come; raise what drawing them raises.

    So nobody waits for the next page of a listing while there is work to do.
    """
    drawn: queue.SimpleQueue[T | None] = queue.SimpleQueue()

    def draw() -> None:
        try:
            for item in items:
                drawn.put(item)
        finally:
            drawn.put(None)

    end = begin(draw)
    while (item := drawn.get()) is not None:
        yield item
    end()


def _start(work: Callable[[], object]) -> threading.Thread:
    """Start a thread in a copy of the caller's context: its current meter stops their requests too."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name="cloud-storage", daemon=True)
    thread.start()
    return thread


class _Pool(Generic[T]):
    """The jobs of one ``run``, and the threads that work at them."""

    def __init__(self, jobs: Iterable[Callable[[], T]], on_failure: Callable[[], object]) -> None:
        self._jobs, self._on_failure = enumerate(jobs), on_failure
        self._changed = threading.Condition()
        self._results: dict[int, T] = {}
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._size = self.running = 0
        self._has_jobs = True

    @property
    def is_busy(self) -> bool:
        """Whether there are jobs to start, or some are running."""
        return self._has_jobs or self.running > 0

    def resize(self, size: int, *, with_this_one: bool = False) -> None:
        """Let ``size`` threads work, this one included if it is about to call ``work``."""
        with self._changed:
            self._size = size
            self.running += with_this_one
            while self._has_jobs and self.running < size:
                try:
                    self._threads.append(_start(self.work))
                except RuntimeError:  # the system has no room for another one
                    if not self.running:
                        raise
                    return
                self.running += 1

    def wait(self, seconds: float) -> None:
        """Wait until the last thread has ended, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not self.running, seconds)

    def work(self) -> None:
        """Run jobs in this thread until there are none, one fails, or there are too many threads."""
        try:
            while (drawn := self._next_job()) is not None:
                number, job = drawn
                self._results[number] = job()
        except BaseException as failure:  # noqa: BLE001  raised again by ``results``
            with self._changed:
                self._has_jobs = False
                self._failures.append(failure)
                first = len(self._failures) == 1
            if first:
                self._on_failure()
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()

    def _next_job(self) -> tuple[int, Callable[[], T]] | None:
        with self._changed:
            if not self._has_jobs or self.running > self._size:
                return None
            drawn = next(self._jobs, None)
            self._has_jobs = drawn is not None
            return drawn

    def results(self) -> list[T]:
        """Wait for all threads; return the results in the order of the jobs, or raise the first failure."""
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return [self._results[number] for number in sorted(self._results)]
