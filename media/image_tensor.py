"""Checks IMAGE tensors and converts their floats to bytes, as ComfyUI does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

BAND_ROWS = 64  # converted at once, so that no second copy of all floats is made


def is_image_tensor(value: Any) -> bool:  # noqa: ANN401  whatever is wired to a node
    """Return whether ``value`` is an IMAGE: a dense tensor [batch, height, width, channels], not empty."""
    return (
        hasattr(value, "is_floating_point")
        and value.ndim == 4  # noqa: PLR2004
        and 0 not in value.shape
        and not (value.is_meta or value.is_sparse)
    )


def to_uint8(frame: npt.NDArray[Any]) -> Bytes:
    """Return ``frame`` as uint8: times 255, clamped, the fraction dropped, as in ComfyUI's Save Image.

    NaN becomes 0.
    """
    pixels = np.empty(frame.shape, np.uint8)
    for start in range(0, len(frame), BAND_ROWS):
        band = slice(start, start + BAND_ROWS)
        # fmax and fmin rather than clip: of NaN and a number they return the number.
        pixels[band] = np.fmin(np.fmax(255.0 * frame[band], 0), 255)
    return pixels
