"""ls, pull, push and sync as processes, against real servers."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter


def put(storage, key, data=b"data"):
    storage.put(key, data, PutOptions(), Meter())


def write(folder: Path, names, size=0):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size) if size else name.encode())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_ls_lists_a_folder_its_subfolders_and_everything_below_it(cli, storage):
    for key in ("a.txt", "renders/b.png", "renders/ü c.jpg", "renders/deep/d.png"):
        put(storage, key)
    top = cli.json("ls")
    assert [event.get("key") for event in top.events] == ["renders/", "a.txt", None]
    assert top.done == {"event": "done", "command": "ls", "exit_code": 0, "objects": 1, "bytes": 4}
    below = cli.json("ls", "renders/", "--recursive", "--pattern", "*.png")
    assert [event.get("key") for event in below.events] == ["renders/b.png", "renders/deep/d.png", None]
    assert below.events[0]["size"] == 4
    assert below.events[0]["modified"].endswith("Z")
    shown = cli.run("ls", "renders/")
    assert "renders/ü c.jpg" in shown.out
    assert shown.out.splitlines()[-1] == "1 folder, 2 objects, 8 B"


def test_push_and_pull_move_files_and_folders_once(cli, storage):
    write(cli.cwd / "out", ["a.png", "sub/b.png"])
    write(cli.cwd, ["notes ü.txt"])
    sent = cli.json("push", "out", "notes ü.txt", "--to", "backup")
    assert sent.files("stored") == ["backup/notes ü.txt", "backup/out/a.png", "backup/out/sub/b.png"]
    assert (sent.code, sent.done["files"]) == (0, {"stored": 3})
    again = cli.json("push", "out", "notes ü.txt", "--to", "backup/")
    assert (again.done["files"], again.done["bytes"]) == ({"skipped": 3}, 0)
    content = cli.json("push", "out/", "--to", "flat")
    assert content.files("stored") == ["flat/a.png", "flat/sub/b.png"]
    got = cli.json("pull", "backup/out", "backup/notes ü.txt", "--to", "got")
    assert set(contents(cli.cwd / "got")) == {"out/a.png", "out/sub/b.png", "notes ü.txt"}
    assert got.done["files"] == {"fetched": 3}
    assert cli.json("pull", "backup/out/", "--to", "got/out").done["files"] == {"unchanged": 2}
    assert cli.run("pull", "backup/out/a.png", "--to", "one.png").code == 0
    assert (cli.cwd / "one.png").read_bytes() == b"a.png"


def test_one_that_fails_does_not_stop_the_others_and_the_exit_code_says_so(cli, storage):
    put(storage, "a.txt")
    got = cli.json("pull", "missing.txt", "a.txt")
    assert got.code == got.done["exit_code"] == 1
    assert got.files("fetched") == ["a.txt"]
    (failed,) = [event for event in got.events if event.get("status") == "failed"]
    assert (failed["key"], "Could not read 'missing.txt'" in failed["message"]) == ("missing.txt", True)
    sent = cli.run("push", "nothing-here", "a.txt")
    assert sent.code == 1
    assert "Error: Could not read what to upload (nothing-here)" in sent.err


def test_files_with_other_content_are_replaced_only_when_asked(cli, storage):
    put(storage, "a.txt", b"in the bucket")
    (cli.cwd / "a.txt").write_text("here")
    refused = cli.run("pull", "a.txt")
    assert refused.code == 1
    assert "other content" in refused.err
    assert cli.run("push", "a.txt").code == 1
    assert storage.read("a.txt") == b"in the bucket"
    assert cli.run("pull", "a.txt", "--overwrite").code == 0
    assert (cli.cwd / "a.txt").read_text() == "in the bucket"


def test_sync_makes_one_side_like_the_other_in_either_direction(cli, storage):
    write(cli.cwd / "out", ["a.txt", "sub/b.txt"])
    assert cli.json("sync", "out", "cloud:mirror").done["files"] == {"stored": 2}
    assert cli.json("sync", "cloud:mirror/", "copy").done["files"] == {"fetched": 2}
    assert contents(cli.cwd / "copy") == contents(cli.cwd / "out")
    (cli.cwd / "out" / "a.txt").unlink()
    dry = cli.json("sync", "out", "cloud:mirror", "--delete", "--dry-run")
    assert (dry.files("to_delete"), dry.done["files"]) == (["mirror/a.txt"], {"skipped": 1, "to_delete": 1})
    assert cli.json("sync", "out", "cloud:mirror", "--delete").done["files"] == {"skipped": 1, "deleted": 1}
    assert [info.key for info in storage.list("mirror/")] == ["mirror/sub/b.txt"]
    (cli.cwd / "out" / "sub" / "b.txt").unlink()
    empty = cli.run("sync", "out", "cloud:mirror", "--delete")
    assert (empty.code, "no file in the source" in empty.err) == (2, True)


@pytest.mark.parametrize(
    ("source", "target", "advice"),
    [
        ("out", "copy", "cloud:PREFIX"),
        ("cloud:a", "cloud:b/", "to a folder of this machine, then that folder"),
    ],
)
def test_sync_between_two_places_of_one_kind_says_what_to_do_instead(offline, source, target, advice):
    settings = {"COMFY_S3_BUCKET": "b", "COMFY_S3_ACCESS_KEY": "a", "COMFY_S3_SECRET_KEY": "s"}
    wrong = offline.run("sync", source, target, **settings)
    assert (wrong.code, advice in wrong.err) == (2, True), wrong.err


def test_a_killed_sync_is_completed_and_nothing_moves_twice(cli, storage):
    names = [f"{number:04}.bin" for number in range(400)]
    write(cli.cwd / "out", names, size=2000)
    killed = cli.killed_at(lambda event: event["event"] == "file", "sync", "out", "cloud:mirror")
    assert killed.code == -signal.SIGKILL
    arrived = {info.key for info in storage.list("mirror/")}
    done = cli.json("sync", "out", "cloud:mirror")
    assert set(done.files("stored")) == {f"mirror/{name}" for name in names} - arrived
    assert cli.json("sync", "out", "cloud:mirror").done["bytes"] == 0


def test_a_killed_download_of_a_large_file_resumes(cli, storage):
    data = os.urandom(48 << 20)
    put(storage, "large.bin", data)
    killed = cli.killed_at(lambda event: event.get("done", 0) > 0, "pull", "large.bin")
    part = cli.cwd / "large.bin.part"
    if killed.code == -signal.SIGKILL and part.exists():
        assert not (cli.cwd / "large.bin").exists()
    done = cli.json("pull", "large.bin")
    assert done.code == 0
    assert hashlib.sha256((cli.cwd / "large.bin").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert sorted(path.name for path in cli.cwd.iterdir()) == ["large.bin"]
    assert cli.json("pull", "large.bin").done["files"] == {"unchanged": 1}
