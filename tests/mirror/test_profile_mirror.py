"""The mirror of one profile: what is sent although another file fails, and what it says meanwhile."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from cloud_storage.mirror import profile_mirror
from cloud_storage.mirror.mirrored_folder import RETRY_MAX_SECONDS, Waiting
from cloud_storage.mirror.profile_state import profile_state
from cloud_storage.system.file_fingerprint import Fingerprint


@pytest.mark.skipif(os.name == "nt", reason="a name that is too long for a key is too long there")
def test_one_file_that_cannot_be_stored_does_not_stop_the_others(switched_on):
    deep = "/".join(["a" * 200] * 6)
    switched_on.write(f"{deep}/too-long.png")
    switched_on.write("good.png")
    profile = switched_on.mirror.profiles[0]

    def has_failed():
        return any(each["status"] == "failed" for each in profile_state(profile)["files"])

    switched_on.look_until(lambda: profile.sent and has_failed())
    assert switched_on.stored() == ["comfyui/output/good.png"]
    state = profile_state(profile)
    assert (state["failing"], state["waiting"], state["stored"]) == (False, 1, 1)
    (file,) = state["files"]
    assert "are allowed here" in file["error"]


def test_threads_that_have_nothing_to_do_are_not_started_without_end(switched_on, monkeypatch):
    started = []

    class EndsAtOnce:
        def __init__(self, target, **_):
            self.target = target

        def start(self):
            started.append(self)
            assert len(started) <= 2 * profile_mirror.THREADS
            self.target()

    for name in ("a.png", "b.png"):
        switched_on.write(name)
    monkeypatch.setattr(profile_mirror, "threading", SimpleNamespace(Thread=EndsAtOnce))
    switched_on.settled()
    assert switched_on.stored() == ["comfyui/output/a.png", "comfyui/output/b.png"]


def test_a_full_disk_of_the_journal_is_said_and_nothing_is_stored_twice(switched_on):
    journal = switched_on.mirror.profiles[0].folders[0].target.journal
    journal._database.execute("PRAGMA query_only = ON")
    switched_on.write("a.png")
    switched_on.settled()
    state = switched_on.mirror.state()
    assert state["failing"]
    assert "journal" in state["profiles"][0]["error"]
    journal._database.execute("PRAGMA query_only = OFF")
    switched_on.look_until(lambda: not switched_on.mirror.state()["waiting"])
    assert switched_on.stored() == ["comfyui/output/a.png"]
    assert not switched_on.mirror.state()["failing"]


def test_a_journal_that_failed_once_is_no_failure_any_more_though_nothing_is_sent(switched_on, comfyui):
    path = switched_on.write("a.png")
    switched_on.settled()
    journal = switched_on.mirror.profiles[0].folders[0].target.journal
    journal._database.execute("PRAGMA query_only = ON")
    path.unlink()
    switched_on.settled()
    assert switched_on.mirror.state()["failing"]
    journal._database.execute("PRAGMA query_only = OFF")
    switched_on.mirror.look()
    assert not switched_on.mirror.state()["failing"]
    assert [about["failing"] for _, about, _ in comfyui.events] == [True, False]


def test_a_day_without_a_network_is_no_more_than_the_longest_pause(switched_on):
    profile = switched_on.mirror.profiles[0]
    for _ in range(5000):
        profile._fail("The network is down.")
    assert profile_state(profile)["retry_in"] <= profile_mirror.PAUSE_MAX_SECONDS
    waiting = Waiting("a.png", Fingerprint(1, 1), attempts=5000)
    waiting.failed("It cannot be read.", 0.0)
    assert waiting.not_before == RETRY_MAX_SECONDS


def test_a_limit_of_the_bandwidth_sends_one_after_the_other(switched_on, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MIRROR_MB_PER_SECOND", "50")
    switched_on.restarted()
    for number in range(5):
        switched_on.write(f"{number}.png", bytes(1000))
    switched_on.settled()
    assert switched_on.mirror.profiles[0]._threads_max == 1
    assert len(switched_on.stored()) == 5
