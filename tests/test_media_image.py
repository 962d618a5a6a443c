"""Images out and in: bytes as Save Image writes them, frames as Load Image reads them, else plain words."""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from cloud_storage import errors, media_image, png
from cloud_storage.media_image import CHANNELS, FORMATS, Metadata, decode, decode_mask, encode
from odd_images import HEIGHT, WIDTH, odd_images, raw_png, saved
from PIL import Image, ImageFile, ImageOps, ImageSequence
from PIL.PngImagePlugin import PngInfo

ODD_IMAGES = odd_images()
PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 42, "text": "图 é \ud800", "cfg": float("nan")}}}
EXTRA = {"workflow": {"nodes": [1, 2, 3], "title": "ünï"}, "other": [1.5, None]}


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def picture(height=20, width=30, channels=3, seed=1):
    """Floats, many of them outside of 0..1."""
    return np.random.default_rng(seed).normal(0.5, 0.5, (height, width, channels)).astype(np.float32)


def as_save_image(image):
    """What ComfyUI's nodes.SaveImage makes of a frame."""
    return np.clip(255.0 * image, 0, 255).astype(np.uint8)


# --- Out ---------------------------------------------------------------------------------------------------


def test_the_formats_are_offered_in_this_order():
    assert [(form.name, form.extension, form.content_type) for form in FORMATS.values()] == [
        ("png", "png", "image/png"),
        ("jpg", "jpg", "image/jpeg"),
        ("webp", "webp", "image/webp"),
    ]
    with pytest.raises(TypeError):
        FORMATS["gif"] = FORMATS["png"]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (130, 129)])
def test_a_png_holds_the_bytes_that_save_image_writes(height, width, channels):
    image = picture(height, width, channels)
    found = np.array(opened(encode(torch.from_numpy(image), "png").data)).reshape(image.shape)
    assert np.array_equal(found, as_save_image(image))


def test_every_float_becomes_the_byte_that_save_image_makes_of_it():
    around = [np.float32(step / 255) for step in range(256)]
    image = np.array([[np.nextafter(one, -1), one, np.nextafter(one, 2)] for one in around], np.float32)
    assert np.array_equal(np.array(opened(encode(image, "png").data)), as_save_image(image))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_kind_of_float_is_taken(dtype):
    image = torch.from_numpy(picture()).to(dtype)
    expected = as_save_image((image.float() if dtype == torch.bfloat16 else image).numpy())
    assert np.array_equal(np.array(opened(encode(image, "png").data)), expected)


def test_not_a_number_becomes_zero_and_infinity_an_end_of_the_range():
    image = np.array([[[np.nan, np.inf, -np.inf]]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array(opened(encode(image, "png").data)).tolist() == [[[0, 255, 0]]]


def test_a_tensor_that_needs_a_gradient_or_lies_turned_in_memory_is_taken():
    image = torch.from_numpy(picture()).requires_grad_()
    turned = image.permute(1, 0, 2)
    expected = as_save_image(turned.detach().numpy())
    assert np.array_equal(np.array(opened(encode(turned, "png").data)), expected)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 3), (9, 8, 4)])
def test_every_format_takes_every_shape_and_says_what_it_lost(name, shape):
    encoded = encode(np.full(shape, 0.25, np.float32), name)
    image = opened(encoded.data)
    assert image.size == (8, 9)
    assert (encoded.extension, encoded.content_type) == (FORMATS[name].extension, FORMATS[name].content_type)
    assert (image.mode == "RGBA") == (shape[2:] == (4,) and FORMATS[name].keeps_alpha)
    assert bool(encoded.notes) == (shape[2:] == (4,) and not FORMATS[name].keeps_alpha)
    assert np.allclose(np.array(image.convert("L")), 63, atol=2)


def test_alpha_that_hides_nothing_is_no_loss():
    opaque = np.dstack([picture(), np.ones((20, 30), np.float32)])
    assert encode(opaque, "jpg").notes == ()
    opaque[3, 3, 3] = 0.5
    assert "alpha" in encode(opaque, "jpg").notes[0]


@pytest.mark.parametrize("name", ["jpg", "webp"])
def test_quality_is_a_matter_of_size(name):
    image = picture(64, 64)
    assert (
        len(encode(image, name, 100).data)
        > len(encode(image, name, 50).data)
        > len(encode(image, name, 1).data)
    )


def test_a_png_carries_the_text_that_comfyui_writes():
    info = PngInfo()  # as nodes.SaveImage does it
    info.add_text("prompt", json.dumps(PROMPT))
    for key, value in EXTRA.items():
        info.add_text(key, json.dumps(value))
    expected = opened(saved(Image.new("RGB", (2, 2)), "PNG", pnginfo=info)).text
    found = opened(encode(picture(), "png", metadata=Metadata(PROMPT, EXTRA)).data).text
    assert list(found.items()) == list(expected.items())
    assert "NaN" in found["prompt"]


@pytest.mark.parametrize("name", ["jpg", "webp"])
def test_a_webp_or_jpeg_carries_it_in_the_tags_that_comfyui_uses(name):
    exif = opened(encode(picture(), name, metadata=Metadata(PROMPT, EXTRA)).data).getexif()
    assert dict(exif) == {
        0x0110: f"prompt:{json.dumps(PROMPT)}",
        0x010F: f"workflow:{json.dumps(EXTRA['workflow'])}",
        0x010E: f"other:{json.dumps(EXTRA['other'])}",
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("metadata", [None, Metadata(), Metadata(None, {})])
def test_nothing_to_embed_leaves_no_trace(name, metadata):
    image = opened(encode(picture(), name, metadata=metadata).data)
    assert not getattr(image, "text", {})
    assert not image.getexif()
    assert "exif" not in image.info


@pytest.mark.parametrize("name", FORMATS)
def test_each_half_of_the_metadata_may_be_missing(name):
    image = opened(encode(picture(), name, metadata=Metadata(extra_pnginfo=EXTRA)).data)
    assert b"prompt" not in image.info.get("exif", b"")
    assert "prompt" not in image.info
    image = opened(encode(picture(), name, metadata=Metadata(PROMPT)).data)
    assert "prompt" in image.info or b"prompt" in image.info["exif"]


def test_a_workflow_too_long_for_a_jpeg_costs_the_workflow_and_not_the_image():
    for length, fits in ((65_000, True), (66_000, False), (3_000_000, False)):
        metadata = Metadata(extra_pnginfo={"workflow": "x" * length})
        encoded = encode(picture(), "jpg", metadata=metadata)
        assert opened(encoded.data).size == (30, 20)
        assert bool(opened(encoded.data).getexif()) == fits
        assert bool(encoded.notes) == (not fits)
        assert encode(picture(), "webp", metadata=metadata).notes == ()
    assert "workflow" in encoded.notes[0]
    assert "3,000," in encoded.notes[0]


def test_what_cannot_be_embedded_is_named_and_the_rest_is_embedded():
    circle = {}
    circle["self"] = circle
    extra = {"bytes": b"\xff", "circle": circle, "workflow": 1, "": 2, "a" * 80: 3, "図": 4, "nul\0": 5}
    encoded = encode(picture(), "png", metadata=Metadata({"set": {1}}, extra))
    assert opened(encoded.data).text == {"workflow": "1"}
    assert len(encoded.notes) == 7
    for key in ("'prompt'", "'bytes'", "'circle'", "''", "'図'", "'nul\\x00'"):
        assert any(key in note for note in encoded.notes)


@pytest.mark.parametrize(("name", "side"), [("webp", 16_383), ("jpg", 65_500)])
def test_a_frame_too_large_for_a_format_is_refused_with_those_that_hold_it(name, side):
    assert opened(encode(np.zeros((1, side), np.float32), name).data).size == (side, 1)
    for shape in ((1, side + 1), (side + 1, 1)):
        with pytest.raises(errors.MediaError, match=rf"{side:,} pixels.*png"):
            encode(np.zeros(shape, np.float32), name)
    assert opened(encode(np.zeros((1, side + 1), np.float32), "png").data).size == (side + 1, 1)


@pytest.mark.parametrize(
    "shape", [(), (3,), (2, 9, 8, 3), (9, 8, 2), (9, 8, 5), (0, 8, 3), (9, 0, 3), (0, 0)]
)
def test_what_is_no_frame_is_refused(shape):
    with pytest.raises(errors.MediaError, match="is no image"):
        encode(np.zeros(shape, np.float32), "png")


def test_an_unknown_format_is_refused_with_those_there_are():
    with pytest.raises(errors.MediaError, match=r"'gif'.*png, jpg, webp"):
        encode(picture(), "gif")


# --- In ----------------------------------------------------------------------------------------------------


def as_load_image(data):
    """What LoadImage.load_image of ComfyUI 0.3.64 gives, retold; its 64 x 64 masks stand for "no alpha"."""
    images, masks, size = [], [], None
    file = Image.open(io.BytesIO(data))
    for frame in map(ImageOps.exif_transpose, ImageSequence.Iterator(file)):
        colours = frame.point(lambda value: value * (1 / 255)) if frame.mode == "I" else frame
        size = size or frame.size
        if frame.size != size:
            continue
        images.append(np.array(colours.convert("RGB")).astype(np.float32) / 255.0)
        if "A" in frame.getbands():
            mask = 1.0 - torch.from_numpy(np.array(frame.getchannel("A")).astype(np.float32) / 255.0)
        elif frame.mode == "P" and "transparency" in frame.info:
            alpha = frame.convert("RGBA").getchannel("A")
            mask = 1.0 - torch.from_numpy(np.array(alpha).astype(np.float32) / 255.0)
        else:
            mask = torch.zeros((64, 64))
        masks.append(mask if mask.shape != (64, 64) else torch.zeros(images[-1].shape[:2]))
    count = 1 if file.format == "MPO" else len(images)
    return torch.from_numpy(np.stack(images[:count])), torch.stack(masks[:count])


@pytest.mark.parametrize("name", [name for name in ODD_IMAGES if not name.startswith(("cut-off", "no-end"))])
def test_a_file_is_read_as_load_image_reads_it(name):
    data = ODD_IMAGES[name]
    image, mask = decode(data, name)
    expected_image, expected_mask = as_load_image(data)
    assert image.dtype == mask.dtype == torch.float32
    assert torch.equal(image, expected_image)
    assert torch.equal(mask, expected_mask)
    assert mask.shape == image.shape[:3]
    for channel, expected in zip(CHANNELS, (mask, *image.unbind(-1)), strict=True):
        assert torch.equal(decode_mask(data, channel, name), expected)


def test_the_frames_are_counted_as_load_image_counts_them():
    counts = {name: len(decode(data)[0]) for name, data in ODD_IMAGES.items()}
    several = {name: count for name, count in counts.items() if count != 1}
    assert several == {
        **dict.fromkeys(["animated.png", "animated-alpha.png", "animated.webp"], 4),
        **dict.fromkeys(["animated.gif", "animated-transparent.gif", "pages.tif"], 4),
        "pages-of-two-sizes.tif": 2,
    }


def test_an_image_is_turned_upright():
    upright = decode(ODD_IMAGES["turned-1.jpg"])[0][0]
    assert upright.shape == (HEIGHT, WIDTH, 3)
    turned = {number: decode(ODD_IMAGES[f"turned-{number}.jpg"])[0][0] for number in range(2, 9)}
    assert torch.equal(turned[2], upright.flip(1))
    assert torch.equal(turned[3], upright.flip(0, 1))
    assert torch.equal(turned[4], upright.flip(0))
    assert torch.equal(turned[5], upright.transpose(0, 1))
    assert torch.equal(turned[6], upright.transpose(0, 1).flip(1))
    assert torch.equal(turned[7], upright.transpose(0, 1).flip(0, 1))
    assert torch.equal(turned[8], upright.transpose(0, 1).flip(0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_kept(kind):
    grey = np.random.default_rng(1).integers(0, 65536, (9, 8)).astype(np.uint16)
    image, mask = decode(saved(Image.fromarray(grey), kind))
    expected = torch.from_numpy(grey.astype(np.float32) * np.float32(1 / 65535))
    assert torch.equal(image, expected[None, :, :, None].expand(1, 9, 8, 3))
    assert not mask.any()


def test_colours_declared_transparent_are():
    pixels = np.random.default_rng(1).integers(0, 4, (9, 8, 3), dtype=np.uint8)
    rgb, grey = Image.fromarray(pixels), Image.fromarray(pixels[..., 0])
    mask = decode(saved(rgb, "PNG", transparency=(1, 2, 3)))[1][0]
    assert np.array_equal(mask.numpy(), (pixels == (1, 2, 3)).all(-1).astype(np.float32))
    mask = decode(saved(grey, "PNG", transparency=2))[1][0]
    assert np.array_equal(mask.numpy(), (pixels[..., 0] == 2).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_encode_writes_decode_reads(channels):
    image = picture(channels=channels)
    found, mask = decode(encode(image, "png").data)
    expected = torch.from_numpy(as_save_image(image).astype(np.float32) / 255)
    assert torch.equal(found[0], expected[..., :3].expand(20, 30, 3))
    assert torch.equal(mask[0], 1 - expected[..., 3] if channels == 4 else torch.zeros(20, 30))


def test_a_picture_50000_pixels_wide_comes_back():
    image = np.zeros((4, 50_000, 3), np.float32)
    image[:, ::7] = 1
    assert np.array_equal(decode(encode(image, "png").data)[0][0].numpy(), image)


def test_of_a_cut_off_file_comes_what_is_there_with_a_warning(caplog):
    pixels = np.array(Image.open(io.BytesIO(ODD_IMAGES["rgb.png"]))).astype(np.float32) / 255
    with caplog.at_level(logging.WARNING, "cloud_storage"):
        image, mask = decode(ODD_IMAGES["cut-off.png"], "a/cut-off.png")
    rows = int((image[0].numpy() == pixels).all((1, 2)).sum())
    assert 3 < rows < HEIGHT
    assert not image[0, rows:].any()
    assert not mask.any()
    assert "a/cut-off.png" in caplog.text
    image, _ = decode(ODD_IMAGES["cut-off.jpg"])
    whole, _ = decode(ODD_IMAGES["rgb.jpg"])
    assert torch.equal(image[0, :8], whole[0, :8])
    assert torch.equal(decode(ODD_IMAGES["no-end.jpg"])[0], decode(ODD_IMAGES["no-end.jpg"] + b"\xff\xd9")[0])


def with_chunks(data, *extra):
    written = b"".join(
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in extra
    )
    return data[:33] + written + data[33:]


def test_text_that_unpacks_to_megabytes_does_not_keep_the_picture_away():
    bomb = (b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1 << 25), 9))
    image, _ = decode(with_chunks(ODD_IMAGES["rgb.png"], bomb))
    assert torch.equal(image, decode(ODD_IMAGES["rgb.png"])[0])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "HTML page"),
        (b"\xef\xbb\xbf\n <HTML>", "HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML document"),
        (b'{"error": "forbidden"}', "JSON document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "MP4"),
        (b"\0\0\0\x20ftypheic" + bytes(99), "HEIC"),
        (b"\x1a\x45\xdf\xa3" + bytes(99), "WebM"),
        (b"RIFF\0\0\0\0AVI " + bytes(99), "AVI"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04" + bytes(99), "ZIP"),
        (b"\1\2\3\4 whatever", "01 02 03 04"),
        (png.SIGNATURE, "damaged or cut off"),
        (png.SIGNATURE + bytes(99), "damaged or cut off"),
        (ODD_IMAGES["rgb.jpg"][:40], "damaged or cut off"),
        (ODD_IMAGES["lossless.webp"][:99], "damaged or cut off"),
        (ODD_IMAGES["animated.gif"][:2000], "damaged or cut off"),
    ],
)
def test_what_is_no_image_is_named_for_what_it_is(data, words):
    for read in (decode, lambda data, name: decode_mask(data, "red", name)):
        with pytest.raises(errors.MediaError, match=words) as raised:
            read(data, "folder/cat 图.png")
        assert "folder/cat 图.png" in str(raised.value)
        assert str(raised.value).count(". ") == 1


def test_a_picture_larger_than_pillow_opens_is_refused_unread():
    bomb = raw_png(2, 8, np.zeros((1, 1, 3), np.uint8))
    header = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    bomb = bomb[:12] + header + struct.pack(">I", zlib.crc32(header)) + bomb[33:]
    with pytest.raises(errors.MediaError, match=r"x\.png.*1600000000 pixels.*smaller"):
        decode(bomb, "x.png")


def test_a_warning_of_pillow_that_others_made_an_error_is_told_as_well(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(errors.MediaError, match="smaller"):
            decode(ODD_IMAGES["rgb.png"])


def test_the_frames_together_have_a_limit_too(monkeypatch):
    monkeypatch.setattr(media_image, "MAX_PIXELS", 3 * HEIGHT * WIDTH)
    assert len(decode(ODD_IMAGES["rgb.png"])[0]) == 1
    with pytest.raises(errors.MediaError, match=f"{3 * HEIGHT * WIDTH:,} pixels"):
        decode(ODD_IMAGES["animated.gif"])


@pytest.mark.parametrize("module", [Image, ImageFile])
def test_pillows_globals_are_not_touched_even_meanwhile(module):
    touched = []

    class Watched(ModuleType):
        def __setattr__(self, name, value):
            touched.append(name)

    module.__class__ = Watched
    try:
        for name in ("cut-off.png", "cut-off.jpg", "rgb.png"):
            decode(ODD_IMAGES[name])
    finally:
        ModuleType.__setattr__(module, "__class__", ModuleType)
    assert touched == []


def test_threads_that_read_at_once_read_the_same():
    found = {}

    def run(name):
        found[name] = decode(ODD_IMAGES[name], name)

    threads = [threading.Thread(target=run, args=(name,)) for name in ODD_IMAGES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, data in ODD_IMAGES.items():
        for one, other in zip(found[name], decode(data), strict=True):
            assert torch.equal(one, other)


def test_the_hosts_own_reader_is_asked_first():
    images, alpha = torch.rand((2, 5, 4, 3)), torch.rand((2, 5, 4))
    found, mask = decode(b"whatever", reader=lambda: (images, alpha))
    assert torch.equal(found, images)
    assert torch.equal(mask, 1 - alpha)
    assert torch.equal(decode_mask(b"whatever", "blue", reader=lambda: (images, alpha)), images[..., 2])
    found, mask = decode(b"whatever", reader=lambda: (images, None))
    assert torch.equal(mask, torch.zeros(2, 5, 4))


def test_pillow_reads_what_the_hosts_reader_does_not():
    def fails():
        raise TypeError("'<' not supported between instances of 'NoneType' and 'int'")

    expected = decode(ODD_IMAGES["rgba.png"])
    for reader in (fails, lambda: (torch.zeros((0, 0, 0, 3)), None)):
        for one, other in zip(decode(ODD_IMAGES["rgba.png"], reader=reader), expected, strict=True):
            assert torch.equal(one, other)


# --- Against ComfyUI itself --------------------------------------------------------------------------------

# Runs in a check-out of ComfyUI, with its Python. Names the files that come out differently.
COMPARE = """
import importlib.util, os, sys
root, folder, core = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "cloud_storage", root + "/__init__.py", submodule_search_locations=[root]
)
sys.modules["cloud_storage"] = importlib.util.module_from_spec(spec)
from cloud_storage import media_image
sys.path.insert(0, core)
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import folder_paths, nodes, torch
folder_paths.set_input_directory(folder)

def through_ffmpeg(path):
    from comfy_api.latest import InputImpl
    parts = InputImpl.VideoFromFile(path).get_components()
    return parts.images, None if parts.alpha is None else parts.alpha[..., -1]

uses_ffmpeg = "VideoFromFile" in nodes.LoadImage.load_image.__code__.co_names
# What FFmpeg does not read goes to Pillow there as well, but without scaling 32 bits of grey: all is white.
worse_there = {"32-bit.tif"} if uses_ffmpeg else set()
for name in sorted(set(os.listdir(folder)) - worse_there):
    path = os.path.join(folder, name)
    data = open(path, "rb").read()
    try:
        image, mask = nodes.LoadImage().load_image(name)
    except Exception as error:
        print("core fails on", name, type(error).__name__)
        continue
    if mask.shape[1:] == (64, 64) != image.shape[1:3]:
        mask = torch.zeros(image.shape[:3])
    found = media_image.decode(data, name, (lambda: through_ffmpeg(path)) if uses_ffmpeg else None)
    if not (torch.equal(found[0], image) and torch.equal(found[1], mask)):
        print("different:", name)
"""


@pytest.mark.skipif(
    "COMFYUI_PATH" not in os.environ, reason="COMFYUI_PATH does not name a check-out of ComfyUI"
)
def test_comfyui_itself_reads_every_file_the_same_way(tmp_path):
    core = Path(os.environ["COMFYUI_PATH"]).resolve()
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    for name, data in ODD_IMAGES.items():
        (tmp_path / name).write_bytes(data)
    root = Path(__file__).resolve().parent.parent
    ran = subprocess.run(
        [python, "-c", COMPARE, str(root), str(tmp_path), str(core)],
        cwd=core,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stderr
    assert "different:" not in ran.stdout
