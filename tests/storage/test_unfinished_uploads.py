"""Uploads in parts that were left: whoever ends them has just stored something, and that stays a success."""

from __future__ import annotations

from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.storage.unfinished_uploads import Uploads
from cloud_storage.system import locks


@pytest.fixture
def uploads(tmp_path):
    """Notes of two uploads that nobody is at."""
    made = Uploads(tmp_path, "place")
    for key in ("a", "b"):
        with made.recorded(key, f"upload-{key}") as stays:
            stays()
    return made


@pytest.mark.parametrize("method", ["exists", "unlink"])
def test_a_disk_that_fails_on_one_note_fails_no_save_and_holds_up_no_other(
    uploads, monkeypatch, caplog, method
):
    first, second = uploads.left()
    works = getattr(Path, method)

    def fails(path, *given, **named):
        if path == first.record:
            raise OSError(5, "Input/output error", str(path))
        return works(path, *given, **named)

    ended = []
    monkeypatch.setattr(Path, method, fails)
    uploads.end(lambda key, upload_id: ended.append(key) or True)
    monkeypatch.undo()
    assert second.key in ended
    assert [left.key for left in uploads.left()] == [first.key]
    assert "Input/output error" in caplog.text


def test_a_lock_that_cannot_be_let_go_of_fails_nothing(uploads, monkeypatch):
    closes = locks.os.close

    def fails(descriptor):
        closes(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(locks.os, "close", fails)
    with uploads.recorded("c", "upload-c"):
        pass
    with locks.alone(uploads._folder / "x.lock") as mine:
        assert mine
    monkeypatch.undo()
    with locks.alone(uploads._folder / "x.lock") as mine:
        assert mine, "nobody holds it"


def test_cancel_still_ends_it(uploads):
    def cancelled(key, upload_id):
        raise errors.TransferCancelled("x")

    with pytest.raises(errors.TransferCancelled):
        uploads.end(cancelled)
    assert len(uploads.left()) == 2
