"""The first frame of a video in a bucket, for its thumbnail: from a bounded part of its bytes."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from ..errors import Changed, MediaError, TransferCancelled, sentence
from ..loading.range_reader import RangeReader
from ..media import container
from ..media.video.frame_converter import rotation
from ..storage.base import Storage
from ..system.meter import Meter

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 16 << 20  # that are read of one video: an index at its end, and a large first frame
AT_ONCE = threading.BoundedSemaphore(2)  # videos that are decoded
ENDINGS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv")
_SMALLER = "Load it with a node to see it."

# How to turn a stored frame, by its display matrix: names of ``PIL.Image.Transpose``
_TURNS = {
    (-1, 0, 0, 1): "FLIP_LEFT_RIGHT",
    (1, 0, 0, -1): "FLIP_TOP_BOTTOM",
    (-1, 0, 0, -1): "ROTATE_180",
    (0, 1, -1, 0): "ROTATE_270",
    (0, -1, 1, 0): "ROTATE_90",
}


class _Limited(Meter):
    """Stops itself after MOST_BYTES."""

    def add(self, count: int) -> None:
        super().add(count)
        if self.done > MOST_BYTES:
            self.stop()


def is_video(key: str) -> bool:
    """Return whether a key ends as a video's does."""
    return key.lower().endswith(ENDINGS)


def first(storage: Storage, key: str, etag: str, most_pixels: int, meter: Meter) -> tuple[Image, str]:
    """Return the first frame, upright, and the ETag of the version that was read.

    Raises MediaError if it is no video, or needs more than MOST_BYTES or ``most_pixels``; Changed if the
    object has another ETag than ``etag``, "" for any; and errors of ``Storage.stream``.
    """
    limited = _Limited(parent=meter)
    try:
        with AT_ONCE, contextlib.closing(RangeReader(storage, key, limited)) as reader:
            if etag and reader.info.etag != etag:
                said = "it has been replaced"
                raise Changed(sentence("make a thumbnail", key, said, "Open the folder again."))
            return _decoded(reader, key, most_pixels), reader.info.etag
    except TransferCancelled:
        if limited.done <= MOST_BYTES:
            raise
        said = f"its first frame is not in the first {MOST_BYTES} bytes that were read"
        raise MediaError(sentence("make a thumbnail", key, said, _SMALLER)) from None


def _decoded(reader: RangeReader, key: str, most_pixels: int) -> Image:
    from PIL import Image

    with container.opened(reader, key, "a video") as opened:
        stream = container.video_stream(opened)
        if stream is None:
            raise MediaError(sentence("make a thumbnail", key, "it has no video", _SMALLER))
        pixels = stream.codec_context.width * stream.codec_context.height
        if pixels > most_pixels:
            said = f"its {pixels} pixels are more than {most_pixels}"
            raise MediaError(sentence("make a thumbnail", key, said, _SMALLER))
        frame = next(opened.decode(stream), None)
        if frame is None:
            raise MediaError(sentence("make a thumbnail", key, "it has no frame", _SMALLER))
        image: Image.Image = frame.to_image()
        turn = _TURNS.get(rotation(frame))
        return image.transpose(Image.Transpose[turn]) if turn else image
