"""The catalogue of a bucket's keys: while it is listed, afterwards, and on disk. On buckets in memory."""

from __future__ import annotations

import json
import struct
import sys
import threading

import pytest
from cloud_storage.errors import AccessDenied, Unreachable
from cloud_storage.page import bucket_catalogue
from cloud_storage.page.bucket_catalogue import VERSION, BucketCatalogue
from cloud_storage.page.bucket_rows import Asked
from cloud_storage.storage.base import ObjectInfo, Page
from memory_bucket import MemoryBucket


def joined():
    for thread in threading.enumerate():
        if thread.name == "cloud-storage-files":
            thread.join(60)


def keys(known, asked=Asked(order="name")):  # noqa: B008  it is frozen
    return [one.key for one in known.shown()[0].view(asked).entries(0, 10_000)]


@pytest.fixture
def made(tmp_path):
    def make(bucket):
        return BucketCatalogue("name", "Bucket b", lambda: bucket, tmp_path / "x" / "files.keys")

    return make


def test_a_hundred_thousand_keys_are_listed_once_and_are_there_after_a_restart(made, tmp_path):
    bucket = MemoryBucket(f"folder {number % 10}/{number:06}.png" for number in range(100_000))
    known = made(bucket)
    known.asked()
    known.asked()
    joined()
    assert bucket.requests == ["list "]
    snapshot, state = known.shown()
    assert (len(snapshot), state.complete, state.is_listing, state.error) == (100_000, True, False, "")
    assert len(snapshot.view(Asked())) == 100_010
    again = made(MemoryBucket())
    assert again.shown()[1].complete
    assert len(again.shown()[0]) == 100_000


def test_a_bucket_of_too_many_keys_says_so_at_once_after_a_restart_too(made, monkeypatch):
    monkeypatch.setattr(bucket_catalogue, "MOST_KEYS", 3)
    bucket = MemoryBucket(["a/", "a/1", "a/2", "b", "c/1", "d"])  # the first one is the folder itself
    known = made(bucket)
    known.asked()
    joined()
    for each in (known, made(MemoryBucket())):
        snapshot, state = each.shown()
        assert snapshot.columns.keys == ["a/1", "a/2", "b"]
        assert state.is_cut
        assert state.error.startswith("Not complete: Bucket b has more than 3 files.")
        assert each.must_look_into("c/")
    bucket.keys = {"a", "b"}
    known.refresh()
    joined()
    state = known.shown()[1]
    assert (state.is_cut, state.error) == (False, "")
    assert not known.must_look_into("c/")


def test_what_has_arrived_is_shown_while_the_first_listing_runs(made):
    may_end = threading.Event()
    has_come = threading.Event()

    class Slow(MemoryBucket):
        def list(self, *given):
            for number in range(1500):
                if number == 1200:
                    has_come.set()
                    assert may_end.wait(60)
                yield ObjectInfo(f"{number:04}", 1, "")

    known = made(Slow())
    known.asked()
    assert has_come.wait(60)
    try:
        snapshot, state = known.shown()
        assert (len(snapshot), state.count, state.complete, state.is_listing) == (1200, 1200, False, True)
        assert known.must_look_into("z/")
        assert not known.must_look_into("z/")
        known.add(Page([ObjectInfo("z/new.png", 1, "")], "", ["z/deep/"]))
        assert keys(known, Asked("z/", order="name")) == ["z/deep/", "z/new.png"]
    finally:
        may_end.set()
    joined()
    assert known.shown()[1].count == 1501
    assert keys(known, Asked("z/")) == ["z/new.png"]


def test_a_listing_that_fails_keeps_what_was_known_unless_it_is_forbidden(made):
    bucket = MemoryBucket(["a"])
    known = made(bucket)
    known.refresh()
    joined()
    bucket.failure = Unreachable("no network")
    known.refresh()
    joined()
    assert (keys(known), known.shown()[1].error) == (["a"], "no network")
    bucket.failure = AccessDenied("not any more")
    known.refresh()
    joined()
    assert (keys(known), known.shown()[1].error) == ([], "not any more")
    assert keys(made(bucket)) == [], "nor is it on the disk"


def written(**changes):
    """A file of one key, with some of what is written about it changed."""
    rest = bytes(8) + struct.pack("d", 1.0) + b"key\0\0etag"
    about = {"version": VERSION, "byteorder": sys.byteorder, "listed": 0, "count": 1, "bytes": len(rest)}
    return json.dumps({**about, **changes}).encode() + b"\n" + rest


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"{}",
            b"[1]",
            b"[" * 100_000,
            b"\xff" * 100,
            written()[:-6],
            written()[:60],
            written() + b"\0x",
        ),
        *(
            written(version=1),
            written(bytes=1),
            written(byteorder="other"),
            written(listed="x"),
            written(listed=1e300),
        ),
        *(written(count=count) for count in (0, 2, -1, "1", None, 1e9)),
        written().replace(struct.pack("d", 1.0), struct.pack("d", float("nan"))),
    ],
)
def test_a_damaged_file_is_not_used(made, tmp_path, content):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "files.keys").write_bytes(content)
    assert keys(made(MemoryBucket(["a"]))) == []


def test_what_is_written_is_read_again(made, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "files.keys").write_bytes(written())
    assert keys(made(MemoryBucket())) == ["key"]
    known = made(MemoryBucket(["a\nb", "ü", "z\ud800"]))  # half a character is none of another program
    known.refresh()
    joined()
    assert keys(made(MemoryBucket())) == ["a\nb", "z?", "ü"]
    known = made(MemoryBucket())
    known.refresh()
    joined()
    assert keys(made(MemoryBucket(["a"]))) == []
