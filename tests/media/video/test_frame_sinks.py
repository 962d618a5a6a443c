"""Frames in one tensor, or as a latent."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cloud_storage.media.video import frame_sinks
from cloud_storage.system.meter import Meter


def fill(sink, count, dtype=np.uint8, channels=3, expected=None):
    sink.begin(count if expected is None else expected, 16, 24, channels)
    limit = np.iinfo(dtype).max
    for number in range(count):
        sink.add(np.full((16, 24, channels), limit * number // 10, dtype))
    return sink.result(count)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_tensor_has_floats_of_either_depth(dtype, channels):
    found = fill(frame_sinks.Tensor(), 5, dtype, channels)
    assert (found.dtype, found.shape) == (torch.float32, (5, 16, 24, channels))
    assert torch.allclose(found[:, 0, 0, 0], torch.arange(5) / 10, atol=0.01)


def test_a_tensor_grows_in_place_and_gives_what_was_filled():
    sink = frame_sinks.Tensor()
    sink.begin(0, 16, 24, 3)
    for number in range(3):
        sink.grow(number + 2)
        sink.add(np.full((16, 24, 3), number, np.uint8))
    assert sink.result(2).shape == (2, 16, 24, 3)


class Vae:
    """Makes sides eight times smaller and remembers the sizes of its batches."""

    def __init__(self, dimensions):
        self.latent_dim, self.batches = dimensions, []

    def spacial_compression_encode(self):
        return 8

    def encode(self, pixels):
        self.batches.append(tuple(pixels.shape))
        small = pixels[:, ::8, ::8].movedim(-1, 1).clone()
        return small if self.latent_dim == 2 else small.movedim(0, 1)[None]


@pytest.mark.parametrize("expected", [7, 0], ids=["known count", "unknown count"])
def test_a_vae_for_images_gets_batches_without_alpha(monkeypatch, expected):
    monkeypatch.setattr(frame_sinks, "BATCH_PIXELS", 3 * 16 * 24)
    vae = Vae(2)
    sink = frame_sinks.Latents(vae, Meter())
    latent = fill(sink, 7, channels=4, expected=expected)
    assert (sink.multiple, sink.held_at_once) == (8, 3)
    assert vae.batches == [(3, 16, 24, 3), (3, 16, 24, 3), (1, 16, 24, 3)]
    assert latent.shape == (7, 3, 2, 3)


def test_a_vae_for_video_gets_all_frames_at_once():
    vae = Vae(3)
    sink = frame_sinks.Latents(vae, Meter())
    assert fill(sink, 7).shape == (1, 3, 7, 2, 3)
    assert (sink.held_at_once, vae.batches) == (0, [(7, 16, 24, 3)])
