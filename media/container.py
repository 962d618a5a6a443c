"""Opens films and sounds with PyAV, and says in plain words why one cannot be opened or read on.

FFmpeg also reads play lists, scripts and descriptions that name further files and addresses. What a workflow
loads is the object that it names and nothing else, by three rules: no demuxer of FORBIDDEN, nor one that
opens its input itself, is asked; no protocol may be used, so that nothing can be opened by a name; and
FFmpeg is given the bytes without their file's name, by which some demuxers find neighbours.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..errors import MediaError, sentence
from . import file_kind
from .forbidden_formats import is_forbidden
from .truncation import File

if TYPE_CHECKING:
    from av.container import InputContainer


@dataclass(frozen=True)
class Demuxer:
    """What is known of a kind of file that FFmpeg reads, by FFmpeg's name for it; every other kind is a
    default.

    ``seeks``: it finds a key frame by its time, and its times never start again. ``timed``: its frames carry
    the times at which they are shown; else they follow each other at the file's rate. ``copies``: its
    packets may go into another kind of file as they are. ``vague_length``: the length in its header is that
    of the whole file, and says nothing alone.
    """

    name: str
    seeks: bool = False
    timed: bool = True
    copies: bool = False
    vague_length: bool = False


# Transport streams and Ogg are joined by putting one file behind the other: where a time lies in such a file
# cannot be known without reading it, so neither is sought.
DEMUXERS = {
    row.name: row
    for row in (
        Demuxer("mov,mp4,m4a,3gp,3g2,mj2", seeks=True, copies=True),
        Demuxer("matroska,webm", seeks=True, copies=True, vague_length=True),
        Demuxer("avi", timed=False),  # decoding times only, wrong for frames that are shown in another order
        Demuxer("mpegts", copies=True),
        Demuxer("flv", copies=True),
        Demuxer("gif", copies=True),  # a frame is a change of the one before: there is no key to seek
        Demuxer("wav", seeks=True),
        Demuxer("w64", seeks=True),
        Demuxer("aiff", seeks=True),
        Demuxer("caf", seeks=True),
        Demuxer("au", seeks=True),
        Demuxer("flac", seeks=True),
        Demuxer("mp3", seeks=True),
        # Streams of pictures without a container have no times at all.
        *(Demuxer(name, timed=False) for name in ("h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "obu")),
        *(
            Demuxer(name, timed=False)
            for name in ("mjpeg", "mjpeg_2000", "dirac", "cavsvideo", "h261", "h263")
        ),
    )
}
_RESTARTS = 0x0200  # AVFMT_TS_DISCONT of libavformat/avformat.h: the times of such files may start again
_HEAD_BYTES = 100


@contextlib.contextmanager
def opened(source: File | Path, name: str, wanted: str) -> Iterator[InputContainer]:
    """``source`` as PyAV's container.

    ``name`` stands for the file in messages and ``wanted`` for what it should be: "a video". A ``failure`` of
    the source, which FFmpeg may have taken for the end of the file, is raised when it is closed. Raises
    MediaError for what is no such file, or is damaged, also from within the block.
    """
    import av

    head = _head(source)
    if not head:
        raise _refusal(name, wanted, "the file is empty", "Upload it again.")
    if file_kind.is_picture(head) and not file_kind.is_animation(head):
        raise _refusal(name, wanted, f"it is {file_kind.kind(head)}", "Load Image from Cloud reads it.")
    if file_kind.is_document(head):
        raise _refusal(name, wanted, f"it is {file_kind.kind(head)}", f"Choose the key of {wanted}.")
    options = {"format_whitelist": _allowed(), "protocol_whitelist": ""}
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(_raise_failure, source)
            file = _Nameless(stack.enter_context(source.open("rb"))) if isinstance(source, Path) else source
            yield stack.enter_context(av.open(file, container_options=options, metadata_errors="replace"))
    except av.FFmpegError as error:
        raise damaged(name, wanted, head, error) from error


class _Nameless:
    """A file on disk without its name."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _raise_failure(source: File | Path) -> None:
    if (failure := getattr(source, "failure", None)) is not None:
        raise failure


@functools.cache
def _allowed() -> str:
    """FFmpeg's names of all kinds of file that may be opened, as its option takes them."""
    import av
    from av.format import ContainerFormat

    names = []
    for name in sorted(av.formats_available):
        with contextlib.suppress(ValueError):  # one that is only written
            form = ContainerFormat(name, "r")
            if not is_forbidden(name, int(form.flags)):
                names.append(name)
    return ",".join(names)


def demuxer(name: str) -> Demuxer:
    """What is known of a kind of file."""
    return DEMUXERS.get(name, Demuxer(name))


def may_restart(container: InputContainer) -> bool:
    """Whether the times of this kind of file may start again on the way."""
    return bool(int(container.format.flags) & _RESTARTS)


def damaged(name: str, wanted: str, head: bytes, error: Exception) -> MediaError:
    """Why FFmpeg gave up on a file that begins with ``head``."""
    if file_kind.is_recording(head):
        said = f"the file is damaged or cut off ({_reason(error)})"
        return _refusal(name, wanted, said, "Upload it again.")
    return _refusal(name, wanted, f"it is {file_kind.kind(head)}", f"Choose the key of {wanted}.")


def picture_stream(container: InputContainer) -> Any | None:  # noqa: ANN401  a stream of PyAV
    """The first stream of moving pictures; a cover that a sound file carries is none.

    Nor is a still picture before one that moves, with which an animated AVIF begins.
    """
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic
    ]
    moving = (stream for stream in streams if stream.frames != 1)
    return next(moving, streams[0] if streams else None)


def sound_stream(container: InputContainer) -> Any | None:  # noqa: ANN401
    """The first stream of sound that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def has_side_alpha(stream: Any) -> bool:  # noqa: ANN401
    """Whether a WebM's stream keeps transparency beside each picture (webmproject.org, "Alpha Channel")."""
    return any(key.lower() == "alpha_mode" and text == "1" for key, text in stream.metadata.items())


def _head(source: File | Path) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(_HEAD_BYTES)
    source.seek(0)
    head = source.read(_HEAD_BYTES)
    source.seek(0)
    return head


def _refusal(name: str, wanted: str, said: str, advice: str) -> MediaError:
    return MediaError(sentence(f"read {wanted}", name, said, advice))


def _reason(error: Exception) -> str:
    """What FFmpeg says, without the number before and the function behind it."""
    return str(getattr(error, "strerror", None) or error)
