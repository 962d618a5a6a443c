"""Carries out a plan of ``media_video``: a film into a file, copied packet by packet or encoded frame by
frame.

Pictures and sound are written in step, as players need them, and nothing holds a whole film. What fails
leaves no file behind.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ...system.meter import Meter
from ..audio_stream import Samples, SoundEncoder
from ..container import opened, picture_stream
from ..formats import AUTO, Container
from ..image_tensor import eight_bits
from ..output_file import Output, Refused
from ..workflow_metadata import Metadata
from .frame_window import Window
from .video_check import check, left_out, playable_sounds, traits
from .video_encoders import Look, screen
from .video_plan import Clip, Pictures, Plan, Recording, encoded, plan
from .video_reader import Film

_WORKFLOW_TAGS = ("prompt", "workflow")
# Of sound that was encoded already: what follows joins on to it. A file's times are rounded, to milliseconds
# in Matroska, and sound that was put where they say would crackle.
KEPT_SECONDS = 1


def write(
    planned: Plan, clip: Clip, target: Path, metadata: Metadata | None, meter: Meter
) -> tuple[str, ...]:
    """Write ``clip`` to ``target`` as planned; returns in plain sentences what of it is lost or changed.

    What was written is opened again, and its first and last pictures decoded. A copy that cannot be made, or
    not be played, is replaced by an encode, and a sentence says why. ``metadata`` None embeds nothing and
    takes out a workflow that a file already has. Runs in a worker thread; ``meter`` counts frames and stops
    it. Raises MediaError, TransferCancelled, OSError for the source; then there is no file.
    """
    try:
        notes: tuple[str, ...] = ()
        if planned.copies and isinstance(clip, Recording):
            try:
                return _copy(planned, clip, target, metadata, meter)
            except Refused as error:
                notes = (f"It could not be copied as it is and was encoded: {error.said}.",)
                planned = encoded(planned)
        elif planned.obstacle:
            notes = (f"It was encoded and not copied: {planned.obstacle}.",)
        return notes + _encode(planned, clip, target, metadata, meter)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def playable(film: Path, container: Container, new_path: Callable[[str], Path], meter: Meter) -> Path:
    """A file with the same film that a browser plays: ``film`` itself, or a copy, in whose favour it goes.

    ``new_path`` gives a path for an extension. Where no such file can be had by copying, ``film`` stays.
    """
    if container.plays:
        return film
    copy = plan(Recording(film), AUTO, AUTO)
    if not (copy.copies and copy.container.plays):
        return film
    target = new_path(copy.container.extension)
    try:
        _copy(copy, Recording(film), target, None, meter)
    except Refused:
        target.unlink(missing_ok=True)
        return film
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    film.unlink()
    return target


def _output(plan: Plan, target: Path, tags: Mapping[str, str], tried: str) -> Output:
    what = f"{plan.width} x {plan.height} pixels as {plan.container.name}"
    return Output(target, plan.container.muxer, plan.container.options, tags, tried, what)


def _tags(plan: Plan, metadata: Metadata | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Tags for the file, and notes on what cannot be one."""
    if metadata is None:
        return {}, ()
    if not plan.container.keeps_workflow:
        return {}, (f"A {plan.container.name} has no place for the workflow: it was left out.",)
    return dict(metadata.texts), metadata.notes


# ---------------------------------------------------------------------------------------- copied


def _copy(
    plan: Plan, clip: Recording, target: Path, metadata: Metadata | None, meter: Meter
) -> tuple[str, ...]:
    """Raises Refused where the container does not take it, or cannot be played afterwards."""
    tags, notes = _tags(plan, metadata)
    with opened(clip.source, target.name, "a video") as source:
        chosen = [picture_stream(source), *playable_sounds(source)]
        own = {key: text for key, text in source.metadata.items() if key.lower() not in _WORKFLOW_TAGS}
        with _output(plan, target, {**own, **tags}, "copy the video") as output:
            copies = {stream.index: output.copy_stream(stream) for stream in chosen}
            meter.expect_frames(chosen[0].frames)
            for packet in _ordered(source.demux(chosen)):
                meter.check()
                meter.add_frames(int(packet.stream_index == chosen[0].index))
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
            # A timecode is a tag as well. The muxer of mp4 makes a track of it again, by the rate of the
            # pictures, which PyAV up to 17 does not tell it.
            if plan.container.muxer != "mp4" or copies[chosen[0].index].average_rate is not None:
                chosen += [stream for stream in source.streams.data if "timecode" in stream.metadata]
        notes += left_out(source, chosen)
    check(target, traits(clip.source, target.name, meter), meter)
    return notes


def _ordered(packets: Iterable[Any]) -> Iterator[Any]:
    """The packets, each with the time at which it is decoded; some demuxers tell none of the first ones.

    Those are set so that each comes a picture's time before the next.
    """
    waiting: dict[int, list[Any]] = {}
    for packet in packets:
        if not packet.size:  # the end of a stream
            continue
        held = waiting.setdefault(packet.stream_index, [])
        if packet.dts is None:
            held.append(packet)
            continue
        following = packet
        for earlier in reversed(held):
            earlier.dts = following.dts - max(1, earlier.duration or 1)
            following = earlier
        yield from held
        held.clear()
        yield packet
    for held in waiting.values():
        yield from held


# ---------------------------------------------------------------------------------------- encoded


def _encode(plan: Plan, clip: Clip, target: Path, metadata: Metadata | None, meter: Meter) -> tuple[str, ...]:
    tags, notes = _tags(plan, metadata)
    with contextlib.ExitStack() as stack:
        source: _Source
        film: Film | None = None
        if isinstance(clip, Pictures):
            source = _TensorSource(clip)
        else:
            container = stack.enter_context(opened(clip.source, target.name, "a video"))
            film = Film(container, clip.source, target.name, meter)
            source = _FileSource(film, meter)
            notes += left_out(container, [film.stream, film.sound])
        output = stack.enter_context(_output(plan, target, tags, "encode the video"))
        pictures = screen(plan, output, source.rate, source.time_base, source.look)
        voice = None
        if source.channels and plan.container.sound is not None:
            codec, channels = plan.container.sound, source.channels
            voice = SoundEncoder(output, codec, channels, source.sound_rate, meter, source.layout)
            notes += voice.notes
        elif source.channels:
            notes += (f"A {plan.container.name} has no sound: it was left out.",)
        meter.expect_frames(source.frames)
        for frame, seconds in source.pictures():
            meter.check()
            pictures.add(frame, seconds)
            if voice is not None:
                voice.add(source.sound_until(seconds))
            meter.add_frames(1)
        pictures.finish()
        if voice is not None:
            voice.add(source.sound_until(None))
            voice.finish()
        output.close()
        check(target, None, meter)
        notes += film.damage.lines() if film is not None else ()
    return notes + tuple(pictures.notes)


class _Source(Protocol):
    """PyAV's frames with their instants and how they are meant, and the sound that goes with them.

    ``channels`` is 0 for none, ``layout`` FFmpeg's name for them or "".
    """

    rate: Fraction
    time_base: Fraction
    look: Look
    frames: int
    channels: int
    layout: str
    sound_rate: int

    def pictures(self) -> Iterator[tuple[Any, Fraction]]: ...
    def sound_until(self, seconds: Fraction | None) -> Samples: ...


class _TensorSource:
    def __init__(self, clip: Pictures) -> None:
        self._frames, self.rate, self.frames = clip.frames, clip.rate, len(clip.frames)
        self.time_base, self.look = 1 / clip.rate, Look()
        self._samples, self.sound_rate, self._sent = np.zeros((0, 0), np.float32), 0, 0
        if clip.sound is not None:
            self.sound_rate = int(clip.sound["sample_rate"])
            longest = math.ceil(
                self.frames / self.rate * self.sound_rate
            )  # as core: no longer than the pictures
            waveform: torch.Tensor = clip.sound["waveform"][0, :, :longest]
            self._samples = waveform.detach().cpu().float().numpy()
        self.channels, self.layout = self._samples.shape[0], ""

    def pictures(self) -> Iterator[tuple[Any, Fraction]]:
        import av

        for number in range(self.frames):
            pixels = eight_bits(self._frames[number].detach().cpu().float().numpy())
            form = "rgba" if pixels.shape[2] > 3 else "rgb24"  # noqa: PLR2004
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            yield frame, number / self.rate

    def sound_until(self, seconds: Fraction | None) -> Samples:
        stop = self._samples.shape[1] if seconds is None else math.ceil(seconds * self.sound_rate)
        part = self._samples[:, self._sent : max(stop, self._sent)]
        self._sent += part.shape[1]
        return part


class _FileSource:
    def __init__(self, film: Film, meter: Meter) -> None:
        self._film, self._meter, self._heard = film, meter, Fraction(0)
        self.rate, self.frames = film.rate, film.frames
        stream = film.stream
        decoder = stream.codec_context
        self.look = Look(
            Fraction(stream.sample_aspect_ratio or 1),
            (int(decoder.colorspace), int(decoder.color_primaries), int(decoder.color_trc)),
        )
        self.time_base = Fraction(film.stream.time_base) if film.row.timed else 1 / film.rate
        context = None if film.sound is None else film.sound.codec_context
        self.channels = context.layout.nb_channels if context else 0
        self.layout = context.layout.name if context else ""
        self.sound_rate = context.sample_rate if context else 0

    def pictures(self) -> Iterator[tuple[Any, Fraction]]:
        for picture in self._film.pictures(Window()):
            if picture.frame.is_corrupt:
                self._film.damage.frame(picture.index)
            yield picture.frame, picture.seconds

    def sound_until(self, seconds: Fraction | None) -> Samples:
        recorder = self._film.recorder
        end = recorder.seconds if seconds is None else min(seconds, recorder.seconds)
        part = recorder.window(self._heard, max(end, self._heard))
        self._heard = max(end, self._heard)
        recorder.forget(self._heard - KEPT_SECONDS)
        return part
