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
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..comfyui import folders
from ..errors import AccessDenied, StorageError
from ..profile import Profile, fingerprint
from ..storage.base import ObjectInfo, Page
from ..storage.connect import connect
from ..system import durable_write, utc_clock
from .bucket_rows import Columns, Snapshot

MOST_KEYS = 500_000  # of one profile; what comes after them is not listed
OLD_SECONDS = 300  # after which a listing is made again when somebody looks
KEPT = 3  # catalogues in memory, those that were asked last
FILES_KEPT = 8  # on disk
LISTINGS = threading.BoundedSemaphore(2)  # at the same time
FOLDER = "files_catalogue"
VERSION = 1  # of the form of the file; another one is not read

log = logging.getLogger("cloud_storage")


def _is_shown(count: int) -> bool:
    """Whether the first listing shows what it has, each time that it has about a third more."""
    return count in (1000, 4000, 10_000, 20_000) or count % 40_000 == 0


@dataclass(frozen=True)
class State:
    """What a catalogue knows of itself. ``count`` is how many keys it has, or has listed so far; ``listed``
    when the latest whole listing ended. ``error`` is a sentence, "" if the latest listing went well.
    """

    version: str
    count: int
    complete: bool
    is_listing: bool
    listed: datetime | None
    error: str


class BucketCatalogue:
    """The keys of one profile. Any thread may call any method."""

    def __init__(
        self, name: str, place: str, objects: Callable[[], Iterator[ObjectInfo]], file: Path
    ) -> None:
        """Read what is on disk. ``objects`` begins a listing of all keys; ``place`` is in messages."""
        self._name, self._place, self._objects, self._file = name, place, objects, file
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        found, self._listed = _read(file)
        self._complete = found is not None
        self._glimpsed: dict[str, ObjectInfo] = {}
        self._glimpsed_folders: set[str] = set()
        self._looked_into: set[str] = set()
        self._collected = Columns()
        self._is_listing = False
        self._closed = False
        self._tried: datetime | None = None
        self._error = ""
        self._show(found or Columns())

    def _show(self, columns: Columns, others: tuple[str, ...] = ()) -> None:
        self._snapshot, self._version = Snapshot(columns, others), f"{self._name}-{next(self._numbers)}"

    def _show_alone(self, columns: Columns) -> None:
        """Show these keys, and forget what was collected so far."""
        self._collected = Columns()
        self._glimpsed.clear()
        self._glimpsed_folders.clear()
        self._show(columns)

    # ------------------------------------------------------------ asking

    def shown(self) -> tuple[Snapshot, State]:
        """Return the keys that are known now, and what is known of them."""
        with self._lock:
            count = len(self._snapshot)
            if self._is_listing and not self._complete:
                count = max(count, len(self._collected.keys))
            state = State(self._version, count, self._complete, self._is_listing, self._listed, self._error)
            return self._snapshot, state

    def asked(self) -> None:
        """Begin a listing if there is none, or the latest is old."""
        with self._lock:
            is_due = self._tried is None or utc_clock.now() - self._tried > timedelta(seconds=OLD_SECONDS)
        if is_due:
            self.refresh()

    def refresh(self) -> None:
        """List the bucket again in a thread, unless one does. Returns at once."""
        with self._lock:
            if self._is_listing:
                return
            self._is_listing, self._tried = True, utc_clock.now()
            self._looked_into.clear()
        threading.Thread(target=self._work, name="cloud-storage-files", daemon=True).start()

    def close(self) -> None:
        """End a listing that runs: nobody asks any more."""
        self._closed = True

    def must_look_into(self, folder: str) -> bool:
        """Return whether a folder should be listed alone: the first listing runs, and nobody has done it."""
        with self._lock:
            if self._complete or folder in self._looked_into:
                return False
            self._looked_into.add(folder)
            return True

    def add(self, page: Page) -> None:
        """Show the first entries of a folder while the listing has not come there."""
        with self._lock:
            if self._complete:
                return
            self._glimpsed.update((info.key, info) for info in page.objects if not info.key.endswith("/"))
            self._glimpsed_folders.update(page.folders)
            self._show(self._so_far(), tuple(self._glimpsed_folders))

    def _so_far(self) -> Columns:
        return self._collected.sorted(self._glimpsed.values())

    # ------------------------------------------------------------ listing, in a thread

    def _work(self) -> None:
        error = ""
        try:
            with LISTINGS:
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
            self._error = error or self._too_many()
        if not error and not self._closed:
            _write(self._file, self._snapshot.columns, self._listed)

    def _list(self) -> None:
        with self._lock:
            columns = self._collected = Columns()
        for info in itertools.islice(self._objects(), MOST_KEYS):
            if self._closed:
                return
            if info.key.endswith("/"):  # an empty object called like its folder
                continue
            with self._lock:
                columns.add(info)
                if not self._complete and _is_shown(len(columns.keys)):
                    self._show(self._so_far(), tuple(self._glimpsed_folders))
        found = columns.sorted()
        with self._lock:
            self._complete, self._listed = True, utc_clock.now()
            self._show_alone(found)

    def _too_many(self) -> str:
        if len(self._snapshot) < MOST_KEYS:
            return ""
        return (
            f"{self._place} has more than {MOST_KEYS} objects: only the first ones by name are listed. Set "
            "path_prefix of the profile to a folder."
        )

    def _forget(self) -> None:
        with self._lock:
            self._complete, self._listed = False, None
            self._show_alone(Columns())
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
            found = BucketCatalogue(
                digest[:8], shown, lambda: connect(profile).list(""), file_folder / f"{digest}.json"
            )
        _open[name] = found
        while len(_open) > KEPT:
            _open.popitem(last=False)[1].close()
        return found


# ------------------------------------------------------------ on disk


def _read(file: Path) -> tuple[Columns | None, datetime | None]:
    """Read a listing; none if there is no file, or it is damaged."""
    try:
        said = json.loads(file.read_bytes())
        if said["version"] != VERSION:
            return None, None
        keys, etags = said["keys"], said["etags"]
        sizes, times = array("q", said["sizes"]), array("d", said["times"])
        is_text = all(isinstance(text, str) for column in (keys, etags) for text in column)
        does_fit = len({len(keys), len(etags), len(sizes), len(times)}) == 1
        if is_text and does_fit and all(map(math.isfinite, times)):
            listed = datetime.fromtimestamp(said["listed"], timezone.utc)
            return Columns(keys, sizes, times, etags).sorted(), listed
        log.warning("The list of files on disk is damaged, it is made again")
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        log.warning("The list of files on disk is not used, it is made again: %s", error)
    return None, None


def _write(file: Path, columns: Columns, listed: datetime | None) -> None:
    """Write a listing, all or nothing, and remove those that were written long ago."""
    content = {
        "version": VERSION,
        "listed": listed.timestamp() if listed else 0,
        "keys": columns.keys,
        "sizes": columns.sizes.tolist(),
        "times": columns.times.tolist(),
        "etags": columns.etags,
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        durable_write.replace(file, json.dumps(content, separators=(",", ":")).encode(errors="replace"))
        others = sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[FILES_KEPT:]:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("The list of files could not be written to disk: %s", error)
