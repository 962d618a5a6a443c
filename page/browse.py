"""Lists a bucket for the picker: the folders and files of one folder, or the results of a search below it.

Sorted by key, a listing comes in pages, as servers list them. For any other order the whole folder has to be
read first; this stops after ORDERED_KEYS keys, and the listing says so.

All keys are relative to the profile's path_prefix, which is put in front of each, so that nothing outside of
it can be listed.
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
EMPTY_PAGES = 20  # read in one request, if no file in them has one of the endings
SEARCHED_KEYS = 10_000  # in one request: ten pages of a server
FOUND_KEYS = 200
ORDERED_KEYS = 20_000  # that are sorted: twenty pages of a server
ORDERED_FILES = 1000  # of them that are listed, the first ones
TOKEN_CHARACTERS = 8192  # a server's token holds a key, in base64 or percent-encoded
ENDINGS = 64
ENDING_CHARACTERS = 16

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)  # for a server that gives no date

# Sort keys, the greatest first; equal ones are sorted by name.
ORDERS: dict[str, Callable[[ObjectInfo], Any]] = {
    "newest": lambda info: info.modified or _LONG_AGO,
    "largest": lambda info: info.size,
}


@dataclass(frozen=True)
class Listing:
    """Folders, which end in "/", and files. ``following`` is the token of the next page, "" for the last
    page.

    ``hidden`` is the number of files without one of the endings. ``total`` is the number of files that were
    sorted, of which ``files`` are the first; ``complete`` is False if the folder has more.
    """

    folders: tuple[str, ...]
    files: tuple[ObjectInfo, ...]
    following: str = ""
    hidden: int = 0
    total: int | None = None
    complete: bool = True


class Filter:
    """Accepts files whose key, after ``folder``, contains ``text`` in any case and ends in one of
    ``endings``.

    Endings are in lower case, with their dot; without any, every file is accepted. ``hidden`` counts the
    files that have the text but none of the endings. Raises ConfigurationError for too many endings.
    """

    def __init__(self, folder: str, text: str = "", endings: tuple[str, ...] = ()) -> None:
        if len(endings) > ENDINGS or any(len(ending) > ENDING_CHARACTERS for ending in endings):
            raise ConfigurationError(f"Ask for at most {ENDINGS} endings of files, each a short one.")
        self._start, self._text, self._endings = len(folder), text.casefold(), endings
        self.hidden = 0

    def accepts(self, key: str) -> bool:
        """Whether to list this key; False for a folder marker, an empty object called like its folder."""
        if key.endswith("/") or self._text not in key[self._start :].casefold():
            return False
        has_ending = not self._endings or key.lower().endswith(self._endings)
        self.hidden += not has_ending
        return has_ending


def folder(storage: Storage, name: str, token: str, meter: Meter, endings: tuple[str, ...] = ()) -> Listing:
    """List one page of a folder, "" or "a/b/". Raises ConfigurationError, and errors of ``Storage.page``.

    The page is empty if EMPTY_PAGES pages of the server have nothing with one of the endings.
    """
    name, token = _folder(storage, name), _checked(token)
    wanted = Filter(name, "", endings)
    folders: list[str] = []
    files: list[ObjectInfo] = []
    for _ in range(EMPTY_PAGES):
        meter.check()
        page = storage.page(name, PAGE_ENTRIES, token)
        folders += page.folders
        files += [info for info in page.objects if wanted.accepts(info.key)]
        token = page.next_token
        if folders or files or not token:
            break
    return Listing(tuple(folders), tuple(files), token, wanted.hidden)


def search(
    storage: Storage, name: str, text: str, after: str, meter: Meter, endings: tuple[str, ...] = ()
) -> Listing:
    """Find the files anywhere below a folder whose remaining key contains ``text``, in any case.

    Reads at most SEARCHED_KEYS keys, so a page may be empty though there are more; ``following`` is the key
    after which the next page starts.
    """
    name = _folder(storage, name)
    wanted = Filter(name, text, endings)
    found: list[ObjectInfo] = []
    seen, last = 0, ""
    for info in storage.list(name, SEARCHED_KEYS, _checked(after)):
        meter.check()
        seen, last = seen + 1, info.key
        if wanted.accepts(info.key):
            found.append(info)
            if len(found) == FOUND_KEYS:
                return Listing((), tuple(found), last, wanted.hidden)
    return Listing((), tuple(found), last if seen == SEARCHED_KEYS else "", wanted.hidden)


def ordered(
    storage: Storage, name: str, text: str, order: str, meter: Meter, endings: tuple[str, ...] = ()
) -> Listing:
    """List a folder's files, or the results of a search for ``text``, in one of ORDERS: the first
    ORDERED_FILES.

    Compares at most ORDERED_KEYS keys. The folders are sorted by name.
    """
    check_order(order)
    name = _folder(storage, name)
    wanted = Filter(name, text, endings)
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
        elif wanted.accepts(entry.key):
            files.append(entry)
    files.sort(key=ORDERS[order], reverse=True)  # keeps the order of equal ones
    return Listing(tuple(folders), tuple(files[:ORDERED_FILES]), "", wanted.hidden, len(files), complete)


def check_order(order: str) -> None:
    """Raises ConfigurationError for an order that does not exist."""
    if order not in ORDERS:
        raise ConfigurationError(f"There is no order {order!r}. Choose {' or '.join(ORDERS)}.")


def _entries(storage: Storage, name: str, meter: Meter) -> Iterator[str | ObjectInfo]:
    """Yield the entries of a folder: names of folders, and files."""
    token = ""
    while True:
        meter.check()
        page = storage.page(name, token=token)
        yield from page.folders
        yield from page.objects
        token = page.next_token
        if not token:
            return


def _folder(storage: Storage, name: str) -> str:
    """The folder as a prefix of keys, "" or "a/b/". Raises ConfigurationError."""
    name = existing_prefix(name, storage.room_for_key)
    return name if not name or name.endswith("/") else f"{name}/"


def _checked(token: str) -> str:
    if len(token) > TOKEN_CHARACTERS:
        raise ConfigurationError(f"A page's token has {len(token)} characters. Open the folder again.")
    return token
