"""What the buckets of the panel Files have: every key below a profile's prefix, listed in a thread.

A listing comes by name, and people look for what is newest. So all keys are kept: in memory, as columns, and
on disk below the user folder, so that a restarted ComfyUI shows them at once. While the first listing runs,
what has arrived so far is shown, and the state says that it is not all.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import math
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..comfyui import folders, prompt_queue
from ..errors import AccessDenied, StorageError
from ..profile import Profile, fingerprint
from ..storage import changes
from ..storage.base import ObjectInfo, Page, Storage
from ..storage.connect import connect
from ..system import durable_write, utc_clock
from .bucket_rows import Columns, Snapshot

MOST_KEYS = 500_000  # of one profile; what comes after them is not listed
GLIMPSED = 1000  # of a folder that is listed alone, as long as not all keys are known
OLD_SECONDS = 300  # after which a listing is made again when somebody looks
LATER_SECONDS = 2.0  # before it is: what is known is shown first, with its thumbnails
KEPT = 3  # catalogues in memory, those that were asked last
FILES_KEPT = 8  # on disk
LISTINGS = threading.BoundedSemaphore(2)  # at the same time
FOLDER = "files_catalogue"
EVENT = "cloud_storage.files"  # for pages: this ComfyUI has stored or deleted a file
VERSION = 2  # of the form of the file; another one is not read
_TEXT_END, _COLUMN_END = "\0", "\0\0"  # in the file; XML, in which keys are listed, cannot have them

log = logging.getLogger("cloud_storage")


def _is_shown(count: int) -> bool:
    """Whether the first listing shows what it has, each time that it has about a third more."""
    return count in (1000, 4000, 10_000, 20_000) or count % 40_000 == 0


@dataclass(frozen=True)
class State:
    """What a catalogue knows of itself. ``count`` is how many keys it has, or has listed so far; ``listed``
    when the latest whole listing ended. ``error`` is a sentence, "" if the latest listing went well.
    ``is_cut``: the bucket has more keys than are listed, and ``error`` says so.
    """

    version: str
    count: int
    complete: bool
    is_listing: bool
    listed: datetime | None
    error: str
    is_cut: bool = False


class BucketCatalogue:
    """The keys of one profile. Any thread may call any method."""

    def __init__(self, name: str, place: str, storage: Callable[[], Storage], file: Path) -> None:
        """Read what is on disk. ``storage`` opens the bucket; ``place`` is in messages."""
        self._name, self._place, self._storage, self._file = name, place, storage, file
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        found, self._listed = _read(file)
        self._complete = found is not None
        self._is_cut = found is not None and len(found.keys) >= MOST_KEYS
        self._rows = found or Columns()  # while the first listing runs: what has arrived
        self._changes: dict[str, ObjectInfo | None] = {}  # of these rows, and of the listing that runs
        self._folders: set[str] = set()  # known to exist
        self._looked_into: set[str] = set()
        self._is_listing = False
        self._closed = threading.Event()
        self._tried: datetime | None = None
        self._error = ""
        self._draw()

    def _draw(self) -> None:
        rows = self._rows.changed(self._changes)
        self._snapshot, self._version = Snapshot(rows, self._folders), f"{self._name}-{next(self._numbers)}"
        self._is_drawn = True
        if not self._is_listing:
            self._rows, self._changes = rows, {}

    # ------------------------------------------------------------ asking

    def shown(self) -> tuple[Snapshot, State]:
        """Return the keys that are known now, and what is known of them."""
        with self._lock:
            if not self._is_drawn:
                self._draw()
            count = len(self._snapshot)
            if self._is_listing and not self._complete:
                count = max(count, len(self._rows.keys))
            error = self._error or (self._too_many() if self._is_cut else "")
            about = (self._version, count, self._complete, self._is_listing, self._listed, error)
            return self._snapshot, State(*about, is_cut=self._is_cut)

    def asked(self) -> None:
        """Begin a listing if there is none, or the latest is old."""
        with self._lock:
            is_due = self._tried is None or utc_clock.now() - self._tried > timedelta(seconds=OLD_SECONDS)
        if is_due:
            self.refresh(LATER_SECONDS if self._complete else 0.0)

    def refresh(self, seconds: float = 0.0) -> None:
        """List the bucket again in a thread, after so many seconds, unless one does. Returns at once."""
        with self._lock:
            if self._is_listing:
                return
            if self._changes:  # the listing has them
                self._draw()
            self._is_listing, self._tried = True, utc_clock.now()
            self._looked_into.clear()
        work = threading.Thread(target=self._work, args=(seconds,), name="cloud-storage-files", daemon=True)
        work.start()

    def close(self) -> None:
        """End a listing that runs: nobody asks any more."""
        self._closed.set()

    def must_look_into(self, folder: str) -> bool:
        """Return whether a folder should be listed alone: not all keys are known, and nobody has done it
        since the latest listing began.
        """
        with self._lock:
            if (self._complete and not self._is_cut) or folder in self._looked_into:
                return False
            self._looked_into.add(folder)
            return True

    def add(self, page: Page) -> None:
        """Show what is new of a folder that was listed alone."""
        with self._lock:
            shown = self._snapshot
            infos = {info.key: info for info in page.objects if not info.key.endswith("/")}
            new = {key: info for key, info in infos.items() if not shown.has(info)}
            below = {folder for folder in page.folders if not shown.has_folder(folder)}
            if new or below:
                self._changes.update(new)
                self._folders.update(below)
                self._is_drawn = False

    def note(self, storage: Storage, key: str, info: ObjectInfo | None) -> bool:
        """Show what this process has stored or, with None, deleted. Returns if ``shown`` has to be asked
        again: not if nobody has asked since the last time.
        """
        full = storage.path_prefix + key
        with contextlib.suppress(StorageError):  # settings that are wrong by now
            own = self._storage()
            if own.place == storage.place and full.startswith(own.path_prefix) and not full.endswith("/"):
                name = full[len(own.path_prefix) :]
                with self._lock:
                    modified = utc_clock.now() + (storage.clock_difference or timedelta())
                    self._changes[name] = info and replace(info, key=name, modified=info.modified or modified)
                    was_drawn, self._is_drawn = self._is_drawn, False
                return was_drawn
        return False

    # ------------------------------------------------------------ listing, in a thread

    def _work(self, seconds: float) -> None:
        error = ""
        self._closed.wait(seconds)
        try:
            with LISTINGS:
                if not self._closed.is_set():
                    self._list()
        except StorageError as failure:
            error = str(failure)
            if isinstance(failure, AccessDenied):  # what was known before is not for this access key
                self._forget()
        except Exception as failure:  # noqa: BLE001  the thread has no caller: the page shows it
            log.warning("The files in the bucket could not be listed: %s", failure)
            error = f"The files in the bucket could not be listed: {failure}"
        with self._lock:
            self._is_listing = False
            self._error = error
        if not error and not self._closed.is_set():
            _write(self._file, self._snapshot.columns, self._listed)

    def _list(self) -> None:
        columns = Columns()
        with self._lock:
            if not self._complete:
                self._rows = columns
        for info in self._storage().list(""):
            if self._closed.is_set():
                return
            if len(columns.keys) == MOST_KEYS:
                break
            if info.key.endswith("/"):  # an empty object called like its folder
                continue
            with self._lock:
                columns.add(info)
                if not self._complete and _is_shown(len(columns.keys)):
                    self._is_drawn = False
        with self._lock:
            self._rows, self._complete, self._listed = columns, True, utc_clock.now()
            self._is_cut = len(columns.keys) == MOST_KEYS
            self._folders.clear()
            self._draw()

    def _too_many(self) -> str:
        return (
            f"Not complete: {self._place} has more than {MOST_KEYS:,} files. Only the first ones by name are "
            f"listed, and the first {GLIMPSED:,} of each folder that you enter: the newest may be missing. "
            "Set path_prefix of the profile to a folder."
        )

    def _forget(self) -> None:
        with self._lock:
            self._complete, self._is_cut, self._listed = False, False, None
            self._rows = Columns()  # what it was shown of single folders since the listing began may stay
            self._draw()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)


# ------------------------------------------------------------ the catalogues of this process

_open: OrderedDict[str, BucketCatalogue] = OrderedDict()
_opening = threading.Lock()


def of(profile: Profile) -> BucketCatalogue:
    """Return the catalogue of a profile; another one after its settings or its access key have changed."""
    file_folder = folders.system_folder() / FOLDER
    place = "\n".join((profile.endpoint_url, profile.bucket, profile.path_prefix, profile.name))
    name = f"{file_folder}\n{place}\n{fingerprint(profile)}"
    with _opening:
        found = _open.pop(name, None)
        if found is None:
            digest = hashlib.sha256(place.encode(errors="replace")).hexdigest()[:24]
            shown = f"Bucket {profile.bucket}"
            file = file_folder / f"{digest}.keys"
            found = BucketCatalogue(digest[:8], shown, lambda: connect(profile), file)
            changes.watch(_note)
        _open[name] = found
        while len(_open) > KEPT:
            _open.popitem(last=False)[1].close()
        return found


def _note(storage: Storage, key: str, info: ObjectInfo | None) -> None:
    """Show a change at once, and tell the pages of it."""
    with _opening:
        catalogues = list(_open.values())
    noted = [known.note(storage, key, info) for known in catalogues]
    if any(noted):
        prompt_queue.announce(EVENT, {})


# ------------------------------------------------------------ on disk


def _read(file: Path) -> tuple[Columns | None, datetime | None]:
    """Read a listing; none if there is no file, or it is damaged."""
    try:
        head, _, rest = file.read_bytes().partition(b"\n")
        said = json.loads(head)
        if (said["version"], said["byteorder"]) != (VERSION, sys.byteorder):
            return None, None
        count, texts = said["count"], rest[16 * said["count"] :]
        sizes, times = array("q", rest[: 8 * count]), array("d", rest[8 * count : 16 * count])
        keys, _, etags = texts.decode().partition(_COLUMN_END)
        columns = Columns(_split(keys, count), sizes, times, _split(etags, count))
        counts = {len(columns.keys), len(columns.etags), len(sizes), len(times)}
        if counts == {count} and len(rest) == said["bytes"] and all(map(math.isfinite, times)):
            return columns, datetime.fromtimestamp(said["listed"], timezone.utc)
        log.warning("The list of files on disk is damaged, it is made again")
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        log.warning("The list of files on disk is not used, it is made again: %s", error)
    return None, None


def _split(texts: str, count: int) -> list[str]:
    return texts.split(_TEXT_END) if count else []


def _write(file: Path, columns: Columns, listed: datetime | None) -> None:
    """Write a listing, all or nothing, and remove those that were written long ago.

    As bytes, not as JSON: reading 100,000 keys is a part of the first screen after a restart.
    """
    texts = _COLUMN_END.join((_TEXT_END.join(columns.keys), _TEXT_END.join(columns.etags)))
    rest = columns.sizes.tobytes() + columns.times.tobytes() + texts.encode(errors="replace")
    about = {
        "version": VERSION,
        "byteorder": sys.byteorder,
        "listed": listed.timestamp() if listed else 0,
        "count": len(columns.keys),
        "bytes": len(rest),
    }
    content = json.dumps(about).encode() + b"\n" + rest
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        durable_write.replace(file, content)
        others = sorted(file.parent.glob("*.keys"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[FILES_KEPT:]:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The list of files could not be written to disk: %s", error)
