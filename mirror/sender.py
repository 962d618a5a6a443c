"""Stores one file of the mirror, whatever was there before: never over somebody else's object, never twice.

What the bucket has is asked before anything is sent again, so that a process that was killed in between has
lost nothing and repeats nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import AlreadyExists, Changed, NotFound
from ..storage import headers
from ..storage.base import ObjectInfo, PutOptions, Storage
from ..storage.multipart import SINGLE_MAX_BYTES
from ..system import digests, utc_clock
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import saved_workflows
from .journal import SENDING, STORED, Journal, Row
from .names import Names

IN_MEMORY_BYTES = SINGLE_MAX_BYTES  # what is sent is then what was read, whoever writes to the file meanwhile


class WrittenTo(Exception):
    """Something wrote to the file while it was read or sent: it is not complete."""


@dataclass(frozen=True)
class Target:
    """A folder of this machine and where it goes; ``number`` is that of the journal. ``saved``: the journal's
    place of what the page saves into the same folder of the bucket, "" for none.
    """

    root: Path
    names: Names
    journal: Journal
    number: int
    saved: str = ""


@dataclass(frozen=True)
class _Content:
    """The content of a file, of which ``source`` is sent."""

    path: Path
    file: Fingerprint
    source: bytes | Path
    sha256: str
    options: PutOptions
    meter: Meter

    def is_of(self, info: ObjectInfo) -> bool:
        """Return if an object has the same content."""
        if info.size != self.file.size:
            return False
        if info.sha256 or not info.md5:
            return info.sha256 == self.sha256
        if isinstance(self.source, bytes):
            return hashlib.md5(self.source, usedforsecurity=False).hexdigest() == info.md5
        return digests.file_digest(self.source, "md5", self.meter) == info.md5

    def is_still_there(self) -> bool:
        return self.file.fits(self.path)


def send(target: Target, storage: Storage, name: str, file: Fingerprint, meter: Meter) -> Row:
    """Bring a file that was complete as ``file`` into the bucket, and note it in the journal.

    Raises WrittenTo, OSError for the file, StorageError, ``sqlite3.Error`` for the journal.
    """
    content = _content(target, storage, name, file, meter)
    row = target.journal.row(target.number, name)
    if row is not None and row.sha256 == content.sha256 and row.state == STORED and not row.gone:
        return _noted(target, replace(row, file=file))
    etag = ""  # of our own object, to be renewed
    keys = target.names.keys(name, content.sha256, storage.room_for_key)
    if row is not None and row.key and not row.gone:
        found = _look(storage, row.key)
        # The object of an upload during which the file changed has a checksum that may not be its own.
        is_whole = row.state != SENDING or row.file == file
        if found is not None and is_whole and content.is_of(found):
            return _stored(target, name, content, found, row.own or row.state == SENDING)
        if found is None or _is_ours(row, found):
            etag = found.etag if found else ""
            keys = _first(row.key, keys)
    if not etag and (saved := _saved_by_page(target, storage, name, content)):
        if saved.stored_at > file.modified_ns / 1e9:  # the later save counts
            return _noted(target, replace(saved, name=name, file=file, sha256=content.sha256))
        etag, keys = saved.etag, _first(saved.key, keys)
    for key in keys:
        # If this process ends meanwhile, the next one knows its own object by this.
        is_renewed = row is not None and row.key == key
        begun = Row(name, file, SENDING, content.sha256, key, etag, own=is_renewed)
        target.journal.write(target.number, [begun])
        try:
            info = storage.put(key, content.source, content.options, meter, create=not etag, replaces=etag)
        except (AlreadyExists, Changed):
            etag = ""
            found = _look(storage, key)
            if found is not None and content.is_of(found):
                is_own = row is not None and row.key == key and row.own
                return _stored(target, name, content, found, is_own)
            continue
        return _stored(target, name, content, info, own=True)
    raise AlreadyExists(f"Could not store {name!r}: all its names are taken. Rename the file.")


def _saved_by_page(target: Target, storage: Storage, name: str, content: _Content) -> Row | None:
    """Return what the page has saved as the same workflow, if that is what the bucket has."""
    if not target.saved or not isinstance(content.source, bytes):
        return None
    key = next(target.names.keys(name, content.sha256, storage.room_for_key))
    noted = saved_workflows.noted(target.journal, target.saved, key)
    found = _look(storage, key) if noted else None
    if noted is None or found is None or found.etag != noted.etag or content.is_of(found):
        return None
    return noted if saved_workflows.is_same(storage, found, content.source) else None


def _first(key: str, others: Iterator[str]) -> Iterator[str]:
    yield key
    yield from (other for other in others if other != key)


def _is_ours(row: Row, found: ObjectInfo) -> bool:
    """Return if an object is the one that this mirror has made from the file, and nobody has replaced it."""
    if row.etag and found.etag == row.etag:
        return row.own
    return row.state == SENDING and bool(row.sha256) and found.sha256 == row.sha256


def _content(target: Target, storage: Storage, name: str, file: Fingerprint, meter: Meter) -> _Content:
    path = target.root / name
    source: bytes | Path = path
    pieces = ""
    if file.size <= IN_MEMORY_BYTES:
        source = path.read_bytes()
        sha256 = hashlib.sha256(source).hexdigest()
    else:
        sha256, pieces = digests.sha256_and_pieces(path, meter)
    if Fingerprint.of(path) != file:
        raise WrittenTo(name)
    options = storage.recording(headers.media_type(path), sha256, pieces)
    return _Content(path, file, source, sha256, options, meter)


def _look(storage: Storage, key: str) -> ObjectInfo | None:
    with contextlib.suppress(NotFound):
        return storage.stat(key)
    return None


def _stored(target: Target, name: str, content: _Content, info: ObjectInfo, own: bool) -> Row:
    mixed = isinstance(content.source, Path) and not content.is_still_there()
    state, now = SENDING if mixed else STORED, utc_clock.now().timestamp()
    row = Row(name, content.file, state, content.sha256, info.key, info.etag, own, stored_at=now)
    _noted(target, row)
    if mixed:
        raise WrittenTo(name)
    return row


def _noted(target: Target, row: Row) -> Row:
    target.journal.write(target.number, [row])
    return row
