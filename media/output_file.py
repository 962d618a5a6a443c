"""The file that a film or a sound is written to, and what stands in its way: the disk, the muxer, an encoder.

What PyAV raises while it writes is translated here, where it is known which of the three it was. So around
the reading of a source an error of FFmpeg can only mean the source.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import MediaError, sentence

_OF_THE_DISK = frozenset(
    {
        *(errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT),
        *(errno.EMFILE, errno.ENFILE, errno.ENODEV, errno.ENXIO),
        *([errno.EDQUOT] if hasattr(errno, "EDQUOT") else []),  # Windows has none
    }
)
_APPLE_HEVC = "hvc1"  # Apple's players take no other name for HEVC; FFmpeg writes hev1


class Refused(MediaError):
    """An encoder or a muxer does not take what it is given. ``said`` is its reason, a part of a sentence."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class Output:
    """An open file of one ``muxer``, used by one thread and closed by ``with``.

    ``tried`` and ``what`` begin its messages: "encode the video", "640 x 480 pixels as mp4". Its methods
    raise Refused where an encoder or the muxer refuses, and MediaError for the disk.
    """

    def __init__(
        self,
        target: Path,
        muxer: str,
        options: Mapping[str, str],
        tags: Mapping[str, str],
        tried: str,
        what: str,
    ) -> None:
        import av

        self._tried, self._what, self.muxer = tried, what, muxer
        with self._told(f"the {muxer} muxer"):
            self._container = av.open(str(target), "w", format=muxer, container_options=dict(options))
        self._container.metadata.update(tags)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        import av

        if kind is None:
            self.close()
        else:  # without a word of its own
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._container.close()

    def close(self) -> None:
        """Write the end of the file. Closing it again does nothing."""
        with self._told(f"the {self.muxer} muxer"):
            self._container.close()

    def add_stream(self, encoder: str, **settings: Any) -> Any:  # noqa: ANN401  a stream of PyAV
        """A new stream, encoded by one of PyAV's encoders."""
        with self._told(encoder):
            return self._container.add_stream(encoder, **settings)

    def copy_stream(self, source: Any) -> Any:  # noqa: ANN401
        """A new stream for packets like those of ``source``, a stream of PyAV that has a decoder.

        ``opaque`` takes the parameters as they are. Without it PyAV 14 loses those of H.264 and HEVC, 16
        those of FFV1, and all look for an encoder of the decoder's name, which libdav1d has not.
        """
        with self._told(f"the {self.muxer} muxer"):
            copy = self._container.add_stream_from_template(source, opaque=True)
            copy.metadata.update(source.metadata)  # tells of transparency
            if source.type == "video":
                # PyAV copies the codec's aspect ratio only, and Matroska has its own.
                if source.sample_aspect_ratio:
                    copy.codec_context.sample_aspect_ratio = source.sample_aspect_ratio
                self.name_codec(copy)
            return copy

    def name_codec(self, stream: Any) -> None:  # noqa: ANN401
        """Give a new stream's codec the name that players look for."""
        if self.muxer in ("mp4", "mov") and stream.codec_context.codec.id == _hevc():
            stream.codec_context.codec_tag = _APPLE_HEVC

    def encode(self, stream: Any, frame: Any) -> None:  # noqa: ANN401
        """Encode a frame into a stream and write what comes of it; None ends the stream."""
        name = stream.codec_context.name
        with self._told(f"the encoder {name}"):
            packets = stream.encode(frame)
        self.mux(packets)

    def mux(self, packets: Any) -> None:  # noqa: ANN401
        """Write packets whose streams are this file's."""
        with self._told(f"the {self.muxer} muxer"):
            self._container.mux(packets)

    @contextlib.contextmanager
    def _told(self, who: str) -> Iterator[None]:
        import av

        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            # PyAV's ValueError: "'webm' format does not support 'h264' codec"
            said = str(getattr(error, "strerror", None) or error)
            if getattr(error, "errno", None) in _OF_THE_DISK:
                advice = "Free room on the disk of ComfyUI's temp folder, or make it writable."
                message = sentence(self._tried, self._what, f"the disk does not take it: {said}", advice)
                raise MediaError(message) from error
            said = f"{who} refuses it: {said}"
            raise Refused(
                sentence(self._tried, self._what, said, "Try another format or codec."), said
            ) from error


def _hevc() -> int:
    from av.codec import Codec

    return int(Codec("hevc", "r").id)
