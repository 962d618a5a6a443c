"""What the picker and the lines on nodes get, from real buckets: addresses, tests, and of which profile."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request

from cloud_storage.comfyui import folders as comfyui_folders
from cloud_storage.page import picker
from page_requests import put

# ------------------------------------------------------------ what a link on a node opens


def expiry(address, signed):
    """For how many seconds an address is signed, with S3's or OSS's query; ``signed`` is when."""
    given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    seconds = given.get("X-Amz-Expires") or given.get("x-oss-expires")
    return int(seconds) if seconds else int(given["Expires"]) - signed


def test_what_was_saved_opens_for_a_minute(cloud, ask):
    put(cloud, "a b/ü&.png", data=b"what was saved")
    asked = time.time()
    answer = ask("open", key="a b/ü&.png")
    took = time.time() - asked
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert list(answer.json) == ["address"]
    with urllib.request.urlopen(answer.json["address"]) as opened:
        assert opened.read() == b"what was saved"
    assert -1 <= expiry(answer.json["address"], asked) - picker.OPEN_SECONDS <= took


def test_nothing_is_signed_that_is_not_there_or_lies_outside_the_prefix(cloud, ask, fast_place):
    put(fast_place.open(), "outside.png")
    put(cloud, "inside.png")
    above = cloud.path_prefix
    beside = ("../outside.png", f"../{above}../outside.png", "outside.png", "/../outside.png")
    for key in ("", "gone.png", "inside", *beside):
        answer = ask("open", key=key)
        assert answer.status in (400, 404), key
        assert list(answer.json) == ["error", "kind"], key
        assert b"Signature" not in answer.body, key


def test_a_locked_profile_opens_nothing_elsewhere(cloud, ask, monkeypatch):
    put(cloud, "a.png")
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    assert ask("open", key="a.png").status == 200
    for name in ("provider", "bucket", "path_prefix", "region"):
        answer = ask("open", key="a.png", **{name: "AWS S3" if name == "provider" else "other"})
        assert answer.status == 400
        assert "locked" in answer.json["error"]


# ------------------------------------------------------------ the connection


def test_a_look_at_the_connection_tells_what_works_and_changes_nothing(cloud, ask, fast_place):
    put(cloud, "a.txt")
    lines = ask("test").json["lines"]
    assert "works" in lines[0]
    assert any(line.startswith("✓ list") for line in lines)
    assert any(line.startswith("✓ read") for line in lines)
    assert not any(word in line for line in lines for word in ("write", "delete", "create"))
    assert fast_place.secret not in "\n".join(lines)
    assert [info.key for info in cloud.list()] == ["a.txt"]


def test_a_look_with_a_wrong_secret_says_what_to_do(cloud, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    lines = "\n".join(line if isinstance(line, str) else line[0] for line in ask("test").json["lines"])
    assert "does NOT work" in lines
    assert "secret key of the profile" in lines
    assert "wrong-secret" not in lines


# ------------------------------------------------------------ which profile


def test_a_profile_is_named_and_may_be_overridden_as_in_a_node(cloud, ask, fast_place):
    put(cloud, "sub/x.txt")
    file = comfyui_folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {"team": {"path_prefix": f"{cloud.path_prefix}sub/"}}}))
    assert [each["key"] for each in ask("files/list", profile="team").json["entries"]] == ["x.txt"]
    other = ask("files/list", path_prefix=f"{cloud.path_prefix}sub/").json
    assert [each["key"] for each in other["entries"]] == ["x.txt"]
    answer = ask("files/list", profile="tem")
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert "team" in answer.json["error"]


def test_profiles_json_alone_is_enough(comfyui, ask, fast_place, folder):
    entry = fast_place.settings({"path_prefix": folder})
    entry = {name.removeprefix("COMFY_S3_").lower(): value for name, value in entry.items()}
    comfyui_folders.profiles_file().parent.mkdir(parents=True)
    comfyui_folders.profiles_file().write_text(json.dumps({"profiles": {"home": entry}}))
    put(fast_place.open(path_prefix=folder), "a.txt")
    for chosen in ({}, {"profile": "(env vars)"}, {"profile": "home"}):
        assert [each["key"] for each in ask("files/list", **chosen).json["entries"]] == ["a.txt"]


def test_a_locked_profile_is_not_overridden(cloud, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    assert ask("files/list").status == 200
    for name in ("provider", "bucket", "path_prefix", "region"):
        for route in ("files/list", "thumbnail", "open", "workflow", "test"):
            answer = ask(route, key="x", **{name: "AWS S3" if name == "provider" else "other"})
            assert answer.status == 400
            assert "locked" in answer.json["error"]


def test_a_query_sets_no_key_and_no_endpoint(cloud, ask):
    put(cloud, "a.txt")
    given = {"access_key": "x", "secret_key": "y", "endpoint_url": "http://127.0.0.1:9", "auth": "anonymous"}
    assert [file["key"] for file in ask("files/list", **given).json["entries"]] == ["a.txt"]
