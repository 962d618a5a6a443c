"""What the page shows of the mirror of one profile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from .mirrored_folder import MirroredFolder
from .profile_mirror import ProfileMirror

SHOWN_FILES = 100
_ORDER = ("sending", "failed", "waiting", "writing")


def profile_state(mirror: ProfileMirror) -> dict[str, Any]:
    """Return the state as a JSON object, with the first SHOWN_FILES files. Reads no folder and no bucket."""
    waiting, size = mirror.counts()
    failure, settings = mirror.failure, mirror.profile.mirror
    files = [each for folder in mirror.folders for each in _files(folder)]
    files.sort(key=lambda each: _ORDER.index(each["status"]))
    return {
        "name": mirror.profile.name,
        "bucket": mirror.profile.bucket,
        "prefix": settings.prefix,
        "folders": [
            {"name": each.names.folder, "files": each.files, "note": each.note} for each in mirror.folders
        ],
        "waiting": waiting,
        "waiting_bytes": size,
        "stored": mirror.sent,
        "last_stored": mirror.last_stored and mirror.last_stored.isoformat(),
        "delete_after_days": settings.delete_after_days or None,
        "failing": failure is not None,
        "error": failure.error if failure else "",
        "since": failure.since.isoformat() if failure else None,
        "retry_in": max(0.0, failure.until - time.monotonic()) if failure else None,
        "files": files[:SHOWN_FILES],
    }


def _files(folder: MirroredFolder) -> Iterator[dict[str, Any]]:
    for one in folder.waiting():
        meter = one.meter
        status = "sending" if meter is not None else "failed" if one.error else "waiting"
        done = meter.done if meter is not None else 0
        yield _file(folder, one.name, one.file.size, status) | {"done": done, "error": one.error}
    for name, file in folder.writing().items():
        yield _file(folder, name, file.size, "writing") | {"done": 0, "error": ""}


def _file(folder: MirroredFolder, name: str, size: int, status: str) -> dict[str, Any]:
    shown = f"{folder.names.folder}/{name}"
    return {"name": shown, "key": folder.names.key(name), "size": size, "status": status}
