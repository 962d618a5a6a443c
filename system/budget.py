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
        self._lock = threading.Lock()
        self._waiting: deque[threading.Condition] = deque()  # only the first one is woken up
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
        turn = threading.Condition(self._lock)
        looks = LOOK_SECONDS if callable(self._limit) else None
        with self._lock, meter.wakes(turn):
            self._waiting.append(turn)
            try:
                while not ((is_first := self._waiting[0] is turn) and self._has_room(count)):
                    meter.check()
                    turn.wait(looks if is_first else None)
                self.held += count
            finally:
                self._waiting.remove(turn)
                self._wake_first()

        def release() -> None:
            with self._lock:
                self.held -= count
                self._wake_first()

        return release

    def _wake_first(self) -> None:
        if self._waiting:
            self._waiting[0].notify()

    def _has_room(self, count: int) -> bool:
        limit = self._limit() if callable(self._limit) else self._limit
        return not self.held or self.held + count <= limit
