"""Reads the frames of a video from a wanted one on, each with its number and its time, and the audio.

``damage`` notes what is damaged or missing; the rest is returned. Durations and frame rates in the file are
hints.

Seeks to a key frame near the first frame wanted only if its number or time is certain: by time if the window
counts in time, by a complete index if it counts frames. Otherwise it decodes from the start, which is slower
and always right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..audio.audio_timeline import LEAD_SECONDS, AudioTimeline
from ..container import (
    MICROSECONDS,
    File,
    audio_stream,
    demuxer,
    discard_other_streams,
    has_alpha_beside_frames,
    opened,
    rewind,
    video_stream,
)
from ..damage import StreamDamage
from ..packets import SkippedParts, packets
from ..truncation import is_truncated
from .frame_window import TOLERANCE_SECONDS, TimedFrame, Window

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

EARLIER_SECONDS = (0, 2, 8, 32)  # before the time wanted, tried in turn: some files are sought imprecisely
AUDIO_BEHIND_SECONDS = 30  # how much later in the file the audio of a frame may be
FALLBACK_RATE = Fraction(25)  # for a file without a frame rate

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders ignore alpha


class VideoReader:
    """Reads an open video file. Used by one thread. Raises MediaError if it has no video.

    ``single_threaded`` decoding is slower, but a frame that fails does not cost others.
    """

    def __init__(
        self,
        container: InputContainer,
        source: File | Path,
        name: str,
        meter: Meter,
        damage: StreamDamage | None = None,
        single_threaded: bool = False,
    ) -> None:
        self.container, self.name = container, name
        self.damage = damage or StreamDamage("a video", name)
        self._source, self._meter, self._single_threaded = source, meter, single_threaded
        stream = video_stream(container)
        if stream is None:
            said, advice = (
                "it has neither video nor audio that can be decoded",
                "Choose the key of a video.",
            )
            if audio_stream(container) is not None:
                said, advice = "it has audio and no video", "Load Audio from Cloud reads it."
            raise MediaError(sentence("read a video", name, said, advice))
        self.stream: Any = stream
        self.audio: Any = audio_stream(container)
        self.format = demuxer(container.format.name)
        self._wanted = [stream] if self.audio is None else [stream, self.audio]
        discard_other_streams(container, self._wanted)
        self._decoder = _decoder(stream, single_threaded)
        self._packets: Iterator[tuple[Any, Any]] = iter(())
        self._moved = False
        self.counted = 0  # frames, known once all of them have been decoded
        self.timeline = AudioTimeline()

    # ------------------------------------------------------------------------------------ properties

    @property
    def rate(self) -> Fraction:
        """Frames per second; the average if it varies."""
        stream = self.stream
        return Fraction(stream.average_rate or stream.base_rate or stream.guessed_rate or FALLBACK_RATE)

    @property
    def start(self) -> Fraction:
        """The file's time of the first frame, from which all other times count."""
        return Fraction((self.stream.start_time or 0) * self.stream.time_base)

    @property
    def seconds(self) -> Fraction:
        """The duration in the file's header; 0 if there is none."""
        if self.stream.duration is not None:
            return Fraction(self.stream.duration * self.stream.time_base)
        return Fraction(self.container.duration or 0, MICROSECONDS)

    @property
    def count(self) -> int:
        """The number of frames: counted, or the file's own count, or an estimate."""
        return self.counted or int(self.stream.frames or round(self.seconds * self.rate))

    # ------------------------------------------------------------------------------------ frames

    def frames(self, window: Window) -> Iterator[TimedFrame]:
        """Yield the frames in presentation order, from the first one that ``window`` wants or an earlier one.

        Meanwhile ``timeline`` collects the audio, and drops what is before the window. Raises MediaError if
        ``damage`` does.
        """
        for timestamp in self._entries(window):
            found = self._from(timestamp, window)
            first = next(found, None)
            if first is not None and (timestamp is None or not _is_late(first, window)):
                return itertools.chain([first], found)
        return iter(())

    def decode_audio_until(self, end: Fraction) -> None:
        """Collect the audio before a time that the file stores after the last frame read.

        Stops AUDIO_BEHIND_SECONDS after that time. Otherwise it would read the whole file if the audio track
        is shorter than the video.
        """
        last = self.start + end + AUDIO_BEHIND_SECONDS
        while self.audio is not None and self.timeline.seconds < end:
            stream, packet = next(self._packets, (None, None))
            if stream is None or packet is None:
                return
            self._meter.check()
            if stream.index == self.audio.index:
                self._decode_audio(packet)
            elif packet.dts is not None and packet.dts * self.stream.time_base > last:
                return

    def _entries(self, window: Window) -> Iterator[int | None]:
        """Yield times to seek, in the stream's unit, the nearest first; then None, the start of the file."""
        lead = LEAD_SECONDS if self.audio is not None else Fraction(0)
        if self.format.seeks and window.start_seconds is not None:
            for earlier in EARLIER_SECONDS:
                instant = window.start_seconds - lead - earlier
                if instant > 0:
                    yield round((self.start + instant) / self.stream.time_base)
        elif self.format.seeks and window.skip_first_frames:
            index = self._index()
            place = window.skip_first_frames - math.ceil(lead * self.rate)
            keys = [entry.timestamp for entry in index[: max(0, place) + 1] if entry.is_keyframe]
            for decoded_at in keys[:0:-1][:2]:  # the start of the file is an entry of its own
                # A seek needs the presentation time of a key frame; the index has its decoding time.
                yield decoded_at + (self.stream.start_time or 0) - index[0].timestamp
        yield None

    def _index(self) -> list[Any]:
        """Return the file's index, in decoding order, if it has every frame; else []. PyAV 14 has none."""
        entries = list(getattr(self.stream, "index_entries", None) or ())
        complete = len(entries) == self.stream.frames and not any(entry.is_discard for entry in entries)
        return entries if complete else []

    def _place(self, decoded_at: int) -> int:
        """Return the number of a packet in decoding order; the number of entries if the index lacks it."""
        index = self._index()
        found = [place for place, entry in enumerate(index) if entry.timestamp == decoded_at]
        return found[0] if found else len(index)

    def _from(self, timestamp: int | None, window: Window) -> Iterator[TimedFrame]:
        """Decode from a key frame on. If the window counts frames, its number is found in the index.

        Frames that follow it in the file but are shown before it depend on earlier frames. They are left out
        and counted: their count is the difference between the key frame's numbers in decoding and in
        presentation order.
        """
        self._go_to(timestamp)
        key, leading, held = None, 0, list[Any]()
        index, seconds = 0, Fraction(0)
        settled = timestamp is None or window.start_seconds is not None
        for stream, packet in self._packets:
            self._meter.check()
            self._skipped.look(packet)
            if stream.index != self.stream.index:
                self._decode_audio(packet)
                continue
            if timestamp is not None and key is None:
                if not packet.is_keyframe:
                    continue
                key = packet.pts
                if window.start_seconds is None:
                    index = self._place(packet.dts)
            elif not settled:
                settled = packet.pts is None or packet.pts > key
                leading += not settled
            frames = self._decode(packet, index + leading + len(held), seconds, window)
            if frames is None:
                yield from self._again(window, index + leading)
                return
            held += [frame for frame in frames if None in (key, frame.pts) or frame.pts >= key]
            if settled:
                for frame in held:
                    place, before = index + leading, seconds
                    seconds = self._instant(frame, place, seconds)
                    if _is_ahead_of(place, seconds, window):
                        self.timeline.forget(seconds)
                    elif place and self._skipped.near(self.start + seconds):
                        self._note_gap(before, seconds)
                    yield TimedFrame(place, seconds, frame)
                    index += 1
                held.clear()
        if timestamp is None:
            self.counted = index
        self._note_the_end(index + leading, seconds)

    def _again(self, window: Window, place: int) -> Iterator[TimedFrame]:
        """Yield the frames from number ``place`` on, decoded again from the start and in one thread.

        A decoder with several threads loses the frames that it is working on if one of them fails at the end
        of the file: PyAV drops them with the error.
        """
        self.damage.forget_lost()
        with opened(self._source, self.name, "a video") as container:
            again = VideoReader(
                container, self._source, self.name, self._meter, self.damage, single_threaded=True
            )
            for timed in again.frames(window):
                self.timeline, self.counted = again.timeline, again.counted
                if timed.index >= place:
                    yield timed
            self.timeline, self.counted = again.timeline, again.counted

    def _go_to(self, timestamp: int | None) -> None:
        self.timeline = AudioTimeline(self.start)
        if timestamp is not None:
            self.container.seek(timestamp, stream=self.stream)
        elif self._moved:
            rewind(self.container)
        self._moved = True
        self._decoder.flush_buffers()
        self._skipped = SkippedParts(self.container, self._wanted)
        self._stopped = list[str]()
        self._packets = packets(self.container, self._wanted, self._source, self._stopped.append)

    def _decode(self, packet: Any, index: int, seconds: Fraction, window: Window) -> list[Any] | None:  # noqa: ANN401
        """Return the frames that a packet completes; None if the last frames have to be decoded again."""
        import av

        try:
            return list(self._decoder.decode(packet))
        except av.FFmpegError:
            if not packet.size and not self._single_threaded:
                return None
            if not _is_ahead_of(index, seconds, window):
                self.damage.lost(seconds)
            return []

    def _decode_audio(self, packet: Any) -> None:  # noqa: ANN401
        import av

        try:
            for frame in self.audio.codec_context.decode(packet):
                self.timeline.add(frame)
            if not packet.size:
                self.timeline.finish()
        except av.FFmpegError:  # silence instead
            if packet.pts is not None:
                self.damage.audio(max(Fraction(0), packet.pts * packet.time_base - self.start))

    def _instant(self, frame: VideoFrame, index: int, last: Fraction) -> Fraction:
        if not self.format.timed:
            return index / self.rate
        if frame.pts is None or frame.time_base is None:
            return last + 1 / self.rate if index else Fraction(0)
        return frame.pts * frame.time_base - self.start

    def _note_gap(self, before: Fraction, seconds: Fraction) -> None:
        """Note the frames that are missing between two times, by the frame rate."""
        for number in range(1, round((seconds - before) * self.rate)):
            self.damage.lost(before + number / self.rate)

    def _note_the_end(self, count: int, seconds: Fraction) -> None:
        """Note a video that ends too early: FFmpeg could not read on, or bytes are missing."""
        where = f"after {float(seconds):.2f} s" if count else "before its first frame"
        if self._stopped:
            self.damage.ends(f"damaged {where}: {self._stopped[0]}")
        elif is_truncated(self._source) and (
            not self.format.vague_length or seconds + 2 / self.rate < (self.seconds or math.inf)
        ):
            self.damage.ends(f"cut off {where}")


def _is_late(timed: TimedFrame, window: Window) -> bool:
    """Return whether the first frame wanted was missed."""
    if window.start_seconds is None:
        return timed.index > window.skip_first_frames
    return timed.seconds > window.start_seconds + TOLERANCE_SECONDS


def _is_ahead_of(index: int, seconds: Fraction, window: Window) -> bool:
    if window.start_seconds is None:
        return index < window.skip_first_frames
    return seconds < window.start_seconds


def _decoder(stream: Any, single_threaded: bool) -> Any:  # noqa: ANN401  PyAV's
    """Return the decoder of a stream; for a stream with alpha, one that keeps it."""
    import av

    context = stream.codec_context
    context.thread_type = "SLICE" if single_threaded else "AUTO"
    name = _ALPHA_DECODERS.get(context.name, "")
    if not has_alpha_beside_frames(stream) or name not in av.codecs_available:
        return context
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = context.extradata
    decoder.thread_type = context.thread_type
    return decoder
