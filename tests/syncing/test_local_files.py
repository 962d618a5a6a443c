"""Which files of a folder are sent, and which names can be files here."""

from __future__ import annotations

import os

import pytest
from cloud_storage.syncing import local_files
from cloud_storage.system.meter import Meter


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/b c.png", ""),
        ("日本/ü.txt", ""),
        (".hidden", ""),
        ("../a", ". or .."),
        ("a/./b", ". or .."),
        ("a//b", "empty name"),
        ("/a", "empty name"),
        ("a\0b", "zero byte"),
        ("x.part.journal", "used by this package"),
        ("models/.a.safetensors.cloud.json", "used by this package"),
    ],
)
def test_which_keys_can_be_files(name, why):
    assert why in local_files.refused(name)
    assert bool(why) == bool(local_files.refused(name))


def test_windows_allows_fewer_names(monkeypatch):
    assert local_files.refused("a:b") == local_files.refused("con.txt") == ""
    monkeypatch.setattr(local_files, "_IS_WINDOWS", True)
    for name in ("a:b", "con.txt", "dot.", "back\\slash"):
        assert "Windows" in local_files.refused(name)


def test_names_that_cannot_be_on_one_disk_together_are_found(monkeypatch):
    assert set(local_files.clashing(iter(["a", "a/b", "b"]))) == {"a"}
    assert local_files.clashing(iter(["A.png", "a.png"])) == {}
    monkeypatch.setattr(local_files, "_IGNORES_CASE", True)
    assert set(local_files.clashing(iter(["A.png", "a.png"]))) == {"a.png"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    found = local_files.found(tmp_path, Meter())
    assert found.unreadable == {"closed": "Permission denied"}
    assert found.hides("closed/anything")


def test_a_missing_folder_raises(tmp_path):
    with pytest.raises(OSError):
        local_files.found(tmp_path / "missing", Meter())


def test_unfinished_files_of_killed_processes_are_removed_after_a_day(tmp_path):
    old, new = local_files.temporary(tmp_path / "a"), local_files.temporary(tmp_path / "a")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    found = local_files.found(tmp_path, Meter())
    assert found.files == {}
    found.sweep()
    assert list(tmp_path.iterdir()) == [new]


def test_no_folder_is_made_through_a_link_that_leads_out(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "outside")
    targets = local_files.Targets(tmp_path / "folder")
    assert targets.prepare(tmp_path / "folder" / "new" / "deep" / "a.txt") == ""
    assert "leads out" in targets.prepare(tmp_path / "folder" / "link" / "deep" / "a.txt")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_to_the_folder_itself_is_no_link_that_leads_out(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert set(local_files.found(tmp_path / "link", Meter()).files) == {"a.txt"}
