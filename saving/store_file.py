"""One encoded file into a bucket: under the first free key of its name, or under exactly one.

Nothing that exists is replaced unless the user says so.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AlreadyExists, Forbidden, NotFound, taken
from ..media.media_facts import MediaFacts
from ..storage import multipart
from ..storage.base import ObjectInfo, Storage
from ..system.digests import sha256_and_pieces
from ..system.meter import Meter
from .choices import FAIL, OVERWRITE, SKIP
from .names import Name
from .numbering import Reservation


@dataclass(frozen=True)
class File:
    """One encoded file: its bytes or where they lie, its media type, and remarks for the user about how it
    was encoded. ``linkable`` says that nobody writes to that path any more: to keep such a file, a link to it
    is as good as a copy. ``known`` are its digests (see ``digests``) where they were computed already.
    ``facts`` are for programs.
    """

    source: bytes | Path
    content_type: str
    notes: tuple[str, ...] = ()
    linkable: bool = False
    known: tuple[str, str] | None = None
    facts: MediaFacts = field(default_factory=MediaFacts)

    @property
    def size(self) -> int:
        """In bytes. Raises StorageError where the file cannot be looked at."""
        return multipart.size_of(self.source)

    def digests(self, meter: Meter) -> tuple[str, str]:
        """The SHA-256 and the digest by PIECES, hexadecimal, the latter "" for bytes and for a file of one
        piece. Computing those of a large file is stopped by ``meter``.
        """
        if self.known is not None:
            return self.known
        if isinstance(self.source, Path):
            return sha256_and_pieces(self.source, meter)
        return hashlib.sha256(self.source).hexdigest(), ""


@dataclass(frozen=True)
class StoredObject:
    """The object of a file; ``sent`` is False for one that was there already."""

    info: ObjectInfo
    sent: bool = True


def look(storage: Storage, name: Name, if_exists: str) -> StoredObject | None:
    """Find out before a file is made whether ``store`` would skip or refuse it; None: it is to be made.

    Raises AlreadyExists for FAIL, and what ``Storage.stat`` does, except that a key may be without the right
    to look.
    """
    if if_exists not in (FAIL, SKIP):
        return None
    key = name.fixed()
    try:
        found = StoredObject(storage.stat(key), sent=False)
    except NotFound:
        return None
    except Forbidden:
        if if_exists == FAIL:  # the upload decides
            return None
        raise
    if if_exists == FAIL:
        raise taken(key, storage.place)
    return found


def store(
    reserved: Reservation,
    file: File,
    if_exists: str,
    meter: Meter,
    trying: Callable[[str], object] = lambda key: None,
) -> StoredObject:
    """Store ``file`` under its reserved key, as ``if_exists`` says, and release the key.

    ``trying`` is called with each key before bytes are sent to it: when this fails, or the process dies, the
    object may be there all the same. Raises AlreadyExists and the errors of ``Storage.put``.
    """
    storage = reserved.storage
    options = storage.recording(file.content_type, *file.digests(meter))
    refused: AlreadyExists | None = None
    try:
        for key in reserved.candidates():
            if if_exists == SKIP:
                with contextlib.suppress(NotFound):
                    return StoredObject(storage.stat(key), sent=False)
            if refused is not None:  # its bytes are sent once more
                meter.expect(file.size)
            trying(key)
            try:
                return StoredObject(
                    storage.put(key, file.source, options, meter, create=if_exists != OVERWRITE)
                )
            except AlreadyExists as error:
                if if_exists == SKIP:  # somebody else stored it since the look
                    return StoredObject(storage.stat(key), sent=False)
                refused = error
    finally:
        reserved.release()
    raise refused or AssertionError("there is at least one key")
