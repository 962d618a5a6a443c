"""The frames of a window as one tensor or one latent, its sound, and what there is to say of both.

The tensor is allocated once and filled in place; a window that would not fit into memory, beside what other
calls are filling, is refused before that, with the numbers and the settings that would fit. Where a file
tells too few frames, or none, it grows while they come, and is refused when no further one fits.
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
from ..container import opened
from ..damage import LOAD
from ..memory_budget import Promise
from ..recording_damage import RecordingDamage
from ..truncation import File
from .frame_arrays import Painter, Pixels, fitted, is_deep, is_transparent
from .frame_sinks import Sink
from .frame_window import Window
from .video_reader import Film, Picture

if TYPE_CHECKING:
    from av import VideoFrame

RATE_DENOMINATOR = 100_000  # of a rate that was measured
SPARE_BYTES = 300 << 20  # for the decoder, and what is read ahead
SILENCE_RATE, SILENCE_CHANNELS = 44_100, 2  # of the sound of a film that has none
_ALPHA_UNLESS_OPAQUE = ("gif", "apng")  # formats that decode with an alpha channel, used or not


@dataclass(frozen=True)
class Loaded:
    """What a window came to: ``frames`` [count, height, width, 3 or 4] float32 in 0..1, or a latent.

    ``info`` has VideoHelperSuite's ten fields. ``sound`` is ComfyUI's AUDIO, as long as the frames are
    shown; silent where the film is. ``rate`` is pictures a second of what was loaded. ``notes`` says in
    plain sentences what of the film is damaged or missing.
    """

    frames: torch.Tensor
    count: int
    sound: dict[str, Any]
    has_sound: bool
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
    """Decode the frames that ``window`` wants, and their sound.

    Runs in a worker thread; ``meter`` counts the frames and stops it. ``free_bytes`` tells how much memory is
    free. Raises MediaError for what is no film, has no such frames, or does not fit, and for what is damaged
    where ``on_damage`` is ``fail``; what the source raises; TransferCancelled.
    """
    with opened(source, name, "a video") as container, Promise(free_bytes) as promise:
        film = Film(container, source, name, meter, RecordingDamage("a video", name, on_damage))
        chosen = window.choose(film.pictures(window))
        first = next(chosen, None)
        if first is None:
            raise _nothing_left(film, window)
        canvas = _Canvas(film, first, window, sink.multiple)
        expected = window.count(film.frames, film.seconds)
        room = max(1, expected)
        promise.take(lambda free: _needed(film, window, canvas, sink, room, free))
        sink.begin(expected, canvas.height, canvas.width, canvas.channels)
        meter.expect_frames(expected)
        instants, last = list[Fraction](), None
        for picture in itertools.chain((first,), chosen):
            meter.check()
            if picture is not last:
                pixels, last = canvas.draw(picture.frame), picture
            if len(instants) == room and not sink.held_at_once:
                room += _more(film, window, canvas, sink, room, promise)
                sink.grow(room)
            if picture.frame.is_corrupt:
                film.damage.frame(len(instants))
            sink.add(pixels)
            promise.filled(canvas.frame_bytes)
            instants.append(picture.seconds)
            meter.add_frames(1)
        count = window.whole(len(instants))
        if not count:
            raise _too_short(film, window, len(instants))
        rate = _rate(film, window, instants[:count])
        begin = instants[0] if window.start_seconds is None else window.start_seconds
        last_instant = instants[count - 1] if window.start_seconds is None else begin + (count - 1) / rate
        sound = _sound(film, begin, last_instant + 1 / rate, promise)
        info = _info(film, picture, canvas, count, rate)
        notes = film.damage.lines()
    return Loaded(sink.result(count), count, sound, film.sound is not None, info, rate, notes)


class _Canvas:
    """How a frame becomes pixels: turned upright, cut to the ratio, scaled, with or without transparency."""

    def __init__(self, film: Film, first: Picture, window: Window, multiple: int) -> None:
        frame = first.frame
        self._painter = Painter()
        self._deep, self._transparent = is_deep(frame), is_transparent(frame)
        pixels = self._painter.pixels(frame, self._transparent, self._deep)
        if self._transparent and film.row.name in _ALPHA_UNLESS_OPAQUE:
            self._transparent = bool(pixels[..., 3].min() < np.iinfo(pixels.dtype).max)
        self.source_height, self.source_width = pixels.shape[:2]
        self.width, self.height = window.size(self.source_width, self.source_height, multiple)

    @property
    def channels(self) -> int:
        return 4 if self._transparent else 3

    @property
    def frame_bytes(self) -> int:
        return self.height * self.width * self.channels * np.dtype(np.float32).itemsize

    def draw(self, frame: VideoFrame) -> Pixels:
        """[height, width, channels] of one frame, whatever its own size."""
        pixels = self._painter.pixels(frame, self._transparent, self._deep)
        return fitted(pixels, self.width, self.height)


def _sound(film: Film, start: Fraction, end: Fraction, promise: Promise) -> dict[str, Any]:
    film.hear_until(end)
    recorder = film.recorder
    rate, channels = (recorder.rate, recorder.channels) if recorder.rate else (SILENCE_RATE, SILENCE_CHANNELS)
    promise.take(lambda free: _needed_by_sound(film, end - start, channels * rate, free))
    if not recorder.rate:
        return {"waveform": torch.zeros((1, channels, round((end - start) * rate))), "sample_rate": rate}
    return {"waveform": torch.from_numpy(recorder.window(start, end))[None], "sample_rate": recorder.rate}


def _rate(film: Film, window: Window, instants: list[Fraction]) -> Fraction:
    """Pictures a second of what was loaded: the one asked for; else the file's, or that of the pictures' own
    times where they do not come at it.
    """
    stated = (window.rate or film.rate) / window.select_every_nth
    steps = len(instants) - 1
    return stated if window.rate else _fitting(stated, steps, instants[-1] - instants[0])


def _fitting(stated: Fraction, steps: int, seconds: Fraction) -> Fraction:
    """``stated``, unless so many steps at that rate take half a picture more or less than they do."""
    if not steps or seconds <= 0 or abs(seconds - steps / stated) <= 1 / stated / 2:
        return stated
    return (steps / seconds).limit_denominator(RATE_DENOMINATOR)


def _info(film: Film, last: Picture, canvas: _Canvas, count: int, rate: Fraction) -> dict[str, int | float]:
    """What the file says of its rate and length, or what was found where all of it was decoded."""
    source_rate = film.rate
    if film.counted:
        source_rate = _fitting(film.rate, last.index, last.seconds)
    return {
        "source_fps": float(source_rate),
        "source_frame_count": film.frames,
        "source_duration": float(film.frames / source_rate),
        "source_width": canvas.source_width,
        "source_height": canvas.source_height,
        "loaded_fps": float(rate),
        "loaded_frame_count": count,
        "loaded_duration": float(count / rate),
        "loaded_width": canvas.width,
        "loaded_height": canvas.height,
    }


def _nothing_left(film: Film, window: Window) -> MediaError:
    said = f"it has about {film.frames} frames and the first {window.skip_first_frames} are to be skipped"
    if not window.skip_first_frames:
        said = " ".join(("no picture can be decoded from it.", *film.damage.lines()))
    return MediaError(
        sentence("read a video", film.name, said, "Set skip_first_frames lower, or upload it again.")
    )


def _too_short(film: Film, window: Window, count: int) -> MediaError:
    said = f"the window has {count} frames and the format takes at least {window.preset.frames[1]}"
    return MediaError(sentence("read a video", film.name, said, "Choose another format or a longer window."))


def _needed(film: Film, window: Window, canvas: _Canvas, sink: Sink, count: int, free: int) -> int:
    """The bytes that ``count`` frames take; raises MediaError where so many are not ``free``."""
    frame = canvas.frame_bytes
    held = min(count, sink.held_at_once or count)
    room = max(0, free - SPARE_BYTES)
    if held * frame <= room:
        return held * frame
    fitting = window.whole(room // frame)
    scale = (room / (held * frame)) ** 0.5
    advice = (
        f"Set frame_load_cap to {fitting} or less, " if fitting else "Free memory, "
    ) + f"or custom_width to {int(canvas.width * scale)} or less, or a higher select_every_nth."
    said = (
        f"{count} frames of {canvas.width} x {canvas.height} take {held * frame / 1e9:.1f} GB as a tensor, "
        f"and {room / 1e9:.1f} GB of memory are free for them"
    )
    raise MediaError(sentence("load the video", film.name, said, advice))


def _needed_by_sound(film: Film, seconds: Fraction, values_a_second: int, free: int) -> int:
    """The bytes that so much sound takes; raises MediaError where so many are not ``free``.

    It lasts as long as the frames, and with a high select_every_nth each of them lasts long.
    """
    size = round(seconds * values_a_second) * np.dtype(np.float32).itemsize
    if size <= free:
        return size
    said = (
        f"{float(seconds):.0f} s of sound take {size / 1e9:.1f} GB, "
        f"and {max(0, free) / 1e9:.1f} GB of memory are free for them"
    )
    advice = "Set select_every_nth or frame_load_cap lower."
    raise MediaError(sentence("load the video", film.name, said, advice))


def _more(film: Film, window: Window, canvas: _Canvas, sink: Sink, count: int, promise: Promise) -> int:
    """How many frames to make room for when more than the ``count`` that are filled come: a quarter more, if
    memory for them is free. Raises MediaError where not one more fits.
    """
    frame = canvas.frame_bytes

    def chosen(free: int) -> int:
        for_all = free + count * frame
        _needed(film, window, canvas, sink, count + 1, for_all)
        fitting = (for_all - SPARE_BYTES) // frame
        return (min(count + count // 4 + 1, fitting, window.frame_load_cap or fitting) - count) * frame

    return promise.take(chosen) // frame
