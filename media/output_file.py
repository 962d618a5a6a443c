"""Writes a video or audio file with PyAV, and translates the errors of the disk, the muxer and the encoders.

They are translated here, where it is known which of the three failed. So elsewhere an error of FFmpeg comes
from reading the source.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import MediaError, sentence
from ..system import thread_priority
from .formats import AudioFormat, Container

_DISK_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT),
        *(errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO),
        *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []),  # Windows has none
    }
)
_HEVC = ("hevc", "libx265")  # PyAV's names of the decoder and of the encoder
_APPLE_HEVC = "hvc1"  # the only tag for HEVC that Apple's players accept; FFmpeg writes hev1


class Refused(MediaError):
    """An encoder or a muxer refused its input. ``said`` is the reason, as part of a sentence."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class Output:
    """An open output file of the format ``form``. Used by one thread, closed by ``with``.

    Messages begin with ``tried`` and ``what``: "encode the video", "640 x 480 pixels as mp4". The methods
    raise Refused for errors of an encoder or the muxer, and MediaError for errors of the disk.
    """

    def __init__(
        self, target: Path, form: Container | AudioFormat, tags: Mapping[str, str], tried: str, what: str
    ) -> None:
        import av

        self._tried, self._what, self.muxer = tried, what, form.muxer
        options = dict(form.options)
        with self._errors_of(f"the {self.muxer} muxer"):
            self._container = av.open(str(target), "w", format=self.muxer, container_options=options)
        self._container.metadata.update(tags)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        import av

        if kind is None:
            self.close()
        else:  # ignore further errors
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()

    def close(self) -> None:
        """Write the end of the file. A second call does nothing."""
        with self._errors_of(f"the {self.muxer} muxer"):
            self._container.close()

    def add_stream(self, encoder: str, **settings: Any) -> Any:  # noqa: ANN401  a stream of PyAV
        """Add a stream for one of PyAV's encoders."""
        with self._errors_of(encoder):
            return self._container.add_stream(encoder, **settings)

    def copy_stream(self, source: Any) -> Any:  # noqa: ANN401
        """Add a stream for the packets of ``source``, a stream of PyAV that has a decoder.

        ``opaque`` copies the codec's parameters. Without it PyAV 14 loses those of H.264 and HEVC, PyAV 16
        those of FFV1, and all versions look for an encoder with the decoder's name; libdav1d has none.
        """
        with self._errors_of(f"the {self.muxer} muxer"):
            copy = self._container.add_stream_from_template(source, opaque=True)
            copy.metadata.update(source.metadata)  # includes alpha_mode
            if source.type == "video":
                # PyAV copies the codec's aspect ratio only, and Matroska has its own.
                if source.sample_aspect_ratio:
                    copy.codec_context.sample_aspect_ratio = source.sample_aspect_ratio
                self.name_codec(copy)
            return copy

    def name_codec(self, stream: Any) -> None:  # noqa: ANN401
        """Set the codec tag that players expect."""
        if self.muxer in ("mp4", "mov") and stream.codec_context.codec.name in _HEVC:
            stream.codec_context.codec_tag = _APPLE_HEVC

    def encode(self, stream: Any, frame: Any) -> None:  # noqa: ANN401
        """Encode a frame and write its packets; None ends the stream."""
        name = stream.codec_context.name
        with self._errors_of(f"the encoder {name}"), thread_priority.kept():  # the first frame opens it
            packets = stream.encode(frame)
        self.mux(packets)

    def mux(self, packets: Any) -> None:  # noqa: ANN401
        """Write packets of this file's streams."""
        with self._errors_of(f"the {self.muxer} muxer"):
            self._container.mux(packets)

    @contextlib.contextmanager
    def _errors_of(self, who: str) -> Iterator[None]:
        import av

        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            # PyAV's ValueError: "'webm' format does not support 'h264' codec"
            said = str(getattr(error, "strerror", None) or error)
            if getattr(error, "errno", None) in _DISK_ERRORS:
                advice = "Free room on the disk of ComfyUI's temp folder, or make it writable."
                message = sentence(self._tried, self._what, f"writing to the disk failed: {said}", advice)
                raise MediaError(message) from error
            said = f"{who} refuses it: {said}"
            raise Refused(
                sentence(self._tried, self._what, said, "Try another format or codec."), said
            ) from error
