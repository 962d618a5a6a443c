"""Encodes frames one by one into a stream of an open file: with one of ``formats.CODECS``, or as GIF."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ...errors import MediaError, sentence
from ..formats import VideoCodec
from ..output_file import Output
from .frame_converter import BT709, FrameConverter, is_deep, is_rgb, is_rotated_sideways, may_have_alpha
from .video_plan import CRF_OF_CODEC, HDR_TRANSFERS, Plan

LIMITED_RANGE = 1
GIF_TICKS = 100  # per second
GIF_MIN_TICKS = 2  # shortest duration of a frame; browsers show a shorter one ten times as long
_ALPHA, _OPAQUE = 3, 255  # the index of the alpha channel, and its largest value
_SMALL_SIDE = 64  # pixels


@dataclass(frozen=True)
class Display:
    """How frames are displayed: ``aspect`` of a pixel, width by height; matrix, primaries and transfer as
    numbers of ITU-T H.273, which are ignored for RGB frames.
    """

    aspect: Fraction = Fraction(1)
    colours: tuple[int, int, int] = (BT709, BT709, BT709)

    @property
    def is_hdr(self) -> bool:
        return self.colours[2] in HDR_TRANSFERS


def video_encoder(
    plan: Plan, output: Output, rate: Fraction, time_base: Fraction, display: Display
) -> _CodecEncoder | _GifEncoder:
    """Add a stream to ``output`` for frames at about ``rate``, whose times are multiples of ``time_base``.

    The encoder's ``add`` encodes one of PyAV's frames at its time, ``finish`` ends the stream, ``notes`` has
    a sentence for each thing that is lost. Raises MediaError if PyAV lacks the encoder.
    """
    if plan.codec is None:
        return _GifEncoder(output, rate, display)
    return _CodecEncoder(plan, plan.codec, output, rate, time_base, display)


class _CodecEncoder:
    """Encodes with one of CODECS as 4:2:0 with even sides. RGB becomes BT.709; other colours are kept."""

    def __init__(
        self,
        plan: Plan,
        codec: VideoCodec,
        output: Output,
        rate: Fraction,
        time_base: Fraction,
        display: Display,
    ) -> None:
        self.notes: list[str] = []
        self._plan, self._output, self._codec, self._display = plan, output, codec, display
        self._time_base = time_base
        encoder, options = _encoder(codec, min(plan.width, plan.height))
        quality = str(codec.crf if plan.crf == CRF_OF_CODEC else plan.crf)
        self._stream = output.add_stream(encoder, rate=rate, options={**options, "crf": quality})
        self._context = self._stream.codec_context
        self._context.bit_rate = 0  # otherwise it would be a limit, or even the target
        self._context.time_base = time_base
        output.name_codec(self._stream)
        self._converter: FrameConverter | None = None
        self._form = ""
        self._last = -(1 << 62)  # time of the last frame, in units of the time base

    def add(self, frame: Any, seconds: Fraction) -> None:  # noqa: ANN401
        if self._converter is None:
            self._converter = self._begin(frame)
        _note_lost_alpha(frame, self._form == "yuva420p", self._codec.name, self.notes)
        converted = self._converter.convert(frame)
        # Some recorders give several frames the same time, which encoders and muxers refuse.
        self._last = max(round(seconds / self._time_base), self._last + 1)
        converted.pts, converted.time_base = self._last, self._time_base
        self._output.encode(self._stream, converted)

    def _begin(self, frame: Any) -> FrameConverter:  # noqa: ANN401
        """Set the size, pixel format, aspect ratio and colours of the stream by its first frame."""
        codec, display, rgb = self._codec, self._display, is_rgb(frame)
        hdr = not rgb and display.is_hdr
        self._form = "yuv420p"
        if may_have_alpha(frame) and codec.keeps_alpha:
            self._form = "yuva420p"
        elif is_deep(frame) and not rgb and codec.deep:
            self._form = "yuv420p10le"
        if hdr and self._form != "yuv420p10le":
            self.notes.append(f"{codec.name} has 8 bits here, HDR has 10: h265 and av1 avoid banding.")
        aspect = Fraction(1)
        if display.aspect != 1:
            if codec.keeps_aspect or self._plan.container.keeps_aspect:
                swapped = is_rotated_sideways(frame)
                self._context.sample_aspect_ratio = 1 / display.aspect if swapped else display.aspect
            else:
                aspect = display.aspect
        converter = FrameConverter(self._form, aspect)
        width, height = converter.measure(frame)
        if aspect != 1:
            self.notes.append(_stretched(display.aspect, width, height))
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = self._form
        matrix, primaries, transfer = (BT709,) * 3 if rgb else display.colours
        self._context.colorspace, self._context.color_primaries = matrix, primaries
        self._context.color_trc, self._context.color_range = transfer, LIMITED_RANGE
        return converter

    def finish(self) -> None:
        self._output.encode(self._stream, None)


def _stretched(aspect: Fraction, width: int, height: int) -> str:
    ratio = f"{aspect.numerator}:{aspect.denominator}"
    return f"Its pixels were not square ({ratio}), which cannot be kept: stretched to {width} x {height}."


def _note_lost_alpha(frame: Any, kept: bool, who: str, notes: list[str]) -> None:  # noqa: ANN401
    """Add a note, once, if a frame's transparency is lost."""
    note = f"{who} has no transparency here: it was left out."
    if kept or note in notes or not may_have_alpha(frame):
        return
    if frame.to_ndarray(format="rgba")[..., _ALPHA].min() < _OPAQUE:
        notes.append(note)


def _encoder(codec: VideoCodec, side: int) -> tuple[str, Mapping[str, str]]:
    """Return the first installed encoder and its options.

    For frames with a small ``side`` the last one: SVT-AV1 refuses them, or hangs.
    """
    import av

    installed = [name for name in codec.encoders if name in av.codecs_available]
    found = next(iter(reversed(installed) if side < _SMALL_SIDE else installed), None)
    if found is None:
        said = f"this PyAV has no encoder for it ({', '.join(codec.encoders)})"
        raise MediaError(sentence("encode the video", codec.name, said, "Choose another codec."))
    return found, codec.encoders[found]


class _GifEncoder:
    """Encodes a GIF with a palette for each frame; a pixel is transparent or opaque, nothing in between."""

    def __init__(self, output: Output, rate: Fraction, display: Display) -> None:
        self.notes: list[str] = []
        self._output, self._display = output, display
        self._converter: FrameConverter | None = None
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
        self._input.push(frame)
        self._drain()

    def finish(self) -> None:
        if self._graph is not None:
            self._input.push(None)
            self._drain()
        self._output.encode(self._stream, None)

    def _begin(self, frame: Any) -> FrameConverter:  # noqa: ANN401
        import av.filter

        form = "rgba" if may_have_alpha(frame) else "rgb24"
        converter = FrameConverter(form, self._display.aspect, even=False)
        width, height = converter.measure(frame)
        if self._display.aspect != 1:
            self.notes.append(_stretched(self._display.aspect, width, height))
        if self._display.is_hdr and not is_rgb(frame):
            self.notes.append("A gif has no HDR: its colours look washed out.")
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "pal8"
        graph = av.filter.Graph()
        shape = f"video_size={width}x{height}:pix_fmt={form}:time_base=1/{GIF_TICKS}:pixel_aspect=1/1"
        self._input, split = graph.add("buffer", shape), graph.add("split")
        palette = graph.add("palettegen", "stats_mode=single")
        mapped, self._mapped = graph.add("paletteuse", "new=1"), graph.add("buffersink")
        self._input.link_to(split)
        split.link_to(palette, 0, 0)
        split.link_to(mapped, 1, 0)
        palette.link_to(mapped, 0, 1)
        mapped.link_to(self._mapped)
        graph.configure()
        self._graph = graph
        return converter

    def _drain(self) -> None:
        import av

        with contextlib.suppress(av.BlockingIOError, av.EOFError):  # no more frames yet, or the end
            while True:
                self._output.encode(self._stream, self._mapped.pull())
