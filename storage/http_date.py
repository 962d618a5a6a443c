"""Read the dates of HTTP headers."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime


@functools.lru_cache(256)  # the same second is named by many answers
def parsed(header: str | None) -> datetime | None:
    """Return the time that a Date or Last-Modified header names, in UTC; None if it is missing or wrong."""
    try:
        date = parsedate_to_datetime(header or "")
    except (TypeError, ValueError):
        return None
    return date.astimezone(timezone.utc) if date.tzinfo else date.replace(tzinfo=timezone.utc)
