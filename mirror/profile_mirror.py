"""The mirror of one profile: a few threads send what its folders have complete, and pause while it fails."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ..comfyui import prompt_queue
from ..errors import Scope, StorageError, TransferCancelled, scrub
from ..profile import Profile
from ..storage.connect import connect
from ..system import thread_pool, utc_clock
from ..system.meter import Meter
from . import local_removal, members, saved_workflows
from .bandwidth import Bandwidth, PacedMeter
from .journal import Journal, Row
from .mirrored_folder import MirroredFolder, Waiting, pause
from .names import Names
from .sender import WrittenTo, send

EVENT = "cloud_storage.mirror"
THREADS = 4
PAUSE_SECONDS, PAUSE_MAX_SECONDS = 5.0, 60.0  # after a failure of the whole bucket
REMOVAL_SECONDS = 600.0
MEGABYTE = 10**6

OnStored = Callable[["ProfileMirror", MirroredFolder, Row], object]

log = logging.getLogger("cloud_storage")


@dataclass
class Failure:
    """Why nothing can be sent at the moment."""

    error: str
    since: datetime
    attempts: int = 1
    until: float = 0.0


class ProfileMirror:
    """``look`` and ``close`` belong to one thread, the rest may be called from any.

    ``off_at`` is that of ``MirroredFolder``. ``on_stored`` is called with each file that is stored, by the
    thread that has sent it.
    """

    def __init__(
        self,
        profile: Profile,
        journal: Journal,
        off_at: float,
        everything: bool = False,
        on_stored: OnStored = lambda mirror, folder, row: None,
    ) -> None:
        self.profile = profile
        self._on_stored = on_stored
        self._meter = Meter()
        self._bandwidth = Bandwidth(profile.mirror.mb_per_second * MEGABYTE)
        self._threads_max = 1 if self._bandwidth.per_second else THREADS
        place, mirror = members.place(profile), profile.mirror
        self.folders = [
            MirroredFolder(
                members.folder(name),
                Names(name, mirror.prefix, mirror.exclude),
                place,
                journal,
                everything,
                off_at,
                saved_workflows.place(profile) if name == members.WORKFLOWS else "",
            )
            for name in mirror.folders
        ]
        self._lock = threading.Lock()
        self._running = 0
        self.failure: Failure | None = None
        self._is_removing, self._remove_from = False, 0.0
        self.sent = 0
        self.last_stored: datetime | None = None

    def close(self) -> None:
        """Stop what is being sent, and release the locks."""
        self._meter.stop()
        for folder in self.folders:
            folder.close()

    def look(self, profiles: list[ProfileMirror]) -> None:
        """Look at the folders once, and start to send what is complete. Raises nothing.

        ``profiles`` are all that mirror: a local file is deleted only if each has stored it.
        """
        now = time.monotonic()
        are_whole = [self._look_at(folder, now) for folder in self.folders]
        if all(are_whole):
            self._catch_up()
        self._start()
        if self.profile.mirror.delete_after_days and not self._is_removing and now >= self._remove_from:
            self._is_removing, self._remove_from = True, now + REMOVAL_SECONDS
            thread_pool.begin(lambda: self._remove(profiles))

    def _look_at(self, folder: MirroredFolder, now: float) -> bool:
        """Look at one folder; returns if that did not fail."""
        try:
            folder.look(now)
        except StorageError as error:  # there is no package for locks
            self._fail(str(error))
        except (sqlite3.Error, OSError) as error:
            self._fail(_of_journal(error))
        else:
            return True
        return False

    def retry(self) -> None:
        """Try at once what failed."""
        with self._lock:
            if self.failure is not None:
                self.failure.until = 0.0
        for folder in self.folders:
            folder.retry()
        self._start()

    def _start(self) -> None:
        now = time.monotonic()
        ready = sum(one.is_ready(now) for folder in self.folders for one in folder.waiting())
        with self._lock:
            most = 1 if self.failure is not None else self._threads_max
            is_paused = self.failure is not None and now < self.failure.until
            missing = 0 if is_paused else max(0, min(most, ready) - self._running)
            self._running += missing
        for _ in range(missing):
            threading.Thread(target=self._work, name="cloud-storage-mirror-send", daemon=True).start()

    def _work(self) -> None:
        try:
            with self._meter.governs():
                while not self._meter.stopped and (found := self._next()) is not None:
                    self._send(*found)
        finally:
            with self._lock:
                self._running -= 1

    def _next(self) -> tuple[MirroredFolder, Waiting, Meter] | None:
        now, meter = time.monotonic(), PacedMeter(self._bandwidth, self._meter)
        with self._lock:
            if self.failure is not None and (now < self.failure.until or self._running > 1):
                return None
        for folder in self.folders:
            if (one := folder.next(now, meter)) is not None:
                return folder, one, meter
        return None

    def _send(self, folder: MirroredFolder, one: Waiting, meter: Meter) -> None:
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
            one.meter = None

    def _stored(self, folder: MirroredFolder, one: Waiting, row: Row) -> None:
        folder.stored(one)
        with self._lock:
            self.sent += 1
            self.last_stored = utc_clock.now()
            if self.failure is not None:  # the next files are sent, and it has caught up with the last
                self.failure.until = 0.0
        self._on_stored(self, folder, row)
        self._catch_up()

    def _catch_up(self) -> None:
        """End a failure if nothing waits any more."""
        with self._lock:
            has_caught_up = self.failure is not None and not self.counts()[0]
            if has_caught_up:
                self.failure = None
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
                self.failure = Failure(error, utc_clock.now())
            else:
                self.failure.attempts += 1
                self.failure.error = error
            seconds = pause(self.failure.attempts, PAUSE_SECONDS, PAUSE_MAX_SECONDS)
            self.failure.until = time.monotonic() + seconds
        if is_first:
            log.warning("The mirror of %s fails, and is tried again by itself: %s", self.profile.name, error)
            self._announce(failing=True, error=error)

    def _announce(self, *, failing: bool, error: str) -> None:
        waiting = self.counts()[0]
        about = {"profile": self.profile.name, "failing": failing, "error": error, "waiting": waiting}
        prompt_queue.announce(EVENT, about)

    def _remove(self, profiles: list[ProfileMirror]) -> None:
        try:
            with self._meter.governs():
                storage = connect(self.profile)
                all_folders = [folder for each in profiles for folder in each.folders]
                days = self.profile.mirror.delete_after_days
                for folder in self.folders:
                    local_removal.remove(folder, storage, days, all_folders, self._meter)
        except (StorageError, sqlite3.Error) as error:
            log.warning("The mirror could not delete local files: %s", error)
        finally:
            self._is_removing = False

    def counts(self) -> tuple[int, int]:
        """Return how many files are not in the bucket yet, and their bytes."""
        sizes = [one.file.size for folder in self.folders for one in folder.waiting()]
        sizes += [file.size for folder in self.folders for file in folder.writing().values()]
        return len(sizes), sum(sizes)


def _of_journal(error: Exception) -> str:
    return f"Could not write the mirror's journal: {error}. Free room on the disk of ComfyUI's user folder."
