"""The progress bar and the status text of a node while it runs."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence

from ..system.meter import Counted, Meter, counted
from . import status_text
from .amounts import Rate, in_bytes
from .interrupt import raise_if_interrupted

DRAW_SECONDS = 0.2  # between two updates of one node: core 0.3.64 does not throttle them for the browser


class _Calls:
    """State that the running calls of one node share: their meters, and what was drawn last."""

    def __init__(self) -> None:
        self.meters: set[Meter] = set()
        self.looked_at, self.drawn = float("-inf"), (0, 0)  # -inf: never; the clock may start at 0
        self.rate = Rate()


# By event loop (one for each prompt) and node. Weak, but an exception may keep the progress of a failed call.
_under_way: weakref.WeakValueDictionary[object, _Calls] = weakref.WeakValueDictionary()


class Progress:
    """Draws a progress bar and a status text on a node. Create it and call it in the node's coroutine.

    It shows frames as long as some are missing, else bytes, as a sum over all calls of the node that run at
    the same time, as for a list. A call that ends stays in the sum until the last one ends, so that the bar
    only goes back if there is more to do than was known. Raises ComfyUI's own exception if the user
    cancels.
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
        total = ""
        if so_far.total > 0:
            self.bar(so_far.done, so_far.total)
            total = f" of {in_bytes(so_far.total)}"
        self.text(f"{verb} {in_bytes(so_far.done)}{total}{self._calls.rate.words(so_far.total)}")

    def bar(self, value: int, total: int) -> None:
        """Draw the bar. Raises ComfyUI's own exception if the user cancels."""
        from comfy.utils import ProgressBar

        ProgressBar(total, node_id=self._node_id).update_absolute(min(value, total), total)

    def text(self, text: str) -> None:
        """Show one line on the node, only in the browser that queued the prompt."""
        show_text(self._node_id, text)


class Several:
    """The progress of one operation on several nodes, or on none. For the coroutine that runs it."""

    def __init__(self, parts: Sequence[Progress]) -> None:
        self._parts, self._shown = parts, ""

    def __call__(self, meter: Meter, text: str = "") -> None:
        """Draw the bytes of ``meter``; ``text`` is shown once when it is another one. Raises ComfyUI's own
        exception if the user cancels.
        """
        raise_if_interrupted()
        for part in self._parts:
            part(meter)
        if text and text != self._shown:
            self._shown = text
            self.text(text)

    def text(self, text: str) -> None:
        """Show one line on each node."""
        for part in self._parts:
            part.text(text)


def show_text(node_id: str | None, text: str) -> None:
    """Show ``text`` on a node, made safe by ``status_text.safe``. Does nothing if no browser queued the
    prompt: all browsers would show it.
    """
    from server import PromptServer

    server = PromptServer.instance
    if node_id is not None and getattr(server, "client_id", None):
        server.send_progress_text(status_text.safe(text), node_id, server.client_id)
