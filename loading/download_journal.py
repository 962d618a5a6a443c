"""What of a download is on disk already, noted beside it, so that another run or process can go on there.

A note is written after its bytes. When a process ends, killed or not, the bytes that it wrote are still the
file's; when the machine loses power, only those that were forced to disk are certain to be. So notes say
which start of the machine they were made in, and how many of them had been forced to disk by then.
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

SYNC_SECONDS = 10.0  # between two times that the bytes are forced to disk
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")  # man 4 random


@dataclass(frozen=True)
class Version:
    """One version of one object: where it is, its ETag, and its size in bytes."""

    place: str
    key: str
    etag: str
    size: int


def journal_of(part: Path) -> Path:
    """Where the notes about ``part`` are."""
    return part.with_name(f"{part.name}.journal")


class Journal:
    """The notes about the file ``part``, which has the size of the whole object from the beginning.

    Lines of JSON: the version and the machine's start, then [start, stop] for bytes that are there, and a
    number for so many of the notes before it that have been forced to disk. What cannot be read ends the
    notes: the last line of a process that was killed may be half a line. Any thread may call any method.
    """

    def __init__(self, part: Path, version: Version) -> None:
        """Go on with ``part`` where its notes are about this very version, begin it anew otherwise."""
        self._part, self._file = part, -1
        self._changed = threading.Condition()
        self._boot = _boot()
        trusted = merged(_read(part, version, self._boot))
        self.done = sum(stop - start for start, stop in trusted)
        self.frontier = 0  # every byte before it is there
        self._ends = dict(trusted)
        self._advance()
        self._size, self._begun = version.size, trusted
        if not trusted:
            with part.open("wb") as file:
                file.truncate(version.size)
        self._rewrite(version, trusted)
        self._notes, self._synced_at, self._syncing = len(trusted), time.monotonic(), False

    def missing(self) -> list[range]:
        """The gaps that were there at the beginning, in order."""
        edges = [0, *(edge for piece in self._begun for edge in piece), self._size]
        return [range(*pair) for pair in zip(edges[::2], edges[1::2], strict=True) if pair[0] < pair[1]]

    def note(self, start: int, stop: int) -> None:
        """Bytes ``start`` to ``stop`` have been written. Raises OSError."""
        with self._changed:
            self._append([start, stop])
            self._notes += 1
            self._ends[start] = stop
            self._advance()
            self._changed.notify_all()
        self._sync_now_and_then()

    def wait_beyond(self, position: int, seconds: float) -> int:
        """The frontier, once it is beyond ``position`` or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.frontier > position, seconds)
            return self.frontier

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Forget everything, when the part file is whole or worth nothing."""
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
        """Begin new notes with what is certain, which is forced to disk for them."""
        if trusted:
            sync(self._part)
        path = journal_of(self._part)
        fresh = path.with_name(f"{path.name}.new")
        lines: list[object] = [{**asdict(version), "boot": self._boot}, *trusted, len(trusted)]
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(line)}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))

    def _sync_now_and_then(self) -> None:
        """Force to disk what is noted, one thread while the others go on; each time, where nobody can tell
        whether the machine was started anew.
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
    """Force the bytes of a file to disk. Raises OSError."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def merged(pieces: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes in as few pieces as possible, in order."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(pieces):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def _read(part: Path, version: Version, boot: str) -> list[tuple[int, int]]:
    """The pieces that are certain to be in ``part``; none where its notes are about something else."""
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
    """What tells this start of the machine from every other; "" where the system does not say."""
    try:
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
