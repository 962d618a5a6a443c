"""What the browser's picker shows of a bucket: the folders and files of one folder, or what a search finds
below it.

In the order of keys they come page by page, as servers list them. In any other order the whole folder has to
be known first: so it is read up to a bound, and a listing says where that was not enough.

Keys are relative to the profile's path_prefix, which nothing here can leave: it stands in front of whatever
is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import ConfigurationError
from ..storage.base import ObjectInfo, Storage
from ..storage.keys import existing_prefix
from ..system.meter import Meter

PAGE_ENTRIES = 500
EMPTY_PAGES = 20  # of one request, where no file in them has one of the endings
SEARCHED_KEYS = 10_000  # of one request: ten answers of a server
FOUND_KEYS = 200
ORDERED_KEYS = 20_000  # that are put in an order: twenty answers of a server
ORDERED_FILES = 1000  # of them that are given, the first ones in that order
TOKEN_CHARACTERS = 8192  # a server's token holds a key, in base64 or percent-encoded
ENDINGS = 64
ENDING_CHARACTERS = 16

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)  # for a server that gives no date

# What files are put in order by, the greatest first; of equal ones the first by name.
ORDERS: dict[str, Callable[[ObjectInfo], Any]] = {
    "newest": lambda info: info.modified or _LONG_AGO,
    "largest": lambda info: info.size,
}


@dataclass(frozen=True)
class Listing:
    """``folders`` end in "/". ``following`` asks for the next page, "" after the last.

    ``hidden`` counts the files that were met and have none of the endings. ``total`` says how many files were
    put in order, of which ``files`` are the first; ``complete`` whether that is all there are.
    """

    folders: tuple[str, ...]
    files: tuple[ObjectInfo, ...]
    following: str = ""
    hidden: int = 0
    total: int | None = None
    complete: bool = True


class Kind:
    """Which files are wanted: those with one of ``endings``, in small letters with their dot; all without."""

    def __init__(self, endings: tuple[str, ...] = ()) -> None:
        if len(endings) > ENDINGS or any(len(ending) > ENDING_CHARACTERS for ending in endings):
            raise ConfigurationError(f"Ask for at most {ENDINGS} endings of files, each a short one.")
        self._endings = endings
        self.hidden = 0

    def takes(self, key: str) -> bool:
        """Whether a file is wanted; one that is not is counted."""
        wanted = not self._endings or key.lower().endswith(self._endings)
        self.hidden += not wanted
        return wanted


def folder(storage: Storage, name: str, token: str, meter: Meter, endings: tuple[str, ...] = ()) -> Listing:
    """A page of what lies directly in a folder: "" or "a/b/". Raises ConfigurationError, and as ``page``.

    It is empty where EMPTY_PAGES pages of the server hold nothing that is wanted.
    """
    name, token, kind = _folder(storage, name), _checked(token), Kind(endings)
    folders: list[str] = []
    files: list[ObjectInfo] = []
    for _ in range(EMPTY_PAGES):
        meter.check()
        page = storage.page(name, PAGE_ENTRIES, token)
        folders += page.folders
        files += [info for info in page.objects if _is_file(info) and kind.takes(info.key)]
        token = page.following
        if folders or files or not token:
            break
    return Listing(tuple(folders), tuple(files), token, kind.hidden)


def search(
    storage: Storage, name: str, text: str, after: str, meter: Meter, endings: tuple[str, ...] = ()
) -> Listing:
    """Files anywhere below a folder in whose key, from there on, ``text`` occurs, small letters or capitals.

    Looks at SEARCHED_KEYS keys at most, so that a page may be empty and have another one ``following``: the
    key after which the next look begins.
    """
    name, wanted, kind = _folder(storage, name), text.casefold(), Kind(endings)
    found: list[ObjectInfo] = []
    seen, last = 0, ""
    for info in storage.list(name, SEARCHED_KEYS, _checked(after)):
        meter.check()
        seen, last = seen + 1, info.key
        if _is_file(info) and wanted in info.key[len(name) :].casefold() and kind.takes(info.key):
            found.append(info)
            if len(found) == FOUND_KEYS:
                return Listing((), tuple(found), last, kind.hidden)
    return Listing((), tuple(found), last if seen == SEARCHED_KEYS else "", kind.hidden)


def ordered(
    storage: Storage, name: str, text: str, order: str, meter: Meter, endings: tuple[str, ...] = ()
) -> Listing:
    """The first ORDERED_FILES of a folder's files in one of ORDERS, or with ``text`` of those that it finds.

    All are compared, up to ORDERED_KEYS keys. The folders come in the order of their names.
    """
    if order not in ORDERS:
        raise ConfigurationError(f"There is no order {order!r}. Choose {' or '.join(ORDERS)}.")
    name, wanted, kind = _folder(storage, name), text.casefold(), Kind(endings)
    folders: list[str] = []
    files: list[ObjectInfo] = []
    complete = True
    entries = storage.list(name, ORDERED_KEYS + 1) if text else _entries(storage, name, meter)
    for count, entry in enumerate(entries):
        meter.check()
        if count == ORDERED_KEYS:
            complete = False
            break
        if isinstance(entry, str):
            folders.append(entry)
        elif _is_file(entry) and wanted in entry.key[len(name) :].casefold() and kind.takes(entry.key):
            files.append(entry)
    files.sort(key=ORDERS[order], reverse=True)  # keeps the order of equal ones
    return Listing(tuple(folders), tuple(files[:ORDERED_FILES]), "", kind.hidden, len(files), complete)


def _entries(storage: Storage, name: str, meter: Meter) -> Iterator[str | ObjectInfo]:
    """What lies directly in a folder: the names of folders, and files."""
    token = ""
    while True:
        meter.check()
        page = storage.page(name, token=token)
        yield from page.folders
        yield from page.objects
        token = page.following
        if not token:
            return


def _folder(storage: Storage, name: str) -> str:
    """A folder's name as it stands in front of keys. Raises ConfigurationError."""
    name = existing_prefix(name, storage.room_for_key)
    return name if not name or name.endswith("/") else f"{name}/"


def _checked(token: str) -> str:
    if len(token) > TOKEN_CHARACTERS:
        raise ConfigurationError(f"A page's token has {len(token)} characters. Open the folder again.")
    return token


def _is_file(info: ObjectInfo) -> bool:
    """Some programs make an empty object for a folder, called as the folder is."""
    return not info.key.endswith("/")
