"""Whether an image file is complete, format by format."""

from __future__ import annotations

import io
import struct
import zlib

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


def flipped(data, kind):
    """``data`` with another bit in the checksum of its last chunk of ``kind``."""
    start = data.rindex(kind)
    end = start + 4 + int.from_bytes(data[start - 4 : start], "big")
    return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]


FRAMES = [Image.fromarray(np.roll(NOISE, row, axis=0)) for row in (0, 5, 9)]
PNGS = {
    "png": FILES["png"],
    "16 bits": saved(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30)), "PNG"),
    "animated": saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]),
    "animated after a still": saved(IMAGE, "PNG", save_all=True, append_images=FRAMES, default_image=True),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_with_all_pixels_is_complete_with_a_wrong_checksum_or_without_its_end(name):
    data = PNGS[name]
    last = b"fdAT" if b"fdAT" in data else b"IDAT"
    for whole in (data, flipped(data, b"IDAT"), flipped(data, last), data[:-3], data[:-12]):
        assert damage(whole) == ""
    assert damage(data[:-20]) == "the file is cut off"  # of the last frame, two bytes are missing
    without_a_frame = data[: data.rindex(b"fcTL") - 4] if b"fcTL" in data else data[:33]
    assert damage(without_a_frame) == "the file is cut off"


def test_a_png_that_inflates_to_more_than_its_size_is_not_called_complete():
    header, bomb = FILES["png"][:33], zlib.compress(bytes(10_000_000))
    assert damage(header + struct.pack(">I", len(bomb)) + b"IDAT" + bomb) == "the file is cut off"


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
