"""Fills one IMAGE and one MASK tensor with the frames of an image file. They are allocated once.

Frames arrive as bands of rows. Bytes are first collected at the end of the frame's own memory; once the
decoder's memory is released they are converted to floats, from the first row on. So an image of any size
needs no more memory than its tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..memory_budget import Reservation

Frames = tuple[torch.Tensor, torch.Tensor]  # IMAGE [B, H, W, 3] and MASK [B, H, W], float32 in 0..1
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
# Number of the first row, colours [rows, width, 3], alpha [rows, width] or None: uint8, or float32 in 0..1
Band = tuple[int, Array, "Array | None"]
# Returns a view of an upright image in the row and column order of the file.
Orient = Callable[[Array], Array]

ALPHA = "alpha"
CHANNELS = (ALPHA, "red", "green", "blue")
MAX_PIXELS = 1 << 30  # of all frames together: 16 GiB of IMAGE and MASK
SMALLER = "Make it smaller and upload it again."
BAND_PIXELS = 1 << 18  # converted at once; they fit into the processor's cache

# By EXIF's orientation (tag 0x0112)
ORIENTATIONS: dict[int, Orient] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
SIDEWAYS = 5  # from this orientation on, width and height are swapped


class Batch:
    """Memory for ``count`` frames: IMAGE [B, H, W, 3] and MASK [B, H, W], or ``channel`` alone as MASK."""

    def __init__(self, count: int, height: int, width: int, channel: str | None = None) -> None:
        self.height, self.width, self.room, self.filled = height, width, count, 0
        self._channel = channel
        self._mask = np.empty((count, height, width), np.float32)
        self._image = None if channel else np.empty((count, height, width, 3), np.float32)

    def grow(self, count: int) -> None:
        """Resize to ``count`` frames, in place if the system can."""
        for array in (self._mask, self._image):
            if array is not None:
                array.resize((count, *array.shape[1:]), refcheck=False)
        self.room = count

    def add(
        self,
        bands: Iterable[Band],
        orient: Orient = ORIENTATIONS[1],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """Fill the next frame. ``release`` frees the decoder's memory; it is called after the last band."""
        places: dict[int, Array] = {}
        parts = self._parts(self.filled)
        for top, colours, alpha in bands:
            for number, part in enumerate(parts):
                values = part.pick(colours, alpha)
                if values is not None:
                    if number not in places:
                        places[number] = _tail(part.target) if values.dtype == np.uint8 else part.target
                    orient(places[number])[top : top + len(values)] = values
        del colours, alpha, values  # views of the decoder's memory
        release()
        for number, part in enumerate(parts):
            if number in places:
                _spread(places[number], part.target, inverted=part.inverted)
            else:
                part.target[...] = 0
        self.filled += 1

    def _parts(self, index: int) -> list[_Part]:
        mask = self._mask[index]
        if self._channel not in (None, ALPHA):
            number = CHANNELS.index(self._channel) - 1
            return [_Part(mask, lambda colours, alpha: colours[..., number], inverted=False)]
        parts = [_Part(mask, lambda colours, alpha: alpha, inverted=True)]
        if self._image is not None:
            parts.append(_Part(self._image[index], lambda colours, alpha: colours, inverted=False))
        return parts

    def masks(self) -> torch.Tensor:
        """Return MASK, or the one channel, of all frames added."""
        self.grow(self.filled)
        return torch.from_numpy(self._mask)

    def images(self) -> Frames:
        """Return IMAGE and MASK of all frames added."""
        masks = self.masks()
        if self._image is None:
            raise TypeError("the batch has one channel")
        return torch.from_numpy(self._image), masks


class Room:
    """Reserves and allocates the memory for the frames of a file."""

    def __init__(self, reservation: Reservation, channel: str | None) -> None:
        self._reservation, self._channel, self._count = reservation, channel, 0

    def ask(self, count: int, pixels: int) -> None:
        """Reserve memory for frames of a size, 0 for an unknown one. Raises MediaError if it does not fit."""
        self._count = max(1, count)
        if pixels * self._count > MAX_PIXELS:
            raise self._reservation.refusal(f"its frames have more than {MAX_PIXELS:,} pixels", SMALLER)
        values = self._count * pixels * (len(CHANNELS) if self._channel is None else 1)
        what, advice = "it takes", "Free memory, or make it smaller."
        if self._count > 1:
            what = f"its {self._count} frames take"
            advice = "Free memory, make it smaller, or take fewer frames of it with Load Video from Cloud."
        self._reservation.reserve(values * np.dtype(np.float32).itemsize, what, lambda _: advice)

    def begin(self, height: int, width: int) -> Batch:
        """Allocate the batch, for frames of the first one's size."""
        self.ask(self._count, height * width)
        return Batch(self._count, height, width, self._channel)

    def more(self, batch: Batch) -> None:
        """Double the batch, for a file with more frames than its header states."""
        self.ask(batch.room * 2, batch.height * batch.width)
        batch.grow(batch.room * 2)


@dataclass(frozen=True)
class _Part:
    """A part of a frame: the memory to fill, and the function that picks its values of a band."""

    target: Floats
    pick: Callable[[Array, Array | None], Array | None]
    inverted: bool  # a mask is 1 - alpha


def _tail(target: Floats) -> Array:
    """Return the last quarter of the memory of ``target`` as uint8 of the same shape."""
    tail: Array = target.reshape(-1).view(np.uint8)[-target.size :].reshape(target.shape)
    return tail


def _spread(source: Array, target: Floats, *, inverted: bool) -> None:
    """Convert ``source`` to floats in 0..1 in ``target``, at whose end it may lie.

    From the first row on, the bytes written never reach those that are still to be read.
    """
    if source is target and not inverted:
        return
    for rows in slices(*target.shape[:2]):
        floats = source[rows].astype(np.float32)
        if source.dtype == np.uint8:
            floats /= 255
        target[rows] = np.float32(1) - floats if inverted else floats


def slices(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of each band of an image."""
    step = max(1, BAND_PIXELS // max(1, width))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def bands(colours: Array, alpha: Array | None) -> Iterator[Band]:
    """Yield an image in bands."""
    for rows in slices(*colours.shape[:2]):
        yield rows.start, colours[rows], None if alpha is None else alpha[rows]
