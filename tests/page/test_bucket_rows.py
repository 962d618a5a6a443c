"""The columns of a bucket's keys, and the views of folders."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cloud_storage.page.bucket_rows import Asked, Columns, Snapshot
from cloud_storage.storage.base import ObjectInfo

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
AGES = {"a/1.png": 3, "a/b/2.mp4": 1, "c.safetensors": 5, "c.png": 4, "z/3.PNG": 2}


def snapshot(ages=AGES, folders=()):
    columns = Columns()
    for key, age in ages.items():
        columns.add(ObjectInfo(key, age, f"etag of {key}", BEGIN - timedelta(days=age)))
    return Snapshot(columns.sorted(), folders)


def shown(asked, **given):
    view = snapshot(**given).view(asked)
    return [one.key for one in view.entries(0, 100)]


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        (Asked(), ["a/", "z/", "a/b/2.mp4", "z/3.PNG", "a/1.png", "c.png", "c.safetensors"]),
        (Asked(order="oldest"), ["z/", "a/", "c.safetensors", "c.png", "a/1.png", "z/3.PNG", "a/b/2.mp4"]),
        (Asked(order="name", deep=False), ["a/", "z/", "c.png", "c.safetensors"]),
        (Asked("a/", order="name"), ["a/b/", "a/1.png", "a/b/2.mp4"]),
        (Asked(order="largest", text="C."), ["c.safetensors", "c.png"]),
        (Asked(endings=(".png",)), ["a/", "z/", "z/3.PNG", "a/1.png", "c.png"]),
        (Asked(endings=(".png", ".mp4"), without=True), ["a/", "z/", "c.safetensors"]),
        (Asked("nowhere/"), []),
    ],
)
def test_a_view_has_what_was_asked_for_in_its_order(asked, keys):
    assert shown(asked) == keys


def test_windows_cut_folders_and_files_as_one_list():
    view = snapshot().view(Asked(order="name"))
    whole = [one.key for one in view.entries(0, 100)]
    assert len(view) == len(whole) == 7
    assert [view.entries(place, 1)[0].key for place in range(7)] == whole
    assert [view.place(key) for key in whole] == list(range(7))
    assert view.place("a/b/") is None
    assert view.entries(7, 10) == []


def test_a_folder_that_is_known_to_exist_is_shown_before_its_files_are():
    assert shown(Asked(order="name"), folders=("new/", "a/"))[:3] == ["a/", "new/", "z/"]


def test_rows_that_come_in_another_order_are_sorted_and_come_once():
    columns = Columns()
    columns.add(ObjectInfo("b", 2, "2"))
    made = columns.sorted([ObjectInfo("a", 1, "1"), ObjectInfo("b", 9, "9")])
    assert (made.keys, list(made.sizes), made.etags) == (["a", "b"], [1, 2], ["1", "2"])


def test_the_image_beside_a_model_is_its_preview():
    known = snapshot()
    assert known.preview_of("c.safetensors").key == "c.png"
    assert known.preview_of("d.safetensors") is None
