"""Saving a workflow to the bucket and opening one, in a real browser, with a bucket behind our routes."""

from __future__ import annotations

import json

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import workflows
from cloud_storage.system.meter import Meter
from page_requests import put
from playwright.sync_api import expect

FOLDER = "comfyui/workflows/"


def graph(text):
    return {"nodes": [], "links": [], "extra": {"text": text}}


@pytest.fixture
def ours(page, address):
    page.goto(f"{address}/page/workflows.html")
    page.wait_for_function("window.ready")
    yield page


@pytest.fixture
def theirs(cloud, monkeypatch):
    """What somebody else does in the bucket, on a machine of another name."""

    def save(name, text):
        monkeypatch.setattr(workflows.platform, "node", lambda: "gpu-7")
        key = f"{FOLDER}{name}.json"
        etag = cloud.stat(key).etag if key in [info.key for info in cloud.list()] else ""
        answer = workflows.save({"name": name, "content": json.dumps(graph(text)), "replaces": etag}, Meter())
        monkeypatch.setattr(workflows.platform, "node", lambda: "mine")
        return answer["version"]["etag"]

    return save


def begin(page, what, locale=None):
    if locale:
        page.evaluate("start", locale)
    page.evaluate(f"act.{what}()")
    expect(page.locator("dialog.cs-workflows")).to_be_visible()
    expect(page.locator(".cs-workflow-rows .cs-note")).not_to_have_text("Loading…")
    return page


def name(page):
    return page.get_by_label("Name", exact=True)


def press(page, text):
    page.get_by_role("button", name=text, exact=True).click()


def notice(page):
    return page.locator(".cs-workflow-notice")


def closed(page):
    expect(page.locator("dialog")).to_have_count(0)


def change(page, text):
    page.evaluate("text => { window.graph = { ...window.graph, extra: { text } } }", text)


def text_of(cloud, key):
    return json.loads(cloud.read(f"{FOLDER}{key}.json"))["extra"]["text"]


def save_as(page, text):
    begin(page, "save")
    name(page).fill(text)
    press(page, "Save")
    closed(page)


def test_the_open_workflow_is_saved_under_a_name(cloud, ours):
    begin(ours, "save")
    expect(name(ours)).to_have_value("Unsaved Workflow")
    assert ours.evaluate("getSelection().toString()") == "Unsaved Workflow"
    expect(ours.locator(".cs-workflow-rows")).to_contain_text("There is no workflow in the bucket yet.")
    expect(ours.locator(".cs-where")).to_contain_text(f"{FOLDER}".rstrip("/"))
    name(ours).fill("flux/portrait")
    name(ours).press("Enter")
    closed(ours)
    assert text_of(cloud, "flux/portrait") == "first"
    [[severity, title, detail]] = ours.evaluate("said")
    assert (severity, title) == ("success", "The workflow is in the bucket")
    assert "flux/portrait" in detail
    assert "Enter" not in ours.evaluate("heard"), "a key of a dialog is none of the page"


def test_enter_that_ends_a_word_of_an_input_method_saves_nothing(cloud, ours):
    """As Chinese is typed: Enter takes what was typed into the field."""
    begin(ours, "save")
    name(ours).fill("half")
    name(ours).dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    name(ours).fill("whole")
    name(ours).press("Enter")
    closed(ours)
    assert [info.key for info in cloud.list()] == [f"{FOLDER}whole.json"]


def test_saving_again_replaces_the_version_that_was_saved_without_a_question(cloud, ours):
    save_as(ours, "a")
    change(ours, "second")
    begin(ours, "save")
    expect(name(ours)).to_have_value("a")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "second"
    change(ours, "third")
    begin(ours, "save")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "third"
    assert len(list(cloud.list())) == 1


def test_who_is_quicker_than_the_list_saves_the_same_version(cloud, ours, theirs):
    ours.evaluate("act.save()")
    name(ours).fill("a")
    name(ours).press("Enter")
    closed(ours)
    theirs("a", "theirs")
    ours.evaluate("act.save()")
    name(ours).press("Enter")
    expect(notice(ours)).to_contain_text("a was changed in the bucket since you opened it.")


def test_a_newer_version_of_somebody_else_is_shown_and_not_replaced(cloud, ours, theirs):
    save_as(ours, "a")
    theirs("a", "theirs")
    change(ours, "mine")
    begin(ours, "save")
    name(ours).press("Enter")
    expect(notice(ours)).to_contain_text("a was changed in the bucket since you opened it.")
    expect(notice(ours)).to_contain_text("It was saved on gpu-7, ")
    assert ours.evaluate("document.activeElement.textContent") == "Save under another name"
    assert text_of(cloud, "a") == "theirs"
    name(ours).press("Enter")  # is no answer
    expect(notice(ours)).to_contain_text("was changed")
    assert text_of(cloud, "a") == "theirs"
    press(ours, "Cancel")
    closed(ours)
    assert text_of(cloud, "a") == "theirs"


def test_theirs_is_replaced_only_after_an_answer_and_only_that_version(cloud, ours, theirs):
    save_as(ours, "a")
    theirs("a", "theirs")
    change(ours, "mine")
    begin(ours, "save")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("was changed")
    theirs("a", "newer still")
    press(ours, "Replace theirs")
    expect(ours.get_by_role("button", name="Replace theirs")).to_be_enabled()
    assert text_of(cloud, "a") == "newer still"
    press(ours, "Replace theirs")
    closed(ours)
    assert text_of(cloud, "a") == "mine"
    change(ours, "mine again")
    begin(ours, "save")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "mine again"


def test_it_is_saved_under_another_name_that_is_free(cloud, ours, theirs):
    theirs("a", "theirs")
    theirs("a (2)", "theirs too")
    begin(ours, "save")
    name(ours).fill("a")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("There is another a in the bucket. ")
    press(ours, "Save under another name")
    expect(name(ours)).to_have_value("a (3)")
    press(ours, "Save")
    closed(ours)
    assert [text_of(cloud, key) for key in ("a", "a (2)", "a (3)")] == ["theirs", "theirs too", "first"]


def test_theirs_is_opened_in_a_tab_of_its_own_and_can_be_saved_from_there(cloud, ours, theirs):
    theirs("flux/a", "theirs")
    begin(ours, "save")
    name(ours).fill("flux/a")
    press(ours, "Save")
    press(ours, "Open theirs")
    closed(ours)
    ours.wait_for_function("tabs.length === 2")
    assert ours.evaluate("[tabs[1].key, graph.extra.text]") == ["flux/a.json", "theirs"]
    change(ours, "theirs and mine")
    begin(ours, "save")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "flux/a") == "theirs and mine"


def test_what_was_deleted_meanwhile_is_told_and_saved_again_on_request(cloud, ours):
    save_as(ours, "a")
    cloud.delete(f"{FOLDER}a.json")
    begin(ours, "save")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("a was deleted from the bucket since you opened it.")
    assert list(cloud.list()) == []
    press(ours, "Save it again")
    closed(ours)
    assert text_of(cloud, "a") == "first"


def test_each_tab_has_a_version_of_its_own(cloud, ours):
    save_as(ours, "a")
    ours.evaluate("tabs.push({ path: 'workflows/b.json', key: 'b.json' })")
    change(ours, "of another tab")
    begin(ours, "save")
    expect(name(ours)).to_have_value("b")
    name(ours).fill("a")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("There is another a in the bucket.")
    assert text_of(cloud, "a") == "first"


def test_a_version_is_remembered_over_a_reload_for_the_same_graph_alone(cloud, ours, theirs):
    save_as(ours, "a")
    ours.reload()
    ours.wait_for_function("window.ready")
    change(ours, "after the reload")
    begin(ours, "save")
    expect(name(ours)).to_have_value("a")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "after the reload"
    theirs("a", "theirs")
    ours.reload()
    ours.wait_for_function("window.ready")
    begin(ours, "save")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("was changed in the bucket since you opened it.")
    press(ours, "Cancel")
    ours.reload()
    ours.wait_for_function("window.ready")
    ours.evaluate("() => { window.graph = { ...window.graph, id: 'another' } }")
    begin(ours, "save")
    expect(name(ours)).to_have_value("Unsaved Workflow")


def test_a_browser_that_keeps_nothing_changes_nothing(cloud, ours):
    ours.evaluate("sessionStorage.setItem('comfyui-cloud-storage.workflows', '{')")
    save_as(ours, "a")
    ours.evaluate("() => { Storage.prototype.setItem = () => { throw new Error('full') } }")
    change(ours, "second")
    begin(ours, "save")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "second"


def test_a_workflow_is_found_by_its_name_and_opened(cloud, ours, theirs):
    for key in ("flux/portrait", "flux/landscape", "sdxl/portrait"):
        theirs(key, key)
    begin(ours, "open")
    rows = ours.get_by_role("option")
    expect(rows).to_have_count(3)
    expect(ours.get_by_role("button", name="Open", exact=True)).to_be_disabled()
    ours.keyboard.type("portrait flux")
    expect(rows).to_have_count(1)
    ours.keyboard.press("Enter")
    closed(ours)
    assert ours.evaluate("[tabs[1].key, graph.extra.text]") == ["flux/portrait.json", "flux/portrait"]


def test_a_workflow_is_opened_by_pointer_and_by_arrow_keys(cloud, ours, theirs):
    for key in "abc":
        theirs(key, key)
    begin(ours, "open")
    ours.get_by_role("option").nth(1).click()
    press(ours, "Open")
    closed(ours)
    begin(ours, "open")
    ours.get_by_role("option").nth(2).dblclick()
    closed(ours)
    begin(ours, "open")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        ours.keyboard.press(key)
    closed(ours)
    assert ours.evaluate("tabs.slice(1).map(({ key }) => key)") == ["b.json", "c.json", "a.json"]


def test_a_name_of_the_list_is_taken_over_into_the_field(cloud, ours, theirs):
    theirs("flux/a", "theirs")
    begin(ours, "save")
    ours.get_by_role("option").click()
    expect(name(ours)).to_have_value("flux/a")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("There is another flux/a in the bucket.")
    name(ours).press("b")
    expect(notice(ours)).not_to_contain_text("another")
    expect(ours.get_by_role("button", name="Replace theirs")).to_have_count(0)


def test_a_profile_is_chosen_and_remembered_with_the_version(cloud, ours):
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {"team": {"path_prefix": f"{cloud.path_prefix}team/"}}}))
    begin(ours, "save")
    ours.get_by_label("Profile").select_option("team")
    name(ours).fill("a")
    press(ours, "Save")
    closed(ours)
    assert cloud.stat(f"team/{FOLDER}a.json")
    begin(ours, "save")
    expect(ours.get_by_label("Profile")).to_have_value("team")
    expect(ours.locator(".cs-workflow-rows").get_by_role("option")).to_have_count(1)
    ours.get_by_label("Profile").select_option("(env vars)")
    press(ours, "Save")
    closed(ours)
    assert cloud.stat(f"{FOLDER}a.json"), "another place, where the name is free"


def test_what_fails_is_told_and_can_be_tried_again(cloud, ours, monkeypatch):
    begin(ours, "save")
    name(ours).fill("../a")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text(". or ..")
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    name(ours).fill("a")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("read-only")
    monkeypatch.delenv("COMFY_S3_READ_ONLY")
    press(ours, "Save")
    closed(ours)
    assert text_of(cloud, "a") == "first"


def test_a_file_that_is_no_workflow_stays_a_choice_with_its_reason(cloud, ours):
    put(cloud, f"{FOLDER}broken.json", data=b"{")
    begin(ours, "open")
    ours.get_by_role("option").click()
    press(ours, "Open")
    expect(notice(ours)).to_contain_text("not JSON")
    expect(ours.get_by_role("button", name="Open", exact=True)).to_be_enabled()


def test_a_server_that_may_miss_two_at_once_is_named(cloud, ours):
    begin(ours, "save")
    assert not cloud.refuses_replaced
    expect(notice(ours)).to_contain_text("two people who save in the same second")


def test_without_a_bucket_the_dialog_says_what_to_set(comfyui, ours, monkeypatch):
    monkeypatch.delenv("COMFY_S3_BUCKET", raising=False)
    begin(ours, "open")
    expect(ours.locator(".cs-workflow-rows .cs-error")).to_contain_text("COMFY_S3_BUCKET")


def test_names_and_machines_are_text(cloud, ours, theirs, monkeypatch):
    theirs("<img src=x onerror=alert(1)>", "theirs")
    begin(ours, "save")
    name(ours).fill("<img src=x onerror=alert(1)>")
    press(ours, "Save")
    expect(notice(ours)).to_contain_text("another <img src=x onerror=alert(1)> in the bucket")
    assert ours.locator("dialog img").count() == 0


def test_the_dialogs_are_in_chinese(cloud, ours, theirs):
    theirs("a", "theirs")
    begin(ours, "save", "zh")
    expect(ours.get_by_role("heading", name="将工作流保存到存储桶")).to_be_visible()
    ours.get_by_label("名称", exact=True).fill("a")
    press(ours, "保存")
    expect(notice(ours)).to_contain_text("gpu-7")
    expect(ours.get_by_role("button", name="替换对方的版本")).to_be_visible()
