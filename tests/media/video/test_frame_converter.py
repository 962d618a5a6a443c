"""Frames for an encoder: upright, of one size, in one pixel format."""

from __future__ import annotations

from fractions import Fraction

import av
import films
import numpy as np
import pytest
from cloud_storage.media.video import frame_converter
from cloud_storage.media.video.frame_converter import FrameConverter
from films import KINDS


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
