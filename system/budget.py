"""An amount that threads hold together and never exceed: bytes in memory, or places for requests."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator

from .meter import Meter

MEMORY_BYTES = 256 << 20  # of encoded files that wait for their upload or are being sent
LOOK_SECONDS = 0.1  # at a limit that is a function


class Budget:
    """``limit`` units at most, or as many as a function returns now. Any thread may use it.

    Threads get their share in the order in which they ask, so a large one is not kept waiting by small ones.
    Who asks for more than the limit gets it while nobody else holds any.
    """

    def __init__(self, limit: int | Callable[[], int]) -> None:
        self._limit = limit
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()
        self.held = 0

    @contextlib.contextmanager
    def hold(self, count: int, meter: Meter) -> Iterator[None]:
        """Wait for ``count`` units and hold them. Raises TransferCancelled when ``meter`` is stopped."""
        release = self.take(count, meter)
        try:
            yield
        finally:
            release()

    def take(self, count: int, meter: Meter) -> Callable[[], None]:
        """Wait for ``count`` units; return the function that gives them back, to be called once."""
        ticket = object()

        def is_ready() -> bool:
            return meter.stopped or (self._waiting[0] is ticket and self._has_room(count))

        with self._changed, meter.wakes(self._changed):
            self._waiting.append(ticket)
            try:
                while not self._changed.wait_for(is_ready, LOOK_SECONDS if callable(self._limit) else None):
                    pass
                meter.check()
                self.held += count
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()

        def release() -> None:
            with self._changed:
                self.held -= count
                self._changed.notify_all()

        return release

    def _has_room(self, count: int) -> bool:
        limit = self._limit() if callable(self._limit) else self._limit
        return not self.held or self.held + count <= limit
