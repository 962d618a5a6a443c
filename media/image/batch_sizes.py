"""Combines images of different sizes into a batch: pads, crops or resizes each to the size of the first.

An image that already has this size is not changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

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


class Gathering:
    """Images that become one batch in the size of the first, or, with SEPARATE, one item each.

    ``size_mode`` is one of SIZE_MODES. Pad adds black borders, where the mask is 1; crop cuts both ends of
    the longer side; resize changes the aspect ratio. As soon as their number and the first one are known, the
    thread that adds an image copies it into the batch: so hardly any is in memory twice, and threads that
    decode share that work too. Any thread may call ``add`` and ``expect``.
    """

    def __init__(self, size_mode: str) -> None:
        self._rule = _RULES.get(size_mode)
        self._count: int | None = None
        self._batch: tuple[torch.Tensor, torch.Tensor] | None = None
        self._waiting: dict[int, Frames] = {}
        self._placed: set[int] = set()
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        """Say how many images there are, those included that will not be added."""
        self._count = count
        self._place_waiting()

    def add(self, index: int, image: Frames) -> None:
        """Add the image with this number, counted from 0."""
        with self._lock:
            self._waiting[index] = image
        del image
        self._place_waiting()

    def result(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return images and masks as list outputs, in the order of their numbers, without those not added.

        To be called when no thread adds any more.
        """
        if self._batch is None:  # the first one is missing, or none is to change its size
            in_order = [self._waiting.pop(index) for index in sorted(self._waiting)]
            if self._rule is None:
                return [image for image, _ in in_order], [mask for _, mask in in_order]
            self._waiting = dict(enumerate(in_order))
            in_order.clear()
            self.expect(len(self._waiting))
        if self._batch is None:
            return [], []
        images, masks = self._batch
        for to, index in enumerate(sorted(self._placed)):
            if to != index:
                images[to], masks[to] = images[index], masks[index]
        count = len(self._placed)
        return [images[:count]], [masks[:count]]

    def _place_waiting(self) -> None:
        with self._lock:
            rule = self._rule
            if rule is None:
                return
            if self._batch is None:
                if self._count is None or 0 not in self._waiting:
                    return
                height, width = self._waiting[0][1].shape[1:]
                shape = self._count, height, width
                self._batch = torch.empty((*shape, 3)), torch.empty(shape)
            images, masks = self._batch
            placing, self._waiting = self._waiting, {}
            self._placed.update(placing)
        height, width = masks.shape[1:]
        for index in list(placing):
            image, mask = placing.pop(index)
            if mask.shape[1:] == (height, width):
                images[index], masks[index] = image[0], mask[0]
            else:
                planes = rule(torch.cat((image.movedim(-1, 1), mask[:, None]), 1), height, width)[0]
                images[index], masks[index] = planes[:-1].movedim(0, -1), planes[-1]
