"""The time in UTC, different at each call and never earlier than before."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

_last = datetime.min.replace(tzinfo=timezone.utc)
_lock = threading.Lock()


def now() -> datetime:
    """The time in UTC, later than at any earlier call, even if the clock is set back. For any thread."""
    global _last  # noqa: PLW0603  one clock for the process
    with _lock:
        _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
        return _last
