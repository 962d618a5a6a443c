"""Workflows in the bucket, over HTTP and from real buckets: which, where, and what is refused."""

from __future__ import annotations

import json

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.mirror import sender
from cloud_storage.mirror.names import Names
from cloud_storage.page import answers, request_reading, workflows
from cloud_storage.system.meter import Meter
from page_requests import OF_ANOTHER_SITE, WORKFLOWS, content, put, workflow


def names(ask, **query):
    return [each["name"] for each in ask("workflows/list", **query).json["workflows"]]


# ------------------------------------------------------------ save and open


def test_a_workflow_is_saved_listed_and_opened(cloud, ask, save, monkeypatch):
    monkeypatch.setattr(workflows.platform, "node", lambda: "gpu ü 3")
    saved = save("flux/portrait ü", "first")
    assert (saved.status, saved.json["name"]) == (200, "flux/portrait ü")
    assert cloud.read(f"{WORKFLOWS}flux/portrait ü.json") == content("first").encode()
    listed = ask("workflows/list").json
    assert (listed["bucket"], listed["complete"]) == (cloud.bucket, True)
    assert listed["folder"] == f"{cloud.path_prefix}{WORKFLOWS}"
    (one,) = listed["workflows"]
    assert (one["name"], one["etag"]) == ("flux/portrait ü", saved.json["version"]["etag"])
    opened = ask("workflows/read", key=f"{WORKFLOWS}flux/portrait ü.json").json
    assert (opened["workflow"], opened["name"]) == (workflow("first"), "flux/portrait ü")
    assert opened["version"]["etag"] == saved.json["version"]["etag"]
    assert opened["version"]["saved_on"] == "gpu ü 3"
    assert opened["version"]["modified"]


@pytest.mark.parametrize(
    ("written", "name"),
    [("a.json", "a"), ("a.JSON", "a"), (" /b//c ", "b/c"), ("e\u0301", "é"), ("x.y", "x.y")],
)
def test_a_name_is_tidied_before_it_becomes_a_key(cloud, save, written, name):
    assert save(written).json["name"] == name
    assert [info.key for info in cloud.list()] == [f"{WORKFLOWS}{name}.json"]


# ------------------------------------------------------------ where


def test_the_mirror_has_the_same_key_and_does_not_send_it_again(cloud, ask, save, tmp_path):
    save("flux/a", "x")
    key = Names("workflows", "comfyui/").key("flux/a.json")
    info = cloud.stat(key)
    (tmp_path / "a.json").write_text(content("x"))
    target = sender.Target(tmp_path, Names("workflows", "comfyui/"), None, 1)
    file = sender.Fingerprint.of(tmp_path / "a.json")
    made = sender._content(target, cloud, "a.json", file, Meter())
    assert made.is_of(info)


def test_the_folder_is_that_of_the_profiles_setting(cloud, ask, save, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MIRROR_PREFIX", "team")
    save("a")
    (info,) = cloud.list()
    assert info.key.startswith("team")
    assert info.key.endswith("workflows/a.json")
    assert names(ask) == ["a"]
    assert ask("workflows/read", key=info.key).json["name"] == "a"


def test_each_profile_has_workflows_of_its_own(cloud, ask, save):
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {"team": {"path_prefix": f"{cloud.path_prefix}team/"}}}))
    save("a")
    assert save("b", profile="team").json["name"] == "b"
    assert (names(ask), names(ask, profile="team")) == (["a"], ["b"])
    assert cloud.stat(f"team/{WORKFLOWS}b.json")
    for answer in (save("c", profile="tem"), ask("workflows/list", profile="tem")):
        assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert save("c", profile=["team"]).status == 400


def test_what_is_no_workflow_is_not_in_the_list(cloud, ask, save):
    save("b/a")
    save("a")
    put(
        cloud,
        f"{WORKFLOWS}.index.json",
        f"{WORKFLOWS}a.png",
        f"{WORKFLOWS}b/.hidden.json",
        "a.json",
        "workflows/a.json",
    )
    assert names(ask) == ["a", "b/a"]


def test_a_long_list_says_that_it_is_not_complete(ask, save, monkeypatch):
    for name in "abc":
        save(name)
    monkeypatch.setattr(workflows, "LISTED_KEYS", 2)
    said = ask("workflows/list").json
    assert ([each["name"] for each in said["workflows"]], said["complete"]) == (["a", "b"], False)
    monkeypatch.setattr(workflows, "LISTED_KEYS", 3)
    assert ask("workflows/list").json["complete"]


def test_a_workflow_elsewhere_is_opened_and_has_no_version(cloud, ask):
    put(cloud, "notes/b.json", data=content().encode())
    assert ask("workflows/read", key="notes/b.json").json == {"workflow": workflow(), "name": "b"}


def test_a_prompt_of_the_api_is_opened_as_one(cloud, ask):
    prompt = {"1": {"class_type": "SaveImage", "inputs": {}}}
    put(cloud, f"{WORKFLOWS}p.json", data=json.dumps(prompt).encode())
    assert ask("workflows/read", key=f"{WORKFLOWS}p.json").json == {"prompt": prompt, "name": "p"}


# ------------------------------------------------------------ who and what is refused


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_reads_and_saves_nothing(cloud, ask, headers):
    put(cloud, f"{WORKFLOWS}a.json", data=content().encode())
    for answer in (
        ask("workflows/list", headers=headers),
        ask("workflows/read", headers=headers, key=f"{WORKFLOWS}a.json"),
        ask.post("workflows/save", {"name": "b", "content": content()}, headers=headers),
    ):
        assert answer.status == 403
        assert b"SaveImage" not in answer.body
    assert ask("workflows/save", name="b", content=content()).status in (404, 405)
    assert [info.key for info in cloud.list()] == [f"{WORKFLOWS}a.json"]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "/", ".json", ".hidden", "a/.hidden", "../x", "a/../../../x", "..", "a/./b", "a\\b"),
        *("a\nb", "a\0", "\ud800", "x" * 1100, "a/", 7),
    ],
)
def test_no_name_leads_out_of_the_folder_or_hides(cloud, save, name):
    answer = save(name)
    if name == "a/":  # a slash at the end is no folder of its own
        assert answer.json["name"] == "a"
        return
    assert (answer.status, answer.json["kind"]) in ((400, "ConfigurationError"), (400, "BadKey"))
    assert list(cloud.list()) == []


def test_nothing_outside_the_prefix_is_read(cloud, ask, fast_place):
    put(fast_place.open(), "outside.json", data=content().encode())
    for key in ("../outside.json", "/../outside.json", "", "gone.json", f"{WORKFLOWS}../../../outside.json"):
        assert ask("workflows/read", key=key).status in (400, 404), key


@pytest.mark.parametrize(
    "text",
    [
        *("", "text", "{", "[]", "null", '{"a": 1}', '{"nodes": {}}', "[" * 100_000),
        *(
            json.dumps({"1": {"class_type": "SaveImage", "inputs": {}}}),
            '{"nodes": []',
            '{"nodes": ["\ud800"]}',
        ),
    ],
)
def test_only_a_workflow_of_the_page_is_saved(cloud, save, text):
    answer = save(content=text)
    assert (answer.status, answer.json["kind"]) == (415, "MediaError")
    assert answer.json["error"].startswith("a ")
    assert list(cloud.list()) == []


def test_what_is_no_text_is_refused(cloud, save):
    for said in ({"content": workflow()}, {"replaces": ["*"]}, {"name": {}, "content": []}):
        assert save(**said).status in (400, 415)
    assert list(cloud.list()) == []


def test_what_is_larger_than_any_workflow_is_refused(cloud, ask, save, monkeypatch):
    put(cloud, f"{WORKFLOWS}big.json", data=content("x" * 2_000_000).encode())
    monkeypatch.setattr(workflows, "WORKFLOW_BYTES", 1 << 20)
    for answer in (save(text="x" * 2_000_000), ask("workflows/read", key=f"{WORKFLOWS}big.json")):
        assert (answer.status, answer.json["kind"]) == (415, "MediaError")
        assert "larger than 1 MB" in answer.json["error"]
    monkeypatch.setattr(request_reading, "BODY_BYTES", 1 << 20)
    assert save(text="x" * 2_000_000).status == 400
    assert [info.key for info in cloud.list()] == [f"{WORKFLOWS}big.json"]


def test_a_flood_of_saves_is_refused(cloud, comfyui, monkeypatch, request):
    monkeypatch.setattr(answers, "SENDS_AT_ONCE", 0)
    monkeypatch.setattr(answers, "SENDS_WAITING", 0)
    ask = request.getfixturevalue("ask")
    answer = ask.post("workflows/save", {"name": "a", "content": content()})
    assert (answer.status, answer.json["kind"]) == (503, "Throttled")
    assert ask("workflows/list").status == 200


def test_a_locked_or_read_only_profile_keeps_to_itself(cloud, ask, save, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    for override in ({"bucket": "other"}, {"path_prefix": "other/"}, {"mirror_prefix": "../"}):
        assert save("a", "x", **override).json["name"] == "a"
        assert ask("workflows/list", **override).json["bucket"] == cloud.bucket
    assert [info.key for info in cloud.list()] == [f"{WORKFLOWS}a.json"]
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    answer = save("b")
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert "read-only" in answer.json["error"]
    assert names(ask) == ["a"]


def test_no_answer_and_no_object_has_a_secret(cloud, ask, save, fast_place):
    save("a")
    bodies = [
        save("a", "x").body,
        ask("workflows/list").body,
        ask("workflows/read", key=f"{WORKFLOWS}a.json").body,
        cloud.read(f"{WORKFLOWS}a.json"),
    ]
    assert not any(fast_place.secret.encode() in body for body in bodies)


def test_the_page_is_told_if_the_server_itself_refuses(ask, cloud):
    said = ask("workflows/list").json["is_certain"]
    assert said == cloud.refuses_replaced
