"""Nodes of another package that is missing, in a real ComfyUI's page: it offers ours in their place.

On the canvas and with Vue nodes, where the frontend has them. Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect
from servers import comfyui_page

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)


def node(number, kind, inputs, outputs, values, place):
    return {
        **{
            "id": number,
            "type": kind,
            "pos": place,
            "size": [300, 130],
            "flags": {},
            "order": number,
            "mode": 0,
        },
        **{"inputs": inputs, "outputs": outputs, "widgets_values": values},
        "properties": {"Node name for S&R": kind},
    }


# As the nodes of that package are saved
IMAGE = {"name": "IMAGE", "type": "IMAGE", "links": [1]}
SAVED = [
    {"name": "images", "type": "IMAGE", "link": 1},
    {"name": "filenames", "type": "VHS_FILENAMES", "link": None},
]
PATHS = [{"name": f"s3_{kind}_paths", "type": "STRING", "links": None} for kind in ("image", "video")]
WORKFLOW = {
    "last_node_id": 3,
    "last_link_id": 1,
    "nodes": [
        node(1, "EmptyImage", [], [IMAGE], [64, 64, 1, 255], [40, 60]),
        node(2, "SaveImageS3", SAVED[:1], PATHS[:1], ["portrait"], [420, 60]),
        node(3, "SaveVideoFilesS3", SAVED[1:], PATHS[1:], ["film"], [420, 300]),
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    **{"groups": [], "config": {}, "extra": {}, "version": 0.4},
}
OURS = ["key_prefix", "filename", "format", "quality"]
NODES = f"""() => comfy.graph.nodes.map((node) => [
    node.type,
    Object.fromEntries((node.widgets ?? []).filter(({{ name }}) => {OURS}.includes(name))
        .map(({{ name, value }}) => [name, value])),
    (node.inputs ?? []).filter(({{ link }}) => link != null).map(({{ name }}) => name),
])"""


@pytest.fixture(params=["canvas", "vue"])
def comfy(request, page, address):
    with comfyui_page.drawn_by(request.param, page, address):
        comfyui_page.show_workflow(page, WORKFLOW)
        yield page


@pytest.fixture
def replacing(comfy):
    """The page where it can replace nodes; as users have it, without a change of settings."""
    status = comfy.evaluate("async () => (await comfy.api.fetchApi('/node_replacements')).status")
    if status == 404:
        assert comfy.evaluate(NODES)[1][0] == "SaveImageS3", "nothing happens"
        pytest.skip("this ComfyUI does not replace nodes")
    return comfy


def test_missing_nodes_are_replaced_by_ours_with_their_values_and_wires(replacing, place):
    details = replacing.get_by_role("button", name="View details")
    expect(details).to_be_visible()
    details.click()
    replace = replacing.get_by_role("button", name="Replace All")
    expect(replace).to_be_visible()
    if "CANVAS_PICTURES" in os.environ:
        kind = "vue" if replacing.is_vue else "canvas"
        replacing.screenshot(path=f"{os.environ['CANVAS_PICTURES']}/replace-{kind}.png")
    replace.click()
    replacing.wait_for_function(f"() => ({NODES})().some(([type]) => type === 'UploadFileToCloud')")
    if "CANVAS_PICTURES" in os.environ:
        replacing.wait_for_timeout(1000)
        replacing.screenshot(path=f"{os.environ['CANVAS_PICTURES']}/replaced-{kind}.png")
    image = {"key_prefix": "comfyui/images/", "filename": "portrait", "format": "png", "quality": 95}
    assert sorted(replacing.evaluate(NODES)) == [
        ["EmptyImage", {}, []],
        ["SaveImageToCloud", image, ["images"]],
        ["UploadFileToCloud", {"key_prefix": "comfyui/files/", "filename": "film"}, []],
    ]
    comfyui_page.only(replacing, "SaveImageToCloud")
    kind, detail = comfyui_page.run(replacing)
    assert kind == "execution_success", detail
    assert [info.key for info in place.open().list("comfyui/images/portrait")]
