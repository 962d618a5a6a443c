"""How a video is saved: which format, which codec, copied or encoded, at which frame rate."""

from __future__ import annotations

from fractions import Fraction

import films
import pytest
import torch
from cloud_storage import errors
from cloud_storage.media.formats import CODECS, CONTAINERS
from cloud_storage.media.video import video_plan
from cloud_storage.media.video.video_plan import VideoFile, VideoFrames
from films import KINDS


def frames(channels=3):
    return VideoFrames(torch.zeros((2, 64, 64, channels)), None, Fraction(25))


@pytest.mark.parametrize(
    ("channels", "format", "codec"), [(3, "mp4", "h264"), (4, "webm", "vp9")], ids=["opaque", "transparent"]
)
def test_auto_keeps_transparency(channels, format, codec):
    assert video_plan.plan(frames(channels), "mkv", "auto").codec.name == codec
    plan = video_plan.plan(frames(channels), "auto", "auto")
    assert (plan.container.name, plan.codec.name, plan.copies) == (format, codec, False)


@pytest.mark.parametrize(
    ("kind", "format", "copies"), [("mp4", "mp4", True), ("webm", "webm", True), ("avi", "mp4", False)]
)
def test_a_file_is_copied_into_the_first_format_that_holds_its_streams(tmp_path, kind, format, copies):
    path = films.write(tmp_path / f"f.{KINDS[kind].ending}", KINDS[kind], films.numbered(3), 25)
    plan = video_plan.plan(VideoFile(path), "auto", "auto")
    assert (plan.container.name, plan.copies) == (format, copies)
    assert bool(plan.obstacle) != copies
    assert not video_plan.without_copying(plan).copies
    assert not video_plan.plan(VideoFile(path), "auto", "auto", crf=30).copies


@pytest.mark.parametrize("format", CONTAINERS)
@pytest.mark.parametrize("codec", CODECS)
def test_a_format_takes_its_own_codecs_and_names_the_formats_of_others(format, codec):
    if codec in CONTAINERS[format].codecs:
        assert video_plan.plan(frames(), format, codec).codec.name == codec
        return
    with pytest.raises(errors.MediaError, match=r"Choose .*, or leave the codec to auto"):
        video_plan.plan(frames(), format, codec)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (Fraction(29.97), Fraction(30000, 1001)),
        (Fraction(23.976023976023978), Fraction(24000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (24, Fraction(24)),
        (24.0, Fraction(24)),
        (Fraction(25, 2), Fraction(25, 2)),
        (Fraction(1000, 33), Fraction(1000, 33)),
        (Fraction(0.1), Fraction(1, 10)),
        (16.6667, Fraction(50, 3)),
        (1000, Fraction(1000)),
    ],
)
def test_a_rate_is_what_is_meant_by_it(said, meant):
    rate = video_plan.frame_rate(said)
    assert abs(rate - meant) < Fraction(1, 10000)
    assert rate == meant or said == 16.6667
    assert rate.numerator < 2**31


@pytest.mark.parametrize(
    "rate", [0, -1, 0.0, float("nan"), float("inf"), 1e-9, 1e9, None, "many", Fraction(0)]
)
def test_what_is_no_rate_is_refused_with_what_to_do(rate):
    with pytest.raises(errors.MediaError, match="Set the frame rate"):
        video_plan.frame_rate(rate)
