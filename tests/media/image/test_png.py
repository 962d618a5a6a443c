"""The PNG writer: what Pillow reads back, what a strict reader finds in the file, and how large it is."""

from __future__ import annotations

import io
import runpy
import struct
import sys
import threading
import zlib
from dataclasses import replace

import numpy as np
import pytest
from cloud_storage.media import file_kind
from cloud_storage.media.image import png
from conftest import ROOT
from PIL import Image

PICTURES = runpy.run_path(str(ROOT / "benchmarks" / "pictures.py"))

ENGINES = {"isal": png.engine(), "zlib": png.ZLIB}
RECIPES = [
    pytest.param(engine, recipe, id=f"{name}-{recipe.filter_type}-{'-'.join(map(str, recipe.settings))}")
    for name, engine in ENGINES.items()
    for recipe in dict.fromkeys((*engine.drawings, *engine.photographs))
]


def noise(height, width, channels, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def read(data):
    """As Pillow reads it, [height, width, channels]."""
    pixels = np.array(Image.open(io.BytesIO(data)))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def chunks(data):
    """Kind and body of every chunk, each with its right length and CRC, and nothing between or behind."""
    assert data[:8] == file_kind.PNG_SIGNATURE
    position, found = 8, []
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        position += 12 + length
    assert position == len(data)
    return found


def deflated(data):
    return b"".join(body for kind, body in chunks(data) if kind == b"IDAT")


@pytest.fixture(params=ENGINES.values(), ids=ENGINES)
def engine(request):
    return request.param


def test_the_tests_run_with_isal():
    assert png.engine() is not png.ZLIB


SHAPES = [
    (1, 1),
    (1, 7),
    (7, 1),
    (2, 2),
    (5, 3),
    (36, 9),
    (37, 9),
    (100, 33),
    (257, 130),
    (3, 70_000),
    (9_000, 2),
]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_pillow_reads_back_every_pixel(engine, height, width, channels):
    pixels = noise(height, width, channels)
    data = png.encode(pixels, using=engine)
    assert np.array_equal(read(data), pixels)
    assert Image.open(io.BytesIO(data)).mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]


@pytest.mark.parametrize(("engine", "recipe"), RECIPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ["noise", "constant", "slope"])
def test_every_recipe_is_lossless_for_every_kind_of_image(engine, recipe, channels, kind, monkeypatch):
    monkeypatch.setattr(png, "BAND_BYTES", 2_000)  # several bands, whose first rows look at the band above
    pixels = noise(70, 61, channels)
    if kind == "constant":
        pixels[:] = (9, 250, 120, 77)[:channels]
    if kind == "slope":
        pixels[:] = (
            np.arange(70)[:, None, None] * 3 + np.arange(61)[:, None] * 2 + np.arange(channels)
        ) % 256
    only = replace(engine, drawings=(recipe,), photographs=(recipe,))
    assert np.array_equal(read(png.encode(pixels, using=only)), pixels)


def test_the_paeth_filter_is_that_of_the_standard():
    values = np.r_[0:256:5, 1, 2, 127, 128, 254].astype(np.uint8)
    left, above, corner = (grid.reshape(1, -1) for grid in np.meshgrid(values, values, values))
    a, b, c = (each.astype(int) for each in (left, above, corner))
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    expected = np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))
    out = np.empty_like(left)
    png.FILTERS[png.PAETH](png.Neighbourhood(np.zeros_like(left), left, above, corner), out)
    assert np.array_equal(out, (-expected).astype(np.uint8))


def test_pixels_that_lie_scattered_in_memory_are_written_too(engine):
    pixels = noise(40, 60, 4)[::2, ::-3, :3]
    assert np.array_equal(read(png.encode(pixels, using=engine)), pixels)


@pytest.mark.parametrize("kind", ["photograph", "constant"])
def test_the_file_is_one_that_a_strict_reader_accepts(engine, kind, monkeypatch):
    monkeypatch.setattr(png, "CHUNK_BYTES", 1_000)
    pixels = PICTURES["picture"](kind, "RGB")[:200]
    data = png.encode(pixels, [("a", "b")], using=engine)
    kinds = [chunk for chunk, _ in chunks(data)]
    assert kinds[:2] == [b"IHDR", b"tEXt"]
    assert kinds[-1] == b"IEND"
    assert set(kinds[2:-1]) == {b"IDAT"}
    sizes = [len(body) for chunk, body in chunks(data) if chunk == b"IDAT"]
    assert all(size >= 1_000 for size in sizes[:-1])
    assert sizes[-1] > 0
    stream = deflated(data)
    window_bits = (stream[0] >> 4) + 8  # what the stream itself says (RFC 1950): a reader need not keep more
    inflater = zlib.decompressobj(window_bits)
    rows = inflater.decompress(stream) + inflater.flush()
    assert len(rows) == 200 * (1 + 3 * 1024)
    assert inflater.eof  # reached with the right Adler-32
    assert not inflater.unused_data


def test_text_is_read_back_as_text_of_any_language():
    text = {"prompt": '{"a": 1}', "workflow": "x" * 300_000, "Ünïcode": "ä", "other": "図 🙂", "empty": ""}
    data = png.encode(noise(3, 3, 3), text.items())
    image = Image.open(io.BytesIO(data))
    image.load()
    assert dict(image.text) == text
    assert [kind for kind, _ in chunks(data)].count(b"iTXt") == 1


def test_without_isal_the_standard_library_does_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    png.engine.cache_clear()
    try:
        assert png.engine() is png.ZLIB
        pixels = noise(30, 30, 3)
        assert np.array_equal(read(png.encode(pixels)), pixels)
    finally:
        png.engine.cache_clear()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["photograph", "drawing", "constant", "noise"])
def test_a_file_is_at_most_a_tenth_larger_than_pillows(kind, mode):
    pixels = PICTURES["picture"](kind, mode)
    pillows = io.BytesIO()
    Image.fromarray(pixels).save(pillows, "PNG", compress_level=4)
    assert len(png.encode(pixels)) <= 1.1 * len(pillows.getvalue())


def test_threads_that_write_at_once_write_the_same():
    pictures = [noise(120, 90, channels, seed) for seed in range(8) for channels in (1, 3, 4)]
    expected = [png.encode(picture) for picture in pictures]
    found = [b""] * len(pictures)

    def run(index):
        found[index] = png.encode(pictures[index])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
