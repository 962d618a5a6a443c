"""Lets the calls of one node reserve their keys in the order of the list, though they run side by side.

A node that is given a list is called for one item after another, and the calls are awaited all together
(``_async_map_node_over_list`` in ComfyUI's execution.py). Without an order of their own, the file that is
encoded first would get the first number.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Hashable, Iterator, Sequence

from ..storage.base import Storage
from ..system.meter import Meter
from ..system.utc_clock import now
from .names import Name
from .numbering import ListKeys, Reservation

CANCEL_CHECK_SECONDS = 0.2
_lock = threading.Lock()


class _List:
    """One list: its keys, and its calls that have not reserved theirs, in order."""

    def __init__(self) -> None:
        self.keys = ListKeys()
        self.waiting: list[Call] = []
        self.under_way = 0  # calls, whether they have reserved or not


_lists: dict[Hashable, _List] = {}


class Call:
    """One call of a node: an item of its list, or a list of its own. Any thread may use it."""

    def __init__(self, of: _List | None = None) -> None:
        self.began_at = now()
        self._list = of or _List()
        self._its_turn = threading.Event()
        self._list.waiting.append(self)
        self._let_first_go()

    def reserve(
        self, storage: Storage, names: Sequence[Name], if_exists: str, meter: Meter
    ) -> list[Reservation]:
        """Reserve keys for these names when all calls before have reserved theirs; see ``ListKeys.reserve``.

        To be called once. Raises TransferCancelled.
        """
        while not self._its_turn.wait(CANCEL_CHECK_SECONDS):
            meter.check()
        try:
            return self._list.keys.reserve(storage, names, if_exists)
        finally:
            self.end()

    def end(self) -> None:
        """Let the next call go, whether this one has reserved keys or not."""
        with _lock:
            if self in self._list.waiting:
                self._list.waiting.remove(self)
            self._let_first_go()

    def _let_first_go(self) -> None:
        if self._list.waiting:
            self._list.waiting[0]._its_turn.set()


@contextlib.contextmanager
def begun(node_id: str | None) -> Iterator[Call]:
    """A call of the node ``node_id`` while it lasts, after those that have begun before in this event loop.

    ComfyUI runs each prompt in an event loop of its own.
    """
    if node_id is None:
        yield Call()
        return
    key = asyncio.get_running_loop(), node_id
    with _lock:
        calls = _lists.setdefault(key, _List())
        calls.under_way += 1
        call = Call(calls)
    try:
        yield call
    finally:
        call.end()
        with _lock:
            calls.under_way -= 1
            if not calls.under_way:
                del _lists[key]
