"""Combines images of different sizes into a batch: pads, crops or resizes each to the size of the first.

An image that already has this size is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.nn import functional

Frames = tuple[torch.Tensor, torch.Tensor]  # IMAGE [B, H, W, 3] and MASK [B, H, W], float32 in 0..1


def _resized(frames: Frames, height: int, width: int) -> Frames:
    image, mask = frames
    image = _scaled(image.movedim(-1, 1), height, width).movedim(1, -1)
    return image, _scaled(mask[:, None], height, width)[:, 0]


def _scaled(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize [B, C, H, W] with antialiasing, without which a smaller image flickers."""
    size = (height, width)
    return functional.interpolate(planes, size, mode="bicubic", antialias=True).clamp(0, 1)


def _with_aspect(frames: Frames, height: int, width: int, choose: Callable[[float, float], float]) -> Frames:
    """Resize by the smaller or larger of the two factors, keeping the aspect ratio."""
    old_height, old_width = frames[1].shape[1:]
    factor = choose(height / old_height, width / old_width)
    new_height, new_width = max(1, round(old_height * factor)), max(1, round(old_width * factor))
    return _resized(frames, new_height, new_width)


def _padded(frames: Frames, height: int, width: int) -> Frames:
    image, mask = _with_aspect(frames, height, width, min)
    top, left = (height - mask.shape[1]) // 2, (width - mask.shape[2]) // 2
    bottom, right = height - mask.shape[1] - top, width - mask.shape[2] - left
    borders = (left, right, top, bottom)
    return (
        functional.pad(image.movedim(-1, 1), borders).movedim(1, -1).contiguous(),
        functional.pad(mask, borders, value=1.0),  # fully transparent
    )


def _cropped(frames: Frames, height: int, width: int) -> Frames:
    image, mask = _with_aspect(frames, height, width, max)
    top, left = (mask.shape[1] - height) // 2, (mask.shape[2] - width) // 2
    rows, columns = slice(top, top + height), slice(left, left + width)
    return image[:, rows, columns].contiguous(), mask[:, rows, columns].contiguous()


SEPARATE = "one item each"
_RULES: dict[str, Callable[[Frames, int, int], Frames]] = {
    "pad to first": _padded,
    "crop to first": _cropped,
    "resize to first": _resized,
}
SIZE_MODES = (*_RULES, SEPARATE)


def combine(
    images: Iterable[Frames], count: int, size_mode: str
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return images and masks as list outputs: one item per image with SEPARATE, otherwise one batch.

    ``size_mode`` is one of SIZE_MODES. Pad adds black borders, where the mask is 1; crop cuts both ends of
    the longer side; resize changes the aspect ratio. ``images`` yields ``count`` images; besides the batch,
    only one of them is in memory.
    """
    if size_mode == SEPARATE:
        separate, masks = zip(*images, strict=True)
        return list(separate), list(masks)
    rule, batch = _RULES[size_mode], None
    for index, frames in enumerate(images):
        height, width = frames[1].shape[1:] if batch is None else batch[1].shape[1:]
        if batch is None:
            batch = torch.empty((count, height, width, 3)), torch.empty((count, height, width))
        fits = frames[1].shape[1:] == (height, width)
        for whole, part in zip(batch, frames if fits else rule(frames, height, width), strict=True):
            whole[index] = part[0]
    return ([], []) if batch is None else ([batch[0]], [batch[1]])
