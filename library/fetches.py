"""Fetches models in threads, for prompts and for the page: each file once, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Model

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"


@dataclass(frozen=True)
class FetchState:
    """One fetch as it is now: ``done`` and ``total`` in bytes, ``total`` 0 while it is not known.

    ``text`` says what it waits for or did besides, ``error`` why it failed; both may be "".
    """

    folder_type: str
    name: str
    key: str
    profile: str
    status: str
    done: int
    total: int
    text: str
    error: str


class Fetches:
    """All fetches of this process. Any thread may call any method."""

    def start(self, model: Model, name: str = "") -> None:
        """Begin to fetch a model, under its own name or ``name``; returns at once."""

    def cancel(self, folder_type: str, name: str) -> bool:
        """Stop a fetch; False if none runs."""
        return False

    def states(self) -> list[FetchState]:
        """Return the running fetches and the latest that ended, oldest first."""
        return []

    def dismiss(self) -> None:
        """Forget the fetches that ended."""
