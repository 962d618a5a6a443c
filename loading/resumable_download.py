"""A download that resumes where an earlier one stopped, also one of a process that was killed.

The bytes are written to ``<name>.part``, and beside it is its journal (``download_journal.py``). Callers must
see to it that only one download at a time uses the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, StorageError, TransferCancelled, disk_errors, sentence
from ..storage.base import ObjectInfo, Storage
from ..system import digests
from ..system.meter import Meter
from .download import fetch_ranges
from .download_journal import Journal, Version, sync

WAIT_SECONDS = 0.2  # after which the thread that computes the checksum looks whether to stop
BLOCK_BYTES = 1 << 20
_RESUMES = "Check the disk, then run the node again: the download resumes where it stopped."


@dataclass(frozen=True)
class Digest:
    """The expected checksum: ``name`` is an algorithm of ``digests.file_digest``, ``value`` hexadecimal
    digits.
    """

    name: str
    value: str


def expected(info: ObjectInfo, sha256: str = "") -> Digest | None:
    """The checksum to compare with: the user's sha256, of those that the upload recorded the one by pieces,
    which several threads compute, or the MD5.
    """
    if info.pieces and not sha256:
        return Digest(digests.PIECES, info.pieces)
    if sha256 or info.sha256:
        return Digest("sha256", sha256 or info.sha256)
    return Digest("md5", info.md5) if info.md5 else None


def part_of(target: Path) -> Path:
    """The path to which the bytes of ``target`` are written."""
    return target.with_name(f"{target.name}.part")


def download(storage: Storage, info: ObjectInfo, part: Path, digest: Digest | None, meter: Meter) -> None:
    """Write this version of the object to ``part``: complete, checked and synced to disk when this returns.

    After a failure ``part`` and its journal stay, so that the next call resumes. They are deleted if they are
    of another version, or if the checksum differs from ``digest``. Bytes that are there already count on
    ``meter`` at once. Raises what ``fetch_ranges`` does, IntegrityError, and StorageError for the disk, also
    before the first byte if there is not enough free space.
    """
    tried = f"download {info.key!r}"
    version = Version(storage.root, info.key, info.etag, info.size)
    with disk_errors(tried, part, _RESUMES), Journal(part, version) as journal:
        meter.expect(info.size)
        meter.add(journal.done)
        _refuse_full_disk(tried, part, info.size - journal.done)
        digesting = digest and _Digesting(part, digest, info.size, journal, meter)
        with digesting or contextlib.nullcontext():
            fetch_ranges(storage, info, part, journal.missing(), meter, journal.note)
            found = digesting.result() if digesting else ""
        size = part.stat().st_size
        if size != info.size or (digest and found != digest.value):
            part.unlink()
            journal.remove()
            raise _other_bytes(tried, storage, digest, info.size, size)
        sync(part)


def _other_bytes(
    tried: str, storage: Storage, digest: Digest | None, wanted: int, arrived: int
) -> IntegrityError:
    if arrived != wanted:
        said, advice = f"{arrived} of {wanted} bytes arrived", "Run the node again."
    elif digest and digest.name == "md5":
        said = "these are not the bytes of the object's ETag, their MD5 differs"
        advice = "Run the node again; if that does not help, type the file's checksum into sha256."
    else:
        said = "these are not the expected bytes, their sha256 differs"
        advice = "Run the node again; if that does not help, check sha256, or upload the file again."
    return IntegrityError(sentence(tried, storage.place, said, advice))


def _refuse_full_disk(tried: str, part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        said = f"{missing:,} bytes are missing, and the disk has {free:,} free"
        raise StorageError(sentence(tried, str(part.parent), said, "Free some space and run the node again."))


# ------------------------------------------------------------ the checksum, while the bytes arrive


class _Digesting:
    """Computes the checksum of ``part`` right after the bytes are written, while the system still has them in
    memory, in a thread of its own; by pieces, in several.
    """

    def __init__(self, part: Path, digest: Digest, size: int, journal: Journal, meter: Meter) -> None:
        self._part, self._size, self._journal, self._meter = part, size, journal, meter
        self._algorithm, self._found = digest.name, ""
        self._failure: Exception | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cloud-storage", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """Wait for the hexadecimal digest of all bytes. Raises TransferCancelled, OSError."""
        while self._thread.is_alive():
            self._thread.join(WAIT_SECONDS)
            self._meter.check()
        if self._failure:
            raise self._failure
        return self._found

    def __enter__(self) -> _Digesting:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the thread, so that the file is closed."""
        self._abandoned.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            if self._algorithm == digests.PIECES:
                arrived = filter(self._has_arrived, digests.pieces(self._size))
                self._found = digests.pieces_digest(self._part, arrived, self._check)
            else:
                self._found = self._of_whole()
        except Exception as error:  # noqa: BLE001  raised again by ``result``
            self._failure = error

    def _of_whole(self) -> str:
        digest = hashlib.new(self._algorithm, usedforsecurity=False)
        with self._part.open("rb", buffering=0) as file:
            position = 0
            while position < self._size:
                there = self._journal.wait_beyond(position, WAIT_SECONDS)
                while position < there:
                    self._check()
                    block = file.read(min(BLOCK_BYTES, there - position))
                    if not block:  # another program cut the file; its size is compared at the end
                        return ""
                    digest.update(block)
                    position += len(block)
                self._check()
        return digest.hexdigest()

    def _has_arrived(self, piece: range) -> bool:
        """Wait until the last byte of a piece has arrived."""
        while self._journal.wait_beyond(piece.stop - 1, WAIT_SECONDS) < piece.stop:
            self._check()
        return True

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise TransferCancelled("The checksum is not needed any more.")
