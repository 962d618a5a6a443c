from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from dataclasses import replace

import pytest
from cloud_storage.mirror.journal import FILE_NAME, OLD, STORED, Journal, Row
from cloud_storage.system.file_fingerprint import Fingerprint

FILE = Fingerprint(5, 1_700_000_000_123_456_789)
ROW = Row("sub/ü.png", FILE, STORED, "abc", "comfyui/output/sub/ü.png", "etag", own=True, stored_at=12.5)


def test_rows_are_read_back_also_by_another_process(journal, tmp_path):
    number = journal.begin("here", {"old.png": FILE})
    journal.write(number, [ROW])
    with contextlib.closing(Journal(tmp_path / FILE_NAME)) as other:
        assert other.target("here") == number
        assert other.rows(number) == {"old.png": Row("old.png", FILE, OLD), ROW.name: ROW}
        assert other.row(number, "missing") is None
        assert other.target("elsewhere") is None


def test_a_folder_is_switched_on_once_also_by_two_processes(journal):
    number = journal.begin("here", {"old.png": FILE})
    assert journal.begin("here", {"old.png": FILE, "new.png": FILE}) == number
    assert list(journal.rows(number)) == ["old.png"]


def test_what_is_gone_is_not_to_be_deleted_and_may_come_back(journal):
    number = journal.begin("here", {})
    journal.write(number, [ROW])
    assert journal.stored_before(number, 12.5) == []
    assert journal.stored_before(number, 13) == [ROW]
    journal.set_gone(number, [ROW.name], gone=True)
    assert journal.row(number, ROW.name).gone
    assert journal.stored_before(number, 13) == []
    journal.set_gone(number, [ROW.name], gone=False)
    assert journal.row(number, ROW.name) == ROW


def test_what_was_there_before_is_forgotten_alone(journal):
    number = journal.begin("here", {"old.png": FILE})
    journal.write(number, [ROW])
    journal.forget_old(number)
    assert list(journal.rows(number)) == [ROW.name]


def test_a_full_disk_changes_nothing(journal):
    number = journal.begin("here", {})
    journal.write(number, [ROW])
    journal._database.execute("PRAGMA max_page_count = 1")
    many = [Row(f"{at}.png", FILE, STORED, "x" * 1000) for at in range(1000)]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        journal.write(number, many)
    assert journal.rows(number) == {ROW.name: ROW}


def in_threads(work, count):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_what_threads_write_while_the_disk_is_busy_is_written_at_once(journal):
    number = journal.begin("here", {})
    commits = []
    journal._database.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else None)
    with journal._lock:  # as by one that writes
        threads = in_threads(lambda at: journal.write(number, [replace(ROW, name=f"{at}")]), 20)
        while len(journal._batch.rows) < 20:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert len(journal.rows(number)) == 20
    assert len(commits) == 1


def test_if_that_fails_it_fails_for_each_of_them(journal):
    number = journal.begin("here", {})
    journal._database.execute("PRAGMA max_page_count = 1")
    failures = []

    def write(at):
        try:
            journal.write(number, [replace(ROW, name=f"{at}", sha256="x" * 5000)])
        except sqlite3.OperationalError as error:
            failures.append(error)

    with journal._lock:
        threads = in_threads(write, 5)
        while len(journal._batch.rows) < 5:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert len(failures) == 5
    assert journal.rows(number) == {}


def test_a_damaged_journal_is_put_aside(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    with contextlib.closing(Journal(tmp_path / FILE_NAME)) as journal:
        assert journal.is_renewed
        assert journal.target("here") is None
    (aside,) = tmp_path.glob(f"{FILE_NAME}.damaged-*")
    assert aside.read_bytes().startswith(b"this is no database")
