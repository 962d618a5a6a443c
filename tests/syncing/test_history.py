"""What was moved is remembered, also by a process that is killed; and nothing depends on it."""

from __future__ import annotations

import pytest
from cloud_storage.storage.base import ObjectInfo
from cloud_storage.syncing import history
from cloud_storage.syncing.history import History
from cloud_storage.system.file_fingerprint import Fingerprint
from memory_bucket import MemoryBucket

FILE = Fingerprint(5, 123)


def opened(tmp_path, prefix="p/"):
    return History(tmp_path / "state", MemoryBucket(), prefix, tmp_path)


def info(etag):
    return ObjectInfo("p/a", 5, etag)


def test_what_was_added_is_known_to_the_next_one_as_long_as_neither_changes(tmp_path):
    with opened(tmp_path) as first:
        first.add("ü\n.txt", FILE, "etag")
    with opened(tmp_path) as second:
        assert second.has("ü\n.txt", FILE, info("etag"))
        assert not second.has("ü\n.txt", FILE, info("other"))
        assert not second.has("ü\n.txt", Fingerprint(5, 124), info("etag"))
        assert not second.has("other", FILE, info("etag"))
    with opened(tmp_path, "elsewhere/") as other:
        assert not other.has("ü\n.txt", FILE, info("etag"))


@pytest.mark.parametrize("damage", [b'["b", 5, 1', b"\xff\xfe\n", b"5\n", b'{"a": 1}\n', b"[]\n"])
def test_a_damaged_line_is_left_out_and_the_next_one_begins_on_a_line_of_its_own(tmp_path, damage):
    with opened(tmp_path) as first:
        first.add("a", FILE, "etag")
    (path,) = (tmp_path / "state").iterdir()
    path.write_bytes(path.read_bytes() + damage)
    with opened(tmp_path) as second:
        second.add("c", FILE, "etag")
    with opened(tmp_path) as third:
        assert third.has("a", FILE, info("etag"))
        assert third.has("c", FILE, info("etag"))


def test_it_is_written_anew_when_it_has_many_lines_that_do_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "REWRITE_LINES", 5)
    with opened(tmp_path) as first:
        for number in range(20):
            first.add("a", FILE, f"etag {number}")
    with opened(tmp_path) as second:
        assert second.has("a", FILE, info("etag 19"))
    (path,) = (tmp_path / "state").iterdir()
    assert len(path.read_bytes().splitlines()) == 1


def test_without_a_folder_or_where_none_can_be_made_nothing_is_remembered(tmp_path):
    (tmp_path / "state").write_text("a file")
    for state in (None, tmp_path / "state"):
        with History(state, MemoryBucket(), "", tmp_path) as kept:
            kept.add("a", FILE, "etag")
        with History(state, MemoryBucket(), "", tmp_path) as kept:
            assert not kept.has("a", FILE, info("etag"))
