"""Check that the pages of a listing are the requested ones, and that the listing ends."""

from __future__ import annotations

from dataclasses import replace

from .answers import InvalidAnswer
from .base import ObjectInfo, Page

PAGES_MAX = 100_000  # of one listing: a hundred million keys; a server that sends more invents them
EMPTY_PAGES_MAX = 1000  # one after another: a server may have to skip many deleted objects
SAME_PAGE = "the listing continues where it was before, without end"


def page(objects: list[ObjectInfo], is_truncated: bool, token: str | None, folders: list[str]) -> Page:
    """Return one answer as a Page. Raises InvalidAnswer if there are more pages and no token for the next."""
    if is_truncated and not token:
        raise InvalidAnswer("the listing says that it continues, and not where")
    return Page(objects, str(token) if is_truncated else "", folders)


def fault(page: Page, prefix: str) -> str:
    """Return what is wrong with a page whose keys must start with ``prefix``; "" if nothing is."""
    for name in (*(info.key for info in page.objects), *page.folders):
        if not name or not name.startswith(prefix):
            return f"the listing contains {name[:200]!r}, which does not start with {prefix!r}"
    if any(info.size < 0 for info in page.objects):
        return "the listing contains a size below zero"
    return ""


def relative(page: Page, path_prefix: str) -> Page:
    """Return the page with keys relative to a profile's ``path_prefix``."""
    cut = len(path_prefix)
    objects = [replace(info, key=info.key[cut:]) for info in page.objects]
    return Page(objects, page.next_token, [folder[cut:] for folder in page.folders])


class Progress:
    """Checks the pages of a listing one after another. It keeps only hashes of what it has seen."""

    def __init__(self) -> None:
        self._pages, self._empty = 0, 0
        self._tokens: set[int] = set()
        self._first_keys: set[int] = set()

    def fault(self, page: Page) -> str:
        """Return why the listing makes no progress; "" if it does."""
        self._pages += 1
        first = hash(page.objects[0].key) if page.objects else None
        if first in self._first_keys:
            return "the listing gives the same keys again, without end"
        if first is not None:
            self._first_keys.add(first)
        if not page.next_token:
            return ""
        if hash(page.next_token) in self._tokens:
            return SAME_PAGE
        self._tokens.add(hash(page.next_token))
        self._empty = 0 if page.objects else self._empty + 1
        if self._empty >= EMPTY_PAGES_MAX:
            return f"{self._empty} answers one after another have no key, and say that there are more"
        if self._pages >= PAGES_MAX:
            return f"the listing has not ended after {self._pages} answers"
        return ""
