"""From a fresh start of a real ComfyUI, without any settings, to an object in the bucket: by the page alone.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import stat

import pytest
from conftest import ROOT, own_prefix
from playwright.sync_api import expect
from servers import comfyui_page
from servers.comfyui import running
from servers.comfyui_page import show_prompt

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

COMMAND = "() => { comfy.extensionManager.command.execute('CloudStorage.SetUp') }"
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
    "2": {
        "class_type": "SaveImageToCloud",
        "inputs": {
            "images": ["1", 0],
            "key_prefix": "",
            "filename": "first",
            **{"format": "png", "quality": 95},
        },
    },
    "3": {"class_type": "CloudStorageProfile", "inputs": {"profile": "(env vars)"}},
}
VALUES = "() => [...comfy.graph.getNodeById(3).widgets.find((one) => one.name === 'profile').options.values]"
HAS_BUTTON = "() => comfy.graph.getNodeById(3).widgets.some((one) => one.name === 'set_up')"


@pytest.fixture(scope="module")
def address(base):
    with running(base, ROOT, {}) as url:
        yield url


@pytest.fixture
def profiles_file(base):
    return base / "user" / "__cloud_storage" / "profiles.json"


@pytest.fixture(params=["canvas", "vue"])
def comfy(request, page, address, profiles_file):
    """ComfyUI's page where nothing is configured."""
    profiles_file.unlink(missing_ok=True)
    with comfyui_page.drawn_by(request.param, page, address):
        yield page


def fill(page, place, prefix):
    environ = place.environ
    dialog = page.locator("dialog.cs-setup")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Provider").select_option("Custom")
    for label, name in (
        *(("Address of the server", "ENDPOINT_URL"), ("Bucket", "BUCKET")),
        *(("Access key", "ACCESS_KEY"), ("Its secret", "SECRET_KEY")),
    ):
        dialog.get_by_label(label, exact=True).fill(environ[f"COMFY_S3_{name}"])
    dialog.get_by_label("Folder in the bucket").fill(prefix)
    return dialog


def test_from_a_fresh_start_to_the_first_object_by_the_page_alone(comfy, place, profiles_file):
    name = f"first on {'vue' if comfy.is_vue else 'canvas'}"  # the same prompt again would not be run
    show_prompt(
        comfy, {**PROMPT, "2": {**PROMPT["2"], "inputs": {**PROMPT["2"]["inputs"], "filename": name}}}
    )
    comfyui_page.fit(comfy)
    comfy.wait_for_function(HAS_BUTTON)
    comfyui_page.press(comfy, 3, "set_up")
    prefix = own_prefix()
    dialog = fill(comfy, place, prefix)
    dialog.get_by_role("button", name="Test", exact=True).click()
    expect(dialog.locator(".cs-report li").last).to_contain_text("It works")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(comfy.get_by_text("The bucket is set up").first).to_be_visible()  # and said aloud
    assert stat.S_IMODE(profiles_file.stat().st_mode) == 0o600
    comfy.wait_for_function(f"() => ({VALUES})().includes('mine')")
    assert not comfy.evaluate(HAS_BUTTON)
    kind, said = comfyui_page.run(comfy)
    assert kind == "execution_success", said
    assert [info.key for info in place.open().list(prefix)] == [f"{prefix}{name}.png"]


def test_the_command_opens_it_and_shortcuts_of_the_page_do_not_hear_what_is_typed(comfy, place):
    show_prompt(comfy, PROMPT)
    comfy.evaluate(COMMAND)
    dialog = comfy.locator("dialog.cs-setup")
    dialog.get_by_label("Bucket", exact=True).click()
    comfy.keyboard.type("queue r w n m")
    expect(dialog.get_by_label("Bucket", exact=True)).to_have_value("queue r w n m")
    assert comfy.evaluate("() => comfy.graph.nodes.length") == len(PROMPT)
    comfy.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    label = comfy.evaluate(
        """() => {
            const all = comfy.extensionManager.command.commands
            const one = all.find(({ id }) => id === "CloudStorage.SetUp")
            return typeof one.label === "function" ? one.label() : one.label
        }"""
    )
    assert label == "Cloud Storage: Set up a bucket"


def test_the_sidebar_offers_it_while_nothing_is_configured(comfy, place, profiles_file):
    comfy.evaluate(
        """() => {
            const { sidebarTab, command } = comfy.extensionManager
            if (sidebarTab.activeSidebarTabId !== "comfyui-cloud-storage")
                command.execute("Workspace.ToggleSidebarTab.comfyui-cloud-storage")
        }"""
    )
    comfy.get_by_role("tab", name="Files").click()
    offered = comfy.locator(".cs-cloud").get_by_role("button", name="Set up a bucket")
    expect(offered).to_be_visible()
    offered.click()
    fill(comfy, place, own_prefix()).get_by_role("button", name="Save", exact=True).click()
    expect(offered).to_have_count(0)
    assert list(json.loads(profiles_file.read_text())["profiles"]) == ["mine"]
