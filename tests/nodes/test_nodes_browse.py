from __future__ import annotations

import urllib.request

import pytest
from cloud_storage import errors, nodes_browse
from cloud_storage.comfyui.amounts import in_bytes
from cloud_storage.loading import is_changed
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import outputs_of, run_node


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(is_changed, "_memories", {})


@pytest.fixture
def filled(cloud):
    for key in ("a/1.png", "a/2.jpg", "a/b/3.png", "c.png", "a/folder/"):
        cloud.put(key, b"12345", PutOptions(), Meter())
    return cloud


def test_a_list_names_every_object_below_the_prefix(filled):
    text, keys, count = outputs_of("ListBucketContents", prefix="a/")
    assert keys == ["a/1.png", "a/2.jpg", "a/b/3.png"]
    assert count == 3
    first = text.splitlines()[0].split("  ")
    assert first[:2] == ["a/1.png", "5"]
    assert len(first[2]) == len("2026-01-01 00:00:00")


def test_pattern_and_maximum_narrow_it(filled):
    assert outputs_of("ListBucketContents", prefix="a/", pattern="*.png")[1] == ["a/1.png", "a/b/3.png"]
    assert outputs_of("ListBucketContents", prefix="", max_results=2)[1] == ["a/1.png", "a/2.jpg"]
    assert outputs_of("ListBucketContents", prefix="a/", pattern="b/*")[1] == ["a/b/3.png"]
    assert outputs_of("ListBucketContents", prefix="c", pattern="")[1] == ["c.png"]


def test_a_listed_key_can_be_shared_and_the_address_opens(filled):
    keys = outputs_of("ListBucketContents", prefix="a/b")[1]
    (url,) = outputs_of("GeneratePresignedURL", key=keys[0], expires_hours=1)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"12345"


def test_nothing_found_is_an_error_that_names_the_prefix(filled):
    with pytest.raises(errors.NotFound, match="nowhere/"):
        outputs_of("ListBucketContents", prefix="nowhere/")


def test_an_address_of_nothing_is_not_signed(filled):
    with pytest.raises(errors.NotFound, match=r"gone\.png"):
        outputs_of("GeneratePresignedURL", key="gone.png")


def test_a_share_is_shown_with_its_address_and_a_list_with_its_beginning(filled, monkeypatch):
    shared = run_node("GeneratePresignedURL", key="c.png", expires_hours=2)
    assert shared["ui"] == {"cloud_storage": ["c.png: shared for 2 h", *shared["result"]]}
    listed = run_node("ListBucketContents", prefix="a/")
    count, *lines = listed["ui"]["cloud_storage"]
    assert count == "3 objects, times in UTC"
    for line, written in zip(lines, listed["result"][0].splitlines(), strict=True):
        key, size, date = written.split("  ")
        minute = date.rpartition(":")[0]
        assert line == f"{key}  {in_bytes(int(size))}  {minute}", "for people; the output is for programs"
    alone = run_node("ListBucketContents", prefix="a/", max_results=1)
    assert alone["ui"]["cloud_storage"] == ["1 object, times in UTC", lines[0]]
    monkeypatch.setattr(nodes_browse, "SHOWN_LINES", 1)
    shown = run_node("ListBucketContents", prefix="a/")["ui"]["cloud_storage"]
    assert (shown[0], len(shown), shown[-1]) == ("3 objects, times in UTC", 3, "…")


def test_the_status_of_a_share_holds_no_address(filled, comfyui):
    (url,) = outputs_of("GeneratePresignedURL", key="c.png", unique_id="3")
    assert comfyui.texts
    assert all("http" not in text and url not in text for text, _, _ in comfyui.texts)


def test_without_a_browser_nothing_is_broadcast(filled, comfyui):
    comfyui.client_id = None
    outputs_of("GeneratePresignedURL", key="c.png", unique_id="3")
    assert comfyui.texts == []


def test_a_list_is_changed_when_an_object_comes_goes_or_differs(filled, comfyui):
    def changed():
        return nodes_browse.ListBucketContents.IS_CHANGED(
            prefix="a/", max_results=100, pattern="*", unique_id="5"
        )

    first = changed()
    outputs_of("ListBucketContents", prefix="a/", unique_id="5")
    assert changed() == first
    filled.put("a/4.png", b"new", PutOptions(), Meter())
    second = changed()
    assert second != first
    filled.put("a/4.png", b"newer", PutOptions(), Meter())
    third = changed()
    assert third not in (first, second)
    filled.put("elsewhere.png", b"new", PutOptions(), Meter())
    assert changed() == third


def test_a_cached_address_keeps_half_its_life(monkeypatch):
    def at(seconds, hours=2):
        monkeypatch.setattr(nodes_browse.time, "time", lambda: seconds)
        return nodes_browse.GeneratePresignedURL.IS_CHANGED(key="a", expires_hours=hours)

    assert at(7200) == at(7200 + 3599)
    assert at(7200) != at(7200 + 3600)
