"""The whole mirror, over the buckets of real servers: what arrives, once, under which key, after what."""

from __future__ import annotations

import json
import os
import shutil
import threading

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.errors import Unreachable
from cloud_storage.mirror import mirrored_folder, sender, service
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

LARGE = b"0123456789abcdef" * (1 << 20) + b"the end"  # in parts


@pytest.fixture
def puts(mirrored, monkeypatch):
    """The keys of all objects that were stored."""
    stored, put = [], type(mirrored.cloud).put

    def counted(self, key, *rest, **options):
        info = put(self, key, *rest, **options)
        stored.append(key)
        return info

    monkeypatch.setattr(type(mirrored.cloud), "put", counted)
    return stored


def test_what_is_made_arrives_once_and_below_its_folder(switched_on, puts):
    switched_on.write("a.png", b"one")
    switched_on.write("2026/11/ü b.png", b"two")
    switched_on.settled()
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/2026/11/ü b.png", "comfyui/output/a.png"]
    assert switched_on.read("2026/11/ü b.png") == b"two"
    assert len(puts) == 2
    info = switched_on.cloud.stat("comfyui/output/a.png")
    assert (info.content_type, len(info.sha256)) == ("image/png", 64)


def test_what_was_there_before_is_sent_only_if_everything_is_asked_for(mirrored, puts):
    mirrored.write("old.png")
    mirrored.restarted()
    mirrored.settled()
    mirrored.write("new.png")
    mirrored.settled()
    assert mirrored.stored() == ["comfyui/output/new.png"]
    mirrored.restarted()
    mirrored.settled()
    assert mirrored.stored() == ["comfyui/output/new.png"]
    mirrored.restarted(everything=True)
    mirrored.settled()
    assert mirrored.stored() == ["comfyui/output/new.png", "comfyui/output/old.png"]
    assert len(puts) == 2


def test_what_was_made_meanwhile_is_found_at_the_next_start_whatever_its_time(switched_on):
    switched_on.mirror.close()
    path = switched_on.write("moved/in.png")
    os.utime(path, (1000, 1000))  # as of a clock that was set back, or of a copy with its time
    switched_on.restarted()
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/moved/in.png"]


def test_a_file_that_is_back_at_the_next_start_is_the_one_of_before(switched_on):
    path = switched_on.write("a.txt", b"first")
    switched_on.settled()
    path.rename(switched_on.output.parent / "aside.txt")
    switched_on.settled()
    assert switched_on.rows()["a.txt"].gone
    switched_on.mirror.close()
    (switched_on.output.parent / "aside.txt").rename(path)
    switched_on.restarted()
    switched_on.settled()
    assert not switched_on.rows()["a.txt"].gone
    path.write_bytes(b"second")
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/a.txt"]
    assert switched_on.read("a.txt") == b"second"


def test_a_file_that_is_back_with_another_time_is_not_gone_any_more(switched_on, puts):
    path = switched_on.write("a.txt", b"first")
    switched_on.settled()
    path.unlink()
    switched_on.settled()
    assert switched_on.rows()["a.txt"].gone
    switched_on.write("a.txt", b"first")
    os.utime(path, (2000, 2000))
    switched_on.settled()
    assert not switched_on.rows()["a.txt"].gone
    assert len(puts) == 1


def test_a_changed_file_renews_its_object_and_a_touched_one_is_not_sent(switched_on, puts):
    path = switched_on.write("a.txt", b"first")
    switched_on.settled()
    os.utime(path, (2000, 2000))
    switched_on.settled()
    assert len(puts) == 1
    path.write_bytes(b"second")
    switched_on.settled()
    assert switched_on.read("a.txt") == b"second"
    assert switched_on.stored() == ["comfyui/output/a.txt"]
    assert len(puts) == 2


def test_with_a_clock_that_was_set_back_changed_and_new_files_are_sent_too(switched_on, puts):
    path = switched_on.write("a.txt", b"first")
    switched_on.settled()
    path.write_bytes(b"other")
    new = switched_on.write("b.txt", b"new")
    for each in (path, new, switched_on.output):
        os.utime(each, (1000, 1000))
    switched_on.settled()
    assert (switched_on.read("a.txt"), switched_on.read("b.txt")) == (b"other", b"new")
    assert len(puts) == 3


def test_a_key_with_other_content_from_elsewhere_is_never_replaced(switched_on, puts):
    switched_on.cloud.put("comfyui/output/a.png", b"theirs", PutOptions(), Meter())
    path = switched_on.write("a.png", b"ours")
    switched_on.settled()
    assert switched_on.read("a.png") == b"theirs"
    (other,) = set(switched_on.stored()) - {"comfyui/output/a.png"}
    assert switched_on.cloud.read(other) == b"ours"
    path.write_bytes(b"ours, changed")
    switched_on.settled()
    assert switched_on.cloud.read(other) == b"ours, changed"
    assert switched_on.read("a.png") == b"theirs"
    switched_on.cloud.put(other, b"replaced by somebody", PutOptions(), Meter())
    path.write_bytes(b"ours again")
    switched_on.settled()
    assert switched_on.cloud.read(other) == b"replaced by somebody"
    assert any(switched_on.cloud.read(key) == b"ours again" for key in switched_on.stored())


def test_content_that_the_bucket_has_under_that_key_is_not_sent(switched_on, puts):
    switched_on.cloud.put("comfyui/output/a.png", b"same", PutOptions(), Meter())
    switched_on.write("a.png", b"same")
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/a.png"]
    assert switched_on.rows()["a.png"].own is False
    assert len(puts) == 1


def test_a_new_file_under_the_name_of_one_that_was_deleted_does_not_replace_its_object(switched_on):
    path = switched_on.write("ComfyUI_00001_.png", b"the first")
    switched_on.settled()
    path.unlink()
    switched_on.settled()
    switched_on.write("ComfyUI_00001_.png", b"another one")
    switched_on.settled()
    assert switched_on.read("ComfyUI_00001_.png") == b"the first"
    assert sorted(switched_on.cloud.read(key) for key in switched_on.stored()) == [
        b"another one",
        b"the first",
    ]


def test_a_folder_that_is_away_for_a_while_changes_nothing(switched_on, puts, tmp_path):
    switched_on.write("sub/a.png")
    switched_on.settled()
    shutil.move(tmp_path / "output", tmp_path / "away")
    switched_on.mirror.look()
    assert switched_on.mirror.state()["profiles"][0]["folders"][0]["note"] == mirrored_folder.MISSING
    shutil.move(tmp_path / "away", tmp_path / "output")
    switched_on.settled()
    assert not switched_on.rows()["sub/a.png"].gone
    assert len(puts) == 1


def test_a_large_file_goes_in_parts_and_is_renewed(switched_on, puts):
    path = switched_on.write("a.mp4", LARGE)
    switched_on.settled()
    assert switched_on.read("a.mp4") == LARGE
    path.write_bytes(LARGE[::-1])
    switched_on.settled()
    assert switched_on.read("a.mp4") == LARGE[::-1]
    assert (switched_on.stored(), len(puts)) == (["comfyui/output/a.mp4"], 2)


def test_a_file_that_changes_while_it_is_sent_is_sent_again(switched_on, monkeypatch):
    path = switched_on.write("a.mp4", LARGE)
    put, changed = type(switched_on.cloud).put, []

    def changes(self, key, *rest, **options):
        info = put(self, key, *rest, **options)
        if not changed:
            changed.append(key)
            path.write_bytes(LARGE[::-1])
        return info

    monkeypatch.setattr(type(switched_on.cloud), "put", changes)
    switched_on.settled()
    assert changed
    assert (switched_on.stored(), switched_on.read("a.mp4")) == (["comfyui/output/a.mp4"], LARGE[::-1])


def test_what_fails_waits_and_arrives_once_when_the_bucket_is_back(switched_on, puts, monkeypatch, comfyui):
    stat, is_away = type(switched_on.cloud).stat, threading.Event()
    put = type(switched_on.cloud).put

    def away(real):
        def call(*arguments, **options):
            if is_away.is_set():
                raise Unreachable("Could not reach it: the network is down. Check it.")
            return real(*arguments, **options)

        return call

    monkeypatch.setattr(type(switched_on.cloud), "put", away(put))
    monkeypatch.setattr(type(switched_on.cloud), "stat", away(stat))
    is_away.set()
    for number in range(5):
        switched_on.write(f"{number}.png", bytes([number]))
    switched_on.settled()
    state = switched_on.mirror.state()
    assert (state["failing"], state["waiting"]) == (True, 5)
    assert "the network is down" in state["profiles"][0]["error"]
    is_away.clear()
    switched_on.look_until(lambda: not switched_on.mirror.state()["waiting"])
    switched_on.settled()
    assert len(puts) == len(switched_on.stored()) == 5
    assert [(event, about["failing"], about["waiting"]) for event, about, _ in comfyui.events] == [
        ("cloud_storage.mirror", True, 5),
        ("cloud_storage.mirror", False, 0),
    ]
    assert not switched_on.mirror.state()["failing"]


def test_an_answer_that_is_lost_after_the_object_was_stored_stores_it_once(switched_on, monkeypatch):
    put, lost = type(switched_on.cloud).put, []

    def loses(self, key, *rest, **options):
        info = put(self, key, *rest, **options)
        if key not in lost:
            lost.append(key)
            raise Unreachable("Could not reach it: the answer was lost. Check it.")
        return info

    monkeypatch.setattr(type(switched_on.cloud), "put", loses)
    switched_on.write("a.png", b"small")
    switched_on.write("b.mp4", LARGE)
    switched_on.settled()
    switched_on.look_until(lambda: not switched_on.mirror.state()["waiting"])
    assert switched_on.stored() == ["comfyui/output/a.png", "comfyui/output/b.mp4"]
    assert switched_on.rows()["b.mp4"].own


def test_two_comfyuis_on_one_folder_do_not_both_send(switched_on, puts):
    first = switched_on.mirror
    switched_on.write("a.png")
    second = switched_on.started()
    switched_on.settled()
    assert second.state()["profiles"][0]["folders"][0]["note"] == mirrored_folder.ELSEWHERE
    assert switched_on.stored() == []
    first.close()
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/a.png"]
    assert len(puts) == 1


def test_a_file_that_grows_or_is_open_for_writing_is_waited_for(switched_on):
    with (switched_on.output / "growing.txt").open("w") as growing:
        growing.write("half")
        growing.flush()
        for _ in range(5):
            switched_on.mirror.look()
        (file,) = switched_on.mirror.state()["profiles"][0]["files"]
        assert (file["name"], file["status"]) == ("output/growing.txt", "writing")
        growing.write(" and whole")
    switched_on.mirror.profiles[0].folders[0]._open_from = 0.0
    switched_on.settled()
    assert switched_on.read("growing.txt") == b"half and whole"


def test_many_at_once_all_arrive(switched_on, puts):
    for number in range(300):
        switched_on.write(f"{number:03}.bin", b"%d" % number)
    switched_on.settled(2000)
    assert len(switched_on.stored()) == len(puts) == 300


def test_settings_are_followed_while_it_runs(switched_on, monkeypatch, fast_place):
    file = folders.profiles_file()
    file.parent.mkdir(exist_ok=True)
    entry = {"path_prefix": f"{switched_on.cloud.path_prefix}second", "mirror": "input", "mirror_prefix": "/"}
    inputs = switched_on.output.parent / "input"
    (inputs / "old.png").write_bytes(b"old")
    switched_on.mirror.look()
    file.write_text(json.dumps({"profiles": {"b": entry}}))
    (inputs / "before its first look.png").write_bytes(b"x")
    switched_on.settled()
    (inputs / "x.png").write_bytes(b"x")
    switched_on.settled()
    assert switched_on.stored() == ["second/input/before its first look.png", "second/input/x.png"]
    file.write_text("{")
    switched_on.settled()
    assert switched_on.mirror.state()["profiles"][0]["name"] == "(env vars)"


def test_a_journal_that_is_damaged_loses_and_repeats_nothing(switched_on, puts):
    switched_on.write("a.png", b"a")
    switched_on.settled()
    switched_on.mirror.close()
    switched_on.mirror._journal.close()
    (folders.system_folder() / "mirror.sqlite").write_bytes(b"no database at all" * 1000)
    switched_on.write("b.png", b"b")
    switched_on.restarted()
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/a.png", "comfyui/output/b.png"]
    assert len(puts) == 2


def test_without_the_setting_nothing_is_looked_at(cloud, tmp_path):
    mirror = service.Mirror()
    mirror.look()
    assert mirror.state() == {
        "on": False,
        "waiting": 0,
        "waiting_bytes": 0,
        "failing": False,
        "errors": [],
        "profiles": [],
    }
    assert not (folders.system_folder() / "mirror.sqlite").exists()
    assert len(LARGE) > sender.IN_MEMORY_BYTES
