"""Converts decoded frames to arrays of pixels, with the right colours and rotation.

FFmpeg's scale filter converts, with the matrix and range of each frame. PyAV's ``to_ndarray`` assumes BT.601
for every video up to PyAV 16, and damages 10 and 12 bit 4:2:0 in all versions. A frame without a matrix is
treated as BT.601 with limited range, whatever its size. That is swscale's default (SWS_CS_DEFAULT): the
pixels are those of the ffmpeg program and of ComfyUI's own nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .frame_converter import MATRICES, FilterChain, color_range, rotation

if TYPE_CHECKING:
    from av import VideoFrame

FrameArray = npt.NDArray[Any]  # [height, width, channels], uint8, or uint16 for a video with more bits


class ArrayConverter:
    """Converts the frames of one video. Used by one thread; keeps FFmpeg's filters from frame to frame."""

    def __init__(self) -> None:
        self._kind: tuple[Any, ...] = ()

    def convert(self, frame: VideoFrame, transparent: bool, deep: bool = False) -> FrameArray:
        """Return [height, width, 3 or 4] of ``frame``, upright; uint16 if ``deep``."""
        form = ("rgba64le" if transparent else "rgb48le") if deep else ("rgba" if transparent else "rgb24")
        converted = frame if frame.format.name == form else self._filtered(frame, form)
        pixels: FrameArray = converted.to_ndarray()
        return _upright(pixels, frame)

    def _filtered(self, frame: VideoFrame, form: str) -> Any:  # noqa: ANN401  a VideoFrame
        matrix = MATRICES.get(int(frame.colorspace), "auto")
        span = color_range(frame)
        kind = (frame.width, frame.height, frame.format.name, matrix, span, form)
        if kind != self._kind:
            scale = f"in_color_matrix={matrix}:in_range={span}:out_range=full"
            self._chain = FilterChain(frame, (("scale", scale), ("format", f"pix_fmts={form}")))
            self._kind = kind
        return self._chain.apply(frame)


def _upright(pixels: FrameArray, frame: VideoFrame) -> FrameArray:
    """Rotate and mirror the pixels as the file states."""
    right_x, right_y, down_x, down_y = rotation(frame)
    if right_y:
        pixels = np.swapaxes(pixels, 0, 1)
        mirrored, upside_down = down_x < 0, right_y < 0
    else:
        mirrored, upside_down = right_x < 0, down_y < 0
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def crop_and_scale(pixels: FrameArray, width: int, height: int) -> FrameArray:
    """Crop two sides to the aspect ratio of width and height, and scale with Lanczos.

    As ComfyUI does (common_upscale in comfy/utils.py, "lanczos" and "center").
    """
    old_height, old_width = pixels.shape[:2]
    if (old_width, old_height) == (width, height):
        return pixels
    old, new = old_width / old_height, width / height
    left = round((old_width - old_width * (new / old)) / 2) if old > new else 0
    top = round((old_height - old_height * (old / new)) / 2) if old < new else 0
    cut = np.ascontiguousarray(pixels[top : old_height - top, left : old_width - left])
    if cut.dtype == np.uint8:
        return _scaled(cut, width, height)
    layers = [_scaled(layer.astype(np.float32), width, height) for layer in np.moveaxis(cut, -1, 0)]
    deep: FrameArray = np.stack(layers, axis=-1).round().clip(0, np.iinfo(cut.dtype).max).astype(cut.dtype)
    return deep


def _scaled(pixels: FrameArray, width: int, height: int) -> FrameArray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
