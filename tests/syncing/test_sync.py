"""Both directions against real servers: what is moved, what is not moved again, what is deleted."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.storage import multipart
from cloud_storage.storage.base import ObjectInfo, PutOptions
from cloud_storage.syncing import sync
from cloud_storage.syncing.plan import Options
from cloud_storage.system import digests
from cloud_storage.system.meter import Meter
from conftest import ROOT
from memory_bucket import MemoryBucket

NAMES = (
    "plain.txt",
    "empty.bin",
    "sub/folder/deep.json",
    "with space/a b.txt",
    "ünïcödé/日本語 🎨.png",
    "quo'te\"s & <tags>.txt",
    "percent%20+plus.txt",
    ".hidden/.file",
    " leading and trailing .txt ",
    "UPPER.TXT",
    "a;b=c,d#e?f.txt",
    "no extension",
    "l" * 200 + ".bin",
)


class Bucket(MemoryBucket):
    """A bucket in memory whose objects can be read."""

    def __init__(self, objects):
        super().__init__(objects)
        self.objects = objects

    def list(self, prefix=""):
        for info in super().list(prefix):
            yield ObjectInfo(info.key, len(self.objects[info.key]), "etag")

    def stream(self, key, meter=None):
        data = self.objects[key]
        return ObjectInfo(key, len(data), "etag"), iter([data])


def quiet(text):
    pass


def write(folder: Path, names=NAMES) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name.startswith("empty") else f"{number} {name}".encode() * (number + 1))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def up(folder, storage, prefix="mirror", report=lambda result: None, **options):
    plan = sync.plan_upload(folder, storage, prefix, Options(**options), Meter(), quiet)
    return sync.run(plan, Meter(), report)


def down(storage, folder, prefix="mirror", report=lambda result: None, **options):
    plan = sync.plan_download(storage, prefix, folder, Options(**options), Meter(), quiet)
    return sync.run(plan, Meter(), report)


def keys(storage, prefix="mirror/"):
    return {info.key.removeprefix(prefix): info.size for info in storage.list(prefix)}


def test_a_folder_with_names_of_every_kind_comes_back_from_the_bucket_byte_for_byte(direct, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    write(source)
    sent = up(source, direct)
    assert (sent.count("stored"), sent.failed) == (len(NAMES), [])
    assert set(keys(direct)) == set(NAMES)
    fetched = down(direct, target)
    assert (fetched.count("fetched"), fetched.failed) == (len(NAMES), [])
    assert contents(target) == contents(source)


@pytest.mark.parametrize("remembers", [True, False])
def test_a_second_run_moves_nothing_and_a_changed_file_alone_is_moved(direct, tmp_path, remembers):
    source, target = tmp_path / "source", tmp_path / "target"
    state = tmp_path / "state" if remembers else None
    write(source)
    up(source, direct, state=state)
    again = up(source, direct, state=state)
    assert (again.count("skipped"), again.bytes) == (len(NAMES), 0)
    down(direct, target, state=state)
    again = down(direct, target, state=state)
    assert (again.count("unchanged"), again.bytes) == (len(NAMES), 0)
    (source / "plain.txt").write_bytes(b"X" * (source / "plain.txt").stat().st_size)  # of the same size
    moved = up(source, direct, state=state)
    assert [result.name for result in moved.results if result.status == "stored"] == ["plain.txt"]
    moved = down(direct, target, state=state)
    assert [result.name for result in moved.results if result.status == "fetched"] == ["plain.txt"]
    assert contents(target) == contents(source)


def test_what_was_moved_is_not_read_again_to_compare_it(direct, tmp_path, monkeypatch):
    write(tmp_path / "source", ["a.txt", "b.txt"])
    up(tmp_path / "source", direct, state=tmp_path / "state")
    monkeypatch.setattr(digests, "file_digest", None)
    assert up(tmp_path / "source", direct, state=tmp_path / "state").count("skipped") == 2


def test_large_files_go_in_parts_and_ranges_with_their_checksum(direct, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    data = os.urandom(multipart.SINGLE_MAX_BYTES + 12345)
    (source / "model.safetensors").write_bytes(data)
    up(source, direct)
    assert direct.stat("mirror/model.safetensors").sha256 == hashlib.sha256(data).hexdigest()
    assert up(source, direct).count("skipped") == 1  # by the checksum: nothing is remembered
    down(direct, target)
    assert contents(target) == contents(source)
    assert down(direct, target).count("unchanged") == 1


def test_deletes_only_when_asked_and_never_because_of_an_empty_source(direct, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    write(source, ["a.txt", "sub/b.txt"])
    up(source, direct)
    down(direct, target)
    (source / "a.txt").unlink()
    (target / "sub" / "own.txt").write_text("x")
    assert up(source, direct).count("deleted") == 0
    assert set(keys(direct)) == {"a.txt", "sub/b.txt"}
    assert up(source, direct, delete=True).count("deleted") == 1
    assert set(keys(direct)) == {"sub/b.txt"}
    assert down(direct, target, delete=True).count("deleted") == 2
    assert set(contents(target)) == {"sub/b.txt"}
    (source / "sub" / "b.txt").unlink()
    with pytest.raises(errors.ConfigurationError, match="no file in the source"):
        up(source, direct, delete=True)
    assert set(keys(direct)) == {"sub/b.txt"}
    with pytest.raises(errors.ConfigurationError, match="no file in the source"):
        down(direct, target, prefix="nothing-there", delete=True)
    assert set(contents(target)) == {"sub/b.txt"}


def test_a_plan_says_what_would_be_done_and_changes_nothing(direct, tmp_path):
    source = tmp_path / "source"
    write(source, ["a.txt", "b.txt"])
    up(source, direct)
    (source / "a.txt").write_text("changed")
    (source / "b.txt").unlink()
    (source / "c.txt").write_text("new")
    plan = sync.plan_upload(source, direct, "mirror", Options(delete=True), Meter(), quiet)
    assert [(one.name, one.status) for one in plan.results()] == [
        ("a.txt", "to store"),
        ("b.txt", "to delete"),
        ("c.txt", "to store"),
    ]
    assert plan.words() == "2 files to upload (10 B), 1 to delete."
    assert set(keys(direct)) == {"a.txt", "b.txt"}


def test_links_that_lead_out_are_not_followed_and_what_they_hide_is_not_deleted(direct, tmp_path):
    source, outside = tmp_path / "source", tmp_path / "outside"
    write(outside, ["secret.txt"])
    write(source, ["inside/a.txt"])
    up(source, direct)
    direct.put("mirror/out/secret.txt", b"older", PutOptions(), Meter())
    (source / "out").symlink_to(outside)
    (source / "secret.txt").symlink_to(outside / "secret.txt")
    (source / "again").symlink_to(source / "inside")
    (source / "loop").symlink_to(source)
    (source / "nowhere").symlink_to(tmp_path / "missing")
    sent = up(source, direct, delete=True)
    assert set(keys(direct)) == {"inside/a.txt", "again/a.txt", "out/secret.txt"}
    assert sent.failed == []
    assert [one.name for one in sent.results if one.status == "left out"] == [
        "loop",
        "nowhere",
        "out",
        "secret.txt",
    ]


def test_nothing_is_written_through_a_link_that_leads_out(direct, tmp_path):
    target, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir()
    target.mkdir()
    (target / "sub").symlink_to(outside)
    for key in ("mirror/sub/a.txt", "mirror/sub/deeper/b.txt", "mirror/c.txt"):
        direct.put(key, b"data", PutOptions(), Meter())
    got = down(direct, target)
    assert [result.name for result in got.failed] == ["sub/a.txt", "sub/deeper/b.txt"]
    assert list(outside.iterdir()) == []
    assert (target / "c.txt").read_bytes() == b"data"


def test_keys_that_no_file_can_have_fail_alone(tmp_path):
    names = ("good", "../up", "a//b", "./c", "x", "x/y", "f/")
    bucket = Bucket({f"mirror/{name}": b"data" for name in names})
    got = down(bucket, tmp_path / "target")
    assert [result.name for result in got.failed] == ["../up", "./c", "a//b", "x"]
    assert set(contents(tmp_path / "target")) == {"good", "x/y"}
    assert set(tmp_path.iterdir()) == {tmp_path / "target"}


def test_without_overwrite_a_target_with_other_content_fails_and_is_not_changed(direct, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    write(source, ["a.txt"])
    write(target, ["x", "a.txt"])
    up(source, direct)
    got = down(direct, target, overwrite=False)
    assert "other content" in got.failed[0].error
    (source / "a.txt").write_text("changed by now")
    assert "other content" in up(source, direct, overwrite=False).failed[0].error
    assert keys(direct)["a.txt"] == len("0 a.txt")
    assert contents(target)["a.txt"] == b"1 a.txt" * 2


def test_a_file_that_is_written_to_meanwhile_is_sent_again(direct, tmp_path, monkeypatch):
    path = tmp_path / "source" / "growing.bin"
    path.parent.mkdir()
    path.write_bytes(os.urandom(2 << 20))
    put = type(direct).put

    def growing(self, key, source, *others, **named):
        info = put(self, key, source, *others, **named)
        if path.stat().st_size < (2 << 20) + 10:
            with path.open("ab") as file:
                file.write(b"more bytes")
        return info

    monkeypatch.setattr(type(direct), "put", growing)
    sent = up(path.parent, direct)
    assert sent.count("stored") == 1
    assert direct.read("mirror/growing.bin") == path.read_bytes()


def test_a_file_that_never_stops_changing_fails(direct, tmp_path, monkeypatch):
    path = tmp_path / "source" / "log.bin"
    path.parent.mkdir()
    path.write_bytes(os.urandom(2 << 20))
    put = type(direct).put

    def growing(self, *given, **named):
        with path.open("ab") as file:
            file.write(b"more bytes")
        return put(self, *given, **named)

    monkeypatch.setattr(type(direct), "put", growing)
    sent = up(path.parent, direct)
    assert "something writes to it" in sent.failed[0].error


def test_files_that_belong_to_this_machine_are_not_sent(direct, tmp_path):
    source = tmp_path / "source"
    ours = (
        "m.safetensors.part",
        "m.safetensors.part.journal",
        ".m.safetensors.cloud.json",
        ".m.safetensors.lock",
        "__cloud_storage/profiles.json",
        ".0123.cloud-part",
    )
    write(source, [*ours, "other.part", "uv.lock", ".x.lock"])
    up(source, direct)
    assert set(keys(direct)) == {"other.part", "uv.lock", ".x.lock"}


def test_a_pattern_selects_files_also_of_those_to_delete(direct, tmp_path):
    source = tmp_path / "source"
    write(source, ["a.png", "sub/b.png", "c.txt"])
    up(source, direct, pattern="*.png")
    assert set(keys(direct)) == {"a.png", "sub/b.png"}
    direct.put("mirror/old.txt", b"x", PutOptions(), Meter())
    (source / "a.png").unlink()
    up(source, direct, pattern="*.png", delete=True)
    assert set(keys(direct)) == {"sub/b.png", "old.txt"}


def test_a_bucket_that_cannot_be_used_ends_the_run(fast_place, tmp_path, impatient):
    write(tmp_path / "source", [f"{number}.txt" for number in range(100)])
    storage = fast_place.open(secret_key="wrong-secret-of-nobody")
    seen = []
    plan = sync.plan_upload(
        tmp_path / "source", fast_place.open(), "unused-prefix", Options(), Meter(), quiet
    )
    with pytest.raises(errors.AccessDenied):
        sync.run(replace(plan, storage=storage), Meter(), seen.append)
    assert 8 <= len(seen) < 100


KILLED = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
from pathlib import Path
from cloud_storage import profile
from cloud_storage.storage import connect
from cloud_storage.syncing import sync
from cloud_storage.syncing.plan import Options
from cloud_storage.system.meter import Meter
storage = connect.connect(profile.resolve("", {{}}, Path(sys.argv[4])))
folder, state, options = Path(sys.argv[1]), Path(sys.argv[2]), None
options = Options(state=state)
seen = []
def kill(result):
    seen.append(result)
    if len(seen) == 20:
        os.kill(os.getpid(), 9)
if sys.argv[3] == "up":
    plan = sync.plan_upload(folder, storage, "mirror", options, Meter(), print)
else:
    plan = sync.plan_download(storage, "mirror", folder, options, Meter(), print)
sync.run(plan, Meter(), kill)
"""


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_run_that_was_killed_is_completed_by_the_next_one(fast_place, folder, tmp_path, direction):
    source, state = tmp_path / "source", tmp_path / "state"
    names = [f"{number:03}.txt" for number in range(60)]
    write(source, names)
    storage = fast_place.open(path_prefix=folder)
    here = source
    if direction == "down":
        up(source, storage)
        here = tmp_path / "target"
    environ = {**os.environ, **fast_place.settings({"path_prefix": folder})}
    command = [sys.executable, "-c", KILLED, str(here), str(state), direction, str(fast_place.file)]
    killed = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, timeout=120, check=False)
    assert killed.returncode == -9
    arrived = set(keys(storage)) if direction == "up" else set(contents(here)) & set(names)
    assert 20 <= len(arrived) < 60
    if direction == "up":
        done = up(source, storage, state=state)
        assert set(keys(storage)) == set(names)
        moved = {result.name for result in done.results if result.status == "stored"}
    else:
        done = down(storage, here, state=state)
        assert {name: data for name, data in contents(here).items() if name in names} == contents(source)
        moved = {result.name for result in done.results if result.status == "fetched"}
    assert moved == set(names) - arrived


def test_cancel_stops_a_run_and_leaves_no_open_upload(fast_place, direct, tmp_path):
    source, meter = tmp_path / "source", Meter()
    source.mkdir()
    (source / "large.bin").write_bytes(os.urandom(40 << 20))
    plan = sync.plan_upload(source, direct, "mirror", Options(), Meter(), quiet)

    class Stopping(Meter):
        def add(self, count):
            super().add(count)
            if self.done > 5 << 20:
                self.stop()

    meter = Stopping()
    with pytest.raises(errors.TransferCancelled):
        sync.run(plan, meter)
    assert not [key for key in fast_place.open_uploads() if key.endswith("large.bin")]


def test_a_damaged_object_is_refused(tmp_path):
    bucket = Bucket({"mirror/a.txt": b"data"})
    stream = bucket.stream

    def short(*given, **named):
        info, chunks = stream(*given, **named)
        return info, iter([b"".join(chunks)[:-1]])

    bucket.stream = short
    got = down(bucket, tmp_path / "target")
    assert "3 of 4 bytes" in got.failed[0].error
    assert contents(tmp_path / "target") == {}
