"""Whether a film that was written can be played and is still what it was; which tracks of a file are of use.

The rule: what cannot be decoded again was not saved. So the first and the last pictures of what was written
are decoded, and the beginning of each sound; of pictures that no key frame stands near, see ``_end``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MediaError, sentence
from ...system.meter import Meter
from ..container import opened, picture_stream
from ..output_file import Refused
from ..truncation import File

if TYPE_CHECKING:
    from av.container import InputContainer

END_PACKETS = 600  # of pictures that are decoded at the end: encoders make a key frame every 250 or sooner
_UNKNOWN = (0, 2)  # among FFmpeg's numbers of matrices, primaries and transfers: not told, or reserved
_KINDS = {"video": "picture", "audio": "sound", "subtitle": "subtitle"}


@dataclass(frozen=True)
class Traits:
    """What players take from a film beside its pictures: how it is to be shown."""

    size: tuple[int, int]
    aspect: Fraction  # of a pixel, its width by its height
    orientation: bytes  # the display matrix as it stands in the file; b"" for none
    colours: tuple[int, int, int]  # matrix, primaries, transfer by their numbers in ITU-T H.273

    def lost_in(self, other: Traits) -> str:
        """What ``other`` lacks of it, as the end of a sentence; "" for nothing."""
        if self.size != other.size:
            return "its size"
        if self.aspect != other.aspect:
            return f"the aspect ratio of its pixels ({self.aspect.numerator}:{self.aspect.denominator})"
        if self.orientation != other.orientation:
            return "which way up it is"
        pairs = zip(self.colours, other.colours, strict=True)
        if any(own != its and own not in _UNKNOWN for own, its in pairs):
            return "how its colours are meant"
        return ""


def traits(source: File | Path, name: str, meter: Meter) -> Traits | None:
    """The traits of a film, None where no picture can be decoded. Raises as ``opened`` does."""
    with opened(source, name, "a video") as container:
        stream = picture_stream(container)
        frame = next(_frames(container, [stream], meter), None) if stream is not None else None
        return None if frame is None else _traits(stream, frame)


def check(target: Path, wanted: Traits | None, meter: Meter) -> None:
    """Raise Refused where a film that was written cannot be decoded, or is not as ``wanted``."""
    import av

    try:
        with opened(target, target.name, "a video") as container:
            stream = picture_stream(container)
            if stream is None:
                raise _unplayable("no moving pictures are found in what was written")
            found = _beginning(container, stream, meter)
            if lost := wanted.lost_in(found) if wanted is not None else "":
                raise _unplayable(f"a copy in this format would lose {lost}")
            _end(container, stream, meter)
    except (av.FFmpegError, MediaError) as error:
        if isinstance(error, Refused):
            raise
        raise _unplayable("what was written cannot be decoded") from error


def playable_sounds(container: InputContainer) -> list[Any]:
    """The tracks of sound that there is a decoder for and that tell a rate and channels."""
    return [
        stream
        for stream in container.streams.audio
        if stream.codec_context is not None
        and stream.codec_context.sample_rate > 0
        and stream.codec_context.layout.nb_channels > 0
    ]


def left_out(container: InputContainer, taken: Iterable[Any]) -> tuple[str, ...]:
    """A sentence on the tracks of a file that are not among ``taken``, in which None counts for none."""
    indices = {stream.index for stream in taken if stream is not None}
    sounds = {one.index for one in playable_sounds(container)}
    counts: dict[str, int] = {}
    for stream in container.streams:
        if stream.index not in indices:
            kind = "timecode" if "timecode" in stream.metadata else "data"
            kind = f"{_KINDS.get(stream.type, kind)} track"
            if stream.type == "audio" and stream.index not in sounds:
                kind += " that cannot be decoded"
            counts[kind] = counts.get(kind, 0) + 1
    if not counts:
        return ()
    parts = [
        f"{count} {kind.replace('track', 'tracks', 1) if count > 1 else kind}"
        for kind, count in counts.items()
    ]
    return (f"Left out: {', '.join(parts)}.",)


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
    """Decode the first picture, and some sound of each track that has any."""
    found, silent = None, {one.index for one in playable_sounds(container)}
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
        raise _unplayable("none of the pictures that were written can be decoded")
    if silent & came:
        raise _unplayable("the sound that was written cannot be decoded")
    return found


def _end(container: InputContainer, stream: Any, meter: Meter) -> None:  # noqa: ANN401
    """Decode the pictures from the last key frame on, END_PACKETS of them at most.

    A film whose last key frame is further from its end, as a recording of a screen with a single one, would
    be decoded whole: of such a film what is broken behind them is not seen, as in the middle of any other.
    """
    length = stream.duration
    if length is None and container.duration is not None:
        length = round(Fraction(container.duration, 1_000_000) / stream.time_base)
    stream.codec_context.flush_buffers()
    container.seek(max(0, (stream.start_time or 0) + (length or 0) - 1), stream=stream)
    if not sum(1 for _ in _frames(container, [stream], meter, END_PACKETS)):
        raise _unplayable("the last pictures that were written cannot be decoded")


def _unplayable(said: str) -> Refused:
    return Refused(sentence("save the video", "the file", said, "Try another format or codec."), said)
