"""Opens films and sounds with PyAV, and says in plain words why one cannot be opened or read on.

FFmpeg also reads play lists, scripts and descriptions that name further files and addresses. Only the kinds
of file in DEMUXERS are opened, and none of them may open another: what a workflow loads is the object it
names and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import media_kind
from .errors import MediaError, sentence
from .media_length import File

if TYPE_CHECKING:
    from av.container import InputContainer


@dataclass(frozen=True)
class Demuxer:
    """A kind of file that FFmpeg reads, by FFmpeg's name for it.

    ``tells_length``: how long it says that it is can be relied upon. ``seeks``: it finds a key frame by its
    time. ``timed``: its frames carry the times at which they are shown; else they follow each other at the
    file's rate. ``copies``: its packets may go into another kind of file as they are.
    """

    name: str
    seeks: bool = False
    timed: bool = True
    copies: bool = False
    tells_length: bool = False


DEMUXERS = {
    row.name: row
    for row in (
        Demuxer("mov,mp4,m4a,3gp,3g2,mj2", seeks=True, copies=True),
        Demuxer("matroska,webm", seeks=True, copies=True),
        Demuxer(
            "avi", timed=False
        ),  # has decoding times only, wrong for frames that are shown in another order
        Demuxer("mpegts", seeks=True, copies=True),
        Demuxer("mpeg"),
        Demuxer("flv", copies=True),
        Demuxer("asf"),
        Demuxer("mxf"),
        Demuxer("gif", copies=True),  # a frame is a change of the one before: there is no key to seek
        Demuxer("apng"),
        Demuxer("ogg", seeks=True),
        Demuxer("wav", seeks=True, tells_length=True),
        Demuxer("w64", seeks=True, tells_length=True),
        Demuxer("aiff", seeks=True, tells_length=True),
        Demuxer("caf", seeks=True, tells_length=True),
        Demuxer("flac", seeks=True, tells_length=True),
        Demuxer("mp3", seeks=True, tells_length=True),
        Demuxer("aac"),
        Demuxer("ac3"),
        Demuxer("eac3"),
        Demuxer("amr"),
    )
}
_HEAD_BYTES = 100


@contextlib.contextmanager
def opened(source: File | Path, name: str, wanted: str) -> Iterator[InputContainer]:
    """``source`` as PyAV's container, its file format one of DEMUXERS.

    ``name`` stands for the file in messages and ``wanted`` for what it should be: "a video". A ``failure`` of
    the source, which FFmpeg may have taken for the end of the file, is raised when it is closed. Raises
    MediaError for what is no such file, or is damaged, also from within the block.
    """
    import av

    head = _head(source)
    if not head:
        raise _refusal(name, wanted, "the file is empty", "Upload it again.")
    if media_kind.is_image(head) and not media_kind.is_animation(head):
        raise _refusal(name, wanted, f"it is {media_kind.kind(head)}", "Load Image from Cloud reads it.")
    if media_kind.is_document(head):
        raise _refusal(name, wanted, f"it is {media_kind.kind(head)}", f"Choose the key of {wanted}.")
    options = {
        "format_whitelist": ",".join(DEMUXERS),
        "protocol_whitelist": "file" if isinstance(source, Path) else "",
    }
    try:
        try:
            file = str(source) if isinstance(source, Path) else source
            with av.open(file, container_options=options, metadata_errors="replace") as container:
                yield container
        finally:
            if (failure := getattr(source, "failure", None)) is not None:
                raise failure
    except av.FFmpegError as error:
        raise damaged(name, wanted, head, error) from error


def damaged(name: str, wanted: str, head: bytes, error: Exception) -> MediaError:
    """Why FFmpeg gave up on a file that begins with ``head``."""
    if media_kind.is_recording(head):
        said = f"the file is damaged or cut off ({_reason(error)})"
        return _refusal(name, wanted, said, "Upload it again.")
    return _refusal(name, wanted, f"it is {media_kind.kind(head)}", f"Choose the key of {wanted}.")


def picture_stream(container: InputContainer) -> Any | None:  # noqa: ANN401  a stream of PyAV
    """The first stream of moving pictures; a cover that a sound file carries is none."""
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    return None


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
