"""ComfyUI's queue: the prompts that run and wait, and a handler for each new one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import server


@dataclass(frozen=True)
class QueuedPrompt:
    """A prompt in the queue: its id, and its nodes in the API's format, which nobody may change."""

    prompt_id: str
    nodes: Mapping[str, Any]


def on_prompt(handler: Callable[[Any], Any]) -> bool:
    """Have ``handler`` called with the body of each POST /prompt, before ComfyUI validates it; it returns the
    body to use. It runs in the server's event loop. False if there is no server.
    """
    running = server.instance()
    if running is None:
        return False
    running.add_on_prompt_handler(handler)
    return True


def queued_prompts() -> list[QueuedPrompt]:
    """Return the running prompts, then the waiting ones, in the order in which they will run.

    Of an item of the queue the first four parts are (number, prompt id, nodes, extra data) in both cores.
    """
    queue = getattr(server.instance(), "prompt_queue", None)
    if queue is None:
        return []
    running, waiting = queue.get_current_queue_volatile()
    waiting = sorted(waiting, key=lambda item: item[0])  # a heap
    return [QueuedPrompt(str(item[1]), item[2]) for item in (*running, *waiting)]


def announce(event: str, content: Mapping[str, Any]) -> None:
    """Send an event to every page and program that is connected. Any thread may call this."""
    running = server.instance()
    if running is not None:
        with contextlib.suppress(RuntimeError):  # its loop has ended: ComfyUI is being closed
            running.send_sync(event, dict(content))


def send_event(event: str, content: Mapping[str, Any]) -> None:
    """Send an event to the page that queued the running prompt; to nobody if no page did."""
    running = server.instance()
    client = getattr(running, "client_id", None)
    if running is not None and client:
        running.send_sync(event, dict(content), client)
