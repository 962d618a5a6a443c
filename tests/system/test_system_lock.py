"""The lock of a Python without filelock: exclusive, also against filelock's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import filelock
from cloud_storage.system import locks
from cloud_storage.system.meter import Meter
from cloud_storage.system.system_lock import SystemLock


def test_one_holder_at_a_time(tmp_path):
    first, second = SystemLock(str(tmp_path / "lock")), SystemLock(str(tmp_path / "lock"))
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()


def test_it_excludes_a_lock_of_filelock_and_is_excluded_by_it(tmp_path):
    theirs, ours = filelock.FileLock(tmp_path / "lock"), SystemLock(str(tmp_path / "lock"))
    with theirs:
        assert not ours.acquire()
    assert ours.acquire()
    held = subprocess.run(
        [sys.executable, "-c", HELD, str(tmp_path / "lock")], stdin=subprocess.DEVNULL, check=False
    )
    assert held.returncode == 7
    ours.release()


HELD = """
import filelock, sys
try:
    filelock.FileLock(sys.argv[1]).acquire(blocking=False)
except filelock.Timeout:
    sys.exit(7)
"""


def test_a_file_that_its_holder_removes_is_made_anew(tmp_path):
    path = tmp_path / "lock"
    first, second = SystemLock(str(path)), SystemLock(str(path))
    assert first.acquire()
    path.unlink()
    assert second.acquire()
    assert path.exists()
    first.release()
    second.release()


def test_locks_work_without_filelock(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    path = tmp_path / "lock"
    with locks.locked(path, Meter(), lambda: None):
        assert locks.keeps_out(path)
        with locks.alone(Path(path)) as is_held:
            assert not is_held
    assert not path.exists()
