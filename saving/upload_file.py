"""Uploads a file of this machine, unless the bucket has the same content under that name already.

Content is compared by size and checksum, so nothing travels to find out; a file is read once for its sha256,
which is stored with it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..errors import AccessDenied, IntegrityError, NotFound, disk_errors, sentence
from ..storage import headers
from ..storage.base import ObjectInfo, Storage
from ..system import digests
from ..system.file_fingerprint import Fingerprint
from ..system.locks import KeyedLock
from ..system.meter import Meter
from . import store_file
from .choices import NEW_NAME
from .list_order import Call
from .names import COUNTER_DIGITS, Name, NameContext, Template

# A lock per path: a second upload of a file waits, and finds the object of the first.
of_one_file = KeyedLock()

_CHECK_FILE = "Check the file and the disk."
LOOKED_AT = 1000  # keys of a name's series are compared with the file at most


@dataclass(frozen=True)
class UploadedFile:
    """The object of that name, which has the file's content now unless ``status``, a sentence for the user,
    says otherwise; ``sent`` is False if it was there already.
    """

    info: ObjectInfo
    status: str
    sent: bool = False

    @property
    def key(self) -> str:
        return self.info.key


def name(key_prefix: str, filename: str, file_name: str, context: NameContext, max_bytes: int) -> Name:
    """The object's name: ``filename`` with the file's extension, or where that is empty, the file's name.

    Raises ConfigurationError.
    """
    if not filename.strip():
        return kept_name(key_prefix, file_name, context, max_bytes)
    extension = Path(file_name).suffix.removeprefix(".")
    return Template(key_prefix, filename, extension, max_bytes).name(context)


def kept_name(key_prefix: str, file_name: str, context: NameContext, max_bytes: int) -> Name:
    """The name of an object that is called as its file: tokens are replaced in ``key_prefix`` alone.

    ``file_name`` may have folders. Raises ConfigurationError.
    """
    placeholder = Template(key_prefix, "x", "", max_bytes).name(context)
    extension = PurePosixPath(file_name).suffix
    *before, last = placeholder.pieces
    stem = last[:-1] + unicodedata.normalize("NFC", file_name.removesuffix(extension))
    kept = replace(placeholder, pieces=(*before, stem), extension=extension)
    kept.fixed()  # raises for a bad key before the first byte is read
    return kept


def upload(
    storage: Storage,
    name: Name,
    path: Path,
    if_exists: str,
    meter: Meter,
    say: Callable[[str], object],
    call: Call,
) -> UploadedFile:
    """Store the file under ``name``; large ones go in parts, straight from disk. Of several calls of a node
    each stores under a key of its own.

    ``if_exists`` is one of ``choices.IF_EXISTS``; whichever it is, content that is there already is not sent
    again. ``say`` is called while the file is read for its checksum. What cannot be stored is not kept in the
    outbox: the file stays where it is. Raises what ``store_file.store`` does.
    """
    say(f"Computing the checksum of {path.name}")
    with disk_errors("read what to upload", path, _CHECK_FILE):
        fingerprint = Fingerprint.of(path)
        known = sha256, _ = digests.sha256_and_pieces(path, meter)
    size = fingerprint.size

    @functools.cache
    def md5() -> str:
        return digests.file_digest(path, "md5", meter)

    def is_same(info: ObjectInfo) -> bool:
        if info.size != size or not (info.sha256 or info.md5):
            return False
        with disk_errors("read what to upload", path, _CHECK_FILE):
            return info.sha256 == sha256 if info.sha256 else info.md5 == md5()

    # A number is reserved only for a file that needs one; a fixed key has to be known before it is looked at.
    reserved = None if if_exists == NEW_NAME else call.reserve(storage, [name], if_exists, meter)[0]
    for info in _namesakes(storage, reserved.name if reserved else name, if_exists, size):
        if is_same(info):
            return _held_already(info)
    if reserved is None:
        (reserved,) = call.reserve(storage, [name], if_exists, meter)
    meter.expect(size)
    _refuse_written_to(path, fingerprint, storage)
    file = store_file.File(path, headers.media_type(path), known=known)
    stored = store_file.store(reserved, file, if_exists, meter)
    key = stored.info.key
    if not stored.sent and is_same(stored.info):  # which another machine has just stored
        return _held_already(stored.info)
    if not stored.sent:
        return UploadedFile(stored.info, f"{key} is there already, with other content. Nothing was sent.")
    _refuse_written_to(path, fingerprint, storage, key)
    return UploadedFile(stored.info, f"Saved {key}.", sent=True)


def _held_already(info: ObjectInfo) -> UploadedFile:
    return UploadedFile(info, f"The bucket holds this content already: {info.key}. Nothing was sent.")


def _refuse_written_to(path: Path, fingerprint: Fingerprint, storage: Storage, key: str = "") -> None:
    """Raise for a file that is not as it was when its checksum was computed; ``key`` is what it became."""
    with disk_errors("read what to upload", path, _CHECK_FILE):
        if Fingerprint.of(path) == fingerprint:
            return
    said = "something wrote to it meanwhile"
    advice = "Run the node again when the file is finished."
    if key:
        said, advice = f"{said}, and {key} is no whole copy of it", f"{advice} Delete {key}."
    raise IntegrityError(sentence(f"upload {path.name!r}", storage.place, said, advice))


def _namesakes(storage: Storage, name: Name, if_exists: str, size: int) -> Iterator[ObjectInfo]:
    """The objects of this name and size: the one of exactly this key, and those with a number after it if a
    taken name gets one. A key that may not look finds none, and is refused or not by the write.
    """
    with contextlib.suppress(NotFound, AccessDenied):
        info = storage.stat(name.fixed())
        if info.size == size:
            yield info
    if if_exists != NEW_NAME:
        return
    tail = name.pieces[-1] if name.has_counter else ""
    numbered = re.compile(rf"\d{{{COUNTER_DIGITS},}}{re.escape(tail + name.extension)}")
    with contextlib.suppress(AccessDenied):
        for listed in itertools.islice(storage.list(name.head), LOOKED_AT):
            if listed.size == size and numbered.fullmatch(listed.key[len(name.head) :]):
                with contextlib.suppress(NotFound):
                    yield storage.stat(listed.key)
