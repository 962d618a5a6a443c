"""The bucket's files in a real ComfyUI's sidebar: they become load nodes, by a button and by dragging.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os

import pytest
from conftest import ROOT
from page_requests import picture, put
from playwright.sync_api import expect
from servers import comfyui_page
from servers.comfyui import running

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

TAB = "comfyui-cloud-storage"
TOGGLE = "id => comfy.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${id}`)"
OPEN = f"id => comfy.extensionManager.sidebarTab.activeSidebarTabId === id || ({TOGGLE})(id)"
NODES = """() => comfy.graph.nodes.map((node) => [
    node.type,
    node.widgets?.find(({ name }) => name === "key" || name === "profile")?.value,
    (node.inputs ?? []).some(({ name, link }) => name === "profile" && link != null),
])"""


@pytest.fixture(scope="module")
def address(place, base):
    storage = place.open()
    put(storage, "images/a.png", "images/b.png", data=picture())
    put(storage, "texts/notes.txt", "models/loras/ink.safetensors")
    with running(base, ROOT, place.environ) as url:
        folder = base / "user" / "__cloud_storage"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profiles.json").write_text(json.dumps({"profiles": {"team": {"path_prefix": "images/"}}}))
        yield url


@pytest.fixture(params=["canvas", "vue"])
def comfy(request, page, address):
    page.address = address
    with comfyui_page.drawn_by(request.param, page, address):
        page.evaluate("comfy.graph.clear()")
        page.evaluate(OPEN, TAB)
        page.get_by_role("tab", name="Files").click()
        yield page


def cell(page, name):
    return page.locator(f'.cs-cell[title^="{name}"]')


def test_the_files_of_the_bucket_are_shown_with_thumbnails(comfy):
    expect(comfy.locator(".cs-files-status")).to_have_text("4 files")
    expect(cell(comfy, "images/a.png").locator("img")).to_be_visible()


def test_a_file_becomes_the_node_that_loads_it(comfy):
    cell(comfy, "images/a.png").click()
    comfy.get_by_role("button", name="Add to workflow").click()
    cell(comfy, "models/loras/ink.safetensors").click()
    comfy.get_by_role("button", name="Add to workflow").click()
    assert comfy.evaluate(NODES) == [
        ["LoadImageFromCloud", "images/a.png", False],
        ["LoadModelFromCloud", "models/loras/ink.safetensors", False],
    ]
    types = "() => comfy.graph.nodes[1].widgets.find(({ name }) => name === 'model_type').value"
    assert comfy.evaluate(types) == "loras"


def test_a_file_of_another_profile_is_wired_to_it(comfy):
    comfy.get_by_label("Profile", exact=True).select_option("team")
    cell(comfy, "b.png").click()
    comfy.get_by_role("button", name="Add to workflow").click()
    comfy.get_by_role("button", name="Add to workflow").click()
    found = sorted(map(str, comfy.evaluate(NODES)))
    assert found == sorted(
        map(
            str,
            [
                ["CloudStorageProfile", "team", False],
                ["LoadImageFromCloud", "b.png", True],
                ["LoadImageFromCloud", "b.png", True],
            ],
        )
    )


def test_a_file_that_is_dragged_onto_the_canvas_becomes_a_node_there(comfy):
    cell(comfy, "texts/notes.txt").drag_to(
        comfy.locator("#graph-canvas"), target_position={"x": 900, "y": 400}, force=True
    )
    comfy.wait_for_function("() => comfy.graph.nodes.length === 1")
    assert comfy.evaluate(NODES) == [["LoadTextFromCloud", "texts/notes.txt", False]]


def test_transfers_say_that_nothing_waits(comfy):
    comfy.get_by_role("tab", name="Transfers").click()
    expect(comfy.get_by_role("heading", name="Nothing is being transferred")).to_be_visible()


# ------------------------------------------------------------ what is new; after all others, as it adds files


def test_what_a_run_saves_is_there_without_a_refresh(comfy):
    expect(cell(comfy, "images/a.png")).to_be_visible()
    folder = f"new-{'vue' if comfy.is_vue else 'canvas'}"
    comfyui_page.show_prompt(
        comfy,
        {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "2": {
                "class_type": "SaveImageToCloud",
                "inputs": {"images": ["1", 0], "key_prefix": f"{folder}/", "filename": "saved"},
            },
        },
    )
    kind, detail = comfyui_page.run(comfy)
    assert kind == "execution_success", detail
    expect(cell(comfy, f"{folder}/saved").last).to_be_visible()


def test_a_node_says_that_what_it_loaded_has_changed_in_the_bucket(comfy, place):
    comfyui_page.show_prompt(
        comfy,
        {
            "1": {"class_type": "LoadImageFromCloud", "inputs": {"key": "images/b.png"}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        },
    )
    kind, detail = comfyui_page.run(comfy)
    assert kind == "execution_success", detail
    shown = "comfy.graph.getNodeById(1).cloudStorageLines?.element"
    comfy.wait_for_function(f"() => {shown}?.querySelector('.cs-line')")
    colour = (1, 2, 3) if comfy.is_vue else (3, 2, 1)
    put(place.open(), "images/b.png", data=picture(colour=colour))
    comfy.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    warning = f"{shown}.querySelector('.cs-warning')?.textContent"
    comfy.wait_for_function(f"() => /has changed in the bucket/.test({warning})")
