"""Reserves the keys of one list of files: in its order, each key for one file.

Numbers are reserved before the files are made, so nobody waits for an encoder or an upload. Creating the
object decides: a number that another machine has taken meanwhile is replaced, for this file and for those of
the list that are not stored yet. So a list stays in order after what another machine has saved; only two
machines that save one series at the same moment may interleave.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from ..errors import AccessDenied, Forbidden, NotFound, Scope, StorageError, TransferCancelled
from ..storage.base import Storage
from ..system import thread_pool
from .choices import NEW_NAME
from .counter import CounterMemory, Series
from .names import Name

MAX_COLLISIONS = 50  # 50 lost races in a row are no races: the server calls every key taken
LISTING_THREADS = 16  # where the names of a batch belong to several series
_NEEDS_LISTING = "A counter needs the right to list; with %uuid% in its place none is needed."
counters = CounterMemory()  # the last number of each series, for as long as ComfyUI runs


class Reservation:
    """The key of one file, which no other file of this process gets.

    Made by ``ListKeys.reserve``; without ``numbers`` it is the one fixed key of its name.
    """

    def __init__(self, storage: Storage, name: Name, numbers: _Numbers | None = None) -> None:
        self.storage, self.name, self.number = storage, name, 0
        self.failure: Exception | None = None
        self._numbers = numbers

    def candidates(self) -> Iterator[str]:
        """The key to try; going on to the next one says that the last one is taken.

        Raises the error that kept the number from being reserved: here, so that the file is made first and
        can go to the outbox.
        """
        if self.failure is not None:
            raise self.failure
        if self._numbers is None:
            yield self.name.fixed()
            return
        for _ in range(MAX_COLLISIONS):
            number = self.number
            yield self.name.numbered(number)
            self._numbers.replace(self, number)

    def release(self) -> None:
        """Say that the file is stored, or will not be: it needs no other number any more."""
        if self._numbers is not None:
            self._numbers.release(self)


class _Numbers:
    """The numbers of one series for the files of one list that are not stored yet, in its order."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._open: dict[Reservation, None] = {}
        self._bare_is_given = False
        self._lock = threading.Lock()

    def reserve(self, files: Sequence[Reservation]) -> None:
        """Give each file its number. Raises what listing raises; no file has a number then."""
        with self._lock:
            numbered = list(files)
            if self._bare_is_free(files[0]):
                numbered.pop(0).number = 1
            self._bare_is_given = True
            self._assign(numbered)
            self._open.update(dict.fromkeys(files))

    def replace(self, file: Reservation, taken: int) -> None:
        """Give all files that are not stored other numbers, if this one still has the one that is taken."""
        with self._lock:
            if file.number == taken:
                self._assign(list(self._open), taken)

    def release(self, file: Reservation) -> None:
        with self._lock:
            self._open.pop(file, None)

    def _assign(self, files: Sequence[Reservation], taken: int = 0) -> None:
        if not files:
            return
        list_after = functools.partial(_list_after, files[0].storage)
        numbers = counters.reserve(self._series, list_after, len(files), taken)
        for file, number in zip(files, numbers, strict=True):
            file.number = number

    def _bare_is_free(self, file: Reservation) -> bool:
        """Whether a name without counter, which is number 1 of its series, is still to be had."""
        if file.name.has_counter or self._bare_is_given or counters.knows(self._series):
            return False
        key = file.name.fixed()
        try:
            file.storage.stat(key)
        except (NotFound, AccessDenied):  # without the right to look, the upload decides
            return True
        except StorageError as error:
            raise error.instead_of(f"read {key!r}", f"store {key!r}") from error
        return False


class ListKeys:
    """All keys of one list. One thread at a time may ask for more."""

    def __init__(self) -> None:
        self._numbers: dict[Series, _Numbers] = {}
        self._failures: dict[Storage, Exception] = {}
        self._fixed: set[Hashable] = set()
        self._sharing: dict[Hashable, int] = {}

    def reserve(self, storage: Storage, names: Sequence[Name], if_exists: str) -> list[Reservation]:
        """Reserve a key for each name.

        With ``new name`` it has the next number of its series; no error but TransferCancelled is raised, see
        ``Reservation.candidates``. Else it is the fixed key of the name, or one near it if an earlier file of
        the list has that one: no file of a list replaces another.
        """
        if if_exists != NEW_NAME:
            return [Reservation(storage, name) for name in self._own_names(storage.root, names)]
        files, groups = [], dict[_Numbers, list[Reservation]]()
        for name in names:
            series = Series(storage.root, name.head, name.first_number)
            numbers = self._numbers.setdefault(series, _Numbers(series))
            files.append(Reservation(storage, name, numbers))
            groups.setdefault(numbers, []).append(files[-1])
        jobs = [functools.partial(self._reserve_numbers, *group) for group in groups.items()]
        thread_pool.run(jobs, min(LISTING_THREADS, max(1, len(jobs))))
        return files

    def _reserve_numbers(self, numbers: _Numbers, files: Sequence[Reservation]) -> None:
        storage = files[0].storage
        failure = self._failures.get(storage)  # of a dead server: the calls do not wait for it one by one
        try:
            if failure is None:
                numbers.reserve(files)
        except TransferCancelled:
            raise
        except Exception as error:  # noqa: BLE001  nothing is lost: ``candidates`` raises it
            failure = error
            if isinstance(error, StorageError) and error.scope is Scope.ALL:
                self._failures[storage] = error
        for file in files:
            file.failure = failure

    def _own_names(self, root: str, names: Sequence[Name]) -> list[Name]:
        found: list[Name] = []
        sharing: dict[Hashable, int] = {}
        for name in names:
            same = root, replace(name, batch_num=0)
            others = self._sharing.get(same, 0)
            while (root, (own := name.after(others)).fixed()) in self._fixed:
                others += 1
            self._fixed.add((root, own.fixed()))
            sharing[same] = max(sharing.get(same, 0), 1 + (own.batch_num if name.has_counter else others))
            found.append(own)
        self._sharing.update(sharing)
        return found


def _list_after(storage: Storage, prefix: str, after: str, limit: int | None) -> Iterator[str]:
    try:
        yield from (info.key for info in storage.list(prefix, limit, after))
    except StorageError as error:
        folder = prefix[: prefix.rfind("/") + 1] or storage.bucket
        saving = f"save to {folder!r}: finding the next free number failed"
        failure = error.instead_of(f"list {prefix!r}", saving)
        if isinstance(error, Forbidden):  # another name needs no list
            failure = failure.with_advice(_NEEDS_LISTING)
        raise failure from error
