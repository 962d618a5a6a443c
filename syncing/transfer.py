"""Moves one file of a sync, in either direction: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..comfyui.cloud_files import FETCHED, STORED, UNCHANGED
from ..errors import AlreadyExists, Changed, IntegrityError, StorageError, disk_errors, sentence
from ..loading import resumable_download
from ..loading.download import SINGLE_MAX_BYTES
from ..loading.download_journal import journal_of
from ..storage import headers
from ..storage.base import ObjectInfo
from ..system import digests, locks
from ..system.durable_write import write_all
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import local_files
from .comparison import Comparison
from .plan import Plan, Result, Transfer

IN_MEMORY_BYTES = 1 << 20  # a file up to this size is read as a whole before it is sent
LARGE_BYTES = SINGLE_MAX_BYTES  # a larger file is moved over several connections
ATTEMPTS = 3  # if a file or object is written to while it is moved
_CHECK_FILE = "Check the file and the disk."
_CHECK_FOLDER = "Check the disk and the folder's permissions; on Windows, whether a program has it open."


@dataclass(frozen=True)
class Moved:
    """A file that was moved, and what the local one was like then."""

    result: Result
    file: Fingerprint


def upload(plan: Plan, one: Transfer, meter: Meter, say: Callable[[str], object]) -> Moved:
    """Store the file, with its checksum. Raises StorageError; IntegrityError for one that keeps changing."""
    known = dict(one.digests)
    for _ in range(ATTEMPTS):
        own = meter.part()
        with disk_errors("read what to upload", one.path, _CHECK_FILE):
            file = Fingerprint.of(one.path)
            meter.expect(file.size - plan.size(one))
            try:
                source, checksums = _source(one, file, known if file == one.file else {}, own, say)
                if Fingerprint.of(one.path) == file:  # it was not written to while it was read
                    options = plan.storage.recording(headers.media_type(one.path), *checksums)
                    create = not plan.options.overwrite  # then the listing of the plan had no such key
                    info = plan.storage.put(one.key, source, options, own, create=create, listed_free=create)
                    if isinstance(source, bytes) or Fingerprint.of(one.path) == file:
                        return Moved(Result(one.name, STORED, one.path, one.key, file.size, info), file)
            except BaseException:
                _take_back(own, meter)
                raise
            finally:
                meter.expect(plan.size(one) - file.size)
        _take_back(own, meter)
        if not plan.options.overwrite:
            break
    said = f"something writes to it, and {one.key} is no whole copy of it"
    advice = "Repeat this when nothing writes to the file."
    raise IntegrityError(sentence(f"upload {one.path.name!r}", plan.storage.place, said, advice))


def _take_back(own: Meter, meter: Meter) -> None:
    meter.add(-own.done)


def _source(
    one: Transfer, file: Fingerprint, known: dict[str, str], meter: Meter, say: Callable[[str], object]
) -> tuple[bytes | Path, tuple[str, str]]:
    """Return what to send, and its checksums: see ``digests.sha256_and_pieces``."""
    if file.size <= IN_MEMORY_BYTES:
        data = one.path.read_bytes()
        return data, (hashlib.sha256(data).hexdigest(), "")
    say(f"Computing the checksum of {one.path.name}")
    has_pieces = file.size > digests.PIECE_BYTES
    if "sha256" in known and (digests.PIECES in known or not has_pieces):
        return one.path, (known["sha256"], known.get(digests.PIECES, ""))
    return one.path, digests.sha256_and_pieces(one.path, meter)


def download(
    plan: Plan, one: Transfer, targets: local_files.Targets, meter: Meter, say: Callable[[str], object]
) -> Moved:
    """Write the object to its file, which is replaced as a whole. Raises StorageError."""
    tried = f"download {one.key!r}"
    with disk_errors(tried, one.path, _CHECK_FOLDER):
        if why := targets.prepare(one.path):
            raise StorageError(
                sentence(tried, str(one.path), why, "Remove the link, or choose another folder.")
            )
        if plan.size(one) > LARGE_BYTES:
            return _download_large(plan, one, meter, say)
        own = meter.part()
        try:
            return _download_small(plan, one, own)
        except BaseException:
            _take_back(own, meter)
            raise


def _download_small(plan: Plan, one: Transfer, meter: Meter) -> Moved:
    info, chunks = plan.storage.stream(one.key, meter=meter)
    arriving = local_files.temporary(one.path)
    digest = hashlib.sha256() if info.sha256 else hashlib.md5(usedforsecurity=False)
    size = 0
    try:
        with arriving.open("xb", buffering=0) as file:
            for chunk in chunks:
                write_all(file, chunk)
                digest.update(chunk)
                size += len(chunk)
        _require_intact(plan, info, size, digest.hexdigest())
        return _replaced(plan, one, arriving, info)
    except BaseException:
        arriving.unlink(missing_ok=True)
        raise


def _require_intact(plan: Plan, info: ObjectInfo, size: int, digest: str) -> None:
    wanted = info.sha256 or info.md5
    if size == info.size and digest == (wanted or digest):
        return
    said = f"{size} of {info.size} bytes arrived"
    if size == info.size:
        said = "these are not the bytes that were uploaded, their checksum differs"
    advice = "Repeat it; if that does not help, upload it again."
    raise IntegrityError(sentence(f"download {info.key!r}", plan.storage.place, said, advice))


def _download_large(plan: Plan, one: Transfer, meter: Meter, say: Callable[[str], object]) -> Moved:
    """Resume what an earlier run has left. Another process that downloads the same file is waited for."""
    waited: list[bool] = []

    def wait_begins() -> None:
        waited.append(True)
        say(f"Waiting: {one.path.name} is already being downloaded")

    storage = plan.storage
    with locks.locked(one.path.with_name(f".{one.path.name}.lock"), meter, wait_begins):
        info = storage.stat(one.key)
        if waited and one.path.is_file():
            file = Fingerprint.of(one.path)
            if Comparison(storage, meter).is_same(one.path, file, info):
                meter.add(plan.size(one))
                return Moved(Result(one.name, UNCHANGED, one.path, one.key, info.size, info), file)
        part = resumable_download.part_of(one.path)
        meter.expect(-plan.size(one))  # which the download expects by itself
        for attempt in range(1, ATTEMPTS + 1):
            own = meter.part()
            try:
                resumable_download.download(storage, info, part, resumable_download.expected(info), own)
                break
            except BaseException as error:
                meter.expect(plan.size(one) - own.total)
                _take_back(own, meter)
                if not isinstance(error, Changed) or attempt == ATTEMPTS:
                    raise
            meter.expect(-plan.size(one))
            info = storage.stat(one.key)
        moved = _replaced(plan, one, part, info)
        journal_of(part).unlink(missing_ok=True)
        return moved


def _replaced(plan: Plan, one: Transfer, arrived: Path, info: ObjectInfo) -> Moved:
    """Give the file its name. Without ``overwrite`` no file that somebody made meanwhile is replaced."""
    if not plan.options.overwrite and one.path.exists():
        said, advice = "there is a file of that name by now", "Choose another name, or overwrite it."
        raise AlreadyExists(sentence(f"download {one.key!r}", str(one.path), said, advice))
    file = Fingerprint.of(arrived)
    arrived.replace(one.path)
    return Moved(Result(one.name, FETCHED, one.path, one.key, info.size, info), file)
