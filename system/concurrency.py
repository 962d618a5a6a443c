"""How many requests a download makes at the same time, measured while it runs.

One connection to a distant bucket is limited by the round trip or by the provider; a dozen carry a dozen
times as much. Near the server, four keep two processors busy, and more of them slow each other down.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST, MOST = 4, 16
WINDOW_SECONDS = 1.0  # a rate is measured over this time at least
GAIN = 1.25  # twice as many requests have to bring this many times as much
# If one request brings this much, this machine or its line is the limit, and more requests do not help. S3
# gives each some 90e6: docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns
ENOUGH_BYTES_PER_SECOND = 100e6


class AdaptiveConcurrency:
    """Doubles the number of requests while that pays, undoes the last step once it does not, and stays there.

    ``done`` returns how many bytes have arrived. Only one thread at a time may call this, as in
    ``thread_pool.run``.
    """

    def __init__(
        self, done: Callable[[], int], most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._done, self._most, self._clock = done, most, clock
        self._count = self._previous_count = min(FIRST, most)
        self._previous_rate = 0.0  # bytes per second
        self._settled = False
        self._start_window()

    def __call__(self) -> int:
        seconds = self._clock() - self._window_start
        if not self._settled and seconds >= WINDOW_SECONDS:
            self._adapt((self._done() - self._window_bytes) / seconds)
        return self._count

    def _adapt(self, rate: float) -> None:
        if rate < self._previous_rate * GAIN:
            self._count, self._settled = self._previous_count, True
        elif self._count == self._most or rate >= self._count * ENOUGH_BYTES_PER_SECOND:
            self._settled = True
        else:
            self._previous_rate, self._previous_count = rate, self._count
            self._count = min(self._count * 2, self._most)
            self._start_window()

    def _start_window(self) -> None:
        self._window_start, self._window_bytes = self._clock(), self._done()
