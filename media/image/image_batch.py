"""The frames of an image file as one IMAGE and one MASK tensor, allocated once and filled in place.

Frames come as bands of rows: eight-bit ones are first gathered at the end of the frame's own memory and
become floats from its beginning on, when whatever they were decoded from is gone. So a picture of any size
needs no more memory than its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
# The first row, colours [rows, width, 3] and alpha [rows, width] or None: uint8 or, in 0..1, float32
Band = tuple[int, Array, "Array | None"]
Turn = Callable[[Array], Array]  # an upright picture, seen as it lies in the file

ALPHA = "alpha"
CHANNELS = (ALPHA, "red", "green", "blue")
BAND_PIXELS = 1 << 18  # are converted at once, to stay in the cache

# By EXIF's orientation (tag 0x0112): a view of an upright picture, its rows and columns those of the file
TURNS: dict[int, Turn] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
SIDEWAYS = 5  # from this orientation on, width is height


def frame_bytes(pixels: int, channel: str | None) -> int:
    """The memory of a frame with so many pixels: of IMAGE and MASK, or of one channel."""
    return pixels * np.dtype(np.float32).itemsize * (len(CHANNELS) if channel is None else 1)


class Batch:
    """Room for ``count`` frames: IMAGE [B, H, W, 3] and MASK [B, H, W], or ``channel`` alone as a mask."""

    def __init__(self, count: int, height: int, width: int, channel: str | None = None) -> None:
        self.height, self.width, self.room, self.filled = height, width, count, 0
        self._channel = channel
        self._mask = np.empty((count, height, width), np.float32)
        self._image = None if channel else np.empty((count, height, width, 3), np.float32)

    def grow(self, count: int) -> None:
        """Make room for ``count`` frames in all, in place where the system can."""
        for array in (self._mask, self._image):
            if array is not None:
                array.resize((count, *array.shape[1:]), refcheck=False)
        self.room = count

    def add(
        self, bands: Iterable[Band], turn: Turn = TURNS[1], release: Callable[[], None] = lambda: None
    ) -> None:
        """Fill the next frame. ``release`` lets go of what the bands were made of, once all of them came."""
        places: dict[int, Array] = {}
        parts = self._parts(self.filled)
        for top, colours, alpha in bands:
            for number, part in enumerate(parts):
                values = part.pick(colours, alpha)
                if values is not None:
                    if number not in places:
                        places[number] = _tail(part.target) if values.dtype == np.uint8 else part.target
                    turn(places[number])[top : top + len(values)] = values
        release()
        for number, part in enumerate(parts):
            if number in places:
                _spread(places[number], part.target, inverted=part.inverted)
            else:
                part.target[...] = 0
        self.filled += 1

    def _parts(self, index: int) -> list[_Part]:
        """What the next frame consists of."""
        mask = self._mask[index]
        if self._channel not in (None, ALPHA):
            number = CHANNELS.index(self._channel) - 1
            return [_Part(mask, lambda colours, alpha: colours[..., number], inverted=False)]
        parts = [_Part(mask, lambda colours, alpha: alpha, inverted=True)]
        if self._image is not None:
            parts.append(_Part(self._image[index], lambda colours, alpha: colours, inverted=False))
        return parts

    def masks(self) -> torch.Tensor:
        """MASK, or the one channel, of the frames that came."""
        self.grow(self.filled)
        return torch.from_numpy(self._mask)

    def images(self) -> tuple[torch.Tensor, torch.Tensor]:
        """IMAGE and MASK of the frames that came."""
        masks = self.masks()
        if self._image is None:
            raise TypeError("the batch has one channel")
        return torch.from_numpy(self._image), masks


@dataclass(frozen=True)
class _Part:
    """Where a part of a frame goes, and what it is made of."""

    target: Floats
    pick: Callable[[Array, Array | None], Array | None]
    inverted: bool  # as a mask is, of alpha


def _tail(target: Floats) -> Array:
    """An array of bytes of the same shape in the last quarter of the memory of ``target``."""
    tail: Array = target.reshape(-1).view(np.uint8)[-target.size :].reshape(target.shape)
    return tail


def _spread(source: Array, target: Floats, *, inverted: bool) -> None:
    """Make fractions of ``source``, which may lie at the end of ``target``: from the first row on, what is
    written stays behind what is still to be read.
    """
    if source is target and not inverted:
        return
    for rows in _slices(*target.shape[:2]):
        floats = source[rows].astype(np.float32)
        if source.dtype == np.uint8:
            floats /= 255
        target[rows] = np.float32(1) - floats if inverted else floats


def _slices(height: int, width: int) -> Iterator[slice]:
    step = max(1, BAND_PIXELS // max(1, width))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def bands(colours: Array, alpha: Array | None) -> Iterator[Band]:
    """A whole picture in bands."""
    for rows in _slices(*colours.shape[:2]):
        yield rows.start, colours[rows], None if alpha is None else alpha[rows]


def band_rows(height: int, width: int) -> Iterator[tuple[int, int]]:
    """First row and the one after the last, of each band of a picture."""
    return ((rows.start, rows.stop) for rows in _slices(height, width))
