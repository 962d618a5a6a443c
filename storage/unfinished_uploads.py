"""Uploads in parts that are under way, noted on the disk, so that one that a killed process left is ended.

What such an upload had sent stays in the bucket. No listing shows it, and it costs money. A note is a file
with the place, the key and the upload id. Whoever uploads holds the lock beside it, and the system takes the
lock back when that process ends, however it ends. So nobody ends an upload of a running process, of another
machine, or of another program.
"""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..system import durable_write, locks

FOLDER = "uploads"  # beside profiles.json
NOTE_MAX_BYTES = 16 << 10  # a key has 1 KiB, an upload id some hundred bytes
# Where two machines share the user folder, their locks may not reach each other. An upload of another machine
# is ended when nobody can still be at it.
OTHERS_SECONDS = 7 * 24 * 3600

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Left:
    """An upload that nobody is at any more; ``key`` is the whole one."""

    key: str
    upload_id: str
    note: Path


class Uploads:
    """The notes about one place: a bucket at an endpoint. Safe to share between threads."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder, self._place = folder / FOLDER, place
        self._refused: set[str] = set()  # upload ids that this process could not end

    @contextlib.contextmanager
    def noted(self, key: str, upload_id: str) -> Iterator[Callable[[], None]]:
        """Note an upload as long as it lasts. What is yielded is called where it could not be ended: then the
        note stays. A disk that takes no note is logged, and no failure of the upload.
        """
        note = self._folder / f"{uuid.uuid4().hex}.json"
        stays: list[bool] = []
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.alone(_lock_of(note)))
                told = {"place": self._place, "key": key, "upload": upload_id, "machine": platform.node()}
                durable_write.write(note, json.dumps(told).encode())
            except OSError as error:
                log.warning("An upload in parts is not noted, to be ended after a crash: %s", error)
            yield lambda: stays.append(True)
            if not stays:
                with contextlib.suppress(OSError):
                    note.unlink()

    def left(self) -> list[Left]:
        """The uploads that were left in this place, without a request."""
        try:
            notes = sorted(self._folder.glob("*.json"))
        except OSError:
            return []
        found = []
        for note in notes:
            left = self._read(note)
            if left is not None and left.upload_id not in self._refused:
                with _abandoned(note) as abandoned:
                    if abandoned:
                        found.append(left)
        return found

    def end(self, abort: Callable[[str, str], bool]) -> None:
        """End what was left: ``abort(key, upload_id)`` says whether it is gone. Raises TransferCancelled.

        Whoever calls has stored what was to be stored: what the disk refuses is logged, and no failure.
        """
        for left in self.left():
            try:
                with _abandoned(left.note) as abandoned:
                    if abandoned and left.note.exists():
                        self._end(left, abort(left.key, left.upload_id))
            except OSError as error:
                log.warning("An upload that was left unfinished cannot be looked after: %s", error)

    def _end(self, left: Left, is_gone: bool) -> None:
        if is_gone:
            log.info("An upload of %r that was left unfinished is removed.", left.key)
            left.note.unlink()
        else:
            self._refused.add(left.upload_id)

    def _read(self, note: Path) -> Left | None:
        """The note's upload, if it is one of this place that may be ended."""
        try:
            with note.open("rb") as file:
                told = json.loads(file.read(NOTE_MAX_BYTES))
            elsewhere = told["machine"] != platform.node()
            if elsewhere and time.time() - note.stat().st_mtime < OTHERS_SECONDS:
                return None
            left = Left(str(told["key"]), str(told["upload"]), note)
            return left if told["place"] == self._place else None
        except (OSError, ValueError, LookupError, TypeError):  # written halfway, or by somebody else
            return None


def _lock_of(note: Path) -> Path:
    return note.with_suffix(".lock")


@contextlib.contextmanager
def _abandoned(note: Path) -> Iterator[bool]:
    """Whether nobody is at the upload; nobody else is at ending it then."""
    with contextlib.ExitStack() as stack:
        try:
            mine = stack.enter_context(locks.alone(_lock_of(note)))
            # On a file system without locks everybody gets them.
            abandoned = mine and locks.keeps_out(_lock_of(note))
        except OSError:
            abandoned = False
        yield abandoned
