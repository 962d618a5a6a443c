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
    return Snapshot(columns.changed({}), folders)


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


def test_changes_take_the_place_of_rows_and_all_are_sorted():
    columns = Columns()
    for key in ("c", "b", "d"):
        columns.add(ObjectInfo(key, 2, "2"))
    made = columns.changed({"a": ObjectInfo("a", 1, "1"), "b": ObjectInfo("b", 9, "9"), "d": None, "e": None})
    assert (made.keys, list(made.sizes), made.etags) == (["a", "b", "c"], [1, 9, 2], ["1", "9", "2"])
    assert columns.keys == ["c", "b", "d"]


def test_what_has_none_of_the_endings_is_counted():
    assert snapshot().view(Asked(endings=(".png",))).hidden == 2
    assert snapshot().view(Asked("a/", endings=(".png",), deep=False)).hidden == 0


def test_the_image_beside_a_model_is_its_preview():
    known = snapshot()
    assert known.preview_of("c.safetensors").key == "c.png"
    assert known.preview_of("d.safetensors") is None
