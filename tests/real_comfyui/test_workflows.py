"""Workflows in the bucket from a real ComfyUI's page: saved, changed, opened, and somebody else's version.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os

import pytest
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from playwright.sync_api import expect
from servers import comfyui_page

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

FOLDER = "comfyui/workflows/"
COMMAND = "id => { comfy.extensionManager.command.execute(`comfyui-cloud-storage.${id}`) }"
TITLES = "() => (comfy.rootGraph ?? comfy.graph).nodes.map(({ title }) => title)"
TAB = "() => comfy.extensionManager.workflow.activeWorkflow.key"
PROMPT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}}
}


@pytest.fixture(params=["canvas", "vue"])
def comfy(request, page, address, place):
    storage = place.open()
    for info in list(storage.list()):
        storage.delete(info.key)
    with comfyui_page.drawn_by(request.param, page, address):
        page.evaluate("prompt => comfy.loadApiJson(prompt, 'started here')", PROMPT)
        page.wait_for_function("() => comfy.graph.getNodeById(1)")
        yield page


def retitle(page, text):
    page.evaluate("text => { comfy.graph.getNodeById(1).title = text }", text)


def titles(storage, name):
    return [node["title"] for node in workflow(storage, name)["nodes"]]


def workflow(storage, name):
    return json.loads(storage.read(f"{FOLDER}{name}.json"))


def theirs(storage, name, title):
    """Somebody else saves the workflow with another title of its node."""
    changed = workflow(storage, name)
    changed["nodes"][0]["title"] = title
    storage.put(f"{FOLDER}{name}.json", json.dumps(changed).encode(), PutOptions(), Meter())


def dialog(page, command):
    page.evaluate(COMMAND, command)
    shown = page.locator("dialog.cs-workflows")
    expect(shown).to_be_visible()
    return shown


def press(shown, name):
    shown.get_by_role("button", name=name, exact=True).click()


def save(page, name=None):
    shown = dialog(page, "saveWorkflow")
    if name:
        shown.get_by_label("Name", exact=True).fill(name)
    press(shown, "Save")
    return shown


def test_save_change_save_conflict_and_open(comfy, place):
    storage = place.open()
    retitle(comfy, "first")
    shown = dialog(comfy, "saveWorkflow")
    expect(shown.get_by_label("Name", exact=True)).to_have_value("started here")
    shown.get_by_label("Name", exact=True).fill("flux/portrait")
    comfy.keyboard.press("Enter")
    expect(shown).to_have_count(0)
    expect(comfy.get_by_text("The workflow is in the bucket").first).to_be_visible()
    assert titles(storage, "flux/portrait") == ["first"]

    retitle(comfy, "second")
    expect(save(comfy)).to_have_count(0)
    assert titles(storage, "flux/portrait") == ["second"]

    theirs(storage, "flux/portrait", "theirs")
    retitle(comfy, "mine")
    shown = save(comfy)
    notice = shown.locator(".cs-workflow-notice")
    expect(notice).to_contain_text("flux/portrait was changed in the bucket since you opened it.")
    assert titles(storage, "flux/portrait") == ["theirs"]

    tab = comfy.evaluate(TAB)
    press(shown, "Open theirs")
    comfy.wait_for_function(f"() => ({TITLES})().join() === 'theirs'")
    comfy.wait_for_function(f"() => ({TAB})() === 'flux/portrait.json'")  # a moment after its nodes
    assert tab != "flux/portrait.json"

    retitle(comfy, "theirs and mine")
    expect(save(comfy)).to_have_count(0)
    assert titles(storage, "flux/portrait") == ["theirs and mine"]
    tabs = "() => comfy.extensionManager.workflow.openWorkflows.map(({ key }) => key)"
    assert {tab, "flux/portrait.json"} <= set(comfy.evaluate(tabs)), "mine is still open"


def test_theirs_is_replaced_after_an_answer(comfy, place):
    storage = place.open()
    expect(save(comfy, "a")).to_have_count(0)
    theirs(storage, "a", "theirs")
    retitle(comfy, "mine")
    shown = save(comfy)
    press(shown, "Replace theirs")
    expect(shown).to_have_count(0)
    assert titles(storage, "a") == ["mine"]


def test_a_workflow_of_the_bucket_is_opened_and_the_users_own_file_stays(comfy, place, address):
    storage = place.open()
    retitle(comfy, "of the bucket")
    expect(save(comfy, "same name")).to_have_count(0)
    retitle(comfy, "of this disk")
    comfy.evaluate(
        """async () => {
            const options = { stringify: false, overwrite: true }
            const body = JSON.stringify(comfy.graph.serialize())
            await comfy.api.storeUserData("workflows/same name.json", body, options)
            await comfy.extensionManager.workflow.syncWorkflows()
        }"""
    )
    shown = dialog(comfy, "openWorkflow")
    shown.get_by_label("Search workflows").fill("same")
    shown.get_by_role("option").dblclick()
    comfy.wait_for_function(f"() => ({TITLES})().join() === 'of the bucket'")
    assert comfy.evaluate("() => comfy.extensionManager.workflow.activeWorkflow.isPersisted") is False
    stored = comfy.evaluate("async () => (await comfy.api.getUserData('workflows/same name.json')).json()")
    assert [node["title"] for node in stored["nodes"]] == ["of this disk"]
    shown = dialog(comfy, "saveWorkflow")
    expect(shown.get_by_label("Name", exact=True)).to_have_value("same name")
    retitle(comfy, "changed")
    press(shown, "Save")
    expect(shown).to_have_count(0)
    assert titles(storage, "same name") == ["changed"]


def test_a_workflow_of_the_panel_files_is_opened_with_its_version(comfy, place):
    storage = place.open()
    retitle(comfy, "saved")
    expect(save(comfy, "a")).to_have_count(0)
    comfy.evaluate(
        """() => {
            const { sidebarTab, command } = comfy.extensionManager
            if (sidebarTab.activeSidebarTabId !== "comfyui-cloud-storage")
                command.execute("Workspace.ToggleSidebarTab.comfyui-cloud-storage")
        }"""
    )
    comfy.get_by_role("tab", name="Files").click()
    comfy.get_by_role("button", name="List the bucket again").first.click()
    cell = comfy.locator(f'.cs-cell[title^="{FOLDER}a.json"]')
    cell.click()
    retitle(comfy, "changed here")
    comfy.get_by_role("button", name="Open its workflow").click()
    comfy.wait_for_function(f"() => ({TITLES})().join() === 'saved'")
    retitle(comfy, "changed there")
    expect(save(comfy)).to_have_count(0)
    assert titles(storage, "a") == ["changed there"]


def test_the_commands_are_in_the_menu_file(comfy):
    button = ".comfyui-logo-wrapper, .comfy-menu-button-wrapper, [data-testid=comfy-menu-button]"
    comfy.locator(button).first.click()
    comfy.get_by_text("File", exact=True).first.hover()
    for text in ("Save workflow to the bucket", "Open workflow from the bucket"):
        expect(comfy.get_by_text(text, exact=True)).to_be_visible()
    comfy.keyboard.press("Escape")
