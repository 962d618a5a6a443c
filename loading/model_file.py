"""Keeps a local copy of a model in the bucket: downloaded once, and never over a file of another origin.

Threads and processes that want the same file wait for each other; the second finds the file and confirms it
with one request. The copy of another object is of another origin too: two nodes of one prompt may need both,
and loaders know a file only by its name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ..comfyui import cloud_files
from ..comfyui.cloud_files import FETCHED, UNCHANGED, CloudFile
from ..errors import (
    AlreadyExists,
    Changed,
    ConfigurationError,
    IntegrityError,
    StorageError,
    Unreachable,
    disk_errors,
    sentence,
)
from ..storage.base import ObjectInfo, Storage
from ..system import digests, locks
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import model_record, resumable_download
from .download_journal import journal_of
from .model_record import Record
from .resumable_download import Digest

RESTARTS = 3  # in one run, if the object is replaced during the download
SHA256_DIGITS = 64
_CHECK_FOLDER = "Check the disk and the folder's permissions; on Windows, whether a program has it open."
# ComfyUI's loaders of LoRAs (nodes.py, LoraLoader) read a file once for every path
_KEPT_IN_MEMORY = (
    "A loader may still use the older file, which it keeps in memory, as those of LoRAs do: "
    "choose Unload Models and Execution Cache in ComfyUI's Edit menu, and queue again."
)


Room = Callable[[int], AbstractContextManager[object]]  # for so many bytes, as long as they are needed


@dataclass(frozen=True)
class Wanted:
    """The object ``key``, wanted as the file ``target``; with ``sha256`` only that content is accepted.

    ``force`` downloads in any case and replaces the file that is there.
    """

    key: str
    target: Path
    sha256: str = ""
    force: bool = False


@dataclass(frozen=True)
class LocalModel:
    """The file is there: ``status`` is a sentence for the user; ``info`` is None if the server could not be
    reached, so that nobody knows whether the file is current; ``fetched`` says that it was downloaded.
    """

    status: str
    info: ObjectInfo | None
    fetched: bool = False

    @property
    def etag(self) -> str | None:
        """The object's; None if it is not known."""
        return self.info.etag if self.info else None

    def cloud_file(self, storage: Storage, key: str, profile: str) -> CloudFile:
        """The file for programs; ``profile`` is the name of its profile."""
        status = FETCHED if self.fetched else UNCHANGED
        if self.info is None:
            return CloudFile(status, storage.bucket, key, profile=profile)
        return cloud_files.of_object(status, storage, self.info, profile)


def clean_sha256(text: str) -> str:
    """A typed sha256 as 64 lower-case digits, or "". Raises ConfigurationError."""
    digits = text.strip().lower().removeprefix("sha256:")
    if digits and (len(digits) != SHA256_DIGITS or set(digits) - set("0123456789abcdef")):
        said = f"it has to be {SHA256_DIGITS} hexadecimal digits"
        raise ConfigurationError(sentence("use this sha256", text.strip()[:100], said, "Copy it again."))
    return digits


def lock_of(target: Path) -> Path:
    """The lock file of the file ``target``: who holds it may replace or remove the file."""
    return target.with_name(f".{target.name}.lock")


def fetch(
    storage: Storage,
    wanted: Wanted,
    meter: Meter,
    say: Callable[[str], object],
    room: Room = contextlib.nullcontext,
) -> LocalModel:
    """Download the model if the file is missing or not current; if the server cannot be reached, use the
    file.

    ``say`` is called with a text while this waits. Bytes move within ``room``, which is called with the size
    of the object and may raise. After a failure the file is as before, and the bytes that have arrived are
    kept for the next call. Raises AlreadyExists if the file is not a copy of this object, and what
    ``Storage.stat`` and ``resumable_download.download`` raise.
    """
    target = wanted.target

    def wait_begins() -> None:
        say(f"Waiting: {target.name} is already being downloaded")

    with disk_errors(f"download {wanted.key!r}", target, _CHECK_FOLDER):
        is_new = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locks.locked(lock_of(target), meter, wait_begins):
                return _fetch(storage, wanted, meter, say, room)
        except StorageError:
            if is_new:  # the key may not exist, and then no empty folder should stay
                with contextlib.suppress(OSError):
                    target.parent.rmdir()
            raise


def state(storage: Storage, key: str, target: Path) -> str:
    """The object's ETag and whether the file is a copy of this object, as text for ``IS_CHANGED``.

    Two keys may mean one file: a copy of the other object does not count.
    """
    info = storage.stat(key)
    return info.etag if is_copy(storage, key, target) else f"{info.etag} and no copy"


def is_copy(storage: Storage, key: str, target: Path) -> bool:
    """Whether the file is a copy of this object, unchanged since it was downloaded. Sends no request."""
    copy = _copy(model_record.read(target), storage, key)
    return copy is not None and copy.is_of(target)


def _copy(record: Record | None, storage: Storage, key: str) -> Record | None:
    """The record, if it is of this object, else None."""
    return record if record and (record.bucket, record.key) == _object(storage, key) else None


def _object(storage: Storage, key: str) -> tuple[str, str]:
    return storage.bucket, f"{storage.path_prefix}{key}"


def _fetch(
    storage: Storage, wanted: Wanted, meter: Meter, say: Callable[[str], object], room: Room
) -> LocalModel:
    target = wanted.target
    record = model_record.read(target)
    copy = _copy(record, storage, wanted.key)
    usable = copy is not None and copy.is_of(target) and not wanted.force
    try:
        info = storage.stat(wanted.key)
    except Unreachable:
        if copy and usable and _satisfies(copy, wanted, meter, say):
            return LocalModel("The server cannot be reached: this is the file downloaded earlier.", None)
        raise
    digest = _digest(storage, info, wanted)
    if copy and usable and info.etag and copy.etag == info.etag and _satisfies(copy, wanted, meter, say):
        return LocalModel("Unchanged: this is the file downloaded earlier.", info)
    older = target.exists()
    if older and not wanted.force and not (copy and copy.is_ours(target)):
        say(f"Comparing {target.name} with the object")
        if not _same(target, info.size, digest, meter):
            raise _not_ours(storage, wanted, record, digest)
        _note(target, _object(storage, info.key), info, digest, None)
        return LocalModel("The file was there already, with the same content.", info)
    former = Fingerprint.of(target) if record and record.is_ours(target) else None
    info = _download(storage, info, wanted, former, meter, room)
    status = f"Downloaded {target.name}."
    return LocalModel(f"{status} {_KEPT_IN_MEMORY}" if older else status, info, fetched=True)


def _satisfies(copy: Record, wanted: Wanted, meter: Meter, say: Callable[[str], object]) -> bool:
    """Whether a copy has the wanted sha256; if its record has none, compute it and record it."""
    if not wanted.sha256:
        return True
    found = copy.sha256
    if not found:
        say(f"Computing the sha256 of {wanted.target.name}")
        found = digests.file_sha256(wanted.target, meter)
        model_record.write(wanted.target, replace(copy, sha256=found, former=None))
    return found == wanted.sha256


def _digest(storage: Storage, info: ObjectInfo, wanted: Wanted) -> Digest | None:
    """The expected checksum. Raises IntegrityError if the upload recorded another sha256 than the wanted
    one.
    """
    if wanted.sha256 and info.sha256 and wanted.sha256 != info.sha256:
        said = f"its upload recorded another sha256, {info.sha256}"
        advice = "Check sha256 and the key: this object is not the file that you want."
        raise IntegrityError(sentence(f"download {wanted.key!r}", storage.place, said, advice))
    return resumable_download.expected(info, wanted.sha256)


def _same(path: Path, size: int, digest: Digest | None, meter: Meter) -> bool:
    """Whether a local file has the object's size and checksum; False if the object has no checksum."""
    if digest is None or path.stat().st_size != size:
        return False
    return digests.file_digest(path, digest.name, meter) == digest.value


def _not_ours(
    storage: Storage, wanted: Wanted, record: Record | None, digest: Digest | None
) -> AlreadyExists:
    if record and record.is_ours(wanted.target):
        said = f"{wanted.target} is the copy of another object, {record.key!r} of bucket {record.bucket!r}"
    else:
        compared = "differs from the object" if digest else "cannot be compared, the object has no checksum"
        said = f"{wanted.target} was not downloaded by this node and {compared}"
    advice = "Set a subfolder to keep both, move the file away, or set force_redownload to replace it."
    return AlreadyExists(sentence(f"download {wanted.key!r}", storage.place, said, advice))


def _download(
    storage: Storage, info: ObjectInfo, wanted: Wanted, former: Fingerprint | None, meter: Meter, room: Room
) -> ObjectInfo:
    """Download the object and rename it to the target; start again if the object is replaced meanwhile."""
    target = wanted.target
    part = resumable_download.part_of(target)
    for again in range(RESTARTS + 1):
        digest = _digest(storage, info, wanted)
        own = meter.part()
        try:
            with room(info.size):
                resumable_download.download(storage, info, part, digest, own)
                # The record first: a file without one would count as a file of another origin.
                _note(target, _object(storage, info.key), info, digest, former, part)
                part.replace(target)
            break
        except Changed:
            if again == RESTARTS:
                raise
            meter.expect(-own.total)
            meter.add(-own.done)
            info = storage.stat(wanted.key)
    journal_of(part).unlink(missing_ok=True)
    return info


def _note(
    target: Path,
    source: tuple[str, str],
    info: ObjectInfo,
    digest: Digest | None,
    former: Fingerprint | None,
    content: Path | None = None,
) -> None:
    sha256 = digest.value if digest and digest.name == "sha256" else ""
    fingerprint = Fingerprint.of(content or target)
    model_record.write(target, Record(*source, info.etag, sha256, fingerprint, former))
