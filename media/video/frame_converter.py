"""Converts decoded frames with FFmpeg's filters, for an encoder or to arrays of upright pixels.

The scale filter gets the matrix and the range of each frame. For an encoder, YUV frames keep their matrix, so
that their colours do not change; RGB becomes BT.709. Without the filter, PyAV's ``to_ndarray`` assumes BT.601
for every video up to PyAV 16, and damages 10 and 12 bit 4:2:0 in all versions. A frame without a matrix is
treated as BT.601 with limited range, whatever its size. That is swscale's default (SWS_CS_DEFAULT): the
pixels are those of the ffmpeg program and of ComfyUI's own nodes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

FrameArray = npt.NDArray[Any]  # [height, width, channels], uint8, or uint16 for a video with more bits

# Matrix, primaries and transfer of HD video (ITU-T H.273); browsers assume them if nothing is stated.
BT709 = 1
EIGHT_BITS = 8
_UPRIGHT = (1, 0, 0, 1)
# The filters that rotate or mirror a stored frame for display, by the signs of its display matrix, as
# ffmpeg's autorotate does (fftools/ffmpeg_filter.c).
_ROTATIONS: Mapping[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        (-1, 0, 0, 1): (("hflip", ""),),
        (1, 0, 0, -1): (("vflip", ""),),
        (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
        (0, 1, -1, 0): (("transpose", "clock"),),
        (0, -1, 1, 0): (("transpose", "cclock"),),
        (0, 1, 1, 0): (("transpose", "cclock_flip"),),
        (0, -1, -1, 0): (("transpose", "clock_flip"),),
    }
)
# The scale filter's names by the numbers of ITU-T H.273 (AVColorSpace in libavutil/pixfmt.h).
MATRICES: Mapping[int, str] = MappingProxyType(
    {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
)
_RANGES: Mapping[int, str] = MappingProxyType({1: "limited", 2: "full"})


# ------------------------------------------------------------------------------- properties of a frame


def rotation(frame: Any) -> tuple[int, int, int, int]:  # noqa: ANN401  a frame of PyAV
    """Return how a frame is rotated and mirrored for display, in steps of 90 degrees.

    The numbers are where one step to the right in the stored frame leads in x and y, then one step down.
    Angles in between are ignored.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _UPRIGHT
    a, b, _, c, d = struct.unpack("=9i", bytes(data)[:36])[:5]
    found = (0, _sign(b), _sign(c), 0) if abs(b) > abs(a) else (_sign(a), 0, 0, _sign(d))
    return found if found in _ROTATIONS else _UPRIGHT


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def is_rotated_sideways(frame: Any) -> bool:  # noqa: ANN401
    return rotation(frame)[0] == 0


def is_rgb(frame: Any) -> bool:  # noqa: ANN401
    return bool(frame.format.is_rgb) or frame.format.name == "pal8"


def is_deep(frame: Any) -> bool:  # noqa: ANN401
    """Return whether a frame has more than 8 bits per component."""
    return any(part.bits > EIGHT_BITS for part in frame.format.components)


def has_alpha_channel(frame: Any) -> bool:  # noqa: ANN401
    return any(part.is_alpha for part in frame.format.components)


def may_have_alpha(frame: Any) -> bool:  # noqa: ANN401
    """Return whether a frame has an alpha channel, or a palette, whose colours may be transparent."""
    return frame.format.name == "pal8" or has_alpha_channel(frame)


def color_range(frame: Any) -> str:  # noqa: ANN401
    """Return the scale filter's name of a frame's range."""
    return _RANGES.get(int(frame.color_range), "auto")


# ---------------------------------------------------------------------------------------- converting


class FilterChain:
    """Applies FFmpeg's filters to frame after frame. Used by one thread.

    ``steps`` returns a name and options for each filter. It is called for the first frame, and for each that
    has other properties than the one before.
    """

    def __init__(self, steps: Callable[[Any], Iterable[tuple[str, str]]]) -> None:
        self._steps = steps
        self._properties: tuple[Any, ...] = ()

    def apply(self, frame: Any) -> Any:  # noqa: ANN401
        colours = int(frame.colorspace), int(frame.color_range)
        properties = (frame.width, frame.height, frame.format.name, colours, rotation(frame))
        if properties != self._properties:
            self._configure(frame)
            self._properties = properties
        self._input.push(frame)
        return self._output.pull()

    def _configure(self, frame: Any) -> None:  # noqa: ANN401
        import av.filter

        self._graph = av.filter.Graph()
        # The time base is not used, but the filter requires one.
        shape = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
        self._input = last = self._graph.add("buffer", f"{shape}:pixel_aspect=1/1")
        for name, options in (*self._steps(frame), ("buffersink", "")):
            step = self._graph.add(name, options) if options else self._graph.add(name)
            last.link_to(step)
            last = step
        self._output = last
        self._graph.configure()


class ArrayConverter:
    """Converts the frames of one video to arrays [height, width, 3, or 4 if ``transparent``], upright.

    They are uint16 if ``deep``. Used by one thread.
    """

    def __init__(self, *, transparent: bool, deep: bool) -> None:
        forms = ("rgb48le", "rgba64le") if deep else ("rgb24", "rgba")
        self._form = forms[transparent]
        self._chain = FilterChain(self._steps)

    def convert(self, frame: Any) -> FrameArray:  # noqa: ANN401
        is_ready = frame.format.name == self._form and rotation(frame) == _UPRIGHT
        pixels: FrameArray = (frame if is_ready else self._chain.apply(frame)).to_ndarray()
        return pixels

    def _steps(self, frame: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        matrix = MATRICES.get(int(frame.colorspace), "auto")
        scale = f"in_color_matrix={matrix}:in_range={color_range(frame)}:out_range=full"
        upright = _ROTATIONS.get(rotation(frame), ())
        return [("scale", scale), ("format", f"pix_fmts={self._form}"), *upright]


class FrameConverter:
    """Converts the frames of a video for an encoder: upright, of one size, in the pixel format ``form``.

    Pixels are stretched by ``aspect`` to square ones. If ``even``, an odd width or height grows by a copy of
    the last column or row. All frames get the size of the first. Used by one thread.
    """

    def __init__(self, form: str, aspect: Fraction = Fraction(1), *, even: bool = True) -> None:
        self._form, self._aspect, self._even = form, aspect, even
        self._chain = FilterChain(self._steps)
        self.width = self.height = 0

    def measure(self, frame: Any) -> tuple[int, int]:  # noqa: ANN401
        """Return the size that all frames get: that of ``frame``, the first one."""
        if not self.width:
            self.width, self.height = self._size(frame)
        return self.width, self.height

    def _size(self, frame: Any) -> tuple[int, int]:  # noqa: ANN401
        width, height = _square_size(frame, self._aspect)
        return (width + width % 2, height + height % 2) if self._even else (width, height)

    def convert(self, frame: Any) -> Any:  # noqa: ANN401
        """Return the converted frame, without its type, from which an encoder would choose its key frames."""
        converted = self._chain.apply(frame)
        converted.pict_type = 0
        return converted

    def _steps(self, frame: Any) -> list[tuple[str, str]]:  # noqa: ANN401
        steps = list(_ROTATIONS.get(rotation(frame), ()))
        width, height = _square_size(frame, self._aspect)
        even = self.measure(frame)
        if self._size(frame) != even:
            width, height = even
        steps.append(("scale", f"w={width}:h={height}:{self._colours(frame)}"))
        if even != (width, height):
            right, bottom = even[0] - width, even[1] - height
            # In 4:2:0, pad would drop the last column of an odd width.
            steps += [
                ("format", self._form.replace("420", "444")),
                ("pad", f"w={even[0]}:h={even[1]}"),
                ("fillborders", f"right={right}:bottom={bottom}:mode=smear"),
                ("scale", ""),
            ]
        return [*steps, ("format", self._form)]

    def _colours(self, frame: Any) -> str:  # noqa: ANN401
        span, target = color_range(frame), "full" if self._form.startswith("rgb") else "limited"
        if is_rgb(frame):
            return f"out_color_matrix=bt709:out_range={target}"
        matrix = MATRICES.get(int(frame.colorspace), "")
        if not matrix:
            return f"in_range={span}:out_range={target}"
        out = "" if self._form.startswith("rgb") else f":out_color_matrix={matrix}"
        return f"in_color_matrix={matrix}{out}:in_range={span}:out_range={target}"


def _square_size(frame: Any, aspect: Fraction) -> tuple[int, int]:  # noqa: ANN401
    """Return the size of a frame that is upright and has square pixels; no side gets shorter."""
    width, height = frame.width, frame.height
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    return (height, width) if is_rotated_sideways(frame) else (width, height)


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
