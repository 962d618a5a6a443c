"""Floats of an IMAGE to the bytes that files hold, the way ComfyUI does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # [height, width, channels]

BAND_ROWS = 64  # floats become bytes this many rows at a time, without a second copy of all floats


def is_batch(value: Any) -> bool:  # noqa: ANN401  whatever came by a wire
    """Whether ``value`` is an IMAGE: a tensor [batch, height, width, channels] whose numbers are there."""
    return (
        hasattr(value, "is_floating_point")
        and value.ndim == 4  # noqa: PLR2004
        and 0 not in value.shape
        and not (value.is_meta or value.is_sparse)
    )


def eight_bits(frame: npt.NDArray[Any]) -> Pixels:
    """Times 255, clamped, the fraction dropped, as in ComfyUI's Save Image; NaN becomes 0."""
    pixels = np.empty(frame.shape, np.uint8)
    for start in range(0, len(frame), BAND_ROWS):
        band = slice(start, start + BAND_ROWS)
        # fmax and fmin rather than clip: of a NaN and a number they take the number.
        pixels[band] = np.fmin(np.fmax(255.0 * frame[band], 0), 255)
    return pixels
