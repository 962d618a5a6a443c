"""Encodes pictures one by one into a stream of an open file: with a codec of ``media_video``, or as GIF."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from ...errors import MediaError, sentence
from ..formats import Codec
from ..output_file import Output
from .frame_converter import BT709, Converter, bits, has_alpha, is_rgb, lies_on_its_side
from .video_plan import CRF_OF_CODEC, HDR_TRANSFERS, Plan

LIMITED_RANGE = 1
GIF_TICKS = 100  # a second
GIF_MIN_TICKS = 2  # that a frame is shown; browsers show one of fewer ten times as long
_ALPHA = 3  # its index among the channels
_OPAQUE = 255
_EIGHT_BITS = 8
_SMALL_SIDE = 64  # pixels


@dataclass(frozen=True)
class Look:
    """How the frames of a film are meant: ``aspect`` of a pixel, width by height; the numbers of matrix,
    primaries and transfer in ITU-T H.273, of no meaning for frames of RGB.
    """

    aspect: Fraction = Fraction(1)
    colours: tuple[int, int, int] = (BT709, BT709, BT709)

    @property
    def is_hdr(self) -> bool:
        return self.colours[2] in HDR_TRANSFERS


class Screen(Protocol):
    """Takes PyAV's frames, shown at an instant, all of one film; ``finish`` ends them.

    ``notes`` says in plain sentences what of them is lost.
    """

    notes: list[str]

    def add(self, frame: Any, seconds: Fraction) -> None: ...  # noqa: ANN401
    def finish(self) -> None: ...


def screen(plan: Plan, output: Output, rate: Fraction, time_base: Fraction, look: Look) -> Screen:
    """A new stream of ``output`` for frames at about ``rate``, their instants multiples of ``time_base``.

    Raises MediaError where PyAV lacks the encoder.
    """
    if plan.codec is None:
        return _GifScreen(output, rate, look)
    return _CodecScreen(plan, plan.codec, output, rate, time_base, look)


class _CodecScreen:
    """A stream of one of CODECS, 4:2:0, its sides made even; RGB becomes BT.709, other colours stay."""

    def __init__(
        self,
        plan: Plan,
        codec: Codec,
        output: Output,
        rate: Fraction,
        time_base: Fraction,
        look: Look,
    ) -> None:
        self.notes: list[str] = []
        self._plan, self._output, self._codec, self._look = plan, output, codec, look
        self._time_base = time_base
        encoder, options = _encoder(codec, min(plan.width, plan.height))
        quality = str(codec.crf if plan.crf == CRF_OF_CODEC else plan.crf)
        self._stream = output.add_stream(encoder, rate=rate, options={**options, "crf": quality})
        self._context = self._stream.codec_context
        self._context.bit_rate = 0  # else it would be a limit, or even the aim
        self._context.time_base = time_base
        output.name_codec(self._stream)
        self._converter: Converter | None = None
        self._form = ""
        self._last = -(1 << 62)  # time of a picture, in units of the time base

    def add(self, frame: Any, seconds: Fraction) -> None:  # noqa: ANN401
        if self._converter is None:
            self._converter = self._begin(frame)
        _note_lost_alpha(frame, self._form == "yuva420p", self._codec.name, self.notes)
        made = self._converter.convert(frame)
        # Some recorders give several pictures one time, which encoders and muxers refuse.
        self._last = max(round(seconds / self._time_base), self._last + 1)
        made.pts, made.time_base = self._last, self._time_base
        self._output.encode(self._stream, made)

    def _begin(self, frame: Any) -> Converter:  # noqa: ANN401
        """Settle the size, pixel format, aspect ratio and colours of the stream by its first frame."""
        codec, look = self._codec, self._look
        rgb, deep = is_rgb(frame), bits(frame) > _EIGHT_BITS
        hdr = not rgb and look.is_hdr
        self._form = "yuv420p"
        if has_alpha(frame) and codec.keeps_alpha:
            self._form = "yuva420p"
        elif deep and not rgb and codec.deep:
            self._form = "yuv420p10le"
        if hdr and self._form != "yuv420p10le":
            self.notes.append(f"{codec.name} has 8 bits here, HDR has 10: choose h265 or av1 against bands.")
        aspect = Fraction(1)
        if look.aspect != 1:
            if codec.keeps_aspect or self._plan.container.keeps_aspect:
                turned = lies_on_its_side(frame)
                self._context.sample_aspect_ratio = 1 / look.aspect if turned else look.aspect
            else:
                aspect = look.aspect
        converter = Converter(self._form, aspect)
        width, height = converter.measure(frame)
        if aspect != 1:
            self.notes.append(_stretched(look.aspect, width, height))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = self._form
        matrix, primaries, transfer = (BT709,) * 3 if rgb else look.colours
        self._context.colorspace, self._context.color_primaries = matrix, primaries
        self._context.color_trc, self._context.color_range = transfer, LIMITED_RANGE
        return converter

    def finish(self) -> None:
        self._output.encode(self._stream, None)


def _stretched(aspect: Fraction, width: int, height: int) -> str:
    ratio = f"{aspect.numerator}:{aspect.denominator}"
    return f"Its pixels were not square ({ratio}), which cannot be kept: stretched to {width} x {height}."


def _note_lost_alpha(frame: Any, kept: bool, who: str, notes: list[str]) -> None:  # noqa: ANN401
    """Note it once where transparency is left out that some pixel has."""
    note = f"{who} has no transparency here: it was left out."
    if kept or note in notes or not has_alpha(frame):
        return
    if frame.to_ndarray(format="rgba")[..., _ALPHA].min() < _OPAQUE:
        notes.append(note)


def _encoder(codec: Codec, side: int) -> tuple[str, Mapping[str, str]]:
    """The first encoder there is; for pictures of a small ``side`` the last, as SVT-AV1 refuses or hangs."""
    import av

    there = [name for name in codec.encoders if name in av.codecs_available]
    found = next(iter(reversed(there) if side < _SMALL_SIDE else there), None)
    if found is None:
        said = f"this PyAV has no encoder for it ({', '.join(codec.encoders)})"
        raise MediaError(sentence("encode the video", codec.name, said, "Choose another codec."))
    return found, codec.encoders[found]


class _GifScreen:
    """GIF with a palette of its own for every frame; transparency is all or nothing."""

    def __init__(self, output: Output, rate: Fraction, look: Look) -> None:
        self.notes: list[str] = []
        self._output, self._look = output, look
        self._converter: Converter | None = None
        self._stream = output.add_stream("gif", rate=min(rate, Fraction(GIF_TICKS, GIF_MIN_TICKS)))
        self._stream.codec_context.time_base = Fraction(1, GIF_TICKS)
        self._graph: Any = None
        self._last = -GIF_MIN_TICKS

    def add(self, frame: Any, seconds: Fraction) -> None:  # noqa: ANN401
        ticks = round(seconds * GIF_TICKS)
        if ticks - self._last < GIF_MIN_TICKS:
            note = f"A gif shows at most {GIF_TICKS // GIF_MIN_TICKS} frames a second."
            if note not in self.notes:
                self.notes.append(note)
            return
        self._last = ticks
        if self._converter is None:
            self._converter = self._begin(frame)
        frame = self._converter.convert(frame)
        frame.pts, frame.time_base = ticks, Fraction(1, GIF_TICKS)
        self._entrance.push(frame)
        self._drain()

    def finish(self) -> None:
        if self._graph is not None:
            self._entrance.push(None)
            self._drain()
        self._output.encode(self._stream, None)

    def _begin(self, frame: Any) -> Converter:  # noqa: ANN401
        import av.filter

        form = "rgba" if has_alpha(frame) else "rgb24"
        converter = Converter(form, self._look.aspect, even=False)
        width, height = converter.measure(frame)
        if self._look.aspect != 1:
            self.notes.append(_stretched(self._look.aspect, width, height))
        if self._look.is_hdr and not is_rgb(frame):
            self.notes.append("A gif has no HDR: its colours look washed out.")
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
        return converter

    def _drain(self) -> None:
        import av

        with contextlib.suppress(av.BlockingIOError, av.EOFError):  # no more for now, or at all
            while True:
                self._output.encode(self._stream, self._exit.pull())
