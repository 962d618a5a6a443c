"""Decoded audio at its times."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from cloud_storage.media.audio.audio_timeline import AudioTimeline

RATE = 8000


def frame(seconds, values, rate=RATE, layout="mono"):
    packed = np.asarray(values, np.float32).reshape(1, -1)
    made = av.AudioFrame.from_ndarray(packed, "flt", layout)
    made.sample_rate, made.time_base = rate, Fraction(1, rate)
    made.pts = None if seconds is None else round(seconds * rate)
    return made


def filled(*frames, start=Fraction(0)):
    timeline = AudioTimeline(start)
    for each in frames:
        timeline.add(each)
    timeline.finish()
    return timeline


def test_a_gap_is_silence():
    timeline = filled(frame(0, [1] * 800), frame(1, [1] * 800))
    found = timeline.window(Fraction(0))
    assert (timeline.rate, timeline.channels, timeline.seconds) == (RATE, 1, Fraction(11, 10))
    assert found.shape == (1, 8800)
    assert np.flatnonzero(found[0]).tolist() == [*range(800), *range(8000, 8800)]


@pytest.mark.parametrize("late", [0.04, -0.04, None])
def test_times_that_are_a_little_off_leave_no_gap(late):
    second = None if late is None else 0.1 + late
    found = filled(frame(0, [1] * 800), frame(second, [2] * 800)).window(Fraction(0))
    assert found[0].tolist() == [1] * 800 + [2] * 800


def test_a_window_is_cut_to_the_sample_and_padded_with_silence():
    timeline = filled(frame(5, np.arange(800)), start=Fraction(5))
    found = timeline.window(Fraction(1, 80), Fraction(1, 5))
    assert found[0].tolist() == [*range(100, 800), *[0] * 800]


def test_what_ends_before_a_time_is_dropped_and_nothing_else():
    timeline = filled(frame(0, [1] * 800), frame(0.1, [2] * 800))
    timeline.forget(Fraction(1, 10))
    found = timeline.window(Fraction(0))
    assert found[0].tolist() == [0] * 800 + [2] * 800


def test_audio_is_converted_to_the_rate_and_channels_of_the_first_frame():
    timeline = filled(
        frame(0, np.ones(2 * RATE), layout="stereo"), frame(1, np.ones(16000), rate=16000, layout="mono")
    )
    found = timeline.window(Fraction(0))
    assert (timeline.rate, timeline.channels) == (RATE, 2)
    assert abs(found.shape[1] - 2 * RATE) < RATE // 20
    assert found[:, RATE // 2].tolist() == [1, 1]
    assert (found[:, RATE * 3 // 2] > 0.5).all()
