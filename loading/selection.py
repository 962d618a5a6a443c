"""Filters the objects of a folder by a pattern, sorts them, and takes every nth."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase

from ..storage.base import ObjectInfo, Storage
from ..storage.keys import existing_prefix

NAME, NEWEST, OLDEST = "name", "newest", "oldest"
FOLDER_SORTS = (NAME, NEWEST, OLDEST)  # of Load Image Folder

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)  # for a server that gives no date


def matching(storage: Storage, prefix: str, pattern: str) -> Iterator[ObjectInfo]:
    """Yield the objects below ``prefix`` whose remaining key matches ``pattern``, by key; no folder
    markers.
    """
    start = existing_prefix(prefix)
    return (
        info
        for info in storage.list(start)
        if not info.key.endswith("/") and fnmatchcase(info.key[len(start) :], pattern or "*")
    )


def state(found: Iterable[ObjectInfo]) -> str:
    """A digest of keys and ETags: it changes when the objects do."""
    return hashlib.sha256("\n".join(f"{info.key}\0{info.etag}" for info in found).encode()).hexdigest()


@dataclass(frozen=True)
class Choice:
    """Which objects to take: sort them, skip ``skip``, then take every ``nth``, at most ``limit``."""

    sort: str = NAME
    skip: int = 0
    nth: int = 1
    limit: int = 16

    def of(self, found: Iterable[ObjectInfo]) -> Iterator[ObjectInfo]:
        """The chosen objects. Sorted by name, they come while the listing does, and no more of that is
        requested than needed.
        """
        if self.sort != NAME:
            found = sorted(found, key=lambda info: info.modified or _LONG_AGO, reverse=self.sort == NEWEST)
        return itertools.islice(found, self.skip, self.skip + self.nth * self.limit, self.nth)
