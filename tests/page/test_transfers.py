"""What the panel Transfers gets from the server, and that a retry sends what waits where it belongs."""

from __future__ import annotations

import threading

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import transfers
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Address, Entry, Outbox, Sender
from cloud_storage.system import utc_clock
from cloud_storage.system.meter import Meter
from page_requests import OF_ANOTHER_SITE


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(transfers, "_last", {"sent": 0, "left": 0, "lines": []})


def keep(name, content=b"kept", profile="(env vars)"):
    import hashlib

    entry = Entry(
        Sender(profile),
        Address(),
        Name((name,), ".txt", 0),
        "fail",
        "text/plain",
        len(content),
        hashlib.sha256(content).hexdigest(),
        utc_clock.now(),
        why="the network was away",
    )
    return Outbox(folders.outbox_folder()).keep(entry, 0, content, linkable=False, meter=Meter())


def sent():
    for thread in threading.enumerate():
        if thread.name == "cloud-storage-retry":
            thread.join(60)


def test_what_waits_is_listed_with_its_profile_and_the_reason(cloud, ask):
    keep("a")
    keep("b", profile="team")
    said = ask("transfers/waiting").json
    assert (said["waiting"], said["sending"]) == (2, False)
    assert [(one["key"], one["profile"], one["size"]) for one in said["entries"]] == [
        ("a.txt", "(env vars)", 4),
        ("b.txt", "team", 4),
    ]
    assert said["entries"][0]["why"] == "the network was away"


def test_a_retry_sends_what_waits_and_says_what_still_does(cloud, ask):
    keep("a")
    keep("b", profile="gone")
    assert ask.post("transfers/retry", {}).status == 200
    sent()
    said = ask("transfers/waiting").json
    assert (said["waiting"], said["last"]["sent"], said["last"]["left"]) == (1, 1, 1)
    assert "gone" in "\n".join(said["last"]["lines"])
    assert cloud.read("a.txt") == b"kept"


def test_a_retry_may_be_of_one_profile(cloud, ask):
    keep("a")
    ask.post("transfers/retry", {"profile": "another"})
    sent()
    assert ask("transfers/waiting").json["waiting"] == 1
    assert ask.post("transfers/retry", {"profile": 5}).status == 400


def test_one_thread_sends_however_often_it_is_asked(cloud, ask, monkeypatch):
    began, may_end = [], threading.Event()

    def slow(*_given):
        began.append(1)
        assert may_end.wait(60)
        return transfers.outbox_sender.Report()

    monkeypatch.setattr(transfers.outbox_sender, "send", slow)
    for _ in range(10):
        assert ask.post("transfers/retry", {}).json["sending"] is True
    assert len(began) == 1
    may_end.set()
    sent()
    assert ask("transfers/waiting").json["sending"] is False


def test_answers_are_bounded(cloud, ask, monkeypatch):
    monkeypatch.setattr(transfers, "LISTED", 2)
    for name in "abc":
        keep(name)
    said = ask("transfers/waiting").json
    assert (said["waiting"], len(said["entries"])) == (3, 2)


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_sends_nothing(cloud, ask, headers):
    keep("a")
    assert ask("transfers/waiting", headers=headers).status == 403
    assert ask.post("transfers/retry", {}, headers).status == 403
    sent()
    assert list(cloud.list()) == []
