"""Threads that come for one thing at the same time, let in one after another; Cancel ends the wait.

Between processes, see file_lock.py.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Iterator

from .meter import Meter

LOOK_SECONDS = 0.1  # between two looks whether the one who waits was told to stop


class OneAtATime:
    """For each thing, whatever stands for it, one thread at a time."""

    def __init__(self) -> None:
        self._taken: set[Hashable] = set()
        self._given_back = threading.Condition()

    @contextlib.contextmanager
    def alone(self, thing: Hashable, meter: Meter) -> Iterator[None]:
        """Have ``thing`` for oneself. Raises TransferCancelled when ``meter`` stops before."""
        with self._given_back:
            while thing in self._taken:
                meter.check()
                self._given_back.wait(LOOK_SECONDS)
            self._taken.add(thing)
        try:
            yield
        finally:
            with self._given_back:
                self._taken.remove(thing)
                self._given_back.notify_all()
