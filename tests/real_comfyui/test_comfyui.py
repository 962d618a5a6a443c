"""The nodes in a real ComfyUI's page: what they show, the picker, and that a workflow comes back as it was.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from io import BytesIO

import cloud_storage
import hostile_texts
import pytest
from cloud_storage.comfyui import status_text
from cloud_storage.nodes_library import HIDDEN_NODES
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT
from PIL import Image
from playwright.sync_api import expect
from servers import comfyui_page
from servers.comfyui import NAME, configure, running
from servers.comfyui_page import lines, run, saved

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)

PROFILE = {
    "profile": "(env vars)",
    "provider": "(from profile)",
    "bucket": "",
    "path_prefix": "",
    "region": "",
}
SAVE = {
    "images": ["2", 0],
    "key_prefix": "comfyui/new/",
    "filename": "ComfyUI_%counter%",
    "format": "png",
    "quality": 90,
    "profile": ["1", 0],
    "if_exists": "new name",
    "link": "object url",
    "expires_hours": 24,
    "embed_workflow": True,
    "on_failure": "keep and stop",
}
PROMPT = {
    "1": {"class_type": "CloudStorageProfile", "inputs": PROFILE},
    "2": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 48, "batch_size": 2, "color": 16711680},
    },
    "3": {"class_type": "SaveImageToCloud", "inputs": SAVE},
    "4": {
        "class_type": "GeneratePresignedURL",
        "inputs": {"key": "in/a.png", "expires_hours": 1, "profile": ["1", 0]},
    },
    "5": {"class_type": "LoadImageFromCloud", "inputs": {"key": "in/a.png", "profile": ["1", 0]}},
    "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    "7": {
        "class_type": "ListBucketContents",
        "inputs": {"prefix": "in/", "max_results": 10, "pattern": "*.png", "profile": ["1", 0]},
    },
    "8": {"class_type": "TestCloudConnection", "inputs": {"profile": ["1", 0]}},
}
LEVEL = "number => comfy.graph.getNodeById(number).cloudStorageLines?.element.dataset.level"
TOLD = "number => comfy.graph.getNodeById(number)?.cloudStorageLines?.element.isConnected"
NOT_TOLD = "number => comfy.graph.getNodeById(number)?.cloudStorageLines === undefined"
VALUES = {  # what a saved workflow holds: the widgets' values in their order, and no others
    "CloudStorageProfile": list(PROFILE.values()),
    "SaveImageToCloud": [value for value in SAVE.values() if not isinstance(value, list)],
    "GeneratePresignedURL": ["in/a.png", 1],
    "LoadImageFromCloud": ["in/a.png", "load what is there"],
    "ListBucketContents": ["in/", 10, "*.png"],
    "TestCloudConnection": [],
}


@pytest.fixture(scope="module")
def address(place, base):
    written = BytesIO()
    Image.new("RGB", (320, 160), (200, 100, 50)).save(written, "PNG")
    storage = place.open()
    for key in ("in/a.png", "in/b.png", "in/deep/c.png"):
        storage.put(key, written.getvalue(), PutOptions(content_type="image/png"), Meter())
    storage.put("in/notes.txt", b"no image", PutOptions(), Meter())
    with running(base, ROOT, place.environ) as url:
        yield url


@pytest.fixture(params=["canvas", "vue"])
def graph(request, page, address):
    """ComfyUI's page with our nodes on it, not yet run. Faults of the frontend's own are not ours to find."""
    with comfyui_page.drawn_by(request.param, page, address, opened):
        yield page


def opened(page, address):
    """Our nodes on ComfyUI's page, side by side."""
    comfyui_page.opened(page, address)
    comfyui_page.show_prompt(page, PROMPT)
    page.evaluate(
        """() => {
            const place = (node) => [((node.id - 1) % 4) * 400, Math.floor((node.id - 1) / 4) * 600]
            for (const node of comfy.graph.nodes) node.pos = place(node)
        }"""
    )
    comfyui_page.fit(page)
    return page


def widget(page, number, name):
    find = "([id, name]) => comfy.graph.getNodeById(id).widgets.find((each) => each.name === name).value"
    return page.evaluate(find, [number, name])


def press(page, number, name, label):
    """Press one of our buttons: with Vue nodes by the pointer, on the canvas as that calls it."""
    if page.is_vue and page.locator(f'[data-node-id="{number}"]').count():
        page.locator(f'[data-node-id="{number}"]').get_by_role("button", name=label).click()
        return
    comfyui_page.press(page, number, name)


def switch_to_another_tab_and_back(page):
    command = "name => comfy.extensionManager.command.execute(name)"
    page.evaluate(command, "Comfy.NewBlankWorkflow")
    page.wait_for_function("() => !comfy.graph.getNodeById(8)")
    page.evaluate(command, "Workspace.PreviousOpenedWorkflow")
    page.wait_for_function("() => comfy.graph.getNodeById(8)")


def values(workflow):
    return {node["type"]: node.get("widgets_values", []) for node in workflow["nodes"]}


def test_a_run_shows_addresses_that_open_and_what_else_there_is_to_tell(graph, place):
    kind, detail = run(graph)
    assert kind == "execution_success", detail
    graph.wait_for_function(TOLD, arg=8)
    texts, links = lines(graph, 3)
    assert texts[0].startswith("Saved 2 objects, comfyui/new/ComfyUI_")
    assert len(links) == 2
    storage = place.open()
    for link in links:
        assert link in [storage.url(info.key) for info in storage.list("comfyui/new/")]
    texts, (signed,) = lines(graph, 4)
    assert texts[0] == "in/a.png: shared for 1 h"
    with urllib.request.urlopen(signed) as answer:
        assert answer.read().startswith(b"\x89PNG")
    texts, _ = lines(graph, 7)
    assert texts[0] == "3 objects, times in UTC"
    assert texts[1].startswith("in/a.png  ")
    assert any(text.startswith("✓ write") for text in lines(graph, 8)[0])
    assert "$$node-text-preview" not in graph.evaluate(
        "() => comfy.graph.getNodeById(3).widgets.map((each) => each.name)"
    )


def test_the_items_of_a_list_are_saved_in_order_and_none_replaces_another(page, address, place):
    storage, sides = place.open(), (1600, 30, 20, 10)  # the first one takes the longest
    for number, side in enumerate(sides):
        written = BytesIO()
        Image.effect_noise((side, side), 100).save(written, "PNG")
        storage.put(f"listed/{number}.png", written.getvalue(), PutOptions(), Meter())
    folder = {"prefix": "listed/", "pattern": "*", "sort": "name", "skip_first": 0, "select_every_nth": 1}
    folder |= {"limit": 16, "size_mode": "one item each"}
    made = {**SAVE, "images": ["2", 0]}
    made.pop("profile")
    opened(page, address)
    comfyui_page.show_prompt(
        page,
        {
            "2": {"class_type": "LoadImagesFromCloud", "inputs": folder},
            "3": {"class_type": "SaveImageToCloud", "inputs": {**made, "key_prefix": "counted/"}},
            "4": {
                "class_type": "SaveImageToCloud",
                "inputs": {**made, "key_prefix": "fixed/", "filename": "one", "if_exists": "overwrite"},
            },
        },
    )
    kind, detail = run(page)
    assert kind == "execution_success", detail
    counted = {f"counted/ComfyUI_{number:05d}.png": side for number, side in enumerate(sides, 1)}
    names = ("one", "one_1", "one_2", "one_3")
    fixed = {f"fixed/{name}.png": side for name, side in zip(names, sides, strict=True)}
    for prefix, expected in (("counted/", counted), ("fixed/", fixed)):
        keys = [info.key for info in storage.list(prefix)]
        assert {key: Image.open(BytesIO(storage.read(key))).width for key in keys} == expected
    page.faults[:] = [fault for fault in page.faults if NAME in fault]


def test_a_workflow_comes_back_as_it_was_and_holds_nothing_of_ours(graph):
    before = saved(graph)
    for kind, expected in VALUES.items():
        assert values(before)[kind] == expected, kind
    run(graph)
    graph.wait_for_function(TOLD, arg=8)
    after = saved(graph)
    for kind, expected in VALUES.items():
        assert values(after)[kind] == expected, kind
    assert "http" not in json.dumps(after["nodes"])
    graph.evaluate("async workflow => { await comfy.loadGraphData(workflow) }", after)
    graph.wait_for_function("() => comfy.graph.getNodeById(8)")
    again = saved(graph)
    for kind, expected in VALUES.items():
        assert values(again)[kind] == expected, kind
    prompt = graph.evaluate("async () => (await comfy.graphToPrompt()).output")
    assert {name: value for name, value in prompt["3"]["inputs"].items() if name != "images"} == {
        name: value for name, value in SAVE.items() if name != "images"
    }
    assert [each["target_id"] if isinstance(each, dict) else each[3] for each in again["links"]] == [
        each["target_id"] if isinstance(each, dict) else each[3] for each in after["links"]
    ]


def test_what_there_was_to_tell_is_there_again_after_another_tab(graph):
    run(graph)
    graph.wait_for_function(TOLD, arg=8)
    told = lines(graph, 3)
    switch_to_another_tab_and_back(graph)
    graph.wait_for_function(TOLD, arg=3)
    assert lines(graph, 3) == told


@pytest.mark.parametrize("depth", [1, 2])
def test_that_is_so_in_a_subgraph_too(graph, depth):
    if not graph.evaluate("() => Boolean(comfy.graph.convertToSubgraph)"):
        pytest.skip("this frontend has no subgraphs")
    graph.evaluate(
        """depth => {
            const below = ({ nodes }) => nodes.flatMap((one) => (one.subgraph ? below(one.subgraph) : one))
            window.inner_lines = () => {
                const inner = below(comfy.graph).find((node) => node.type === "GeneratePresignedURL")
                const shown = inner?.cloudStorageLines?.element.querySelectorAll(".cs-line")
                return shown && [...shown].map((line) => line.textContent)
            }
            let node = comfy.graph.getNodeById(4)
            for (; depth > 0; depth--) node = comfy.graph.convertToSubgraph(new Set([node])).node
        }""",
        depth,
    )
    kind, detail = run(graph)
    assert kind == "execution_success", detail
    graph.wait_for_function("inner_lines()")
    told = graph.evaluate("inner_lines()")
    assert told[0] == "in/a.png: shared for 1 h"
    switch_to_another_tab_and_back(graph)
    graph.wait_for_function("inner_lines()")
    assert graph.evaluate("inner_lines()") == told


def test_a_key_is_picked_for_a_node_whose_profile_is_wired(graph):
    press(graph, 5, "browse_key", "Browse the bucket")
    name = graph.locator('.cs-row[aria-selected="true"] .cs-name')
    expect(name).to_have_text("a.png")
    expect(graph.locator(".cs-row .cs-name")).to_have_text(["deep", "a.png", "b.png"])
    expect(graph.locator(".cs-row img")).to_have_count(2)
    graph.keyboard.press("ArrowDown")
    graph.keyboard.press("Enter")
    expect(graph.locator("dialog.cs-picker")).to_have_count(0)
    assert widget(graph, 5, "key") == "in/b.png"
    assert preview(graph, 5)[0] == "b.png", "the file is shown before anything runs"
    graph.wait_for_function(PICTURED, arg=5)
    prompt = graph.evaluate("async () => (await comfy.graphToPrompt()).output")
    assert prompt["5"]["inputs"]["key"] == "in/b.png"
    graph.evaluate("() => { comfy.graph.getNodeById(1).widgets[3].value = 'in/deep' }")
    press(graph, 3, "browse_key_prefix", "Browse the bucket")
    graph.get_by_role("button", name="Top", exact=True).click()
    expect(graph.locator(".cs-row .cs-name")).to_have_text(["c.png"])
    graph.get_by_role("button", name="Use the top folder").click()
    assert widget(graph, 3, "key_prefix") == ""


def preview(page, number):
    """The texts below the picture that a node shows."""
    find = """number => [...comfy.graph.getNodeById(number).cloudStoragePreview.element
        .querySelectorAll("figcaption div")].map((each) => each.textContent)"""
    return page.evaluate(find, number)


PICTURED = """number => {
    const image = comfy.graph.getNodeById(number).cloudStoragePreview?.element.querySelector("img")
    return image?.isConnected && image.complete && image.naturalWidth > 0
}"""
OFFERED = """number => {
    const node = comfy.graph.getNodeById(number)
    const options = comfy.canvas.getNodeMenuOptions?.(node) ?? []
    return options.filter(Boolean).map((each) => String(each.content ?? ""))
}"""


def test_a_picture_that_was_loaded_is_shown_with_its_true_size_and_offered_to_no_mask_editor(graph, place):
    key, written = f"seen/{graph.is_vue}.png", BytesIO()  # another one each time: what is cached says nothing
    Image.new("RGB", (320, 160), (20, 100, 50)).save(written, "PNG")
    place.open().put(key, written.getvalue(), PutOptions(content_type="image/png"), Meter())
    graph.evaluate("key => { comfy.graph.getNodeById(5).widgets[0].value = key }", key)
    kind, detail = run(graph)
    assert kind == "execution_success", detail
    graph.wait_for_function(PICTURED, arg=5)
    assert preview(graph, 5) == ["320 × 160 pixels"]
    assert not graph.evaluate("() => comfy.graph.getNodeById(5).imgs?.length")
    theirs, ours = graph.evaluate(OFFERED, 6), graph.evaluate(OFFERED, 5)
    if not graph.is_vue:  # else its menu is another one, which looks at imgs too
        assert any("MaskEditor" in text for text in theirs), "ComfyUI's own Preview Image is as before"
    assert not [text for text in ours if re.search("MaskEditor|Save Image|Copy Image|Open Image", text)]
    switch_to_another_tab_and_back(graph)
    graph.wait_for_function(PICTURED, arg=5)
    assert preview(graph, 5) == ["320 × 160 pixels"]


def test_a_file_is_brought_to_comfyui_or_chosen_from_its_folders_and_uploaded(graph, place, tmp_path):
    name = f"brought {graph.is_vue}.txt"
    (tmp_path / name).write_text(name)
    given = {"file": "", "key_prefix": "brought/", "filename": "", "if_exists": "new name", "link": "none"}
    given |= {"expires_hours": 24, "profile": ["1", 0]}
    upload = {"class_type": "UploadFileToCloud", "inputs": given}
    comfyui_page.show_prompt(graph, {"1": PROMPT["1"], "2": upload})
    comfyui_page.fit(graph)
    with graph.expect_file_chooser() as chooser:
        press(graph, 2, "upload_file", "From this computer")
    chooser.value.set_files(tmp_path / name)
    graph.wait_for_function("() => comfy.graph.getNodeById(2).widgets[0].value")
    assert widget(graph, 2, "file") == f"input/{name}"
    assert preview(graph, 2)[0] == name
    press(graph, 2, "browse_file", "From ComfyUI's folders")
    expect(graph.locator('.cs-row[aria-selected="true"] .cs-name')).to_have_text(name)
    graph.get_by_role("button", name="Top", exact=True).click()
    expect(graph.locator(".cs-row .cs-name")).to_have_text(["input", "models", "output", "temp"])
    graph.keyboard.type(name[:9])
    expect(graph.locator(".cs-row .cs-name").last).to_contain_text(name)
    graph.locator(".cs-row", has_text=name).dblclick()
    assert widget(graph, 2, "file") == f"input/{name}"
    given = values(saved(graph))["UploadFileToCloud"]
    assert given == [f"input/{name}", "brought/", "", "new name", "none", 24]
    kind, detail = run(graph)
    assert kind == "execution_success", detail
    assert place.open().read(f"brought/{name}") == name.encode()


def test_the_button_of_a_profile_tells_what_works_and_what_does_not(graph):
    press(graph, 1, "test_connection", "Test connection")
    told = "word => comfy.graph.getNodeById(1).cloudStorageLines?.element.textContent.includes(word)"
    graph.wait_for_function(told, arg="✓")
    texts, _ = lines(graph, 1)
    assert texts[0] == "Profile (env vars): works"
    assert any(text.startswith("✓ list") for text in texts)
    find = "comfy.graph.getNodeById(1).cloudStorageLines.element"
    graph.wait_for_function(f"() => {find}.offsetHeight > 130", timeout=10_000)  # no more as at "Testing…"
    graph.evaluate("() => { comfy.graph.getNodeById(1).widgets[2].value = 'no-such-bucket' }")
    press(graph, 1, "test_connection", "Test connection")
    graph.wait_for_function(told, arg="NoSuch")
    assert any("Check the bucket's name" in text for text in lines(graph, 1)[0])
    assert graph.evaluate(LEVEL, 1) == "error"
    graph.evaluate("() => { comfy.graph.getNodeById(1).widgets[0].value = 'there is none' }")
    press(graph, 1, "test_connection", "Test connection")
    graph.wait_for_function(told, arg="there is none")
    assert graph.evaluate(LEVEL, 1) == "error"


def test_the_box_is_as_high_as_its_lines_from_the_first_one_on_and_leaves_a_node_its_own_height(graph):
    find = "comfy.graph.getNodeById(1)"
    graph.evaluate(f"() => {find}.setSize([400, 700])")
    graph.evaluate(f"() => {find}.widgets.find((each) => each.name === 'profile').value = 'none'")
    heights = []
    for _ in range(2):
        press(graph, 1, "test_connection", "Test connection")
        graph.wait_for_function(f"() => {find}.cloudStorageLines?.element.textContent.includes('none')")
        heights.append(graph.evaluate(f"() => [{find}.cloudStorageHeights.least < 150, {find}.size[1]]"))
    assert heights == [[True, 700], [True, 700]]


def test_a_new_node_is_as_wide_as_its_title(graph):
    drawn = graph.evaluate(
        """() => Object.values(LiteGraph.registered_node_types)
            .filter((type) => type.nodeData?.category?.startsWith("cloud_storage"))
            .map((type) => {
                const node = LiteGraph.createNode(type.nodeData.name)
                const pen = document.createElement("canvas").getContext("2d")
                let shown
                pen.fillText = (text) => (shown = text)
                node.drawTitleText(pen, { scale: 1, default_title_color: "#fff" })
                return [shown, node.title]
            })"""
    )
    assert len(drawn) == len(cloud_storage.NODE_CLASS_MAPPINGS) + len(HIDDEN_NODES)
    assert [shown for shown, _ in drawn] == [title for _, title in drawn]


def test_frames_are_a_latent_while_a_vae_is_connected(graph):
    graph.evaluate(
        """() => {
            const add = (type) => comfy.graph.add(LiteGraph.createNode(type))
            for (const type of ["VAELoader", "LoadVideoFromCloud", "VAEDecode", "PreviewImage"]) add(type)
            window.found = (type) => comfy.graph.nodes.findLast((node) => node.type === type)
            window.wire = (from, to, input) =>
                Boolean(found(from).connect(0, found(to), found(to).findInputSlot(input)))
            window.kind = () => found("LoadVideoFromCloud").outputs[0].type
        }"""
    )
    assert graph.evaluate("kind()") == "IMAGE"
    assert graph.evaluate('wire("LoadVideoFromCloud", "PreviewImage", "images")')
    assert not graph.evaluate('wire("LoadVideoFromCloud", "VAEDecode", "samples")')
    assert graph.evaluate('wire("VAELoader", "LoadVideoFromCloud", "vae")')
    assert graph.evaluate("kind()") == "LATENT"
    assert graph.evaluate('wire("LoadVideoFromCloud", "VAEDecode", "samples")')
    graph.evaluate("async () => { await comfy.loadGraphData(comfy.graph.serialize()) }")
    assert graph.evaluate("kind()") == "LATENT"
    graph.evaluate("found('LoadVideoFromCloud').disconnectInput('vae')")
    assert graph.evaluate("kind()") == "IMAGE"


def test_an_error_is_told_in_our_words(graph):
    graph.evaluate("() => { comfy.graph.getNodeById(5).widgets[0].value = 'in/gone.png' }")
    kind, detail = run(graph)
    assert kind == "execution_error"
    assert "in/gone.png" in detail["exception_message"]


def watch_for_what_names_make(page):
    """Note whatever a hostile text makes in the page, however short it is there; see ``made_by_names``."""
    page.evaluate(
        """selectors => {
            window.made_by_names = []
            const look = () => made_by_names.push(...selectors.filter((each) => document.querySelector(each)))
            new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true })
        }""",
        list(hostile_texts.MADE),
    )


def made_by_names(page):
    return page.evaluate(f"() => [...new Set(made_by_names), ...({hostile_texts.RAN} ? ['script'] : [])]")


def test_a_status_is_text_whatever_a_name_or_a_server_says(graph):
    """As a node shows it while it runs: a status that the server sends, one after another."""
    watch_for_what_names_make(graph)
    for text in hostile_texts.TEXTS:
        sent = status_text.safe(f"Loaded {text}")
        graph.evaluate("text => comfy.api.dispatchCustomEvent('progress_text', { nodeId: '3', text })", sent)
        last = sent.rpartition("\n")[-1]
        expect(graph.get_by_text(last).first).to_be_attached()
        assert made_by_names(graph) == [], text


def test_no_name_in_a_bucket_means_anything_to_the_page(graph, place):
    storage, written = place.open(), BytesIO()
    Image.new("RGB", (8, 8)).save(written, "PNG")
    data = written.getvalue()
    for text in hostile_texts.NAMES:
        storage.put(f"hostile/{text}", data, PutOptions(content_type="image/png"), Meter())
    watch_for_what_names_make(graph)
    graph.evaluate("() => { comfy.graph.getNodeById(7).widgets[0].value = 'hostile/' }")
    for text in (hostile_texts.IMAGE, "[[Sign in|https://evil.example]].png"):
        load = "key => { for (const id of [4, 5]) comfy.graph.getNodeById(id).widgets[0].value = key }"
        graph.evaluate(load, f"hostile/{text}")
        kind, detail = run(graph)
        assert kind == "execution_success", detail
        graph.wait_for_function(TOLD, arg=8)
        assert lines(graph, 4)[0][0] == f"hostile/{text}: shared for 1 h"
        graph.evaluate(load, f"hostile/gone/{text}")
        kind, detail = run(graph)
        assert kind == "execution_error"
        assert text in detail["exception_message"]
        graph.wait_for_timeout(comfyui_page.FITTING_MILLISECONDS)  # the page's own dialog or toast comes in
        assert made_by_names(graph) == []
        graph.keyboard.press("Escape")


HAS_PICTURE = """number => {
    const node = comfy.graph.getNodeById(number)
    const shown = document.querySelector(`[data-node-id="${number}"] img`)
    return Boolean(node.imgs?.length || shown)
}"""


def set_widget(page, number, name, value):
    page.evaluate(
        """([id, name, value]) => {
            comfy.graph.getNodeById(id).widgets.find((each) => each.name === name).value = value
        }""",
        [number, name, value],
    )


def run_only(page, *numbers):
    page.evaluate(
        """numbers => {
            for (const node of comfy.graph.nodes) node.mode = numbers.includes(Number(node.id)) ? 0 : 2
        }""",
        list(numbers),
    )


def test_a_node_that_fails_says_why_in_red_and_shows_nothing_of_an_earlier_run(graph):
    run_only(graph, 1, 2, 3)
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(TOLD, arg=3)
    graph.wait_for_function(HAS_PICTURE, arg=3)
    set_widget(graph, 1, "bucket", "there-is-no-such-bucket")
    kind, detail = run(graph)
    assert kind == "execution_error"
    assert detail["exception_type"] == "cloud_storage.NotFound"
    graph.wait_for_function(f"number => ({LEVEL})(number) === 'error'", arg=3)
    assert lines(graph, 3) == ([detail["exception_message"].strip()], [])
    graph.wait_for_function(f"number => !({HAS_PICTURE})(number)", arg=3)
    switch_to_another_tab_and_back(graph)
    graph.wait_for_function(TOLD, arg=3)
    assert lines(graph, 3)[0] == [detail["exception_message"].strip()]
    set_widget(graph, 1, "bucket", "")
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(f"number => ({LEVEL})(number) === undefined", arg=3)
    assert lines(graph, 3)[0][0].startswith("Saved ")


def test_lines_of_an_earlier_run_are_old_while_another_one_is_under_way(graph):
    """As the server sends it, one event after another."""
    run_only(graph, 1, 2, 3)
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(TOLD, arg=3)
    is_old = "() => comfy.graph.getNodeById(3).cloudStorageLines.element.classList.contains('cs-old')"

    def happens(kind, detail):
        graph.evaluate("given => comfy.api.dispatchCustomEvent(...given)", [kind, detail])

    assert not graph.evaluate(is_old)
    happens("execution_start", {"prompt_id": "next", "timestamp": 0})
    assert graph.evaluate(is_old)
    assert lines(graph, 3)[0][0].startswith("Saved 2 objects")
    happens("executing", "3")
    assert lines(graph, 3) == (["Running…"], [])
    assert not graph.evaluate(is_old)
    stopped = {"prompt_id": "next", "node_id": "3", "node_type": "SaveImageToCloud", "executed": []}
    happens("execution_interrupted", {**stopped, "timestamp": 0})
    graph.wait_for_function(f"number => !({HAS_PICTURE})(number)", arg=3)
    assert lines(graph, 3) == (["Not finished: the run was stopped."], [])


def test_a_run_of_another_tab_with_the_same_nodes_tells_nothing_on_this_one(graph):
    run_only(graph, 1, 2, 3)
    kind, detail = run(graph)
    assert kind == "execution_success"
    graph.wait_for_function(TOLD, arg=3)
    active = "() => comfy.extensionManager.workflow.activeWorkflow.path"
    first = graph.evaluate(active)
    graph.evaluate("name => comfy.extensionManager.command.execute(name)", "Comfy.DuplicateWorkflow")
    graph.wait_for_function(f"first => ({active})() !== first && comfy.graph.getNodeById(3)", arg=first)
    of_run = {"prompt_id": detail["prompt_id"], "timestamp": 0}
    error = {**of_run, "node_id": "3", "node_type": "SaveImageToCloud", "exception_message": "It broke."}

    def happens(kind, detail):
        graph.evaluate("given => comfy.api.dispatchCustomEvent(...given)", [kind, detail])

    def fails(as_run):
        happens("execution_start", {**of_run, **as_run})
        happens("execution_error", {**error, **as_run})
        return lines(graph, 3)

    assert fails({}) is None or "It broke." not in fails({})[0]
    graph.evaluate("name => comfy.extensionManager.command.execute(name)", "Workspace.PreviousOpenedWorkflow")
    graph.wait_for_function(f"first => ({active})() === first && comfy.graph.getNodeById(3)", arg=first)
    graph.wait_for_function(TOLD, arg=3)
    assert fails({})[0] == ["It broke."]
    assert fails({"prompt_id": "of another page"})[0] == ["It broke."]


def test_a_server_that_keeps_no_history_is_no_fault_of_the_page(graph):
    run_only(graph, 1, 5, 6)
    assert run(graph)[0] == "execution_success"
    graph.evaluate("() => { window.rejected = 0; addEventListener('unhandledrejection', () => rejected++) }")
    graph.evaluate(
        """() => {
            delete comfy.graph.getNodeById(5).cloudStorageLines
            const fetchApi = comfy.api.fetchApi
            comfy.api.fetchApi = async function (route, ...rest) {
                if (!route.startsWith("/history/")) return await fetchApi.call(this, route, ...rest)
                window.asked = true
                throw new TypeError("Failed to fetch")
            }
        }"""
    )
    for kind, detail in (
        ("execution_start", {"prompt_id": "x", "timestamp": 0}),
        ("execution_cached", {"prompt_id": "x", "nodes": ["5"], "timestamp": 0}),
        ("executing", None),
    ):
        graph.evaluate("given => comfy.api.dispatchCustomEvent(...given)", [kind, detail])
    graph.wait_for_function("() => window.asked")
    graph.evaluate("() => new Promise((done) => setTimeout(() => setTimeout(done)))")
    assert graph.evaluate("rejected") == 0


APART = """number => {
    const node = comfy.graph.getNodeById(number)
    const { scale, offset } = comfy.canvas.ds
    const canvas = comfy.canvas.canvas.getBoundingClientRect()
    const at = (y) => canvas.top + (node.pos[1] + y + offset[1]) * scale
    const drawn = node.widgets.find((each) => each.name === "$$canvas-image-preview")
    const vue = document.querySelector(`[data-node-id="${number}"] img`)?.closest("[data-node-id]")
    const box = node.cloudStorageLines.element.getBoundingClientRect()
    const own = vue ? vue.getBoundingClientRect() : { top: at(0), bottom: at(node.size[1]) }
    const picture = vue
        ? vue.querySelector("img").getBoundingClientRect()
        : { top: at(drawn.y), bottom: at(drawn.y + drawn.computedHeight) }
    const both = Math.min(box.bottom, picture.bottom) - Math.max(box.top, picture.top)
    return box.height > 0 && box.top >= own.top - 1 && box.bottom <= own.bottom + 1 && both <= 1
}"""


def test_the_box_lies_within_its_node_and_beside_the_picture_also_after_a_collapse(graph):
    run_only(graph, 1, 2, 3)
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(TOLD, arg=3)
    graph.wait_for_function(HAS_PICTURE, arg=3)
    graph.wait_for_function(APART, arg=3)
    for _ in range(2):
        graph.evaluate("() => comfy.graph.getNodeById(3).collapse()")
        graph.wait_for_timeout(comfyui_page.FITTING_MILLISECONDS)
    graph.wait_for_function(APART, arg=3)


def test_what_waits_is_marked_on_the_node(graph):
    run_only(graph, 1, 2, 3)
    set_widget(graph, 1, "bucket", "there-is-no-such-bucket")
    set_widget(graph, 3, "on_failure", "keep and go on")
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(f"number => ({LEVEL})(number) === 'warning'", arg=3)
    texts, links = lines(graph, 3)
    assert texts[0] == "NOT in the bucket yet: 2 files."
    assert "no-such-bucket" in texts[1]
    assert links == []


def test_what_is_cached_is_shown_again_on_a_page_that_was_opened_anew(graph):
    run_only(graph, 1, 5, 6)
    for _ in range(2):
        assert run(graph)[0] == "execution_success"
        graph.wait_for_function(TOLD, arg=5)
        graph.evaluate(
            """async () => {
                const workflow = JSON.parse(JSON.stringify(comfy.graph.serialize()))
                comfy.nodeOutputs = {}
                await comfy.loadGraphData(workflow)
                comfy.nodeOutputs = {}
            }"""
        )
        graph.wait_for_function(NOT_TOLD, arg=5)
    assert run(graph)[0] == "execution_success"
    graph.wait_for_function(TOLD, arg=5)
    assert lines(graph, 5)[0][0].startswith("Loaded in/a.png")


def test_the_page_and_its_help_speak_chinese(page, address):
    configure(address, {"Comfy.VueNodes.Enabled": False, "Comfy.Locale": "zh"})
    page.is_vue = False
    opened(page, address)
    shown = page.evaluate(
        """() => {
            const node = comfy.graph.getNodeById(3)
            return [node.title, ...node.widgets.map((each) => each.label ?? each.name)]
        }"""
    )
    page.faults[:] = [fault for fault in page.faults if NAME in fault]
    assert "浏览存储桶" in shown
    assert len([text for text in shown if re.search("[一-鿿]", text)]) == len(VALUES["SaveImageToCloud"]) + 2
    for name in ("SaveImageToCloud.md", "SaveImageToCloud/zh.md", "GeneratePresignedURL/zh.md"):
        with urllib.request.urlopen(f"{address}/extensions/{NAME}/docs/{name}") as answer:
            assert answer.read().startswith(b"# ")


def test_a_chinese_page_names_choices_and_messages_in_chinese_and_keeps_the_values(page, address):
    configure(address, {"Comfy.VueNodes.Enabled": False, "Comfy.Locale": "zh"})
    page.is_vue = False
    opened(page, address)
    shown = page.evaluate(
        """() => {
            const widget = comfy.graph.getNodeById(3).widgets.find((each) => each.name === "if_exists")
            return [widget.value, widget.options.getOptionLabel(widget.value)]
        }"""
    )
    assert shown == ["new name", "新名称"]
    kind, detail = run(page)
    assert kind == "execution_success", detail
    page.wait_for_function(TOLD, arg=8)
    page.faults[:] = [fault for fault in page.faults if NAME in fault]
    assert lines(page, 3)[0][0].startswith("已保存 2 个对象，")
    assert lines(page, 8)[0][0] == "配置 (env vars)：可用"


def test_a_workflow_of_the_package_with_the_same_ids_opens_as_it_was_meant(graph):
    workflow = saved(graph)
    (node,) = (each for each in workflow["nodes"] if each["type"] == "SaveImageToCloud")
    node["widgets_values"] = ["comfyui/foreign/", "ComfyUI", "png", 90, True, 48]
    comfyui_page.show_workflow(graph, workflow)
    assert [widget(graph, 3, name) for name in ("if_exists", "link", "expires_hours")] == [
        "new name",
        "presigned",
        48,
    ]
    assert "presigned" in lines(graph, 3)[0][0]
    kind, detail = run(graph)
    assert kind == "execution_success", detail
    graph.wait_for_function(TOLD, arg=8)
    assert any("Signature" in link for link in lines(graph, 3)[1])
