"""The catalogue on disk: the latest listing of each bucket, so that a restarted ComfyUI knows its models."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..storage.base import ObjectInfo
from ..system import durable_write

FILE_NAME = "models_catalogue.json"
VERSION = 1  # of the form of the file; another one is not read

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Listing:
    """What one bucket held when it was ``listed`` (UTC). A sha256 is known of some objects."""

    listed: datetime
    objects: tuple[ObjectInfo, ...]


def read(file: Path) -> dict[str, Listing]:
    """Read the listings, by ``Member.place``; none if there is no file, or it is damaged."""
    try:
        said = json.loads(file.read_bytes())
        if said["version"] != VERSION:
            return {}
        return {place: _listing(entry) for place, entry in said["listings"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        log.warning("The list of models on disk is not used, it is made anew: %s", error)
        return {}


def write(file: Path, listings: Mapping[str, Listing]) -> None:
    """Write the listings, all or nothing. A disk that takes none is logged: only a restart needs them."""
    content = {
        "version": VERSION,
        "listings": {
            place: {"listed": listing.listed.timestamp(), "objects": [_row(one) for one in listing.objects]}
            for place, listing in listings.items()
        },
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        durable_write.replace(file, json.dumps(content, separators=(",", ":")).encode())
    except OSError as error:
        log.warning("The list of models could not be written to disk: %s", error)


def _row(info: ObjectInfo) -> list[Any]:
    modified = info.modified.timestamp() if info.modified else None
    return [info.key, info.size, info.etag, modified, info.sha256]


def _listing(entry: Any) -> Listing:  # noqa: ANN401  of JSON
    objects = []
    for key, size, etag, modified, sha256 in entry["objects"]:
        if not all(isinstance(text, str) for text in (key, etag, sha256)) or not isinstance(size, int):
            raise ValueError(f"not an object: {key!r}")
        objects.append(ObjectInfo(key, size, etag, _time(modified), sha256=sha256))
    listed = _time(entry["listed"])
    if listed is None:
        raise ValueError("no date of the listing")
    return Listing(listed, tuple(objects))


def _time(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    if not math.isfinite(seconds):
        raise ValueError(f"not a date: {seconds}")
    return datetime.fromtimestamp(seconds, timezone.utc)
