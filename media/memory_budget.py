"""Reserves main memory, so that calls that run at the same time do not count the same free bytes.

The system counts memory as free until it is written to. Two calls that ask before either has written would
both get the same number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import MediaError, sentence

SPARE_BYTES = 300 << 20  # left free for a decoder and for what it reads ahead
_UNLIMITED = 1 << 62
_lock = threading.Lock()  # held while a call reads ``_reservations`` and adds to its own
_reservations: set[Reservation] = set()


class Reservation:
    """The memory that one call has reserved; used with ``with`` by one thread.

    ``tried`` and ``name`` begin its messages: "load the image", the file's name. ``free_bytes`` returns how
    much memory the system counts as free; None means enough. What is reserved and not filled is free again
    at the end of the ``with`` block.
    """

    def __init__(self, tried: str, name: str, free_bytes: Callable[[], int] | None = None) -> None:
        self._tried, self._name = tried, name
        self._free_bytes = free_bytes or (lambda: _UNLIMITED)
        self.reserved = self._unfilled = 0

    def reserve(
        self, needed: int, what: str, advice: Callable[[int], str], wanted: int = 0, spare: int = SPARE_BYTES
    ) -> None:
        """Reserve until this call has ``needed`` bytes in total, or up to ``wanted`` of those that are free.

        ``spare`` bytes are left free. Raises MediaError if too few are free; then nothing more is reserved.
        ``what`` is the beginning of the message: "its 4 frames take". ``advice`` returns its end, given how
        many bytes this call could have in total.
        """
        with _lock:
            free = self._free_bytes() - sum(each._unfilled for each in _reservations)
            available = self.reserved + max(0, free - spare)
            if needed > available:
                needs, has = f"{needed / 1e9:.1f}", f"{available / 1e9:.1f}"
                said = f"{what} {needs} GB once decoded, and {has} GB of memory are free for that"
                raise self.refusal(said, advice(available))
            more = max(0, min(max(needed, wanted), available) - self.reserved)
            self.reserved += more
            self._unfilled += more

    def refusal(self, said: str, advice: str) -> MediaError:
        return MediaError(sentence(self._tried, self._name, said, advice))

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
