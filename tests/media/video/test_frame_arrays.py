"""The colours of decoded frames, against the formulas of the standards, with whichever PyAV is installed."""

from __future__ import annotations

from fractions import Fraction

import av
import films
import numpy as np
import pytest
from cloud_storage.media import container
from cloud_storage.media.video import frame_arrays, frame_converter

# Red's and blue's share of the luma (ITU-R BT.601, BT.709, BT.2020; SMPTE 240M), by FFmpeg's numbers for the
# tag.
SHARES = {
    2: (0.299, 0.114),  # no tag: as BT.601, which is what ffmpeg does
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le")
SIDE = 16  # of a patch of one colour; chroma that is scaled up leaves its middle alone
PATCHES = [(0.5, 0, 0), (0.3, 0.3, -0.2), (0.6, -0.35, 0.1), (0.4, 0.05, 0.38), (0.7, -0.1, -0.3)]


def recording(path, form, matrix, full):
    """A film of one frame of PATCHES, side by side, as (luma, blue's and red's difference)."""
    depth = {"10": 10, "12": 12}.get(form.removeprefix("yuv4").removesuffix("le")[-2:], 8)
    wide, high = SIDE * len(PATCHES), SIDE
    half = 1 << depth - 8
    planes = []
    for plane in range(3):
        values = []
        for patch in PATCHES:
            if full:
                value = patch[plane] * ((1 << depth) - 1) + (plane > 0) * (128 * half)
            else:
                value = (
                    (16 * half + patch[0] * 219 * half) if plane == 0 else (128 + 224 * patch[plane]) * half
                )
            values.append(round(value))
        columns = wide if plane == 0 or "444" in form else wide // 2
        rows = high // 2 if plane and "420" in form else high
        row = np.repeat(values, columns // len(PATCHES)).astype(np.uint16 if depth > 8 else np.uint8)
        planes.append(np.tile(row, (rows, 1)))
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = wide, high, form
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if full else 1
        frame = av.VideoFrame(wide, high, form)
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
        for plane, values in zip(frame.planes, planes, strict=True):
            lines = np.zeros((plane.height, plane.line_size), np.uint8)
            raw = values.view(np.uint8)
            lines[:, : raw.shape[1]] = raw
            plane.update(lines.tobytes())
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def expected(matrix):
    red_share, blue_share = SHARES[matrix]
    colours = []
    for luma, blue, red in PATCHES:
        r, b = luma + 2 * (1 - red_share) * red, luma + 2 * (1 - blue_share) * blue
        g = (luma - red_share * r - blue_share * b) / (1 - red_share - blue_share)
        colours.append((r, g, b))
    return np.clip(colours, 0, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", SHARES)
@pytest.mark.parametrize("form", FORMATS)
def test_the_colours_are_those_that_the_tags_of_a_film_mean(tmp_path, form, matrix, full):
    path = recording(tmp_path / "f.mkv", form, matrix, full)
    with container.opened(path, "f", "a video") as file:
        frame = next(file.decode(video=0))
        deep = frame_converter.is_deep(frame)
        pixels = frame_arrays.ArrayConverter().convert(frame, transparent=False, deep=deep)
    assert pixels.dtype == (np.uint16 if form.endswith("le") else np.uint8)
    found = pixels[SIDE // 2, SIDE // 2 :: SIDE] / np.iinfo(pixels.dtype).max
    assert (
        np.abs(found - expected(matrix)).max() < 3 / 255
    )  # swscale rounds coarsely; a wrong matrix is 13 and more


def test_a_painter_follows_frames_that_change_their_size_and_tags(tmp_path):
    converter, found = frame_arrays.ArrayConverter(), []
    for number, (form, matrix) in enumerate([("yuv420p", 1), ("yuv444p10le", 9), ("yuv420p", 6)]):
        path = recording(tmp_path / f"{number}.mkv", form, matrix, False)
        with container.opened(path, "f", "a video") as file:
            found.append(converter.convert(next(file.decode(video=0)), transparent=False))
    for pixels, matrix in zip(found, (1, 9, 6), strict=True):
        values = pixels[SIDE // 2, SIDE // 2 :: SIDE] / 255
        assert (
            np.abs(values - expected(matrix)).max() < 3 / 255
        )  # swscale rounds coarsely; a wrong matrix is 13 and more


def test_what_has_another_ratio_is_cut_in_the_middle():
    pixels = films.picture(0)
    square = frame_arrays.crop_and_scale(pixels, 96, 96)
    reds = pixels[0, 32:128, 0].astype(int)
    assert np.abs(square[0, :, 0].astype(int) - reds).max() <= 2
    tall = frame_arrays.crop_and_scale(np.ascontiguousarray(np.rot90(pixels)), 96, 48)
    assert tall.shape == (48, 96, 3)
