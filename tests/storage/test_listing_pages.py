from __future__ import annotations

import pytest
from cloud_storage.storage import listing_pages
from cloud_storage.storage.base import ObjectInfo, Page


def page(*keys, following="", folders=(), size=1):
    return Page([ObjectInfo(key, size, "tag") for key in keys], following, folders)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        (page("t/a", "t/b", folders=["t/c/"]), ""),
        (page("t/a", "u/b"), "'u/b', which does not start with 't/'"),
        (page(folders=["u/"]), "'u/', which does not start with 't/'"),
        (page(""), "which does not start with"),
        (page("t/a", size=-1), "a size below zero"),
    ],
)
def test_a_page_that_was_not_asked_for_is_described(listed, said):
    assert said in listing_pages.fault(listed, "t/")
    assert bool(said) == bool(listing_pages.fault(listed, "t/"))


def test_keys_and_folders_become_relative():
    relative = listing_pages.relative(page("team/a", folders=["team/b/"], following="next"), "team/")
    assert ([info.key for info in relative.objects], relative.folders) == (["a"], ["b/"])
    assert relative.next_token == "next"


def test_a_listing_that_ends_is_right():
    progress = listing_pages.Progress()
    pages = (page("a", following="1"), page("b", following="2"), page("c"))
    assert [progress.fault(each) for each in pages] == ["", "", ""]


@pytest.mark.parametrize(
    "pages",
    [
        (page("a", following="1"), page("b", following="1")),
        (page("a", following="1"), page("a", following="2")),
    ],
    ids=["the same token", "the same keys"],
)
def test_a_listing_that_repeats_is_noticed(pages):
    progress = listing_pages.Progress()
    assert [bool(progress.fault(each)) for each in pages] == [False, True]


def test_a_listing_without_end_and_without_keys_is_noticed(monkeypatch):
    monkeypatch.setattr(listing_pages, "EMPTY_PAGES_MAX", 3)
    progress = listing_pages.Progress()
    assert [bool(progress.fault(page(following=str(n)))) for n in range(3)] == [False, False, True]
