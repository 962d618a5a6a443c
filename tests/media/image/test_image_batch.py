"""Frames in bands of rows, in one tensor."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from cloud_storage.media.image import image_batch
from cloud_storage.media.image.image_batch import ALPHA, CHANNELS, ORIENTATIONS, SIDEWAYS, Batch
from PIL import Image, ImageOps

HEIGHT, WIDTH = 37, 23
PIXELS = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
COLOURS, OPACITY = PIXELS[..., :3], PIXELS[..., 3]


@pytest.fixture(autouse=True, params=[1 << 18, 100], ids=["one band", "bands of 4 rows"])
def band_pixels(request, monkeypatch):
    monkeypatch.setattr(image_batch, "BAND_PIXELS", request.param)


@pytest.mark.parametrize("floats", [False, True], ids=["bytes", "floats"])
def test_a_frame_becomes_image_and_mask(floats):
    scale = np.float32(1 / 255) if floats else 1
    batch = Batch(1, HEIGHT, WIDTH)
    batch.add(image_batch.bands(COLOURS * scale, OPACITY * scale))
    image, mask = batch.images()
    assert torch.allclose(image[0], torch.from_numpy(COLOURS / np.float32(255)))
    assert torch.allclose(mask[0], torch.from_numpy(1 - OPACITY / np.float32(255)), atol=1e-6)


@pytest.mark.parametrize("channel", CHANNELS)
def test_one_channel_is_a_mask(channel):
    batch = Batch(1, HEIGHT, WIDTH, channel)
    batch.add(image_batch.bands(COLOURS, OPACITY))
    values = PIXELS[..., CHANNELS.index(channel) - 1] / np.float32(255)
    assert np.allclose(batch.masks()[0].numpy(), 1 - values if channel == ALPHA else values)
    with pytest.raises(TypeError):
        batch.images()


def test_the_decoders_memory_is_free_when_its_bytes_become_floats(monkeypatch):
    colours, seen, spread = COLOURS.copy(), [], image_batch._spread
    memory = weakref.ref(colours)
    frame = image_batch.bands(colours, None)
    del colours

    def watched(*args, **options):
        seen.append(memory())
        spread(*args, **options)

    monkeypatch.setattr(image_batch, "_spread", watched)
    Batch(1, HEIGHT, WIDTH).add(frame)
    assert seen == [None]


def test_without_alpha_the_mask_is_zeros_and_a_batch_grows():
    batch = Batch(1, HEIGHT, WIDTH)
    batch.add(image_batch.bands(COLOURS, None))
    batch.grow(5)
    batch.add(image_batch.bands(COLOURS[::-1], None))
    image, mask = batch.images()
    assert image.shape == (2, HEIGHT, WIDTH, 3)
    assert torch.equal(image[1], image[0].flip(0))
    assert mask.shape == (2, HEIGHT, WIDTH)
    assert not mask.any()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_orientation_turns_the_image_as_pillow_does(orientation):
    picture = Image.fromarray(COLOURS)
    picture.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture)) / np.float32(255)
    height, width = (WIDTH, HEIGHT) if orientation >= SIDEWAYS else (HEIGHT, WIDTH)
    batch, released = Batch(1, height, width), []
    batch.add(image_batch.bands(COLOURS, None), ORIENTATIONS[orientation], lambda: released.append(True))
    assert np.allclose(batch.images()[0][0].numpy(), expected)
    assert released == [True]
