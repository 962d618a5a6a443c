"""Reads the packets of an open file, with corrected times and an end where FFmpeg cannot read on.

Files that were joined by appending one to another (transport streams, chained Ogg) have times that restart.
The pieces are placed one after another, video and audio shifted by the same amount, as the ffmpeg program
does (ts_discontinuity_process in fftools/ffmpeg_demux.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .container import File, has_alpha_beside_frames, raise_failure, times_may_restart

if TYPE_CHECKING:
    from av.container import InputContainer

# A time this far before or after the expected one begins a new piece (ffmpeg's own limits).
BACK_SECONDS, FORTH_SECONDS = Fraction(1, 10), Fraction(10)
# Between two packets of a Matroska file are some 30 bytes of headers; a skipped block has more.
GAP_BYTES = 128
NEAR_SECONDS = 1  # between a gap and a frame beside it in the file: frames are shown in another order
_ADDITIONS = ("matroska_block_additional", "dynamic_hdr10_plus")  # FFmpeg's libavformat/matroskadec.c
_HEADERS = (b"OpusHead", b"OpusTags")  # of the next piece of a chained Ogg; FFmpeg 7 returns them as audio


@dataclass
class _Track:
    """The piece that a stream is in, and the time at which its next packet is expected."""

    piece: int = 0
    expected: Fraction | None = None


class Timeline:
    """Shifts the packets of a file, in the order in which they are read, to one continuous time."""

    def __init__(self) -> None:
        self._offsets = [Fraction(0)]  # of each piece
        self._tracks: dict[int, _Track] = {}
        self._now = self._end = Fraction(0)  # time of the last packet; end of everything shown so far

    def shift(self, packet: Any, index: int) -> None:  # noqa: ANN401  a Packet
        """Correct the times of ``packet``, which belongs to the stream ``index``."""
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None or not packet.time_base:
            return
        unit = Fraction(packet.time_base)
        decoded = ticks * unit
        shown = decoded if packet.pts is None else packet.pts * unit
        track = self._tracks.setdefault(index, _Track())
        if track.expected is not None:
            off = decoded + self._offsets[track.piece] - track.expected
            if not -BACK_SECONDS <= off <= FORTH_SECONDS:
                track.piece = self._piece(track.piece, decoded, shown)
        offset = self._offsets[track.piece]
        if offset:
            packet.pts = None if packet.pts is None else packet.pts + round(offset / unit)
            packet.dts = None if packet.dts is None else packet.dts + round(offset / unit)
        length = (packet.duration or 0) * unit
        self._now = decoded + offset
        track.expected = self._now + length
        self._end = max(self._end, shown + offset + length)

    def _piece(self, last: int, decoded: Fraction, shown: Fraction) -> int:
        """Return the piece that another stream has already begun, or a new one after everything shown."""
        for piece in range(last + 1, len(self._offsets)):
            if abs(decoded + self._offsets[piece] - self._now) <= FORTH_SECONDS:
                return piece
        self._offsets.append(self._end - shown)
        return len(self._offsets) - 1


class SkippedParts:
    """Finds the damaged parts of a file that FFmpeg skipped; FFmpeg reports them only in its log.

    In Matroska they are bytes that belong to no packet, in other formats packets with a mark. Call ``look``
    for each packet in the order of the file. The caller has to check whether frames are missing as well:
    some programs leave space between packets, and joined files have marks where they were joined.
    """

    def __init__(self, container: InputContainer, wanted: list[Any]) -> None:
        others = [one for one in container.streams if one not in wanted and one.type != "attachment"]
        # A frame's alpha is in a block that is no packet.
        blocks_are_hidden = others or any(map(has_alpha_beside_frames, wanted))
        self._compares_bytes = container.format.name == "matroska,webm" and not blocks_are_hidden
        self._end: int | None = None
        self._has_additions = False  # of the last packet: bytes that follow it belong to it
        self._gaps = 0  # in a row
        self._last: Fraction | None = None

    def look(self, packet: Any) -> None:  # noqa: ANN401  a Packet
        if not packet.size:
            return
        position = packet.pos if self._compares_bytes else None
        gap = position is not None and self._end is not None and position - self._end > GAP_BYTES
        gap = gap and not self._has_additions
        self._has_additions = self._compares_bytes and _has_additions(packet)
        self._gaps = self._gaps + 1 if gap else 0
        if self._gaps > 1:  # the program that wrote the file leaves space between packets
            gap, self._last = False, None
        self._end = None if position is None else position + packet.size
        ticks = packet.pts if packet.pts is not None else packet.dts
        if (gap or packet.is_corrupt) and ticks is not None:
            self._last = ticks * Fraction(packet.time_base)

    def near(self, seconds: Fraction) -> bool:
        """Return whether the last skipped part is near a time of the file."""
        return self._last is not None and abs(seconds - self._last) <= NEAR_SECONDS


def _has_additions(packet: Any) -> bool:  # noqa: ANN401  a Packet
    """Return whether a Matroska block has BlockAdditions, such as HDR10+. PyAV before 16 cannot tell."""
    has = getattr(packet, "has_sidedata", None)
    return has is not None and any(map(has, _ADDITIONS))


def packets(
    container: InputContainer, wanted: list[Any], source: File | object, ended: Callable[[str], None]
) -> Iterator[tuple[Any, Any]]:
    """Yield each packet with its stream, from the current position; at the end an empty one per stream.

    If FFmpeg cannot read on, calls ``ended`` with its message and ends, as the ffmpeg program does: reading
    further would crash some versions. Raises what reading ``source`` raises.
    """
    import av

    timeline = Timeline() if times_may_restart(container) else None
    coming = container.demux(wanted)
    while True:
        try:
            packet = next(coming, None)
        except av.FFmpegError as error:
            raise_failure(source)
            said = str(error.strerror)
            ended(said[0].lower() + said[1:])
            packet = None
        if packet is None:
            break
        if not packet.size:
            continue
        if timeline is not None:
            if bytes(memoryview(packet)[:8]) in _HEADERS:
                continue
            timeline.shift(packet, packet.stream.index)
        yield packet.stream, packet
    raise_failure(source)
    for stream in wanted:
        last = av.Packet()
        last.time_base = stream.time_base
        yield stream, last
