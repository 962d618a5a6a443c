"""Files that the page sends to a bucket, over HTTP: what a node shows, and what is dropped onto one."""

from __future__ import annotations

import http.client
import json
import os
import urllib.parse

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import answers, send
from cloud_storage.saving.outbox import Outbox
from page_requests import OF_ANOTHER_SITE, OURS, picture, put

IMAGE = picture()


@pytest.fixture
def shown(tmp_path, comfyui):
    """Files in ComfyUI's folders, and some that nobody may send."""
    for name in (
        *("output/a.png", "output/clips/film.mp4", "temp/p.png", "input/in.txt", "output/.env"),
        *("models/loras/l.safetensors", "user/default/x.json", "outside/secret.txt"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(IMAGE if name.endswith("png") else name.encode())
    (tmp_path / "output" / "way out").symlink_to(tmp_path / "outside")
    (tmp_path / "output" / "secret.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (tmp_path / "output" / "circle").symlink_to(tmp_path / "output" / "circle")
    return tmp_path


def item(filename, subfolder="", kind="output"):
    return {"filename": filename, "subfolder": subfolder, "type": kind}


def sent(ask, *files, headers=OURS, **further):
    return ask.post("send", {"files": files, **further}, headers)


def drop(ask, data, headers=OURS, **query):
    return ask("drop", headers=headers, method="POST", body=data, **query)


def keys(storage):
    return sorted(info.key for info in storage.list())


def texts(answer):
    return [line if isinstance(line, str) else line[0] for line in answer.json["lines"]]


def leftovers(tmp_path):
    return [path for path in (tmp_path / "temp").rglob("*") if path.is_file() and path.name != "p.png"]


# ------------------------------------------------------------ what a node shows


def test_what_a_node_shows_is_in_the_bucket_and_has_a_link(cloud, shown, ask):
    answer = sent(ask, item("a.png"), item("film.mp4", "clips"), item("p.png", kind="temp"))
    assert answer.status == 200
    assert answer.json["keys"] == ["comfyui/sent/a.png", "comfyui/sent/film.mp4", "comfyui/sent/p.png"]
    assert keys(cloud) == sorted(answer.json["keys"])
    assert cloud.read("comfyui/sent/a.png") == IMAGE
    info = cloud.stat("comfyui/sent/film.mp4")
    assert info.content_type == "video/mp4"
    assert "Saved comfyui/sent/a.png." in texts(answer)
    links = [line for line in answer.json["lines"] if not isinstance(line, str)]
    assert [link[1]["opens"]["key"] for link in links] == answer.json["keys"]


def test_tokens_of_the_folder_are_replaced_and_those_of_a_file_name_are_not(cloud, shown, ask):
    (shown / "output" / "50%date%.txt").write_text("x")
    answer = sent(ask, item("50%date%.txt"), key_prefix="mine/%date:yyyy%")
    (key,) = answer.json["keys"]
    assert key.startswith("mine/2")
    assert key.endswith("/50%date%.txt")


def test_nothing_is_replaced_and_the_same_content_is_not_sent_twice(cloud, shown, ask):
    put(cloud, "comfyui/sent/a.png", data=b"somebody else's")
    for _ in range(2):
        assert sent(ask, item("a.png"), item("a.png")).json["keys"] == ["comfyui/sent/a_00002.png"]
    assert cloud.read("comfyui/sent/a.png") == b"somebody else's"
    assert keys(cloud) == ["comfyui/sent/a.png", "comfyui/sent/a_00002.png"]


def test_while_the_bucket_is_away_a_copy_waits_in_the_outbox(cloud, shown, ask, monkeypatch, impatient):
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = sent(ask, item("a.png"))
    assert (answer.status, answer.json["keys"]) == (200, [""])
    assert "NOT in the bucket yet: comfyui/sent/a.png." in texts(answer)
    (entry,) = Outbox(folders.outbox_folder()).contents().entries
    assert entry.path.read_bytes() == IMAGE


def test_a_profile_that_refuses_keeps_nothing_and_says_why(cloud, shown, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    answer = sent(ask, item("a.png"))
    assert answer.status == 400
    assert "read-only" in answer.json["error"]
    assert Outbox(folders.outbox_folder()).is_empty
    assert keys(cloud) == []


@pytest.mark.parametrize(
    "given",
    [
        item("secret.txt"),
        item("secret.txt", "way out"),
        item("secret.txt", "../outside"),
        item("../outside/secret.txt"),
        item("/etc/passwd"),
        item("passwd", "/etc"),
        item("l.safetensors", "loras", "models"),
        item("x.json", "default", "user"),
        item("l.safetensors", "../models/loras"),
        item("a.png", kind=""),
        item("a.png", kind="../output"),
        item(".env"),
        item("circle"),
        item(""),
        item("clips"),
        item("zero\0byte"),
        item("x" * 5000),
        item("gone.png"),
    ],
    ids=lambda each: f"{each['type']}:{each['subfolder']}:{each['filename'][:20]!r}",
)
def test_no_other_file_of_the_machine_is_sent(cloud, shown, ask, given):
    answer = sent(ask, item("a.png"), given)
    assert answer.status == 404
    assert b"outside" not in answer.body or "outside" in given["filename"]
    assert keys(cloud) == [], "also not the file that may be sent"


@pytest.mark.parametrize(
    "said",
    [
        *({}, {"files": []}, {"files": "a.png"}, {"files": ["a.png"]}, {"files": [item(["a.png"])]}),
        *({"files": [item("a.png")], "profile": ["x"]}, {"files": [item("a.png")], "key_prefix": 5}),
        *({"files": [item("a.png")], "key_prefix": "../x"}, {"files": [item("a.png")], "profile": "other"}),
        {"files": [item("a.png")] * (send.MOST_FILES + 1)},
    ],
    ids=range(10),
)
def test_a_request_that_is_none_gets_an_error_and_sends_nothing(cloud, shown, ask, said):
    answer = ask.post("send", said)
    assert answer.status == 400
    assert answer.json["error"]
    assert keys(cloud) == []


def test_a_request_chooses_a_profile_by_its_name_and_nothing_else_of_it(cloud, shown, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    given = {
        "bucket": "other",
        "path_prefix": "other/",
        "endpoint_url": "http://127.0.0.1:9",
        "secret_key": "x",
    }
    answer = sent(ask, item("a.png"), **given)
    assert answer.status == 200
    assert keys(cloud) == ["comfyui/sent/a.png"]


# ------------------------------------------------------------ what is dropped onto a node


def test_a_dropped_file_is_in_the_folder_under_its_own_name(cloud, ask, tmp_path):
    answer = drop(ask, IMAGE, name="Ein Bild %date%.png", folder="renders/")
    assert answer.status == 200
    assert answer.json["key"] == "renders/Ein Bild %date%.png"
    assert answer.json["size"] == len(IMAGE)
    assert cloud.read(answer.json["key"]) == IMAGE
    assert cloud.stat(answer.json["key"]).content_type == "image/png"
    assert leftovers(tmp_path) == []


def test_a_name_that_is_taken_gets_a_number_unless_the_content_is_the_same(cloud, ask):
    put(cloud, "uploads/a.png", data=b"another")
    for _ in range(2):
        assert drop(ask, IMAGE, name="a.png", folder="uploads/").json["key"] == "uploads/a_00002.png"
    assert cloud.read("uploads/a.png") == b"another"


def test_a_large_file_goes_to_the_disk_as_it_arrives(cloud, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(send, "WRITTEN_BYTES", 1000)
    data = os.urandom(3_000_001)
    assert drop(ask, data, name="a.bin").json["key"] == "a.bin"
    assert cloud.read("a.bin") == data


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("../../x.png", "f/x.png"),
        ("C:\\a\\x.png", "f/x.png"),
        ("/etc/x.png", "f/x.png"),
        (".x.png", "f/.x.png"),
    ],
)
def test_of_a_name_only_its_last_part_counts(cloud, ask, name, key):
    assert drop(ask, b"x", name=name, folder="f/").json["key"] == key


@pytest.mark.parametrize(
    "query",
    [
        *({"name": ""}, {"name": ".."}, {"name": "a/.."}, {"name": "x", "folder": "../"}, {"name": "a\nb"}),
        *({"name": "x", "folder": "a/../../"}, {"name": "x" * 3000}, {"name": "x", "profile": "other"}),
    ],
    ids=range(8),
)
def test_a_bad_name_or_folder_is_refused_and_leaves_nothing(cloud, ask, tmp_path, query):
    answer = drop(ask, b"x", **query)
    assert answer.status == 400
    assert leftovers(tmp_path) == []
    assert keys(cloud) == []


def test_a_dropped_file_that_cannot_be_stored_is_not_kept(cloud, ask, tmp_path, monkeypatch, impatient):
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    assert drop(ask, IMAGE, name="a.png").status == 504
    assert Outbox(folders.outbox_folder()).is_empty
    assert leftovers(tmp_path) == []


def test_a_locked_profile_takes_a_dropped_file_nowhere_else(cloud, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    for name in ("provider", "bucket", "path_prefix", "region"):
        answer = drop(ask, b"x", name="a.txt", **{name: "AWS S3" if name == "provider" else "other"})
        assert answer.status == 400
        assert "locked" in answer.json["error"]
    assert keys(cloud) == []


def test_a_file_that_is_too_large_is_refused_with_the_size(cloud, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(send, "DROPPED_BYTES", 1 << 30)
    monkeypatch.setattr(send, "KEPT_FREE_BYTES", 0)
    host = urllib.parse.urlsplit(ask.address)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=60)
    connection.putrequest("POST", "/api/cloud_storage/drop?name=a.bin")
    for name, value in {**OURS, "Content-Length": str((1 << 30) + 1)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "larger than 1 GB" in json.loads(answer.read())["error"]
    connection.close()
    assert leftovers(tmp_path) == []


def test_a_file_for_which_the_disk_has_no_room_is_refused(cloud, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(send, "KEPT_FREE_BYTES", 1 << 60)
    answer = drop(ask, b"x", name="a.txt")
    assert answer.status == 413
    assert "not enough room" in answer.json["error"]


def test_a_body_without_a_length_is_stopped_where_it_is_too_large(cloud, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(send, "DROPPED_BYTES", 100_000)
    host = urllib.parse.urlsplit(ask.address)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=60)
    parts = iter([b"x" * 50_000] * 3)
    connection.request("POST", "/api/cloud_storage/drop?name=a.bin", parts, OURS, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()
    assert leftovers(tmp_path) == []
    assert keys(cloud) == []


# ------------------------------------------------------------ who may ask


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_sends_nothing(cloud, shown, ask, headers):
    for answer in (sent(ask, item("a.png"), headers=headers), drop(ask, b"x", headers, name="a.txt")):
        assert answer.status == 403
        assert list(answer.json) == ["error"]
    assert keys(cloud) == []
    assert leftovers(shown) == []


def test_a_get_sends_nothing(cloud, shown, ask):
    for route in ("send", "drop"):
        assert ask(route, name="a.txt").status == 405
    assert keys(cloud) == []


def test_a_flood_of_uploads_is_refused_and_the_rest_is_served(cloud, shown, ask, monkeypatch):
    monkeypatch.setattr(answers, "SENDS_AT_ONCE", 0)
    monkeypatch.setattr(answers, "SENDS_WAITING", 0)
    for answer in (sent(ask, item("a.png")), drop(ask, b"x", name="a.txt")):
        assert answer.status == 503
        assert "Too many files" in answer.json["error"]
    assert ask("files/list").status == 200
