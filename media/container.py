"""Opens video and audio files with PyAV, and finds the streams in them.

FFmpeg also reads playlists, scripts and descriptions that name other files and addresses. A workflow may load
the object that it names and nothing else. Three rules ensure that: demuxers in FORBIDDEN, and those that open
their input themselves, are not allowed; no protocol is allowed, so that nothing can be opened by a name; and
FFmpeg gets the bytes without the file's name, which some demuxers use to find other files beside it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..errors import MediaError, sentence
from . import file_kind
from .forbidden_formats import is_forbidden

if TYPE_CHECKING:
    from av.container import InputContainer


class File(Protocol):
    """An open file, bytes in memory, or an object in a bucket.

    A ``failure`` attribute, if there is one, is the error that FFmpeg may have taken for the end of the file.
    """

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


@dataclass(frozen=True)
class Demuxer:
    """Properties of a format that FFmpeg reads, by FFmpeg's name for it. Unlisted formats have the defaults.

    ``seeks``: it finds a key frame by its time, and its times never restart. ``timed``: its frames have
    presentation times; otherwise they follow each other at the file's frame rate. ``copies``: its packets can
    be copied into another format. ``vague_length``: the length in its header is that of the whole file, so a
    file that is too short does not prove that frames are missing.
    """

    name: str
    seeks: bool = False
    timed: bool = True
    copies: bool = False
    vague_length: bool = False


# Transport streams and Ogg files can be joined by appending one to another. The position of a time in such a
# file is unknown until it has been read, so neither is sought. Raw video streams have no times at all.
DEMUXERS = {
    row.name: row
    for row in (
        Demuxer("mov,mp4,m4a,3gp,3g2,mj2", seeks=True, copies=True),
        Demuxer("matroska,webm", seeks=True, copies=True, vague_length=True),
        Demuxer("avi", timed=False),  # decoding times only, wrong for frames that are reordered
        Demuxer("mpegts", copies=True),
        Demuxer("flv", copies=True),
        Demuxer("gif", copies=True),  # each frame changes the one before: there is no key frame to seek
        *(Demuxer(name, seeks=True) for name in ("wav", "w64", "aiff", "caf", "au", "flac", "mp3")),
        *(Demuxer(name, timed=False) for name in ["h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "obu"]),
        *(
            Demuxer(name, timed=False)
            for name in ["mjpeg", "mjpeg_2000", "dirac", "cavsvideo", "h261", "h263"]
        ),
    )
}
# FFmpeg's names of formats that are decoded with an alpha channel even if every pixel is opaque.
ALWAYS_ALPHA = ("gif", "apng")
MICROSECONDS = 1_000_000  # in a second: FFmpeg's unit for the times of a whole file
_RESTARTS = 0x0200  # AVFMT_TS_DISCONT of libavformat/avformat.h
_HEAD_BYTES = 100
_REWIND_MICROSECONDS = 10 * MICROSECONDS
_TRACK_KINDS = ("video", "audio", "subtitle")


# ----------------------------------------------------------------------------------------- opening


@contextlib.contextmanager
def opened(source: File | Path, name: str, wanted: str) -> Iterator[InputContainer]:
    """Open ``source`` as PyAV's container, and close it after the ``with`` block.

    ``name`` is the file's name in messages, ``wanted`` what it should be: "a video". Raises the source's own
    ``failure`` on closing. Raises MediaError for another kind of file and for a damaged one, also for errors
    of FFmpeg within the block.
    """
    import av

    with opened_file(source) as file:
        file.seek(0)
        head = file.read(_HEAD_BYTES)
        file.seek(0)
    if not head:
        raise _refusal(name, wanted, "the file is empty", "Upload it again.")
    if file_kind.is_any_image(head) and not file_kind.is_animation(head):
        raise _refusal(name, wanted, f"it is {file_kind.kind(head)}", "Load Image from Cloud reads it.")
    if file_kind.is_document(head):
        raise _refusal(name, wanted, f"it is {file_kind.kind(head)}", f"Choose the key of {wanted}.")
    options = {"format_whitelist": _allowed(), "protocol_whitelist": ""}
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(raise_failure, source)
            file = _Nameless(stack.enter_context(source.open("rb"))) if isinstance(source, Path) else source
            yield stack.enter_context(av.open(file, container_options=options, metadata_errors="replace"))
    except av.FFmpegError as error:
        said, advice = f"it is {file_kind.kind(head)}", f"Choose the key of {wanted}."
        if file_kind.is_audio_or_video(head):
            reason = getattr(error, "strerror", None) or error
            said, advice = f"the file is damaged or cut off ({reason})", "Upload it again."
        raise _refusal(name, wanted, said, advice) from error


@contextlib.contextmanager
def opened_file(source: File | Path) -> Iterator[File]:
    """Open a file on disk; a File is returned as it is."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source


class _Nameless:
    """A file on disk without its name."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def raise_failure(source: object) -> None:
    """Raise the error that reading ``source`` ended with, if it did."""
    if (failure := getattr(source, "failure", None)) is not None:
        raise failure


@functools.cache
def _allowed() -> str:
    """Return FFmpeg's names of all formats that may be opened, as its option takes them."""
    import av
    from av.format import ContainerFormat

    names = []
    for name in sorted(av.formats_available):
        with contextlib.suppress(ValueError):  # FFmpeg only writes this format
            form = ContainerFormat(name, "r")
            if not is_forbidden(name, int(form.flags)):
                names.append(name)
    return ",".join(names)


def demuxer(name: str) -> Demuxer:
    """Return the row of a format, or the defaults."""
    return DEMUXERS.get(name, Demuxer(name))


def times_may_restart(container: InputContainer) -> bool:
    """Return whether the times in this format may start again in the middle of a file."""
    return bool(int(container.format.flags) & _RESTARTS)


def rewind(container: InputContainer) -> None:
    """Seek to the first packet.

    A seek to the first time itself would, in a transport stream, land on the second key frame.
    """
    container.seek((container.start_time or 0) - _REWIND_MICROSECONDS)


def _refusal(name: str, wanted: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence(f"read {wanted}", name, said, advice))


# ----------------------------------------------------------------------------------------- streams


def video_stream(container: InputContainer) -> Any | None:  # noqa: ANN401  a stream of PyAV
    """Return the first video stream that can be decoded, or None.

    Skips the cover image of an audio file, and the still image that an animated AVIF begins with.
    """
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    moving = (stream for stream in streams if stream.frames != 1)
    return next(moving, streams[0] if streams else None)


def audio_stream(container: InputContainer) -> Any | None:  # noqa: ANN401
    """Return the first audio stream that can be decoded, or None."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def playable_audio(container: InputContainer) -> list[Any]:
    """Return the audio streams that have a decoder, a sample rate and channels."""
    return [
        stream
        for stream in container.streams.audio
        if stream.codec_context is not None
        and stream.codec_context.sample_rate > 0
        and stream.codec_context.layout.nb_channels > 0
    ]


def has_alpha_beside_frames(stream: Any) -> bool:  # noqa: ANN401
    """Return whether a WebM stream stores alpha beside each frame (webmproject.org, "Alpha Channel")."""
    return any(key.lower() == "alpha_mode" and text == "1" for key, text in stream.metadata.items())


def discard_other_streams(container: InputContainer, wanted: list[Any]) -> None:
    """Make FFmpeg skip the bytes of streams that are not wanted. Does nothing with PyAV 14, which cannot."""
    import av.stream

    discard = getattr(av.stream, "Discard", None)
    for stream in container.streams:
        if stream not in wanted and discard is not None:
            stream.discard = discard.all


def left_out(container: InputContainer, taken: Iterable[Any]) -> tuple[str, ...]:
    """Return a sentence that counts the tracks not in ``taken``; () if there are none. None is ignored."""
    indices = {stream.index for stream in taken if stream is not None}
    playable = {stream.index for stream in playable_audio(container)}
    counts: dict[str, int] = {}
    for stream in container.streams:
        if stream.index not in indices:
            kind = "timecode" if "timecode" in stream.metadata else "data"
            kind = f"{stream.type if stream.type in _TRACK_KINDS else kind} track"
            if stream.type == "audio" and stream.index not in playable:
                kind += " that cannot be decoded"
            counts[kind] = counts.get(kind, 0) + 1
    if not counts:
        return ()
    parts = [
        f"{count} {kind.replace('track', 'tracks', 1) if count > 1 else kind}"
        for kind, count in counts.items()
    ]
    return (f"Left out: {', '.join(parts)}.",)
