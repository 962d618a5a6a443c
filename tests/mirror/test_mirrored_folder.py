from __future__ import annotations

import contextlib
import os
import sqlite3
import time

import pytest
from cloud_storage.mirror.journal import FILE_NAME, Journal
from cloud_storage.mirror.mirrored_folder import ELSEWHERE, MISSING, STILL_SECONDS, MirroredFolder
from cloud_storage.mirror.names import Names
from cloud_storage.system.file_fingerprint import Fingerprint
from cloud_storage.system.meter import Meter


@pytest.fixture
def made(journal, tmp_path):
    """``made()`` is a folder that is mirrored; all are closed in the end."""
    found = []

    def make(journal=journal, off_at=0.0):
        root = tmp_path / "output"
        root.mkdir(exist_ok=True)
        folder = MirroredFolder(root, Names("output", ""), "place", journal, everything=False, off_at=off_at)
        found.append(folder)
        return folder

    yield make
    for folder in found:
        folder.close()


def with_a_file(made):
    """Return a folder in which a.png has waited to be sent since the look at 20."""
    folder = made()
    folder.look(0)
    (folder.root / "a.png").write_bytes(b"a")
    folder.look(10)
    folder.look(20)
    return folder


def names(folder):
    return [one.name for one in folder.waiting()], list(folder.writing())


def test_a_file_waits_to_be_sent_once_it_has_stood_still(made):
    folder = made()
    folder.look(0)
    (folder.root / "a.png").write_bytes(b"a")
    folder.look(10)
    folder.look(10 + STILL_SECONDS / 2)
    assert names(folder) == ([], ["a.png"])
    (folder.root / "a.png").write_bytes(b"ab")
    folder.look(10 + STILL_SECONDS)
    folder.look(10 + STILL_SECONDS * 1.5)
    assert names(folder) == ([], ["a.png"])
    folder.look(10 + STILL_SECONDS * 3)
    assert names(folder) == (["a.png"], [])
    (one,) = folder.waiting()
    assert one.file == Fingerprint.of(folder.root / "a.png")


def test_nobody_gets_a_file_twice_and_one_that_failed_waits_longer_each_time(made):
    folder = with_a_file(made)
    one = folder.next(20, Meter())
    assert folder.next(20, Meter()) is None
    one.meter = None
    one.failed("it failed", 20)
    assert folder.next(20, Meter()) is None
    assert folder.next(100, Meter()) is one
    one.meter = None
    one.failed("it failed", 100)
    assert folder.next(200, Meter()) is None
    folder.retry()
    assert folder.next(200, Meter()) is one


def test_a_file_that_changed_while_it_was_sent_waits_again(made):
    folder = with_a_file(made)
    sent = folder.next(20, Meter())
    (folder.root / "a.png").write_bytes(b"another")
    folder.look(30)
    folder.look(40)
    folder.stored(sent)
    (one,) = folder.waiting()
    assert (one.name, one.file.size) == ("a.png", 7)
    folder.stored(one)
    assert not folder.waiting()


def test_only_one_of_two_looks_at_a_folder_and_the_other_one_when_it_has_ended(made):
    first, second = made(), made()
    first.look(0)
    second.look(0)
    assert (first.note, second.note) == ("", ELSEWHERE)
    first.close()
    second.look(100)
    assert second.note == ""


def test_the_other_one_sends_what_is_made_after_the_first_has_ended(made, tmp_path):
    first, journal = made(), Journal(tmp_path / "another user folder" / FILE_NAME)
    with contextlib.closing(journal):
        (first.root / "old.png").write_bytes(b"old")
        second = made(journal, off_at=time.time())
        first.look(0)
        second.look(0)
        first.close()
        (first.root / "new.png").write_bytes(b"new")
        for now in (100, 200, 300):
            second.look(now)
        assert names(second) == (["new.png"], [])
        second.close()


def test_what_is_made_before_the_first_look_has_ended_is_new(made):
    off_at = 1_000_000_000.5
    folder = made(off_at=off_at)
    for name, written_at in (("old.png", off_at - 0.1), ("new.png", off_at), ("newer.png", off_at + 3600)):
        (folder.root / name).write_bytes(b"made")
        os.utime(folder.root / name, (written_at, written_at))
    for now in (0, 10, 20):
        folder.look(now)
    assert sorted(names(folder)[0]) == ["new.png", "newer.png"]
    assert folder.old == 1


def test_changes_that_the_journal_could_not_take_are_taken_later(made, monkeypatch):
    folder = made()
    folder.look(0)
    for name in ("a.png", "b.png"):
        (folder.root / name).write_bytes(name.encode())
        with monkeypatch.context() as patched, pytest.raises(sqlite3.OperationalError):
            patched.setattr(Journal, "row", fails)
            folder.look(100)
    folder.look(200)
    folder.look(300)
    assert sorted(names(folder)[0]) == ["a.png", "b.png"]


def fails(*_):
    raise sqlite3.OperationalError("disk I/O error")


def test_a_missing_folder_is_no_error_and_is_mirrored_once_it_is_there(made):
    folder = made()
    folder.root.rmdir()
    folder.look(0)
    assert folder.note == MISSING
    folder.root.mkdir()
    (folder.root / "a.png").write_bytes(b"a")  # as a workflow that makes its folder
    folder.look(100)
    assert folder.note == ""
    folder.look(200)
    folder.look(300)
    assert names(folder) == (["a.png"], [])


def test_a_file_that_is_deleted_does_not_wait(made):
    folder = made()
    folder.look(0)
    (folder.root / "a.png").write_bytes(b"a")
    folder.look(10)
    (folder.root / "a.png").unlink()
    folder.look(20)
    assert names(folder) == ([], [])
