"""Workflows in files as ComfyUI, this package and VideoHelperSuite write them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from cloud_storage.errors import MediaError
from cloud_storage.media import workflow_reader

WORKFLOW = {"nodes": [{"id": 1, "type": "LoraLoader"}], "links": [], "text": "ü 日本"}
PROMPT = {"1": {"class_type": "LoraLoader", "inputs": {}}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [(WORKFLOW, WORKFLOW), (PROMPT, PROMPT), ({"prompt": PROMPT, "client_id": "x"}, PROMPT)],
)
def test_json_of_the_page_and_of_the_api(tmp_path, content, expected):
    (tmp_path / "w.json").write_text(json.dumps(content), encoding="utf-8-sig")
    assert workflow_reader.read(tmp_path / "w.json") == expected


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"a": 1}', "null", '{"prompt": {}}'])
def test_other_json_is_no_workflow(tmp_path, text):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(MediaError, match=r"w\.json has no workflow"):
        workflow_reader.read(tmp_path / "w.json")


def image():
    from PIL import Image

    return Image.new("RGB", (8, 8))


@pytest.mark.parametrize("how", ["text", "compressed", "international"])
def test_a_png_as_comfyui_saves_it(tmp_path, how):
    from PIL.PngImagePlugin import PngInfo

    texts = PngInfo()
    for name, value in (("prompt", PROMPT), ("workflow", WORKFLOW)):
        if how == "international":
            texts.add_itxt(name, json.dumps(value, ensure_ascii=False), zip=True)
        else:
            texts.add_text(name, json.dumps(value), zip=how == "compressed")
    image().save(tmp_path / "a.png", pnginfo=texts)
    assert workflow_reader.read(tmp_path / "a.png") == WORKFLOW


@pytest.mark.parametrize("names", [("prompt", "workflow"), ("prompt",)])
def test_a_webp_as_comfyui_saves_it(tmp_path, names):
    """core, comfy_api/latest/_ui.py: the tags 0x0110 and below, "prompt:{…}"."""
    picture = image()
    exif = picture.getexif()
    values = {"prompt": PROMPT, "workflow": WORKFLOW}
    for number, name in enumerate(names):
        exif[0x0110 - number] = f"{name}:{json.dumps(values[name])}"
    picture.save(tmp_path / "a.webp", exif=exif)
    assert workflow_reader.read(tmp_path / "a.webp") == values[names[-1]]


def video(path, metadata, **options):
    av = pytest.importorskip("av")
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata)
        stream = container.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8))))
        container.mux(stream.encode(None))


def test_an_mp4_as_comfyui_saves_it(tmp_path):
    metadata = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}
    for number, flags in enumerate(("use_metadata_tags", "use_metadata_tags+faststart")):
        video(tmp_path / f"{number}.mp4", metadata, movflags=flags)
        assert workflow_reader.read(tmp_path / f"{number}.mp4") == WORKFLOW


def test_an_mp4_as_videohelpersuite_saves_it(tmp_path):
    video(tmp_path / "a.mp4", {"comment": json.dumps({"prompt": json.dumps(PROMPT), "workflow": WORKFLOW})})
    assert workflow_reader.read(tmp_path / "a.mp4") == WORKFLOW


def test_a_flac_as_comfyui_saves_it(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.flac"), "w") as container:
        container.metadata.update({"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)})
        stream = container.add_stream("flac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4608), np.int16), layout="mono", format="s16")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert workflow_reader.read(tmp_path / "a.flac") == WORKFLOW


def test_files_without_a_workflow_and_damaged_ones_say_so(tmp_path):
    image().save(tmp_path / "plain.png")
    data = (tmp_path / "plain.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[:20])
    (tmp_path / "cut.webp").write_bytes(b"RIFF\0\0\0\0WEBPEXIF\xff\xff\0\0II*\0")
    (tmp_path / "cut.flac").write_bytes(b"fLaC\x84\0\0\x08" + struct.pack("<II", 0, 9))
    (tmp_path / "cut.mp4").write_bytes(b"\0\0\0\x08ftyp" + struct.pack(">I4s", 1 << 20, b"moov") + b"\0" * 4)
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(MediaError, match="has no workflow"):
            workflow_reader.read(path)
