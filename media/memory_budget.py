"""Reserves main memory, so that calls that run at the same time do not count the same free bytes.

The system counts memory as free until it is written to. Two calls that ask before either has written would
both be told the same number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

SPARE_BYTES = 300 << 20  # left free for a decoder and for what it reads ahead
_UNLIMITED = 1 << 62
_lock = threading.Lock()  # held while a call reads ``_reservations`` and adds to its own
_reservations: set[Reservation] = set()


class Reservation:
    """The memory that one call has reserved; used with ``with`` by one thread.

    ``free_bytes`` returns how much memory the system counts as free; None means enough. What is reserved and
    not filled is free again at the end of the ``with`` block.
    """

    def __init__(self, free_bytes: Callable[[], int] | None = None) -> None:
        self._free_bytes = free_bytes or (lambda: _UNLIMITED)
        self._unfilled = 0

    def reserve(self, choose: Callable[[int], int]) -> int:
        """Reserve and return as many bytes as ``choose`` returns for the number of free bytes.

        Raises what ``choose`` raises; then nothing is reserved.
        """
        with _lock:
            size = choose(self._free_bytes() - sum(each._unfilled for each in _reservations))
            self._unfilled += size
        return size

    def filled(self, size: int) -> None:
        """Release ``size`` bytes that were written to: the system itself counts them as used now."""
        self._unfilled = max(0, self._unfilled - size)

    def __enter__(self) -> Reservation:
        with _lock:
            _reservations.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        with _lock:
            _reservations.discard(self)
