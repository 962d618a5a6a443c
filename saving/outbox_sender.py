"""Sends the entries of the outbox: in order, never over an existing object; the server confirms each.

One sender at a time, of all processes that share the outbox. An entry goes through its profile as that is
now: its credentials are never kept. The keys that its bytes may have reached before are looked at first, so
that nothing arrives twice because an answer was lost or a process died.
"""

from __future__ import annotations

import functools
import itertools
import logging
import operator
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from ..comfyui import cloud_files, prompt_queue
from ..comfyui.cloud_files import SKIPPED, STORED, WAITING, CloudFile
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import choose_profile
from ..errors import (
    DISK_ADVICE,
    ConfigurationError,
    Forbidden,
    IntegrityError,
    NotFound,
    Scope,
    StorageError,
    TransferCancelled,
    disk_errors,
    sentence,
)
from ..profile import Profile, resolve
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import connect
from ..system import thread_pool
from ..system.digests import file_sha256
from ..system.meter import Meter
from . import store_file
from .choices import NEW_NAME, OVERWRITE
from .list_order import Call
from .numbering import Reservation
from .outbox import Entry, Outbox, Sender, waiting
from .store_file import File

SEND_THREADS = 4  # for the outbox; saves that run meanwhile use their own
REPORTED = 50  # lines of a report
NAMED = 5  # keys in one of them
ITS_OWN_KEY = re.compile(r"^Could not \w+ '[^']*' ")  # what differs between errors of one reason
EVENT = "cloud_storage.outbox"  # for programs: what was uploaded by itself, which is in no node's output
CLOCK_SECONDS = 2  # two clocks are compared over dates in whole seconds

log = logging.getLogger("cloud_storage")

_beginning = threading.Lock()  # held by the thread that ``begin`` starts
_stuck: set[Path] = set()


def sender(profile: Profile | None, profiles_file: Path) -> Sender:
    """What a ``profile`` input means to the outbox; None is the environment, or the default profile."""
    if profile is not None:
        return Sender(profile.name, dict(profile.overrides))
    return settled(Sender(ENVIRONMENT), profiles_file)


def settled(through: Sender, profiles_file: Path) -> Sender:
    """The same sender, by the name of the default profile where that is what the environment means now."""
    try:
        return replace(through, profile=choose_profile(through.profile, profiles_file))
    except ConfigurationError:  # raised again when the profile is used
        return through


@dataclass
class Report:
    """How many entries were sent, how many still wait, and why. Thread-safe."""

    sent: int = 0
    left: int = 0
    lines: list[str] = field(default_factory=list)
    waiting: dict[tuple[str, str], tuple[str, list[str]]] = field(default_factory=dict)
    stuck: set[Path] = field(default_factory=set)  # folders of entries that are themselves what is in the way
    files: list[CloudFile] = field(default_factory=list)  # for programs: what was sent, and what waits
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arrived(self, info: ObjectInfo, file: CloudFile, remark: str = "") -> None:
        with self._lock:
            self.sent += 1
            self.lines.append(f"Uploaded {info.key}{remark}.")
            self.files.append(file)

    def stays(self, what: Entry | str, why: object) -> None:
        key, through = (what.meant, str(what.sender)) if isinstance(what, Entry) else (what, "")
        with self._lock:
            self.left += 1
            if isinstance(what, Entry):
                self.files.append(waiting(what))
            same = through, ITS_OWN_KEY.sub("", str(why))
            self.waiting.setdefault(same, (str(why), []))[1].append(key)

    def __add__(self, other: Report) -> Report:
        both = Report(self.sent + other.sent, self.left + other.left, [*self.lines, *other.lines])
        both.files = [*self.files, *other.files]
        for same, (why, keys) in [*self.waiting.items(), *other.waiting.items()]:
            both.waiting.setdefault(same, (why, []))[1].extend(keys)
        return both

    def __str__(self) -> str:
        lines = [*self.lines, *(_waiting(through, *why) for (through, _), why in self.waiting.items())]
        hidden = len(lines) - REPORTED
        more = [f"… and {hidden} more"] if hidden > 0 else []
        return "\n".join([self._head(), *lines[:REPORTED], *more])

    def _head(self) -> str:
        waiting = "1 file is still waiting." if self.left == 1 else f"{self.left} files are still waiting."
        if not self.sent:
            return waiting if self.left else "Nothing is waiting."
        uploaded = "1 file was uploaded." if self.sent == 1 else f"{self.sent} files were uploaded."
        return f"{uploaded} {waiting}" if self.left else uploaded


def _waiting(through: str, why: str, keys: Sequence[str]) -> str:
    """One line for all that wait for the same reason."""
    hidden = len(keys) - NAMED
    named = ", ".join(keys[:NAMED]) + (f" and {hidden} more" if hidden > 0 else "")
    return f"Waiting: {named} ({through}): {why}" if through else f"Waiting: {named}: {why}"


def begin(outbox: Outbox, profiles_file: Path, through: Sender) -> threading.Thread | None:
    """Send the entries of the same sender, in a thread of its own: the save does not wait for it.

    None where nothing waits, or such a thread is at work; where somebody else sends, it ends at once. Raises
    nothing then or later: the log has the report, and programs get its files as an event. An entry that fails
    for a reason of its own is tried once so, and then left to the user.
    """
    try:
        if outbox.is_empty:
            return None
    except OSError:  # reported when a file is to be kept on that disk
        return None
    if not _beginning.acquire(blocking=False):
        return None

    def wanted(entry: Entry) -> bool:
        return settled(entry.sender, profiles_file) == through and entry.folder not in _stuck

    def work() -> None:
        try:
            with outbox.alone() as alone:
                report = _send(outbox, profiles_file, wanted, Meter()) if alone else Report()
        except Exception:  # nothing is lost: the entries stay
            log.exception("What waits in %s could not be sent", outbox.folder)
            return
        finally:
            _beginning.release()
        _stuck.update(report.stuck)
        log.log(logging.INFO if report.sent else logging.DEBUG, "From the outbox: %s", report)
        arrived = [file for file in report.files if file.status != WAITING]
        if arrived:
            prompt_queue.announce(EVENT, {cloud_files.CLOUD_FILES: cloud_files.for_programs(arrived)})

    thread = threading.Thread(target=work, name="cloud-storage-outbox", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there are too many: the next save tries again
        _beginning.release()
        return None
    return thread


def send(
    outbox: Outbox,
    profiles_file: Path,
    wanted: Callable[[Entry], bool],
    meter: Meter,
    say: Callable[[str], object] = lambda text: None,
) -> Report:
    """Send every entry that is ``wanted``, oldest first, and report on each.

    If another thread or process sends, ``say`` is called, and the entries that wait after that are sent. A
    failure of Scope.ALL ends the attempts for all entries of its profile, one of Scope.SOME for the entries
    of its folder, one of Scope.OBJECT for its entry. An entry stays unless the server confirms its object.
    Raises TransferCancelled, and StorageError for the folder. From an outbox that is not our own nothing
    replaces an object: anybody may have put an entry there.
    """
    with disk_errors("send what waits", outbox.folder, DISK_ADVICE):
        if outbox.is_empty:
            return Report()
        with outbox.locked(meter, lambda: say("Waiting: the outbox is being sent already")):
            return _send(outbox, profiles_file, wanted, meter)


def _send(outbox: Outbox, profiles_file: Path, wanted: Callable[[Entry], bool], meter: Meter) -> Report:
    report, contents = Report(), outbox.contents()
    for line in contents.unreadable:
        report.stays("unreadable", line)
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Entry]] = {}
    for entry in filter(wanted, contents.entries):
        meter.expect(entry.size)
        through = entry.sender.profile, frozenset(entry.sender.overrides.items())
        groups.setdefault(through, []).append(entry)
    for group in groups.values():
        try:
            _send_group(outbox, profiles_file, group, meter, report)
        except TransferCancelled:
            raise
        except Exception as error:  # of this group, whose entries stay; those of other profiles are sent
            log.warning("What waits for %s cannot be sent", group[0].sender, exc_info=True)
            report.stays(
                str(group[0].sender), error if isinstance(error, StorageError) else type(error).__name__
            )
    return report


def _send_group(
    outbox: Outbox, profiles_file: Path, entries: Sequence[Entry], meter: Meter, report: Report
) -> None:
    through = entries[0].sender
    try:
        storage = connect(resolve(through.profile, through.overrides, profiles_file))
    except StorageError as error:
        for entry in entries:
            report.stays(entry, error)
        return
    room = storage.room_for_key
    group = _Group(outbox, storage, meter, report)
    rest = [replace(entry, name=replace(entry.name, max_bytes=room)) for entry in entries if group.may(entry)]
    rest = [entry for entry in rest if not group.has_arrived(entry)]
    # Entries with a counter go side by side and get their numbers in order. The others are sent one by one:
    # the first of those with one name gets it.
    side_by_side = [entry.if_exists == NEW_NAME and entry.name.has_counter for entry in rest]
    counted = list(itertools.compress(rest, side_by_side))
    reserved = Call().reserve(storage, [entry.name for entry in counted], NEW_NAME, meter) if counted else []
    jobs = [functools.partial(group.send, *each) for each in zip(counted, reserved, strict=True)]
    thread_pool.run(jobs, min(SEND_THREADS, max(1, len(jobs))), on_failure=meter.stop)
    for entry in itertools.compress(rest, map(operator.not_, side_by_side)):
        group.send(entry)


@dataclass
class _Group:
    """Sends the entries of one sender to one storage. ``failure`` is the first error of the whole storage,
    ``refusals`` has the first error of each folder and right, see ``_kind``.
    """

    outbox: Outbox
    storage: Storage
    meter: Meter
    report: Report
    failure: StorageError | None = None
    refusals: dict[tuple[object, ...], StorageError] = field(default_factory=dict)
    overwritten: set[str] = field(default_factory=set)

    def may(self, entry: Entry) -> bool:
        """Whether the storage is where the entry is to go; if not, report it."""
        meant = entry.address
        if not meant.certain or (meant.bucket, meant.path_prefix) == (
            self.storage.bucket,
            self.storage.path_prefix,
        ):
            return True
        self.report.stays(
            entry,
            f"it was saved to bucket {meant.bucket!r} below {meant.path_prefix!r}, and its {entry.sender} "
            f"now leads to {self.storage.bucket!r} below {self.storage.path_prefix!r}. "
            "Let the profile lead there again, or upload the file by hand.",
        )
        return False

    def has_arrived(self, entry: Entry) -> bool:
        """Whether an earlier attempt has stored the entry, or that cannot be checked. Then it is not sent,
        and the report says why.
        """
        if not entry.tried or self.failure is not None:
            return False
        try:
            there = self._described(entry.tried)
        except StorageError as error:
            if error.scope is Scope.ALL:
                self.failure = error
                return False
            self._stays(entry, error)
            return True
        except Exception as error:  # noqa: BLE001  as in ``send``
            self._is_odd(entry, error)
            return True
        if there is None or (there.size, there.sha256) != (entry.size, entry.sha256):
            return False
        self._done(entry, there)
        return True

    def send(self, entry: Entry, reserved: Reservation | None = None) -> None:
        """Send one entry, whose key is reserved now if it is not yet, and report what came of it.

        Raises TransferCancelled.
        """
        self.meter.check()
        before = self.failure or self.refusals.get(_kind(entry))
        if before is not None:
            self.report.stays(entry, before)
            return
        try:
            self._sent(entry, reserved)
        except TransferCancelled:
            raise
        except StorageError as error:
            if error.scope is Scope.ALL:
                self.failure = error
            elif error.scope is Scope.SOME:
                self.refusals.setdefault(_kind(entry), error)
            self._stays(entry, error)
        except OSError as error:
            if entry.folder.exists():  # else somebody has removed it, which is their right
                self.report.stays(entry, error.strerror or error)
        except Exception as error:  # noqa: BLE001  of an entry that somebody made up; it stays, the others go on
            self._is_odd(entry, error)

    def _is_odd(self, entry: Entry, error: Exception) -> None:
        log.warning("%s cannot be sent", entry.folder, exc_info=error)
        self.report.stuck.add(entry.folder)
        self.report.stays(entry, f"it is not as it was kept ({type(error).__name__})")

    def _stays(self, entry: Entry, error: StorageError) -> None:
        if error.scope is Scope.OBJECT:
            self.report.stuck.add(entry.folder)
        self.report.stays(entry, error)

    def _sent(self, entry: Entry, reserved: Reservation | None) -> None:
        if (entry.path.stat().st_size, file_sha256(entry.path, self.meter)) != (entry.size, entry.sha256):
            said = "it is not what was kept there, its size or sha256 differs"
            raise IntegrityError(sentence("send a kept file", entry.meant, said, "Look at it by eye."))
        entry.name.fixed()  # raises for a bad key before the server is asked for anything
        file = File(entry.path, entry.content_type)
        why, remark, noted, if_exists = "", "", entry, entry.if_exists
        if if_exists == OVERWRITE and not self.outbox.is_own:
            why = "what waits in ComfyUI's output folder replaces nothing"
        elif if_exists == OVERWRITE and self._is_newer(entry):
            why = f"{entry.name.fixed()} is newer"
        if why:
            if_exists, remark = NEW_NAME, f", because {why}"
        if reserved is None:
            (reserved,) = Call().reserve(self.storage, [entry.name], if_exists, self.meter)

        def trying(key: str) -> None:
            nonlocal noted
            noted = self.outbox.note(noted, key)

        stored = store_file.store(reserved, file, if_exists, self.meter, trying)
        if if_exists == OVERWRITE:
            self.overwritten.add(stored.info.key)
        if stored.sent:
            self._confirm(entry, stored.info)
        else:
            remark = ", which was there already"
        self._done(entry, stored.info, remark, STORED if stored.sent else SKIPPED)

    def _is_newer(self, entry: Entry) -> bool:
        """Whether the object that an entry would replace was stored after the entry was saved."""
        key = entry.name.fixed()
        there = None if key in self.overwritten else self._described(key)
        if there is None:
            return False
        ahead = self.storage.clock_difference or timedelta()
        slack = timedelta(seconds=CLOCK_SECONDS)
        return there.modified is not None and there.modified - ahead + slack > entry.saved_at

    def _described(self, key: str) -> ObjectInfo | None:
        """An object; None where it is not there, or the key of the profile may only write."""
        try:
            return self.storage.stat(key)
        except (NotFound, Forbidden):
            return None

    def _confirm(self, entry: Entry, info: ObjectInfo) -> None:
        """Raise IntegrityError unless the server describes what was sent, or may not be asked."""
        try:
            there = self.storage.stat(info.key)
        except Forbidden:  # a key that may only write cannot look: trust the response to the upload
            return
        if there.size != entry.size or there.sha256 not in ("", entry.sha256) or there.etag != info.etag:
            said = "the server describes another object than was sent"
            raise IntegrityError(
                sentence(f"confirm {info.key!r}", self.storage.place, said, "It stays in the outbox.")
            )

    def _done(self, entry: Entry, info: ObjectInfo, remark: str = "", status: str = STORED) -> None:
        """Forget an entry that has arrived; one that cannot be removed is recognised the next time."""
        try:
            self.outbox.remove(entry)
        except OSError as error:
            if entry.folder.exists():  # else somebody has removed it, which is their right
                said = error.strerror or error
                self.report.stays(entry, f"it arrived as {info.key}, but cannot be removed here: {said}")
                return
        file = cloud_files.of_object(status, self.storage, info, entry.sender.profile)
        self.report.arrived(info, file, remark)


def _kind(entry: Entry) -> tuple[object, ...]:
    """What a bucket policy can distinguish: the folder, and whether to list or to overwrite is needed."""
    return entry.name.head.rpartition("/")[0], entry.if_exists, entry.name.has_counter
