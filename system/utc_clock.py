"""Get the time in UTC, later at each call."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

_last = datetime.min.replace(tzinfo=timezone.utc)
_lock = threading.Lock()


def now() -> datetime:
    """Return the time in UTC, later than at any earlier call, even if the clock is set back. Thread-safe."""
    global _last  # noqa: PLW0603  one clock for the process
    with _lock:
        _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
        return _last
