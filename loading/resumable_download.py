"""A download that goes on where an earlier one ended, in this run or another, killed or not.

The bytes arrive in ``<name>.part``, beside it are its notes (``journal.py``). Whoever calls sees to it that
nobody else works on the same file at the same time.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, StorageError, disk_told, sentence
from ..storage.base import ObjectInfo, Storage
from ..system.meter import Meter
from .download import fetch_ranges, ranges
from .download_journal import Journal, Version, sync

WAIT_SECONDS = 0.2  # of the thread that digests, until it looks whether it is still wanted
BLOCK_BYTES = 1 << 20
_GOES_ON = "Check the disk, then run the node again: it goes on with what has arrived."


@dataclass(frozen=True)
class Digest:
    """What the content has to come to: ``name`` is an algorithm of hashlib, ``value`` hexadecimal digits."""

    name: str
    value: str


def expected(info: ObjectInfo, sha256: str = "") -> Digest | None:
    """The best digest that is known of an object: given by the user, recorded by its upload, or its ETag.

    One is enough: an MD5 would only say again what the sha256 has said.
    """
    if sha256 or info.sha256:
        return Digest("sha256", sha256 or info.sha256)
    return Digest("md5", info.md5) if info.md5 else None


def part_of(target: Path) -> Path:
    """Where the bytes of ``target`` arrive."""
    return target.with_name(f"{target.name}.part")


def download(storage: Storage, info: ObjectInfo, part: Path, digest: Digest | None, meter: Meter) -> None:
    """Write this version of the object to ``part``: whole, checked and forced to disk, or not yet.

    After a failure ``part`` and its notes stay, for the next call to go on with; where ``part`` is of another
    version, or what arrived is not what ``digest`` says, they are dropped. Bytes that are there already count
    on ``meter`` at once; free space is looked at before the first byte is asked for. Raises what
    ``transfer.fetch_ranges`` does, IntegrityError, and StorageError for the disk.
    """
    tried = f"download {info.key!r}"
    version = Version(storage.root, info.key, info.etag, info.size)
    with disk_told(tried, part, _GOES_ON), Journal(part, version) as journal:
        meter.expect(info.size)
        meter.add(journal.done)
        _refuse_full_disk(tried, part, info.size - journal.done)
        wanted = [piece for gap in journal.missing() for piece in ranges(gap.start, gap.stop)]
        with _digesting(part, digest, info.size, journal, meter) as digested:
            fetch_ranges(storage, info, part, wanted, meter, journal.note)
            found = digested.result()
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
        said = "the bytes are not those that the ETag stands for, their MD5 differs"
        advice = (
            "Run the node again; if it stays and the object is sound, fill in sha256, which decides then."
        )
    else:
        said = "the bytes are not those that were asked for, their sha256 differs"
        advice = "Run the node again; if it stays, check the sha256, or upload the file anew."
    return IntegrityError(sentence(tried, storage.place, said, advice))


def _refuse_full_disk(tried: str, part: Path, missing: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < missing:
        said = f"{missing:,} bytes are still to come, and the disk has room for {free:,}"
        raise StorageError(sentence(tried, str(part.parent), said, "Make room there and run the node again."))


# ------------------------------------------------------------ the digest, while the bytes arrive


class _Digesting:
    """The digest of ``part``, computed by a thread of its own behind the bytes that arrive, which the system
    still has in memory then: of 12 GB, nothing is left to do when the last byte is there.
    """

    def __init__(self, part: Path, digest: Digest, size: int, journal: Journal, meter: Meter) -> None:
        self._part, self._size, self._journal, self._meter = part, size, journal, meter
        self._hash = hashlib.new(digest.name, usedforsecurity=False)
        self._failure: OSError | None = None
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cloud-storage", daemon=True)
        self._thread.start()

    def result(self) -> str:
        """The hexadecimal digest, when every byte is noted. Raises TransferCancelled, OSError."""
        while self._thread.is_alive():
            self._thread.join(WAIT_SECONDS)
            self._meter.check()
        if self._failure:
            raise self._failure
        return self._hash.hexdigest()

    def abandon(self) -> None:
        """Let the thread end, and the file with it."""
        self._abandoned.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            with self._part.open("rb", buffering=0) as file:
                position = 0
                while position < self._size and not self._abandoned.is_set():
                    there = self._journal.wait_beyond(position, WAIT_SECONDS)
                    while position < there and not self._abandoned.is_set():
                        block = file.read(min(BLOCK_BYTES, there - position))
                        if not block:  # somebody cut the file; its size is compared at the end
                            return
                        self._hash.update(block)
                        position += len(block)
        except OSError as error:  # raised again by ``result``
            self._failure = error


class _Undigested:
    def result(self) -> str:
        return ""


@contextlib.contextmanager
def _digesting(
    part: Path, digest: Digest | None, size: int, journal: Journal, meter: Meter
) -> Iterator[_Digesting | _Undigested]:
    if digest is None:
        yield _Undigested()
        return
    digesting = _Digesting(part, digest, size, journal, meter)
    try:
        yield digesting
    finally:
        digesting.abandon()
