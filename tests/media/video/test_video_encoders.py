"""Frames into a stream of an open file, and what is lost."""

from __future__ import annotations

from fractions import Fraction

import av
import films
import pytest
import torch
from cloud_storage.media.formats import CODECS
from cloud_storage.media.output_file import Output
from cloud_storage.media.video import video_plan
from cloud_storage.media.video.video_encoders import Display, video_encoder
from cloud_storage.media.video.video_plan import VideoFrames

RATE = Fraction(10)


def encode(path, format, codec="auto", channels=3, count=6, display=None, times=None):
    """Encode numbered frames. Returns the notes, and the decoded frames with their times."""
    pictures = films.numbered(count, channels=channels)
    plan = video_plan.plan(VideoFrames(torch.ones((1, 96, 160, 3)), None, RATE), format, codec)
    with Output(path, plan.container, {}, "encode the video", "test") as output:
        encoder = video_encoder(plan, output, RATE, 1 / RATE, display or Display())
        for index, pixels in enumerate(pictures):
            form = "rgba" if channels == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(pixels, format=form)
            encoder.add(frame, index / RATE if times is None else times[index])
        encoder.finish()
    with av.open(str(path)) as file:
        return encoder.notes, list(file.decode(video=0)), file.streams.video[0].sample_aspect_ratio


def numbers(frames):
    return [films.number(torch.from_numpy(frame.to_ndarray(format="rgb24")) / 255) for frame in frames]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_encodes_every_frame(tmp_path, codec):
    notes, frames, _ = encode(tmp_path / "a.mkv", "mkv", codec)
    assert (notes, numbers(frames)) == ([], list(range(6)))


def test_a_gif_has_every_frame_that_is_shown_long_enough(tmp_path):
    notes, frames, _ = encode(tmp_path / "a.gif", "gif")
    assert (notes, numbers(frames)) == ([], list(range(6)))
    times = [Fraction(index, 100) for index in range(6)]
    notes, frames, _ = encode(tmp_path / "b.gif", "gif", times=times)
    assert len(frames) == 3
    assert notes == ["A gif shows at most 50 frames a second."]


def test_frames_with_the_same_time_are_all_encoded(tmp_path):
    _, frames, _ = encode(tmp_path / "a.mp4", "mp4", times=[Fraction(0)] * 6)
    assert numbers(frames) == list(range(6))
    assert len({frame.pts for frame in frames}) == 6


@pytest.mark.parametrize(("codec", "kept"), [("h264", False), ("vp9", True)])
def test_lost_transparency_is_noted_once(tmp_path, codec, kept):
    notes, _, _ = encode(tmp_path / "a.mkv", "mkv", codec, channels=4)
    assert notes == ([] if kept else ["h264 has no transparency here: it was left out."])


@pytest.mark.parametrize(("format", "kept"), [("mp4", True), ("webm", False), ("gif", False)])
def test_an_aspect_ratio_is_kept_or_the_frames_are_stretched(tmp_path, format, kept):
    display = Display(Fraction(2))
    notes, frames, aspect = encode(tmp_path / f"a.{format}", format, display=display)
    assert (frames[0].width, frames[0].height) == (160 if kept else 320, 96)
    assert (aspect == 2) == kept
    assert len(notes) == (0 if kept else 1)
