"""Workflows that the page saves to the bucket, to where the mirror stores those that ComfyUI saves: one
object for both, of which the later save counts.

The journal has what this ComfyUI's page has saved, so that the mirror does not take it for somebody else's.
"""

from __future__ import annotations

import json

from ..profile import Profile
from ..storage.base import ObjectInfo, Storage
from ..storage.multipart import SINGLE_MAX_BYTES
from ..system import utc_clock
from ..system.file_fingerprint import Fingerprint
from . import members
from .journal import STORED, Journal, Row

_NO_FILE = Fingerprint(0, 0)


def place(profile: Profile) -> str:
    """Return the place under which the journal has what the page has saved."""
    return f"{members.place(profile)}\nsaved"


def note(journal: Journal, profile: Profile, info: ObjectInfo, sha256: str) -> None:
    """Note what the page has saved. Raises ``sqlite3.Error``."""
    number, now = journal.begin(place(profile), {}), utc_clock.now().timestamp()
    row = Row(info.key, _NO_FILE, STORED, sha256, info.key, info.etag, own=True, stored_at=now)
    journal.write(number, [row])


def noted(journal: Journal, place: str, key: str) -> Row | None:
    """Return what the page has saved last under a key. Raises ``sqlite3.Error``."""
    number = journal.target(place)
    return None if number is None else journal.row(number, key)


def is_same(storage: Storage, info: ObjectInfo, data: bytes) -> bool:
    """Return if an object and a file are versions of one workflow. Raises StorageError."""
    identity = _identity(data)
    if not identity or info.size > SINGLE_MAX_BYTES:
        return False
    return _identity(storage.read(info.key, etag=info.etag)) == identity


def _identity(data: bytes) -> str:
    """The id that ComfyUI's page gives a workflow, and keeps; "" for none, which may be written as zeros."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    found = said.get("id") if isinstance(said, dict) else ""
    return found if isinstance(found, str) and found.strip("0-") else ""
