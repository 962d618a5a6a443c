from __future__ import annotations

import itertools
import os
import shutil

import pytest
from cloud_storage.mirror import folder_watch
from cloud_storage.mirror.folder_watch import FolderWatch
from cloud_storage.mirror.names import Names


class Looks:
    """Looks at a folder, each time some minutes later than before."""

    def __init__(self, root):
        self._watch = FolderWatch(root, Names("output", "").leaves_out)
        self._times = itertools.count(0, 100)

    def __call__(self):
        return {name: file and file.size for name, file in self._watch.look(next(self._times)).items()}

    @property
    def files(self):
        return self._watch.files


@pytest.fixture
def look(tmp_path):
    return Looks(tmp_path)


def test_the_first_look_gives_everything_and_the_next_one_nothing(look, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "x.png").write_bytes(b"x")
    (tmp_path / "a" / "b" / "y.png").write_bytes(b"yy")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "z.png").write_bytes(b"z")
    assert look() == {"x.png": 1, "a/b/y.png": 2}
    assert look() == {}
    assert look.files == 2


def test_new_changed_moved_and_vanished_files_are_noticed(look, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old.png").write_bytes(b"old")
    (tmp_path / "gone.png").write_bytes(b"gone")
    look()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "sub").mkdir()
    (tmp_path / "new" / "sub" / "n.png").write_bytes(b"n")
    (tmp_path / "gone.png").rename(tmp_path / "moved.png")
    (tmp_path / "a" / "old.png").write_bytes(b"older")
    assert look() == {"new/sub/n.png": 1, "gone.png": None, "moved.png": 4, "a/old.png": 5}
    fresh = tmp_path / "fresh.tmp"
    fresh.write_bytes(b"other")
    os.utime(fresh, ns=(1, 1))
    fresh.replace(tmp_path / "a" / "old.png")
    assert look() == {"a/old.png": 5}


def test_a_folder_that_vanishes_takes_its_files_along(look, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.png").write_bytes(b"x")
    (tmp_path / "a" / "b" / "y.png").write_bytes(b"y")
    look()
    shutil.rmtree(tmp_path / "a")
    assert look() == {"a/x.png": None, "a/b/y.png": None}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"again")
    assert look() == {"a/x.png": 5}
    (tmp_path / "a").rename(tmp_path / "c")
    assert look() == {"a/x.png": None, "c/x.png": 5}


def test_while_the_folder_itself_is_missing_nothing_is_gone(tmp_path):
    root = tmp_path / "output"
    root.mkdir()
    (root / "x.png").write_bytes(b"x")
    look = Looks(root)
    look()
    root.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        look()
    (tmp_path / "away").rename(root)
    assert look() == {}


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_links_are_followed_inside_of_the_folder_only_and_not_around_in_it(tmp_path):
    root = tmp_path / "output"
    (root / "a").mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "s.png").write_bytes(b"secret")
    (root / "x.png").write_bytes(b"x")
    (root / "leads-out.png").symlink_to(tmp_path / "secret.png")
    (root / "leads-out").symlink_to(tmp_path / "outside")
    (root / "a" / "around").symlink_to(root)
    (root / "a" / "up").symlink_to(root / "a")
    (root / "inside.png").symlink_to(root / "x.png")
    (root / "nowhere.png").symlink_to(root / "missing.png")
    assert Looks(root)() == {"x.png": 1, "inside.png": 1}


@pytest.mark.skipif(os.name == "nt", reason="links need a permission there")
def test_a_folder_that_becomes_a_link_that_leads_outside_is_not_followed(tmp_path):
    root = tmp_path / "output"
    (root / "a").mkdir(parents=True)
    (root / "a" / "x.png").write_bytes(b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.png").write_bytes(b"secret")
    look = Looks(root)
    look()
    shutil.rmtree(root / "a")
    (root / "a").symlink_to(tmp_path / "outside")
    assert look() == {"a/x.png": None}
    (tmp_path / "outside" / "another.png").write_bytes(b"secret")
    assert look() == {}


def test_a_folder_that_takes_long_to_read_is_read_again_within_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_watch, "READ_SHARE", 10**12)
    watch = FolderWatch(tmp_path, Names("output", "").leaves_out)
    watch.look(0)
    (tmp_path / "new.png").write_bytes(b"new")
    assert watch.look(folder_watch.READ_PAUSE_SECONDS / 2) == {}
    assert list(watch.look(folder_watch.READ_PAUSE_SECONDS)) == ["new.png"]


def test_what_is_written_into_the_files_that_changed_last_is_noticed_at_once(look, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_watch, "SWEEP_FILES", 1)
    monkeypatch.setattr(folder_watch, "RECENT_FILES", 2)
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(b"before")
    look()
    (tmp_path / "log.csv").write_bytes(b"one")
    assert look() == {"log.csv": 3}
    for size in range(4, 8):
        (tmp_path / "log.csv").write_bytes(bytes(size))
        assert look() == {"log.csv": size}


def test_the_sweep_of_a_large_folder_comes_to_every_file(look, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_watch, "SWEEP_FILES", 3)
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(b"before")
    look()
    look._watch._recent.clear()
    (tmp_path / "7.png").write_bytes(b"afterwards")
    assert any(look() == {"7.png": 10} for _ in range(8))
