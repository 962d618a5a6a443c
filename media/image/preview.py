"""A small picture of loaded frames, for the node."""

from __future__ import annotations

import io

import torch

from ..image_tensor import eight_bits

FRAMES = 16  # of them, spread over all that were loaded
SIDE = 384  # pixels, of the longer one
SECONDS = 2.0  # that it takes to go round


def small(frames: torch.Tensor) -> bytes:
    """A WebP of frames [B, H, W, 3 or 4] in 0..1, animated where there are several."""
    from PIL import Image

    step = max(1, -(-len(frames) // FRAMES))
    coarse = max(1, max(frames.shape[1:3]) // (4 * SIDE))  # all that is lost to the eye, and most of the time
    pictures = []
    for frame in frames[::step, ::coarse, ::coarse]:
        picture = Image.fromarray(eight_bits(frame.cpu().float().numpy()))
        picture.thumbnail((SIDE, SIDE))
        pictures.append(picture)
    file = io.BytesIO()
    duration = round(1000 * SECONDS / len(pictures))
    pictures[0].save(
        file, "WEBP", save_all=True, append_images=pictures[1:], duration=duration, loop=0, quality=75
    )
    return file.getvalue()
