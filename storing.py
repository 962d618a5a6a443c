"""One encoded file into a bucket: under the first free key of its name, or under exactly one.

Nothing that exists is replaced unless the user says so. Files of one batch get their numbers in order, and so
do the calls of one node.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import multipart
from .call_order import Call, Place
from .counter import CounterMemory, Series
from .errors import AccessDenied, AlreadyExists, NotFound, Scope, StorageError, is_policy, taken
from .naming import Name
from .storage import SHA256_METADATA, Meter, ObjectInfo, PutOptions, Storage
from .transfer import file_sha256

NEW_NAME, OVERWRITE, FAIL, SKIP = "new name", "overwrite", "fail", "skip"
IF_EXISTS = (NEW_NAME, OVERWRITE, FAIL, SKIP)

_NEEDS_LISTING = "A counter needs the right to list; with %uuid% in its place none is needed."

counters = CounterMemory()  # the last number of each series, for as long as ComfyUI runs


@dataclass(frozen=True)
class File:
    """One encoded file: its bytes or where they lie, its media type, and remarks for the user about how it
    was encoded. ``linkable`` says that nobody writes to that path any more: to keep such a file, a link to it
    is as good as a copy. ``known_sha256`` is its digest where that was computed already.
    """

    source: bytes | Path
    content_type: str
    notes: tuple[str, ...] = ()
    linkable: bool = False
    known_sha256: str = ""

    @property
    def size(self) -> int:
        """In bytes. Raises StorageError where the file cannot be looked at."""
        return multipart.size_of(self.source)

    def sha256(self, meter: Meter) -> str:
        """The hexadecimal digest; computing that of a large file is stopped by ``meter``."""
        if self.known_sha256:
            return self.known_sha256
        if isinstance(self.source, Path):
            return file_sha256(self.source, meter)
        return hashlib.sha256(self.source).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """The object that a file became, or with ``sent`` False, the one that ``skip`` found in its place."""

    info: ObjectInfo
    sent: bool = True


def look(storage: Storage, name: Name, if_exists: str) -> Outcome | None:
    """What ``store`` would find under this name and be done with: for what takes long to make, before that.

    Raises AlreadyExists for FAIL, and what ``Storage.stat`` does, except that a key may be without the right
    to look.
    """
    if if_exists not in (FAIL, SKIP):
        return None
    key = name.fixed()
    try:
        found = Outcome(storage.stat(key), sent=False)
    except NotFound:
        return None
    except AccessDenied as error:
        if if_exists == FAIL and is_policy(error):  # the write will tell
            return None
        raise
    if if_exists == FAIL:
        raise taken(key, storage.place)
    return found


def store(
    storage: Storage,
    name: Name,
    file: File,
    if_exists: str,
    meter: Meter,
    turn: Turn | None = None,
    trying: Callable[[str], object] = lambda key: None,
) -> Outcome:
    """Store ``file`` as ``if_exists`` says, one of IF_EXISTS; a ``turn`` is needed for NEW_NAME.

    ``trying`` is told each key before bytes are sent to it: when this fails, or the process dies, the object
    may be there all the same. Raises AlreadyExists and the errors of ``Storage.put``.
    """
    if turn is not None:
        return Outcome(_create(storage, name, file, turn, meter, trying))
    return _store(storage, name.fixed(), file, if_exists, meter, trying)


def _store(
    storage: Storage, key: str, file: File, if_exists: str, meter: Meter, trying: Callable[[str], object]
) -> Outcome:
    """Store under exactly this key, or not at all."""
    if if_exists == SKIP:
        with contextlib.suppress(NotFound):
            return Outcome(storage.stat(key), sent=False)
    options = _options(storage, file, meter)
    trying(key)
    try:
        return Outcome(storage.put(key, file.source, options, meter, create=if_exists != OVERWRITE))
    except AlreadyExists:
        if if_exists == SKIP:  # somebody else was faster than the look
            return Outcome(storage.stat(key), sent=False)
        raise


def _create(
    storage: Storage, name: Name, file: File, turn: Turn, meter: Meter, trying: Callable[[str], object]
) -> ObjectInfo:
    """Store under the first key of this name that is free."""
    refused: AlreadyExists | None = None
    options = _options(storage, file, meter)
    try:
        for key in turn.candidates(name, meter):
            trying(key)
            try:
                return storage.put(key, file.source, options, meter, create=True)
            except AlreadyExists as error:
                meter.expect(file.size)
                refused = error
    except StorageError as error:
        if error.scope is not Scope.OBJECT:  # the others, which will meet the same, are not to do so in line
            turn.run.place.give_up()
        raise
    raise refused or AssertionError("a name has at least one candidate")


def _options(storage: Storage, file: File, meter: Meter) -> PutOptions:
    return replace(
        storage.defaults,
        content_type=file.content_type,
        metadata={**storage.defaults.metadata, SHA256_METADATA: file.sha256(meter)},
    )


# ------------------------------------------------------------ names of their own


def own_names(
    storage: Storage, names: Sequence[Name], if_exists: str, call: Call, meter: Meter
) -> list[Name]:
    """``names``, or others near them where earlier calls of the same node have named files so: where each is
    to have exactly one key, none may replace another. To be asked once in every call. Raises
    TransferCancelled.
    """
    call.wait_for_names(meter)
    if if_exists == NEW_NAME:
        call.named(_series(storage, name) for name in names)
        return list(names)
    own = _own_names(storage.root, names, call)
    call.named(())
    return own


def _own_names(root: str, names: Sequence[Name], call: Call) -> list[Name]:
    found: list[Name] = []
    shared: dict[Hashable, int] = {}
    for name in names:
        same = root, replace(name, batch_num=0)
        others = call.shared.get(same, 0)
        while (root, (own := name.behind(others)).fixed()) in call.claimed:
            others += 1
        call.claimed.add((root, own.fixed()))
        shared[same] = max(shared.get(same, 0), 1 + (own.batch_num if name.has_counter else others))
        found.append(own)
    call.shared.update(shared)
    return found


def _series(storage: Storage, name: Name) -> Series:
    return Series(storage.root, name.head, name.first_number)


# ------------------------------------------------------------ numbers in order


class _Run:
    """The numbers of one batch in one series. Its first file settles them and the others follow, so that a
    number taken by another machine moves the whole batch on instead of one file behind the rest.

    ``place`` is that of the batch among the calls of the node. The calls behind may go on once it has
    numbers. Those of the first call have to be settled, for the same reason; but nobody waits for a long
    upload, whose key is looked at before its bytes travel.
    """

    def __init__(self, storage: Storage, series: Series, place: Place) -> None:
        def list_after(prefix: str, after: str, limit: int | None) -> Iterator[str]:
            try:
                yield from (info.key for info in storage.list(prefix, limit, after))
            except StorageError as error:
                place = prefix[: prefix.rfind("/") + 1] or storage.bucket
                told = error.trying(
                    f"list {prefix!r}", f"save to {place!r}: finding the next free number failed"
                )
                if isinstance(error, AccessDenied) and is_policy(error):  # another name needs no list
                    told = told.saying(_NEEDS_LISTING)
                raise told from error

        self.series, self.list_after, self.place, self.size = series, list_after, place, 0
        self.settled = threading.Event()
        self.following: list[int] = []

    def numbers(self, index: int) -> Iterator[int]:
        if index == 0:
            yield from self._first_numbers()
        else:
            self.settled.wait()
            reserved = self.following[index - 1] if self.following else None
            yield from counters.numbers(self.series, self.list_after, reserved)

    def _first_numbers(self) -> Iterator[int]:
        first, *rest = counters.reserve(self.series, self.list_after, self.size)
        if self.place.is_first:
            self.place.let_pass_soon()
        else:
            self.place.let_pass()
        for number in counters.numbers(self.series, self.list_after, first):
            if number != first and rest:
                rest = list(counters.reserve(self.series, self.list_after, len(rest)))
            self.following = rest
            yield number


@dataclass(frozen=True)
class Turn:
    """One file's place in its run; a context, because the others wait until the first has found its key or
    failed.
    """

    run: _Run
    index: int

    def candidates(self, name: Name, meter: Meter) -> Iterator[str]:
        """The keys to try, one after another. Waits for the calls before, and for the numbers of the first
        file where this is not the first. Raises TransferCancelled.
        """
        place = self.run.place
        place.wait(meter)
        bare_is_taken = counters.knows(self.run.series) or not place.is_first
        if not name.has_counter and not bare_is_taken:
            place.let_pass_soon()
        return name.candidates(self.run.numbers(self.index), bare_is_taken)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.index == 0:
            self.run.settled.set()
            self.run.place.let_pass()


def turns(storage: Storage, names: Sequence[Name], call: Call) -> list[Turn]:
    """The turns of several files that are stored side by side, in their order, by one ``call`` of a node."""
    runs: dict[Series, _Run] = {}
    found = []
    for name in names:
        series = _series(storage, name)
        run = runs.setdefault(series, _Run(storage, series, call.place(series)))
        found.append(Turn(run, run.size))
        run.size += 1
    return found
