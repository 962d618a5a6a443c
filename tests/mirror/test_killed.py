"""The process of the mirror is killed at each point of its work; the next one brings everything, once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections import Counter
from datetime import datetime, timezone

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.mirror.journal import FILE_NAME, Journal
from conftest import ROOT, SECRET
from killed_mirror import KILLED, POINTS
from servers import oss_objects
from servers.oss_objects import Body, Piece, StoredObject
from servers.oss_server import OssServer

LARGE = b"0123456789abcdef" * (1 << 20) + b"the end"  # in parts


@pytest.fixture
def server():
    with OssServer(("bucket",), credentials={"key": SECRET}) as running:
        yield running


@pytest.fixture
def puts(monkeypatch):
    """How often each content was stored."""
    found, put = Counter(), oss_objects.Bucket.put

    def counted(self, stored):
        put(self, stored)
        found[hashlib.sha256(stored.data).hexdigest()] += 1

    monkeypatch.setattr(oss_objects.Bucket, "put", counted)
    return found


def mirror(base, server, point=""):
    """Run the mirror until nothing waits, or until it is killed; returns its exit code."""
    settings = {"PROVIDER": "Aliyun OSS", "ENDPOINT_URL": server.url, "BUCKET": "bucket", "MIRROR": "output"}
    settings |= {"ACCESS_KEY": "key", "SECRET_KEY": SECRET}
    environ = {**os.environ, **{f"COMFY_S3_{name}": value for name, value in settings.items()}}
    environ["PYTHONPATH"] = str(ROOT / "tests")
    program = [sys.executable, str(ROOT / "tests" / "killed_mirror.py")]
    done = subprocess.run([*program, str(base), point], env=environ, timeout=120, check=False)
    return done.returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_mirror_that_is_killed_loses_nothing_and_stores_nothing_twice_or_by_half(
    comfyui, tmp_path, server, puts, point
):
    files = {"a.png": b"one", "b.png": b"two", "c.png": b"three", "large.mp4": LARGE}
    for name, data in files.items():
        (tmp_path / "output" / name).write_bytes(data)
    assert mirror(tmp_path, server, point) == KILLED
    assert mirror(tmp_path, server) == 0
    stored = {key: each.data for key, each in server.objects("bucket").items()}
    assert stored == {f"comfyui/output/{name}": data for name, data in files.items()}
    assert set(puts.values()) == {1}
    with contextlib.closing(Journal(folders.system_folder() / FILE_NAME)) as journal:
        assert all(row.own for row in journal.rows(1).values())


@pytest.mark.parametrize("changes", ["before the next start", "after the next start"])
@pytest.mark.parametrize("point", ["after the first upload", "before the journal is written"])
def test_a_small_file_whose_mirror_was_killed_keeps_its_name_when_it_changes(
    comfyui, tmp_path, server, point, changes
):
    file = tmp_path / "output" / "a.txt"
    file.write_bytes(b"one")
    assert mirror(tmp_path, server, point) == KILLED
    assert [each.data for each in server.objects("bucket").values()] == [b"one"]
    if changes == "after the next start":
        assert mirror(tmp_path, server) == 0
    file.write_bytes(b"changed")
    assert mirror(tmp_path, server) == 0
    stored = {key: each.data for key, each in server.objects("bucket").items()}
    assert stored == {"comfyui/output/a.txt": b"changed"}


def test_the_object_of_somebody_else_is_not_taken_for_that_of_a_killed_mirror(comfyui, tmp_path, server):
    file = tmp_path / "output" / "a.txt"
    file.write_bytes(b"one")
    assert mirror(tmp_path, server, "before the first upload") == KILLED
    assert server.objects("bucket") == {}
    body, now = Body((Piece(6, b"theirs"),)), datetime.now(timezone.utc)
    server.buckets["bucket"].put(StoredObject("comfyui/output/a.txt", body, "E" * 32, b"", None, now))
    file.write_bytes(b"changed")
    assert mirror(tmp_path, server) == 0
    stored = {key: each.data for key, each in server.objects("bucket").items()}
    assert stored.pop("comfyui/output/a.txt") == b"theirs"
    assert list(stored.values()) == [b"changed"]
