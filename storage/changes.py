"""Tells whoever keeps a list of keys what this process stores and deletes in buckets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Called with the Storage, the key, and the ObjectInfo, or None if it was deleted; in the thread that did it.
Watcher = Callable[[Any, str, Any], None]

_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Call ``watcher``, which raises nothing, after each change from now on."""
    if watcher not in _watchers:
        _watchers.append(watcher)


def tell(storage: Any, key: str, info: Any) -> None:  # noqa: ANN401  base.py imports this module
    """Call the watchers."""
    for watcher in tuple(_watchers):
        watcher(storage, key, info)
