"""The packets of an open file, whatever befalls it: times that start again go on, a damaged end is an end.

Files that were joined by putting one behind the other (transport streams, chained Ogg) begin with their
times anew. The pieces are laid one behind the other, pictures and sound by the same amount, as the ffmpeg
program does (ts_discontinuity_process in fftools/ffmpeg_demux.c).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .container import has_side_alpha, may_restart
from .truncation import File

if TYPE_CHECKING:
    from av.container import InputContainer

# By how much a time has to lie before or behind the one expected to be the first of a new piece (ffmpeg's
# own).
BACK_SECONDS, FORTH_SECONDS = Fraction(1, 10), Fraction(10)
# Between two packets of a Matroska file lie some 30 bytes of headers; a block that was passed over has more.
HOLE_BYTES = 128
NEAR_SECONDS = 1  # of what is in the file beside each other: pictures are shown in another order
_ADDITIONS = ("matroska_block_additional", "dynamic_hdr10_plus")  # FFmpeg's libavformat/matroskadec.c
_HEADERS = (b"OpusHead", b"OpusTags")  # of the next piece of a chained Ogg: no sound, though FFmpeg 7 says so


@dataclass
class _Track:
    """Of one stream: the piece it is in, and the instant at which its next packet is expected."""

    piece: int = 0
    expected: Fraction | None = None


class Timeline:
    """Shifts the packets of a file, in the order in which they lie there, onto one line of time."""

    def __init__(self) -> None:
        self._offsets = [Fraction(0)]  # of each piece
        self._tracks: dict[int, _Track] = {}
        self._now = self._end = Fraction(0)  # of the last packet; of all that was shown so far

    def place(self, packet: Any, index: int) -> None:  # noqa: ANN401  a Packet
        """Set the times of ``packet``, which is of the stream ``index``."""
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
        """The piece that another stream has begun already, or a new one behind all that was shown."""
        for piece in range(last + 1, len(self._offsets)):
            if abs(decoded + self._offsets[piece] - self._now) <= FORTH_SECONDS:
                return piece
        self._offsets.append(self._end - shown)
        return len(self._offsets) - 1


class Holes:
    """Where FFmpeg passed over damaged parts of a file, of which it tells only in its log.

    In Matroska those are bytes that no packet has, in other files packets that are marked. Fed with the
    packets in the order in which they lie there. That pictures are missing as well, the caller has to look:
    some writers leave room between packets, and joined files have marks where they were joined.
    """

    def __init__(self, container: InputContainer, wanted: list[Any]) -> None:
        others = [one for one in container.streams if one not in wanted and one.type != "attachment"]
        # Beside a picture may lie its transparency, in a block that is no packet.
        beside = others or any(map(has_side_alpha, wanted))
        self._counts = container.format.name == "matroska,webm" and not beside
        self._end: int | None = None
        self._behind = False  # whether the last packet has data behind it that belong to it
        self._holes = 0  # one after another
        self._last: Fraction | None = None

    def look(self, packet: Any) -> None:  # noqa: ANN401  a Packet
        if not packet.size:
            return
        place = packet.pos if self._counts else None
        hole = place is not None and self._end is not None and place - self._end > HOLE_BYTES
        hole = hole and not self._behind
        self._behind = self._counts and _has_additions(packet)
        self._holes = self._holes + 1 if hole else 0
        if self._holes > 1:  # a habit of who wrote it
            hole, self._last = False, None
        self._end = None if place is None else place + packet.size
        ticks = packet.pts if packet.pts is not None else packet.dts
        if (hole or packet.is_corrupt) and ticks is not None:
            self._last = ticks * Fraction(packet.time_base)

    def near(self, seconds: Fraction) -> bool:
        """Whether the last one is near an instant of the file's clock."""
        return self._last is not None and abs(seconds - self._last) <= NEAR_SECONDS


def _has_additions(packet: Any) -> bool:  # noqa: ANN401  a Packet
    """Whether a Matroska block has BlockAdditions, as of HDR10+; PyAV before 16 does not tell."""
    has = getattr(packet, "has_sidedata", None)
    return has is not None and any(map(has, _ADDITIONS))


def packets(
    container: InputContainer, wanted: list[Any], source: File | object, ended: Callable[[str], None]
) -> Iterator[tuple[Any, Any]]:
    """Each packet with its stream, at the end an empty one for each stream, from where the file stands now.

    Where FFmpeg cannot read on, ``ended`` is called with what it says; as in the ffmpeg program that is the
    end. Asking it for more would crash some versions. Raises what reading ``source`` raises.
    """
    import av

    timeline = Timeline() if may_restart(container) else None
    coming = container.demux(wanted)
    while True:
        try:
            packet = next(coming, None)
        except av.FFmpegError as error:
            _raise_failure(source)
            ended(str(error.strerror))
            packet = None
        if packet is None:
            break
        if not packet.size:
            continue
        if timeline is not None:
            if bytes(memoryview(packet)[:8]) in _HEADERS:
                continue
            timeline.place(packet, packet.stream.index)
        yield packet.stream, packet
    _raise_failure(source)
    for stream in wanted:
        last = av.Packet()
        last.time_base = stream.time_base
        yield stream, last


def _raise_failure(source: object) -> None:
    if (failure := getattr(source, "failure", None)) is not None:
        raise failure
