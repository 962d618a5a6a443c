"""3D models of a real ComfyUI: by wire into the bucket, and from there into its own viewer.

Skipped where COMFYUI_PATH names no ComfyUI.
"""

from __future__ import annotations

import json
import os
import urllib.request

import pytest
from conftest import ROOT
from result_lists import checked
from servers import comfyui_page
from servers.comfyui import NAME, running
from servers.comfyui_api import run

pytestmark = pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)
MAKER = """
import torch

try:
    from comfy_api.latest import Types
    MESH = Types.MESH
except (ImportError, AttributeError):
    from comfy_extras.nodes_hunyuan3d import MESH


class MakeTetrahedra:
    RETURN_TYPES, FUNCTION, CATEGORY = ("MESH",), "make", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {"default": 1})}}

    def make(self, count):
        corners = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float32)
        sides = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        vertices = torch.stack([corners * (number + 1) for number in range(count)])
        return (MESH(vertices, torch.stack([sides] * count)),)


NODE_CLASS_MAPPINGS = {"MakeTetrahedra": MakeTetrahedra}
"""


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


@pytest.fixture(scope="module")
def address(place, base):
    maker = base.with_name("make_tetrahedra.py")
    maker.write_text(MAKER, encoding="utf-8")
    with running(base, ROOT, place.environ, [maker]) as url:
        yield url


def kinds(address):
    with urllib.request.urlopen(f"{address}/object_info") as answer:
        return json.load(answer)


def view(address, name):
    folder, _, file = name.rpartition("/")
    with urllib.request.urlopen(f"{address}/view?filename={file}&subfolder={folder}&type=output") as answer:
        return answer.read()


def test_each_mesh_of_a_batch_becomes_the_file_that_comfyui_writes(address, base, place):
    prompt = {
        "1": node("MakeTetrahedra", count=2),
        "2": node("SaveGLB", mesh=["1", 0], filename_prefix="core"),
        "3": node("UploadFileToCloud", file=["1", 0], key_prefix="3d/", filename="t_%counter%"),
    }
    files = checked(run(address, prompt).outputs("3")["cloud_files"])
    assert [file["key"] for file in files] == ["3d/t_00001.glb", "3d/t_00002.glb"]
    written = [path.read_bytes() for path in sorted((base / "output").glob("core_*.glb"))]
    assert [place.open().read(file["key"]) for file in files] == written
    assert b'"prompt"' in written[0], "the workflow is in it, as core embeds it"


def test_a_model_goes_up_and_comes_down_into_comfyuis_viewer(address, place):
    prompt = {
        "1": node("MakeTetrahedra", count=1),
        "2": node("UploadFileToCloud", file=["1", 0], key_prefix="3d/", filename="chair"),
        "3": node("DownloadFileFromCloud", key=["2", 1], folder="output", subfolder="3d"),
        "4": node("Preview3D", model_file=["3", 1]),
    }
    ran = run(address, prompt)
    shown = ran.outputs("4")["result"][0]
    assert shown == "3d/chair.glb"
    data = view(address, shown)
    assert data.startswith(b"glTF")
    assert data == place.open().read("3d/chair.glb")
    assert checked(ran.outputs("3")["cloud_files"])[0]["content_type"] == "model/gltf-binary"


def test_a_3d_file_on_a_wire_is_uploaded_from_memory_and_from_disk(address, base, place):
    if "MeshToFile3D" not in kinds(address):
        pytest.skip("this core has no 3D files on wires")
    (base / "input" / "3d").mkdir(exist_ok=True)
    ran = run(
        address,
        {
            "1": node("MakeTetrahedra", count=1),
            "2": node("MeshToFile3D", mesh=["1", 0]),
            "3": node("UploadFileToCloud", file=["2", 0], key_prefix="wire/", filename=""),
        },
    )
    (file,) = checked(ran.outputs("3")["cloud_files"])
    assert file["key"] == "wire/ComfyUI_00001.glb"
    data = place.open().read(file["key"])
    assert data.startswith(b"glTF")
    (base / "input" / "3d" / "sofa.glb").write_bytes(data)
    ran = run(
        address,
        {
            "1": node("Load3DAdvanced", model_file="3d/sofa.glb", viewport_state={}, width=64, height=64),
            "2": node("UploadFileToCloud", file=["1", 0], key_prefix="wire/", filename=""),
        },
    )
    (file,) = checked(ran.outputs("2")["cloud_files"])
    assert (file["key"], file["status"]) == ("wire/sofa.glb", "stored")
    assert place.open().read("wire/sofa.glb") == data


def test_comfyuis_viewer_shows_the_model_that_came_down(address, page, place):
    """Its Preview 3D, drawn by the page: the canvas gets the corners of our model."""
    run(address, {"1": node("MakeTetrahedra", count=1), "2": save_glb("seen")})
    comfyui_page.opened(page, address)
    prompt = {
        "1": node("DownloadFileFromCloud", key="3d/seen.glb", folder="output", subfolder="3d"),
        "2": node("Preview3D", model_file=["1", 1]),
    }
    comfyui_page.show_prompt(page, prompt)
    comfyui_page.fit(page)
    with page.expect_response(lambda answer: "/view" in answer.url and "seen.glb" in answer.url) as answered:
        kind, detail = comfyui_page.run(page)
    assert kind == "execution_success", detail
    assert answered.value.ok
    assert answered.value.body() == place.open().read("3d/seen.glb")
    page.wait_for_function(
        """() => [...document.querySelectorAll("canvas")].some((canvas) =>
            canvas !== comfy.canvas.canvas && canvas.width > 0 && canvas.isConnected)"""
    )
    page.faults[:] = [fault for fault in page.faults if NAME in fault]


def save_glb(name):
    return node("UploadFileToCloud", file=["1", 0], key_prefix="3d/", filename=name)
