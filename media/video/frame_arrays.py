"""Decoded frames as arrays of pixels: in the right colours, turned as the file says.

FFmpeg's own scale filter converts, told the matrix and range that each frame is tagged with. PyAV's
``to_ndarray`` takes BT.601 for every film up to PyAV 16, and spoils 10 and 12 bits of 4:2:0 in all versions.
A frame without a tag is taken for BT.601 of limited range, whatever its size: that is what swscale does by
itself (SWS_CS_DEFAULT), so that the pixels are those that the ffmpeg program and ComfyUI's own nodes give.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .frame_converter import MATRICES, turn

if TYPE_CHECKING:
    from av import VideoFrame


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """``pixels`` cut at two sides to the ratio of width to height and scaled (Lanczos), as ComfyUI does it
    (common_upscale in comfy/utils.py, "lanczos" and "center").
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
    deep: Pixels = np.stack(layers, axis=-1).round().clip(0, np.iinfo(cut.dtype).max).astype(cut.dtype)
    return deep


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


Pixels = npt.NDArray[Any]  # [height, width, channels] of uint8, or of uint16 where the file has more bits
_RANGES: Mapping[int, str] = MappingProxyType({1: "limited", 2: "full"})
_EIGHT_BITS = 8


class Painter:
    """Converts the frames of one film, used by one thread; keeps FFmpeg's converter from frame to frame."""

    def __init__(self) -> None:
        self._shape: tuple[Any, ...] = ()
        self._graph: Any = None

    def pixels(self, frame: VideoFrame, transparent: bool, deep: bool = False) -> Pixels:
        """[height, width, 3 or 4] of ``frame``, upright; of uint16 where ``deep``."""
        form = ("rgba64le" if transparent else "rgb48le") if deep else ("rgba" if transparent else "rgb24")
        converted = frame if frame.format.name == form else self._converted(frame, form)
        pixels: Pixels = converted.to_ndarray()
        return upright(pixels, frame)

    def _converted(self, frame: VideoFrame, form: str) -> Any:  # noqa: ANN401  a VideoFrame
        matrix = MATRICES.get(int(frame.colorspace), "auto")
        span = _RANGES.get(int(frame.color_range), "auto")
        shape = (frame.width, frame.height, frame.format.name, matrix, span, form)
        if shape != self._shape:
            self._shape = shape
            self._begin(*shape)
        self._entrance.push(frame)
        converted: Any = self._exit.pull()
        return converted

    def _begin(self, width: int, height: int, source: str, matrix: str, span: str, form: str) -> None:
        import av.filter

        graph = av.filter.Graph()
        # The time means nothing here, but the filter wants a unit for it.
        shape = f"video_size={width}x{height}:pix_fmt={source}:time_base=1/1000:pixel_aspect=1/1"
        self._entrance, self._exit = graph.add("buffer", shape), graph.add("buffersink")
        scale = graph.add("scale", f"in_color_matrix={matrix}:in_range={span}:out_range=full")
        target = graph.add("format", f"pix_fmts={form}")
        self._entrance.link_to(scale)
        scale.link_to(target)
        target.link_to(self._exit)
        graph.configure()
        self._graph = graph


def is_transparent(frame: VideoFrame) -> bool:
    return any(part.is_alpha for part in frame.format.components)


def is_deep(frame: VideoFrame) -> bool:
    return any(part.bits > _EIGHT_BITS for part in frame.format.components)


def upright(pixels: Pixels, frame: VideoFrame) -> Pixels:
    """Turned and mirrored as the file says that it is to be shown."""
    right_x, right_y, down_x, down_y = turn(frame)
    if right_y:
        pixels = np.swapaxes(pixels, 0, 1)
        mirrored, upside_down = down_x < 0, right_y < 0
    else:
        mirrored, upside_down = right_x < 0, down_y < 0
    return pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
