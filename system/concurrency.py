"""How many requests side by side a download is worth, found out while it runs.

A connection to a far bucket carries what its round trip or the provider lets through, and a dozen carry a
dozen times as much. Beside the server, four keep two processors busy, and more get into each other's way.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST, MOST = 4, 16
WINDOW_SECONDS = 1.0  # that a rate is measured over, at least
GAIN = 1.25  # twice as many have to bring this many times as much
# Of one lane, which tells that this machine or its line holds it up, and would hold up more. S3 gives each
# some 90e6: docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns
ENOUGH_BYTES_PER_SECOND = 100e6


class Lanes:
    """Doubles the number as long as that pays, takes the last step back where it does not, and stays there.

    ``done`` tells how many bytes have arrived. Not to be called by two threads at once; ``workers.run`` never
    does.
    """

    def __init__(
        self, done: Callable[[], int], most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._done, self._most, self._clock = done, most, clock
        self._count = self._fewer = min(FIRST, most)
        self._rate = 0.0  # bytes per second, with fewer
        self._settled = False
        self._begin()

    def __call__(self) -> int:
        seconds = self._clock() - self._began
        if not self._settled and seconds >= WINDOW_SECONDS:
            self._judge((self._done() - self._before) / seconds)
        return self._count

    def _judge(self, rate: float) -> None:
        if rate < self._rate * GAIN:
            self._count, self._settled = self._fewer, True
        elif self._count == self._most or rate >= self._count * ENOUGH_BYTES_PER_SECOND:
            self._settled = True
        else:
            self._rate, self._fewer, self._count = rate, self._count, min(self._count * 2, self._most)
            self._begin()

    def _begin(self) -> None:
        self._began, self._before = self._clock(), self._done()
