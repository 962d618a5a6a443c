"""Sending a request again while something passing is in the way, and less often while a server asks for that.

One ``Retries`` serves every request of a storage. The SDKs' own are switched off: boto3's end after a hundred
of all threads together, oss2 has none, and neither wakes up for Cancel. A dead peer is noticed by one attempt
within CONNECT_SECONDS or READ_SECONDS of ``storage``, and given up after ATTEMPTS of them.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import IntegrityError, StorageError, Throttled, Unreachable
from ..system.meter import Meter, current
from .base import backoff
from .error_codes import ancestors, meaning

T = TypeVar("T")

ATTEMPTS = 4  # in all, at what passes by itself: three pauses of 3.5 s together at most
THROTTLED_ATTEMPTS = 8  # where the server says that later will work: some 20 s
BACKOFF_SECONDS = 0.5  # before the second attempt; doubled for each further one
BACKOFF_MAX_SECONDS = 5.0

PACE_MIN_SECONDS = 0.02  # between two requests of a storage after the first refusal: 50 a second
PACE_MAX_SECONDS = 1.0
PACE_ROUND_SECONDS = 0.5  # refusals nearer to each other are answers to one burst, and count once
PACE_EASING = 0.8  # what an answer leaves of the gap: from 1 s to none in 18 answers

_ERRORS_FROM, _SERVER_ERRORS_FROM, _NOT_IMPLEMENTED = 400, 500, 501
_BROKEN = {  # classes of requests, urllib3 and botocore, by name
    *("ConnectionError", "Timeout", "ChunkedEncodingError"),
    *("ProtocolError", "ReadTimeoutError", "HTTPClientError"),
    "SSLError",  # in the middle of an answer; of a certificate, see ``verdict``
    # a document that was damaged, or is somebody else's; an answer that is as good as none
    *("ParseError", "ResponseParserError", "NoAnswer", "TooSlow"),
}


class Verdict(enum.Enum):
    """What a failure says about the next attempt; the value is how many are made in all."""

    FINAL = 1
    PASSING = ATTEMPTS
    THROTTLED = THROTTLED_ATTEMPTS


def verdict(error: Exception, code: str, status: int) -> Verdict:
    """Whether the same request may do better in a moment, by what an SDK raised: the server's error ``code``
    and HTTP ``status``, "" and 0 where no answer came.

    Damaged on its way is passing: the next copy may arrive whole.
    """
    if isinstance(error, StorageError):
        return Verdict.FINAL
    if status:
        if status < _ERRORS_FROM or status == _NOT_IMPLEMENTED:
            return Verdict.FINAL
        raises = meaning(code, status).raises
        if issubclass(raises, Throttled):
            return Verdict.THROTTLED
        passing = issubclass(raises, Unreachable | IntegrityError) or status >= _SERVER_ERRORS_FROM
        return Verdict.PASSING if passing else Verdict.FINAL
    names = ancestors(error)
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or "ProxyError" in names:
        return Verdict.FINAL
    return Verdict.FINAL if _BROKEN.isdisjoint(names) else Verdict.PASSING


class Pace:
    """Keeps the requests of one storage apart while its server asks for fewer, from any thread.

    A refusal doubles the gap between two requests, every answer takes some of it back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._gap, self._next, self._slowed = 0.0, float("-inf"), float("-inf")

    def turn(self) -> float:
        """Seconds that the caller has to wait before its request; the time after them is taken."""
        with self._lock:
            if not self._gap:
                return 0.0
            now = self._clock()
            self._next = max(now, self._next + self._gap)
            return self._next - now

    def slower(self) -> None:
        """The server has asked for fewer requests."""
        with self._lock:
            now = self._clock()
            if now - self._slowed >= PACE_ROUND_SECONDS:
                self._slowed = now
                self._gap = min(max(self._gap * 2, PACE_MIN_SECONDS), PACE_MAX_SECONDS)

    def faster(self) -> None:
        """The server has answered."""
        with self._lock:
            self._gap *= PACE_EASING
            if self._gap < PACE_MIN_SECONDS:
                self._gap = 0.0


class Body(Protocol):
    """What is sent: rewinding takes back what was counted."""

    meter: Meter

    def seek(self, offset: int, /) -> int: ...


class Retries:
    """How the requests of one storage are sent; ``judge`` gives the verdict on what its SDK raises."""

    def __init__(self, judge: Callable[[Exception], Verdict]) -> None:
        self._judge = judge
        self._pace = Pace()

    def run(
        self,
        request: Callable[[], T],
        *,
        meter: Meter | None = None,
        body: Body | None = None,
        own: Callable[[Exception], T | None] | None = None,
    ) -> T:
        """The answer to ``request``, which is sent until a verdict says that this was the last attempt.

        ``body`` is rewound before each further attempt. The answer to an attempt may have been lost after
        the server had done what it was asked: ``own`` is given what a later attempt met then, and returns the
        answer that was lost, or None. Raises what the last attempt raised, and TransferCancelled when the
        body's meter, or ``meter``, stops: that of the node where neither is given.
        """
        meter = body.meter if body is not None else meter or current()
        with meter.governs():
            return self._run(request, meter, body, own)

    def _run(
        self,
        request: Callable[[], T],
        meter: Meter,
        body: Body | None,
        own: Callable[[Exception], T | None] | None,
    ) -> T:
        attempt = 1
        while True:
            meter.check()
            pause = self._pace.turn()
            if pause > 0:
                meter.wait(pause)
            try:
                answer = request()
            except Exception as error:
                judged = self._judge(error)
                if judged is Verdict.THROTTLED:
                    self._pace.slower()
                if attempt >= judged.value:
                    lost = own(error) if own is not None and attempt > 1 else None
                    if lost is None:
                        raise
                    return lost
            else:
                self._pace.faster()
                return answer
            meter.wait(min(backoff(BACKOFF_SECONDS, attempt), BACKOFF_MAX_SECONDS))
            if body is not None:
                body.seek(0)
            attempt += 1
