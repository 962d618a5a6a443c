"""The keys of a bucket as columns sorted by key, and what of them a folder shows in which order."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..storage.base import ObjectInfo

ORDERS = ("newest", "oldest", "name", "largest")
VIEWS_KEPT = 12  # of one snapshot: a number of 4 bytes for each key
PREVIEWS = (".png", ".preview.png", ".jpg", ".preview.jpg", ".jpeg", ".webp", ".preview.webp")
_AFTER_ALL = "\U0010ffff"


@dataclass(frozen=True)
class Folder:
    """A folder, whose key ends in "/": how many files are below it, and when the newest was modified; None
    for what is not known.
    """

    key: str
    count: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """Which files to show: those below ``folder`` ("" or "a/"), or only those directly in it.

    ``text`` is in the rest of the key, in any case. ``endings`` are in lower case with their dot: files with
    one of them, or, if ``without``, with none of them; without any, all files.
    """

    folder: str = ""
    text: str = ""
    order: str = ORDERS[0]
    endings: tuple[str, ...] = ()
    without: bool = False
    deep: bool = True


@dataclass
class Columns:
    """Rows that are being collected. ``times`` are seconds since 1970, 0 for a server that gives none."""

    keys: list[str] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("q"))
    times: array[float] = field(default_factory=lambda: array("d"))
    etags: list[str] = field(default_factory=list)

    def add(self, info: ObjectInfo) -> None:
        self.keys.append(info.key)
        self.sizes.append(info.size)
        self.times.append(info.modified.timestamp() if info.modified else 0.0)
        self.etags.append(info.etag)

    def changed(self, changes: Mapping[str, ObjectInfo | None]) -> Columns:
        """Return a copy sorted by key, with ``changes`` in place of the rows of their keys; None: no row."""
        if changes:
            made = self._taken([row for row, key in enumerate(self.keys) if key not in changes])
        else:
            made = Columns(self.keys[:], self.sizes[:], self.times[:], self.etags[:])
        for info in filter(None, changes.values()):
            made.add(info)
        if made.keys == sorted(made.keys):  # as a server lists them
            return made
        return made._taken(sorted(range(len(made.keys)), key=made.keys.__getitem__))

    def _taken(self, rows: Sequence[int]) -> Columns:
        return Columns(
            [self.keys[row] for row in rows],
            array("q", (self.sizes[row] for row in rows)),
            array("d", (self.times[row] for row in rows)),
            [self.etags[row] for row in rows],
        )


class Snapshot:
    """Rows that do not change any more. Any thread may ask."""

    def __init__(self, columns: Columns, folders: Iterable[str] = ()) -> None:
        """``columns`` are sorted by key; ``folders`` are known to exist though no row is below them yet."""
        self._columns = columns
        self._others = sorted(set(folders))
        self._views: OrderedDict[Asked, View] = OrderedDict()
        self._orders: dict[str, array[int]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._columns.keys)

    @property
    def columns(self) -> Columns:
        return self._columns

    def view(self, asked: Asked) -> View:
        """Return what is shown for ``asked``; computed once."""
        with self._lock:
            found = self._views.pop(asked, None)
            if found is None:
                found = self._made(asked)
            self._views[asked] = found
            while len(self._views) > VIEWS_KEPT:
                self._views.popitem(last=False)
            return found

    def info(self, row: int) -> ObjectInfo:
        columns = self._columns
        return ObjectInfo(
            columns.keys[row], columns.sizes[row], columns.etags[row], _date(columns.times[row])
        )

    def find(self, key: str) -> ObjectInfo | None:
        """Return the object of this key."""
        row = bisect_left(self._columns.keys, key)
        return self.info(row) if row < len(self) and self._columns.keys[row] == key else None

    def has(self, info: ObjectInfo) -> bool:
        """Return whether this version of an object is known."""
        known = self.find(info.key)
        return known is not None and (known.etag, known.size) == (info.etag, info.size)

    def has_folder(self, name: str) -> bool:
        keys = self._columns.keys
        row = bisect_left(keys, name)
        return name in self._others or (row < len(keys) and keys[row].startswith(name))

    def preview_of(self, key: str) -> ObjectInfo | None:
        """Return the image beside a model: the same name with an image's ending."""
        stem = key[: key.rfind(".")] if "." in key.rpartition("/")[2] else key
        return next(filter(None, (self.find(stem + ending) for ending in PREVIEWS)), None)

    # ------------------------------------------------------------ views

    def _made(self, asked: Asked) -> View:
        keys = self._columns.keys
        low = bisect_left(keys, asked.folder) if asked.folder else 0
        high = bisect_left(keys, asked.folder + _AFTER_ALL, low) if asked.folder else len(keys)
        rows: Iterable[int] = self._order(asked.order)
        if (low, high) != (0, len(keys)):
            rows = range(low, high) if asked.order == "name" else (row for row in rows if low <= row < high)
        start, text, endings = len(asked.folder), asked.text.casefold(), asked.endings
        if not asked.deep and not text:
            rows = (row for row in rows if "/" not in keys[row][start:])
        if text:
            rows = (row for row in rows if text in keys[row][start:].casefold())
        kept = found = array("I", rows)
        if endings:
            wanted = not asked.without
            kept = array("I", (row for row in found if keys[row].lower().endswith(endings) is wanted))
        return View(self, tuple(self._folders(asked, low, high)), kept, len(found) - len(kept))

    def _order(self, order: str) -> array[int]:
        if order not in self._orders:
            import numpy as np

            times, sizes = np.asarray(self._columns.times), np.asarray(self._columns.sizes)
            values = {"newest": -times, "oldest": times, "largest": -sizes}.get(order)
            rows = np.arange(len(self)) if values is None else np.argsort(values, kind="stable")
            self._orders[order] = array("I", rows.astype(np.uint32).tobytes())
        return self._orders[order]

    def _folders(self, asked: Asked, low: int, high: int) -> list[Folder]:
        keys, times, start = self._columns.keys, self._columns.times, len(asked.folder)
        found: dict[str, Folder] = {}
        row = low
        while row < high:
            end = keys[row].find("/", start)
            if end < 0:
                row += 1
                continue
            name = keys[row][: end + 1]
            after = bisect_left(keys, name + _AFTER_ALL, row, high)
            found[name] = Folder(name, after - row, _date(max(times[row:after], default=0.0)))
            row = max(after, row + 1)
        for name in self._others:
            if name.startswith(asked.folder) and name.find("/", start) == len(name) - 1:
                found.setdefault(name, Folder(name))
        text = asked.text.casefold()
        shown = [one for one in found.values() if text in one.key[start:].casefold()]
        shown.sort(key=lambda one: one.key)
        if asked.order in ("newest", "oldest"):
            shown.sort(key=lambda one: one.modified or _LONG_AGO, reverse=asked.order == "newest")
        return shown


_LONG_AGO = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class View:
    """The folders and the files of a snapshot that were asked for, in their order: the folders come first.
    ``hidden`` is how many more files there are without the endings that were asked for.
    """

    snapshot: Snapshot
    folders: tuple[Folder, ...]
    rows: array[int]
    hidden: int = 0

    def __len__(self) -> int:
        return len(self.folders) + len(self.rows)

    def entries(self, start: int, count: int) -> list[Folder | ObjectInfo]:
        """Return up to ``count`` entries from the number ``start`` on."""
        head = list(self.folders[start : start + count])
        first = max(0, start - len(self.folders))
        rest = self.rows[first : first + count - len(head)]
        return [*head, *map(self.snapshot.info, rest)]

    def place(self, key: str) -> int | None:
        """Return the number of the entry with this key; None if it is not shown."""
        if key.endswith("/"):
            return next((place for place, one in enumerate(self.folders) if one.key == key), None)
        row = bisect_left(self.snapshot.columns.keys, key)
        if row == len(self.snapshot) or self.snapshot.columns.keys[row] != key:
            return None
        try:
            return len(self.folders) + self.rows.index(row)
        except ValueError:
            return None


def _date(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None
