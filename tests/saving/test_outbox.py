"""What is kept is whole or not there, whatever happens meanwhile, and what is read back is not trusted."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.saving import outbox
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Address, Entry, Outbox, Sender
from cloud_storage.system import durable_write, utc_clock
from cloud_storage.system.meter import Meter
from conftest import ROOT

DATA = bytes(range(256)) * 40


@pytest.fixture
def box(tmp_path):
    return Outbox(tmp_path / "output" / "outbox")


def entry(data=DATA, **changes):
    known = Entry(
        sender=Sender("renders", {"bucket": "other"}),
        address=Address("bucket", "team/", certain=True),
        name=Name(("a/b_", "_c"), ".png", 2),
        if_exists="new name",
        content_type="image/png",
        size=len(data),
        sha256="0" * 64,
        saved_at=utc_clock.now(),
        tried="a/b_00001_c.png",
        why="Could not store 'ä' (here): no. Do this.",
    )
    return dataclasses.replace(known, **changes)


def keep(box, index=0, source=DATA, linkable=False, meter=None, **changes):
    return box.keep(entry(**changes), index, source, linkable=linkable, meter=meter or Meter())


def test_what_is_kept_comes_back_as_it_was(box):
    kept = keep(box)
    assert box.contents().entries == (kept,)
    assert kept.path.read_bytes() == DATA
    assert kept.path.suffix == ".png"
    assert box.contents().unreadable == ()


def test_an_empty_outbox_is_no_folder(box):
    assert box.is_empty
    assert box.contents().entries == ()
    assert box.size() == 0
    assert not box.folder.exists()


def test_entries_are_in_the_order_of_their_saves_and_of_their_batch(box):
    later, earlier = utc_clock.now(), utc_clock.now()
    made = [keep(box, index, saved_at=at) for at in (earlier, later) for index in (11, 2)]
    assert list(box.contents().entries) == [made[3], made[2], made[1], made[0]]


@pytest.mark.parametrize("linkable", [True, False])
def test_a_file_is_linked_only_where_nobody_writes_to_it_any_more(box, tmp_path, linkable):
    source = tmp_path / "film.mp4"
    source.write_bytes(DATA)
    kept = keep(box, source=source, linkable=linkable)
    assert kept.path.samefile(source) == linkable
    source.unlink()
    assert kept.path.read_bytes() == DATA


def test_where_a_disk_knows_no_links_a_copy_is_made(box, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "film.mp4").write_bytes(DATA)
    assert keep(box, source=tmp_path / "film.mp4", linkable=True).path.read_bytes() == DATA


def test_cancel_ends_a_copy_and_leaves_nothing(box, tmp_path):
    (tmp_path / "film.mp4").write_bytes(DATA)
    meter = Meter()
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        keep(box, source=tmp_path / "film.mp4", meter=meter)
    assert list(box.folder.iterdir()) == []


@pytest.mark.parametrize("failing", ["write", "link_or_copy", "flush_folder"])
def test_a_full_disk_is_named_and_leaves_nothing(box, monkeypatch, failing):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable_write, failing, full)
    with pytest.raises(errors.StorageError, match=r"keep the file.*No space left.*Free room"):
        keep(box)
    assert list(box.folder.iterdir()) == []
    assert box.contents().entries == ()


def test_a_file_that_cannot_be_read_is_named_and_leaves_nothing(box, tmp_path):
    with pytest.raises(errors.StorageError, match="No such file"):
        keep(box, source=tmp_path / "gone.mp4")
    assert list(box.folder.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells the name of an open file")
def test_everything_is_flushed_before_it_counts(box, monkeypatch):
    done = []
    real = os.fsync

    def fsync(number):
        done.append(Path(f"/proc/self/fd/{number}").readlink())
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    kept = keep(box)
    names = [os.path.relpath(path, box.folder) for path in done]
    arriving = f"{outbox.ARRIVING}{kept.folder.name}"
    assert names == [f"{arriving}/file.png", f"{arriving}/entry.json", arriving, "."]
    (box.folder / "film.mp4").write_bytes(DATA)
    for linkable in (True, False):
        done.clear()
        keep(box, source=box.folder / "film.mp4", linkable=linkable)
        assert [path.name for path in done[:2]] == ["file.png", "entry.json"]


# ------------------------------------------------------------ its size


def test_it_takes_no_more_than_its_limit_and_warns_before(box, monkeypatch):
    first = keep(box)
    whole = box.size()
    monkeypatch.setattr(outbox, "MAX_BYTES", whole + len(DATA))
    monkeypatch.setattr(outbox, "WARN_BYTES", whole + 1)
    fresh = Outbox(box.folder)
    assert fresh.warning() == ""
    keep(fresh)
    assert "nearly full" in fresh.warning()
    with pytest.raises(errors.StorageError, match=r"keep the file.*Retry Pending Uploads"):
        keep(fresh)
    assert len(fresh.contents().entries) == 2
    fresh.remove(first)
    keep(Outbox(box.folder))


# ------------------------------------------------------------ a process that is killed

_LIGHT = f"""
import sys, types
package = types.ModuleType("cloud_storage")
package.__path__ = [{str(ROOT)!r}]
sys.modules["cloud_storage"] = package
sys.path.insert(0, {str(ROOT / "tests")!r})
sys.path.insert(1, {str(ROOT / "tests" / "stand_in")!r})
"""

_KILLED = (
    _LIGHT
    + """
import os, signal
from pathlib import Path
from cloud_storage.system import utc_clock, durable_write
from cloud_storage.saving import outbox
from cloud_storage.system.meter import Meter

folder, steps = Path(sys.argv[1]), 0
fsync = os.fsync

def step(*_):
    global steps, left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watched(number):
    step()
    fsync(number)
    step()

STEPS = ("open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir")

def hook(event, arguments):
    if event in STEPS and str(folder) in str(arguments):
        step()

while True:
    steps += 1
    pid = os.fork()
    if pid == 0:
        left = steps
        os.fsync = watched
        sys.addaudithook(hook)
        box = outbox.Outbox(folder / str(steps))
        entry = outbox.Entry(
            outbox.Sender("p"), outbox.Address(), outbox.Name(("a",), ".bin"), "new name", "a/b", 10, "0",
            utc_clock.now(),
        )
        box.keep(entry, 0, b"0123456789", linkable=False, meter=Meter())
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        print(steps)
        break
"""
)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_killed_at_any_step_leaves_a_whole_entry_or_nothing_that_counts(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    steps = int(done.stdout)
    assert steps > 10
    whole = []
    for number in range(1, steps + 1):
        box = Outbox(tmp_path / str(number))
        contents = box.contents()
        assert contents.unreadable == ()
        for each in contents.entries:
            assert each.path.read_bytes() == b"0123456789"
        whole.append(len(contents.entries))
    assert whole == sorted(whole), "once it is there, it stays"
    assert (whole[0], whole[-2], whole[-1]) == (0, 1, 1)


def test_leftovers_are_swept_away_when_they_can_belong_to_nobody(box):
    keep(box)
    old, young, sent = (box.folder / name for name in (".arriving-1", ".arriving-2", ".sent-3"))
    for folder in (old, young, sent):
        folder.mkdir()
        (folder / "file.png").write_bytes(b"half")
    os.utime(old, (time.time() - outbox.LEFTOVER_SECONDS - 9,) * 2)
    with box.alone() as alone:
        assert alone
    assert (old.exists(), young.exists(), sent.exists()) == (False, True, False)
    assert len(box.contents().entries) == 1


# ------------------------------------------------------------ who may send


def test_one_sends_at_a_time_and_a_killed_one_holds_up_nobody(box):
    program = (
        _LIGHT
        + """
from pathlib import Path
from cloud_storage.saving.outbox import Outbox
with Outbox(Path(sys.argv[1])).alone() as alone:
    print(alone, flush=True)
    sys.stdin.read()
"""
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(box.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "True\n"
        with box.alone() as alone:
            assert not alone
        other.send_signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        other.wait()
        with box.alone() as alone:
            assert alone
            with Outbox(box.folder).alone() as again:
                assert not again, "not even within one process"


def test_the_key_that_is_tried_is_on_the_disk_before_its_bytes_travel(box):
    kept = keep(box, tried="")
    noted = box.note(kept, "a/b_00007_c.png")
    assert box.contents().entries == (noted,)
    assert noted.tried == "a/b_00007_c.png"
    (kept.folder / f"{outbox.ENTRY_FILE}.new").write_text("half")  # of a process that was killed
    assert box.note(noted, "x").tried == box.contents().entries[0].tried == "x"


def test_what_is_removed_is_gone(box):
    kept = keep(box)
    other = keep(box)
    box.remove(kept)
    assert box.contents().entries == (other,)
    assert [path for path in box.folder.iterdir() if path != other.folder] == []


# ------------------------------------------------------------ what others may have put there


def changed(kept, **changes):
    path = kept.folder / outbox.ENTRY_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


FORGED = {
    "another version": {"version": 2},
    "no name": {"name": {"pieces": [], "extension": "", "batch_num": 0}},
    "a name of numbers": {"name": {"pieces": [1], "extension": "", "batch_num": 0}},
    "a line break in a header": {"content_type": "a/b\r\nX-Evil: 1"},
    "half a character in the key that was tried": {"tried": "a\ud800.png"},
    "half a character in its name": {"name": {"pieces": ["\udfff"], "extension": "", "batch_num": 0}},
    "a content type that no header can hold": {"content_type": "image/é"},
    "overrides that are a list": {"sender": {"profile": "p", "overrides": ["bucket"]}},
    "no sender": {"sender": None},
    "a size that is none": {"size": "many"},
    "a size without end": {"size": float("inf")},
    "a time that is none": {"saved_at": "yesterday"},
    "a time before all times": {"saved_at": "0001-01-01T00:00:00+14:00"},
}


@pytest.mark.parametrize("changes", FORGED.values(), ids=FORGED)
def test_an_entry_that_is_not_as_it_is_written_is_left_and_told(box, changes):
    kept = keep(box)
    changed(kept, **changes)
    assert box.contents().entries == ()
    assert kept.folder.name in box.contents().unreadable[0]
    assert kept.path.read_bytes() == DATA


def test_an_entry_that_is_nested_too_deep_is_left_and_told(box):
    forged, other = keep(box), keep(box)
    (forged.folder / outbox.ENTRY_FILE).write_text("[" * 100_000)
    contents = box.contents()
    assert contents.entries == (other,)
    assert forged.folder.name in contents.unreadable[0]


def test_whatever_a_server_said_can_be_read_again(box):
    kept = keep(box, why="it said \x1b[31mno\x7f\x00\r\nand more")
    assert kept.why == "it said  [31mno    and more"
    assert box.contents() == outbox.Contents((kept,), ())


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_an_entry_leads_to_no_other_file(box, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(DATA)
    kept = keep(box)
    kept.path.unlink()
    kept.path.symlink_to(secret)
    assert box.contents().entries == ()
    elsewhere = keep(Outbox(tmp_path / "elsewhere"))
    shutil.rmtree(kept.folder)
    kept.folder.symlink_to(elsewhere.folder)
    assert box.contents().entries == ()
    other = keep(box, name=Name(("a",), "./../../../secret.png"))
    assert other.path.parent == other.folder


def test_folders_that_lack_something_are_told_and_stray_files_are_not(box):
    kept = keep(box)
    kept.path.unlink()
    (box.folder / "readme.txt").write_text("hello")
    contents = box.contents()
    assert contents.entries == ()
    assert len(contents.unreadable) == 1
