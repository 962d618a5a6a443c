"""One at a time: threads of this process, other processes, and one that was killed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import filelock
import pytest
from cloud_storage import errors
from cloud_storage.system import locks
from cloud_storage.system.meter import Meter
from conftest import ROOT

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
posix = pytest.mark.skipif(fcntl is None, reason="Windows has no flock")

HOLDER = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
from pathlib import Path
from cloud_storage.system import locks
from cloud_storage.system.meter import Meter
with locks.locked(Path(sys.argv[1]), Meter(), lambda: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


def nothing():
    pass


def test_a_second_thread_waits_until_the_first_is_through(tmp_path):
    path, waits, order = tmp_path / "lock", threading.Event(), []

    def second():
        with locks.locked(path, Meter(), waits.set):
            order.append("second")

    with locks.locked(path, Meter(), nothing):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_no_file_stays_where_the_system_removes_none_that_is_open(tmp_path, monkeypatch):
    """As on Windows. Each upload in parts has a lock of its own, which nobody holds a second time."""
    path, unlink, held = tmp_path / "lock", Path.unlink, []

    class LikeOnWindows(filelock.FileLock):
        """Removes its file once that is closed, as filelock's lock of Windows does."""

        def acquire(self, *given, **named):
            held.append(self)
            return super().acquire(*given, **named)

        def release(self, *given, **named):
            super().release(*given, **named)
            if self in held:
                held.remove(self)
                Path(self.lock_file).unlink()

    def unlinked(self, missing_ok=False):
        if held:
            raise PermissionError(13, "The process cannot access the file because it is being used")
        unlink(self, missing_ok)

    monkeypatch.setattr(filelock, "FileLock", LikeOnWindows)
    monkeypatch.setattr(Path, "unlink", unlinked)
    with locks.alone(path) as alone:
        assert alone
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_the_wait(tmp_path):
    path, meter = tmp_path / "lock", Meter()
    with locks.locked(path, Meter(), nothing):
        with pytest.raises(errors.TransferCancelled):
            with locks.locked(path, meter, meter.stop):
                pytest.fail("it got the lock twice")
    with locks.locked(path, Meter(), nothing):
        pass


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_another_process_is_waited_for(tmp_path, end):
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with locks.alone(path) as is_held:
            assert not is_held
        waited = []

        def let_go():
            waited.append(True)
            if end == "goes on":
                other.stdin.write("\n")
                other.stdin.flush()
            else:
                other.kill()

        with locks.locked(path, Meter(), let_go):
            assert waited == [True]
            assert path.exists()
        other.stdin.close()
    assert list(tmp_path.iterdir()) == []


def test_many_hold_it_one_at_a_time(tmp_path):
    path, inside, seen = tmp_path / "lock", [], []

    def work():
        for _ in range(20):
            with locks.locked(path, Meter(), nothing):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 80


@posix
@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EIO])
def test_a_file_system_without_locks_still_keeps_threads_apart(tmp_path, monkeypatch, caplog, code):
    def unsupported(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", unsupported)
    path, meter = tmp_path / "lock", Meter()
    with locks.locked(path, Meter(), nothing):
        assert not locks.keeps_out(path)
        with pytest.raises(errors.TransferCancelled):
            with locks.locked(path, meter, meter.stop):
                pytest.fail("it got the lock twice")
    assert f"This file system has no locks, other processes are not kept out: [Errno {code}]" in caplog.text
    assert list(tmp_path.iterdir()) == []


@posix
@pytest.mark.parametrize("happens", [os.unlink, lambda path: Path(f"{path}.other").replace(path)])
def test_a_file_that_is_removed_or_replaced_while_it_is_being_locked_is_no_lock(
    tmp_path, monkeypatch, happens
):
    path, flock, locked = tmp_path / "lock", fcntl.flock, []
    Path(f"{path}.other").touch()

    def raced(descriptor, operation):
        if not locked:
            happens(path)
        flock(descriptor, operation)
        locked.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(fcntl, "flock", raced)
    with locks.alone(path) as is_held:
        assert not is_held
    with locks.alone(path) as is_held:
        assert is_held
        assert path.stat().st_ino == locked[-1]
        assert locks.keeps_out(path)


def test_a_file_that_cannot_be_made_is_an_error_and_no_missing_lock(tmp_path, caplog):
    (tmp_path / "file").touch()
    for _ in range(2):  # the name is free again
        with pytest.raises(OSError):
            with locks.alone(tmp_path / "file" / "lock"):
                pytest.fail("there is no such folder")
    assert "no locks" not in caplog.text


def test_a_filelock_that_is_too_old_is_named(tmp_path, monkeypatch):
    too_old = types.SimpleNamespace(FileLock=lambda *given, **named: object())
    monkeypatch.setitem(sys.modules, "filelock", too_old)
    with pytest.raises(errors.MissingDependency, match="pip install --upgrade filelock"):
        with locks.alone(tmp_path / "lock"):
            pytest.fail("it has no lock")


def test_a_key_is_held_by_one_thread_at_a_time_and_keeps_out_no_other_key():
    lock, inside, seen = locks.KeyedLock(), [], []

    def work():
        for _ in range(20):
            with lock.hold("a", Meter()):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    with lock.hold("b", Meter()):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert seen == [1] * 80


def test_cancel_ends_the_wait_for_a_key():
    lock, meter, waits = locks.KeyedLock(), Meter(), threading.Event()

    class Key(str):
        def __hash__(self):  # asked for when it is looked up: the thread is about to wait
            waits.set()
            return 1

        def __eq__(self, other):
            return True

    found = []

    def second():
        try:
            with lock.hold(Key(), meter.part()):
                found.append("held twice")
        except errors.TransferCancelled as error:
            found.append(error)

    with lock.hold(Key(), Meter()):
        waits.clear()
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(30)
        meter.stop()
        thread.join(30)
        assert isinstance(found[0], errors.TransferCancelled)
    assert lock.acquire("a")
