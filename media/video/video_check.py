"""Checks that a video file that was written can be played, and that a copy is displayed like the original.

Decodes the first and the last frames of the file, and the beginning of each audio track.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..container import MICROSECONDS, File, opened, playable_audio, video_stream
from ..output_file import Refused

if TYPE_CHECKING:
    from av.container import InputContainer

END_PACKETS = 600  # decoded at the end: encoders write a key frame every 250 frames or more often
_UNKNOWN = (0, 2)  # numbers of matrices, primaries and transfers that mean reserved and unspecified


@dataclass(frozen=True)
class Traits:
    """The properties by which players display a video."""

    size: tuple[int, int]
    aspect: Fraction  # of a pixel, width by height
    orientation: bytes  # the display matrix as stored in the file; b"" for none
    colours: tuple[int, int, int]  # matrix, primaries and transfer, as numbers of ITU-T H.273

    def lost_in(self, other: Traits) -> str:
        """Return what ``other`` has lost, as the end of a sentence; "" for nothing."""
        if self.size != other.size:
            return "its size"
        if self.aspect != other.aspect:
            return f"the aspect ratio of its pixels ({self.aspect.numerator}:{self.aspect.denominator})"
        if self.orientation != other.orientation:
            return "its rotation"
        pairs = zip(self.colours, other.colours, strict=True)
        if any(own != its and own not in _UNKNOWN for own, its in pairs):
            return "its colour properties"
        return ""


def traits(source: File | Path, name: str, meter: Meter) -> Traits | None:
    """Return the traits of a video; None if no frame can be decoded. Raises as ``opened`` does."""
    with opened(source, name, "a video") as container:
        stream = video_stream(container)
        frame = next(_frames(container, [stream], meter), None) if stream is not None else None
        return None if frame is None else _traits(stream, frame)


def check(target: Path, wanted: Traits | None, meter: Meter) -> None:
    """Raise Refused if a video that was written cannot be decoded, or lacks some of the ``wanted`` traits."""
    import av

    try:
        with opened(target, target.name, "a video") as container:
            stream = video_stream(container)
            if stream is None:
                raise _unplayable("the file that was written has no video")
            found = _beginning(container, stream, meter)
            if lost := wanted.lost_in(found) if wanted is not None else "":
                raise _unplayable(f"a copy in this format would lose {lost}")
            _end(container, stream, meter)
    except (av.FFmpegError, MediaError) as error:
        if isinstance(error, Refused):
            raise
        raise _unplayable("the file that was written cannot be decoded") from error


def _traits(stream: Any, frame: Any) -> Traits:  # noqa: ANN401  PyAV's
    context = stream.codec_context
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return Traits(
        (frame.width, frame.height),
        Fraction(stream.sample_aspect_ratio or 1),
        bytes(matrix) if matrix is not None else b"",
        (int(context.colorspace), int(context.color_primaries), int(context.color_trc)),
    )


def _frames(
    container: InputContainer, streams: list[Any], meter: Meter, packets: int | None = None
) -> Iterator[Any]:
    for packet in itertools.islice(container.demux(streams), packets):
        meter.check()
        yield from packet.decode()


def _beginning(container: InputContainer, stream: Any, meter: Meter) -> Traits:  # noqa: ANN401
    """Decode the first frame, and some audio of each track that has any. Returns the traits of the frame."""
    found, silent = None, {one.index for one in playable_audio(container)}
    came = set()
    for packet in container.demux([stream, *container.streams.audio]):
        meter.check()
        index = packet.stream.index
        if index == stream.index and found is None:
            found = next((_traits(stream, frame) for frame in packet.decode()), None)
        elif index in silent and packet.size:
            came.add(index)
            if packet.decode():
                silent.discard(index)
        if found is not None and not silent:
            break
    if found is None:
        raise _unplayable("no frame of the file that was written can be decoded")
    if silent & came:
        raise _unplayable("the audio that was written cannot be decoded")
    return found


def _end(container: InputContainer, stream: Any, meter: Meter) -> None:  # noqa: ANN401
    """Decode the frames from the last key frame on, at most END_PACKETS.

    A screen recording with a single key frame would otherwise be decoded completely. Damage after END_PACKETS
    is not found there, as it is not found in the middle of any file.
    """
    length = stream.duration
    if length is None and container.duration is not None:
        length = round(Fraction(container.duration, MICROSECONDS) / stream.time_base)
    stream.codec_context.flush_buffers()
    container.seek(max(0, (stream.start_time or 0) + (length or 0) - 1), stream=stream)
    if not sum(1 for _ in _frames(container, [stream], meter, END_PACKETS)):
        raise _unplayable("the last frames that were written cannot be decoded")


def _unplayable(said: str) -> Refused:
    return Refused(sentence("save the video", "the file", said, "Try another format or codec."), said)
