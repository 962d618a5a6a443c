"""Pictures of different sizes into one batch: all of them fitted to the first, by a rule.

A picture that has the first one's size already stays as it is, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch.nn import functional

Frames = tuple[torch.Tensor, torch.Tensor]  # IMAGE [B, H, W, 3] and MASK [B, H, W], float32 in 0..1


def _resized(picture: Frames, height: int, width: int) -> Frames:
    image, mask = picture
    return _scaled(image.movedim(-1, 1), height, width).movedim(1, -1), _scaled(mask[:, None], height, width)[
        :, 0
    ]


def _scaled(planes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """[B, C, H, W] in another size; antialiased, so that a smaller one is no flickering choice of pixels."""
    size = (height, width)
    return functional.interpolate(planes, size, mode="bicubic", antialias=True).clamp(0, 1)


def _factor(picture: Frames, height: int, width: int, choose: Callable[[float, float], float]) -> Frames:
    """The picture, its proportions kept, by the smaller or larger of the two factors."""
    old_height, old_width = picture[1].shape[1:]
    factor = choose(height / old_height, width / old_width)
    new_height, new_width = max(1, round(old_height * factor)), max(1, round(old_width * factor))
    return _resized(picture, new_height, new_width)


def _padded(picture: Frames, height: int, width: int) -> Frames:
    image, mask = _factor(picture, height, width, min)
    top, left = (height - mask.shape[1]) // 2, (width - mask.shape[2]) // 2
    bottom, right = height - mask.shape[1] - top, width - mask.shape[2] - left
    borders = (left, right, top, bottom)
    return (
        functional.pad(image.movedim(-1, 1), borders).movedim(1, -1).contiguous(),
        functional.pad(mask, borders, value=1.0),  # there is no picture: as transparent as can be
    )


def _cropped(picture: Frames, height: int, width: int) -> Frames:
    image, mask = _factor(picture, height, width, max)
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


def gathered(
    pictures: Iterable[Frames], count: int, size_mode: str
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Images and masks as list outputs: with SEPARATE one item per picture, else one batch of all of them.

    ``size_mode`` is one of SIZE_MODES: pad keeps all of a picture and puts black beside it, which the mask
    marks with 1; crop fills the size and cuts what sticks out evenly; resize changes the proportions. There
    are ``count`` pictures, and only one at a time is held beside the batch.
    """
    if size_mode == SEPARATE:
        images, masks = zip(*pictures, strict=True)
        return list(images), list(masks)
    rule, batch = _RULES[size_mode], None
    for index, picture in enumerate(pictures):
        height, width = picture[1].shape[1:] if batch is None else batch[1].shape[1:]
        if batch is None:
            batch = torch.empty((count, height, width, 3)), torch.empty((count, height, width))
        fits = picture[1].shape[1:] == (height, width)
        for whole, part in zip(batch, picture if fits else rule(picture, height, width), strict=True):
            whole[index] = part[0]
    return ([], []) if batch is None else ([batch[0]], [batch[1]])
