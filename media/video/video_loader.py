"""Loads the frames that a window wants as one tensor or one latent, and their audio.

The tensor is allocated once and filled in place. A window that does not fit into the free memory is refused
before that, with settings that would fit. If the file states too few frames, or none, the tensor grows while
they are decoded, until no more memory is free.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..container import ALWAYS_ALPHA, File, opened
from ..damage import LOAD, StreamDamage
from ..memory_budget import Reservation
from .frame_converter import ArrayConverter, FrameArray, crop_and_scale, has_alpha_channel, is_deep
from .frame_sinks import Sink
from .frame_window import TimedFrame, Window
from .video_reader import VideoReader

if TYPE_CHECKING:
    from av import VideoFrame

RATE_DENOMINATOR = 100_000  # of a measured frame rate
SILENCE_RATE, SILENCE_CHANNELS = 44_100, 2  # of the audio of a video without audio
FLOAT_BYTES = np.dtype(np.float32).itemsize


@dataclass(frozen=True)
class Loaded:
    """``frames`` [count, height, width, 3 or 4] float32 in 0..1, or a latent, and their audio.

    ``audio`` is ComfyUI's AUDIO with the duration of the frames, but it ends with the video, which the last
    of every nth frames may outlast; silent for a video without audio. ``info`` has VideoHelperSuite's ten
    fields. ``rate`` is the frame rate of what was loaded. ``notes`` has a sentence for each thing that is
    damaged or missing.
    """

    frames: torch.Tensor
    count: int
    audio: dict[str, Any]
    has_audio: bool
    info: dict[str, int | float]
    rate: Fraction
    notes: tuple[str, ...] = ()


def load(
    source: File | Path,
    name: str,
    window: Window,
    sink: Sink,
    meter: Meter,
    free_bytes: Callable[[], int],
    on_damage: str = LOAD,
) -> Loaded:
    """Decode the frames that ``window`` wants, and their audio.

    ``free_bytes`` returns how much memory is free. Runs in a worker thread; ``meter`` counts frames and stops
    it. Raises MediaError if the file has no video or no such frames, does not fit into memory, or is damaged
    and ``on_damage`` is ``fail``; whatever the source raises; TransferCancelled.
    """
    reservation, for_audio = (Reservation("load the video", name, free_bytes) for _ in range(2))
    with opened(source, name, "a video") as container, reservation, for_audio:
        reader = VideoReader(container, source, name, meter, StreamDamage("a video", name, on_damage))
        chosen = window.choose(reader.frames(window))
        first = next(chosen, None)
        if first is None:
            raise _nothing_left(reader, window)
        canvas = _Canvas(reader, first, window, sink.multiple)
        memory = _Memory(reservation, window, canvas, sink)
        expected = window.count(reader.count, reader.seconds)
        capacity = max(1, expected)
        memory.reserve(capacity)
        sink.begin(expected, canvas.height, canvas.width, canvas.channels)
        meter.expect_frames(expected)
        times, last = list[Fraction](), None
        for timed in itertools.chain((first,), chosen):
            meter.check()
            if timed is not last:
                pixels, last = canvas.draw(timed.frame), timed
            if len(times) == capacity and not sink.held_at_once:
                capacity = memory.reserve_more(capacity)
                sink.grow(capacity)
            if timed.frame.is_corrupt:
                reader.damage.frame(len(times))
            sink.add(pixels)
            reservation.filled(canvas.frame_bytes)
            times.append(timed.seconds)
            meter.add_frames(1)
        count = window.whole(len(times))
        if not count:
            raise _too_short(reader, window, len(times))
        rate = _rate(reader, window, times[:count])
        begin = times[0] if window.start_seconds is None else window.start_seconds
        last_time = times[count - 1] if window.start_seconds is None else begin + (count - 1) / rate
        source_rate = _source_rate(reader, timed)
        video_end = max(last_time + 1 / rate / window.select_every_nth, reader.count / source_rate)
        audio = _audio(reader, begin, min(last_time + 1 / rate, video_end), for_audio)
        info = _info(reader, source_rate, canvas, count, rate)
        notes = reader.damage.lines()
    return Loaded(sink.result(count), count, audio, reader.audio is not None, info, rate, notes)


class _Canvas:
    """Converts frames to pixels: upright, cropped to the aspect ratio, scaled, with or without alpha."""

    def __init__(self, reader: VideoReader, first: TimedFrame, window: Window, multiple: int) -> None:
        frame = first.frame
        deep, transparent = is_deep(frame), has_alpha_channel(frame)
        self._converter = ArrayConverter(transparent=transparent, deep=deep)
        pixels = self._converter.convert(frame)
        if transparent and reader.format.name in ALWAYS_ALPHA:
            transparent = bool(pixels[..., 3].min() < np.iinfo(pixels.dtype).max)
            self._converter = ArrayConverter(transparent=transparent, deep=deep)
        self.source_height, self.source_width = pixels.shape[:2]
        self.width, self.height = window.size(self.source_width, self.source_height, multiple)
        self.channels = 4 if transparent else 3
        self.frame_bytes = self.height * self.width * self.channels * FLOAT_BYTES

    def draw(self, frame: VideoFrame) -> FrameArray:
        """Return [height, width, channels] of a frame of any size."""
        return crop_and_scale(self._converter.convert(frame), self.width, self.height)


class _Memory:
    """Reserves the memory for frames and audio. Its methods raise MediaError if that does not fit."""

    def __init__(self, reservation: Reservation, window: Window, canvas: _Canvas, sink: Sink) -> None:
        self._reservation, self._window = reservation, window
        self._canvas, self._sink = canvas, sink

    def reserve(self, count: int, more: int = 0) -> int:
        """Reserve memory for ``count`` frames, and for up to ``more`` if it is free. Returns for how many."""
        canvas, frame = self._canvas, self._canvas.frame_bytes
        needed = min(count, self._sink.held_at_once or count) * frame

        def advice(available: int) -> str:
            fitting = self._window.whole(available // frame)
            width = int(canvas.width * (available / needed) ** 0.5)
            first = f"Set frame_load_cap to {fitting} or less, " if fitting else "Free memory, "
            return first + f"or custom_width to {width} or less, or a higher select_every_nth."

        what = f"{count} frames of {canvas.width} x {canvas.height} take"
        self._reservation.reserve(needed, what, advice, wanted=needed + more * frame)
        return self._reservation.reserved // frame

    def reserve_more(self, count: int) -> int:
        """Reserve more when ``count`` frames are filled: a quarter, if it is free. Returns as ``reserve``."""
        more, cap = count // 4, self._window.frame_load_cap
        return self.reserve(count + 1, min(more, cap - count - 1) if cap else more)


def _audio(reader: VideoReader, start: Fraction, end: Fraction, reservation: Reservation) -> dict[str, Any]:
    """Return AUDIO from ``start`` to ``end``. It may be larger than the frames if only every nth is loaded.

    Raises MediaError if it does not fit into memory.
    """
    reader.decode_audio_until(end)
    timeline = reader.timeline
    rate, channels = timeline.rate or SILENCE_RATE, timeline.channels or SILENCE_CHANNELS
    what, advice = (
        f"{float(end - start):.0f} s of audio take",
        "Set select_every_nth or frame_load_cap lower.",
    )
    size = round((end - start) * channels * rate) * FLOAT_BYTES
    reservation.reserve(size, what, lambda _: advice, spare=0)
    if timeline.rate:
        waveform = torch.from_numpy(timeline.window(start, end))[None]
    else:
        waveform = torch.zeros((1, channels, round((end - start) * rate)))
    return {"waveform": waveform, "sample_rate": rate}


def _rate(reader: VideoReader, window: Window, times: list[Fraction]) -> Fraction:
    """Return the frame rate of what was loaded: the one asked for, the file's, or a measured one."""
    stated = (window.rate or reader.rate) / window.select_every_nth
    return stated if window.rate else _measured(stated, len(times) - 1, times[-1] - times[0])


def _measured(stated: Fraction, steps: int, seconds: Fraction) -> Fraction:
    """Return ``stated``, unless so many steps at that rate differ from their duration by half a frame."""
    if not steps or seconds <= 0 or abs(seconds - steps / stated) <= 1 / stated / 2:
        return stated
    return (steps / seconds).limit_denominator(RATE_DENOMINATOR)


def _source_rate(reader: VideoReader, last: TimedFrame) -> Fraction:
    """Return the frame rate of the file, measured up to the frame ``last`` if all frames were decoded."""
    return _measured(reader.rate, last.index, last.seconds) if reader.counted else reader.rate


def _info(
    reader: VideoReader, source_rate: Fraction, canvas: _Canvas, count: int, rate: Fraction
) -> dict[str, int | float]:
    """Return VideoHelperSuite's ten fields."""
    return {
        "source_fps": float(source_rate),
        "source_frame_count": reader.count,
        "source_duration": float(reader.count / source_rate),
        "source_width": canvas.source_width,
        "source_height": canvas.source_height,
        "loaded_fps": float(rate),
        "loaded_frame_count": count,
        "loaded_duration": float(count / rate),
        "loaded_width": canvas.width,
        "loaded_height": canvas.height,
    }


def _nothing_left(reader: VideoReader, window: Window) -> MediaError:
    said = f"it has about {reader.count} frames, and skip_first_frames is {window.skip_first_frames}"
    if not window.skip_first_frames:
        said = " ".join(("none of its frames can be decoded.", *reader.damage.lines()))
    advice = "Set skip_first_frames lower, or upload it again."
    return MediaError(sentence("read a video", reader.name, said, advice))


def _too_short(reader: VideoReader, window: Window, count: int) -> MediaError:
    said = f"the window has {count} frames, and the format needs at least {window.model.frames[1]}"
    return MediaError(
        sentence("read a video", reader.name, said, "Choose another format or a longer window.")
    )
