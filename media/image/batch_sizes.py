"""Combines images of different sizes into a batch: pads, crops or resizes each to the size of the first.

An image that already has this size is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.nn import functional

from .image_batch import Frames

# Changes planes [B, C, H, W] to a height and a width. The last one is the mask.
Rule = Callable[[torch.Tensor, int, int], torch.Tensor]


def _resized(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize with antialiasing, without which a smaller image flickers."""
    size = (height, width)
    return functional.interpolate(planes, size, mode="bicubic", antialias=True).clamp(0, 1)


def _with_aspect(
    planes: torch.Tensor, height: int, width: int, choose: Callable[[float, float], float]
) -> torch.Tensor:
    """Resize by the smaller or larger of the two factors, keeping the aspect ratio."""
    old_height, old_width = planes.shape[2:]
    factor = choose(height / old_height, width / old_width)
    return _resized(planes, max(1, round(old_height * factor)), max(1, round(old_width * factor)))


def _padded(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    planes = _with_aspect(planes, height, width, min)
    rows, columns = height - planes.shape[2], width - planes.shape[3]
    borders = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    padded = functional.pad(planes, borders)
    padded[:, -1] = functional.pad(planes[:, -1], borders, value=1.0)  # fully transparent
    return padded


def _cropped(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    planes = _with_aspect(planes, height, width, max)
    top, left = (planes.shape[2] - height) // 2, (planes.shape[3] - width) // 2
    return planes[..., top : top + height, left : left + width]


SEPARATE = "one item each"
_RULES: dict[str, Rule] = {
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
    for index, (image, mask) in enumerate(images):
        height, width = mask.shape[1:] if batch is None else batch[1].shape[1:]
        if batch is None:
            batch = torch.empty((count, height, width, 3)), torch.empty((count, height, width))
        if mask.shape[1:] == (height, width):
            batch[0][index], batch[1][index] = image[0], mask[0]
        else:
            planes = rule(torch.cat((image.movedim(-1, 1), mask[:, None]), 1), height, width)[0]
            batch[0][index], batch[1][index] = planes[:-1].movedim(0, -1), planes[-1]
    return ([], []) if batch is None else ([batch[0]], [batch[1]])
