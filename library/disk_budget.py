"""Keeps copies within their budget: before a fetch, those that were not used for longest are removed.

Only copies that are unchanged, that the bucket has now with the same content, and that no queued prompt
names, are removed; first of all what unfinished downloads have left. If that is not enough, nothing is
removed and the fetch fails before a byte moves.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..comfyui import folders
from ..comfyui.amounts import in_bytes, several
from ..errors import StorageError, sentence
from ..loading import model_record
from ..loading.download_journal import journal_of
from ..loading.model_file import lock_of
from ..loading.resumable_download import part_of
from ..storage.connect import connect
from ..system import locks
from ..system.meter import Meter
from . import copies as copies_on_disk
from .catalogue import Catalogue
from .copies import Found
from .members import Member, Members
from .queued_models import QueuedModels

log = logging.getLogger("cloud_storage")

BLOCK_BYTES = 512  # of st_blocks: man 2 stat
_ADVICE = (
    "Raise models_budget_gb, lower models_keep_free_gb, delete models that you do not need, or queue fewer "
    "workflows at once."
)


@dataclass(frozen=True)
class Copy:
    """A file that this package fetched, unchanged since.

    ``key`` is as its record has it. ``in_bucket`` is what the catalogue knows; None: it does not list that
    object's folder.
    """

    folder_type: str
    name: str
    path: Path
    size: int
    last_used: datetime
    key: str
    in_bucket: bool | None


@dataclass(frozen=True)
class Room:
    """Bytes: ``used`` by copies, of ``budget`` (None: no limit); ``free`` on the disk, of which ``keep_free``
    stay.
    """

    used: int
    budget: int | None
    free: int
    keep_free: int


def copies(catalogue: Catalogue) -> list[Copy]:
    """Return all copies, least recently used first. Reads the model folders: for a thread."""
    listed = {(model.profile, model.key): model.etag for model in catalogue.models()}

    def in_bucket(found: Found) -> bool | None:
        for member, key in _owners(found, catalogue.members):
            if key.startswith(member.models.prefix):
                return listed.get((member.name, key)) == found.record.etag
        return None

    return [
        Copy(one.folder_type, one.name, one.path, one.size, one.last_used, one.record.key, in_bucket(one))
        for one in copies_on_disk.scan().copies
    ]


def room(catalogue: Catalogue) -> Room:
    """Return the room for copies. Reads the model folders: for a thread."""
    found = copies_on_disk.scan()
    used = sum(one.size for one in found.copies) + sum(map(_on_disk, found.parts))
    free = _free(folders.file_folders()["models"])
    return Room(used, catalogue.members.budget, free, catalogue.members.keep_free)


class Budget:
    """Reserves room for fetches, one after another. Any thread may call any method."""

    def __init__(self, catalogue: Catalogue, queued: QueuedModels) -> None:
        """What ``queued`` names is not removed."""
        self._catalogue, self._queued = catalogue, queued
        self._lock = threading.Lock()
        self._reserved: dict[Path, int] = {}

    @contextlib.contextmanager
    def reserve(self, target: Path, size: int, meter: Meter, say: Callable[[str], object]) -> Iterator[None]:
        """Have room for a file of ``size`` bytes within the block; removes copies for it.

        Raises StorageError, with the numbers, if there is not enough: then nothing was removed.
        """
        with self._lock:
            meter.check()
            self._make_room(target, size, say)
            self._reserved[target] = size
        try:
            yield
        finally:
            with self._lock:
                del self._reserved[target]

    def _make_room(self, target: Path, size: int, say: Callable[[str], object]) -> None:
        removed: list[Path] = []
        kept: set[Path] = set()  # somebody uses or names these now
        is_enough = False
        while not is_enough:
            is_enough = True
            for path in self._to_remove(target, size, kept):
                with self._queued.unless_named(path) as is_free:
                    if is_free and _remove(path):
                        removed.append(path)
                    else:
                        kept.add(path)
                        is_enough = False
        copies = sum(not path.name.endswith(copies_on_disk.PART) for path in removed)
        if copies:
            say(
                several(
                    copies,
                    "Removed {} copy to make room: the bucket has it.",
                    "Removed {} copies to make room: the bucket has them.",
                )
            )

    def _to_remove(self, target: Path, size: int, kept: Collection[Path]) -> list[Path]:
        """What to remove for a file of ``size`` bytes, none of ``kept``. Raises StorageError if there is not
        enough.
        """
        members = self._catalogue.members
        own = part_of(target)
        to_come = sum(
            max(0, total - _on_disk(part_of(path)))
            for path, total in self._reserved.items()
            if _same_disk(path, target)
        )
        free = _free(target.parent) - to_come
        lacking = size - _on_disk(own) + members.keep_free - free
        if members.budget is None and lacking <= 0:
            return []  # without reading the model folders, which may be large and far away
        found = copies_on_disk.scan()
        fetching = {part_of(path) for path in self._reserved}
        parts = [path for path in found.parts if path != own and path not in fetching]
        # An older version of what is fetched will be replaced
        others = [one for one in found.copies if one.path != target and one.path not in self._reserved]
        used = sum(one.size for one in others) + sum(map(_on_disk, parts)) + sum(self._reserved.values())
        over = 0 if members.budget is None else used + size - members.budget
        if over <= 0 and lacking <= 0:
            return []
        chosen = self._choose(
            [path for path in parts if path not in kept],
            [one for one in others if one.path not in kept],
            over,
            lacking,
            target,
            members,
        )
        if chosen is None:
            raise _no_room(target, size, used, free, members)
        return chosen

    def _choose(
        self,
        parts: Sequence[Path],
        candidates: Sequence[Found],
        over: int,
        lacking: int,
        target: Path,
        members: Members,
    ) -> list[Path] | None:
        """The files to remove so that ``over`` and ``lacking`` bytes are gained; None if they do not suffice.

        A file on another disk is part of the budget, but gives no room on this one.
        """
        chosen: list[Path] = []
        in_use = self._queued.paths()

        def take(path: Path, size: int) -> None:
            nonlocal over, lacking
            over -= size
            lacking -= size if _same_disk(path, target) else 0
            chosen.append(path)

        for part in parts:
            if over <= 0 and lacking <= 0:
                return chosen
            take(part, _on_disk(part))
        for copy in candidates:
            if over <= 0 and lacking <= 0:
                return chosen
            helps = over > 0 or _same_disk(copy.path, target)
            if helps and copy.path.resolve() not in in_use and _has_now(copy, members):
                take(copy.path, copy.size)
        return chosen if over <= 0 and lacking <= 0 else None


def _owners(found: Found, members: Members) -> Iterator[tuple[Member, str]]:
    """The members whose bucket a copy is from, each with the key relative to its path_prefix."""
    for member in members.members:
        key = member.key_of(found.record.bucket, found.record.key)
        if key is not None:
            yield member, key


def _has_now(found: Found, members: Members) -> bool:
    """Whether the bucket has the content of a copy now. Asks the server."""
    for member, key in _owners(found, members):
        try:
            info = connect(member.profile).stat(key)
        except StorageError as error:
            log.info("%s is kept: the bucket could not be asked for it: %s", found.name, error)
            continue
        if info.size == found.size and (
            (info.etag and info.etag == found.record.etag)
            or (info.sha256 and info.sha256 == found.record.sha256)
        ):
            return True
    return False


def _remove(path: Path) -> bool:
    """Remove a copy with its record, or an unfinished download with its journal, unless somebody uses it now;
    returns whether it is gone.

    The file before its record: a file without one would count as the user's own for ever.
    """
    is_part = path.name.endswith(copies_on_disk.PART)
    target = path.with_name(path.name.removesuffix(copies_on_disk.PART)) if is_part else path
    with locks.alone(lock_of(target)) as is_free:
        if not is_free:
            return False
        record = None if is_part else model_record.read(path)
        if not is_part and (record is None or not record.is_of(path)):
            return False
        try:
            path.unlink()
            (journal_of(path) if is_part else model_record.record_path(path)).unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be removed to make room: %s", path, error)
            return False
    log.info("Removed %s to make room: the bucket has it.", path)
    return True


def _no_room(target: Path, size: int, used: int, free: int, members: Members) -> StorageError:
    said = [f"it has {in_bytes(size)}"]
    if members.budget is not None:
        said.append(f"copies take {in_bytes(used)} of their budget of {in_bytes(members.budget)}")
    stays = in_bytes(members.keep_free)
    said.append(f"the disk has {in_bytes(max(0, free))} free, of which {stays} have to stay free")
    said.append("no more copies can be removed, because queued workflows name them or the bucket lacks them")
    return StorageError(sentence(f"fetch {target.name!r}", target.parent.name, ", ".join(said), _ADVICE))


def _on_disk(path: Path) -> int:
    """The bytes that an unfinished download takes: its file has the whole size from the beginning."""
    try:
        status = path.stat()
    except OSError:
        return 0
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else min(status.st_size, blocks * BLOCK_BYTES)


def _existing(path: Path) -> Path:
    return next((one for one in (path, *path.parents) if one.exists()), path)


def _free(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _same_disk(path: Path, other: Path) -> bool:
    return _existing(path).stat().st_dev == _existing(other).stat().st_dev
