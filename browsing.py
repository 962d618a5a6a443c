"""What the browser's key picker shows of a bucket, page by page: the folders and files of one folder, or what
a search finds below it.

Keys are relative to the profile's path_prefix, which nothing here can leave: it stands in front of whatever
is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ConfigurationError
from .meter import Meter
from .naming import clean_prefix
from .storage import ObjectInfo, Storage

PAGE_ENTRIES = 500
SEARCHED_KEYS = 10_000  # of one request: ten answers of a server
FOUND_KEYS = 200
TOKEN_CHARACTERS = 8192  # a server's token holds a key, in base64 or percent-encoded


@dataclass(frozen=True)
class Listing:
    """One page: ``folders`` end in "/", both are in key order; ``following`` asks for the next page, "" after
    the last.
    """

    folders: tuple[str, ...]
    files: tuple[ObjectInfo, ...]
    following: str


def folder(storage: Storage, name: str, token: str, meter: Meter) -> Listing:
    """A page of what lies directly in a folder: "" or "a/b/". Raises ConfigurationError, and as ``page``."""
    name = _folder(storage, name)
    meter.check()
    page = storage.page(name, PAGE_ENTRIES, _checked(token))
    return Listing(tuple(page.folders), tuple(filter(_is_file, page.objects)), page.following)


def search(storage: Storage, name: str, text: str, after: str, meter: Meter) -> Listing:
    """Files anywhere below a folder in whose key, from there on, ``text`` occurs, small letters or capitals.

    Looks at SEARCHED_KEYS keys at most, so that a page may be empty and have another one ``following``: the
    key after which the next look begins.
    """
    name, wanted = _folder(storage, name), text.casefold()
    found: list[ObjectInfo] = []
    seen, last = 0, ""
    for info in storage.list(name, SEARCHED_KEYS, _checked(after)):
        meter.check()
        seen, last = seen + 1, info.key
        if _is_file(info) and wanted in info.key[len(name) :].casefold():
            found.append(info)
            if len(found) == FOUND_KEYS:
                return Listing((), tuple(found), last)
    return Listing((), tuple(found), last if seen == SEARCHED_KEYS else "")


def _folder(storage: Storage, name: str) -> str:
    """A folder's name as it stands in front of keys. Raises ConfigurationError."""
    name = clean_prefix(name, storage.max_key_bytes - len(storage.path_prefix.encode()))
    return name if not name or name.endswith("/") else f"{name}/"


def _checked(token: str) -> str:
    if len(token) > TOKEN_CHARACTERS:
        raise ConfigurationError(f"A page's token has {len(token)} characters. Open the folder again.")
    return token


def _is_file(info: ObjectInfo) -> bool:
    """Some programs make an empty object for a folder, called as the folder is."""
    return not info.key.endswith("/")
