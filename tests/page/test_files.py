"""What the panel Files gets from the server: over HTTP, from real buckets, and nothing from elsewhere."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest
from cloud_storage.comfyui import folders as comfyui_folders
from cloud_storage.page import bucket_catalogue, files
from cloud_storage.profile import resolve
from cloud_storage.storage import changes, connect
from page_requests import OF_ANOTHER_SITE, put

NAMES = ("profiles", "list", "state", "link", "share")


def listed(ask, **query):
    """The first window after the listing has ended."""
    ask("files/list", **query)
    for known in bucket_catalogue._open.values():
        for thread in threading.enumerate():
            if thread.name == "cloud-storage-files":
                thread.join(60)
        assert known.shown()[1].complete
    return ask("files/list", **query).json


def keys(said):
    return [one["key"] for one in said["entries"]]


def write_profiles(profiles):
    file = comfyui_folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": profiles}))


def test_a_window_has_the_folders_and_then_all_files_below_newest_first(cloud, ask):
    put(cloud, "a/1.png", "b.txt", "a/b/2.png")
    said = listed(ask)
    assert keys(said)[:1] == ["a/"]
    assert sorted(keys(said)[1:]) == ["a/1.png", "a/b/2.png", "b.txt"]
    assert (said["total"], said["folders"], said["entries"][0]["count"]) == (4, 1, 2)
    times = [one["modified"] for one in said["entries"][1:]]
    assert times == sorted(times, reverse=True)
    assert keys(listed(ask, folder="a/", order="name")) == ["a/b/", "a/1.png", "a/b/2.png"]
    assert keys(listed(ask, order="name", flat="1")) == ["a/", "b.txt"]
    assert keys(listed(ask, order="name", start=2, count=1)) == ["a/b/2.png"]
    assert keys(listed(ask, search="2.P", order="name")) == ["a/b/2.png"]
    said = listed(ask, endings=".txt", order="name")
    assert (keys(said), said["hidden"]) == (["a/", "b.txt"], 2)
    assert keys(listed(ask, endings=".txt", without="1", folder="a/b/")) == ["a/b/2.png"]
    assert listed(ask, order="name", at="b.txt")["place"] == 3


def test_a_model_has_the_image_beside_it_as_its_preview(cloud, ask):
    put(cloud, "m/a.safetensors", "m/a.preview.png", "m/b.safetensors")
    found = {one["key"]: one.get("preview") for one in listed(ask, folder="m/")["entries"]}
    assert found["m/a.safetensors"]["key"] == "m/a.preview.png"
    assert found["m/b.safetensors"] is None


def test_the_profiles_are_named_with_their_buckets_and_without_their_keys(cloud, ask, fast_place):
    write_profiles({"team": {"path_prefix": f"{cloud.path_prefix}sub/"}, "broken": {"buckt": "x"}})
    said = ask("files/profiles").json
    assert [one["name"] for one in said["profiles"]] == ["(env vars)", "team", "broken"]
    assert said["chosen"] == "(env vars)"
    assert "buckt" in said["profiles"][2]["error"]
    assert fast_place.secret not in json.dumps(said)
    assert fast_place.environ["COMFY_S3_ACCESS_KEY"] not in json.dumps(said)


def test_without_a_bucket_it_says_what_to_do(comfyui, ask):
    said = ask("files/profiles").json
    assert said["profiles"] == []
    assert "No bucket is set" in said["error"]
    assert ask("files/list").status == 400


def test_a_shared_link_works_and_only_for_one_of_the_choices(cloud, ask):
    put(cloud, "a.png", data=b"shared")
    answer = ask("files/share", key="a.png", hours=24)
    assert answer.headers["Cache-Control"] == "no-store"
    with urllib.request.urlopen(answer.json["address"]) as opened:
        assert opened.read() == b"shared"
    for hours in ("0", "2", "-1", "999999", "1e3", "x", "²"):
        assert ask("files/share", key="a.png", hours=hours).status == 400, hours
    assert ask("files/share", key="gone.png", hours=1).status == 404


def test_a_link_is_called_public_only_where_the_settings_say_so(cloud, ask, monkeypatch):
    put(cloud, "a.png")
    said = ask("files/link", key="a.png").json
    assert said["public"] is False
    assert "Signature" not in said["address"]
    monkeypatch.setenv("COMFY_S3_PUBLIC_URL", "https://cdn.example.org")
    assert ask("files/link", key="a.png").json["public"] is True


# ------------------------------------------------------------ who may ask, and what


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_gets_nothing(cloud, ask, headers):
    put(cloud, "a.txt")
    answers = [ask(f"files/{name}", headers=headers, key="a.txt") for name in NAMES]
    answers.append(ask.post("files/refresh", {}, headers))
    answers.append(ask.post("files/changed", {"files": [{"key": "a.txt"}]}, headers))
    for answer in answers:
        assert answer.status == 403
        assert list(answer.json) == ["error"]
    assert not bucket_catalogue._open


def test_nothing_outside_the_prefix_is_listed_or_signed(cloud, ask, fast_place):
    put(fast_place.open(), "outside.png")
    put(cloud, "inside.png")
    above = cloud.path_prefix
    for folder in ("../", "/", f"../{above}", "..", "inside.png/../../"):
        answer = ask("files/list", folder=folder)
        assert b"outside" not in answer.body, folder
    for key in ("", "../outside.png", f"../{above}../outside.png", "/../outside.png", "outside.png"):
        assert ask("files/share", key=key, hours=1).status in (400, 404), key
    assert keys(listed(ask)) == ["inside.png"]


def test_a_list_may_be_of_what_a_node_overrides_and_a_link_may_not(cloud, ask):
    put(cloud, "sub/a.txt")
    elsewhere = {"path_prefix": f"{cloud.path_prefix}sub/", "endpoint_url": "http://127.0.0.1:9"}
    assert keys(listed(ask, **elsewhere)) == ["a.txt"]
    for name in ("link", "share"):
        assert ask(f"files/{name}", key="sub/a.txt", hours=1, **elsewhere).status == 200
    answer = ask("files/list", profile="gone")
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert ask.post("files/refresh", {"profile": ["x"]}).status == 400


def test_a_locked_profile_is_shown_and_not_overridden(cloud, ask, monkeypatch):
    put(cloud, "a.txt")
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    assert keys(listed(ask)) == ["a.txt"]
    for name in ("list", "state"):
        assert ask(f"files/{name}", bucket="other").status == 400
    assert ask.post("files/refresh", {"bucket": "other"}).status == 400


@pytest.mark.parametrize(
    "query",
    [
        {"order": "random"},
        {"start": "-1"},
        {"start": "9" * 40},
        {"count": "x"},
        {"search": "x" * 300},
        {"endings": ",".join(f".{number}" for number in range(300))},
        {"endings": "." + "x" * 40},
        {"folder": "x" * 5000},
        {"folder": "\ud800".encode("utf-16", "surrogatepass").decode("latin-1")},
    ],
)
def test_a_strange_question_is_refused_or_harmless(cloud, ask, query):
    answer = ask("files/list", **query)
    assert answer.status in (200, 400), query
    assert b"Traceback" not in answer.body


def test_many_at_once_make_one_listing_and_answers_are_bounded(cloud, ask, monkeypatch):
    put(cloud, *(f"{number}.txt" for number in range(5)))
    monkeypatch.setattr(files, "WINDOW", 2)
    begun = []
    work = bucket_catalogue.BucketCatalogue._list

    def counted(self):
        begun.append(self)
        return work(self)

    monkeypatch.setattr(bucket_catalogue.BucketCatalogue, "_list", counted)
    threads = [threading.Thread(target=ask, args=("files/list",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert len(ask("files/list", count=1000000).json["entries"]) == 2


def test_who_may_not_list_any_more_sees_nothing(cloud, ask, monkeypatch):
    put(cloud, "a.txt")
    assert keys(listed(ask)) == ["a.txt"]
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "another, which the server refuses")
    ask("files/list")
    for thread in threading.enumerate():
        if thread.name == "cloud-storage-files":
            thread.join(60)
    answer = ask("files/list")
    assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
    assert b"a.txt" not in answer.body
    said = ask("files/list").json
    assert said["entries"] == []
    assert "secret key of the profile" in said["state"]["error"]


# ------------------------------------------------------------ what is new


def test_what_this_comfyui_stores_and_deletes_is_shown_at_once_and_pages_are_told(cloud, ask, comfyui):
    put(cloud, "a.txt")
    assert keys(listed(ask, order="name")) == ["a.txt"]
    comfyui.events.clear()
    elsewhere = cloud.path_prefix + "deeper/"
    put(connect.connect(resolve("", {"path_prefix": elsewhere}, comfyui_folders.profiles_file())), "b.txt")
    assert [event for event, *_ in comfyui.events] == ["cloud_storage.files"]
    put(cloud, "c.txt")
    assert len(comfyui.events) == 1, "nobody has asked since"
    said = ask("files/list", order="name").json
    assert keys(said) == ["deeper/", "a.txt", "c.txt", "deeper/b.txt"]
    assert said["entries"][2]["size"] == 5
    assert said["entries"][2]["modified"].endswith("+00:00")
    cloud.delete("c.txt")
    assert len(comfyui.events) == 2
    said = ask("files/state").json
    assert keys(ask("files/list", order="name").json) == ["deeper/", "a.txt", "deeper/b.txt"]
    assert ask("files/state").json["version"] == said["version"]


def test_what_others_store_is_seen_by_who_looks_into_the_folder(cloud, ask, monkeypatch):
    put(cloud, "a/1.txt")
    assert keys(listed(ask, folder="a/")) == ["a/1.txt"]
    monkeypatch.setattr(changes, "_watchers", [])
    put(cloud, "a/2.txt", "a/b/3.txt")
    assert keys(ask("files/list", folder="a/", flat="1").json) == ["a/1.txt"]
    said = ask("files/list", folder="a/", flat="1", look="1", order="name").json
    assert keys(said) == ["a/b/", "a/1.txt", "a/2.txt"]
    assert said["entries"][0]["count"] is None, "nobody has counted"
    again = ask("files/list", folder="a/", flat="1", look="1", order="name").json
    assert again["version"] == said["version"], "nothing is new"


def test_what_a_node_has_loaded_is_compared_with_what_is_there_now(cloud, ask, monkeypatch):
    names = ("same.txt", "other.txt", "gone.txt")
    put(cloud, *names)
    files = [{"key": name, "etag": cloud.stat(name).etag} for name in names]
    put(cloud, "other.txt", data=b"something else")
    cloud.delete("gone.txt")
    assert ask.post("files/changed", {"files": files}).json == {"changed": [False, True, True]}
    elsewhere = [{**files[0], "endpoint_url": "http://127.0.0.1:9"}]
    elsewhere += [{"key": ""}, {"key": "a", "profile": "gone"}]
    assert ask.post("files/changed", {"files": elsewhere}).json == {"changed": [False, None, None]}
    for strange in (None, "x", [1], [{}] * 21):
        assert ask.post("files/changed", {"files": strange}).status == 400
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    other = [{**files[0], "bucket": "other"}]
    assert ask.post("files/changed", {"files": other}).json == {"changed": [None]}


def test_nothing_outside_the_prefix_is_compared(cloud, ask, fast_place):
    put(fast_place.open(), "outside.png")
    etag = fast_place.open().stat("outside.png").etag
    for key in ("../outside.png", f"../{cloud.path_prefix}../outside.png", "/../outside.png", "outside.png"):
        answer = ask.post("files/changed", {"files": [{"key": key, "etag": etag}]})
        assert answer.json["changed"] in ([None], [True]), "as if it were not there"
