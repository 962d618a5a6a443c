"""What the server answers our page: over HTTP, from real buckets, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cloud_storage.comfyui import folders as comfyui_folders
from cloud_storage.page import browse, routes
from conftest import ROOT, load_package
from page_requests import OF_ANOTHER_SITE, OURS, put

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
        for route in ("list", "thumbnail", "open", "workflow", "test"):
            answer = ask(route, key="x", **{name: "AWS S3" if name == "provider" else "other"})
            assert answer.status == 400
            assert "locked" in answer.json["error"]


def test_a_query_sets_no_key_and_no_endpoint(cloud, ask):
    put(cloud, "a.txt")
    given = {"access_key": "x", "secret_key": "y", "endpoint_url": "http://127.0.0.1:9", "auth": "anonymous"}
    assert [file["key"] for file in ask("list", **given).json["files"]] == ["a.txt"]


# ------------------------------------------------------------ who may ask


@pytest.mark.parametrize("headers", OF_ANOTHER_SITE.values(), ids=OF_ANOTHER_SITE)
def test_a_page_of_another_site_gets_nothing(cloud, ask, headers):
    put(cloud, "a.txt")
    for route in ("list", "thumbnail", "local", "local_thumbnail", "open", "workflow", "test"):
        answer = ask(route, headers=headers, key="a.txt")
        assert answer.status == 403
        assert list(answer.json) == ["error"]
        assert b"a.txt" not in answer.body


def test_our_own_page_gets_an_answer(cloud, ask):
    for further in ({}, {"Origin": ask.address}, {"Sec-Fetch-Site": "same-origin"}):
        assert ask("list", headers={**OURS, **further}).status == 200


def test_only_lists_fetches_and_what_waits_can_be_changed(comfyui):
    assert routes.register("comfyui-cloud-storage")
    about_models = {"GET": ("names", "catalogue", "copies", "progress")}
    about_models["POST"] = ("workflow", "fetch", "cancel", "dismiss", "refresh")
    files = {("GET", f"files/{name}") for name in ("profiles", "list", "state", "link", "share")}
    others = files | {("POST", "files/refresh"), ("GET", "transfers/waiting"), ("POST", "transfers/retry")}
    of_a_bucket = ("list", "thumbnail", "local", "local_thumbnail", "open", "workflow", "test")
    assert {(route.method, route.path) for route in comfyui.routes} == {
        ("GET", "/cloud_storage/setup"),
        ("GET", "/cloud_storage/mirror/state"),
        ("POST", "/cloud_storage/mirror/retry"),
        *(("POST", f"/cloud_storage/setup/{name}") for name in ("test", "save")),
        *(("GET", f"/cloud_storage/{name}") for name in of_a_bucket),
        *((method, f"/cloud_storage/{name}") for method, name in others),
        *(("POST", f"/cloud_storage/{name}") for name in ("send", "drop")),
        ("GET", "/cloud_storage/status"),
        *(
            (method, f"/cloud_storage/models/{name}")
            for method, names in about_models.items()
            for name in names
        ),
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
