"""One at a time: threads of this process, other processes, and one that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.system import file_lock
from cloud_storage.system.meter import Meter
from conftest import ROOT

HOLDER = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
from pathlib import Path
from cloud_storage.system import file_lock
from cloud_storage.system.meter import Meter
with file_lock.locked(Path(sys.argv[1]), Meter(), lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


def nothing():
    pass


def test_a_second_thread_waits_until_the_first_is_through(tmp_path):
    path, waits, order = tmp_path / "lock", threading.Event(), []

    def second():
        with file_lock.locked(path, Meter(), waits.set):
            order.append("second")

    with file_lock.locked(path, Meter(), nothing):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_no_file_stays_where_the_system_removes_none_that_is_open(tmp_path, monkeypatch):
    """As on Windows. Each upload in parts has a lock of its own, which nobody holds a second time."""
    path, unlink, close, open_files = tmp_path / "lock", Path.unlink, os.close, set()
    acquire = file_lock._acquire

    def acquired(descriptor):
        open_files.add(descriptor)
        return acquire(descriptor)

    def closed(descriptor):
        open_files.discard(descriptor)
        close(descriptor)

    def unlinked(self, missing_ok=False):
        if open_files:
            raise PermissionError(13, "The process cannot access the file because it is being used")
        unlink(self, missing_ok)

    monkeypatch.setattr(file_lock, "_acquire", acquired)
    monkeypatch.setattr(file_lock.os, "close", closed)
    monkeypatch.setattr(Path, "unlink", unlinked)
    with file_lock.alone(path) as alone:
        assert alone
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_the_wait(tmp_path):
    path, meter = tmp_path / "lock", Meter()
    with file_lock.locked(path, Meter(), nothing):
        with pytest.raises(errors.TransferCancelled):
            with file_lock.locked(path, meter, meter.stop):
                pytest.fail("it got the lock twice")
    with file_lock.locked(path, Meter(), nothing):
        pass


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_another_process_is_waited_for(tmp_path, end):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        waited = []

        def let_go():
            waited.append(True)
            if end == "goes on":
                other.stdin.write("\n")
                other.stdin.flush()
            else:
                other.kill()

        with file_lock.locked(path, Meter(), let_go):
            assert waited == [True]
            assert path.exists()
        other.stdin.close()
    assert list(tmp_path.iterdir()) == []


def test_many_hold_it_one_at_a_time(tmp_path):
    path, inside, seen = tmp_path / "lock", [], []

    def work():
        for _ in range(20):
            with file_lock.locked(path, Meter(), nothing):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 80


def test_a_file_system_without_locks_still_keeps_threads_apart(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(file_lock.fcntl, "flock", unsupported)
    path, meter = tmp_path / "lock", Meter()
    with file_lock.locked(path, Meter(), nothing):
        with pytest.raises(errors.TransferCancelled):
            with file_lock.locked(path, meter, meter.stop):
                pytest.fail("it got the lock twice")
