"""Send a request again after a failure that may pass, and more slowly while a server asks for that.

All numbers are in the RetryPolicy constants below, and ``docs/failures.md`` repeats them. One ``Retries``
sends every request of a storage. The SDKs' own retries are off: boto3's stop after a hundred for all threads
together, oss2 has none, and neither stops waiting on Cancel. Without an answer, an attempt ends after
CONNECT_SECONDS or READ_SECONDS of ``base``.
"""

from __future__ import annotations

import enum
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import IntegrityError, StorageError, Throttled, Unreachable
from ..system.meter import Meter, current
from .answers import InvalidAnswer
from .connection_watch import TooSlow
from .error_codes import ancestors, meaning
from .multipart import Slice

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often to try, first attempt included, and the seconds to pause between attempts.

    ``pause`` comes before the second attempt and doubles before each further one, up to ``longest``.
    """

    attempts: int
    pause: float
    longest: float

    def backoff(self, attempt: int) -> float:
        """Return the seconds to pause after this attempt (1 is the first): random, to spread the clients."""
        longest = min(self.pause * 2.0 ** (attempt - 1), self.longest)
        return random.uniform(0.5, 1.0) * longest  # noqa: S311  nothing to guess here


ONCE = RetryPolicy(attempts=1, pause=0.0, longest=0.0)
REQUEST = RetryPolicy(attempts=4, pause=0.5, longest=5.0)  # waits 3.5 s at most
THROTTLED = RetryPolicy(attempts=8, pause=0.5, longest=5.0)  # the server says that later will work: 22.5 s
PART = RetryPolicy(attempts=10, pause=0.5, longest=8.0)  # 47.5 s: a short outage costs no large upload
BODY = RetryPolicy(attempts=5, pause=0.2, longest=5.0)  # answers in a row without a byte of a download

PACE_MIN_SECONDS = 0.02  # between two requests of a storage after the first refusal: 50 a second
PACE_MAX_SECONDS = 1.0
PACE_ROUND_SECONDS = 0.5  # refusals closer together than this answer one burst, and count once
PACE_EASING = 0.8  # each answer shortens the gap to this share: from 1 s to none in 18 answers

_ERRORS_FROM, _SERVER_ERRORS_FROM, _NOT_IMPLEMENTED = 400, 500, 501
_BROKEN = {  # by name, because nothing imports requests, urllib3 or botocore here
    *("ConnectionError", "Timeout", "ChunkedEncodingError"),
    *("ProtocolError", "ReadTimeoutError", "HTTPClientError"),
    "SSLError",  # in the middle of an answer; of a certificate, see ``verdict``
    # a document that was damaged or comes from another server; an answer too slow to use
    *("ParseError", "ResponseParserError", InvalidAnswer.__name__, TooSlow.__name__),
}


class Verdict(enum.Enum):
    """What a failure says about the next attempt."""

    FINAL = enum.auto()  # it will fail in the same way
    PASSING = enum.auto()  # it may succeed
    THROTTLED = enum.auto()  # it will succeed later: the server asks for fewer requests

    def applied(self, policy: RetryPolicy) -> RetryPolicy:
        """Return the policy to follow after this failure, for a request that has ``policy``."""
        if self is Verdict.FINAL:
            return ONCE
        return policy if self is Verdict.PASSING or policy.attempts > THROTTLED.attempts else THROTTLED


def verdict(error: Exception, code: str, status: int) -> Verdict:
    """Decide whether the same request may succeed in a moment.

    ``error`` is what an SDK raised, ``code`` the server's error code and ``status`` the HTTP status; "" and 0
    if no answer came. Data that was damaged on its way is passing: the next copy may arrive whole.
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
    """Keeps a gap between the requests of one storage while its server asks for fewer. Safe for threads.

    A refusal doubles the gap, every answer shortens it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._gap, self._next, self._slowed = 0.0, float("-inf"), float("-inf")

    def turn(self) -> float:
        """Reserve the time of the caller's request; returns the seconds to wait until then."""
        with self._lock:
            if not self._gap:
                return 0.0
            now = self._clock()
            self._next = max(now, self._next + self._gap)
            return self._next - now

    def slower(self) -> None:
        """Note that the server asked for fewer requests."""
        with self._lock:
            now = self._clock()
            if now - self._slowed >= PACE_ROUND_SECONDS:
                self._slowed = now
                self._gap = min(max(self._gap * 2, PACE_MIN_SECONDS), PACE_MAX_SECONDS)

    def faster(self) -> None:
        """Note that the server answered."""
        with self._lock:
            self._gap *= PACE_EASING
            if self._gap < PACE_MIN_SECONDS:
                self._gap = 0.0


class Retries:
    """Sends the requests of one storage; ``judge`` gives the verdict on what its SDK raises."""

    def __init__(self, judge: Callable[[Exception], Verdict]) -> None:
        self._judge = judge
        self._pace = Pace()

    def run(
        self,
        request: Callable[[], T],
        *,
        policy: RetryPolicy = REQUEST,
        meter: Meter | None = None,
        body: Slice | None = None,
        own: Callable[[Exception], T | None] | None = None,
    ) -> T:
        """Return the answer to ``request``, sent again as ``policy`` and the verdicts allow.

        ``body`` is rewound before each further attempt. An answer can be lost after the server did what was
        asked. A later attempt then fails: ``own`` gets its error, and returns the lost answer, or None if
        there is none. Raises the error of the last attempt, and TransferCancelled when the meter stops: the
        body's, else ``meter``, else that of the running node.
        """
        meter = body.meter if body is not None else meter or current()
        attempt = 1
        with meter.governs():
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
                        meter.add_refusal()
                    followed = judged.applied(policy)
                    if attempt >= followed.attempts:
                        lost = own(error) if own is not None and attempt > 1 else None
                        if lost is None:
                            raise
                        return lost
                else:
                    self._pace.faster()
                    return answer
                meter.wait(followed.backoff(attempt))
                if body is not None:
                    body.seek(0)
                attempt += 1
