from __future__ import annotations

import io
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch
from cloud_storage.comfyui import video
from cloud_storage.errors import MediaError

FRAMES = torch.zeros((2, 4, 6, 3))


class Theirs:
    """A VIDEO of another package."""

    def __init__(self, **parts):
        self.parts = SimpleNamespace(**parts)

    def get_components(self):
        return self.parts


def test_frames_and_sound_of_a_video_come_back(comfyui):
    sound = {"waveform": torch.zeros((1, 2, 100)), "sample_rate": 8000}
    made = video.video_of(FRAMES, sound, Fraction(24))
    parts = made.get_components()
    assert (parts.images.shape, parts.frame_rate) == (FRAMES.shape, 24)
    with video.video_clip(made) as clip:
        assert torch.equal(clip.frames, FRAMES)
        assert clip.rate == 24
        assert clip.audio["sample_rate"] == 8000


@pytest.mark.parametrize("wrong", [None, "a.mp4", Theirs(), Theirs(images=torch.zeros((2, 3)))])
def test_what_is_no_video_is_refused(comfyui, wrong):
    with pytest.raises(MediaError, match="Connect a VIDEO"), video.video_clip(wrong):
        pass


def test_a_video_of_bytes_is_read_by_a_reader_of_its_own(comfyui):
    from comfy_api.input_impl import VideoFromFile

    shared = io.BytesIO(b"the bytes of a file")
    with video.video_clip(VideoFromFile(shared)) as clip:
        shared.seek(7)
        assert clip.source.read() == b"the bytes of a file"
        assert shared.tell() == 7
