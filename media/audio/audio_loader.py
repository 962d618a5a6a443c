"""Any file that holds sound to AUDIO.

Files are read by range where the source is one, from a little before the first sample wanted. What can be
decoded is given; what is damaged or missing is told in notes. No header is believed on how long it is, so
memory is asked for while the sound comes, and what does not fit is refused with the numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..audio_stream import Recorder
from ..container import demuxer, opened, picture_stream, sound_stream
from ..damage import LOAD
from ..memory_budget import Promise
from ..packets import packets
from ..recording_damage import RecordingDamage
from ..truncation import File, is_cut_off, mp3_frame_bytes
from ..video.video_reader import SOUND_LEAD_SECONDS, leave_out_others, rewind

if TYPE_CHECKING:
    from av.container import InputContainer

MICROSECONDS = 1_000_000  # a second in FFmpeg's own unit
SPARE_BYTES = 300 << 20  # for the decoder, and what is read ahead
SAMPLE_BYTES = 2 * 4  # a float32 as it was decoded, and the same in the result
MISSING_SECONDS = Fraction(1, 10)  # at the end that do not count as missing: rounding, padding


def load(
    source: File | Path,
    name: str,
    start_seconds: float,
    duration_seconds: float,
    meter: Meter,
    on_damage: str = LOAD,
    free_bytes: Callable[[], int] | None = None,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The sound of a file as AUDIO with a waveform [1, channels, samples], and in plain sentences what is
    damaged or missing of it; 0 seconds long is to its end.

    Runs in a worker thread, stopped by ``meter``. ``free_bytes`` tells how much memory is free, None for
    enough. Raises MediaError for what has no sound, ends before ``start_seconds`` or does not fit, and for
    damage within the window where ``on_damage`` is ``fail``; what the source raises; TransferCancelled.
    """
    if start_seconds < 0 or duration_seconds < 0:
        raise _unreadable(name, "start and duration are not negative", "Set them to 0 or more.")
    start = Fraction(start_seconds).limit_denominator(MICROSECONDS)
    end = start + Fraction(duration_seconds).limit_denominator(MICROSECONDS) if duration_seconds else None
    damage = RecordingDamage("a sound", name, on_damage)
    with opened(source, name, "a sound") as container, Promise(free_bytes or _enough) as promise:
        stream = sound_stream(container)
        if stream is None:
            if picture_stream(container) is None:
                said = "it holds neither sound nor pictures that can be decoded"
                raise _unreadable(name, said, "Choose the key of a sound.")
            raise _unreadable(name, "there is no sound in it", "Load Video from Cloud reads pictures.")
        leave_out_others(container, [stream])
        reading = _Reading(container, source, stream, damage, meter, _Room(promise, name, start))
        reading.read(start, end)
        recorder = reading.recorder
        if not recorder.rate:
            raise _unreadable(name, "no sound can be decoded from it", "Upload it again.")
        if recorder.seconds <= start:
            said = f"it is {float(recorder.seconds):.2f} s long and {float(start):.2f} s are to be skipped"
            raise _unreadable(name, said, "Set start_seconds lower.")
        samples = recorder.window(start, None if end is None else min(end, recorder.seconds))
    return {"waveform": torch.from_numpy(samples)[None], "sample_rate": recorder.rate}, damage.lines()


def _enough() -> int:
    return 1 << 62


class _Room:
    """Memory for the sound from ``start`` on, promised while it comes. For one recorder."""

    def __init__(self, promise: Promise, name: str, start: Fraction) -> None:
        self._promise, self._name, self._start = promise, name, start
        self._promised = self._filled = 0

    def ask(self, recorder: Recorder, end: Fraction | None) -> None:
        """Have room for what was recorded, and a quarter more. Raises MediaError where there is none."""
        reach = recorder.seconds if end is None else min(recorder.seconds, end)
        second = recorder.rate * recorder.channels * SAMPLE_BYTES
        needed = max(0, int((reach - self._start) * second))
        if needed > self._promised:

            def choose(free: int) -> int:
                room = max(0, free - SPARE_BYTES)
                if needed - self._promised > room:
                    raise self._refused(recorder, reach - self._start, needed, self._promised + room)
                return min(needed + needed // 4 - self._promised, room)

            self._promised += self._promise.take(choose)
        if needed // 2 > self._filled:  # the result is not there yet
            self._promise.filled(needed // 2 - self._filled)
            self._filled = needed // 2

    def _refused(self, recorder: Recorder, seconds: Fraction, needed: int, room: int) -> MediaError:
        said = (
            f"{float(seconds):.0f} s of {recorder.channels} channels at {recorder.rate} Hz take "
            f"{needed / 1e9:.1f} GB, and {room / 1e9:.1f} GB of memory are free for them"
        )
        fitting = room // (recorder.rate * recorder.channels * SAMPLE_BYTES)
        advice = f"Set duration_seconds to {fitting} or less." if fitting else "Free memory."
        return MediaError(sentence("load the sound", self._name, said, advice))


class _Reading:
    """The sound of an open file on its way into ``recorder``."""

    def __init__(
        self,
        container: InputContainer,
        source: File | Path,
        stream: Any,  # noqa: ANN401  an AudioStream
        damage: RecordingDamage,
        meter: Meter,
        room: _Room,
    ) -> None:
        self._room = room
        self._container, self._source, self._stream = container, source, stream
        self._damage, self._meter = damage, meter
        self._row = demuxer(container.format.name)
        self._stopped = ""  # what FFmpeg said where it could not read on
        self._broken_end = False  # the last packet is not whole
        self.recorder = Recorder()

    def read(self, start: Fraction, end: Fraction | None) -> None:
        """Record from ``start`` or a little earlier to ``end``, or to the end of the file."""
        instant = start - SOUND_LEAD_SECONDS
        if instant > 0 and self._row.seeks:
            zero = self._zero()
            self._container.seek(round((zero + instant) / self._stream.time_base), stream=self._stream)
            if self._record(zero, start, end, sought=True):
                return
            rewind(self._container)
            self._stream.codec_context.flush_buffers()
        self._record(None, start, end, sought=False)

    def _zero(self) -> Fraction:
        """The instant of the file's clock that counts as zero: its start, be it that of pictures."""
        return Fraction(self._container.start_time or 0, MICROSECONDS)

    def _record(self, zero: Fraction | None, start: Fraction, end: Fraction | None, sought: bool) -> bool:
        """Fill a new recorder; False where ``sought`` and there is no sound, or only behind ``start``.

        ``zero`` None is to be found: a file of sound alone begins with its first sample, whatever it says.
        """
        self.recorder = Recorder()
        for frame in self._frames(start):
            if zero is None or not self.recorder.rate:
                shown = None if frame.pts is None else Fraction(frame.pts * frame.time_base)
                if zero is None:
                    zero = self._zero()
                    if shown is not None and picture_stream(self._container) is None:
                        zero = shown
                elif sought and shown is not None and shown - zero > start:
                    return False
                self.recorder = Recorder(zero)
            self.recorder.add(frame)
            self.recorder.forget(start)
            self._room.ask(self.recorder, end)
            if end is not None and self.recorder.seconds >= end:
                return True
        if sought and not self.recorder.rate:
            return False  # the file ends before ``start``, or could not be sought
        self.recorder.finish()
        self._note_the_end()
        return True

    def _frames(self, start: Fraction) -> Any:  # noqa: ANN401
        import av

        unread = list[Fraction]()  # moments; nothing was lost where only what is no sound follows
        for _, packet in packets(self._container, [self._stream], self._source, self._stop):
            self._meter.check()
            whole = None
            if packet.size:
                whole = mp3_frame_bytes(bytes(memoryview(packet)[:4])) if self._is_mp3 else None
                self._broken_end = packet.is_corrupt or (whole or 0) > packet.size
            frames = list[Any]()
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.FFmpegError:
                self._broken_end = True
                unread.append(self.recorder.seconds)
            if frames or whole is not None or not self._is_mp3:
                for moment in unread:
                    if moment >= start - SOUND_LEAD_SECONDS:
                        self._damage.sound(moment)
                unread.clear()
            yield from frames

    @property
    def _is_mp3(self) -> bool:
        return self._row.name == "mp3"

    def _stop(self, said: str) -> None:
        self._stopped = said

    def _note_the_end(self) -> None:
        """Note a sound that ends early. What a header says of its length is believed only where the bytes
        end in the middle of something.
        """
        seconds = self.recorder.seconds
        if self._stopped:
            self._damage.ends(f"damaged after {float(seconds):.2f} s: {self._stopped}")
        elif self._is_cut_off(seconds):
            self._damage.ends(f"cut off after {float(seconds):.2f} s")

    def _is_cut_off(self, seconds: Fraction) -> bool:
        stream, stated = self._stream, None
        if stream.duration is not None:
            stated = Fraction(stream.duration * stream.time_base)
        with contextlib.ExitStack() as stack:
            source = self._source
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            bytes_are_missing = is_cut_off(file)
        samples_are = stated is not None and seconds < stated - max(MISSING_SECONDS, stated / 50)
        if bytes_are_missing:
            return samples_are or not self._row.vague_length or stated is None
        return samples_are and self._broken_end


def _unreadable(name: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence("read a sound", name, said, advice))
