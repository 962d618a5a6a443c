"""How many requests a transfer makes at the same time, measured while it runs.

One connection to a distant or busy server is limited by the round trip or by the provider, so that more of
them carry more. At some number the line, the disk or this machine is the limit, and further ones only cost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

FIRST, MOST = 8, 64
GAIN = 1.25  # twice as many requests have to bring this many times as much
SETTLE_SECONDS = 0.2  # after a change, until new connections are open and old ones have ended
TRIAL_SECONDS = 0.5  # for which a rate is measured then
STEADY_SECONDS = 2.0  # the same where no other number is on trial: rates vary by themselves
REFUSED_SECONDS = 0.5  # refusals closer together than this answer one burst, and count once
CALM_SECONDS = 10.0  # after a refusal, until more requests are tried again
BUSY = 0.9  # of all processors: then this machine is the limit


class AdaptiveConcurrency:
    """Doubles the number of requests while that brings GAIN, and halves it while that loses less than GAIN.

    Stays where neither pays, until the rate changes by GAIN. Halves it when the server asks for fewer
    requests. Only one thread may call this, as in ``thread_pool.run``; any may read ``count``.
    """

    def __init__(
        self,
        done: Callable[[], int],
        most: int = MOST,
        *,
        first: int = FIRST,
        refused: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        processor_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        """``done`` returns the bytes moved, ``refused`` how often the server asked for fewer requests."""
        self._done, self._refused = done, refused
        self._clock, self._processor_seconds = clock, processor_seconds
        self._most = max(1, min(most, MOST))
        self._least = self.count = min(first, self._most)
        self._rate: float | None = None  # bytes per second, as last compared; None: not yet known
        self._trial: tuple[int, float] | None = None  # the number and the rate before the one on trial
        self._refusals, self._refused_at = refused(), float("-inf")
        self._window: tuple[float, int, float] | None = None  # when it began: time, bytes, processor time
        self._change(self.count)

    def __call__(self) -> int:
        """Return how many requests to make now."""
        now, refusals = self._clock(), self._refused()
        if refusals != self._refusals:
            self._refusals = refusals
            if now - self._refused_at >= REFUSED_SECONDS:
                self._refused_at, self._rate, self._trial = now, None, None
                self._least = max(1, self.count // 2)
                self._change(self._least, CALM_SECONDS)
        elif self._window is None:
            if now >= self._settled and self._done() > self._moved:
                self._window = now, self._done(), self._processor_seconds()
        else:
            began, moved, used = self._window
            seconds = now - began
            if seconds >= (STEADY_SECONDS if self._trial is None and self._rate else TRIAL_SECONDS):
                busy = (self._processor_seconds() - used) / seconds >= BUSY * (os.cpu_count() or 1)
                self._judge((self._done() - moved) / seconds, busy)
        return self.count

    def _judge(self, rate: float, busy: bool) -> None:
        """Keep or take back the number on trial by the ``rate`` it brought, and try the next one."""
        if self._trial is None:
            rises = self._rate is None or rate >= self._rate * GAIN
            falls = not rises and self._rate is not None and rate <= self._rate / GAIN
        else:
            before, rate_before = self._trial
            is_more = self.count > before
            pays = rate >= rate_before * GAIN if is_more else rate_before < rate * GAIN
            if not pays:
                self._trial, self._rate = None, rate_before
                self._change(before)
                return
            rises, falls = is_more, not is_more
        following = self.count
        if rises and not busy:
            following = min(self.count * 2, self._most)
        elif falls:
            following = max(self.count // 2, self._least)
        self._trial = (self.count, rate) if following != self.count else None
        if rises or falls:
            self._rate = rate
        self._change(following)

    def _change(self, count: int, settle: float = SETTLE_SECONDS) -> None:
        settle = settle if count != self.count or self._rate is None else 0.0
        self.count, self._settled = count, self._clock() + settle
        self._moved = self._done()
        self._window = None
