"""Every example in a real ComfyUI's page: opened, run against a real server, and reopened as it was.

Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import cloud_storage
import pytest
from conftest import ROOT, make_place
from servers import comfyui_page
from servers.comfyui import NAME, configure, running
from servers.fault_proxy import FaultProxy

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

STORED = {  # what each adds to a bucket that holds six pictures, comfyui/images/ComfyUI_00001.png to 6
    "audio": {"comfyui/audio/sound_00001.flac", "comfyui/audio/small-sound_00001.mp3"},
    "batch-folder": {f"comfyui/web/picture_{number:05}.webp" for number in range(1, 7)},
    "files-and-folders": {"comfyui/exchange/shared.png", "comfyui/files/copy.png"},
    "latents": {f"comfyui/latents/{name}_00001.latent" for name in ("latent", "larger")},
    "library": set(),
    "load-and-edit": {f"comfyui/images/edited_{number:05}.png" for number in range(1, 5)},
    "model-from-the-bucket": set(),
    "offline-outbox": {"comfyui/images/offline_00001.png"},
    "save-and-share": {"comfyui/images/ComfyUI_00007.png"},
    "team-library": {"models/loras/team-style.safetensors"},
    "text": {"comfyui/text/prompt_00001.txt", "comfyui/text/settings_00001.json"},
    "video": {"comfyui/videos/sunset_00001.mp4", "comfyui/audio/sunset_00001.flac"},
}
MODEL = "model.safetensors"
SAY_WHAT_THEY_DID = {
    *("SaveImageToCloud", "SaveVideoToCloud", "SaveAudioToCloud", "UploadModelToCloud", "LoadModelFromCloud"),
    *("ListBucketContents", "GeneratePresignedURL", "UploadFileToCloud", "DownloadFileFromCloud"),
    *(
        "SyncFolderWithCloud",
        "SaveTextToCloud",
        "LoadTextFromCloud",
        "SaveLatentToCloud",
        "LoadLatentFromCloud",
    ),
}
KINDS = "() => Object.fromEntries(comfy.graph.nodes.map((node) => [node.type, node.id]))"


@dataclass
class World:
    """A ComfyUI at an address, with its folders, and its bucket behind a proxy that can refuse."""

    address: str
    base: Path
    proxy: FaultProxy
    storage: object

    def keys(self):
        return {info.key for info in self.storage.list("")}


@pytest.fixture(scope="module")
def world(servers, tmp_path_factory):
    place = make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")
    base = tmp_path_factory.mktemp("comfyui") / "base"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        import scenery
    files = tmp_path_factory.mktemp("scenery")
    scenery.files(files)
    for key, content in scenery.bucket(files).items():
        place.server.client().put_object(Bucket=place.bucket, Key=key, Body=content)
    with FaultProxy("127.0.0.1", place.server.port) as proxy:
        with running(base, ROOT, place.settings({"endpoint_url": proxy.url})) as address:
            scenery.local(base, files)
            configure(address, {"Comfy.VueNodes.Enabled": False, "Comfy.Locale": "en"})
            yield World(address, base, proxy, place.open())


@pytest.fixture
def example(request, page, world):
    """An example on the page, not yet run, and the keys that it has added to the bucket, as a function."""
    workflow = json.loads((ROOT / "example_workflows" / f"{request.param}.json").read_text(encoding="utf-8"))
    before = world.keys()
    comfyui_page.opened(page, world.address)
    comfyui_page.show_workflow(page, workflow)
    page.name, page.workflow, page.kinds = request.param, workflow, page.evaluate(KINDS)
    page.added = lambda: world.keys() - before
    yield page
    page.faults[:] = [fault for fault in page.faults if NAME in fault]


def ran(page):
    ended, detail = comfyui_page.run(page)
    assert ended == "execution_success", detail


def told(page, kind):
    """What a node of this kind shows once it has run."""
    page.wait_for_function(
        "id => comfy.graph.getNodeById(id)?.cloudStorageLines?.element.isConnected", arg=page.kinds[kind]
    )
    return "\n".join(comfyui_page.lines(page, page.kinds[kind])[0])


def same(saved, workflow):
    """Whether a workflow holds what the file holds: its nodes, their values, its wires.

    ComfyUI's own nodes may have further values, at their end, in a core that is newer than the file.
    """
    found = {node["id"]: node for node in saved["nodes"]}
    assert list(found) == [node["id"] for node in workflow["nodes"]]
    for node in workflow["nodes"]:
        values, wanted = found[node["id"]].get("widgets_values", []), node["widgets_values"]
        is_ours = node["type"] in cloud_storage.NODE_CLASS_MAPPINGS
        assert (values if is_ours else values[: len(wanted)]) == wanted, node["type"]
        assert found[node["id"]]["pos"][:2] == node["pos"]
        assert found[node["id"]].get("mode", 0) == 0
    wires = {(link[1], link[2], link[3], link[5]) for link in workflow["links"]}
    assert {(link[1], link[2], link[3], link[5]) for link in saved["links"]} == wires


RUN_BY_THEMSELVES = sorted(STORED.keys() - {"library", "offline-outbox", "model-from-the-bucket"})


@pytest.mark.parametrize("example", RUN_BY_THEMSELVES, indirect=True)
def test_an_example_runs_stores_what_it_says_and_comes_back_as_it_was(example):
    same(comfyui_page.saved(example), example.workflow)
    ran(example)
    assert example.added() == STORED[example.name]
    for kind in example.kinds.keys() & SAY_WHAT_THEY_DID:
        assert told(example, kind), kind
    after = comfyui_page.saved(example)
    same(after, example.workflow)
    comfyui_page.show_workflow(example, after)
    same(comfyui_page.saved(example), example.workflow)
    ran(example)
    assert example.added() == STORED[example.name], "unchanged nodes are not run again"


@pytest.mark.parametrize("example", ["offline-outbox"], indirect=True)
def test_offline_the_picture_is_kept_and_sent_when_the_server_is_back(example, world):
    outbox = world.base / "user" / "__cloud_storage" / "outbox"
    world.proxy.refuse()
    try:
        ran(example)
        assert "kept" in told(example, "SaveImageToCloud")
        assert example.added() == set()
        assert len(list(outbox.glob("*/entry.json"))) == 1
    finally:
        world.proxy.resume()
    ran(example)
    example.wait_for_function(
        "id => comfy.graph.getNodeById(id).cloudStorageLines.element.textContent.includes('offline_00001')",
        arg=example.kinds["RetryPendingUploads"],
    )
    assert example.added() == STORED["offline-outbox"]
    assert not list(outbox.glob("*/entry.json"))
    same(comfyui_page.saved(example), example.workflow)


@pytest.mark.parametrize("example", ["model-from-the-bucket"], indirect=True)
def test_a_model_of_the_bucket_reaches_comfyuis_loader_by_wire(example, world):
    comfyui_page.only(example, "LoadModelFromCloud")
    ran(example)
    assert told(example, "LoadModelFromCloud")
    assert (world.base / "models" / "checkpoints" / MODEL).is_file()
    comfyui_page.only(example, "")
    same(comfyui_page.saved(example), example.workflow)
    ended, detail = comfyui_page.run(example)
    assert (ended, detail["node_type"]) == ("execution_error", "CheckpointLoaderSimple")
    assert "deserializing header" in detail["exception_message"], "it read the file, which is no checkpoint"


def test_each_is_among_the_templates_with_its_picture(page, world):
    with urllib.request.urlopen(f"{world.address}/api/workflow_templates") as answer:
        assert sorted(json.load(answer)[NAME]) == sorted(STORED)
    for name in STORED:
        with urllib.request.urlopen(f"{world.address}/api/workflow_templates/{NAME}/{name}.jpg") as answer:
            assert answer.headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_help_beside_the_canvas_shows_its_picture(page, world, language):
    configure(world.address, {"Comfy.Locale": language})
    try:
        comfyui_page.opened(page, world.address)
        comfyui_page.show_prompt(page, {"1": {"class_type": "CloudStorageProfile", "inputs": {}}})
        comfyui_page.fit(page)
        comfyui_page.open_help(page, 1)
        picture = page.locator(f'img[src$="/extensions/{NAME}/docs/CloudStorageProfile.jpg"]')
        picture.wait_for()
        is_drawn = "image => image.complete && image.naturalWidth > 300"
        page.wait_for_function(is_drawn, arg=picture.element_handle())
        title = {"en": "Cloud Storage Profile", "zh": "云存储配置"}[language]
        assert page.get_by_role("heading", name=title, exact=True).count()
    finally:
        configure(world.address, {"Comfy.Locale": "en"})
        page.faults[:] = [fault for fault in page.faults if NAME in fault]
