"""The mirror of one profile: a few threads send what its folders have complete, and pause while it fails."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..comfyui import prompt_queue
from ..errors import Scope, StorageError, TransferCancelled, scrub
from ..profile import Profile
from ..storage.base import Storage
from ..storage.connect import connect
from ..system import thread_pool, utc_clock
from ..system.meter import Meter
from . import local_removal, members
from .bandwidth import Bandwidth, PacedMeter
from .journal import Journal, Row
from .mirrored_folder import ELSEWHERE, MirroredFolder, Waiting, pause
from .names import Names
from .sender import WrittenTo, send

EVENT = "cloud_storage.mirror"
THREADS = 4
PAUSE_SECONDS, PAUSE_MAX_SECONDS = 5.0, 60.0  # after a failure of the whole bucket
REMOVAL_SECONDS = 600.0
MEGABYTE = 10**6
SHOWN_FILES = 100

log = logging.getLogger("cloud_storage")


@dataclass
class _Failure:
    """Why nothing can be sent at the moment."""

    error: str
    since: datetime
    attempts: int = 1
    until: float = 0.0


class ProfileMirror:
    """``look`` and ``close`` belong to one thread, the rest may be called from any.

    ``told`` is called with each file that is stored, and ``failed`` with each that is not.
    """

    def __init__(
        self,
        profile: Profile,
        journal: Journal,
        everything: bool = False,
        told: Callable[[MirroredFolder, Row], object] = lambda folder, row: None,
    ) -> None:
        self.profile = profile
        self._told = told
        self._meter = Meter()
        self._bandwidth = Bandwidth(profile.mirror.mb_per_second * MEGABYTE)
        self._threads_max = 1 if self._bandwidth.per_second else THREADS
        place, mirror = members.place(profile), profile.mirror
        self.folders = [
            MirroredFolder(
                members.folder(name), Names(name, mirror.prefix, mirror.exclude), place, journal, everything
            )
            for name in mirror.folders
        ]
        self._lock = threading.Lock()
        self._running = 0
        self.failure: _Failure | None = None
        self._is_removing, self._remove_from = False, 0.0
        self.sent = 0
        self._last_stored: datetime | None = None

    def close(self) -> None:
        """Stop what is being sent, and release the locks."""
        self._meter.stop()
        for folder in self.folders:
            folder.close()

    def look(self, others: list[ProfileMirror]) -> None:
        """Look at the folders once, and start to send what is complete. Raises nothing."""
        now = time.monotonic()
        for folder in self.folders:
            try:
                folder.look(now)
            except StorageError as error:  # there is no package for locks
                self._fail(str(error))
            except (sqlite3.Error, OSError) as error:
                self._fail(_of_journal(error))
        self._start()
        if self.profile.mirror.delete_after_days and not self._is_removing and now >= self._remove_from:
            self._is_removing, self._remove_from = True, now + REMOVAL_SECONDS
            thread_pool.begin(lambda: self._remove(others))

    def retry(self) -> None:
        """Try at once what failed."""
        with self._lock:
            if self.failure is not None:
                self.failure.until = 0.0
        for folder in self.folders:
            folder.retry()
        self._start()

    def _start(self) -> None:
        ready = sum(one.done is None for folder in self.folders for one in folder.waiting())
        while True:
            with self._lock:
                most = 1 if self.failure is not None else min(self._threads_max, ready)
                is_paused = self.failure is not None and time.monotonic() < self.failure.until
                if not ready or is_paused or self._running >= most:
                    return
                self._running += 1
            threading.Thread(target=self._work, name="cloud-storage-mirror-send", daemon=True).start()

    def _work(self) -> None:
        try:
            with self._meter.governs():
                while not self._meter.stopped and (found := self._next()) is not None:
                    self._send(*found)
        finally:
            with self._lock:
                self._running -= 1

    def _next(self) -> tuple[MirroredFolder, Waiting] | None:
        now = time.monotonic()
        with self._lock:
            if self.failure is not None and (now < self.failure.until or self._running > 1):
                return None
        for folder in self.folders:
            if (one := folder.next(now)) is not None:
                return folder, one
        return None

    def _send(self, folder: MirroredFolder, one: Waiting) -> None:
        meter = PacedMeter(self._bandwidth, self._meter)
        one.done = lambda: meter.done
        now = time.monotonic()
        try:
            storage = connect(self.profile)
            row = send(folder.target, storage, one.name, one.file, meter)
        except TransferCancelled:
            pass
        except (WrittenTo, FileNotFoundError) as error:
            if isinstance(error, StorageError):  # the bucket is missing
                self._fail(str(error))
            else:
                folder.again(one, now)
        except StorageError as error:
            if error.scope is Scope.ALL:
                self._fail(str(error))
            else:
                self._failed(folder, one, str(error))
        except sqlite3.Error as error:
            self._fail(_of_journal(error))
        except OSError as error:
            self._failed(folder, one, f"Could not read {one.name}: {error.strerror or error}.")
        except Exception as error:  # of one file, which waits; the others are sent
            log.exception("The mirror could not store %s", one.name)
            self._failed(folder, one, f"Could not store {one.name}: {type(error).__name__}.")
        else:
            self._stored(folder, one, row)
        finally:
            one.done = None

    def _stored(self, folder: MirroredFolder, one: Waiting, row: Row) -> None:
        folder.stored(one)
        with self._lock:
            self.sent += 1
            self._last_stored = utc_clock.now()
            if self.failure is not None:  # the next files are sent, and it has caught up with the last
                self.failure.until = 0.0
            has_caught_up = self.failure is not None and not self._counts()[0]
            if has_caught_up:
                self.failure = None
        self._told(folder, row)
        if has_caught_up:
            log.info("The mirror of %s has caught up: everything is in the bucket.", self.profile.name)
            self._announce(failing=False, error="")

    def _failed(self, folder: MirroredFolder, one: Waiting, error: str) -> None:
        if not one.attempts:
            log.warning("The mirror: %s", scrub(error))
        one.failed(error, time.monotonic())

    def _fail(self, error: str) -> None:
        with self._lock:
            is_first = self.failure is None
            if self.failure is None:
                self.failure = _Failure(error, utc_clock.now())
            else:
                self.failure.attempts += 1
                self.failure.error = error
            seconds = pause(self.failure.attempts, PAUSE_SECONDS, PAUSE_MAX_SECONDS)
            self.failure.until = time.monotonic() + seconds
        if is_first:
            log.warning("The mirror of %s fails, and is tried again by itself: %s", self.profile.name, error)
            self._announce(failing=True, error=error)

    def _announce(self, *, failing: bool, error: str) -> None:
        waiting = self._counts()[0]
        about = {"profile": self.profile.name, "failing": failing, "error": error, "waiting": waiting}
        prompt_queue.announce(EVENT, about)

    def _remove(self, others: list[ProfileMirror]) -> None:
        try:
            with self._meter.governs():
                storage = connect(self.profile)
                for folder in self.folders:
                    if folder.has_looked and folder.note != ELSEWHERE:
                        self._remove_from_folder(folder, storage, others)
        except (StorageError, sqlite3.Error) as error:
            log.warning("The mirror could not delete local files: %s", error)
        finally:
            self._is_removing = False

    def _remove_from_folder(
        self, folder: MirroredFolder, storage: Storage, others: list[ProfileMirror]
    ) -> None:
        same = [
            each
            for other in others
            for each in other.folders
            if each.root == folder.root and each is not folder
        ]
        local_removal.remove(
            folder,
            storage,
            self.profile.mirror.delete_after_days,
            lambda name, file: all(each.has_stored(name, file) for each in same),
            self._meter,
        )

    def _counts(self) -> tuple[int, int]:
        """Return how many files are not in the bucket yet, and their bytes."""
        sizes = [one.file.size for folder in self.folders for one in folder.waiting()]
        sizes += [file.size for folder in self.folders for file in folder.writing().values()]
        return len(sizes), sum(sizes)

    def state(self) -> dict[str, Any]:
        """Return what the page shows of this profile."""
        waiting, size = self._counts()
        failure, now = self.failure, time.monotonic()
        mirror = self.profile.mirror
        return {
            "name": self.profile.name,
            "bucket": self.profile.bucket,
            "prefix": mirror.prefix,
            "folders": [
                {"name": each.names.folder, "files": each.files, "note": each.note} for each in self.folders
            ],
            "waiting": waiting,
            "waiting_bytes": size,
            "stored": self.sent,
            "last_stored": self._last_stored and self._last_stored.isoformat(),
            "delete_after_days": mirror.delete_after_days or None,
            "failing": failure is not None,
            "error": failure.error if failure else "",
            "since": failure.since.isoformat() if failure else None,
            "retry_in": max(0.0, failure.until - now) if failure else None,
            "files": self._files(),
        }

    def _files(self) -> list[dict[str, Any]]:
        listed: list[tuple[int, dict[str, Any]]] = []
        for folder in self.folders:
            found = [(one.name, one.file, one) for one in folder.waiting()]
            growing = [(name, file, None) for name, file in folder.writing().items()]
            for name, file, one in [*found, *growing]:
                count = one.done if one else None
                status = "sending" if count else "writing" if one is None else "waiting"
                if one is not None and one.error and not count:
                    status = "failed"
                about = {
                    "name": f"{folder.names.folder}/{name}",
                    "key": folder.names.key(name),
                    "size": file.size,
                    "done": count() if count else 0,
                    "status": status,
                    "error": one.error if one else "",
                }
                listed.append((("sending", "failed", "waiting", "writing").index(status), about))
        return [about for _, about in sorted(listed, key=lambda each: each[0])[:SHOWN_FILES]]


def _of_journal(error: Exception) -> str:
    return f"Could not write the mirror's journal: {error}. Free room on the disk of ComfyUI's user folder."
