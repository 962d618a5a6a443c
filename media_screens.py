"""Encodes pictures one by one into a stream of an open file: with a codec of ``media_video``, or as GIF."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from .errors import MediaError, sentence
from .media_video import CRF_OF_CODEC, Codec, Plan
from .pixels import Pixels

BT709 = (
    1  # matrix, primaries and transfer of HD video (ITU-T H.273); what browsers take where nothing is said
)
LIMITED_RANGE = 1
GIF_TICKS = 100  # a second
GIF_MIN_TICKS = 2  # that a frame is shown; browsers show one of fewer ten times as long
_ALPHA = 3  # its index among the channels
_OPAQUE = 255


class Screen(Protocol):
    """Takes pictures, each [height, width, 3 or 4] bytes and shown at an instant; ``finish`` ends them.

    ``notes`` says in plain sentences what of them is lost.
    """

    notes: list[str]

    def add(self, pixels: Pixels, seconds: Fraction) -> None: ...
    def finish(self) -> None: ...


def screen(plan: Plan, output: Any, rate: Fraction, time_base: Fraction) -> Screen:  # noqa: ANN401  PyAV's
    """A new stream of ``output`` for pictures at about ``rate``, their instants multiples of ``time_base``.

    Raises MediaError where PyAV lacks the encoder.
    """
    if plan.codec is None:
        return _GifScreen(output, rate)
    return _CodecScreen(output, plan.codec, plan.crf, rate, time_base)


class _CodecScreen:
    """A stream of one of CODECS, 4:2:0 and marked as BT.709, its sides made even."""

    def __init__(self, output: Any, codec: Codec, crf: int, rate: Fraction, time_base: Fraction) -> None:  # noqa: ANN401
        self.notes: list[str] = []
        self._output, self._codec, self._rate, self._time_base = output, codec, rate, time_base
        encoder, options = _encoder(codec)
        quality = str(codec.crf if crf == CRF_OF_CODEC else crf)
        self._stream = output.add_stream(encoder, rate=rate, options={**options, "crf": quality})
        self._context = self._stream.codec_context
        self._context.bit_rate = 0  # else it would be a limit, or even the aim
        self._context.time_base = time_base
        output.name_codec(self._stream)
        self._context.colorspace = self._context.color_primaries = self._context.color_trc = BT709
        self._context.color_range = LIMITED_RANGE
        self._form = ""

    def add(self, pixels: Pixels, seconds: Fraction) -> None:
        import av

        if not self._form:
            self._begin(pixels)
        if pixels.shape[2] > _ALPHA and self._form != "yuva420p":
            if not self.notes and pixels[..., _ALPHA].min() < _OPAQUE:
                self.notes.append(f"{self._codec.name} has no transparency here: it was left out.")
            pixels = pixels[..., :_ALPHA]
        pixels = _even(pixels)
        form = "rgba" if pixels.shape[2] > _ALPHA else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
        frame = frame.reformat(
            self._context.width, self._context.height, self._form, dst_colorspace=BT709, dst_color_range=1
        )
        frame.pts, frame.time_base = round(seconds / self._time_base), self._time_base
        self._output.encode(self._stream, frame)

    def _begin(self, pixels: Pixels) -> None:
        height, width = _even(pixels).shape[:2]
        self._stream.width, self._stream.height = width, height
        self._form = "yuva420p" if pixels.shape[2] > _ALPHA and self._codec.keeps_alpha else "yuv420p"
        self._stream.pix_fmt = self._form

    def finish(self) -> None:
        self._output.encode(self._stream, None)


def _encoder(codec: Codec) -> tuple[str, Mapping[str, str]]:
    import av

    found = next((name for name in codec.encoders if name in av.codecs_available), None)
    if found is None:
        said = f"this PyAV has no encoder for it ({', '.join(codec.encoders)})"
        raise MediaError(sentence("encode the video", codec.name, said, "Choose another codec."))
    return found, codec.encoders[found]


def _even(pixels: Pixels) -> Pixels:
    """With sides of even length, which 4:2:0 needs: a last column or row is repeated."""
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return pixels


class _GifScreen:
    """GIF with a palette of its own for every frame; transparency is all or nothing."""

    def __init__(self, output: Any, rate: Fraction) -> None:  # noqa: ANN401
        self.notes: list[str] = []
        self._output = output
        self._stream = output.add_stream("gif", rate=min(rate, Fraction(GIF_TICKS, GIF_MIN_TICKS)))
        self._stream.codec_context.time_base = Fraction(1, GIF_TICKS)
        self._graph: Any = None
        self._last = -GIF_MIN_TICKS

    def add(self, pixels: Pixels, seconds: Fraction) -> None:
        import av

        ticks = round(seconds * GIF_TICKS)
        if ticks - self._last < GIF_MIN_TICKS:
            if not self.notes:
                self.notes.append(f"A gif shows at most {GIF_TICKS // GIF_MIN_TICKS} frames a second.")
            return
        self._last = ticks
        form = "rgba" if pixels.shape[2] > _ALPHA else "rgb24"
        if self._graph is None:
            self._begin(pixels, form)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
        frame.pts, frame.time_base = ticks, Fraction(1, GIF_TICKS)
        self._entrance.push(frame)
        self._drain()

    def finish(self) -> None:
        if self._graph is not None:
            self._entrance.push(None)
            self._drain()
        self._output.encode(self._stream, None)

    def _begin(self, pixels: Pixels, form: str) -> None:
        import av.filter

        height, width = pixels.shape[:2]
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "pal8"
        graph = av.filter.Graph()
        shape = f"video_size={width}x{height}:pix_fmt={form}:time_base=1/{GIF_TICKS}:pixel_aspect=1/1"
        self._entrance, split = graph.add("buffer", shape), graph.add("split")
        palette = graph.add("palettegen", "stats_mode=single")
        painter, self._exit = graph.add("paletteuse", "new=1"), graph.add("buffersink")
        self._entrance.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(painter, 1, 0)
        palette.link_to(painter, 0, 1)
        painter.link_to(self._exit)
        graph.configure()
        self._graph = graph

    def _drain(self) -> None:
        import av

        with contextlib.suppress(av.BlockingIOError, av.EOFError):  # no more for now, or at all
            while True:
                self._output.encode(self._stream, self._exit.pull())
