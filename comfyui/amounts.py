"""Formats counts, sizes, rates and remaining times for people."""

from __future__ import annotations

from collections import deque

KILO, MEGA, GIGA = 1e3, 1e6, 1e9
MINUTE_SECONDS, HOUR_SECONDS = 60, 3600

WINDOW_SECONDS = 10.0  # the time over which a rate is averaged
NOTES = 2  # values needed for a rate
FIRST_SECONDS = 3.0  # no rate before that: it would jump


def several(count: int, one: str, many: str) -> str:
    """Fill ``count`` into ``one``, "{} image", or ``many``, "{} images"; both are in web/messages_zh.js."""
    return (one if count == 1 else many).format(count)


def in_bytes(count: float) -> str:
    """Format a number of bytes: "1.2 GB", "12.3 MB", "4.5 kB" or "678 B"."""
    if count < KILO:
        return f"{count:.0f} B"
    if count >= GIGA:
        return f"{count / GIGA:.1f} GB"
    return f"{count / MEGA:.1f} MB" if count >= MEGA else f"{count / KILO:.1f} kB"


def in_time(seconds: float) -> str:
    """Format seconds, rounded up: "40 s", "3 min" or "1 h 20 min"."""
    whole = -int(-seconds // 1)
    if whole <= MINUTE_SECONDS:
        return f"{whole} s"
    minutes = -(-whole // MINUTE_SECONDS)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Rate:
    """The rate at which a number grows, from values noted at times of any monotonic clock."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, now: float, done: int) -> None:
        """Note that ``done`` is reached at ``now`` seconds; a smaller number than before starts again."""
        if self._noted and done < self._noted[-1][1]:
            self._noted.clear()
        self._noted.append((now, done))
        while len(self._noted) > NOTES and now - self._noted[1][0] >= WINDOW_SECONDS:
            self._noted.popleft()

    def per_second(self) -> float | None:
        """The rate; None if it is not known yet, or if the number does not grow."""
        if not self._noted:
            return None
        seconds = self._noted[-1][0] - self._noted[0][0]
        grown = self._noted[-1][1] - self._noted[0][1]
        return grown / seconds if seconds >= FIRST_SECONDS and grown > 0 else None

    def words(self, total: int) -> str:
        """Format the rate as ", 12.3 MB/s, 40 s left"; ``total`` is in bytes, 0 if unknown. "" without a
        rate.
        """
        rate = self.per_second()
        if rate is None:
            return ""
        left = total - self._noted[-1][1]
        return f", {in_bytes(rate)}/s" + (f", {in_time(left / rate)} left" if left > 0 else "")
