"""What is left of PNG files that are cut off, damaged, or swollen."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from cloud_storage.media.image import png, png_repair
from PIL import Image

PIXELS = np.random.default_rng(1).integers(0, 256, (60, 50, 3), dtype=np.uint8)
FILE = png.encode(PIXELS)


def read(data):
    return np.array(Image.open(io.BytesIO(data)))


def saved(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.999])
def test_the_rows_before_the_cut_are_kept_and_the_rest_is_black(part):
    found = read(png_repair.repaired(FILE[: int(len(FILE) * part)]))
    assert found.shape == PIXELS.shape
    whole = (found == PIXELS).all((1, 2))
    rows = int(whole.sum())
    assert abs(rows - part * len(PIXELS)) < 6
    assert whole[:rows].all()
    assert not found[rows:].any()


def test_a_damaged_stream_is_kept_up_to_the_damage():
    middle = len(FILE) // 2
    found = read(png_repair.repaired(FILE[:middle] + b"\xff" * 2_000 + FILE[middle + 2_000 :]))
    assert np.array_equal(found[:20], PIXELS[:20])


def test_palette_and_transparency_are_kept():
    file = io.BytesIO()
    Image.fromarray(PIXELS).quantize(16).save(file, "PNG", transparency=3)
    whole = Image.open(file)
    found = Image.open(io.BytesIO(png_repair.repaired(file.getvalue()[:-30])))
    assert found.info["transparency"] == 3
    assert np.array_equal(np.array(found)[:40], np.array(whole)[:40])


def test_text_and_whatever_else_is_dropped():
    swollen = FILE[:33] + b"".join(
        struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20))), (b"gAMA", bytes(4))]
    )
    assert read(png_repair.repaired(swollen + FILE[33:])).tobytes() == PIXELS.tobytes()
    assert b"zTXt" not in png_repair.repaired(swollen + FILE[33:])


def header(**changes):
    fields = {"width": 50, "height": 60, "depth": 8, "colour": 2, "method": 0, "filter": 0, "interlacing": 0}
    body = struct.pack(">IIBBBBB", *{**fields, **changes}.values())
    return (
        FILE[:8]
        + struct.pack(">I", 13)
        + b"IHDR"
        + body
        + struct.pack(">I", zlib.crc32(b"IHDR" + body))
        + FILE[33:]
    )


def test_what_cannot_be_repaired_is_left_alone():
    assert png_repair.repaired(header()) is not None
    for beyond in (
        b"",
        FILE[:8],
        FILE[:40],
        FILE[:8] + FILE[33:],  # no header
        FILE[:20] + b"?" + FILE[21:],  # a header with a wrong checksum
        header(interlacing=1),
        header(colour=5),
        header(height=1 << 30),  # 150 GiB
    ):
        assert png_repair.repaired(beyond) is None


def test_a_complete_file_keeps_its_pixels():
    assert np.array_equal(read(png_repair.repaired(FILE)), PIXELS)
    grey = np.array(Image.fromarray(PIXELS).convert("1"))
    assert np.array_equal(read(png_repair.repaired(saved(grey))), grey)


def test_more_rows_than_announced_are_cut_off():
    assert np.array_equal(read(png_repair.repaired(header(height=10))), PIXELS[:10])
