"""Whether an image file is complete, format by format."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cloud_storage.media.image import image_truncation
from odd_images import saved
from PIL import Image

NOISE = np.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=np.uint8)
IMAGE = Image.fromarray(NOISE)
FILES = {
    "jpeg": saved(IMAGE, "JPEG"),
    "progressive jpeg": saved(IMAGE, "JPEG", progressive=True),
    "png": saved(IMAGE, "PNG"),
    "gif": saved(IMAGE, "GIF"),
    "webp": saved(IMAGE, "WEBP"),
}


def damage(data):
    return image_truncation.damage(io.BytesIO(data))


@pytest.mark.parametrize("name", FILES)
def test_a_complete_file_is_not_damaged_and_neither_is_one_with_bytes_after_it(name):
    assert damage(FILES[name]) == damage(FILES[name] + b"more") == ""


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_cut_off(name, share):
    assert damage(FILES[name][: int(len(FILES[name]) * share)]) == "the file is cut off"


def test_a_damaged_png_is_known_by_its_checksum():
    data = bytearray(FILES["png"])
    data[len(data) // 2] ^= 1
    assert damage(bytes(data)) == "a part of the file is damaged"


def test_of_an_unknown_format_nothing_is_said():
    assert damage(b"BM" + bytes(5)) == damage(b"") == ""


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg"])
def test_only_the_end_marker_is_missing_if_all_pixels_are_there(name):
    data = FILES[name]
    assert image_truncation.only_end_marker_is_missing(io.BytesIO(data[:-2]))
    assert not image_truncation.only_end_marker_is_missing(io.BytesIO(data[:-30]))


def odd_webp():
    """A WebP whose last chunk has an odd length, so that a byte of padding follows."""
    for width in range(20, 90):
        pixels = np.random.default_rng(width).integers(0, 255, (40, width, 3), dtype=np.uint8)
        data = saved(Image.fromarray(pixels), "WEBP", lossless=True)
        if int.from_bytes(data[16:20], "little") % 2:
            return data
    raise AssertionError("none of seventy has an odd length")


@pytest.mark.parametrize(("lacking", "said"), [(0, ""), (1, ""), (2, "the file is cut off")])
def test_a_webp_may_lack_the_byte_that_makes_its_length_even(lacking, said):
    """Whether it is decoded then is the decoder's own to say: some FFmpeg do, Pillow 13 does not."""
    assert damage(odd_webp()[: -lacking or None]) == said


def test_a_jpeg_without_metadata_has_the_same_pixels():
    exif = Image.Exif()
    exif[0x010E] = "a description"
    data = saved(IMAGE, "JPEG", exif=exif, comment=b"a comment")
    bare = image_truncation.without_metadata(data)
    assert b"a description" in data
    assert b"a description" not in bare
    assert b"a comment" not in bare
    assert b"JFIF" in bare
    assert Image.open(io.BytesIO(bare)).tobytes() == Image.open(io.BytesIO(data)).tobytes()
