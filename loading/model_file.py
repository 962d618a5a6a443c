"""A model file from the bucket: downloaded when it has to be, once, and never over a file of somebody else.

One thread or process at a time works on a file; the others wait, and find it there. What they then find is
confirmed with one request. The copy of another object is somebody else's too: two nodes of one prompt may
want both, and loaders know a file by its name alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import (
    AlreadyExists,
    Changed,
    ConfigurationError,
    IntegrityError,
    StorageError,
    Unreachable,
    disk_told,
    sentence,
)
from ..storage.base import ObjectInfo, Storage
from ..system import digests, file_mark, locks
from ..system.file_mark import Mark
from ..system.meter import Meter
from . import model_record, resumable_download
from .download_journal import journal_of
from .model_record import Record
from .resumable_download import Digest

RESTARTS = 3  # in one run, when the object is replaced while it arrives
SHA256_DIGITS = 64
_CHECK_FOLDER = "Check the disk and the folder's permissions; on Windows, whether a program has it open."
# ComfyUI's loaders of LoRAs (nodes.py, LoraLoader) read a file once for every path
_KEPT_IN_MEMORY = (
    "A loader that has read the older one may go on with that, as those of LoRAs do: "
    "choose Unload Models and Execution Cache in ComfyUI's Edit menu, and queue again."
)


@dataclass(frozen=True)
class Wanted:
    """What to have locally: the object ``key`` as the file ``target``; with ``sha256`` nothing else will do.

    ``force`` downloads in any case, and over whatever is there.
    """

    key: str
    target: Path
    sha256: str = ""
    force: bool = False


@dataclass(frozen=True)
class Fetched:
    """``status`` says in a sentence how the file came to be there; ``etag`` is empty where nobody could
    confirm that it is current.
    """

    status: str
    etag: str


def clean_sha256(text: str) -> str:
    """A sha256 as typed, in lower case; "" for none. Raises ConfigurationError."""
    digits = text.strip().lower().removeprefix("sha256:")
    if digits and (len(digits) != SHA256_DIGITS or set(digits) - set("0123456789abcdef")):
        said = f"it has to be {SHA256_DIGITS} hexadecimal digits"
        raise ConfigurationError(sentence("use this sha256", text.strip()[:100], said, "Copy it again."))
    return digits


def fetch(storage: Storage, wanted: Wanted, meter: Meter, say: Callable[[str], object]) -> Fetched:
    """See to it that the file is there, whole and current; without the server, that it is there.

    ``say`` is told what is being waited for. After a failure the file is what it was before; what has arrived
    is kept for the next call. Raises AlreadyExists for a local file that is not the copy of this object, and
    what ``Storage.stat`` and ``resumable.download`` raise.
    """
    target = wanted.target
    lock = target.with_name(f".{target.name}.lock")

    def wait_begins() -> None:
        say(f"Waiting: somebody else is downloading {target.name}")

    with disk_told(f"download {wanted.key!r}", target, _CHECK_FOLDER):
        is_new = not target.parent.exists()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locks.locked(lock, meter, wait_begins):
                return _fetch(storage, wanted, meter, say)
        except StorageError:
            if is_new:  # of a key that does not exist, perhaps, and then no folder is wanted
                with contextlib.suppress(OSError):
                    target.parent.rmdir()
            raise


def state(storage: Storage, key: str, target: Path) -> str:
    """What is in the cloud, and whether there is a local copy of it, for ``IS_CHANGED`` to compare.

    Two keys may share a local file: a copy of the other one is none.
    """
    info = storage.stat(key)
    copy = _copy(model_record.read(target), storage, key)
    return info.etag if copy and copy.is_of(target) else f"{info.etag} and no copy"


def _copy(record: Record | None, storage: Storage, key: str) -> Record | None:
    """The record, if it is of this object."""
    return record if record and (record.bucket, record.key) == _object(storage, key) else None


def _object(storage: Storage, key: str) -> tuple[str, str]:
    return storage.bucket, f"{storage.path_prefix}{key}"


def _fetch(storage: Storage, wanted: Wanted, meter: Meter, say: Callable[[str], object]) -> Fetched:
    target = wanted.target
    record = model_record.read(target)
    copy = _copy(record, storage, wanted.key)
    usable = copy is not None and copy.is_of(target) and not wanted.force
    try:
        info = storage.stat(wanted.key)
    except Unreachable:
        if copy and usable and _satisfies(copy, wanted, meter, say):
            return Fetched("The server cannot be reached: this is the file downloaded earlier.", "")
        raise
    digest = _digest(storage, info, wanted)
    if copy and usable and info.etag and copy.etag == info.etag and _satisfies(copy, wanted, meter, say):
        return Fetched("Unchanged: this is the file downloaded earlier.", info.etag)
    older = target.exists()
    if older and not wanted.force and not (copy and copy.is_ours(target)):
        say(f"Comparing {target.name} with the object")
        if not _same(target, info.size, digest, meter):
            raise _not_ours(storage, wanted, record, digest)
        _note(target, _object(storage, info.key), info, digest, None)
        return Fetched("The file was there already, with the same content.", info.etag)
    former = file_mark.mark_of(target) if record and record.is_ours(target) else None
    info = _arrive(storage, info, wanted, former, meter)
    status = f"Downloaded {target.name}."
    return Fetched(f"{status} {_KEPT_IN_MEMORY}" if older else status, info.etag)


def _satisfies(copy: Record, wanted: Wanted, meter: Meter, say: Callable[[str], object]) -> bool:
    """Whether a copy has the sha256 that is asked for; it is computed once where it was not yet."""
    if not wanted.sha256:
        return True
    found = copy.sha256
    if not found:
        say(f"Computing the sha256 of {wanted.target.name}")
        found = digests.file_sha256(wanted.target, meter)
        model_record.write(wanted.target, replace(copy, sha256=found, former=None))
    return found == wanted.sha256


def _digest(storage: Storage, info: ObjectInfo, wanted: Wanted) -> Digest | None:
    """What the content has to come to; refused at once where it is known that it will not."""
    if wanted.sha256 and info.sha256 and wanted.sha256 != info.sha256:
        said = f"its upload recorded the sha256 {info.sha256}, which is not the one given"
        advice = "Check sha256 and the key; the object is another file than the one you mean."
        raise IntegrityError(sentence(f"download {wanted.key!r}", storage.place, said, advice))
    return resumable_download.expected(info, wanted.sha256)


def _same(path: Path, size: int, digest: Digest | None, meter: Meter) -> bool:
    """Whether a local file has the object's content, as far as can be told without downloading that."""
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
    advice = "Give a subfolder to keep both, move the file away, or set force_redownload to replace it."
    return AlreadyExists(sentence(f"download {wanted.key!r}", storage.place, said, advice))


def _arrive(
    storage: Storage, info: ObjectInfo, wanted: Wanted, former: Mark | None, meter: Meter
) -> ObjectInfo:
    """Download the object and give it its name; anew, when it is replaced by another one meanwhile."""
    target = wanted.target
    part = resumable_download.part_of(target)
    for again in range(RESTARTS + 1):
        digest = _digest(storage, info, wanted)
        own = meter.part()
        try:
            resumable_download.download(storage, info, part, digest, own)
            break
        except Changed:
            if again == RESTARTS:
                raise
            meter.expect(-own.total)
            meter.add(-own.done)
            info = storage.stat(wanted.key)
    # The record first: a file without one would be taken for somebody else's.
    _note(target, _object(storage, info.key), info, digest, former, part)
    part.replace(target)
    journal_of(part).unlink(missing_ok=True)
    return info


def _note(
    target: Path,
    source: tuple[str, str],
    info: ObjectInfo,
    digest: Digest | None,
    former: Mark | None,
    content: Path | None = None,
) -> None:
    sha256 = digest.value if digest and digest.name == "sha256" else ""
    mark = file_mark.mark_of(content or target)
    model_record.write(target, Record(*source, info.etag, sha256, mark, former))
