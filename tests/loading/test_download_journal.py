"""What is noted of a download, and what of it is believed afterwards."""

from __future__ import annotations

import pytest
from cloud_storage.loading import download_journal
from cloud_storage.loading.download_journal import Journal, Version

VERSION = Version("place/", "a.bin", "tag", 100)


@pytest.fixture
def part(tmp_path):
    return tmp_path / "a.bin.part"


def gaps(opened):
    return [(gap.start, gap.stop) for gap in opened.missing()]


def test_a_new_file_misses_everything_and_has_its_size(part):
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(0, 100)]
    assert part.stat().st_size == 100


def test_what_was_noted_is_not_missing_the_next_time(part):
    with Journal(part, VERSION) as notes:
        for start, stop in [(60, 70), (0, 10), (10, 20), (70, 80)]:
            notes.note(start, stop)
        assert notes.frontier == 20
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(20, 60), (80, 100)]
        assert (notes.done, notes.frontier) == (40, 20)
        notes.note(20, 60)
        assert notes.frontier == 80
        notes.note(80, 100)
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == []
        assert notes.frontier == 100


@pytest.mark.parametrize(
    "other",
    [
        Version("place/", "a.bin", "other", 100),
        Version("place/", "a.bin", "tag", 101),
        Version("elsewhere/", "a.bin", "tag", 100),
        Version("place/", "b.bin", "tag", 100),
    ],
)
def test_notes_about_another_version_are_worth_nothing(part, other):
    with Journal(part, VERSION) as notes:
        notes.note(0, 50)
    part.write_bytes(b"x" * 100)
    with Journal(part, other) as notes:
        assert gaps(notes) == [(0, other.size)]
    assert part.read_bytes() == bytes(other.size)


def test_notes_about_a_file_that_is_gone_or_cut_are_worth_nothing(part):
    for damage in (part.unlink, lambda: part.write_bytes(b"short")):
        with Journal(part, VERSION) as notes:
            notes.note(0, 50)
        damage()
        with Journal(part, VERSION) as notes:
            assert gaps(notes) == [(0, 100)]


def test_half_a_line_ends_the_notes(part):
    with Journal(part, VERSION) as notes:
        notes.note(0, 50)
        notes.note(50, 90)
    path = download_journal.journal_of(part)
    path.write_text(path.read_text()[:-4])
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(50, 100)]


@pytest.mark.parametrize("rubbish", ["", "{", "[]\n[0, 5]\n", "\0" * 40])
def test_notes_that_cannot_be_read_are_none(part, rubbish):
    part.write_bytes(b"x" * 100)
    download_journal.journal_of(part).write_text(rubbish)
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(0, 100)]


def test_after_a_loss_of_power_only_what_was_forced_to_disk_counts(part, monkeypatch):
    monkeypatch.setattr(download_journal, "_boot", lambda: "first")
    with Journal(part, VERSION) as notes:
        monkeypatch.setattr(download_journal, "SYNC_SECONDS", 0)
        notes.note(0, 10)
        monkeypatch.setattr(download_journal, "SYNC_SECONDS", 3600)
        notes.note(10, 20)
    monkeypatch.setattr(download_journal, "_boot", lambda: "second")
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(10, 100)]


def test_where_no_start_of_the_machine_is_known_every_note_is_forced_to_disk(part, monkeypatch):
    forced = []
    monkeypatch.setattr(download_journal, "_boot", lambda: "")
    monkeypatch.setattr(download_journal, "sync", forced.append)
    with Journal(part, VERSION) as notes:
        notes.note(0, 10)
        notes.note(10, 20)
    assert forced == [part, part]
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(20, 100)]


def test_notes_whose_file_is_gone_are_not_believed_after_a_start_that_was_killed(part, monkeypatch):
    with Journal(part, VERSION) as notes:
        notes.note(0, 100)
    part.rename(part.with_name("a.bin"))  # and the process is killed before it removes the journal

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Journal, "_rewrite", killed)
        Journal(part, VERSION)
    assert part.stat().st_size == 100
    with Journal(part, VERSION) as notes:
        assert gaps(notes) == [(0, 100)]
