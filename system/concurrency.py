"""How many requests a transfer makes at the same time, measured while it runs.

One connection to a distant or busy server is limited by the round trip or by the provider, so that more of
them carry more. At some number the line, the disk or this machine is the limit, and further ones only cost.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable
from typing import NamedTuple

START, FIRST, MOST = 2, 8, 64
WAITING = 0.8  # of one processor: a process that uses less waits for the network, not for its own interpreter
GAIN = 1.1  # twice as many requests have to bring this many times as much
CHANGE = 1.25  # a rate that rises or falls by this much by itself is a reason to try another number
CLEAR_GAIN = 1.6  # so much more needs no longer measurement than
CALLS = 3  # after a change, until a clear gain is believed
STEADY_CALLS = 5  # whose two halves are compared, so that a rate that still grows is known
SETTLE_SECONDS = 0.2  # after a change, until new connections are open and old ones have ended
TRIAL_SECONDS = 0.5  # for which a rate is measured then
STEADY_SECONDS = 1.0  # the same where no other number is on trial: rates vary by themselves
AGAIN = 1  # such rates, after which more requests are tried again: the last trial may have been unlucky
REFUSED_SECONDS = 0.5  # refusals closer together than this answer one burst, and count once
CALM_SECONDS = 10.0  # after a refusal, until more requests are tried again
BUSY = 0.9  # of all processors: then this machine is the limit
_LEAP, _UP, _DOWN = 4.0, 2.0, 0.5  # times as many requests as before
# Work, as psutil.cpu_times() names it on Linux, macOS and Windows. Linux counts that of guests as "user" too.
_WORK = ("user", "nice", "system", "irq", "softirq", "steal")


def machine_seconds() -> float:
    """The processor time that all programs of this machine have used; 0 where that is not known."""
    times = _cpu_times()()
    return float(sum(getattr(times, name, 0.0) for name in _WORK))


@functools.cache
def _cpu_times() -> Callable[[], object]:
    try:
        from psutil import cpu_times
    except ImportError:  # ComfyUI brings it; cloud.py runs without
        return lambda: None
    return cpu_times  # type: ignore[no-any-return]


class _Sample(NamedTuple):
    """What was so at one moment: the time, the bytes moved, and the processor time that this process and
    all of this machine had used.
    """

    time: float
    moved: int
    used: float
    used_by_all: float

    def since(self, before: _Sample) -> tuple[float, float]:
        """The bytes per second since then, and which share of all processors was used."""
        seconds = self.time - before.time
        used = max(self.used - before.used, self.used_by_all - before.used_by_all)
        return (self.moved - before.moved) / seconds, used / seconds / (os.cpu_count() or 1)

    def processors(self, before: _Sample) -> float:
        """How many processors this process has used since then, on average."""
        return (self.used - before.used) / (self.time - before.time)


class AdaptiveConcurrency:
    """Doubles the number of requests while that brings GAIN, and halves it while that loses less than GAIN.
    The first step is four times as many where most of the processors are free, and twice as many if those
    do not pay.

    Begins with ``start``, and goes to FIRST as soon as the process is seen to wait: where requests are so
    fast that Python itself is the limit, more threads take the interpreter from each other. Stays where no
    other number pays, until the rate is another by CHANGE: then more are tried, and after a fall also fewer.
    More are also tried after AGAIN steady seconds, and when that does not pay, after twice as many.
    Halves the number when the server asks for fewer requests. What the last calls saw is enough to go on
    where the gain is clear; to take a step back it is not. Only one thread may call this, as in
    ``thread_pool.run``; any may read ``count``.
    """

    def __init__(
        self,
        done: Callable[[], int],
        most: int = MOST,
        *,
        start: int = START,
        refused: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
        processor_seconds: Callable[[], float] = time.process_time,
        machine_seconds: Callable[[], float] = machine_seconds,
    ) -> None:
        """``done`` returns the bytes moved, ``refused`` how often the server asked for fewer requests.

        ``start`` is FIRST where a request moves megabytes, or the process has other work beside the
        requests, as encoding.
        """
        self._done, self._refused = done, refused
        self._clock, self._processor_seconds = clock, processor_seconds
        self._machine_seconds = machine_seconds
        self._most = max(1, min(most, MOST))
        self._first = min(FIRST, self._most)
        self._least = self.count = min(start, self._first)
        self._rate: float | None = None  # bytes per second, as last compared; None: not yet known
        self._trial: tuple[int, float] | None = None  # the number and the rate before the one on trial
        self._directions: list[float] = []  # that are to be tried, if the trial does not pay
        self._is_steady = False  # nothing is on trial, and the rate is known
        self._steady, self._again = 0, AGAIN  # rates since then, and those after which more are tried
        self._refusals, self._refused_at = refused(), float("-inf")
        self._calm_at = float("-inf")  # when more requests may be tried again
        self._window: _Sample | None = None  # when it began
        self._latest: list[_Sample] = []  # the last change, or the last STEADY_CALLS since then
        self._change(self.count)

    def __call__(self, running: int = 0) -> int:
        """Return how many requests to make now. ``running`` are still on their way, as far as that is known:
        nothing is judged while those are too many.
        """
        now, refusals = self._clock(), self._refused()
        if refusals != self._refusals:
            self._refusals = refusals
            if now - self._refused_at >= REFUSED_SECONDS:
                self._refused_at, self._calm_at = now, now + CALM_SECONDS
                self._begin_with(max(1, self.count // 2), CALM_SECONDS)
                self._first = min(self._first, self.count)
            return self.count
        sample = self._sample(now)
        if running > self.count:
            self._window, self._latest = None, [sample]
            return self.count
        if now > self._latest[-1].time:
            self._latest = [*self._latest, sample][-STEADY_CALLS:]
        if self.count < self._first and self._waits():
            self._begin_with(self._first)
        elif self._rises_clearly():
            self._judge(*sample.since(self._latest[0]))
        elif self._window is None:
            if now >= self._settled and sample.moved > self._moved:
                self._window = sample
        elif now - self._window.time >= (STEADY_SECONDS if self._is_steady else TRIAL_SECONDS):
            self._judge(*sample.since(self._window))
        return self.count

    def _begin_with(self, count: int, settle: float = SETTLE_SECONDS) -> None:
        """Make this the least number, of which no rate is known yet."""
        self._least, self._rate, self._trial, self._is_steady = count, None, None, False
        self._change(count, settle)

    def _waits(self) -> bool:
        """Whether the process waited for the network between the last calls."""
        return len(self._latest) >= CALLS and self._latest[-1].processors(self._latest[0]) < WAITING

    def _rises_clearly(self) -> bool:
        """Whether the last calls are enough to add requests: the first ones carry as much as they can,
        or those that were added last bring a CLEAR_GAIN.
        """
        if len(self._latest) < CALLS or self.count == self._most or self._latest[-1].time < self._calm_at:
            return False
        if self.count < self._first and self._trial is None:  # Python itself may be the limit
            return False
        first, last = self._latest[0], self._latest[-1]
        rate, load = last.since(first)
        if load >= BUSY:
            return False
        if self._trial is not None:
            before, rate_before = self._trial
            return self.count > before and rate >= rate_before * CLEAR_GAIN
        if self._rate is not None or len(self._latest) < STEADY_CALLS:
            return False
        middle = self._latest[STEADY_CALLS // 2]
        earlier, later = middle.since(first)[0], last.since(middle)[0]
        # many servers give the first bytes of a connection faster than those that follow, or send in bursts
        return 0 < later <= earlier * CHANGE and earlier <= later * CHANGE

    def _judge(self, rate: float, load: float) -> None:
        """Keep or take back the number on trial by the ``rate`` it brought, and try the next one for which
        there are processors.
        """
        if self._is_steady and self._rate is not None and rate <= self._rate / CHANGE:
            self._is_steady = False  # it fell somewhere in this time: measure what it is now
            self._change(self.count)
            return
        here = self.count
        if self._trial is None:
            rate = self._without_trial(rate)
        else:
            before, rate_before = self._trial
            is_more = here > before
            if is_more:  # the rest is a burst, with which many servers begin a connection
                rate = min(rate, rate_before * here / before)
            gain = GAIN ** abs(math.log2(here / before))
            pays = rate >= rate_before * gain if is_more else rate_before < rate * gain
            if pays:
                self._directions = [_UP if is_more else _DOWN]
            else:
                here, rate = before, rate_before
        following = here
        while self._directions and following == here:
            factor = self._directions.pop(0)
            if factor == _DOWN or load * factor < BUSY * _UP:
                following = min(max(int(here * factor), self._least), self._most)
        if following != here and self._steady >= self._again:
            self._steady, self._again = 0, 2 * self._again
        self._rate = rate
        self._trial = (here, rate) if following != here else None
        self._is_steady = self._trial is None
        self._change(following)

    def _without_trial(self, rate: float) -> float:
        """Decide what to try; return the rate that later ones are compared with."""
        if self._rate is None:
            self._directions = [_LEAP, _UP]
        elif rate >= self._rate * CHANGE:
            self._directions = [_UP]
        elif rate <= self._rate / CHANGE:
            self._directions = [_UP, _DOWN]
        else:
            self._steady += 1
            if self._steady < self._again:
                return self._rate
            self._directions = [_UP]  # at the next rate, if the machine is too busy now
        return rate

    def _change(self, count: int, settle: float = SETTLE_SECONDS) -> None:
        settle = settle if count != self.count or self._rate is None else 0.0
        now = self._clock()
        self.count, self._settled = count, now + settle
        self._moved = self._done()
        self._window, self._latest = None, [self._sample(now)]

    def _sample(self, now: float) -> _Sample:
        return _Sample(now, self._done(), self._processor_seconds(), self._machine_seconds())
