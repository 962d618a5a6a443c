"""Saves a batch of files: side by side, in order, within bounded memory, and none is lost.

All processors encode while the numbers are looked up and earlier files are sent, over as many connections as
pay off. Encoded files share a budget of bytes. What cannot be sent goes to the outbox, unless the user wants
nothing of that.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from ..comfyui import cloud_files, status_text
from ..comfyui.cloud_files import SKIPPED, STORED, WAITING, CloudFile
from ..comfyui.node_lines import WARNING, Line
from ..errors import AlreadyExists, IntegrityError, MediaError, StorageError, TransferCancelled, Unreachable
from ..media.media_facts import MediaFacts
from ..profile import Profile
from ..storage.base import Storage
from ..storage.connect import storage_of, unopened
from ..system import thread_pool
from ..system.budget import MEMORY_BYTES, Budget
from ..system.concurrency import FIRST, MOST, AdaptiveConcurrency
from ..system.meter import Meter
from . import outbox_sender, store_file
from .choices import FAIL, KEEP_AND_STOP, NO_LINK, OBJECT_URL, PRESIGNED, STOP
from .list_order import Call
from .names import Name
from .numbering import Reservation
from .outbox import Address, Entry, Outbox, Sender, waiting
from .store_file import File, StoredObject

S = TypeVar("S")
log = logging.getLogger("cloud_storage")
MOST_UPLOADS = MOST  # at the same time
ENCODE_THREADS = max(1, os.cpu_count() or 1)
# More at once would only take turns, and slow down sampling.
_encoding = Budget(ENCODE_THREADS)
_encoded = Budget(MEMORY_BYTES)  # bytes of all files of this process that are made and not stored


@dataclass(frozen=True)
class Target:
    """Where a node's files go, and what to do with those that cannot be stored: one of ON_FAILURE."""

    storage: Storage
    sender: Sender
    outbox: Outbox
    profiles_file: Path
    on_failure: str


def target(profile: Profile | None, profiles_file: Path, outbox_folder: Path, on_failure: str) -> Target:
    """The target of a save through a ``profile`` input; see ``connect.storage_of`` for what it raises.

    Where failures are kept, settings that are missing or wrong raise nothing yet: what would have been lost
    with them is encoded first, and kept.
    """
    try:
        storage = storage_of(profile, profiles_file)
    except StorageError as error:
        if on_failure == STOP:
            raise
        storage = unopened(error)
    sender = outbox_sender.sender(profile, profiles_file)
    return Target(storage, sender, Outbox(outbox_folder), profiles_file, on_failure)


@dataclass(frozen=True)
class SavedFile(Generic[S]):
    """One file of a batch: the object that it is now, or the entry of the outbox that keeps it; the encoder's
    remarks, what ``show`` returned, if it could, and facts on the encoded file.
    """

    stored: StoredObject | None
    kept: Entry | None
    notes: tuple[str, ...] = ()
    shown: S | None = None
    facts: MediaFacts = field(default_factory=MediaFacts)

    @property
    def key(self) -> str:
        """The object's; "" for a file in the outbox: nodes give out keys of existing objects only."""
        return self.stored.info.key if self.stored else ""

    def cloud_file(self, storage: Storage, profile: str) -> CloudFile:
        """The file for programs; ``profile`` is the name of its profile."""
        if self.stored and self.stored.sent:
            return cloud_files.of_object(STORED, storage, self.stored.info, profile, self.facts)
        if self.stored:
            return cloud_files.of_object(SKIPPED, storage, self.stored.info, profile)
        return replace(waiting(self.kept), facts=self.facts) if self.kept else CloudFile(WAITING)


def save(
    where: Target,
    names: Sequence[Name],
    encode: Callable[[int], File],
    show: Callable[[File, str], S],
    if_exists: str,
    meter: Meter,
    call: Call,
    *,
    look_first: bool = False,
) -> list[SavedFile[S]]:
    """Encode and store one file per name, at least one; the results are in the order of ``names``.

    ``encode(index)`` and ``show(file, key)``, which is called when the file is stored or kept and holds on to
    what a preview needs, may run in several threads at once; the bytes themselves are dropped then. Besides
    those that count on the budget, ENCODE_THREADS files may wait for room in it. Where
    ``show`` fails, the file has no preview, and a note says why. ``if_exists`` is one of
    ``choices.IF_EXISTS``; with ``look_first`` a file that it does not let be stored is not encoded, and has
    no preview. Raises what ``encode`` raises, TransferCancelled, AlreadyExists where that was asked for, and
    the errors of ``Storage.put``; files stored before a failure stay.

    With KEEP_AND_STOP and KEEP_AND_GO_ON the rest of a batch is not tried after a failure, but encoded and
    put into the outbox; the error says where. With KEEP_AND_GO_ON it is raised only if a file could not be
    kept.
    """
    if not names:
        raise MediaError(
            "There is nothing to save: the batch is empty. Check the node that is wired to this one."
        )
    reserved = thread_pool.begin(lambda: call.reserve(where.storage, names, if_exists, meter))
    batch = _Batch(where, if_exists, meter, call.began_at)
    uploads = AdaptiveConcurrency(
        lambda: meter.done, min(MOST_UPLOADS, len(names)), start=FIRST, refused=lambda: meter.refusals
    )
    sending = Budget(lambda: uploads.count)

    def save_one(index: int) -> SavedFile[S]:
        with contextlib.ExitStack() as held:  # whose part of the budget ends after the bytes
            return make_and_store(index, held)

    def make_and_store(index: int, held: contextlib.ExitStack) -> SavedFile[S]:
        meter.check()
        outcome = batch.look(reserved()[index].name) if look_first else None
        if isinstance(outcome, StoredObject):
            return SavedFile(outcome, None)
        with _encoding.hold(1, meter):
            file = encode(index)
            held.callback(_encoded.take(0 if isinstance(file.source, Path) else file.size, meter))
        meter.expect(file.size)
        key = reserved()[index]
        if outcome is None:
            with sending.hold(1, meter):
                outcome = batch.store(key, file)
        if isinstance(outcome, _Failed):
            return _saved(None, batch.keep(index, key.name, file, outcome), file, show)
        return _saved(outcome, None, file, show)

    # Threads that encode send nothing meanwhile.
    jobs = [functools.partial(save_one, index) for index in range(len(names))]
    threads = 1 if len(jobs) == 1 else lambda _: min(uploads() + ENCODE_THREADS, len(jobs))
    saved = thread_pool.run(jobs, threads, on_failure=meter.stop)
    batch.end(saved)
    return saved


def _saved(
    stored: StoredObject | None, kept: Entry | None, file: File, show: Callable[[File, str], S]
) -> SavedFile[S]:
    key = stored.info.key if stored else kept.meant if kept else ""
    try:
        return SavedFile(stored, kept, file.notes, show(file, key), file.facts)
    except TransferCancelled:
        raise
    except Exception as error:  # noqa: BLE001  a preview is not worth the rest of the batch
        return SavedFile(stored, kept, (*file.notes, status_text.no_preview(error)), facts=file.facts)


def link(storage: Storage, key: str, kind: str, expires: timedelta) -> str:
    """The address of a stored object that a node hands out; "" for NO_LINK, and for a kept file's key, ""."""
    if not key or kind == NO_LINK:
        return ""
    return storage.signed_url(key, expires) if kind == PRESIGNED else storage.url(key)


def addresses(through: Sender, keys: Sequence[str], links: Sequence[str], kind: str) -> list[Line]:
    """The lines of the ``links`` of stored objects.

    A plain one opens nothing in a private bucket: so its line names the object as well, and the page has an
    address signed when somebody clicks.
    """
    if kind != OBJECT_URL:
        return [Line(link) for link in links]
    profile = {**through.overrides, "profile": through.profile}
    return [Line(link, opens={**profile, "key": key}) for key, link in zip(keys, links, strict=True)]


def lines(where: Target, saved: Sequence[SavedFile[S]]) -> list[Line]:
    """The lines of the node: how many objects, where, and remarks of the encoder; of files that wait, that
    it is not in the bucket, why, and where it is. No address, it may be signed.
    """
    new = [one.stored.info.key for one in saved if one.stored and one.stored.sent]
    old = [one.stored.info.key for one in saved if one.stored and not one.stored.sent]
    entries = [one.kept for one in saved if one.kept]
    words = []
    if new:
        words.append(f"Saved {_range(new)}.")
    if old:
        words.append(f"There already, and not sent: {_range(old)}.")
    words += dict.fromkeys(note for one in saved for note in one.notes)
    said = [Line(" ".join(words))] if words else []
    if not entries:
        return said
    waits = entries[0].meant if len(entries) == 1 else f"{len(entries)} files"
    warning = Line(f"NOT in the bucket yet: {waits}.", WARNING)
    return [warning, Line(entries[0].why, WARNING), Line(_kept_words(entries, where.storage)), *said]


def _range(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{len(keys)} objects, {keys[0]} … {keys[-1]}"


@dataclass(frozen=True)
class _Failed:
    """Why a file was not stored, and the key that its bytes may have reached all the same; "" for none."""

    error: Exception
    tried: str = ""


@dataclass
class _Batch:
    """The files of one save: the first failure to store one, after which no other is tried, what was kept,
    and what could not be.
    """

    where: Target
    if_exists: str
    meter: Meter
    saved_at: datetime
    failure: Exception | None = None
    lost: list[Exception] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, name: Name) -> StoredObject | _Failed | None:
        """The object that makes encoding a file needless, the failure to look, or None: encode it.

        Raises an error that ends the batch.
        """
        try:
            return store_file.look(self.where.storage, name, self.if_exists)
        except Exception as error:  # nothing is lost: the file is made and kept
            if self._ends(error):
                raise
            return self._failed(error)

    def store(self, reserved: Reservation, file: File) -> StoredObject | _Failed:
        """Store a file, or return why it was not stored. Raises an error that ends the batch."""
        if self.failure is not None:
            return _Failed(self.failure)
        tried = ""

        def trying(key: str) -> None:
            nonlocal tried
            tried = key

        try:
            return store_file.store(reserved, file, self.if_exists, self.meter, trying)
        except Exception as error:  # nothing is lost: the file is kept, whatever it was that failed
            if self._ends(error):
                raise
            return self._failed(error, tried)

    def _ends(self, error: Exception) -> bool:
        """Whether an error ends the batch, and no file is kept because of it."""
        if self.where.on_failure == STOP or self.meter.stopped or isinstance(error, TransferCancelled):
            return True
        return isinstance(error, AlreadyExists) and self.if_exists == FAIL

    def _failed(self, error: Exception, tried: str = "") -> _Failed:
        with self._lock:
            self.failure = self.failure or error
        return _Failed(error, tried)

    def keep(self, index: int, name: Name, file: File, failed: _Failed) -> Entry | None:
        """The entry as which a file is kept from now on; None where that failed too. Raises
        TransferCancelled.
        """
        storage = self.where.storage
        certain = isinstance(failed.error, Unreachable | IntegrityError)
        try:
            entry = Entry(
                sender=self.where.sender,
                address=Address(storage.bucket, storage.path_prefix, certain),
                name=name,
                if_exists=self.if_exists,
                content_type=file.content_type,
                size=file.size,
                sha256=file.digests(self.meter)[0],
                saved_at=self.saved_at,
                tried=failed.tried,
                why=str(failed.error),
            )
            return self.where.outbox.keep(entry, index, file.source, linkable=file.linkable, meter=self.meter)
        except TransferCancelled:
            raise
        except (StorageError, OSError) as error:  # ``end`` reports it, after why the file had to be kept
            with self._lock:
                self.lost.append(error)
            return None

    def end(self, saved: Sequence[SavedFile[S]]) -> None:
        """Raise the first failure if it stops the user; if nothing failed, send the entries of the outbox."""
        where = self.where
        if self.failure is None:
            outbox_sender.begin(where.outbox, where.profiles_file, where.sender)
            return
        entries = [one.kept for one in saved if one.kept]
        words = [str(self.failure)]
        if entries:
            words.append(_kept_words(entries, where.storage))
        if self.lost:
            what = "It" if len(self.lost) == 1 else f"{len(self.lost)} files"
            words.append(f"{what} could not be kept for later either: {self.lost[0]}")
        words.append(where.outbox.warning())
        message = " ".join(filter(None, words))
        log.warning("%s", message)
        if where.on_failure == KEEP_AND_STOP or self.lost:
            raises = type(self.failure) if isinstance(self.failure, StorageError) else StorageError
            raise raises(message) from self.failure


def _kept_words(entries: Sequence[Entry], storage: Storage) -> str:
    """Say where kept files are and when they will be sent; with a read-only profile, that they will not."""
    copies = "A copy is" if len(entries) == 1 else f"Copies of {len(entries)} files are"
    if storage.read_only:
        return (
            f"{copies} kept on this computer. Nothing is uploaded while the profile is read-only: make it "
            "writable, then run Retry Pending Uploads."
        )
    return (
        f"{copies} kept on this computer and will be uploaded after the next successful save through this "
        "profile, or by Retry Pending Uploads."
    )
