"""A bucket in memory, for the order of saves: as much of a storage as reserving keys asks for."""

from __future__ import annotations

from collections.abc import Iterator

from cloud_storage.errors import NotFound
from cloud_storage.storage.base import ObjectInfo


class MemoryBucket:
    """Keys in the order of their bytes; ``failure`` is what every request raises while there is one."""

    root = place = "a bucket in memory"
    bucket = "memory"

    def __init__(self, keys: Iterator[str] = ()) -> None:
        self.keys = set(keys)
        self.failure: Exception | None = None
        self.requests: list[str] = []

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        self._asked(f"list {prefix}")
        found = sorted(key for key in self.keys if key.startswith(prefix) and key > after)
        yield from (ObjectInfo(key, 0, "") for key in found[:limit])

    def stat(self, key: str) -> ObjectInfo:
        self._asked(f"stat {key}")
        if key not in self.keys:
            raise NotFound(f"Could not read {key!r} (here): there is none. Look elsewhere.")
        return ObjectInfo(key, 0, "")

    def _asked(self, request: str) -> None:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
