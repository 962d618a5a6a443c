"""Which objects of a listing are taken."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cloud_storage.loading import selection
from cloud_storage.loading.selection import Choice
from cloud_storage.storage.base import ObjectInfo

DAY = datetime(2026, 11, 21, tzinfo=timezone.utc)
FOUND = [
    ObjectInfo(f"{name}.png", 1, f"tag-{name}", DAY + timedelta(hours=hour))
    for name, hour in [("a", 3), ("b", 1), ("c", 4), ("d", 1), ("e", 5)]
]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        (Choice(), "abcde"),
        (Choice("newest"), "ecabd"),
        (Choice("oldest"), "bdace"),
        (Choice(skip=1), "bcde"),
        (Choice(nth=2), "ace"),
        (Choice(skip=1, nth=2), "bd"),
        (Choice(skip=1, nth=2, limit=1), "b"),
        (Choice("newest", limit=2), "ec"),
        (Choice(skip=5), ""),
    ],
)
def test_sorted_then_skipped_then_every_nth_then_limited(choice, names):
    assert "".join(info.key[0] for info in choice.of(iter(FOUND))) == names


def test_by_name_no_more_is_listed_than_is_taken():
    def endless():
        yield from FOUND
        raise AssertionError("asked for more")

    assert len(list(Choice(skip=1, nth=2, limit=2).of(endless()))) == 2


def test_an_object_without_a_date_is_the_oldest():
    dateless = ObjectInfo("z.png", 1, "tag")
    assert list(Choice("oldest", limit=1).of([*FOUND, dateless])) == [dateless]


def test_the_state_is_another_one_when_an_object_is():
    changed = [*FOUND[:-1], ObjectInfo("e.png", 1, "another")]
    assert selection.state(FOUND) == selection.state(list(FOUND))
    assert len({selection.state(FOUND), selection.state(FOUND[1:]), selection.state(changed)}) == 3
