"""Frames by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cloud_storage.media.damage import ImageDamage
from cloud_storage.media.image import pillow_reader
from cloud_storage.media.image.image_batch import Batch
from odd_images import saved
from PIL import Image, ImageFile

FRAMES = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]


class Room:
    """Memory that is always free."""

    def begin(self, height, width):
        return Batch(1, height, width)

    def more(self, batch):
        batch.grow(batch.room * 2)


def read(data, first_only=False):
    damage = ImageDamage("a", "read the image")
    size = pillow_reader.size(pillow_reader.opened(io.BytesIO(data)), first_only=first_only)
    batch = pillow_reader.fill(pillow_reader.opened(io.BytesIO(data)), size, Room(), damage)
    return size, batch.images()[0], damage.notes


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("first_only", [False, True])
def test_every_frame_or_the_first_is_read(form, first_only):
    options = {"lossless": True} if form == "WEBP" else {}
    data = saved(FRAMES[0], form, save_all=True, append_images=FRAMES[1:], **options)
    size, images, notes = read(data, first_only)
    assert (size.count, size.pixels, len(images)) == (1 if first_only else 3, 600, 1 if first_only else 3)
    assert [images[index, 5, 5].argmax().item() for index in range(len(images))] == list(range(len(images)))
    assert notes == []


def test_frames_of_another_size_are_not_counted():
    other = Image.new("RGB", (10, 10), "blue")
    size, images, _ = read(saved(FRAMES[0], "TIFF", save_all=True, append_images=[other, FRAMES[1]]))
    assert size.count == len(images) == 2


def test_a_truncated_image_is_read_as_far_as_it_goes_and_pillows_setting_stays():
    pixels = np.random.default_rng(5).integers(1, 255, (60, 80, 3), dtype=np.uint8)
    data = saved(Image.fromarray(pixels), "JPEG")
    _, images, notes = read(data[: len(data) // 2])
    assert images[0, :10].std() > 0.1
    assert len(notes) == 1
    assert "what could not be read of the image is empty" in notes[0]
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_postscript_program_is_refused():
    with pytest.raises(pillow_reader.Refused, match="PostScript") as raised:
        pillow_reader.opened(io.BytesIO(saved(FRAMES[0], "EPS")))
    assert raised.value.advice == "Save it as PNG, JPEG or WebP."


def test_a_message_of_pillow_has_no_address_in_memory():
    with pytest.raises(Exception, match="cannot identify") as raised:
        pillow_reader.opened(io.BytesIO(b"nothing"))
    assert pillow_reader.said(raised.value) == "Pillow cannot identify it"
    assert pillow_reader.said(ValueError()) == "ValueError"


def test_a_frame_larger_than_pillow_reads_is_named_with_the_numbers():
    data = bytearray(saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]))
    second = [at for at in range(len(data)) if data[at : at + 5] == b",\0\0\0\0" and data[at + 6] == 0][1]
    data[second + 5 : second + 9] = (60_000).to_bytes(2, "little") * 2
    _, images, notes = read(bytes(data))
    assert len(images) == 1
    assert (
        "(it has 3,600,000,000 pixels, and Pillow reads at most 178,956,970): only 1 frame was loaded"
        in notes[0]
    )
    assert "bomb" not in notes[0]
