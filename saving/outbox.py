"""Keeps on disk what could not be sent, until it is: one folder per file, whole or not there.

An entry holds the encoded file and ``entry.json``: which profile by its name, which object by the state of
its name, and no secret. It is prepared under a name that begins with a dot, flushed to the disk, and renamed;
it is renamed again before it is removed. Whatever a crash leaves under such a name is swept away later. What
is read back is not trusted: an entry that is not as it is written here is reported, and the others go on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from ..comfyui.cloud_files import WAITING, CloudFile
from ..errors import DISK_ADVICE, ConfigurationError, StorageError, disk_errors, sentence
from ..system import durable_write, locks
from ..system.meter import Meter
from .choices import NEW_NAME
from .names import Name

MAX_BYTES = 32 << 30  # of all entries together
WARN_BYTES = MAX_BYTES * 4 // 5
LEFTOVER_SECONDS = 24 * 3600  # after which an unfinished entry belongs to no running process

ENTRY_FILE = "entry.json"
LOCK_FILE = ".lock"
ARRIVING, SENT = ".arriving-", ".sent-"
VERSION = 1

ENTRY_MAX_BYTES = 1 << 20

# What reading an entry raises that is not as it is written: RecursionError for JSON that is nested too deep,
# OverflowError for a size that is infinite or a time before all times.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,8}\Z")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # halves of characters too: no request can hold them
_HEADER = re.compile("[\x20-\x7e]{0,256}")
_STAMP = "%Y%m%dT%H%M%S.%fZ"  # its order is that of time

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Sender:
    """Through which profile an entry goes: its name and what a node's widgets lay over it."""

    profile: str
    overrides: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        changed = ", ".join(f"{name} {value}" for name, value in self.overrides.items())
        return f"profile {self.profile}" + (f" with {changed}" if changed else "")


@dataclass(frozen=True)
class Address:
    """Where an entry is to go: a bucket and path_prefix, both empty if the settings gave none.

    ``certain`` says that settings and server had no part in the failure: then it goes there and nowhere else.
    Else the profile is there to be corrected, and is followed.
    """

    bucket: str = ""
    path_prefix: str = ""
    certain: bool = False


@dataclass(frozen=True)
class Entry:
    """One kept file. ``saved_at`` is this machine's time in UTC, ``tried`` the key that the bytes may have
    reached, ``why`` the failure in words.
    """

    sender: Sender
    address: Address
    name: Name
    if_exists: str
    content_type: str
    size: int
    sha256: str
    saved_at: datetime
    tried: str = ""
    why: str = ""
    folder: Path = Path()

    @property
    def meant(self) -> str:
        """The key that it will have, with … for its number."""
        return "…".join(self.name.pieces) + self.name.extension

    @property
    def path(self) -> Path:
        """The encoded file."""
        return self.folder / f"file{_extension(self.name)}"


def waiting(entry: Entry) -> CloudFile:
    """A kept file for programs. Its key is unknown if it may get a number; its sha256 tells which of the
    files that are sent later it is.
    """
    key = ""
    if entry.if_exists != NEW_NAME:
        with contextlib.suppress(ConfigurationError):  # of an entry that somebody made up
            key = entry.name.fixed()
    return CloudFile(
        WAITING,
        entry.address.bucket,
        key,
        size=entry.size,
        sha256=entry.sha256,
        content_type=entry.content_type,
        profile=entry.sender.profile,
    )


@dataclass(frozen=True)
class Contents:
    """The entries, oldest first, and a line on each folder that is no entry."""

    entries: tuple[Entry, ...]
    unreadable: tuple[str, ...]


class Outbox:
    """The entries below one folder, which several processes may share.

    One that is not ``is_own`` lies where others may have put something too: see ``sending``.
    """

    def __init__(self, folder: Path, *, is_own: bool = True) -> None:
        self.folder, self.is_own = folder, is_own
        self._lock = threading.Lock()
        self._held: int | None = None

    # ------------------------------------------------------------ keeping

    def keep(self, entry: Entry, index: int, source: bytes | Path, *, linkable: bool, meter: Meter) -> Entry:
        """Keep ``source`` as ``entry``, whose folder is chosen here: ordered by ``saved_at``, then ``index``.

        Either there is a whole entry on the disk afterwards, or there is none. Raises StorageError where the
        outbox or the disk is full, and TransferCancelled.
        """
        # What a server said may hold any character, and what is read back none that steers a terminal.
        entry = replace(entry, why=_CONTROL.sub(" ", entry.why))
        stamp = entry.saved_at.strftime(_STAMP)
        name = f"{stamp}-{index:05d}-{uuid.uuid4().hex[:8]}"
        arriving = self.folder / f"{ARRIVING}{name}"
        kept = replace(entry, folder=self.folder / name)
        try:
            self._take_room(entry.size)
            arriving.mkdir(parents=True)
            durable_write.link_or_copy(source, arriving / kept.path.name, linkable, meter)
            durable_write.write(arriving / ENTRY_FILE, _to_json(entry))
            durable_write.flush_folder(arriving)
            arriving.rename(kept.folder)
            durable_write.flush_folder(self.folder)
        except BaseException:
            with self._lock:
                self._held = None
            shutil.rmtree(arriving, ignore_errors=True)
            with disk_errors("keep the file", self.folder, DISK_ADVICE):
                raise
        return kept

    def _take_room(self, size: int) -> None:
        with self._lock:
            if self._held is None:
                self._held = self.size()
            if self._held + size > MAX_BYTES:
                said = f"what waits there has {self._held:,} of {MAX_BYTES:,} bytes already"
                advice = "Send it with Retry Pending Uploads, or remove what is not needed."
                raise StorageError(sentence("keep the file", "the outbox", said, advice))
            self._held += size

    def warning(self) -> str:
        """A sentence where little room is left; "" else."""
        held = self.size()
        if held < WARN_BYTES:
            return ""
        return f"The outbox is nearly full: {held / 1e9:.1f} of {MAX_BYTES / 1e9:.1f} GB."

    # ------------------------------------------------------------ reading

    def size(self) -> int:
        """The bytes of all entries."""
        total = 0
        for folder in self._folders():
            with contextlib.suppress(OSError):  # sent meanwhile
                total += sum(path.stat().st_size for path in folder.iterdir())
        return total

    @property
    def is_empty(self) -> bool:
        return not self._folders()

    def count(self) -> int:
        """Return how many entries there are, without reading them."""
        return len(self._folders())

    def contents(self, most: int | None = None) -> Contents:
        """Read all entries, or the ``most`` oldest. Those that appear or go meanwhile may be in it."""
        entries, unreadable = [], []
        for folder in self._folders()[:most]:
            try:
                entries.append(_from_json(folder))
            except FileNotFoundError:
                if folder.exists():
                    unreadable.append(f"{folder.name}: it lacks {ENTRY_FILE} or its file")
            except UNREADABLE as error:
                said = error.strerror if isinstance(error, OSError) else error
                unreadable.append(f"{folder.name}: {ENTRY_FILE} is not one of this version ({said})")
        return Contents(tuple(entries), tuple(unreadable))

    def _folders(self) -> list[Path]:
        try:
            with os.scandir(self.folder) as found:
                names = [
                    each.name for each in found if each.name[0] != "." and each.is_dir(follow_symlinks=False)
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [self.folder / name for name in sorted(names)]

    # ------------------------------------------------------------ sending

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else sends; then nobody does until the context ends, in this or another process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.alone(self.folder / LOCK_FILE) as alone:
            if alone:
                self._sweep()
            yield alone

    @contextlib.contextmanager
    def locked(self, meter: Meter, wait_begins: Callable[[], object]) -> Iterator[None]:
        """As ``alone``, after waiting for another sender; ``wait_begins`` is called once if there is one.
        Raises TransferCancelled.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locks.locked(self.folder / LOCK_FILE, meter, wait_begins):
            self._sweep()
            yield

    def note(self, entry: Entry, key: str) -> Entry:
        """The entry with ``key`` as the one its bytes may have reached, on the disk before they travel."""
        noted = replace(entry, tried=key)
        durable_write.replace(entry.folder / ENTRY_FILE, _to_json(noted))
        durable_write.flush_folder(entry.folder)
        return noted

    def remove(self, entry: Entry) -> None:
        """Forget an entry, after the server has confirmed its object."""
        gone = self.folder / f"{SENT}{entry.folder.name}"
        entry.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what a crash has left."""
        oldest = time.time() - LEFTOVER_SECONDS
        for path in [*self.folder.glob(f"{SENT}*"), *self.folder.glob(f"{ARRIVING}*")]:
            with contextlib.suppress(OSError):  # gone already, or open on Windows: the next sweep finds it
                if path.name.startswith(SENT) or path.stat().st_mtime < oldest:
                    shutil.rmtree(path)


# ------------------------------------------------------------ entry.json


def _to_json(entry: Entry) -> bytes:
    values = asdict(entry)
    del values["folder"]
    del values["name"]["max_bytes"]  # the provider's, when it is sent
    values.update(version=VERSION, saved_at=entry.saved_at.isoformat())
    return json.dumps(values, indent=1, ensure_ascii=False).encode(errors="replace")


def _from_json(folder: Path) -> Entry:
    """Raises FileNotFoundError, and ValueError and its like for whatever else is not as it is written."""
    file = folder / ENTRY_FILE
    status = file.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > ENTRY_MAX_BYTES:
        raise ValueError("no small file")
    values = json.loads(file.read_bytes())
    if values.pop("version") != VERSION:
        raise ValueError("another version")
    name = values.pop("name")
    entry = Entry(
        sender=Sender(_text(values["sender"]["profile"]), _texts(values["sender"]["overrides"])),
        address=Address(
            _text(values["address"]["bucket"]),
            _text(values["address"]["path_prefix"]),
            values["address"]["certain"] is True,
        ),
        name=Name(tuple(map(_text, name["pieces"])), _text(name["extension"]), int(name["batch_num"])),
        if_exists=_text(values["if_exists"]),
        content_type=_text(values["content_type"]),
        size=int(values["size"]),
        sha256=_text(values["sha256"]),
        saved_at=datetime.fromisoformat(values["saved_at"]).astimezone(timezone.utc),
        tried=_text(values["tried"]),
        why=_text(values["why"]),
        folder=folder,
    )
    if not entry.name.pieces:
        raise ValueError("no name")
    # A server refuses such a header as it refuses a wrong key, which would end the attempts for all.
    if not _HEADER.fullmatch(entry.content_type):
        raise ValueError("no content type")
    if not stat.S_ISREG(entry.path.lstat().st_mode):
        raise ValueError("its file is a link")
    return entry


def _text(value: object) -> str:
    if not isinstance(value, str) or _CONTROL.search(value):
        raise TypeError("not a line of text")
    return value


def _texts(value: Mapping[str, object]) -> dict[str, str]:
    return {_text(name): _text(text) for name, text in value.items()}


def _extension(name: Name) -> str:
    found = _EXTENSION.search(name.extension)
    return found[0] if found else ""
