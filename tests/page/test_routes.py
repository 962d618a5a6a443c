"""What the server answers our page: over HTTP, from real buckets, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from io import BytesIO

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cloud_storage.comfyui import folders as comfyui_folders
from cloud_storage.comfyui import uploadable_files
from cloud_storage.page import browse, routes, thumbnails
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT, load_package
from PIL import Image
from servers.page import served

OURS = {routes.OUR_HEADER: "1"}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@pytest.fixture
def ask(comfyui):
    """``ask("list", folder="a/")`` is what a GET gives; the server is ComfyUI's stand-in with our routes."""
    assert routes.register("comfyui-cloud-storage")

    @comfyui.routes.get("/elsewhere")
    async def elsewhere(_request):
        return web.Response(text="here")

    with served(comfyui.routes, {}) as address:

        def get(route, headers=OURS, method="GET", **query):
            path = route if route.startswith("/") else f"/api/cloud_storage/{route}"
            url = f"{address}{path}?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(url, headers=headers, method=method)
            try:
                answer = urllib.request.urlopen(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                return Answer(answer.status, dict(answer.headers), answer.read())

        get.address = address
        yield get


def put(storage, *keys, data=b"12345"):
    for key in keys:
        storage.put(key, data, PutOptions(), Meter())


def picture(size=(400, 200), form="PNG", mode="RGB", colour=(200, 100, 50), **options):
    written = BytesIO()
    Image.new(mode, size, colour).save(written, form, **options)
    return written.getvalue()


# ------------------------------------------------------------ listing


def test_a_folder_is_listed_with_its_folders_files_sizes_and_dates(cloud, ask):
    put(cloud, "a/1.png", "a/b/2.png", "c.txt", "a/marker/")
    found = ask("list", folder="a/").json
    assert found["folders"] == ["a/b/", "a/marker/"]
    (file,) = found["files"]
    assert (file["key"], file["size"], file["etag"]) == ("a/1.png", 5, cloud.stat("a/1.png").etag)
    assert file["modified"].endswith("+00:00")
    assert found["following"] == ""
    assert ask("list").json["folders"] == ["a/"]
    assert ask("list", folder="a").json == found, "a folder may be named without its slash"
    assert ask("list", folder="a/marker/").json["files"] == [], "an object that stands for a folder is none"


def test_long_folders_come_in_pages(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 2)
    keys = [f"{number}.txt" for number in range(5)]
    put(cloud, *keys)
    found, token = [], ""
    while True:
        page = ask("list", token=token).json
        assert len(page["files"]) <= 2
        found += [file["key"] for file in page["files"]]
        token = page["following"]
        if not token:
            break
    assert found == keys


def test_a_search_finds_what_lies_anywhere_below_in_small_letters_or_capitals(cloud, ask):
    put(cloud, "a/Portrait.png", "a/b/c/portrait_2.PNG", "a/other.txt", "portrait.txt", "a/portraits/")
    found = ask("list", folder="a/", search="PORTRAIT").json
    assert [file["key"] for file in found["files"]] == ["a/Portrait.png", "a/b/c/portrait_2.PNG"]
    assert (found["folders"], found["following"]) == ([], "")
    assert ask("list", folder="a/", search="a/p").json["files"] == [], "the folder itself is not searched in"


def test_a_search_looks_at_a_bounded_number_of_keys_and_goes_on_from_there(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "SEARCHED_KEYS", 3)
    monkeypatch.setattr(browse, "FOUND_KEYS", 2)
    put(cloud, *(f"{number}.txt" for number in range(4)), "5-found", "6-found", "7-found")
    found, token, asked = [], "", 0
    while True:
        page = ask("list", search="found", token=token).json
        found += [file["key"] for file in page["files"]]
        token, asked = page["following"], asked + 1
        if not token:
            break
    assert found == ["5-found", "6-found", "7-found"]
    assert asked == 3


def test_nothing_outside_the_prefix_is_ever_listed_or_shown(cloud, ask, fast_place):
    fast_place.open().put("outside.png", picture(), PutOptions(), Meter())
    put(cloud, "inside.txt")
    above = cloud.path_prefix
    for folder in ("", "/", "//", "../", f"../{above}", "%2e%2e/", "./", "a/../../", "\\", "/../"):
        for further in ({}, {"search": "side"}):
            answer = ask("list", folder=folder, **further)
            assert b"outside" not in answer.body, (folder, further)
            assert b"inside" in answer.body or answer.status == 400 or answer.json["files"] == [], folder
    for key in ("../outside.png", "/../outside.png", f"../{above}../outside.png", "outside.png"):
        assert ask("thumbnail", key=key).status in (400, 404), key


def test_a_token_of_another_folder_leads_nowhere_else(cloud, ask, fast_place, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 1)
    outer = fast_place.open(path_prefix="")
    put(outer, "zz-outside-1", "zz-outside-2")
    put(cloud, "1", "2")
    token = outer.page("zz-outside-", 1).following
    assert token
    assert b"outside" not in ask("list", token=token).body
    assert b"outside" not in ask("list", token="zz-outside-", search="o").body
    assert ask("list", token="x" * (browse.TOKEN_CHARACTERS + 1)).status == 400


def test_only_files_with_one_of_the_endings_are_listed_and_the_others_are_counted(cloud, ask, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 2)
    put(cloud, "1.txt", "2.txt", "3.txt", "4.PNG", "5.txt", "6.jpeg")
    first = ask("list", endings=".png,.jpeg").json
    assert ([file["key"] for file in first["files"]], first["hidden"]) == (["4.PNG"], 3)
    second = ask("list", endings=".png,.jpeg", token=first["following"]).json
    assert ([file["key"] for file in second["files"]], second["hidden"]) == (["6.jpeg"], 1)
    assert second["following"] == ""
    monkeypatch.setattr(browse, "EMPTY_PAGES", 1)
    page = ask("list", endings=".png").json
    assert (page["files"], page["hidden"]) == ([], 2)
    assert page["following"], "an empty page is not the end"
    for order in ("", "largest"):
        found = ask("list", search="t", endings=".txt", order=order).json
        assert [file["key"] for file in found["files"]] == ["1.txt", "2.txt", "3.txt", "5.txt"]
    assert ask("list", endings=",".join(["." + "x" * 20])).status == 400
    assert ask("list", endings=",".join([".x"] * 65)).status == 400


def test_an_order_is_of_all_files_and_says_where_it_is_not(cloud, ask, monkeypatch):
    for number in range(8):
        put(cloud, f"a/{number}.txt", data=b"x" * number)
    put(cloud, "a/b/9.txt", data=b"x" * 9)
    found = ask("list", folder="a/", order="largest").json
    assert [file["size"] for file in found["files"]] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert (found["folders"], found["total"], found["complete"]) == (["a/b/"], 8, True)
    deeper = ask("list", folder="a/", order="largest", search="9").json
    assert [file["key"] for file in deeper["files"]] == ["a/b/9.txt"]
    monkeypatch.setattr(browse, "ORDERED_FILES", 2)
    found = ask("list", folder="a/", order="largest").json
    assert [file["size"] for file in found["files"]] == [7, 6]
    assert (found["total"], found["complete"]) == (8, True)
    monkeypatch.setattr(browse, "ORDERED_KEYS", 3)
    for search in ("", "t"):
        assert ask("list", folder="a/", order="largest", search=search).json["complete"] is False
    answer = ask("list", order="oddest")
    assert answer.status == 400
    assert "newest or largest" in answer.json["error"]


# ------------------------------------------------------------ ComfyUI's own folders


@pytest.fixture
def local(tmp_path, comfyui):
    """Files in ComfyUI's folders, and things that nobody may see."""
    for name in (
        *("output/a.png", "output/clips/film.mp4", "output/clips/deep/film2.mp4", "input/in.txt"),
        *("models/loras/l.safetensors", "output/.hidden/x.txt", "output/.env", "outside/secret.txt"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture() if name.endswith("png") else name.encode())
    (tmp_path / "output" / "way out").symlink_to(tmp_path / "outside")
    (tmp_path / "output" / "secret.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (tmp_path / "output" / "clips" / "again").symlink_to(tmp_path / "output")
    return tmp_path


def keys(answer):
    return answer.json["folders"], [file["key"] for file in answer.json["files"]]


def test_comfyuis_own_folders_are_listed_as_upload_file_takes_them(local, ask):
    assert keys(ask("local")) == (["input/", "models/", "output/", "temp/"], [])
    assert keys(ask("local", folder="output/")) == (["output/clips/"], ["output/a.png"])
    folders, files = keys(ask("local", folder="output/clips/"))
    assert (folders, files) == (["output/clips/again/", "output/clips/deep/"], ["output/clips/film.mp4"])
    assert keys(ask("local", search="FILM"))[1] == ["output/clips/deep/film2.mp4", "output/clips/film.mp4"]
    assert keys(ask("local", folder="output/", endings=".mp4")) == (["output/clips/"], [])
    (file,) = ask("local", folder="output/").json["files"]
    assert file["size"] == len(picture())
    assert file["modified"].endswith("+00:00")
    for key in ("output/a.png", "output/clips/film.mp4", "models/loras/l.safetensors"):
        assert uploadable_files.chosen(key) == local / key
    assert Image.open(BytesIO(ask("local_thumbnail", key="output/a.png").body)).size == (160, 80)
    assert ask("local_thumbnail", key="input/in.txt").status == 415


def test_a_link_that_leads_to_itself_hides_no_other_file(local, ask):
    (local / "output" / "circle").symlink_to(local / "output" / "circle")
    assert keys(ask("local", folder="output/")) == (["output/clips/"], ["output/a.png"])
    assert "output/a.png" in keys(ask("local", search="a.png"))[1]


def test_a_key_of_the_list_means_that_file_even_where_another_fits_too(local, ask):
    other = local / "output" / "output" / "a.png"
    other.parent.mkdir()
    other.write_bytes(b"another")
    assert "output/a.png" in keys(ask("local", folder="output/"))[1]
    assert uploadable_files.chosen("output/a.png") == local / "output" / "a.png"
    assert uploadable_files.chosen("output/output/a.png") == other


def test_long_local_folders_come_in_pages_and_in_order(local, ask, monkeypatch):
    monkeypatch.setattr(browse, "PAGE_ENTRIES", 2)
    for number in range(5):
        (local / "temp" / f"{number}.txt").write_bytes(b"x" * number)
        os.utime(local / "temp" / f"{number}.txt", (0, 1000 - number))
    found, token = [], ""
    while True:
        page = ask("local", folder="temp/", token=token)
        found += keys(page)[1]
        token = page.json["following"]
        if not token:
            break
    assert found == [f"temp/{number}.txt" for number in range(5)]
    assert keys(ask("local", folder="temp/", order="largest"))[1] == found[::-1]
    assert keys(ask("local", folder="temp/", order="newest"))[1] == found
    monkeypatch.setattr(browse, "ORDERED_KEYS", 3)
    assert ask("local", folder="temp/", order="newest").json["complete"] is False


@pytest.mark.parametrize(
    "folder",
    [
        *("../", "output/../", "output/../outside/", "outside/", "/etc/", "output/way out/"),
        *("output/.hidden/", "user/", "zero\0byte/", "output/zero\0byte/", "output/a.png/"),
        *("x" * 5000 + "/", "output/" + "x" * 5000 + "/"),
    ],
)
def test_no_other_local_folder_is_ever_listed(local, ask, folder):
    for search in ("", "secret"):
        answer = ask("local", folder=folder, search=search)
        assert answer.status == 404, answer.body
        assert b"secret.txt" not in answer.body
    for key in ("outside/secret.txt", "../outside/secret.txt", "output/secret.txt", "/etc/passwd", ".env"):
        assert ask("local_thumbnail", key=key).status == 404


# ------------------------------------------------------------ small pictures


def test_a_small_picture_is_small_and_shows_the_image(cloud, ask):
    put(cloud, "a.png", data=picture())
    answer = ask("thumbnail", key="a.png", etag=cloud.stat("a.png").etag)
    small = Image.open(BytesIO(answer.body))
    assert (small.format, small.size) == ("WEBP", (160, 80))
    shown = small.getpixel((80, 40))
    assert all(abs(one - other) < 8 for one, other in zip(shown, (200, 100, 50), strict=True))
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"].startswith("private, max-age=")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF's orientation: a quarter to the right
    return picture(form="JPEG", exif=exif)


@pytest.mark.parametrize(
    ("data", "size", "bands"),
    [
        (_turned(), (80, 160), "RGB"),
        (picture(mode="I;16", colour=32768), (160, 80), "RGB"),
        (picture(mode="RGBA", colour=(1, 2, 3, 0)), (160, 80), "RGBA"),
        (picture(mode="P", colour=0, transparency=0), (160, 80), "RGBA"),
        (picture(form="GIF", mode="L", colour=9), (160, 80), "RGB"),
        (picture(form="TIFF", mode="CMYK", colour=(0, 0, 0, 0)), (160, 80), "RGB"),
        (picture(size=(3, 2), form="WEBP"), (3, 2), "RGB"),
    ],
    ids=["turned", "16 bits", "alpha", "palette", "gif", "cmyk", "tiny"],
)
def test_images_of_all_sorts_have_one(cloud, ask, data, size, bands):
    put(cloud, "a", data=data)
    small = Image.open(BytesIO(ask("thumbnail", key="a").body))
    assert (small.size, small.mode) == (size, bands)
    if bands == "RGB" and data == picture(mode="I;16", colour=32768):
        assert abs(small.getpixel((0, 0))[0] - 128) < 4


def test_what_is_no_image_or_too_large_has_none(cloud, ask, monkeypatch):
    put(cloud, "text.png", data=b"no image at all")
    put(cloud, "eps.png", data=b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    put(cloud, "cut.png", data=picture()[:100])
    put(cloud, "of another sort.png", data=picture(form="PPM"))
    put(cloud, "large.png", data=picture())
    for key in ("text.png", "eps.png", "cut.png", "of another sort.png"):
        answer = ask("thumbnail", key=key)
        assert (answer.status, answer.json["kind"]) == (415, "MediaError"), key
    monkeypatch.setattr(thumbnails, "SOURCE_MAX_PIXELS", 400 * 200 - 1)
    assert "pixels" in ask("thumbnail", key="large.png").json["error"]
    monkeypatch.setattr(thumbnails, "SOURCE_MAX_BYTES", 50)
    assert "bytes" in ask("thumbnail", key="large.png").json["error"]


def test_an_image_that_takes_two_requests_arrives_whole(cloud, ask, monkeypatch):
    monkeypatch.setattr(thumbnails, "FIRST_BYTES", 64)
    put(cloud, "a.png", data=picture())
    assert Image.open(BytesIO(ask("thumbnail", key="a.png").body)).size == (160, 80)


def test_a_small_picture_is_made_once_for_each_version(cloud, ask, monkeypatch):
    monkeypatch.setattr(thumbnails, "_kept", type(thumbnails._kept)())
    put(cloud, "a.png", data=picture())
    etag = cloud.stat("a.png").etag
    first = ask("thumbnail", key="a.png", etag=etag).body
    made = thumbnails._made
    monkeypatch.setattr(thumbnails, "_made", None)
    assert ask("thumbnail", key="a.png", etag=etag).body == first
    monkeypatch.setattr(thumbnails, "_made", made)
    put(cloud, "a.png", data=picture(colour=(0, 0, 0)))
    assert ask("thumbnail", key="a.png", etag="another").status == 409
    monkeypatch.setattr(thumbnails, "KEPT_MAX_BYTES", 0)
    assert ask("thumbnail", key="a.png", etag=cloud.stat("a.png").etag).body != first
    assert not thumbnails._kept


def test_a_small_picture_made_before_is_for_nobody_who_may_not_read_the_object(cloud, ask, monkeypatch):
    put(cloud, "a.png", data=picture())
    etag = cloud.stat("a.png").etag
    assert ask("thumbnail", key="a.png", etag=etag).status == 200
    with monkeypatch.context() as patch:
        patch.setenv("COMFY_S3_SECRET_KEY", "another, which the server refuses")
        answer = ask("thumbnail", key="a.png", etag=etag)
        assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
    cloud.delete("a.png")
    assert ask("thumbnail", key="a.png", etag=etag).status == 404


@pytest.mark.parametrize("etag", ["a\r\nX-Own: 1", 'a"', "\0", "a b", "é", "x" * 300])
def test_what_is_no_etag_is_not_sent(cloud, ask, etag):
    put(cloud, "a.png", data=picture())
    answer = ask("thumbnail", key="a.png", etag=etag)
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")


# ------------------------------------------------------------ what a link on a node opens


def expiry(address):
    """For how many seconds an address is signed, with S3's or OSS's query."""
    given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    seconds = given.get("X-Amz-Expires") or given.get("x-oss-expires")
    return int(seconds) if seconds else round(int(given["Expires"]) - time.time())


def test_what_was_saved_opens_for_a_minute(cloud, ask):
    put(cloud, "a b/ü&.png", data=b"what was saved")
    answer = ask("open", key="a b/ü&.png")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert list(answer.json) == ["address"]
    with urllib.request.urlopen(answer.json["address"]) as opened:
        assert opened.read() == b"what was saved"
    assert routes.OPEN_SECONDS - 5 <= expiry(answer.json["address"]) <= routes.OPEN_SECONDS


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
    assert [each["key"] for each in ask("list", profile="team").json["files"]] == ["x.txt"]
    other = ask("list", path_prefix=f"{cloud.path_prefix}sub/").json
    assert [each["key"] for each in other["files"]] == ["x.txt"]
    answer = ask("list", profile="tem")
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
    assert "team" in answer.json["error"]


def test_profiles_json_alone_is_enough(comfyui, ask, fast_place, folder):
    entry = fast_place.settings({"path_prefix": folder})
    entry = {name.removeprefix("COMFY_S3_").lower(): value for name, value in entry.items()}
    comfyui_folders.profiles_file().parent.mkdir(parents=True)
    comfyui_folders.profiles_file().write_text(json.dumps({"profiles": {"home": entry}}))
    put(fast_place.open(path_prefix=folder), "a.txt")
    for chosen in ({}, {"profile": "(env vars)"}, {"profile": "home"}):
        assert [each["key"] for each in ask("list", **chosen).json["files"]] == ["a.txt"]


def test_a_locked_profile_is_not_overridden(cloud, ask, monkeypatch):
    monkeypatch.setenv("COMFY_S3_LOCKED", "1")
    assert ask("list").status == 200
    for name in ("provider", "bucket", "path_prefix", "region"):
        for route in ("list", "thumbnail", "open", "test"):
            answer = ask(route, key="x", **{name: "AWS S3" if name == "provider" else "other"})
            assert answer.status == 400
            assert "locked" in answer.json["error"]


def test_a_query_sets_no_key_and_no_endpoint(cloud, ask):
    put(cloud, "a.txt")
    given = {"access_key": "x", "secret_key": "y", "endpoint_url": "http://127.0.0.1:9", "auth": "anonymous"}
    assert [file["key"] for file in ask("list", **given).json["files"]] == ["a.txt"]


# ------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {**OURS, "Origin": "http://127.0.0.1:1"},
        {**OURS, "Origin": "https://example.org"},
        {**OURS, "Origin": "null"},
        {**OURS, "Sec-Fetch-Site": "cross-site"},
        {**OURS, "Sec-Fetch-Site": "same-site"},
    ],
    ids=["no header of ours", "another port", "another site", "a sandbox", "cross-site", "same-site"],
)
def test_a_page_of_another_site_gets_nothing(cloud, ask, headers):
    put(cloud, "a.txt")
    for route in ("list", "thumbnail", "local", "local_thumbnail", "open", "test"):
        answer = ask(route, headers=headers, key="a.txt")
        assert answer.status == 403
        assert list(answer.json) == ["error"]
        assert b"a.txt" not in answer.body


def test_our_own_page_gets_an_answer(cloud, ask):
    for further in ({}, {"Origin": ask.address}, {"Sec-Fetch-Site": "same-origin"}):
        assert ask("list", headers={**OURS, **further}).status == 200


def test_there_are_get_routes_and_no_others(comfyui):
    assert routes.register("comfyui-cloud-storage")
    assert {(route.method, route.path) for route in comfyui.routes} == {
        ("GET", f"/cloud_storage/{name}")
        for name in ("list", "thumbnail", "local", "local_thumbnail", "open", "test")
    }


# ------------------------------------------------------------ errors


def test_an_error_is_json_with_our_message_and_without_a_secret(cloud, ask, monkeypatch, fast_place):
    access_key = fast_place.environ["COMFY_S3_ACCESS_KEY"]
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    for route in ("list", "thumbnail", "open"):
        answer = ask(route, key="a.png")
        assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
        assert "secret key of the profile" in answer.json["error"]
        for word in ("wrong-secret", access_key, "Signature=", "Traceback"):
            assert word not in answer.body.decode()
        assert answer.headers["Cache-Control"] == "no-store"
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    answer = ask("list")
    assert (answer.status, answer.json["kind"]) == (504, "Unreachable")


def test_a_server_that_never_answers_is_given_up(cloud, ask, monkeypatch):
    never = threading.Event()
    monkeypatch.setattr(routes, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(browse, "folder", lambda *_: never.wait())
    try:
        answer = ask("list")
    finally:
        never.set()
    assert (answer.status, answer.json["kind"]) == (504, "Unreachable")


# ------------------------------------------------------------ the host


def test_the_loop_answers_others_while_a_bucket_is_slow(cloud, ask, monkeypatch):
    began, may_end = threading.Event(), threading.Event()
    folder = browse.folder

    def slow(*given):
        began.set()
        assert may_end.wait(30)
        return folder(*given)

    monkeypatch.setattr(browse, "folder", slow)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask("list")))
    asking.start()
    assert began.wait(30)
    assert ask("/elsewhere").body == b"here"
    assert not answers
    may_end.set()
    asking.join()
    assert answers[0].status == 200


def test_a_package_that_comfyui_loads_answers_by_itself(comfyui):
    try:
        load_package("cloud_storage_loaded_again")
    finally:
        for name in [name for name in sys.modules if name.startswith("cloud_storage_loaded_again")]:
            del sys.modules[name]
    assert "/cloud_storage/list" in [route.path for route in comfyui.routes]


def test_without_a_server_nothing_is_registered_and_aiohttp_is_not_needed():
    program = f"""
import importlib.util, sys
sys.modules["aiohttp"] = None
spec = importlib.util.spec_from_file_location(
    "package", {str(ROOT / "__init__.py")!r}, submodule_search_locations=[{str(ROOT)!r}]
)
package = importlib.util.module_from_spec(spec)
sys.modules["package"] = package
spec.loader.exec_module(package)
assert package.routes.register("comfyui-cloud-storage") is False
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd="/", stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "folder",
    [
        *(
            "comfyui-cloud-storage",
            "comfyui-cloud-storage-main",
            "comfyui-cloud-storage-1.2.0",
            "Cloud_Storage~2",
        ),
        *("a(1)", "a+b", "a@b", "a'b", "a&b", "a,b", "a!b", "a;b", "a=b", "a$b", "a:b"),
        *(
            "comfyui-cloud-storage (1)",
            "comfyui-cloud-storage - Copy",
            "a%b",
            "a%20b",
            "a[1]",
            "a#b",
            "a{b}",
            "ü",
            "云",
        ),
    ],
)
def test_a_folder_that_comfyuis_page_can_load_nothing_from_is_told_in_the_log(
    comfyui, tmp_path, folder, caplog
):
    (tmp_path / "x.js").write_text("")
    app = web.Application()
    app.add_routes([web.static(f"/extensions/{folder}", tmp_path)])  # as ComfyUI's server.py does
    address = f"/extensions/{urllib.parse.quote(folder)}/x.js"  # and its get_extensions
    found = asyncio.run(app.router.resolve(make_mocked_request("GET", address)))
    routes.register(folder)
    assert ("Rename it to comfyui-cloud-storage" in caplog.text) == (found.http_exception is not None)
