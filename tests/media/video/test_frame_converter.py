"""Frames for an encoder: upright, of one size, in one pixel format. Frames as arrays: their colours.

The colours are compared with the formulas of the standards, with whichever PyAV is installed.
"""

from __future__ import annotations

from fractions import Fraction

import av
import films
import numpy as np
import pytest
from cloud_storage.media import container
from cloud_storage.media.video import frame_converter
from cloud_storage.media.video.frame_converter import ArrayConverter, FrameConverter
from films import KINDS

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


def frame(width=64, height=48, form="rgb24"):
    pixels = films.picture(5, width, height)
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form)


@pytest.mark.parametrize(
    ("form", "rgb", "deep", "alpha"),
    [
        ("rgb24", True, False, False),
        ("rgba", True, False, True),
        ("rgb48le", True, True, False),
        ("yuv420p", False, False, False),
        ("yuv420p10le", False, True, False),
        ("yuva420p", False, False, True),
    ],
)
def test_the_properties_of_a_frame(form, rgb, deep, alpha):
    each = frame(form=form)
    assert frame_converter.is_rgb(each) == rgb
    assert frame_converter.is_deep(each) == deep
    assert frame_converter.has_alpha_channel(each) == frame_converter.may_have_alpha(each) == alpha
    assert frame_converter.rotation(each) == (1, 0, 0, 1)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_frame_comes_upright(tmp_path, degrees):
    path = films.write(tmp_path / "f.mp4", KINDS["mp4"], films.numbered(6)[5:], rotation=degrees)
    with av.open(str(path)) as file:
        stored = next(file.decode(video=0))
    assert frame_converter.is_rotated_sideways(stored) == (degrees != 180)
    found = FrameConverter("rgb24").convert(stored).to_ndarray()
    expected = np.rot90(stored.to_ndarray(format="rgb24"), degrees // 90)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 5


@pytest.mark.parametrize(
    ("size", "even", "becomes"), [((63, 47), True, (64, 48)), ((63, 47), False, (63, 47))]
)
def test_odd_sides_grow_by_a_copy_of_the_edge(size, even, becomes):
    converter = FrameConverter("rgb24", even=even)
    assert converter.measure(frame(*size)) == becomes
    pixels = converter.convert(frame(*size)).to_ndarray()
    assert (pixels.shape[1], pixels.shape[0]) == becomes
    if even:
        assert np.array_equal(pixels[:, -1], pixels[:, -2])
        assert np.array_equal(pixels[-1], pixels[-2])


@pytest.mark.parametrize(("aspect", "becomes"), [(Fraction(2), (128, 48)), (Fraction(1, 2), (64, 96))])
def test_pixels_become_square_and_no_side_gets_shorter(aspect, becomes):
    assert FrameConverter("yuv420p", aspect).measure(frame()) == becomes


def test_all_frames_get_the_size_of_the_first():
    converter = FrameConverter("yuv420p")
    for size in ((64, 48), (32, 80), (64, 48)):
        converted = converter.convert(frame(*size))
        assert (converted.width, converted.height, converted.format.name) == (64, 48, "yuv420p")


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
def test_the_colours_are_those_that_the_tags_of_a_video_mean(tmp_path, form, matrix, full):
    path = recording(tmp_path / "f.mkv", form, matrix, full)
    with container.opened(path, "f", "a video") as file:
        frame = next(file.decode(video=0))
        deep = frame_converter.is_deep(frame)
        pixels = ArrayConverter(transparent=False, deep=deep).convert(frame)
    assert pixels.dtype == (np.uint16 if form.endswith("le") else np.uint8)
    found = pixels[SIDE // 2, SIDE // 2 :: SIDE] / np.iinfo(pixels.dtype).max
    assert (
        np.abs(found - expected(matrix)).max() < 3 / 255
    )  # swscale rounds coarsely; a wrong matrix is 13 and more


def test_arrays_follow_frames_that_change_their_size_and_tags(tmp_path):
    converter, found = ArrayConverter(transparent=False, deep=False), []
    for number, (form, matrix) in enumerate([("yuv420p", 1), ("yuv444p10le", 9), ("yuv420p", 6)]):
        path = recording(tmp_path / f"{number}.mkv", form, matrix, False)
        with container.opened(path, "f", "a video") as file:
            found.append(converter.convert(next(file.decode(video=0))))
    for pixels, matrix in zip(found, (1, 9, 6), strict=True):
        values = pixels[SIDE // 2, SIDE // 2 :: SIDE] / 255
        assert (
            np.abs(values - expected(matrix)).max() < 3 / 255
        )  # swscale rounds coarsely; a wrong matrix is 13 and more


def test_what_has_another_ratio_is_cut_in_the_middle():
    pixels = films.picture(0)
    square = frame_converter.crop_and_scale(pixels, 96, 96)
    reds = pixels[0, 32:128, 0].astype(int)
    assert np.abs(square[0, :, 0].astype(int) - reds).max() <= 2
    tall = frame_converter.crop_and_scale(np.ascontiguousarray(np.rot90(pixels)), 96, 48)
    assert tall.shape == (48, 96, 3)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_frame_becomes_an_upright_array_of_the_same_pixels(tmp_path, degrees, transparent, deep):
    arrays = []
    for rotation in (degrees, 0):
        path = films.write(
            tmp_path / f"{rotation}.mp4", KINDS["mp4"], films.numbered(6)[5:], rotation=rotation
        )
        with av.open(str(path)) as file:
            stored = next(file.decode(video=0))
        arrays.append(ArrayConverter(transparent=transparent, deep=deep).convert(stored))
    assert arrays[0].dtype == (np.uint16 if deep else np.uint8)
    assert arrays[0].shape[2] == (4 if transparent else 3)
    assert np.array_equal(arrays[0], np.rot90(arrays[1], degrees // 90))
