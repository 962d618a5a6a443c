"""Main memory that calls side by side have been promised and have not filled yet.

The system counts memory as free until it is written to: of two that ask before either has filled its share,
both would be told of the same bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_lock = threading.Lock()  # from a look at ``_promises`` to the promise made upon it
_promises: set[Promise] = set()


class Promise:
    """What one call has been promised: a context, at whose end the rest is given back, filled or not.

    ``free_bytes`` tells how much memory the system counts as free. To be used in one thread.
    """

    def __init__(self, free_bytes: Callable[[], int]) -> None:
        self._free_bytes = free_bytes
        self._unfilled = 0

    def take(self, choose: Callable[[int], int]) -> int:
        """Be promised as many bytes more as ``choose`` answers when it is told how many are free for that.

        Gives its answer; what it raises is raised, and nothing more is promised then.
        """
        with _lock:
            size = choose(self._free_bytes() - sum(promise._unfilled for promise in _promises))
            self._unfilled += size
        return size

    def filled(self, size: int) -> None:
        """Of what was promised, ``size`` bytes more are written to: the system itself counts them now."""
        self._unfilled = max(0, self._unfilled - size)

    def __enter__(self) -> Promise:
        with _lock:
            _promises.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            _promises.discard(self)
