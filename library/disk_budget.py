"""Keeps fetched copies within their budget: removes those that were not used for longest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .catalogue import Catalogue


@dataclass(frozen=True)
class Copy:
    """A file that this package fetched, unchanged since.

    ``key`` is as its record has it. ``in_bucket`` is what the catalogue knows; None: it does not list that
    bucket.
    """

    folder_type: str
    name: str
    path: Path
    size: int
    last_used: datetime
    key: str
    in_bucket: bool | None


@dataclass(frozen=True)
class Room:
    """Bytes: ``used`` by copies, of ``budget`` (None: no limit); ``free`` on the disk, of which ``keep_free``
    stay.
    """

    used: int
    budget: int | None
    free: int
    keep_free: int


def copies(catalogue: Catalogue) -> list[Copy]:
    """Return all copies, least recently used first."""
    return []


def room(catalogue: Catalogue) -> Room:
    """Return the room for copies."""
    return Room(0, None, 0, 0)
