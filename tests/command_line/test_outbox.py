"""outbox list and outbox send."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

import pytest
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Address, Entry, Outbox, Sender
from cloud_storage.system.meter import Meter


@pytest.fixture
def waiting(cli):
    """An outbox with one file."""
    outbox = Outbox(cli.comfyui / "user" / "__cloud_storage" / "outbox")
    data = b"a picture"
    entry = Entry(
        Sender("(env vars)"),
        Address(),
        Name(("renders/a",), ".png"),
        "new name",
        "image/png",
        len(data),
        hashlib.sha256(data).hexdigest(),
        datetime.now(timezone.utc),
        why="Could not store it: the network was down.",
    )
    outbox.keep(entry, 0, data, linkable=False, meter=Meter())
    return outbox


def test_what_waits_is_listed_and_sent_once(cli, storage, waiting):
    listed = cli.json("outbox", "list")
    assert listed.events[0]["key"] == "renders/a.png"
    assert listed.events[0]["message"] == "Could not store it: the network was down."
    assert listed.done["waiting"] == 1
    assert "renders/a.png" in cli.run("outbox", "list").out
    sent = cli.json("outbox", "send")
    assert (sent.code, sent.files("stored")) == (0, ["renders/a.png"])
    assert storage.read("renders/a.png") == b"a picture"
    assert cli.run("outbox", "send").out == "Nothing is waiting.\n"
    assert cli.run("outbox", "list").out == "0 files are waiting.\n"


def test_what_cannot_be_sent_stays_and_the_exit_code_says_so(cli, waiting):
    done = cli.json("outbox", "send", COMFY_S3_SECRET_KEY="wrong-secret-of-nobody")
    assert (done.code, done.done["files"]) == (1, {"stored": 0, "waiting": 1})
    assert not waiting.is_empty


def test_another_profile_is_left_alone(cli, waiting):
    done = cli.json("outbox", "list", "--profile", "other")
    assert done.done["waiting"] == 0
