"""Record multipart uploads on the disk while they are open, to end those that a killed process has left.

The parts of such an upload stay in the bucket. No listing shows them, and they cost money. A record is a file
with the bucket, the key and the upload id. The process that uploads holds a lock beside it, which the system
releases when the process ends, however it ends. So nobody ends an upload of a running process, of another
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
RECORD_MAX_BYTES = 16 << 10  # a key has 1 KiB, an upload id some hundred bytes
# If two machines share the user folder, locks may not work between them. The upload of another machine is
# ended after a time that no upload takes.
OTHER_MACHINE_SECONDS = 7 * 24 * 3600

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Unfinished:
    """An upload that no process continues; ``key`` includes path_prefix."""

    key: str
    upload_id: str
    record: Path


class Uploads:
    """The records of one bucket at one endpoint, named by ``place``. Safe for threads."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder, self._place = folder / FOLDER, place
        self._failed: set[str] = set()  # upload ids that this process could not end
        self._empty_since: int | None = None  # when the folder had last changed as it had no record

    @contextlib.contextmanager
    def recorded(self, key: str, upload_id: str) -> Iterator[Callable[[], None]]:
        """Record an upload during the block. Yields a function to call if it could not be ended.

        The record is then kept. An error of the disk is logged, and the upload continues.
        """
        record = self._folder / f"{uuid.uuid4().hex}.json"
        kept: list[bool] = []
        with contextlib.ExitStack() as stack:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locks.alone(_lock_of(record)))
                fields = {"place": self._place, "key": key, "upload": upload_id, "machine": platform.node()}
                durable_write.write(record, json.dumps(fields).encode())
            except OSError as error:
                log.warning("A multipart upload is not recorded, so that a crash may leave it: %s", error)
            yield lambda: kept.append(True)
            if not kept:
                with contextlib.suppress(OSError):
                    record.unlink()

    def left(self) -> list[Unfinished]:
        """Return the uploads that killed processes have left, without a request."""
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed == self._empty_since:
                return []
            records = sorted(self._folder.glob("*.json"))
        except OSError:
            return []
        self._empty_since = None if records else changed
        found = []
        for record in records:
            upload = self._read(record)
            if upload is not None and upload.upload_id not in self._failed:
                with _abandoned(record) as is_abandoned:
                    if is_abandoned:
                        found.append(upload)
        return found

    def end(self, abort: Callable[[str, str], bool]) -> None:
        """End the uploads that are left: ``abort(key, upload_id)`` returns True if one is gone.

        Errors of the disk are logged: the caller's own upload was successful. Raises TransferCancelled.
        """
        for upload in self.left():
            try:
                with _abandoned(upload.record) as is_abandoned:
                    if not is_abandoned or not upload.record.exists():
                        continue
                    if abort(upload.key, upload.upload_id):
                        log.info("An unfinished upload of %r was removed.", upload.key)
                        upload.record.unlink()
                    else:
                        self._failed.add(upload.upload_id)
            except OSError as error:
                log.warning("The record of an unfinished upload cannot be used: %s", error)

    def _read(self, record: Path) -> Unfinished | None:
        """Return the upload of a record, if it is one of this bucket and may be ended."""
        try:
            with record.open("rb") as file:
                fields = json.loads(file.read(RECORD_MAX_BYTES))
            is_elsewhere = fields["machine"] != platform.node()
            if is_elsewhere and time.time() - record.stat().st_mtime < OTHER_MACHINE_SECONDS:
                return None
            upload = Unfinished(str(fields["key"]), str(fields["upload"]), record)
            return upload if fields["place"] == self._place else None
        except (OSError, ValueError, LookupError, TypeError):  # incomplete, or not our file
            return None


def _lock_of(record: Path) -> Path:
    return record.with_suffix(".lock")


@contextlib.contextmanager
def _abandoned(record: Path) -> Iterator[bool]:
    """Yield True, and hold the lock, if no process continues the upload or is ending it."""
    with contextlib.ExitStack() as stack:
        try:
            is_held = stack.enter_context(locks.alone(_lock_of(record)))
            # A file system without locks gives them to everybody.
            is_abandoned = is_held and locks.keeps_out(_lock_of(record))
        except OSError:
            is_abandoned = False
        yield is_abandoned
