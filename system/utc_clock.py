"""The time in UTC, which never stands still and never goes back."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

_last = datetime.min.replace(tzinfo=timezone.utc)
_clock = threading.Lock()


def now() -> datetime:
    """The time in UTC, later than whenever it was asked for before, whatever the clock does meanwhile."""
    global _last  # noqa: PLW0603  one clock for the process
    with _clock:
        _last = max(datetime.now(timezone.utc), _last + timedelta(microseconds=1))
        return _last
