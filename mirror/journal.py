"""What the mirror has stored, on disk: one row for each file of each folder and bucket.

Each change is on the disk when its function returns. SQLite's write-ahead log is not used: it does not work
on network drives. A journal that is damaged is put aside, and a new one is begun in which nothing is known:
files are then compared with the bucket, and none is lost or stored twice.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..system import utc_clock
from ..system.file_fingerprint import Fingerprint

FILE_NAME = "mirror.sqlite"
BUSY_SECONDS = 30.0  # for another process that writes
# OLD: made before the mirror was switched on. SENDING: a file whose upload has begun, or whose object may be
# a mixture, because something wrote to it.
OLD, SENDING, STORED = "old", "sending", "stored"

log = logging.getLogger("cloud_storage")

_TABLES = """
CREATE TABLE IF NOT EXISTS target (id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS file (
    target INTEGER NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    state TEXT NOT NULL, sha256 TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL,
    own INTEGER NOT NULL, gone INTEGER NOT NULL, stored_at REAL NOT NULL,
    PRIMARY KEY (target, name)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Row:
    """A file as it was when it was stored. ``own``: this mirror has made the object, and may renew it.

    ``gone``: the file has vanished since, so that its object is the only copy. ``stored_at``: seconds since
    1970, 0 if it is not stored.
    """

    name: str
    file: Fingerprint
    state: str
    sha256: str = ""
    key: str = ""
    etag: str = ""
    own: bool = False
    gone: bool = False
    stored_at: float = 0.0


@dataclass
class _Batch:
    """Rows that are written at once."""

    rows: list[tuple[object, ...]] = field(default_factory=list)
    writing: threading.Lock = field(default_factory=threading.Lock)
    is_begun: bool = False
    is_written: bool = False
    error: str = ""


class Journal:
    """The journal of this user folder. Any thread may use it; raises ``sqlite3.Error``, as on a full disk."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._gathering, self._batch = threading.Lock(), _Batch()
        self.is_renewed = False  # True if a damaged one was put aside
        try:
            self._database = _opened(file)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # the disk, not what is on it
                raise
            aside = file.with_name(f"{FILE_NAME}.damaged-{utc_clock.now():%Y%m%dT%H%M%S}")
            file.replace(aside)
            log.warning("The mirror's journal was damaged, and is kept as %s: %s", aside.name, error)
            self._database, self.is_renewed = _opened(file), True

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
                self._database.commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._database.rollback()
                raise

    def target(self, place: str) -> int | None:
        """Return the number of a folder and bucket; None if the mirror was never switched on for it."""
        with self._lock:
            found = self._database.execute("SELECT id FROM target WHERE place = ?", (place,)).fetchone()
        return found and int(found[0])

    def begin(self, place: str, old: Mapping[str, Fingerprint]) -> int:
        """Note that the mirror is switched on, and which files are there already. Returns the number.

        Does nothing if another process has done so.
        """
        with self._writing() as database:
            made = database.execute("INSERT OR IGNORE INTO target (place) VALUES (?)", (place,))
            (number,) = database.execute("SELECT id FROM target WHERE place = ?", (place,)).fetchone()
            if made.rowcount:
                rows = (Row(name, file, OLD) for name, file in old.items())
                database.executemany(_WRITE, (_values(number, row) for row in rows))
        return int(number)

    def rows(self, target: int) -> dict[str, Row]:
        """Return all rows of a folder by name."""
        with self._lock:
            found = self._database.execute("SELECT * FROM file WHERE target = ?", (target,)).fetchall()
        return {row.name: row for row in map(_row, found)}

    def row(self, target: int, name: str) -> Row | None:
        with self._lock:
            found = self._database.execute(
                "SELECT * FROM file WHERE target = ? AND name = ?", (target, name)
            ).fetchone()
        return found and _row(found)

    def stored_before(self, target: int, seconds: float) -> list[Row]:
        """Return what was stored before this time, and is still on this machine."""
        with self._lock:
            found = self._database.execute(
                "SELECT * FROM file WHERE target = ? AND state = ? AND gone = 0 AND stored_at < ?",
                (target, STORED, seconds),
            ).fetchall()
        return [_row(each) for each in found]

    def write(self, target: int, rows: Iterable[Row]) -> None:
        """Write rows, in place of those of the same names.

        What other threads give meanwhile is written together with them: it is the disk that takes time.
        """
        values = [_values(target, row) for row in rows]
        with self._gathering:
            batch = self._batch
            batch.rows += values
        with batch.writing:  # the first of them writes for all
            if not batch.is_begun:
                batch.is_begun = True
                self._write_batch(batch)
        if not batch.is_written:
            raise sqlite3.OperationalError(batch.error)

    def _write_batch(self, batch: _Batch) -> None:
        try:
            with self._writing() as database:
                with self._gathering:
                    self._batch = _Batch()
                database.executemany(_WRITE, batch.rows)
            batch.is_written = True
        except sqlite3.Error as error:
            batch.error = str(error)

    def forget_old(self, target: int) -> None:
        """Forget which files were there when the mirror was switched on: they are new now."""
        with self._writing() as database:
            database.execute("DELETE FROM file WHERE target = ? AND state = ?", (target, OLD))

    def set_gone(self, target: int, names: Iterable[str], gone: bool) -> None:
        """Note of files that they have vanished, or are there again as they were."""
        with self._writing() as database:
            database.executemany(
                "UPDATE file SET gone = ? WHERE target = ? AND name = ?",
                [(gone, target, name) for name in names],
            )


_WRITE = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _values(target: int, row: Row) -> tuple[object, ...]:
    size, modified_ns = row.file.size, row.file.modified_ns
    begin = (target, row.name, size, modified_ns, row.state, row.sha256, row.key, row.etag)
    return (*begin, row.own, row.gone, row.stored_at)


def _row(found: tuple[object, ...]) -> Row:
    _, name, size, modified_ns, state, sha256, key, etag, own, gone, stored_at = found
    file = Fingerprint(size, modified_ns)  # type: ignore[arg-type]
    return Row(name, file, state, sha256, key, etag, bool(own), bool(gone), stored_at)  # type: ignore[arg-type]


def _opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_SECONDS, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = PERSIST")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_TABLES)
        _check(database)
    except BaseException:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("its check fails")
