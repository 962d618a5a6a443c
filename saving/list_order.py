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

from ..system.meter import Meter
from ..system.utc_clock import now

LOOK_SECONDS = 0.2  # between two looks whether the one who waits was told to stop
SOON_SECONDS = 3.0
_lock = threading.Lock()
_under_way: dict[str, list[Call]] = {}


class Place:
    """A call's place in a series of keys: behind the call before it that numbers the same one, or first."""

    def __init__(self, before: Place | None = None, open_to_all: threading.Event | None = None) -> None:
        self.is_first = before is None
        self._before = before
        self._passed = threading.Event()
        self._passed_at = math.inf
        self._open = open_to_all or threading.Event()

    def wait(self, meter: Meter) -> None:
        """Wait until all calls before have their numbers. Raises TransferCancelled."""
        before = self._before
        while before is not None and not self._open.is_set():
            if before._is_passed():
                before = before._before
            else:
                meter.check()
        self._before = None

    def _is_passed(self) -> bool:
        return self._passed.wait(LOOK_SECONDS) or time.monotonic() >= self._passed_at

    def let_pass(self) -> None:
        """Those behind need not wait for this call any more."""
        self._passed.set()

    def let_pass_soon(self) -> None:
        """They wait for SOON_SECONDS at most."""
        self._passed_at = min(self._passed_at, time.monotonic() + SOON_SECONDS)

    def give_up(self) -> None:
        """No call of this node waits for another's numbers any more."""
        self._open.set()


@dataclass
class _Line:
    """What the calls of a node have in common while they are under way: which keys they have claimed and how
    often a name, who is last in each series, and whether their order is of no use any more.
    """

    claimed: set[Hashable] = field(default_factory=set)
    shared: dict[Hashable, int] = field(default_factory=dict)
    last: dict[Hashable, Place] = field(default_factory=dict)
    open: threading.Event = field(default_factory=threading.Event)


class Call:
    """One call of a node. Names are chosen by one call after another, which is soon done; then those that
    number the same series of keys ask for numbers one after another. Any thread may use it.
    """

    def __init__(self, before: Call | None = None) -> None:
        self.began_at = now()
        self._line: _Line = before._line if before else _Line()
        self._before = before
        self._named = threading.Event()
        self._places: dict[Hashable, Place] = {}

    def wait_for_names(self, meter: Meter) -> None:
        """Wait until all calls before have named their files. Raises TransferCancelled."""
        before = self._before
        while before is not None:
            while not before._named.wait(LOOK_SECONDS):
                meter.check()
            before = before._before
        self._before = None

    @property
    def claimed(self) -> set[Hashable]:
        """The keys of this call and those before; to be added to between ``wait_for_names`` and ``named``."""
        return self._line.claimed

    @property
    def shared(self) -> dict[Hashable, int]:
        """By how many files a name is shared so far; likewise."""
        return self._line.shared

    def named(self, series: Iterable[Hashable]) -> None:
        """Let the next call name its files; those of this one are numbered in these series."""
        for one in dict.fromkeys(series):
            self._places[one] = self._line.last[one] = Place(self._line.last.get(one), self._line.open)
        self._named.set()

    def place(self, series: Hashable) -> Place:
        """Its place in a series; the first one where it has named none."""
        return self._places.get(series) or Place()

    def end(self) -> None:
        """Hold up nobody."""
        self._named.set()
        for place in list(self._places.values()):
            place.let_pass()


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
