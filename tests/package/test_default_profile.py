"""profiles.json alone is enough: every way to use a profile comes to its default where the environment names
no bucket.
"""

from __future__ import annotations

import json
import os

import pytest
import torch
from cloud_storage import errors
from cloud_storage.comfyui import folders, prompt
from cloud_storage.nodes_load import LoadImageFromCloud
from cloud_storage.saving import outbox, outbox_sender
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import outputs_of, own_prefix, run_node


def fields(environ):
    return {name.removeprefix("COMFY_S3_").lower(): value for name, value in environ.items()}


@pytest.fixture
def home(comfyui, fast_place):
    """A bucket of each backend in profiles.json as the profile ``home``, and nothing in the environment."""
    entry = fields(fast_place.settings({"path_prefix": own_prefix()}))
    file = folders.profiles_file()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profiles": {"home": entry}}))
    assert not [name for name in os.environ if name.startswith("COMFY_S3_")]
    return connect.storage_of(None, file)


def add_another(**top):
    file = folders.profiles_file()
    written = json.loads(file.read_text())
    written["profiles"]["away"] = {"bucket": "away", "auth": "anonymous"}
    file.write_text(json.dumps({**top, **written}))


def test_a_node_without_a_wire_and_one_with_env_vars_use_it(home):
    saved = outputs_of("SaveImageToCloud", images=torch.zeros((1, 8, 8, 3)), key_prefix="a/", filename="x")
    assert saved[1] == ["a/x.png"]
    chosen = run_node("CloudStorageProfile", profile="(env vars)")
    assert chosen["ui"]["cloud_storage"] == [
        "No bucket is set in the environment, so the profile home of profiles.json is used."
    ]
    (wire,) = chosen["result"]
    assert outputs_of("ListBucketContents", prefix="", profile=wire)[1] == ["a/x.png"]
    assert isinstance(run_node("CloudStorageProfile", profile="home"), tuple), "there is nothing to say"
    (report,) = outputs_of("TestCloudConnection")
    assert "home" in report.splitlines()[0]


def test_is_changed_follows_the_object_with_a_wire_and_without(home, monkeypatch):
    home.put("a.png", _png((200, 0, 0)), PutOptions(), Meter())
    (wire,) = run_node("CloudStorageProfile", profile="(env vars)")["result"]
    profile_node = {"profile": "(env vars)", "provider": "(from profile)", "bucket": ""}
    for linked, profile in (None, None), (("CloudStorageProfile", profile_node), wire):
        monkeypatch.setattr(prompt, "linked_widgets", lambda *_, linked=linked: linked)
        node = {"key": "a.png", "profile": None, "unique_id": f"node {linked is None}"}
        run_node("LoadImageFromCloud", **{**node, "profile": profile})
        first = LoadImageFromCloud.IS_CHANGED(**node)
        assert LoadImageFromCloud.IS_CHANGED(**node) == first
        home.put("a.png", _png((0, 0, 200 if linked else 100)), PutOptions(), Meter())
        assert LoadImageFromCloud.IS_CHANGED(**node) != first


def test_several_profiles_need_a_default(home):
    add_another()
    with pytest.raises(errors.ConfigurationError, match="has several: home, away"):
        run_node("ListBucketContents", prefix="")
    add_another(default="home")
    home.put("a.txt", b"", PutOptions(), Meter())
    assert outputs_of("ListBucketContents", prefix="")[1] == ["a.txt"]


def test_what_waits_belongs_to_the_profile_that_was_meant(home):
    file = folders.profiles_file()
    through = outbox_sender.sender(None, file)
    assert through == outbox.Sender("home")
    assert outbox_sender.settled(outbox.Sender("(env vars)"), file) == through, "kept by a version before"
    add_another()
    assert outbox_sender.sender(None, file) == outbox.Sender("(env vars)")


def _png(colour):
    from io import BytesIO

    from PIL import Image

    written = BytesIO()
    Image.new("RGB", (8, 8), colour).save(written, "PNG")
    return written.getvalue()
