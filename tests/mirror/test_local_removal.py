"""Local files are deleted only if the bucket has them at that moment."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from cloud_storage.mirror import local_removal
from cloud_storage.mirror.mirrored_folder import MirroredFolder
from cloud_storage.mirror.names import Names
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

LONG_AGO = 1000.0  # seconds since 1970


@pytest.fixture
def stored(switched_on):
    """Files that were stored long ago."""
    names = ("kept.png", "changed.png", "lost.png", "replaced.png", "open.png")
    for name in names:
        switched_on.write(name, name.encode())
    switched_on.settled()
    target = switched_on.mirror.profiles[0].folders[0].target
    target.journal.write(
        target.number, [replace(row, stored_at=LONG_AGO) for row in switched_on.rows().values()]
    )
    return switched_on


def remove(mirrored, days=1.0, others=()):
    folder = mirrored.mirror.profiles[0].folders[0]
    return local_removal.remove(folder, mirrored.cloud, days, [folder, *others], Meter())


def there(mirrored):
    return sorted(path.name for path in mirrored.output.iterdir() if not path.name.startswith("."))


def test_only_what_the_bucket_provably_has_is_deleted(stored):
    (stored.output / "changed.png").write_bytes(b"changed.pnG")
    stored.cloud.delete("comfyui/output/lost.png")
    stored.cloud.put("comfyui/output/replaced.png", b"replaced.pnG", PutOptions(), Meter())
    with (stored.output / "open.png").open("ab"):
        assert remove(stored) == 1
    assert there(stored) == ["changed.png", "lost.png", "open.png", "replaced.png"]
    assert stored.rows()["kept.png"].gone
    assert stored.read("kept.png") == b"kept.png"


def test_nothing_is_deleted_before_its_time_or_while_another_bucket_lacks_it_or_by_default(stored, journal):
    assert remove(stored, days=0.0) == 0
    assert remove(stored, days=1e6) == 0
    for_another_bucket = MirroredFolder(
        stored.output, Names("output", ""), "another bucket", journal, everything=False, off_at=0.0
    )
    assert remove(stored, others=[for_another_bucket]) == 0
    assert len(there(stored)) == 5


def test_a_file_of_the_same_size_and_time_but_other_content_is_not_deleted(stored):
    path = stored.output / "changed.png"
    status = path.stat()
    path.write_bytes(b"changed.pnG")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    remove(stored)
    assert there(stored) == ["changed.png"]


def test_a_new_file_of_a_deleted_name_replaces_nothing(stored):
    assert remove(stored) == 5
    stored.settled()
    stored.write("kept.png", b"another one")
    stored.settled()
    assert stored.read("kept.png") == b"kept.png"
    assert len(stored.stored()) == 6


def test_the_mirror_deletes_by_itself_if_the_setting_asks_for_it(stored, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MIRROR_DELETE_AFTER_DAYS", "30")
    stored.restarted()
    stored.settled()
    stored.look_until(lambda: not there(stored))
    assert len(stored.stored()) == 5
