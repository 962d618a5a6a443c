"""Finds the next free counter among existing keys in O(log n) listings, and remembers it for this process.

A counter is a run of digits straight after the head of a key, as this package and ComfyUI write it: five
digits, or six or seven without a leading zero, whatever follows. Other runs are none: ``2024`` in
``ComfyUI_2024-01-15.png``, a date of eight digits, a seed. The next free one is the highest existing one plus
one, as in ComfyUI, so holes left by deleted files stay holes.

A number is a proposal; creating the object decides. Two machines that save at once may be proposed the same
one: one of them gets AlreadyExists and asks again, with the number that is ``taken``.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

# ``list_after(prefix, after, limit)``: the first ``limit`` keys (None: all) that start with ``prefix`` and
# are greater than ``after``, in the order of their UTF-8 bytes, which is also that of Python's strings.
ListAfter = Callable[[str, str, "int | None"], Iterable[str]]

PAGE_KEYS = 1000  # what S3 and OSS hand out in one answer
MEMORY_SERIES = 4096  # about 1 MiB of heads

WIDTHS = (7, 6, 5)  # digits of a counter; the widest numbers are the highest
_COUNTER = re.compile(r"(?:0[0-9]{4}|[1-9][0-9]{4,6})(?![0-9])")

_LAST = "~"  # after every ASCII character that can follow a number; what sorts later is only listed once more
_BEFORE_10000 = "1000/" + _LAST  # "/" is the character before "0"
_GROWTH = 8  # of the step between two looks while nothing bounds the search


class _OutOfOrderError(Exception):
    """The server does not list in key order or ignores where a listing shall begin."""


@dataclass(frozen=True)
class _Page:
    """One listing."""

    rests: list[str]  # up to PAGE_KEYS keys, without their head
    complete: bool  # no further key has a digit after its head

    def highest(self, width: int | None = None) -> int:
        """The highest counter, of ``width`` digits where one is given; 0 where there is none."""
        return max((number for number in map(counter_of, self.rests) if _fits(number, width)), default=0)


def counter_of(rest: str) -> int:
    """The counter that ``rest``, a key without its head, begins with; 0 where it begins with none."""
    match = _COUNTER.match(rest)
    return int(match.group()) if match else 0


def _fits(number: int, width: int | None) -> bool:
    return width is None or len(f"{number:05d}") == width


def next_counter(head: str, list_after: ListAfter, above: int = 0) -> int:
    """The lowest number above ``above`` and above every counter among the keys that start with ``head``.

    One listing for fewer than PAGE_KEYS keys, else O(log n): a step that grows until it goes past the highest
    number, then halving, PAGE_KEYS keys at a look. Where the server does not list in order or ignores
    ``after`` (S3 directory buckets do both), all keys are listed once.

    Two cases are relaxed, as a listing in byte order mixes widths (``10000 100000 10001``) and cannot be
    asked for one of them: a six- or seven-digit number is missed when five-digit ones are still there and the
    first thousands of its own width are deleted; a number is missed behind two full pages of longer digit
    runs. Nothing is overwritten then either: the number that came out is free, or it collides and the search
    goes on ``above`` it.
    """
    try:
        return max(above, _search(head, list_after, above)) + 1
    except _OutOfOrderError:
        return max(above, _Page([key[len(head) :] for key in list_after(head, "", None)], True).highest()) + 1


def _search(head: str, list_after: ListAfter, above: int) -> int:
    if above == 0:
        first = _look(head, list_after, "")
        if first.complete:
            return first.highest()
        above = first.highest()
    wide = _look(head, list_after, _BEFORE_10000)  # the lowest numbers of every width stand together here
    if wide.complete and wide.highest():
        return wide.highest()
    for width in WIDTHS:
        known = max(wide.highest(width), above if _fits(above, width) else 0)
        if known:
            return _highest_of_width(head, list_after, width, known)
    return _highest_of_width(head, list_after, min(WIDTHS), 0)


def _highest_of_width(head: str, list_after: ListAfter, width: int, known: int) -> int:
    ceiling = 10**width - 1  # no number of this width is higher
    probe, reach, step = known, 0, 1
    while known < ceiling:
        page = _look_after(head, list_after, probe, width)
        found = page.highest(width)
        if found <= probe:
            ceiling = probe
        elif page.complete:
            return found
        else:
            known, reach = found, max(reach, found - probe)
            step = max(step * _GROWTH, reach)
        probe = known if ceiling - known <= reach else min(known + step, (known + ceiling) // 2)
    return known


def _look_after(head: str, list_after: ListAfter, number: int, width: int) -> _Page:
    """The page after ``number``; if longer digit runs fill it, the page after those."""
    page = _look(head, list_after, f"{number:0{width}d}{_LAST}")
    block = page.rests[-1][: width + 1] if page.rests else ""
    if page.complete or page.highest(width) > number or not re.fullmatch(rf"[0-9]{{{width + 1}}}", block):
        return page
    return _look(head, list_after, f"{block[:-1]}9{_LAST}")


def _look(head: str, list_after: ListAfter, after: str) -> _Page:
    begin = head + after if after else ""
    keys = list(list_after(head, begin, PAGE_KEYS))
    if any(left >= right for left, right in pairwise([begin, *keys])):
        raise _OutOfOrderError
    rests = [key[len(head) :] for key in keys]
    return _Page(rests, complete=len(rests) < PAGE_KEYS or rests[-1][:1] > "9")


@dataclass(frozen=True)
class Series:
    """Everything that shares one run of numbers."""

    place: str  # a bucket and path_prefix
    head: str  # what its keys have before their number
    first: int = 1


@dataclass(frozen=True)
class _Known:
    last: int  # the highest number handed out, or found taken
    searched: int  # the first number handed out after the latest search


class CounterMemory:
    """The last number of each series this process saved under, so that only the first save has to look.

    Every method may be called from any thread; none holds a lock while it lists, so a slow server blocks
    nobody else. Holds ``size`` series; the one used longest ago is forgotten first and merely searched again.
    """

    def __init__(self, size: int = MEMORY_SERIES) -> None:
        self._size = size
        self._known: OrderedDict[Series, _Known] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, series: Series) -> bool:
        """Whether the next number will cost no request."""
        with self._lock:
            return series in self._known

    def reserve(self, series: Series, list_after: ListAfter, count: int = 1, taken: int = 0) -> range:
        """``count`` consecutive numbers that nobody else in this process gets, not even after a failed save.

        Asks ``list_after`` only if the series is not known, or if ``taken``, a number reserved here, was
        taken by another machine and no search has been made since. Whatever ``list_after`` raises comes
        through, and nothing is reserved.
        """
        with self._lock:
            known = self._known.get(series)
            if known is not None and taken < known.searched:
                return self._take(series, known, count)
        found = next_counter(series.head, list_after, above=known.last if known else 0)
        with self._lock:
            last = max(found - 1, series.first - 1)
            if (other := self._known.get(series)) is not None:  # reserved by another thread meanwhile
                last = max(last, other.last)
            return self._take(series, _Known(last, searched=last + 1), count)

    def _take(self, series: Series, known: _Known, count: int) -> range:
        start = known.last + 1
        self._keep(series, replace(known, last=known.last + count))
        return range(start, start + count)

    def _keep(self, series: Series, known: _Known) -> None:
        self._known[series] = known
        self._known.move_to_end(series)
        while len(self._known) > self._size:
            self._known.popitem(last=False)
