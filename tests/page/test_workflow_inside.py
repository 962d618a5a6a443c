"""The workflow inside an object, read by ranges: where each kind of file has it, or why there is none."""

from __future__ import annotations

import json
import struct
from io import BytesIO

import numpy as np
import pytest
from cloud_storage.page import workflow_inside
from page_requests import put
from PIL import Image
from PIL.PngImagePlugin import PngInfo

WORKFLOW = {"nodes": [{"id": 1, "type": "LoraLoader"}], "links": [], "text": "ü 日本"}
PROMPT = {"1": {"class_type": "LoraLoader", "inputs": {}}}
TEXTS = {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)}
NOISE = np.random.default_rng(1).integers(0, 256, (900, 900, 3), np.uint8)


def png(texts=TEXTS, noise=NOISE):
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    written = BytesIO()
    Image.fromarray(noise).save(written, "PNG", pnginfo=info)
    return written.getvalue()


def png_with_texts_at_the_end():
    plain = png({})
    chunks = b"".join(
        struct.pack(">I", len(text.encode()) + len(name) + 1)
        + b"tEXt"
        + name.encode()
        + b"\0"
        + text.encode()
        + b"\0\0\0\0"
        for name, text in TEXTS.items()
    )
    return plain[:-12] + chunks + plain[-12:]


def image(form, **options):
    picture = Image.fromarray(NOISE)
    exif = picture.getexif()
    for number, (name, text) in enumerate(TEXTS.items()):
        exif[0x0110 - number] = f"{name}:{text}"
    written = BytesIO()
    picture.save(written, form, exif=exif, **options)
    return written.getvalue()


def media(tmp_path, name, codec, metadata=TEXTS, **options):
    """A file of some MB as core writes it."""
    av = pytest.importorskip("av")
    path = tmp_path / name
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata)
        if codec in ("mpeg4", "libvpx-vp9", "vp8"):
            stream = container.add_stream(codec, rate=8)
            stream.width = stream.height = 640
            stream.pix_fmt = "yuv420p"
            stream.bit_rate = 40_000_000
            frames = [
                av.VideoFrame.from_ndarray(np.roll(NOISE, each, 0)[:640, :640].copy()) for each in range(6)
            ]
        else:
            stream = container.add_stream(codec, rate=48000, layout="mono")
            form = stream.format.name
            noise = np.random.default_rng(2).integers(-9000, 9000, (1, 48000 * 20))
            planar = noise.astype(np.int16) if form.startswith("s16") else (noise / 32768).astype(np.float32)
            if form.startswith("s32"):
                planar = (noise * 65536).astype(np.int32)
            frame = av.AudioFrame.from_ndarray(planar, layout="mono", format=form)
            frame.rate = 48000
            fifo = av.AudioFifo()
            fifo.write(frame)
            frames = list(
                iter(lambda: fifo.read(stream.codec_context.frame_size or 4096, partial=True), None)
            )
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def safetensors(metadata):
    header = json.dumps(
        {"__metadata__": metadata, "x": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    )
    return struct.pack("<Q", len(header)) + header.encode() + b"\0" * 2_000_000


def glb():
    text = json.dumps({"asset": {"version": "2.0", "extras": TEXTS}}).encode()
    return (
        b"glTF"
        + struct.pack("<II", 2, 0)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + b"\0" * 2_000_000
    )


FILES = {
    "a.png": lambda _: png(),
    "a.webp": lambda _: image("WEBP", lossless=True),
    "a.jpg": lambda _: image("JPEG", quality=100),
    "a.mp4": lambda folder: media(folder, "a.mp4", "mpeg4", movflags="use_metadata_tags"),
    "fast.mp4": lambda folder: media(folder, "f.mp4", "mpeg4", movflags="use_metadata_tags+faststart"),
    "vhs.mp4": lambda folder: media(folder, "v.mp4", "mpeg4", {"comment": json.dumps(TEXTS)}),
    "a.mov": lambda folder: media(folder, "a.mov", "mpeg4", movflags="use_metadata_tags"),
    "a.webm": lambda folder: media(folder, "a.webm", "vp8"),
    "a.mkv": lambda folder: media(folder, "a.mkv", "mpeg4"),
    "a.flac": lambda folder: media(folder, "a.flac", "flac"),
    "a.opus": lambda folder: media(folder, "a.opus", "libopus"),
    "a.mp3": lambda folder: media(folder, "a.mp3", "libmp3lame"),
    "a.latent": lambda _: safetensors(TEXTS),
    "a.glb": lambda _: glb(),
    "a.json": lambda _: json.dumps(WORKFLOW).encode(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", FILES)
def test_the_workflow_is_found_in_every_kind_of_file_within_the_budget(cloud, ask, folder, name):
    data = FILES[name](folder)
    put(cloud, f"a b/{name}", data=data)
    said = ask("workflow", key=f"a b/{name}").json
    assert said["workflow"] == WORKFLOW
    assert said["name"] == name.rpartition(".")[0]
    assert said["bytes"] <= min(len(data), workflow_inside.BUDGET_BYTES)


def test_texts_after_the_pixels_are_found_too_as_far_as_the_budget_goes(cloud, ask):
    small = png_with_texts_at_the_end()
    put(cloud, "late.png", data=small)
    answer = ask("workflow", key="late.png")
    assert answer.status in (200, 415)
    if answer.status == 415:
        assert "512 kB" in answer.json["error"]


def test_a_file_with_only_the_prompt_says_so(cloud, ask):
    put(cloud, "a.png", data=png({"prompt": TEXTS["prompt"]}))
    said = ask("workflow", key="a.png").json
    assert said["prompt"] == PROMPT
    assert "workflow" not in said


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("plain.png", png({}, NOISE[:64, :64]), "has no workflow inside"),
        ("notes.txt", b"just text", "has no workflow inside"),
        ("other.json", b'{"a": 1}', "is other JSON"),
        ("broken.json", b'{"nodes": [', "is not JSON"),
        ("empty.json", b"", "is not JSON"),
        ("model.safetensors", safetensors({"format": "pt"}), "has no workflow inside"),
        ("cut.webm", b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67", "has no workflow inside"),
        ("cut.mp3", b"ID3\4\0\0\0\0\x7f\x7fTXXX", "has no workflow inside"),
        ("cut.ogg", b"OggS" + b"\0" * 22 + b"\x09\xff", "has no workflow inside"),
        ("big.json", b'{"nodes": [' + b" " * 600_000 + b"]}", "512 kB"),
        ("big.png", png({"workflow": json.dumps({"nodes": [], "x": "y" * 600_000})}), "512 kB"),
    ],
)
def test_what_a_file_lacks_is_said_in_plain_words(cloud, ask, name, data, words):
    put(cloud, name, data=data)
    answer = ask("workflow", key=name)
    assert (answer.status, answer.json["kind"]) in ((415, "MediaError"), (415, "OutOfReach"))
    assert words in answer.json["error"]
    assert name in answer.json["error"]


def test_a_file_that_never_ends_in_a_workflow_costs_no_more_than_the_budget(cloud, monkeypatch):
    from cloud_storage.system.meter import Meter

    put(cloud, "many.png", data=png({})[:33] + (struct.pack(">I", 9000) + b"junk" + b"\0" * 9004) * 400)
    meter = Meter()
    with pytest.raises(workflow_inside.OutOfReach):
        workflow_inside.workflow(cloud, "many.png", meter)
    assert meter.done <= workflow_inside.BUDGET_BYTES


def test_nothing_outside_of_the_prefix_is_read(cloud, ask, fast_place):
    put(fast_place.open(), "outside.json", data=json.dumps(WORKFLOW).encode())
    for key in ("../outside.json", "/../outside.json", "", "gone.json"):
        assert ask("workflow", key=key).status in (400, 404)


def test_an_empty_object_is_no_error_of_ours(cloud, ask):
    put(cloud, "empty.png", data=b"")
    assert ask("workflow", key="empty.png").status == 415
