"""Count the bytes and frames of an operation, and stop it, from any thread.

Code that moves bytes calls ``add``, which raises once the meter is stopped; code that shows progress reads
``done``. Frames that are decoded or encoded meanwhile are counted separately.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import TransferCancelled


class Meter:
    """Counts the bytes of one operation and can stop it. Any thread may use it.

    ``part()`` returns a meter that counts here as well but can be stopped alone: a transfer in parallel parts
    stops all of them when one fails, and not the other transfers of the node.
    """

    def __init__(self, total: int = 0, parent: Meter | None = None, counts: bool = True) -> None:
        self.total = total
        self.frames_total = 0  # 0 if unknown, or there are none
        self.frames_done = 0
        self.refusals = 0  # of requests, by a server that asked for fewer of them
        self._done = 0
        self._lock = threading.Lock()
        self._is_stopped = False
        self._parent = parent
        self._whole = parent if counts else None
        # The conditions that threads wait on, shared by a meter, its parents and their parts
        self._waiting: list[threading.Condition] = [] if parent is None else parent._waiting

    @property
    def done(self) -> int:
        """Bytes counted so far."""
        return self._done

    def add(self, count: int) -> None:
        """Count ``count`` bytes; raises TransferCancelled once stopped.

        A negative count takes back bytes that are sent again. It never raises: an SDK that rewinds a body
        would report that it cannot be rewound.
        """
        if count > 0:
            self.check()
        with self._lock:
            self._done += count
        if self._whole is not None:
            self._whole.add(count)

    def add_refusal(self) -> None:
        """Count a request that the server refused because there were too many."""
        with self._lock:
            self.refusals += 1
        if self._whole is not None:
            self._whole.add_refusal()

    def expect(self, count: int) -> None:
        """Add ``count`` bytes to the expected total."""
        with self._lock:
            self.total += count
        if self._whole is not None:
            self._whole.expect(count)

    def expect_frames(self, count: int) -> None:
        """Add ``count`` frames to the expected total."""
        with self._lock:
            self.frames_total += count

    def add_frames(self, count: int) -> None:
        """Count ``count`` frames. Unlike ``add`` it never raises."""
        with self._lock:
            self.frames_done += count

    def stop(self) -> None:
        """Make ``check``, ``add`` and every wait raise TransferCancelled, here and in all parts."""
        self._is_stopped = True
        for condition in list(self._waiting):
            with condition:
                condition.notify_all()

    @property
    def stopped(self) -> bool:
        return self._is_stopped or (self._parent is not None and self._parent.stopped)

    def check(self) -> None:
        """Raise TransferCancelled once stopped."""
        if self.stopped:
            raise TransferCancelled("The transfer was cancelled. Run the node again to repeat it.")

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds``; raises TransferCancelled as soon as this meter is stopped."""
        condition = threading.Condition()
        with condition, self.wakes(condition):
            condition.wait_for(lambda: self.stopped, seconds)
        self.check()

    @contextlib.contextmanager
    def wakes(self, condition: threading.Condition) -> Iterator[None]:
        """Let ``stop`` notify ``condition``, so that a thread waiting on it can ``check`` this meter.

        ``stop`` takes the condition's lock for this: no thread may hold it for long.
        """
        self._waiting.append(condition)
        try:
            yield
        finally:
            self._waiting.remove(condition)

    def part(self, counts: bool = True) -> Meter:
        """Return a meter that stops with this one, or alone; if ``counts``, its bytes count here as well."""
        return Meter(parent=self, counts=counts)

    @contextlib.contextmanager
    def governs(self) -> Iterator[None]:
        """Make this the ``current`` meter of the code within and of its ``thread_pool`` threads."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: contextvars.ContextVar[Meter | None] = contextvars.ContextVar("meter", default=None)


def current() -> Meter:
    """Return the meter that stops the requests of this thread; outside of ``governs`` a new one."""
    return _current.get() or Meter()


class Counted(NamedTuple):
    """What several meters have counted together."""

    done: int
    total: int
    frames_done: int
    frames_total: int


def counted(meters: Iterable[Meter]) -> Counted:
    """Return the sums of several meters."""
    found = list(meters)
    return Counted(*(sum(getattr(meter, name) for meter in found) for name in Counted._fields))
