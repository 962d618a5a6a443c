"""Limits how many bytes the uploads of a profile send in a second, all together."""

from __future__ import annotations

import threading
import time

from ..system.meter import Meter


class Bandwidth:
    """A limit of ``per_second`` bytes, 0: none. Any thread may use it."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._lock = threading.Lock()
        self._free_at = 0.0

    def turn(self, count: int) -> float:
        """Reserve the time of ``count`` bytes; returns the seconds to wait until then."""
        if not self.per_second:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + count / self.per_second
            return self._free_at - now


class PacedMeter(Meter):
    """A meter that makes whoever counts bytes wait for their turn."""

    def __init__(self, bandwidth: Bandwidth, parent: Meter) -> None:
        super().__init__(parent=parent)
        self._bandwidth = bandwidth

    def add(self, count: int) -> None:
        super().add(count)
        if count > 0 and (seconds := self._bandwidth.turn(count)) > 0:
            self.wait(seconds)
