"""Which frames a window chooses, and their size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
from cloud_storage import errors
from cloud_storage.media.video.frame_window import PRESETS, Window


@dataclass(frozen=True)
class Frame:
    index: int
    seconds: Fraction


FRAMES = [Frame(index, Fraction(index, 10)) for index in range(50)]


def chosen(**numbers):
    return [frame.index for frame in Window(**numbers).choose(iter(FRAMES))]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, list(range(50))),
        ({"skip_first_frames": 45}, [45, 46, 47, 48, 49]),
        ({"select_every_nth": 20}, [0, 20, 40]),
        ({"skip_first_frames": 3, "select_every_nth": 2, "frame_load_cap": 3}, [3, 5, 7]),
        ({"skip_first_frames": 50}, []),
        ({"force_rate": 5, "frame_load_cap": 4}, [0, 2, 4, 6]),
        ({"force_rate": 20, "frame_load_cap": 5}, [0, 1, 1, 2, 2]),
        ({"force_rate": 2, "skip_first_frames": 2, "select_every_nth": 3}, [10, 25, 40]),
    ],
)
def test_frames_are_counted_or_sampled_at_a_rate(numbers, expected):
    assert chosen(**numbers) == expected


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        ({}, (160, 96)),
        ({"custom_width": 80}, (80, 48)),
        ({"custom_height": 48}, (80, 48)),
        ({"custom_width": 50, "custom_height": 70}, (50, 70)),
        ({"custom_width": 90, "preset": "LTXV"}, (96, 64)),
        ({"custom_width": 1, "preset": "Wan"}, (8, 8)),
    ],
)
def test_sides_keep_the_aspect_ratio_and_become_multiples(numbers, size):
    assert Window(**numbers).size(160, 96) == size


@pytest.mark.parametrize("preset", PRESETS)
def test_a_frame_count_is_one_that_the_preset_allows(preset):
    step, rest = PRESETS[preset].frames
    window = Window(preset=preset)
    for count in range(40):
        whole = window.whole(count)
        assert whole <= count
        assert whole == 0 or (whole - rest) % step == 0


def test_the_expected_count_follows_from_the_files_count_or_its_duration():
    assert Window(skip_first_frames=10, select_every_nth=4).count(50, Fraction(5)) == 10
    assert Window(force_rate=4).count(50, Fraction(5)) == 21
    assert Window(frame_load_cap=3).count(50, Fraction(5)) == 3
    assert Window(skip_first_frames=60).count(50, Fraction(5)) == 0


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, -1), (0, float("inf")), (0, float("nan")), (1, -1), (3, -1), (4, -1), (5, 0), (6, "Unknown")],
)
def test_numbers_that_mean_nothing_are_refused(place, value):
    numbers = [0, 0, 0, 0, 0, 1, "None"]
    assert Window(*numbers) == Window()
    numbers[place] = value
    with pytest.raises(errors.MediaError, match="Load Video from Cloud"):
        Window(*numbers)
