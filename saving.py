"""A batch of encoded files into a bucket: side by side, in order, within bounded memory, and never over what
exists.

Each file is encoded by the thread that then sends it, so no more files are in memory than threads at work.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Generic, TypeVar

from . import multipart, workers
from .counter import CounterMemory, Series
from .errors import POLICY_ADVICE, AccessDenied, AlreadyExists, MediaError, NotFound
from .naming import Name
from .storage import SHA256_METADATA, Meter, ObjectInfo, PutOptions, Storage
from .transfer import file_sha256

S = TypeVar("S")

NEW_NAME, OVERWRITE, FAIL, SKIP = "new name", "overwrite", "fail", "skip"
IF_EXISTS = (NEW_NAME, OVERWRITE, FAIL, SKIP)

OBJECT_URL, PRESIGNED, NO_LINK = "object url", "presigned", "none"
LINKS = (OBJECT_URL, PRESIGNED, NO_LINK)

UPLOAD_THREADS = 16  # uploads wait for the network; 16 hide a round trip of 50 ms behind each other
ENCODE_THREADS = max(1, os.cpu_count() or 1)

_counters = CounterMemory()  # the last number of each series, for as long as ComfyUI runs
_encoding = threading.BoundedSemaphore(
    ENCODE_THREADS
)  # more at once would only take turns, and hold up sampling


@dataclass(frozen=True)
class File:
    """One encoded file: its bytes or where they lie, its media type, remarks for the user about how it was
    encoded, and its sha256 where that was computed already.
    """

    source: bytes | Path
    content_type: str
    notes: tuple[str, ...] = ()
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
class Saved(Generic[S]):
    """The object that one file became or met, the encoder's remarks, and what ``show`` made of the file."""

    info: ObjectInfo
    notes: tuple[str, ...]
    shown: S


def save(
    storage: Storage,
    names: Sequence[Name],
    encode: Callable[[int], File],
    show: Callable[[File], S],
    if_exists: str,
    meter: Meter,
) -> list[Saved[S]]:
    """Encode and store one file per name, at least one; the results are in the order of ``names``.

    ``encode(index)`` and ``show(file)``, which is called when the file is stored and keeps what a preview
    needs, may run in several threads at once; the bytes themselves are dropped then. ``if_exists`` is one of
    IF_EXISTS. Raises what ``encode`` raises, AlreadyExists, and the errors of ``Storage.put``; files stored
    before a failure stay.
    """
    if not names:
        raise MediaError(
            "There is nothing to save: the batch is empty. Check the node that is wired to this one."
        )
    turns = _turns(storage, names) if if_exists == NEW_NAME else []

    def job(index: int) -> Callable[[], Saved[S]]:
        def run() -> Saved[S]:
            with turns[index] if turns else contextlib.nullcontext():
                meter.check()
                with _encoding:
                    file = encode(index)
                meter.expect(file.size)
                if turns:
                    info = _create(storage, names[index], file, turns[index], meter)
                else:
                    info = _store(storage, names[index].fixed(), file, if_exists, meter)
            return Saved(info, file.notes, show(file))

        return run

    return workers.run(map(job, range(len(names))), min(UPLOAD_THREADS, len(names)), on_failure=meter.stop)


def link(storage: Storage, key: str, kind: str, expires: timedelta) -> str:
    """The address of a stored object that a node hands out; "" for NO_LINK."""
    if kind == PRESIGNED:
        return storage.signed_url(key, expires)
    return storage.url(key) if kind == OBJECT_URL else ""


def summary(saved: Sequence[Saved[S]]) -> str:
    """One line for the node: how many objects, where, and what the encoder remarked. No address, it may be
    signed.
    """
    first, last = saved[0].info.key, saved[-1].info.key
    notes = dict.fromkeys(note for one in saved for note in one.notes)
    where = first if len(saved) == 1 else f"{len(saved)} objects, {first} … {last}"
    return " ".join([f"Saved {where}.", *notes])


def _store(storage: Storage, key: str, file: File, if_exists: str, meter: Meter) -> ObjectInfo:
    """Store under exactly this key, or not at all."""
    if if_exists == SKIP:
        with contextlib.suppress(NotFound):
            return storage.stat(key)
    options = _options(storage, file, meter)
    try:
        return storage.put(key, file.source, options, meter, create=if_exists != OVERWRITE)
    except AlreadyExists:
        if if_exists == SKIP:  # somebody else was faster than the look
            return storage.stat(key)
        raise


def _create(storage: Storage, name: Name, file: File, turn: _Turn, meter: Meter) -> ObjectInfo:
    """Store under the first key of this name that is free."""
    taken: AlreadyExists | None = None
    options = _options(storage, file, meter)
    for key in name.candidates(turn.numbers(), bare_is_taken=turn.bare_is_taken):
        try:
            return storage.put(key, file.source, options, meter, create=True)
        except AlreadyExists as error:
            meter.expect(file.size)
            taken = error
    raise taken or AssertionError("a name has at least one candidate")


def _options(storage: Storage, file: File, meter: Meter) -> PutOptions:
    return replace(
        storage.defaults,
        content_type=file.content_type,
        metadata={**storage.defaults.metadata, SHA256_METADATA: file.sha256(meter)},
    )


# ------------------------------------------------------------ numbers in order


class _Run:
    """The numbers of one batch in one series. Its first file settles them and the others follow, so that a
    number taken by another machine moves the whole batch on instead of one file behind the rest.
    """

    def __init__(self, storage: Storage, series: Series) -> None:
        def list_after(prefix: str, after: str, limit: int | None) -> Iterator[str]:
            try:
                yield from (info.key for info in storage.list(prefix, limit, after))
            except AccessDenied as error:
                if POLICY_ADVICE not in str(error):  # a wrong secret or clock: no other name would help
                    raise
                raise AccessDenied(
                    f"{error} A counter needs the right to list; with %uuid% in its place none is needed."
                ) from error

        self.series, self.list_after, self.size = series, list_after, 0
        self.settled = threading.Event()
        self.following: list[int] = []

    def numbers(self, index: int) -> Iterator[int]:
        if index == 0:
            yield from self._first_numbers()
        else:
            self.settled.wait()
            reserved = self.following[index - 1] if self.following else None
            yield from _counters.numbers(self.series, self.list_after, reserved)

    def _first_numbers(self) -> Iterator[int]:
        first, *rest = _counters.reserve(self.series, self.list_after, self.size)
        for number in _counters.numbers(self.series, self.list_after, first):
            if number != first and rest:
                rest = list(_counters.reserve(self.series, self.list_after, len(rest)))
            self.following = rest
            yield number


@dataclass(frozen=True)
class _Turn:
    """One file's place in its run; a context, because the others wait until the first has found its key or
    failed.
    """

    run: _Run
    index: int
    bare_is_taken: bool

    def numbers(self) -> Iterator[int]:
        """The counters to try, one after another; waits for the first file's where this is not the first."""
        return self.run.numbers(self.index)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self.index == 0:
            self.run.settled.set()


def _turns(storage: Storage, names: Sequence[Name]) -> list[_Turn]:
    runs: dict[Series, _Run] = {}
    turns = []
    for name in names:
        series = Series(f"{storage.place}/{storage.path_prefix}", name.head, name.first_number)
        run = runs.setdefault(series, _Run(storage, series))
        turns.append(_Turn(run, run.size, _counters.knows(series)))
        run.size += 1
    return turns
