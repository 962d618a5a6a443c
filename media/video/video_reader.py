"""Reads a film: its pictures from wherever they are wanted, each with its place and its time, and its sound.

What is damaged or missing is noted in ``damage``; the rest comes. Lengths and rates that the file states are
hints.

The rule: places and times are the file's own. A key frame near the first picture wanted is sought only where
its place can be known: by its time where the window counts in time, by a complete index where it counts
pictures. Everything else is decoded from the start, which is slower and never wrong.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..audio_stream import Recorder
from ..container import demuxer, has_side_alpha, opened, picture_stream, sound_stream
from ..packets import Holes, packets
from ..recording_damage import RecordingDamage
from ..truncation import File, is_cut_off
from .frame_window import TOLERANCE_SECONDS, Window

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

SOUND_LEAD_SECONDS = Fraction(1, 10)  # decoded before a window begins: codecs need it to be in full voice
EARLIER_SECONDS = (0, 2, 8, 32)  # before the instant wanted: some files are sought only roughly
REWIND_MICROSECONDS = 10_000_000
SOUND_BEHIND_SECONDS = 30  # how far the sound of an instant may lie behind its picture in a file
FALLBACK_RATE = Fraction(25)  # of a file that tells none

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own do not look at it


@dataclass(frozen=True)
class Picture:
    """A decoded frame, its place in the order of showing from 0, and the instant it is shown at."""

    index: int
    seconds: Fraction
    frame: VideoFrame


@dataclass(frozen=True)
class _Entry:
    """Where decoding may begin: an instant to seek, in the stream's own unit; None is the start of the film.

    ``counted`` says that the places of pictures count, and have to be found in the index.
    """

    timestamp: int | None = None
    counted: bool = True


class Film:
    """An opened film, used by one thread. Raises MediaError where there are no pictures.

    ``careful`` decodes in one thread: then what fails to decode costs no picture but itself.
    """

    def __init__(
        self,
        container: InputContainer,
        source: File | Path,
        name: str,
        meter: Meter,
        damage: RecordingDamage | None = None,
        careful: bool = False,
    ) -> None:
        self.container, self.name = container, name
        self.damage = damage or RecordingDamage("a video", name)
        self._source, self._meter, self._careful = source, meter, careful
        stream = picture_stream(container)
        if stream is None:
            raise self._without_pictures()
        self.stream: Any = stream
        self.sound: Any = sound_stream(container)
        self.row = demuxer(container.format.name)
        self._wanted = [stream] if self.sound is None else [stream, self.sound]
        leave_out_others(container, self._wanted)
        self._decoder = _decoder(stream, careful)
        self._packets: Iterator[tuple[Any, Any]] = iter(())
        self._moved = False
        self.counted = 0  # pictures, once all of them have been decoded
        self.recorder = Recorder()

    # ------------------------------------------------------------------------------------ what it is

    @property
    def rate(self) -> Fraction:
        """Pictures a second, on average where they vary."""
        stream = self.stream
        return Fraction(stream.average_rate or stream.base_rate or stream.guessed_rate or FALLBACK_RATE)

    @property
    def start(self) -> Fraction:
        """The instant of the file's clock at which the first picture is shown; all others count from it."""
        return Fraction((self.stream.start_time or 0) * self.stream.time_base)

    @property
    def seconds(self) -> Fraction:
        """How long the file says that it lasts; 0 where it says nothing."""
        if self.stream.duration is not None:
            return Fraction(self.stream.duration * self.stream.time_base)
        return Fraction(self.container.duration or 0, 1_000_000)

    @property
    def frames(self) -> int:
        """How many pictures there are, by the file's own count, or about as many."""
        return self.counted or int(self.stream.frames or round(self.seconds * self.rate))

    # ------------------------------------------------------------------------------------ pictures

    def pictures(self, window: Window) -> Iterator[Picture]:
        """The pictures in order of showing, from the first one that ``window`` wants or an earlier one.

        ``recorder`` takes up the sound meanwhile, and forgets what lies before the window. Raises MediaError
        where ``damage`` does.
        """
        for entry in self._entries(window):
            found = self._from(entry, window)
            first = next(found, None)
            if first is not None and (entry.timestamp is None or not _is_late(first, window)):
                return itertools.chain([first], found)
        return iter(())

    def hear_until(self, end: Fraction) -> None:
        """Let ``recorder`` take up the sound before an instant that the file has behind the last picture.

        It looks SOUND_BEHIND_SECONDS of pictures ahead: a sound track that is shorter than its film would
        else make it read the whole file.
        """
        last = self.start + end + SOUND_BEHIND_SECONDS
        while self.sound is not None and self.recorder.seconds < end:
            stream, packet = next(self._packets, (None, None))
            if stream is None or packet is None:
                return
            self._meter.check()
            if stream.index == self.sound.index:
                self._hear(packet)
            elif packet.dts is not None and packet.dts * self.stream.time_base > last:
                return

    def _entries(self, window: Window) -> Iterator[_Entry]:
        """Where to begin, the nearest first and the start of the film last."""
        lead = SOUND_LEAD_SECONDS if self.sound is not None else Fraction(0)
        if self.row.seeks and window.start_seconds is not None:
            for earlier in EARLIER_SECONDS:
                instant = window.start_seconds - lead - earlier
                if instant > 0:
                    yield _Entry(round((self.start + instant) / self.stream.time_base), counted=False)
        elif self.row.seeks and window.skip_first_frames:
            index = self._index()
            place = window.skip_first_frames - math.ceil(lead * self.rate)
            keys = [entry.timestamp for entry in index[: max(0, place) + 1] if entry.is_keyframe]
            for decoded_at in keys[:0:-1][:2]:  # the start of the film is an entry of its own
                # A key is sought by when it is shown, and the index has when it is decoded.
                yield _Entry(decoded_at + (self.stream.start_time or 0) - index[0].timestamp)
        yield _Entry()

    def _index(self) -> list[Any]:
        """The file's index in order of decoding if it has every picture; else nothing. PyAV 14 gives none."""
        entries = list(getattr(self.stream, "index_entries", None) or ())
        complete = len(entries) == self.stream.frames and not any(entry.is_discard for entry in entries)
        return entries if complete else []

    def _place(self, decoded_at: int) -> int:
        """The place of a packet in the order of decoding; behind all where the index does not have it."""
        index = self._index()
        found = [place for place, entry in enumerate(index) if entry.timestamp == decoded_at]
        return found[0] if found else len(index)

    def _from(self, entry: _Entry, window: Window) -> Iterator[Picture]:
        """Decode from a key frame on.

        Pictures that follow it in the file but are shown before it cannot be decoded without what lies before
        it. They are left out; their number is what its places of decoding and of showing differ by.
        """
        self._go_to(entry)
        key, leading, held = None, 0, list[Any]()
        index, seconds = 0, Fraction(0)
        settled = entry.timestamp is None or not entry.counted
        for stream, packet in self._packets:
            self._meter.check()
            self._holes.look(packet)
            if stream.index != self.stream.index:
                self._hear(packet)
                continue
            if entry.timestamp is not None and key is None:
                if not packet.is_keyframe:
                    continue
                key = packet.pts
                if entry.counted:
                    index = self._place(packet.dts)
            elif not settled:
                settled = packet.pts is None or packet.pts > key
                leading += not settled
            frames = self._decode(packet, index + leading + len(held), seconds, window)
            if frames is None:
                yield from self._again(window, index + leading)
                return
            held += [frame for frame in frames if not _is_before(frame, key)]
            if settled:
                for frame in held:
                    place, before = index + leading, seconds
                    seconds = self._instant(frame, place, seconds)
                    if _is_ahead_of(place, seconds, window):
                        self.recorder.forget(seconds)
                    elif place and self._holes.near(self.start + seconds):
                        self._note_gap(before, seconds)
                    yield Picture(place, seconds, frame)
                    index += 1
                held.clear()
        if entry.timestamp is None:
            self.counted = index
        self._note_the_end(index + leading, seconds)

    def _again(self, window: Window, place: int) -> Iterator[Picture]:
        """The pictures from ``place`` on, by a second reading of the file, from its start and in one thread.

        Decoders that work on several pictures at once give none of those under way when one of them fails as
        the file ends: PyAV drops them with the error.
        """
        self.damage.read_again()
        with opened(self._source, self.name, "a video") as container:
            film = Film(container, self._source, self.name, self._meter, self.damage, careful=True)
            for picture in film.pictures(window):
                self.recorder, self.counted = film.recorder, film.counted
                if picture.index >= place:
                    yield picture
            self.recorder, self.counted = film.recorder, film.counted

    def _go_to(self, entry: _Entry) -> None:
        self.recorder = Recorder(self.start)
        if entry.timestamp is not None:
            self.container.seek(entry.timestamp, stream=self.stream)
        elif self._moved:
            rewind(self.container)
        self._moved = True
        self._decoder.flush_buffers()
        self._holes = Holes(self.container, self._wanted)
        self._packets = packets(self.container, self._wanted, self._source, self._stop_reading)
        self._stopped = ""

    def _stop_reading(self, said: str) -> None:
        self._stopped = said

    def _decode(self, packet: Any, index: int, seconds: Fraction, window: Window) -> list[Any] | None:  # noqa: ANN401
        """The pictures that come with a packet; None where the last of them have to be decoded again."""
        import av

        try:
            return list(self._decoder.decode(packet))
        except av.FFmpegError:
            if not packet.size and not self._careful:
                return None
            if not _is_ahead_of(index, seconds, window):
                self.damage.lost(seconds)
            return []

    def _hear(self, packet: Any) -> None:  # noqa: ANN401
        import av

        try:
            for frame in self.sound.codec_context.decode(packet):
                self.recorder.add(frame)
            if not packet.size:
                self.recorder.finish()
        except av.FFmpegError:  # a moment of silence
            if packet.pts is not None:
                self.damage.sound(max(Fraction(0), packet.pts * packet.time_base - self.start))

    def _instant(self, frame: VideoFrame, index: int, last: Fraction) -> Fraction:
        if not self.row.timed:
            return index / self.rate
        if frame.pts is None or frame.time_base is None:
            return last + 1 / self.rate if index else Fraction(0)
        return frame.pts * frame.time_base - self.start

    def _note_gap(self, before: Fraction, seconds: Fraction) -> None:
        """Note the pictures that are missing between two, by the rate."""
        for number in range(1, round((seconds - before) * self.rate)):
            self.damage.lost(before + number / self.rate)

    def _note_the_end(self, count: int, seconds: Fraction) -> None:
        """Note a film that ends early: FFmpeg could not read on, or bytes are missing."""
        behind = f"after {float(seconds):.2f} s" if count else "before its first frame"
        if self._stopped:
            self.damage.ends(f"damaged {behind}: {self._stopped[0].lower()}{self._stopped[1:]}")
            return
        with contextlib.ExitStack() as stack:
            source = self._source
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            if not is_cut_off(file):
                return
        if not self.row.vague_length or seconds + 2 / self.rate < (self.seconds or math.inf):
            self.damage.ends(f"cut off {behind}")

    def _without_pictures(self) -> MediaError:
        if sound_stream(self.container) is not None:
            return self._refusal("it holds sound and no pictures", "Load Audio from Cloud reads it.")
        said = "it holds neither pictures nor sound that can be decoded"
        return self._refusal(said, "Choose the key of a video.")

    def _refusal(self, said: str, advice: str) -> MediaError:
        return MediaError(sentence("read a video", self.name, said, advice))


def rewind(container: InputContainer) -> None:
    """Go to the first packet. Asked for the first instant itself, a transport stream gives the next key."""
    container.seek((container.start_time or 0) - REWIND_MICROSECONDS)


def _is_late(picture: Picture, window: Window) -> bool:
    """Whether the first one wanted was missed."""
    if window.start_seconds is None:
        return picture.index > window.skip_first_frames
    return picture.seconds > window.start_seconds + TOLERANCE_SECONDS


def _is_ahead_of(index: int, seconds: Fraction, window: Window) -> bool:
    if window.start_seconds is None:
        return index < window.skip_first_frames
    return seconds < window.start_seconds


def _is_before(frame: VideoFrame, key: int | None) -> bool:
    return key is not None and frame.pts is not None and frame.pts < key


def leave_out_others(container: InputContainer, wanted: list[Any]) -> None:
    """Let FFmpeg pass over the bytes of what is not wanted. PyAV 14 cannot; then they travel as well."""
    import av.stream

    discard = getattr(av.stream, "Discard", None)
    for stream in container.streams:
        if stream not in wanted and discard is not None:
            stream.discard = discard.all


def _decoder(stream: Any, careful: bool) -> Any:  # noqa: ANN401  PyAV's
    """The decoder of a stream; where that would lose its transparency, the one that keeps it."""
    import av

    context = stream.codec_context
    context.thread_type = "SLICE" if careful else "AUTO"
    name = _ALPHA_DECODERS.get(context.name, "")
    if not has_side_alpha(stream) or name not in av.codecs_available:
        return context
    decoder = av.CodecContext.create(name, "r")
    decoder.extradata = context.extradata
    decoder.thread_type = context.thread_type
    return decoder
