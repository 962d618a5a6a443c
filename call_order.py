"""The calls of one node in the order ComfyUI made them, though they are carried out side by side.

A node that is given a list is called for one item after another, and the calls are awaited all together
(``_async_map_node_over_list`` in ComfyUI's execution.py): without an order of their own, whichever file is
encoded first would get the first number.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from .meter import Meter

LOOK_SECONDS = 0.2  # between two looks whether the one who waits was told to stop

_lock = threading.Lock()
_under_way: dict[str, list[Call]] = {}


class Gate:
    """Goes up for one call after another, in their order. Any thread may use it."""

    def __init__(self, before: Gate | None) -> None:
        self._before = before
        self._passed = threading.Event()

    def wait(self, meter: Meter) -> None:
        """Return when all the calls before this one have let it pass. Raises TransferCancelled."""
        before = self._before
        while before is not None:
            while not before._passed.wait(LOOK_SECONDS):
                meter.check()
            before = before._before
        self._before = None

    def let_pass(self) -> None:
        """The calls behind this one need not wait for it any more."""
        self._passed.set()


class Call:
    """One call of a node, behind another one or ``is_first``.

    ``names`` and ``numbers`` are the gates to choosing names and to asking for the numbers in them.
    ``claimed`` is what the calls under way have named so far, for whoever has passed the first gate.
    """

    def __init__(self, before: Call | None = None) -> None:
        self.is_first = before is None
        self.began_at = now()
        self.names: Gate = Gate(before.names if before else None)
        self.numbers: Gate = Gate(before.numbers if before else None)
        self.claimed: dict[str, int] = before.claimed if before else {}

    def end(self) -> None:
        """Hold up nobody any more."""
        self.names.let_pass()
        self.numbers.let_pass()


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
