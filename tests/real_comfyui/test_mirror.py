"""What a real ComfyUI's own nodes write is in the bucket by itself. Skipped where COMFYUI_PATH names none."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, make_place
from servers import comfyui
from servers.comfyui_api import run
from servers.fault_proxy import FaultProxy

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)
OURS = {"X-Cloud-Storage": "1"}


@pytest.fixture(scope="module")
def place(servers, tmp_path_factory):
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture(scope="module")
def proxy(place):
    target = urlsplit(place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as running:
        yield running


@pytest.fixture(scope="module")
def address(place, base, proxy):
    environ = {**place.settings({"endpoint_url": proxy.url}), "COMFY_S3_MIRROR": "output,workflows"}
    with comfyui.running(base, ROOT, environ) as url:
        until(lambda: list((base / "output").glob(".cloud_storage_mirror-*.lock")))  # it has begun
        yield url


def state(address):
    request = urllib.request.Request(f"{address}/api/cloud_storage/mirror/state", headers=OURS)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def until(answers):
    """Wait for what comes in seconds; the test's own time-out is the only clock."""
    for _ in range(600):
        if found := answers():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def save(prefix, colour):
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": colour},
        },
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def test_what_save_image_writes_is_in_the_bucket_and_the_page_can_see_it(address, base, place):
    until(lambda: state(address)["profiles"])
    run(address, save("today/a", 255))
    key = "comfyui/output/today/a_00001_.png"
    until(lambda: list(place.open().list(key)))
    assert place.open().read(key) == (base / "output" / "today" / "a_00001_.png").read_bytes()
    (profile,) = until(
        lambda: [each for each in state(address)["profiles"] if each["stored"] and not each["waiting"]]
    )
    assert not profile["failing"]


def test_a_workflow_that_the_page_saves_again_is_in_the_bucket(address, place):
    def save_workflow(content):
        url = f"{address}/api/userdata/workflows%2Fmine.json?overwrite=true"
        urllib.request.urlopen(urllib.request.Request(url, content, method="POST")).close()

    def workflows():
        return next(
            each["files"]
            for profile in state(address)["profiles"]
            for each in profile["folders"]
            if each["name"] == "workflows"
        )

    save_workflow(b'{"nodes": []}')
    until(workflows)  # the mirror has seen it, perhaps as one from before it was switched on
    save_workflow(b'{"nodes": [1]}')
    key = "comfyui/workflows/mine.json"
    until(lambda: list(place.open().list(key)) and place.open().read(key) == b'{"nodes": [1]}')


def test_a_page_hears_once_that_it_fails_and_once_that_it_has_caught_up(address, base, place, proxy):
    def listen():
        return asyncio.run(asyncio.wait_for(_events(address, base, proxy), 240))

    with ThreadPoolExecutor(1) as thread:
        heard = thread.submit(listen).result()
    assert [each["failing"] for each in heard] == [True, False]
    assert heard[1]["waiting"] == 0
    assert place.open().read("comfyui/output/away.png") == b"made while the network was away"


async def _events(address, base, proxy):
    import aiohttp

    heard = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{address}/ws?clientId={uuid.uuid4().hex}") as ws,
    ):
        proxy.refuse()
        (base / "output" / "away.png").write_bytes(b"made while the network was away")
        async for message in ws:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            said = json.loads(message.data)
            if said["type"] != "cloud_storage.mirror":
                continue
            heard.append(said["data"])
            if not said["data"]["failing"]:
                return heard
            proxy.resume()
    return heard


def test_what_was_made_while_comfyui_was_off_is_found_at_the_next_start(place, tmp_path, monkeypatch):
    environ = {**place.settings({"path_prefix": "second"}), "COMFY_S3_MIRROR": "output"}
    base, kept = tmp_path / "base", tmp_path / "kept"
    with comfyui.running(base, ROOT, environ) as url:
        run(url, save("before", 1))
        until(lambda: list(place.open(path_prefix="second").list("comfyui/output/before")))
        for name in ("user", "output"):
            shutil.copytree(base / name, kept / name)
    (kept / "output" / "meanwhile.png").write_bytes(b"made meanwhile")

    class Restored(comfyui.Processes):
        """Its folder, which is removed with the processes in it, is as it was before."""

        def __init__(self, folder):
            super().__init__(folder)
            shutil.copytree(kept, folder, dirs_exist_ok=True)

    monkeypatch.setattr(comfyui, "Processes", Restored)
    with comfyui.running(base, ROOT, environ):
        until(lambda: list(place.open(path_prefix="second").list("comfyui/output/meanwhile.png")))
        assert place.open(path_prefix="second").read("comfyui/output/meanwhile.png") == b"made meanwhile"
