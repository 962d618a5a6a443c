"""Loads the audio of a video or audio file as AUDIO.

Reads from shortly before the first sample wanted. What can be decoded is returned; notes say what is damaged
or missing. Durations in headers are not trusted: memory is reserved while audio is decoded, and audio that
does not fit is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..container import (
    MICROSECONDS,
    File,
    audio_stream,
    demuxer,
    discard_other_streams,
    opened,
    rewind,
    video_stream,
)
from ..damage import LOAD, StreamDamage
from ..memory_budget import Reservation
from ..packets import packets
from ..truncation import is_truncated, mp3_frame_bytes
from .audio_timeline import LEAD_SECONDS, AudioTimeline

if TYPE_CHECKING:
    from av.container import InputContainer

SAMPLE_BYTES = 2 * 4  # a float32 as decoded, and the same in the result
MISSING_SECONDS = Fraction(1, 10)  # of rounding and padding at the end that do not count as missing


def load(
    source: File | Path,
    name: str,
    start_seconds: float,
    duration_seconds: float,
    meter: Meter,
    on_damage: str = LOAD,
    free_bytes: Callable[[], int] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return AUDIO with a waveform [1, channels, samples], and sentences on what is damaged or missing.

    A duration of 0 means to the end. ``free_bytes`` returns how much memory is free; None means enough. Runs
    in a worker thread; ``meter`` stops it. Raises MediaError if the file has no audio, ends before
    ``start_seconds``, does not fit into memory, or is damaged within the window and ``on_damage`` is
    ``fail``; whatever the source raises; TransferCancelled.
    """
    if start_seconds < 0 or duration_seconds < 0:
        raise _unreadable(name, "the start or the duration is negative", "Set them to 0 or more.")
    start = Fraction(start_seconds).limit_denominator(MICROSECONDS)
    end = start + Fraction(duration_seconds).limit_denominator(MICROSECONDS) if duration_seconds else None
    damage = StreamDamage("an audio file", name, on_damage)
    reserved = Reservation("load the audio", name, free_bytes)
    with opened(source, name, "an audio file") as container, reserved as reservation:
        stream = audio_stream(container)
        if stream is None:
            if video_stream(container) is None:
                said = "it has neither audio nor video that can be decoded"
                raise _unreadable(name, said, "Choose the key of an audio file.")
            raise _unreadable(name, "it has no audio", "Load Video from Cloud reads its video.")
        discard_other_streams(container, [stream])
        memory = _Memory(reservation, start)
        decoding = _Decoding(container, source, stream, damage, meter, memory)
        decoding.run(start, end)
        timeline = decoding.timeline
        if not timeline.rate:
            raise _unreadable(name, "none of its audio can be decoded", "Upload it again.")
        if timeline.seconds <= start:
            said = f"it is {float(timeline.seconds):.2f} s long, and start_seconds is {float(start):.2f}"
            raise _unreadable(name, said, "Set start_seconds lower.")
        samples = timeline.window(start, None if end is None else min(end, timeline.seconds))
    return {"waveform": torch.from_numpy(samples)[None], "sample_rate": timeline.rate}, damage.lines()


class _Memory:
    """Reserves memory for the audio from ``start`` on, while it is decoded."""

    def __init__(self, reservation: Reservation, start: Fraction) -> None:
        self._reservation, self._start, self._filled = reservation, start, 0

    def reserve(self, timeline: AudioTimeline, end: Fraction | None) -> None:
        """Reserve memory for what was decoded and a quarter more. Raises MediaError if it does not fit."""
        seconds = (timeline.seconds if end is None else min(timeline.seconds, end)) - self._start
        second = timeline.rate * timeline.channels * SAMPLE_BYTES
        needed = max(0, int(seconds * second))

        def advice(available: int) -> str:
            fitting = available // second
            return f"Set duration_seconds to {fitting} or less." if fitting else "Free memory."

        if needed > self._reservation.reserved:
            what = f"{float(seconds):.0f} s of {timeline.channels} channels at {timeline.rate} Hz take"
            self._reservation.reserve(needed, what, advice, wanted=needed + needed // 4)
        if needed // 2 > self._filled:  # the other half is the result, which does not exist yet
            self._reservation.filled(needed // 2 - self._filled)
            self._filled = needed // 2


class _Decoding:
    """Decodes the audio of an open file into ``timeline``."""

    def __init__(
        self,
        container: InputContainer,
        source: File | Path,
        stream: Any,  # noqa: ANN401  an AudioStream
        damage: StreamDamage,
        meter: Meter,
        memory: _Memory,
    ) -> None:
        self._container, self._source, self._stream = container, source, stream
        self._damage, self._meter, self._memory = damage, meter, memory
        self._format = demuxer(container.format.name)
        self._is_mp3 = self._format.name == "mp3"
        self._stopped = list[str]()  # FFmpeg's message if it could not read on
        self._last_is_broken = False  # the last packet is incomplete
        self.timeline = AudioTimeline()

    def run(self, start: Fraction, end: Fraction | None) -> None:
        """Decode from ``start`` or a little earlier to ``end``, or to the end of the file."""
        instant = start - LEAD_SECONDS
        if instant > 0 and self._format.seeks:
            zero = self._container_start()
            self._container.seek(round((zero + instant) / self._stream.time_base), stream=self._stream)
            if self._decode(zero, start, end, sought=True):
                return
            rewind(self._container)
            self._stream.codec_context.flush_buffers()
        self._decode(None, start, end, sought=False)

    def _container_start(self) -> Fraction:
        """Return the time of the file that counts as zero: its start, which may be that of its video."""
        return Fraction(self._container.start_time or 0, MICROSECONDS)

    def _decode(self, zero: Fraction | None, start: Fraction, end: Fraction | None, sought: bool) -> bool:
        """Fill a new timeline. Returns False if a seek found no audio, or only audio after ``start``.

        ``zero`` None is determined here: an audio file begins with its first sample, whatever its header
        says.
        """
        self.timeline = AudioTimeline()
        for frame in self._frames(start):
            if zero is None or not self.timeline.rate:
                shown = None if frame.pts is None else Fraction(frame.pts * frame.time_base)
                if zero is None:
                    zero = self._container_start()
                    if shown is not None and video_stream(self._container) is None:
                        zero = shown
                elif sought and shown is not None and shown - zero > start:
                    return False
                self.timeline = AudioTimeline(zero)
            self.timeline.add(frame)
            self.timeline.forget(start)
            self._memory.reserve(self.timeline, end)
            if end is not None and self.timeline.seconds >= end:
                return True
        if sought and not self.timeline.rate:
            return False  # the file ends before ``start``, or the seek failed
        self.timeline.finish()
        self._note_the_end()
        return True

    def _frames(self, start: Fraction) -> Iterator[Any]:
        import av

        # Times of packets that failed; no loss if only bytes that are no audio follow.
        undecoded = list[Fraction]()
        for _, packet in packets(self._container, [self._stream], self._source, self._stopped.append):
            self._meter.check()
            whole = None
            if packet.size:
                whole = mp3_frame_bytes(bytes(memoryview(packet)[:4])) if self._is_mp3 else None
                self._last_is_broken = packet.is_corrupt or (whole or 0) > packet.size
            frames = list[Any]()
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.FFmpegError:
                self._last_is_broken = True
                undecoded.append(self.timeline.seconds)
            if frames or whole is not None or not self._is_mp3:
                for seconds in undecoded:
                    if seconds >= start - LEAD_SECONDS:
                        self._damage.audio(seconds)
                undecoded.clear()
            yield from frames

    def _note_the_end(self) -> None:
        """Note audio that ends too early. The header's duration counts only if the bytes end in mid-frame."""
        seconds = self.timeline.seconds
        if self._stopped:
            self._damage.ends(f"damaged after {float(seconds):.2f} s: {self._stopped[0]}")
        elif self._is_cut_off(seconds):
            self._damage.ends(f"cut off after {float(seconds):.2f} s")

    def _is_cut_off(self, seconds: Fraction) -> bool:
        stream, stated = self._stream, None
        if stream.duration is not None:
            stated = Fraction(stream.duration * stream.time_base)
        samples_are_missing = stated is not None and seconds < stated - max(MISSING_SECONDS, stated / 50)
        if is_truncated(self._source):
            return samples_are_missing or not self._format.vague_length or stated is None
        return samples_are_missing and self._last_is_broken


def _unreadable(name: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("read an audio file", name, said, advice))
