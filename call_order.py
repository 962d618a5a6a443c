"""The calls of one node in the order ComfyUI made them, though they are carried out side by side.

A node that is given a list is called for one item after another, and the calls are awaited all together
(``_async_map_node_over_list`` in ComfyUI's execution.py): without an order of their own, whichever file is
encoded first would get the first number.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from .meter import Meter

LOOK_SECONDS = 0.2  # between two looks whether the one who waits was told to stop
SOON_SECONDS = 3.0

_lock = threading.Lock()
_under_way: dict[str, list[Call]] = {}


@dataclass
class _Line:
    """What the calls of a node have in common while they are under way: which keys they have claimed, who was
    the last of each series, and whether order is of no use any more.
    """

    claimed: dict[tuple[str, str], int] = field(default_factory=dict)
    last: dict[Hashable, Call] = field(default_factory=dict)
    open: threading.Event = field(default_factory=threading.Event)


class Call:
    """One call of a node. Names are chosen by one call after another, which is soon done; then those that
    number the same series of keys ask for numbers one after another. Any thread may use it.

    ``is_first`` says, once it has named its files, that nobody is before it in any of its series.
    """

    def __init__(self, before: Call | None = None) -> None:
        self.began_at = now()
        self.is_first = True
        self._line: _Line = before._line if before else _Line()
        self._before = before
        self._behind: list[Call] = []
        self._named, self._numbered = threading.Event(), threading.Event()
        self._numbered_at = math.inf

    def wait_for_names(self, meter: Meter) -> dict[tuple[str, str], int]:
        """Wait until all calls before have named their files; gives what they have claimed, to be added to
        before ``named``. Raises TransferCancelled.
        """
        before = self._before
        while before is not None:
            while not before._named.wait(LOOK_SECONDS):
                meter.check()
            before = before._before
        self._before = None
        return self._line.claimed

    def named(self, series: Iterable[Hashable]) -> None:
        """Let the next call name its files; those of this one are numbered in these series."""
        for one in set(series):
            if one in self._line.last:
                self._behind.append(self._line.last[one])
            self._line.last[one] = self
        self.is_first = not self._behind
        self._named.set()

    def wait_for_numbers(self, meter: Meter) -> None:
        """Wait until all calls before, of the same series, have theirs. Raises TransferCancelled."""
        waiting_for = list(self._behind)
        while waiting_for and not self._line.open.is_set():
            if waiting_for[-1]._has_numbers():
                waiting_for.extend(waiting_for.pop()._behind)
            else:
                meter.check()
        self._behind = []

    def _has_numbers(self) -> bool:
        return self._numbered.wait(LOOK_SECONDS) or time.monotonic() >= self._numbered_at

    def numbered(self) -> None:
        """The calls behind this one need not wait for it any more."""
        self._numbered.set()

    def numbered_soon(self) -> None:
        """They wait for SOON_SECONDS at most."""
        self._numbered_at = time.monotonic() + SOON_SECONDS

    def give_up(self) -> None:
        """No call of this node waits for another's numbers any more."""
        self._line.open.set()

    def end(self) -> None:
        """Hold up nobody."""
        self._named.set()
        self._numbered.set()


@contextlib.contextmanager
def begun(node_id: str | None) -> Iterator[Call]:
    """A call of the node ``node_id`` while it lasts; its place is behind those that have begun before."""
    if node_id is None:
        yield Call()
        return
    with _lock:
        calls = _under_way.setdefault(node_id, [])
        call = Call(calls[-1] if calls else None)
        calls.append(call)
    try:
        yield call
    finally:
        call.end()
        with _lock:
            calls.remove(call)
            if not calls:
                del _under_way[node_id]


# ------------------------------------------------------------ time

_last = datetime.min.replace(tzinfo=timezone.utc)
_clock = threading.Lock()


def now() -> datetime:
    """The time in UTC, later than whenever it was asked for before, whatever the clock does meanwhile."""
    global _last  # noqa: PLW0603  one clock for the process
    with _clock:
        _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
        return _last
