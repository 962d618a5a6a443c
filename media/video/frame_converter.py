"""Makes the frames of a film alike for an encoder: upright, of one size, in one pixel format.

FFmpeg's own filters do it, told the matrix and range that each frame has. Frames of luma and colour
difference keep their matrix, so that their colours stay what they are whatever that is; RGB becomes BT.709.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

# Matrix, primaries and transfer of HD video (ITU-T H.273); what browsers take where nothing is said.
BT709 = 1
_LIMITED, _FULL = 1, 2
_UPRIGHT = (1, 0, 0, 1)
# What turns a stored picture into the one to be shown, by the signs of its display matrix, as ffmpeg's
# autorotate does (fftools/ffmpeg_filter.c).
_TURNS: Mapping[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = MappingProxyType(
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


def turn(frame: Any) -> tuple[int, int, int, int]:  # noqa: ANN401  a frame of PyAV
    """How a frame is to be shown, by quarters and mirrored: where a step to the right in the stored picture
    leads in x and y, and a step down. Angles between are left alone.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return _UPRIGHT
    a, b, _, c, d = struct.unpack("=9i", bytes(data)[:36])[:5]
    found = (0, _sign(b), _sign(c), 0) if abs(b) > abs(a) else (_sign(a), 0, 0, _sign(d))
    return found if found in _TURNS else _UPRIGHT


def lies_on_its_side(frame: Any) -> bool:  # noqa: ANN401
    return turn(frame)[0] == 0


def is_rgb(frame: Any) -> bool:  # noqa: ANN401
    return bool(frame.format.is_rgb) or frame.format.name == "pal8"


def bits(frame: Any) -> int:  # noqa: ANN401
    """Of the deepest component."""
    return max((part.bits for part in frame.format.components), default=8)


def has_alpha(frame: Any) -> bool:  # noqa: ANN401
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


class Converter:
    """Converts frames to the pixel format ``form``, their pixels stretched by ``aspect`` to square ones.

    With ``even``, sides of odd length get one row or column more, a copy of the last. All frames get the size
    of the first, ``width`` and ``height``. Used by one thread.
    """

    def __init__(self, form: str, aspect: Fraction = Fraction(1), *, even: bool = True) -> None:
        self._form, self._aspect, self._even = form, aspect, even
        self._kind: tuple[Any, ...] = ()
        self.width = self.height = 0

    def measure(self, frame: Any) -> tuple[int, int]:  # noqa: ANN401
        """The size that all frames get: that of ``frame``, the first one."""
        if not self.width:
            self.width, self.height = self._size(frame)
        return self.width, self.height

    def _size(self, frame: Any) -> tuple[int, int]:  # noqa: ANN401
        width, height = _stretched(frame, self._aspect)
        return (width + width % 2, height + height % 2) if self._even else (width, height)

    def convert(self, frame: Any) -> Any:  # noqa: ANN401
        """A frame without times, which no encoder takes for a key frame or none by what it was before."""
        span = int(frame.color_range)
        kind = (frame.width, frame.height, frame.format.name, int(frame.colorspace), span, turn(frame))
        if kind != self._kind:
            self._begin(frame)
            self._kind = kind
        self._entrance.push(frame)
        made: Any = self._exit.pull()
        made.pict_type = 0
        return made

    def _begin(self, frame: Any) -> None:  # noqa: ANN401
        import av.filter

        steps = list(_TURNS.get(turn(frame), ()))
        width, height = _stretched(frame, self._aspect)
        even = self.measure(frame)
        if self._size(frame) != even:
            width, height = even
        steps.append(("scale", f"w={width}:h={height}:{self._colours(frame)}"))
        if even != (width, height):
            right, bottom = even[0] - width, even[1] - height
            steps += [
                (
                    "format",
                    self._form.replace("420", "444"),
                ),  # else pad drops the last column of an odd number
                ("pad", f"w={even[0]}:h={even[1]}"),
                ("fillborders", f"right={right}:bottom={bottom}:mode=smear"),
                ("scale", ""),
            ]
        steps.append(("format", self._form))
        graph = av.filter.Graph()
        # The time means nothing here, but the filter wants a unit for it.
        shape = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
        self._entrance = last = graph.add("buffer", f"{shape}:pixel_aspect=1/1")
        for name, options in (*steps, ("buffersink", "")):
            step = graph.add(name, options) if options else graph.add(name)
            last.link_to(step)
            last = step
        self._exit = last
        graph.configure()
        self._graph = graph

    def _colours(self, frame: Any) -> str:  # noqa: ANN401
        span = {_LIMITED: "limited", _FULL: "full"}.get(int(frame.color_range), "auto")
        target = "full" if self._form.startswith("rgb") else "limited"
        if is_rgb(frame):
            return f"out_color_matrix=bt709:out_range={target}"
        matrix = MATRICES.get(int(frame.colorspace), "")
        if not matrix:
            return f"in_range={span}:out_range={target}"
        out = "" if self._form.startswith("rgb") else f":out_color_matrix={matrix}"
        return f"in_color_matrix={matrix}{out}:in_range={span}:out_range={target}"


def _stretched(frame: Any, aspect: Fraction) -> tuple[int, int]:  # noqa: ANN401
    """The size of a frame when it is upright and its pixels are square; no side gets shorter."""
    width, height = frame.width, frame.height
    if aspect > 1:
        width = round(width * aspect)
    elif aspect < 1:
        height = round(height / aspect)
    return (height, width) if lies_on_its_side(frame) else (width, height)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)
