"""Reads the frames of an image file with the code of ComfyUI's own Load Image, which uses FFmpeg since 0.33.

ComfyUI collects all frames before it makes a tensor of them. Here its code gets one packet at a time, so that
the pixels are the same and only one frame is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .image_batch import Array

# ComfyUI's ``VideoFromFile.get_components_internal``: takes PyAV's container; what it returns has ``images``
# [B, H, W, 3] and ``alpha``.
Components = Callable[[Any], Any]

Frame = tuple[Array, "Array | None"]  # colours [H, W, 3] and alpha [H, W]: uint8, or float32 in 0..1

# ComfyUI needs up to 27 bytes per pixel besides the tensor: too much for larger frames. Those of JPEG and PNG
# are decoded here to the same bytes, others by Pillow.
MAX_PIXELS = 10_000_000
# The pixel formats that ComfyUI (comfy_api/latest/_input_impl/video_types.py) converts to bytes, and to which
_TO_BYTES = {
    **dict.fromkeys(("yuvj420p", "yuvj422p", "yuvj444p", "rgb24"), "rgb24"),
    **dict.fromkeys(("rgba", "pal8"), "rgba"),
}
# FFmpeg also reads playlists and scripts, which name other files and addresses. So only these image formats
# are opened, and not SVG, which may name other files too.
_FORMATS = ("image2", "gif", "apng", "ico", "jpegxl_anim", "webp", "fits", "flic")
_IN_A_PIPE, _NOT_SVG = "_pipe", "svg_pipe"


class Unread(Exception):
    """FFmpeg or ComfyUI's code cannot read the file; Pillow is tried next."""


def frames(path: Path, components: Components, broken: Callable[[str], None]) -> Iterator[Frame]:
    """Yield each frame; calls ``broken`` with FFmpeg's message for data that it cannot decode."""
    with _opened(path) as container:
        for packet in container.demux(container.streams.video[0]):
            parts = components(_OnePacket(container, _CheckedPacket(packet, broken)))
            alphas = [None] * len(parts.images) if parts.alpha is None else parts.alpha[..., -1]
            for colours, alpha in zip(parts.images, alphas, strict=True):
                yield colours.numpy(), None if alpha is None else alpha.numpy()


def large_frame(path: Path) -> Frame:
    """Return the frame of a JPEG or PNG as bytes: colours, and alpha or None. Raises Unread."""
    with _opened(path) as container:
        frame = next(container.decode(video=0))
        form = _TO_BYTES.get(frame.format.name)
        if form is None:
            raise Unread
        pixels: Array = frame.to_ndarray(format=form)
        quarters = round(getattr(frame, "rotation", 0) // 90)
    pixels = np.rot90(pixels, quarters) if quarters else pixels
    return pixels[..., :3], pixels[..., 3] if form == "rgba" else None


def _opened(path: Path) -> Any:  # noqa: ANN401  PyAV's container
    import av

    pipes = [name for name in av.formats_available if name.endswith(_IN_A_PIPE) and name != _NOT_SVG]
    options = {"format_whitelist": ",".join((*_FORMATS, *pipes)), "protocol_whitelist": "file"}
    return av.open(str(path), container_options=options)


class _CheckedPacket:
    """A packet that reports data it cannot decode: ComfyUI ignores the error and takes the next packet."""

    def __init__(self, packet: Any, broken: Callable[[str], None]) -> None:  # noqa: ANN401  PyAV's
        self._packet, self._broken = packet, broken
        self.stream = packet.stream

    def decode(self) -> Any:  # noqa: ANN401
        import av

        try:
            return self._packet.decode()
        except av.FFmpegError as error:
            self._broken(str(error.strerror))
            raise


class _OnePacket:
    """A container of PyAV that returns one packet."""

    def __init__(self, container: Any, packet: _CheckedPacket) -> None:  # noqa: ANN401
        self._container, self._packet = container, packet

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._container, name)

    def demux(self, *_: object) -> Iterator[_CheckedPacket]:
        yield self._packet
