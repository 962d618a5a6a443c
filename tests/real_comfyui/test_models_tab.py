"""The bucket's models in a real ComfyUI's page: in the lists of loaders, and in the sidebar's Models tab.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.request

import pytest
from conftest import ROOT
from models_page import fill
from playwright.sync_api import expect
from servers import comfyui_page
from servers.comfyui import configure, running
from servers.comfyui_page import show_prompt

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

TAB = "comfyui-cloud-storage"
TOGGLE = "id => comfy.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${id}`)"
OPEN = f"id => comfy.extensionManager.sidebarTab.activeSidebarTabId === id || ({TOGGLE})(id)"
MODELS = {
    "loras/style/ink.safetensors": b"ink" * 1000,
    "loras/paper.safetensors": b"paper" * 1000,
    "checkpoints/base.safetensors": b"base" * 1000,
    "vae/soft.safetensors": b"soft" * 1000,
}
PROMPT = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
    "2": {
        "class_type": "LoraLoaderModelOnly",
        "inputs": {"model": ["1", 0], "lora_name": "style/ink.safetensors", "strength_model": 1.0},
    },
    "3": {"class_type": "VAELoader", "inputs": {"vae_name": "nowhere.safetensors"}},
}
LIST = """([id, name]) => {
    const widget = comfy.graph.getNodeById(id).widgets.find((one) => one.name === name)
    return [widget.value, [...widget.options.values]]
}"""


@pytest.fixture(scope="module")
def address(place, base):
    fill(place.open(), MODELS)
    with running(base, ROOT, place.environ) as url:
        yield url


@pytest.fixture(params=["canvas", "vue"])
def comfy(request, page, address, base):
    """ComfyUI's page and the bucket's models, none of which is on this machine, except one of the user's."""
    for path in (base / "models").rglob("*"):
        if path.is_file():  # folders stay: ComfyUI looks at the times of those that it has seen
            path.unlink()
    (base / "models" / "loras").mkdir(parents=True, exist_ok=True)
    (base / "models" / "loras" / "zebra.safetensors").write_bytes(b"mine")
    asked(address, "dismiss")
    page.address = address
    with comfyui_page.drawn_by(request.param, page, address):
        yield page


def asked(address, route, said=None):
    """What a POST to one of our routes answers."""
    body = json.dumps(said or {}).encode()
    headers = {"X-Cloud-Storage": "1", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/cloud_storage/models/{route}", body, headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def show(page, prompt=PROMPT):
    show_prompt(page, prompt)
    page.evaluate("() => { for (const node of comfy.graph.nodes) node.pos = [500, node.id * 220] }")
    comfyui_page.fit(page)


def tab(page, name="Models"):
    page.evaluate(OPEN, TAB)
    page.get_by_role("tab", name=name).click()
    return page.locator(".cs-models")


def part(page, name):
    return page.locator(".cs-models section", has=page.get_by_role("heading", name=name, exact=True))


def has_ring(page, number):
    """Whether the page draws a node as one with an error."""
    return page.evaluate("id => Boolean(comfy.graph.getNodeById(id).has_errors)", number)


def test_loaders_list_the_bucket_s_models_after_the_local_ones_and_show_no_error(comfy):
    show(comfy)
    value, values = comfy.evaluate(LIST, [2, "lora_name"])
    assert value == "style/ink.safetensors"
    assert values == ["zebra.safetensors", "paper.safetensors", "style/ink.safetensors"]
    assert comfy.evaluate(LIST, [1, "ckpt_name"]) == ["base.safetensors", ["base.safetensors"]]
    assert not has_ring(comfy, 1)
    assert not has_ring(comfy, 2)
    saved = comfyui_page.saved(comfy)["nodes"]
    assert next(node for node in saved if node["id"] == 2)["widgets_values"] == ["style/ink.safetensors", 1]


def test_the_label_has_a_cloud_where_the_page_shows_labels(comfy):
    if not comfy.is_vue:
        pytest.skip("a list with labels has no filter on the canvas")
    show(comfy)
    node = comfy.locator('[data-node-id="2"]')
    expect(node).to_contain_text("\u2601\ufe0e style/ink.safetensors")
    prompt = comfy.evaluate("async () => (await comfy.graphToPrompt()).output")
    assert prompt["2"]["inputs"]["lora_name"] == "style/ink.safetensors"


def test_the_tab_shows_the_workflow_s_models_and_downloads_them(comfy, base):
    show(comfy)
    tab(comfy)
    expect(part(comfy, "This workflow")).to_contain_text("0 here, 2 in the bucket, 1 missing")
    expect(part(comfy, "In the bucket")).to_contain_text("4 models")
    comfy.get_by_role("button", name="Download all").click()
    expect(part(comfy, "This workflow")).to_contain_text("2 here, 0 in the bucket, 1 missing")
    assert (base / "models/loras/style/ink.safetensors").read_bytes() == b"ink" * 1000
    comfy.wait_for_function(
        """() => {
            const { options } = comfy.graph.getNodeById(2).widgets.find((one) => one.name === "lora_name")
            return options.values[0] === "style/ink.safetensors"
        }"""
    )
    assert comfy.evaluate(LIST, [2, "lora_name"])[1] == [
        "style/ink.safetensors",
        "zebra.safetensors",
        "paper.safetensors",
    ], "it is a local file now, so it comes before those of the bucket"


def test_models_in_a_subgraph_are_seen_too(comfy):
    if not comfy.evaluate("() => Boolean(comfy.graph.convertToSubgraph)"):
        pytest.skip("this frontend has no subgraphs")
    show(comfy)
    comfy.evaluate("() => { comfy.graph.convertToSubgraph(new Set([comfy.graph.getNodeById(2)])) }")
    tab(comfy)
    expect(part(comfy, "This workflow")).to_contain_text("0 here, 2 in the bucket, 1 missing")
    expect(part(comfy, "This workflow")).to_contain_text("style/ink.safetensors")


def test_a_change_of_the_workflow_is_followed(comfy):
    show(comfy)
    tab(comfy)
    expect(part(comfy, "This workflow")).to_contain_text("1 missing")
    other = comfyui_page.saved(comfy)
    other["nodes"] = [{**node, "outputs": []} for node in other["nodes"] if node["id"] == 1]
    comfyui_page.show_workflow(comfy, {**other, "links": []})
    expect(part(comfy, "This workflow")).to_contain_text("0 here, 1 in the bucket, 0 missing")


def test_a_model_that_arrives_in_the_bucket_is_in_the_lists_after_a_refresh(comfy, place):
    show(comfy)
    tab(comfy)
    fill(place.open(), {"vae/nowhere.safetensors": b"here now"})
    try:
        comfy.get_by_role("button", name="List the bucket again").click()
        expect(part(comfy, "This workflow")).to_contain_text("0 here, 3 in the bucket, 0 missing")
        comfy.wait_for_function(
            """() => {
                const [widget] = comfy.graph.getNodeById(3).widgets
                return widget.options.values.includes("nowhere.safetensors")
            }"""
        )
        added = (
            "() => { const made = LiteGraph.createNode('VAELoader'); comfy.graph.add(made); return made.id }"
        )
        number = comfy.evaluate(added)
        assert "nowhere.safetensors" in comfy.evaluate(LIST, [number, "vae_name"])[1]
        if comfy.evaluate("() => Boolean(comfy.refreshMissingModels)"):
            comfy.wait_for_function("() => !comfy.graph.getNodeById(3).has_errors")
    finally:
        place.open().delete("models/vae/nowhere.safetensors")
        asked(comfy.address, "refresh")


def test_a_download_is_shown_again_after_a_reload_and_its_number_at_the_icon(comfy, base):
    show(comfy)
    tab(comfy)
    expect(part(comfy, "In the bucket")).to_contain_text("4 models")
    running_one = {"type": "vae", "name": "soft.safetensors", "status": "running"}
    running_one |= {"done": 1000, "total": 4000, "text": "", "error": ""}

    def with_one(route):
        said = route.fetch().json()
        route.fulfill(json={**said, "fetches": [running_one]})

    comfy.route("**/cloud_storage/models/progress*", with_one)
    comfyui_page.opened(comfy, comfy.address)
    icon = comfy.locator(f".{TAB}-tab-button").or_(comfy.get_by_test_id(f"{TAB}-tab-button"))
    expect(icon).to_contain_text("1")
    tab(comfy)
    expect(comfy.get_by_role("progressbar", name="soft.safetensors").first).to_have_attribute(
        "aria-valuenow", "25"
    )
    comfy.unroute_all(behavior="wait")
    expect(comfy.get_by_role("progressbar")).to_have_count(0)
    expect(icon).not_to_contain_text("1")


def test_the_tab_speaks_chinese(comfy):
    configure(comfy.address, {"Comfy.Locale": "zh"})
    comfyui_page.opened(comfy, comfy.address)
    show(comfy)
    tab(comfy, "模型")
    expect(part(comfy, "当前工作流")).to_contain_text("本机 0 个，存储桶 2 个，缺少 1 个")


def test_an_error_of_a_model_is_on_its_loader_until_the_next_run(comfy):
    show(comfy)
    happen = "([kind, detail]) => comfy.api.dispatchEvent(new CustomEvent(kind, { detail }))"
    message = "Could not fetch 'base.safetensors' (bucket): it is no longer in the bucket. Upload it again."
    detail = {"prompt_id": "p", "added": "cloud_storage~1", "nodes": ["1"], "message": message}
    comfy.evaluate(happen, ["cloud_storage.model_error", detail])
    assert has_ring(comfy, 1)
    texts, _ = comfyui_page.lines(comfy, 1)
    assert texts == [message]
    assert not has_ring(comfy, 2)
    saved = comfyui_page.saved(comfy)["nodes"]
    assert next(node for node in saved if node["id"] == 1)["widgets_values"] == ["base.safetensors"]
    comfy.evaluate(happen, ["execution_start", {"prompt_id": "q"}])
    assert not has_ring(comfy, 1)
    assert comfyui_page.lines(comfy, 1) is None


def test_core_s_own_tab_and_ours_take_turns(comfy):
    show(comfy)
    tab(comfy)
    expect(part(comfy, "In the bucket")).to_contain_text("4 models")
    comfy.evaluate(OPEN, "model-library")
    expect(comfy.locator(".cs-models")).to_have_count(0)
    tab(comfy)
    expect(part(comfy, "In the bucket")).to_contain_text("4 models")
    comfy.evaluate(TOGGLE, TAB)
    expect(comfy.locator(".cs-models")).to_have_count(0)
