"""One encoded file into a bucket: under the first free key of its name, or under exactly one.

Nothing that exists is replaced unless the user says so.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import AlreadyExists, Forbidden, NotFound, Scope, StorageError, taken
from ..storage import multipart
from ..storage.base import SHA256_METADATA, ObjectInfo, PutOptions, Storage
from ..system.digests import file_sha256
from ..system.meter import Meter
from .choices import FAIL, OVERWRITE, SKIP
from .names import Name
from .numbering import Turn


@dataclass(frozen=True)
class File:
    """One encoded file: its bytes or where they lie, its media type, and remarks for the user about how it
    was encoded. ``linkable`` says that nobody writes to that path any more: to keep such a file, a link to it
    is as good as a copy. ``known_sha256`` is its digest where that was computed already.
    """

    source: bytes | Path
    content_type: str
    notes: tuple[str, ...] = ()
    linkable: bool = False
    known_sha256: str = ""

    @property
    def size(self) -> int:
        """In bytes. Raises StorageError where the file cannot be looked at."""
        return multipart.size_of(self.source)

    def sha256(self, meter: Meter) -> str:
        """The hexadecimal digest; computing that of a large file is stopped by ``meter``."""
        if self.known_sha256:
            return self.known_sha256
        if isinstance(self.source, Path):
            return file_sha256(self.source, meter)
        return hashlib.sha256(self.source).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """The object that a file became, or with ``sent`` False, the one that ``skip`` found in its place."""

    info: ObjectInfo
    sent: bool = True


def look(storage: Storage, name: Name, if_exists: str) -> Outcome | None:
    """What ``store`` would find under this name and be done with: for what takes long to make, before that.

    Raises AlreadyExists for FAIL, and what ``Storage.stat`` does, except that a key may be without the right
    to look.
    """
    if if_exists not in (FAIL, SKIP):
        return None
    key = name.fixed()
    try:
        found = Outcome(storage.stat(key), sent=False)
    except NotFound:
        return None
    except Forbidden:
        if if_exists == FAIL:  # the write will tell
            return None
        raise
    if if_exists == FAIL:
        raise taken(key, storage.place)
    return found


def store(
    storage: Storage,
    name: Name,
    file: File,
    if_exists: str,
    meter: Meter,
    turn: Turn | None = None,
    trying: Callable[[str], object] = lambda key: None,
) -> Outcome:
    """Store ``file`` as ``if_exists`` says, one of IF_EXISTS; a ``turn`` is needed for NEW_NAME.

    ``trying`` is told each key before bytes are sent to it: when this fails, or the process dies, the object
    may be there all the same. Raises AlreadyExists and the errors of ``Storage.put``.
    """
    if turn is not None:
        return Outcome(_create(storage, name, file, turn, meter, trying))
    return _store(storage, name.fixed(), file, if_exists, meter, trying)


def _store(
    storage: Storage, key: str, file: File, if_exists: str, meter: Meter, trying: Callable[[str], object]
) -> Outcome:
    """Store under exactly this key, or not at all."""
    if if_exists == SKIP:
        with contextlib.suppress(NotFound):
            return Outcome(storage.stat(key), sent=False)
    options = _options(storage, file, meter)
    trying(key)
    try:
        return Outcome(storage.put(key, file.source, options, meter, create=if_exists != OVERWRITE))
    except AlreadyExists:
        if if_exists == SKIP:  # somebody else was faster than the look
            return Outcome(storage.stat(key), sent=False)
        raise


def _create(
    storage: Storage, name: Name, file: File, turn: Turn, meter: Meter, trying: Callable[[str], object]
) -> ObjectInfo:
    """Store under the first key of this name that is free."""
    refused: AlreadyExists | None = None
    options = _options(storage, file, meter)
    try:
        for key in turn.candidates(name, meter):
            trying(key)
            try:
                return storage.put(key, file.source, options, meter, create=True)
            except AlreadyExists as error:
                meter.expect(file.size)
                refused = error
    except StorageError as error:
        if error.scope is not Scope.OBJECT:  # the others, which will meet the same, are not to do so in line
            turn.run.place.give_up()
        raise
    raise refused or AssertionError("a name has at least one candidate")


def _options(storage: Storage, file: File, meter: Meter) -> PutOptions:
    return replace(
        storage.defaults,
        content_type=file.content_type,
        metadata={**storage.defaults.metadata, SHA256_METADATA: file.sha256(meter)},
    )
