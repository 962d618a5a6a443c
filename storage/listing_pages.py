"""Whether the pages of a listing are what was asked for, and whether they get on."""

from __future__ import annotations

from dataclasses import replace

from .base import Page

PAGES_MAX = 100_000  # of one listing: a hundred million keys; whoever answers more often makes them up
EMPTY_PAGES_MAX = 1000  # one after another: a server may have many deleted objects to pass over
SAME_PLACE = "the listing goes on where it was before, and so for ever"
ADVICE = "Run the node again; if it stays, look at what stands between here and the server."


def foreign(page: Page, prefix: str) -> str:
    """What is wrong with a page whose keys have to begin with ``prefix``, in words; "" where nothing is."""
    for name in (*(info.key for info in page.objects), *page.folders):
        if not name or not name.startswith(prefix):
            return f"the listing holds {name[:200]!r}, which does not begin with {prefix!r}"
    if any(info.size < 0 for info in page.objects):
        return "the listing holds a size below zero"
    return ""


def relative(page: Page, path_prefix: str) -> Page:
    """The page with keys that are relative to a profile's ``path_prefix``."""
    cut = len(path_prefix)
    objects = [replace(info, key=info.key[cut:]) for info in page.objects]
    return Page(objects, page.following, [folder[cut:] for folder in page.folders])


class Progress:
    """Looks at one page after another. Of what it has seen, it keeps two sets of hashes."""

    def __init__(self) -> None:
        self._pages, self._empty = 0, 0
        self._tokens: set[int] = set()
        self._firsts: set[int] = set()

    def wrong(self, page: Page) -> str:
        """Why the listing does not get on, in words; "" where it does."""
        self._pages += 1
        first = hash(page.objects[0].key) if page.objects else None
        if first in self._firsts:
            return "the listing gives the same keys again, and so for ever"
        if first is not None:
            self._firsts.add(first)
        if not page.following:
            return ""
        if hash(page.following) in self._tokens:
            return SAME_PLACE
        self._tokens.add(hash(page.following))
        self._empty = 0 if page.objects else self._empty + 1
        if self._empty >= EMPTY_PAGES_MAX:
            return f"{self._empty} answers one after another hold no key, and say that there are more"
        if self._pages >= PAGES_MAX:
            return f"the listing has not ended after {self._pages} answers"
        return ""
