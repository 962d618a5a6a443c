"""Images out and in: bytes as Save Image writes them, frames as Load Image reads them, else plain words."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media.image.image_encoder import FORMATS, Metadata, encode
from odd_images import odd_images, saved
from PIL import Image
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
    assert [(form.name, form.content_type) for form in FORMATS.values()] == [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("webp", "image/webp"),
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
    assert encoded.content_type == FORMATS[name].content_type
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
    with pytest.raises(errors.MediaError, match="is not an image"):
        encode(np.zeros(shape, np.float32), "png")


def test_an_unknown_format_is_refused_with_those_there_are():
    with pytest.raises(errors.MediaError, match=r"'gif'.*png, jpg, webp"):
        encode(picture(), "gif")
