"""Makes the small preview of loaded frames that a node shows."""

from __future__ import annotations

import io

import torch

from ..image_tensor import to_uint8

FRAMES = 16  # at most, spread over all loaded frames
SIDE = 384  # pixels of the longer side
SECONDS = 2.0  # duration of the animation


def make_preview(frames: torch.Tensor) -> bytes:
    """Return a WebP file of frames [B, H, W, 3 or 4] in 0..1, animated if there are several."""
    from PIL import Image

    step = max(1, -(-len(frames) // FRAMES))
    skip = max(1, max(frames.shape[1:3]) // (4 * SIDE))  # saves most of the time, and is not visible
    images = []
    for frame in frames[::step, ::skip, ::skip]:
        image = Image.fromarray(to_uint8(frame.cpu().float().numpy()))
        image.thumbnail((SIDE, SIDE))
        images.append(image)
    file = io.BytesIO()
    duration = round(1000 * SECONDS / len(images))
    images[0].save(
        file, "WEBP", save_all=True, append_images=images[1:], duration=duration, loop=0, quality=75
    )
    return file.getvalue()
