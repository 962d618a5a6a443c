"""A file beside an unfinished download that lists the bytes that have arrived, so that it can be resumed.

An entry is written after its bytes. If the process ends, even killed, the bytes that it wrote are in the
file. If the machine loses power, only bytes that were synced to disk are certain. So the journal holds the
id of the machine's boot, and how many of its entries had been synced.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..system import durable_write

SYNC_SECONDS = 10.0  # between two syncs to disk
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")  # man 4 random


@dataclass(frozen=True)
class Version:
    """One version of one object: its bucket and prefix, key, ETag, and size in bytes."""

    place: str
    key: str
    etag: str
    size: int


def journal_of(part: Path) -> Path:
    """The path of the journal of the file ``part``."""
    return part.with_name(f"{part.name}.journal")


class Journal:
    """The journal of the file ``part``, which has the size of the whole object from the beginning.

    Lines of JSON: first the version and the id of the boot, then [start, stop] for bytes that have arrived,
    and a number n where the n entries before it have been synced. Reading stops at the first line that is
    damaged: a killed process may leave half a line. Any thread may call any method.
    """

    def __init__(self, part: Path, version: Version) -> None:
        """Continue ``part`` if its journal is of this version; start an empty file otherwise."""
        self._part, self._file = part, -1
        self._changed = threading.Condition()
        self._boot = _boot()
        trusted = merged(_read(part, version, self._boot))
        self.done = sum(stop - start for start, stop in trusted)
        self.frontier = 0  # every byte before it has arrived
        self._ends = dict(trusted)
        self._advance()
        self._size, self._begun = version.size, trusted
        if not trusted:
            # first: one that lists all bytes would be believed if the process ended after the next lines
            journal_of(part).unlink(missing_ok=True)
            with part.open("wb") as file:
                file.truncate(version.size)
        self._rewrite(version, trusted)
        self._notes, self._synced_at, self._syncing = len(trusted), time.monotonic(), False

    def missing(self) -> list[range]:
        """The ranges that were missing when the journal was opened, in order."""
        edges = [0, *(edge for piece in self._begun for edge in piece), self._size]
        return [range(*pair) for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] < pair[1]]

    def note(self, start: int, stop: int) -> None:
        """Add an entry: bytes ``start`` to ``stop`` have been written. Raises OSError."""
        with self._changed:
            self._append([start, stop])
            self._notes += 1
            self._ends[start] = stop
            self._advance()
            self._changed.notify_all()
        self._sync_now_and_then()

    def wait_beyond(self, position: int, seconds: float) -> int:
        """Wait until ``frontier`` is greater than ``position``, or for ``seconds``; returns ``frontier``."""
        with self._changed:
            self._changed.wait_for(lambda: self.frontier > position, seconds)
            return self.frontier

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Delete the journal: the part file is complete, or is deleted too."""
        self.close()
        journal_of(self._part).unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _advance(self) -> None:
        while (stop := self._ends.pop(self.frontier, None)) is not None:
            self.frontier = stop

    def _append(self, line: object) -> None:
        os.write(self._file, f"{json.dumps(line)}\n".encode())

    def _rewrite(self, version: Version, trusted: Sequence[tuple[int, int]]) -> None:
        """Write a new journal with the entries that can be trusted, after a sync of their bytes."""
        if trusted:
            sync(self._part)
        path = journal_of(self._part)
        lines: list[object] = [{**asdict(version), "boot": self._boot}, *trusted, len(trusted)]
        durable_write.replace(path, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))

    def _sync_now_and_then(self) -> None:
        """Sync to disk if SYNC_SECONDS have passed, in one thread while the others continue. Without an id
        of the boot every entry is synced.
        """
        with self._changed:
            due = not self._boot or time.monotonic() - self._synced_at >= SYNC_SECONDS
            if self._syncing or not due:
                return
            self._syncing, notes = True, self._notes
        try:
            sync(self._part)
            with self._changed:
                self._append(notes)
        finally:
            self._syncing, self._synced_at = False, time.monotonic()


def sync(path: Path) -> None:
    """Sync a file to disk. Raises OSError."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def merged(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join the pieces that touch or overlap; sorted."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(pieces):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _read(part: Path, version: Version, boot: str) -> list[tuple[int, int]]:
    """The pieces of ``part`` that can be trusted; none if its journal is of another version."""
    try:
        if part.stat().st_size != version.size:
            return []
        head, *lines = journal_of(part).read_text(encoding="utf-8").splitlines()
        about = json.loads(head)
        if not isinstance(about, dict) or {**about, "boot": ""} != {**asdict(version), "boot": ""}:
            return []
    except (OSError, ValueError):
        return []
    pieces: list[tuple[int, int]] = []
    synced = 0
    with contextlib.suppress(ValueError, TypeError):
        for line in lines:
            said: Any = json.loads(line)
            if isinstance(said, int):
                synced = said
            else:
                start, stop = map(int, said)
                if not 0 <= start < stop <= version.size:
                    break
                pieces.append((start, stop))
    return pieces if boot and about.get("boot") == boot else pieces[:synced]


def _boot() -> str:
    """The id of this boot of the machine; "" on systems that have none."""
    try:
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
