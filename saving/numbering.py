"""Numbers for the files of one batch, in order, and for the calls of one node."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import Forbidden, StorageError
from ..storage.base import Storage
from ..system.meter import Meter
from .choices import NEW_NAME
from .counter import CounterMemory, Series
from .list_order import Call, Place
from .names import Name

_NEEDS_LISTING = "A counter needs the right to list; with %uuid% in its place none is needed."
counters = CounterMemory()  # the last number of each series, for as long as ComfyUI runs


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
                if isinstance(error, Forbidden):  # another name needs no list
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
