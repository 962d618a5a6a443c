"""The frames of an image file as ComfyUI's own Load Image reads them where it does so through FFmpeg (0.33).

ComfyUI gathers all frames before it makes one tensor of them. Here its own code is given one packet of the
file at a time, so that its pixels come out the same and one frame is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .image_batch import Array

if TYPE_CHECKING:
    import torch

# ComfyUI's ``VideoFromFile.get_components_internal``: of a container of PyAV, images [B, H, W, 3] and alpha.
Components = Callable[[Any], Any]

Frame = tuple[Array, "Array | None"]  # colours [H, W, 3] and alpha [H, W]: bytes, or floats in 0..1

# A frame takes ComfyUI up to 27 bytes a pixel beside its tensor: above this, more than is ours to take. JPEG
# and PNG are then read here, to the same bytes, and what else there is by Pillow.
MAX_PIXELS = 10_000_000
# What ComfyUI (comfy_api/latest/_input_impl/video_types.py) reads to bytes, and to which
_TO_BYTES = {
    **dict.fromkeys(("yuvj420p", "yuvj422p", "yuvj444p", "rgb24"), "rgb24"),
    **dict.fromkeys(("rgba", "pal8"), "rgba"),
}


# FFmpeg also reads play lists and scripts, which name other files and addresses: only these kinds of file are
# opened, an image in each, and of the images not SVG, a document that may name others as well.
_FORMATS = ("image2", "gif", "apng", "ico", "jpegxl_anim", "webp", "fits", "flic")
_IN_A_PIPE, _NOT_SVG = "_pipe", "svg_pipe"


class Unread(Exception):
    """FFmpeg, or ComfyUI's code, does not take the file: it is Pillow's turn."""


def frames(path: Path, components: Components, broken: Callable[[str], None]) -> Iterator[Frame]:
    """Each frame; ``broken`` is told what FFmpeg says of data that it cannot decode."""
    with _opened(path) as container:
        for packet in container.demux(container.streams.video[0]):
            parts = components(_One(container, _Watched(packet, broken)))
            alphas = [None] * len(parts.images) if parts.alpha is None else parts.alpha[..., -1]
            for colours, alpha in zip(parts.images, alphas, strict=True):
                yield _array(colours), None if alpha is None else _array(alpha)


def large_frame(path: Path) -> Frame:
    """The one frame of a JPEG or PNG as bytes: colours, and alpha where there is one. Raises Unread."""
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


def _array(tensor: torch.Tensor) -> Array:
    found: Array = tensor.numpy()
    return found


class _Watched:
    """A packet whose undecodable data is noticed: ComfyUI goes on with the next one."""

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


class _One:
    """A container of PyAV with one packet in it."""

    def __init__(self, container: Any, packet: _Watched) -> None:  # noqa: ANN401
        self._container, self._packet = container, packet

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._container, name)

    def demux(self, *_: object) -> Iterator[_Watched]:
        yield self._packet
