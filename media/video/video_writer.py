"""Writes a video file as planned by ``video_plan``: copied packet by packet, or encoded frame by frame.

Video and audio are interleaved, as players need them, and never in memory as a whole. After a failure there
is no file.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...system.meter import Meter
from ..audio.audio_stream_encoder import AudioStreamEncoder
from ..audio.audio_timeline import Samples
from ..container import left_out, opened, playable_audio, video_stream
from ..formats import AUTO, Container
from ..image_tensor import to_uint8
from ..output_file import Output, Refused
from ..workflow_metadata import Metadata
from .frame_window import Window
from .video_check import check, traits
from .video_encoders import Display, video_encoder
from .video_plan import Plan, Video, VideoFile, VideoFrames, plan, without_copying
from .video_reader import VideoReader

_WORKFLOW_TAGS = ("prompt", "workflow")
# Audio that is kept after it was encoded, so that the next frames join it without a gap. Files round their
# times, Matroska to milliseconds, and audio placed exactly at those would crackle.
KEPT_SECONDS = 1


def write(
    planned: Plan, video: Video, target: Path, metadata: Metadata | None, meter: Meter
) -> tuple[str, ...]:
    """Write ``video`` to ``target`` as planned. Returns a sentence for each thing that is lost or changed.

    The file is checked by decoding its first and last frames. A copy that cannot be made, or not be played,
    is replaced by an encoded file, and a sentence says why. ``metadata`` None embeds nothing, and removes a
    workflow that the input has. Runs in a worker thread; ``meter`` counts frames and stops it. Raises
    MediaError, TransferCancelled, OSError for the source; then there is no file.
    """
    try:
        notes: tuple[str, ...] = ()
        if planned.copies and isinstance(video, VideoFile):
            try:
                return _copy(planned, video, target, metadata, meter)
            except Refused as error:
                notes = (f"It could not be copied as it is and was encoded: {error.said}.",)
                planned = without_copying(planned)
        elif planned.obstacle:
            notes = (f"It was encoded and not copied: {planned.obstacle}.",)
        return notes + _encode(planned, video, target, metadata, meter)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def playable(file: Path, container: Container, new_path: Callable[[str], Path], meter: Meter) -> Path:
    """Return a file that browsers play: a copy of ``file``, which is removed then, or ``file`` itself.

    ``new_path`` returns a path for an extension.
    """
    if container.plays:
        return file
    copy = plan(VideoFile(file), AUTO, AUTO)
    if not (copy.copies and copy.container.plays):
        return file
    target = new_path(copy.container.name)
    try:
        _copy(copy, VideoFile(file), target, None, meter)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, Refused):
            return file
        raise
    file.unlink()
    return target


def _tags(plan: Plan, metadata: Metadata | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the tags for the file, and notes on what cannot be stored."""
    if metadata is None:
        return {}, ()
    if not plan.container.keeps_workflow:
        return {}, (f"A {plan.container.name} has no place for the workflow: it was left out.",)
    return dict(metadata.texts), metadata.notes


# ---------------------------------------------------------------------------------------- copying


def _copy(
    plan: Plan, video: VideoFile, target: Path, metadata: Metadata | None, meter: Meter
) -> tuple[str, ...]:
    """Copy the streams. Raises Refused if the format does not take them, or the file cannot be played."""
    tags, notes = _tags(plan, metadata)
    with opened(video.source, target.name, "a video") as source:
        chosen = [video_stream(source), *playable_audio(source)]
        own = {key: text for key, text in source.metadata.items() if key.lower() not in _WORKFLOW_TAGS}
        with Output(target, plan.container, {**own, **tags}, "copy the video", plan.result) as output:
            copies = {stream.index: output.copy_stream(stream) for stream in chosen}
            meter.expect_frames(chosen[0].frames)
            for packet in _ordered(source.demux(chosen)):
                meter.check()
                meter.add_frames(int(packet.stream_index == chosen[0].index))
                packet.stream = copies[packet.stream_index]
                output.mux(packet)
            # A timecode is also a tag. The mp4 muxer makes a track of it if it knows the frame rate, which
            # PyAV up to 17 does not pass on.
            if plan.container.muxer != "mp4" or copies[chosen[0].index].average_rate is not None:
                chosen += [stream for stream in source.streams.data if "timecode" in stream.metadata]
        notes += left_out(source, chosen)
    check(target, traits(video.source, target.name, meter), meter)
    return notes


def _ordered(packets: Iterable[Any]) -> Iterator[Any]:
    """Yield the packets, all with a decoding time; some demuxers give none to the first ones.

    Each of those gets the time one frame before the next.
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


# ---------------------------------------------------------------------------------------- encoding


def _encode(
    plan: Plan, video: Video, target: Path, metadata: Metadata | None, meter: Meter
) -> tuple[str, ...]:
    tags, notes = _tags(plan, metadata)
    with contextlib.ExitStack() as stack:
        source: _TensorSource | _FileSource
        reader: VideoReader | None = None
        if isinstance(video, VideoFrames):
            source = _TensorSource(video)
        else:
            container = stack.enter_context(opened(video.source, target.name, "a video"))
            reader = VideoReader(container, video.source, target.name, meter)
            source = _FileSource(reader)
            notes += left_out(container, [reader.stream, reader.audio])
        output = Output(target, plan.container, tags, "encode the video", plan.result)
        stack.enter_context(output)
        encoder = video_encoder(plan, output, source.rate, source.time_base, source.display)
        audio = None
        if source.channels and plan.container.audio is not None:
            codec, channels = plan.container.audio, source.channels
            audio = AudioStreamEncoder(output, codec, channels, source.sample_rate, meter, source.layout)
            notes += audio.notes
        elif source.channels:
            notes += (f"A {plan.container.name} has no audio: it was left out.",)
        meter.expect_frames(source.count)
        for frame, seconds in source.frames():
            meter.check()
            encoder.add(frame, seconds)
            if audio is not None:
                audio.add(source.audio_until(seconds))
            meter.add_frames(1)
        encoder.finish()
        if audio is not None:
            audio.add(source.audio_until(None))
            audio.finish()
        output.close()
        check(target, None, meter)
        notes += reader.damage.lines() if reader is not None else ()
    return notes + tuple(encoder.notes)


# Both sources return PyAV's frames with their times, and the audio from the last call up to a time, or to the
# end. ``count`` is the number of frames, perhaps estimated. ``channels`` is 0 without audio; ``layout`` is
# FFmpeg's name of the channel layout, or "".


class _TensorSource:
    def __init__(self, video: VideoFrames) -> None:
        self._frames, self.rate, self.count = video.frames, video.rate, len(video.frames)
        self.time_base, self.display = 1 / video.rate, Display()
        self._samples, self.sample_rate, self._sent = np.zeros((0, 0), np.float32), 0, 0
        if video.audio is not None:
            self.sample_rate = int(video.audio["sample_rate"])
            # As in ComfyUI, audio ends with the last frame.
            longest = math.ceil(self.count / self.rate * self.sample_rate)
            waveform: torch.Tensor = video.audio["waveform"][0, :, :longest]
            self._samples = waveform.detach().cpu().float().numpy()
        self.channels, self.layout = self._samples.shape[0], ""

    def frames(self) -> Iterator[tuple[Any, Fraction]]:
        import av

        for number in range(self.count):
            pixels = to_uint8(self._frames[number].detach().cpu().float().numpy())
            form = "rgba" if pixels.shape[2] > 3 else "rgb24"  # noqa: PLR2004
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
            yield frame, number / self.rate

    def audio_until(self, seconds: Fraction | None) -> Samples:
        stop = self._samples.shape[1] if seconds is None else math.ceil(seconds * self.sample_rate)
        part = self._samples[:, self._sent : max(stop, self._sent)]
        self._sent += part.shape[1]
        return part


class _FileSource:
    def __init__(self, reader: VideoReader) -> None:
        self._reader, self._returned = reader, Fraction(0)
        self.rate, self.count = reader.rate, reader.count
        stream = reader.stream
        decoder = stream.codec_context
        self.display = Display(
            Fraction(stream.sample_aspect_ratio or 1),
            (int(decoder.colorspace), int(decoder.color_primaries), int(decoder.color_trc)),
        )
        self.time_base = Fraction(stream.time_base) if reader.format.timed else 1 / reader.rate
        context = None if reader.audio is None else reader.audio.codec_context
        self.channels = context.layout.nb_channels if context else 0
        self.layout = context.layout.name if context else ""
        self.sample_rate = context.sample_rate if context else 0

    def frames(self) -> Iterator[tuple[Any, Fraction]]:
        for timed in self._reader.frames(Window()):
            if timed.frame.is_corrupt:
                self._reader.damage.frame(timed.index)
            yield timed.frame, timed.seconds

    def audio_until(self, seconds: Fraction | None) -> Samples:
        timeline = self._reader.timeline
        end = timeline.seconds if seconds is None else min(seconds, timeline.seconds)
        part = timeline.window(self._returned, max(end, self._returned))
        self._returned = max(end, self._returned)
        timeline.forget(self._returned - KEPT_SECONDS)
        return part
