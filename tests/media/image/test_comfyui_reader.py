"""Frames by the code of ComfyUI's own Load Image, one packet at a time."""

from __future__ import annotations

import contextlib

import av
import numpy as np
import pytest
import torch
from cloud_storage.media.image import comfyui_reader
from odd_images import saved
from PIL import Image

PIXELS = np.random.default_rng(2).integers(0, 256, (20, 30, 4), dtype=np.uint8)


class Parts:
    """What ComfyUI's reader returns."""

    def __init__(self, frames):
        self.images = torch.stack(frames) if frames else torch.zeros((0, 0, 0, 3))
        self.alpha = None


def decode_all(container):
    """Decode as ComfyUI does: a packet that fails is left out."""
    frames = []
    for packet in container.demux(container.streams.video[0]):
        try:
            frames += [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
        except av.FFmpegError:
            continue
    return Parts(frames)


def written(path, data):
    path.write_bytes(data)
    return path


def test_frames_come_one_by_one_with_the_pixels_of_the_whole(tmp_path):
    images = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]
    path = written(tmp_path / "a.png", saved(images[0], "PNG", save_all=True, append_images=images[1:]))
    problems = []
    frames = list(comfyui_reader.frames(path, decode_all, problems.append))
    assert [int(colours[5, 5].argmax()) for colours, _ in frames] == [0, 1, 2]
    assert [alpha for _, alpha in frames] == [None] * 3
    assert problems == []


def test_what_ffmpeg_cannot_decode_is_reported(tmp_path):
    data = bytearray(saved(Image.fromarray(PIXELS), "PNG"))
    data[60:90] = bytes(30)
    problems = []
    list(comfyui_reader.frames(written(tmp_path / "a.png", bytes(data)), decode_all, problems.append))
    assert problems


@pytest.mark.parametrize("channels", [3, 4])
def test_a_large_png_is_read_to_its_bytes(tmp_path, channels):
    path = written(tmp_path / "a.png", saved(Image.fromarray(PIXELS[..., :channels]), "PNG"))
    colours, alpha = comfyui_reader.large_frame(path)
    assert np.array_equal(colours, PIXELS[..., :3])
    assert alpha is None if channels == 3 else np.array_equal(alpha, PIXELS[..., 3])


def test_a_pixel_format_that_comfyui_reads_to_floats_is_left_to_others(tmp_path):
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30)
    with pytest.raises(comfyui_reader.Unread):
        comfyui_reader.large_frame(written(tmp_path / "a.png", saved(Image.fromarray(grey), "PNG")))


@pytest.mark.parametrize(
    "data", [b"#EXTM3U\nother.png\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"ffconcat"]
)
def test_a_file_that_may_name_others_is_not_opened(tmp_path, data):
    written(tmp_path / "other.png", saved(Image.fromarray(PIXELS), "PNG"))
    frames = []
    with contextlib.suppress(av.FFmpegError):
        frames += comfyui_reader.frames(written(tmp_path / "a.png", data), decode_all, lambda said: None)
    assert frames == []
