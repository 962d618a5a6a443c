from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone

import pytest
from cloud_storage.comfyui import cloud_files
from cloud_storage.comfyui.cloud_files import CloudFile
from cloud_storage.media.media_facts import MediaFacts
from result_lists import SCHEMA, checked

WHOLE = CloudFile(
    cloud_files.STORED,
    "bucket",
    "a/图 1.png",
    "https://h/a",
    datetime(2026, 11, 28, 22, tzinfo=timezone(timedelta(hours=2))),
    3,
    '"weak"-1',
    "0" * 64,
    "video/mp4",
    MediaFacts(4, 5, 6, 0.5),
    "mine",
)


def test_every_field_of_the_schema_is_filled_in_its_order():
    (found,) = checked(cloud_files.for_programs([WHOLE]))
    properties = json.loads(SCHEMA.read_text(encoding="utf-8"))["items"]["properties"]
    assert list(found) == list(properties)
    assert found["signed_until"] == "2026-11-28T20:00:00Z"
    assert tuple(properties["status"]["enum"]) == cloud_files.STATUSES


def test_what_is_unknown_is_left_out_and_a_zero_is_known():
    assert CloudFile(cloud_files.WAITING).for_programs() == {"status": "waiting"}
    assert CloudFile(cloud_files.STORED, size=0).for_programs() == {"size": 0, "status": "stored"}


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_json_cannot_hold_an_infinite_duration(seconds):
    assert "seconds" not in CloudFile("stored", facts=MediaFacts(seconds=seconds)).for_programs()


def test_text_of_a_server_that_is_no_text_is_left_out():
    odd = CloudFile("fetched", content_type="text/\ud800", key="a\tb")
    assert odd.for_programs() == {"key": "a\tb", "status": "fetched"}


def test_without_a_wire_the_profile_is_the_default_one(comfyui, tmp_path):
    assert cloud_files.profile_name(None) == "(env vars)"
    file = tmp_path / "user" / "__cloud_storage" / "profiles.json"
    file.parent.mkdir()
    file.write_text('{"profiles": {"mine": {}}}')
    assert cloud_files.profile_name(None) == "mine"
    file.write_text('{"profiles": {"a": {}, "b": {}}}')
    assert cloud_files.profile_name(None) == "(env vars)"
