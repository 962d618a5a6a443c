"""The preview that a node shows."""

from __future__ import annotations

import io

import pytest
import torch
from cloud_storage.media.image import preview
from PIL import Image


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (2, 2), (16, 16), (17, 9), (100, 15)])
def test_a_preview_is_a_small_webp_of_some_frames(count, shown):
    frames = torch.rand((count, 60, 80, 3), generator=torch.Generator().manual_seed(1))
    image = Image.open(io.BytesIO(preview.make_preview(frames)))
    assert (image.format, image.n_frames, image.size) == ("WEBP", shown, (80, 60))


@pytest.mark.parametrize(("height", "width"), [(4000, 3000), (100, 5000)])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_large_frame_is_scaled_to_its_longer_side(height, width, channels):
    image = Image.open(io.BytesIO(preview.make_preview(torch.ones((1, height, width, channels)))))
    assert max(image.size) == preview.SIDE
    assert abs(image.width / image.height - width / height) < width / height / 10
    assert image.convert("RGB").getextrema() == ((255, 255),) * 3
