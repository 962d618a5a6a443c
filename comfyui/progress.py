"""The bar and the line of text on a node while it works."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..system.meter import Counted, Meter, counted
from . import status_text
from .amounts import Rate, in_bytes
from .interrupt import raise_if_interrupted

if TYPE_CHECKING:
    pass

DRAW_SECONDS = 0.2  # between two drawings of one node: core 0.3.64 does not throttle, the browser would choke


class _Calls:
    """What the calls of one node share while one of them is under way: all their meters, what is drawn."""

    def __init__(self) -> None:
        self.meters: set[Meter] = set()
        self.looked_at, self.drawn = float("-inf"), (0, 0)  # never yet: the clock may begin at 0
        self.rate = Rate()


# By node, and by event loop: each prompt has its own. A call that failed may live on in its exception.
_under_way: weakref.WeakValueDictionary[object, _Calls] = weakref.WeakValueDictionary()


class Progress:
    """A bar and a line of text on one node; make it and call it with the meter in the node's own coroutine.

    Both tell frames while there are frames still to come, else bytes, summed up over all calls of the node
    that are under way, as for a list. One that ends stays in the sum until the last one has: so the bar goes
    back only when there is more to do than was known. Cancel makes each call raise ComfyUI's own exception.
    """

    def __init__(self, node_id: str | None, verb: str | Callable[[], str], frames_verb: str = "") -> None:
        self._node_id, self._verb, self._frames_verb = node_id, verb, frames_verb
        self._calls = _under_way.setdefault((asyncio.get_running_loop(), node_id), _Calls())

    def __call__(self, meter: Meter) -> None:
        raise_if_interrupted()
        calls, now = self._calls, time.monotonic()
        calls.meters.add(meter)
        if now - calls.looked_at < DRAW_SECONDS:
            return
        before, so_far = calls.drawn, counted(calls.meters)
        calls.rate.note(now, so_far.done)
        calls.looked_at, calls.drawn = now, (so_far.done, so_far.frames_done)
        if calls.drawn == before:
            return
        if so_far.frames_done < so_far.frames_total or (so_far.frames_done and not so_far.total):
            self._draw_frames(so_far)
        else:
            self._draw_bytes(so_far)

    def _draw_frames(self, so_far: Counted) -> None:
        parts = [f"{self._frames_verb} {so_far.frames_done}"]
        if so_far.frames_total:
            self.bar(so_far.frames_done, so_far.frames_total)
            parts.append(f" of {so_far.frames_total}")
        parts.append(" frames")
        if so_far.done:
            parts.append(f", {in_bytes(so_far.done)}")
        self.text("".join(parts))

    def _draw_bytes(self, so_far: Counted) -> None:
        verb = self._verb if isinstance(self._verb, str) else self._verb()
        if so_far.total > 0:
            self.bar(so_far.done, so_far.total)
            rate = self._calls.rate.words(so_far.total)
            self.text(f"{verb} {in_bytes(so_far.done)} of {in_bytes(so_far.total)}{rate}")
        else:
            self.text(f"{verb} {in_bytes(so_far.done)}{self._calls.rate.words(0)}")

    def bar(self, value: int, total: int) -> None:
        """Draw the bar. Raises ComfyUI's interrupt when Cancel was pressed."""
        from comfy.utils import ProgressBar

        ProgressBar(total, node_id=self._node_id).update_absolute(min(value, total), total)

    def text(self, text: str) -> None:
        """Show one line on the node, in the browser that queued the prompt and in no other."""
        show_text(self._node_id, text)


def show_text(node_id: str | None, text: str) -> None:
    """Show ``text`` on a node, as ``status_text.safe`` lets it through. Nothing happens for a prompt queued
    without a browser: it would go to all of them.
    """
    from server import PromptServer

    server = PromptServer.instance
    if node_id is not None and getattr(server, "client_id", None):
        server.send_progress_text(status_text.safe(text), node_id, server.client_id)
