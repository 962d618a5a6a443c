"""One folder of ComfyUI on its way into one bucket: what is new, what is complete, what waits."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from ..system import locks
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import open_files
from .folder_watch import Changes, FolderWatch
from .journal import OLD, STORED, Journal, Row
from .names import Names
from .sender import Target

STILL_SECONDS = 2.0  # for which size and time of a complete file have not changed
OPEN_SHARE = 50  # looking for programs that write takes at most this share of the time
LOCK_SECONDS = 5.0  # between two attempts to get the lock that another ComfyUI holds
RETRY_SECONDS, RETRY_MAX_SECONDS = 60.0, 3600.0  # for a file that fails for a reason of its own
DOUBLINGS = 10  # of a pause, after which it is the longest one
_LOCK = ".cloud_storage_mirror"

MISSING = "The folder is missing or cannot be read."
ELSEWHERE = "Another ComfyUI mirrors this folder."


@dataclass
class Waiting:
    """A complete file that is not stored yet. ``error`` is why the last attempt failed, if one did."""

    name: str
    file: Fingerprint
    error: str = ""
    attempts: int = 0
    not_before: float = 0.0
    meter: Meter | None = None  # of its bytes, while it is being sent

    def is_ready(self, now: float) -> bool:
        """Return whether it is to be sent now: it is not being sent, nor has it just failed."""
        return self.meter is None and self.not_before <= now

    def failed(self, error: str, now: float) -> None:
        self.attempts += 1
        self.error = error
        self.not_before = now + pause(self.attempts, RETRY_SECONDS, RETRY_MAX_SECONDS)


def pause(attempts: int, first: float, longest: float) -> float:
    """Return the seconds until the next attempt, twice as many after each."""
    return min(first * 2.0 ** min(attempts - 1, DOUBLINGS), longest)


class MirroredFolder:
    """``look`` and ``close`` belong to one thread, the rest may be called from any.

    ``place`` names the bucket and the folder in it, without a secret. ``everything``: files from before the
    mirror was switched on are sent too. ``off_at``: when it was not switched on yet, in seconds since 1970.
    ``saved`` is that of ``Target``.
    """

    def __init__(
        self,
        root: Path,
        names: Names,
        place: str,
        journal: Journal,
        everything: bool,
        off_at: float,
        saved: str = "",
    ) -> None:
        self.root, self.names = Path(os.path.realpath(root)), names
        self._place = f"{place}\n{names.prefix}{names.folder}\n{self.root}"
        self._journal, self._everything, self._off_at, self._saved = journal, everything, off_at, saved
        self._watch = FolderWatch(self.root, names.leaves_out)
        self._changed = threading.Lock()
        self._untaken: Changes = {}  # because the journal failed
        self._settling: dict[str, tuple[Fingerprint, float]] = {}
        self._waiting: dict[str, Waiting] = {}
        self._open_from = 0.0
        self._holding = contextlib.ExitStack()
        self._is_held, self._lock_from = False, 0.0
        self.note = ""
        self.old = 0  # files that were there when the mirror was switched on, at the first look of all
        self.has_looked = False
        self._target: Target | None = None

    @property
    def target(self) -> Target:
        """Return what the sender needs; there is one after the first look."""
        if self._target is None:
            raise AssertionError("nothing waits before the first look")
        return self._target

    @property
    def files(self) -> int:
        return self._watch.files if self.has_looked else 0

    def close(self) -> None:
        """Release the lock."""
        self._holding.close()
        self._is_held = False

    def look(self, now: float) -> None:
        """Look at the folder once. Raises ``sqlite3.Error`` for the journal; then the look is repeated."""
        if not self._hold(now):
            self.note = ELSEWHERE
            if self._journal.target(self._place) is None:  # what is made from now on is new to this one too
                with contextlib.suppress(OSError):
                    self._switched_on(FolderWatch(self.root, self.names.leaves_out).look(now))
            return
        try:
            changes = self._watch.look(now)
        except OSError:
            self.note = MISSING
            if not self.root.exists():
                self._switched_on({})  # what is in it once it is made, is new
            return
        self.note = ""
        self._untaken.update(changes)
        self._take(self._untaken, now)
        self._untaken = {}
        self._settle(now)

    def _hold(self, now: float) -> bool:
        """Hold the lock of this folder and bucket, if nobody else does."""
        if self._is_held or now < self._lock_from:
            return self._is_held
        if not self.root.is_dir():
            return True  # there is nothing to lock; noted by the look
        self._lock_from = now + LOCK_SECONDS
        digest = hashlib.sha256(self._place.encode(errors="surrogatepass")).hexdigest()[:8]
        with contextlib.ExitStack() as stack:
            try:
                self._is_held = stack.enter_context(locks.alone(self.root / f"{_LOCK}-{digest}.lock"))
            except OSError:  # a folder that nobody may write into
                self._is_held = True
            if self._is_held:
                self._holding = stack.pop_all()
        return self._is_held

    def _take(self, changes: Changes, now: float) -> None:
        if not self.has_looked:
            self._take_first(changes, now)
            return
        number = self.target.number
        gone, back = [], []
        for name, file in changes.items():
            row = self._journal.row(number, name)
            if file is None:
                self._drop(name)
                if row is not None and not row.gone:
                    gone.append(name)
            elif row is not None and row.state in (OLD, STORED) and row.file == file:
                if row.gone:
                    back.append(name)
            else:
                self._begin(name, file, now)
        if gone:
            self._journal.set_gone(number, gone, gone=True)
        if back:
            self._journal.set_gone(number, back, gone=False)

    def _take_first(self, changes: Changes, now: float) -> None:
        files = {name: file for name, file in changes.items() if file is not None}
        number = self._switched_on(changes)
        if self._everything:
            self._journal.forget_old(number)
        rows = self._journal.rows(number)
        back = []
        for name, file in files.items():
            row = rows.pop(name, None)
            if row is None or row.state not in (OLD, STORED) or row.file != file:
                self._begin(name, file, now)
            elif row.gone:
                back.append(name)
        if back:
            self._journal.set_gone(number, back, gone=False)
        if rows:
            self._journal.set_gone(number, [row.name for row in rows.values() if not row.gone], gone=True)
        self._target = Target(self.root, self.names, self._journal, number, self._saved)
        self.has_looked = True

    def _switched_on(self, files: Changes) -> int:
        """Return the number of this folder in the journal.

        If it is new, those of ``files`` are from before that were last written while the mirror was off: a
        first look at many files takes a while, in which others are made.
        """
        number = self._journal.target(self._place)
        if number is None:
            if self._everything or self._journal.is_renewed:
                files = {}
            until = self._off_at * 1e9
            old = {
                name: file for name, file in files.items() if file is not None and file.modified_ns < until
            }
            number = self._journal.begin(self._place, old)
            self.old = len(old)
        return number

    def _begin(self, name: str, file: Fingerprint, now: float) -> None:
        with self._changed:
            self._waiting.pop(name, None)
            self._settling[name] = (file, now)

    def _drop(self, name: str) -> None:
        with self._changed:
            self._settling.pop(name, None)
            self._waiting.pop(name, None)

    def _settle(self, now: float) -> None:
        """Let files wait to be sent that are complete."""
        still: list[tuple[str, Fingerprint]] = []
        for name, (file, since) in list(self._settling.items()):
            try:
                found = Fingerprint.of(self.root / name)
            except OSError:
                self._drop(name)
                continue
            if found != file:
                self._settling[name] = (found, now)
            elif now - since >= STILL_SECONDS:
                still.append((name, file))
        if not still or now < self._open_from:
            return
        began = time.monotonic()
        paths = {self.root / name: name for name, _ in still}
        written = {paths[path] for path in open_files.written_to(paths)}
        if written:
            self._open_from = now + min(OPEN_SHARE * (time.monotonic() - began), 5.0)
        with self._changed:
            for name, file in still:
                if name not in written:
                    self._settling.pop(name, None)
                    self._waiting[name] = Waiting(name, file)

    def again(self, one: Waiting, now: float) -> None:
        """Wait until a file is complete that was written to while it was sent."""
        try:
            self._begin(one.name, Fingerprint.of(self.root / one.name), now)
        except OSError:
            self._drop(one.name)

    def stored(self, one: Waiting) -> None:
        """Forget a file that is stored, unless it has changed meanwhile."""
        with self._changed:
            if self._waiting.get(one.name) is one:
                del self._waiting[one.name]

    def next(self, now: float, meter: Meter) -> Waiting | None:
        """Return a file to send now; nobody else gets it until its ``meter`` is None again."""
        with self._changed:
            for one in self._waiting.values():
                if one.is_ready(now):
                    one.meter = meter
                    return one
        return None

    def retry(self) -> None:
        """Let files that failed be sent at once."""
        with self._changed:
            for one in self._waiting.values():
                one.not_before = 0.0

    def waiting(self) -> list[Waiting]:
        with self._changed:
            return list(self._waiting.values())

    def writing(self) -> dict[str, Fingerprint]:
        """Return the files that are not complete, or have not stood still for long enough."""
        with self._changed:
            return {name: file for name, (file, _) in self._settling.items()}

    def has_stored(self, name: str, file: Fingerprint) -> bool:
        """Return if the journal has this version of a file."""
        row = self._journal.row(self.target.number, name) if self.has_looked else None
        return row is not None and row.state == STORED and row.file == file

    def row(self, name: str) -> Row | None:
        """Return what the journal has of a file, whichever process sends this folder."""
        number = self._journal.target(self._place)
        return None if number is None else self._journal.row(number, name)
