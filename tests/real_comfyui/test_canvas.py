"""Files between the canvas and the bucket in a real ComfyUI's page: "Send to bucket" in a node's menu, files
that are dropped or pasted onto a Load node.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import pytest
from cloud_storage.errors import NotFound
from conftest import ROOT
from servers import comfyui_page
from servers.comfyui import NAME

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

BLUEPRINTS = ROOT / "subgraphs"
HAS_BLUEPRINTS = Path(os.environ.get("COMFYUI_PATH", ""), "app", "subgraph_manager.py").is_file()
PROMPT = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 16711680},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "shown"}},
    "3": {"class_type": "LoadImageFromCloud", "inputs": {"key": "renders/old.png"}},
}
MENU = """(id) => {
    const node = comfy.graph.getNodeById(id)
    return comfy.canvas.getNodeMenuOptions(node).filter(Boolean).map((each) => each.content)
}"""
CHOOSE = """([id, label]) => {
    const node = comfy.graph.getNodeById(id)
    comfy.canvas.getNodeMenuOptions(node).filter(Boolean).find((each) => each.content === label).callback()
}"""
DROP = """([id, name, text]) => {
    const node = comfy.graph.getNodeById(id), data = new DataTransfer()
    data.items.add(new File([text], name))
    const event = new DragEvent("drop", { dataTransfer: data })
    return [node.onDragOver(event), node.onDragDrop(event)]
}"""
PASTE = """(id) => {
    const data = new DataTransfer()
    data.items.add(new File(["pasted"], "pasted.png", { type: "image/png" }))
    comfy.canvas.selectNodes([comfy.graph.getNodeById(id)])
    const target = document.querySelector("#graph-canvas") ?? document.body
    const event = { clipboardData: data, bubbles: true, cancelable: true }
    target.dispatchEvent(new ClipboardEvent("paste", event))
    return comfy.graph.nodes.length
}"""
KEY = "id => comfy.graph.getNodeById(id).widgets.find((each) => each.name === 'key').value"
LEVEL = "id => comfy.graph.getNodeById(id).cloudStorageLines?.element.dataset.level"


@pytest.fixture(params=["canvas", "vue"])
def graph(request, page, address):
    with comfyui_page.drawn_by(request.param, page, address):
        comfyui_page.show_prompt(page, PROMPT)
        page.evaluate("() => { for (const node of comfy.graph.nodes) node.pos = [(node.id - 1) * 420, 0] }")
        comfyui_page.fit(page)
        yield page


def has_said(page, number, words):
    """Wait until a node's lines have these words; returns all of them."""
    page.wait_for_function(
        "([id, words]) => comfy.graph.getNodeById(id).cloudStorageLines?.element.textContent.includes(words)",
        arg=[number, words],
    )
    return comfyui_page.lines(page, number)


def picture_of(page, name):
    """A screenshot for people, where CANVAS_PICTURES names a folder."""
    if "CANVAS_PICTURES" in os.environ:
        page.screenshot(
            path=f"{os.environ['CANVAS_PICTURES']}/{name}-{'vue' if page.is_vue else 'canvas'}.png"
        )


def test_what_a_node_of_comfyui_shows_is_sent_to_the_bucket(graph, place):
    assert "Send to bucket" not in graph.evaluate(MENU, 2), "it shows nothing yet"
    kind, _ = comfyui_page.run(graph)
    assert kind in ("execution_success", "execution_error"), "the loader's object is not there"
    graph.wait_for_function("(id) => Object.keys(comfy.nodeOutputs?.[id] ?? {}).length", arg=2)
    assert "Send to bucket" in graph.evaluate(MENU, 2)
    assert "Send to bucket" not in graph.evaluate(MENU, 1)
    graph.evaluate(CHOOSE, [2, "Send to bucket"])
    _, addresses = has_said(graph, 2, "comfyui/sent/shown_")
    assert addresses
    assert any(info.key.startswith("comfyui/sent/shown_") for info in place.open().list("comfyui/sent/"))
    comfyui_page.fit(graph)
    picture_of(graph, "send")
    saved = comfyui_page.saved(graph)["nodes"]
    assert next(node for node in saved if node["id"] == 2)["widgets_values"] == ["shown"]


def test_a_file_that_is_dropped_onto_a_load_node_is_uploaded_and_loaded(graph, place):
    assert graph.evaluate(DROP, [3, "dropped.png", "no real image"]) == [True, True]
    has_said(graph, 3, "Uploaded. The node loads")
    key = graph.evaluate(KEY, 3)
    assert key.startswith("renders/dropped")
    assert place.open().read(key) == b"no real image"
    comfyui_page.fit(graph)
    picture_of(graph, "drop")


def test_a_file_that_the_node_cannot_load_is_refused_in_red_and_a_workflow_is_comfyui_s(graph, place):
    assert graph.evaluate(DROP, [3, "film.mp4", "x"]) == [True, True]
    has_said(graph, 3, "This node cannot load film.mp4")
    assert graph.evaluate(LEVEL, 3) == "error"
    picture_of(graph, "refused")
    assert graph.evaluate(DROP, [3, "workflow.json", "{}"]) == [True, False]
    with pytest.raises(NotFound):
        place.open().stat("renders/film.mp4")


def test_a_pasted_image_goes_to_the_load_node_that_is_selected(graph, place):
    assert graph.evaluate(PASTE, 3) == 3, "no node was added"
    has_said(graph, 3, "Uploaded. The node loads")
    assert place.open().read(graph.evaluate(KEY, 3)) == b"pasted"
    assert not [fault for fault in graph.faults if NAME in fault]


def test_settings_commands_and_the_about_page_are_comfyui_s_own(graph):
    commands = graph.evaluate(
        """() => comfy.extensionManager.command.commands.map(({ id }) => id)
            .filter((id) => id.startsWith("comfyui-cloud-storage."))"""
    )
    assert {f"{NAME}.{name}" for name in ("open", "test", "refresh")} <= set(commands)
    assert graph.get_by_text("already exists").count() == 0, "our keys are free"
    run = "id => comfy.extensionManager.command.execute(id)"
    setting = "id => comfy.extensionManager.setting.get(id)"
    assert graph.evaluate(setting, f"{NAME}.SendFolder") == "comfyui/sent/"
    graph.evaluate(run, f"{NAME}.test")
    graph.get_by_text("works").first.wait_for()
    picture_of(graph, "toast")
    graph.evaluate(run, f"{NAME}.open")
    graph.locator(".cs-cloud").first.wait_for()
    graph.evaluate(run, "Comfy.ShowSettingsDialog")
    graph.get_by_text("Cloud", exact=True).last.click()
    graph.get_by_text("Folder for Send to bucket").wait_for()
    graph.get_by_text("Models: off").wait_for()
    picture_of(graph, "settings")


def test_why_the_server_refuses_a_node_is_on_it_in_red(graph):
    save = {"class_type": "SaveImageToCloud", "inputs": {"images": ["1", 0], "format": "png"}}
    comfyui_page.show_prompt(graph, {"1": PROMPT["1"], "3": save})
    graph.evaluate(
        """() => {
            comfy.graph.getNodeById(3).widgets.find(({ name }) => name === "format").value = "x"
        }"""
    )
    kind, _ = comfyui_page.run(graph)
    assert kind != "execution_success"
    has_said(graph, 3, "Value not in list: format")
    assert graph.evaluate(LEVEL, 3) == "error"
    picture_of(graph, "refusal")


@pytest.mark.skipif(not HAS_BLUEPRINTS, reason="this ComfyUI does not read subgraphs of packages")
def test_a_blueprint_saves_and_its_links_are_signed(graph, address, place):
    with urllib.request.urlopen(f"{address}/global_subgraphs") as answer:
        offered = [entry["name"] for entry in json.load(answer).values() if NAME in str(entry)]
    assert sorted(offered) == sorted(path.stem for path in BLUEPRINTS.glob("*.json"))
    blueprint = json.loads((BLUEPRINTS / "Save images with a share link.json").read_text())
    comfyui_page.show_workflow(graph, blueprint)
    graph.evaluate(
        """() => {
            const image = LiteGraph.createNode("EmptyImage")
            comfy.graph.add(image)
            image.connect(0, comfy.graph.getNodeById(1), 0)
            const shown = LiteGraph.createNode("PreviewAny")
            comfy.graph.add(shown)
            comfy.graph.getNodeById(1).connect(0, shown, 0)
        }"""
    )
    kind, detail = comfyui_page.run(graph)
    assert kind == "execution_success", detail
    assert [info.key for info in place.open().list("comfyui/shared/")]
    comfyui_page.fit(graph)
    picture_of(graph, "blueprint")
