"""Reads the frames of an image file with Pillow, one at a time, rotated by their EXIF orientation.

Metadata that cannot be read is ignored, and the part of a truncated file that is there is read. Pillow's
global settings, which other nodes share, are not changed.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..damage import ImageDamage
from . import image_batch, image_truncation
from .image_batch import Array, Band, Batch, Room

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # EXIF's tag
_SINGLE_FRAME = {"MPO"}  # its other images are previews or the other eye's view, no frames
_JPEG, _JPEG_END = {"JPEG", "MPO"}, b"\xff\xd9"
_MIXED_SIZES = {"TIFF"}  # its frames may have different sizes
_TRANSPARENT_COLOUR_MODES = {"1", "L", "P", "RGB"}  # where info["transparency"] names colours
# Pillow's formats that are not read, and why
_FORBIDDEN = {"EPS": "it is a PostScript program, which would have to be run"}


class Refused(Exception):
    """The file is not read; ``advice`` says what to do."""

    def __init__(self, said: str, advice: str) -> None:
        super().__init__(said)
        self.advice = advice


@dataclass(frozen=True)
class Size:
    """The number of frames with the size of the first, 0 if unknown, and the pixels of one, by the header."""

    count: int
    pixels: int


def size(file: Image, *, first_only: bool) -> Size:
    """Return how large the file will be in memory, without decoding it."""
    pixels = file.width * file.height
    if first_only or file.format in _SINGLE_FRAME:
        return Size(1, pixels)
    try:
        count = getattr(file, "n_frames", 1)
        if count > 1 and file.format in _MIXED_SIZES:
            count = sum(_pixels_of(file, index) == pixels for index in range(count))
    except Exception:  # noqa: BLE001  a later frame cannot be read: reported when it is decoded
        count = 0
    return Size(count, pixels)


def _pixels_of(file: Image, index: int) -> int:
    file.seek(index)
    return file.width * file.height


def fill(file: Image, size: Size, room: Room, damage: ImageDamage) -> Batch:
    """Decode the frames into a new batch.

    Frames of another size than the first are skipped, as in ComfyUI's Load Image. A file with one frame is
    closed before its pixels become floats. Raises whatever Pillow raises if no frame can be decoded.
    """
    first = getattr(file, "_min_frame", 0)  # Photoshop files count from 1, see Pillow's ImageSequence
    batch = None
    for index in itertools.count(first):
        try:
            with _limited():
                file.seek(index)
                _load(file, damage, index - first)
        except EOFError:
            break
        except Exception as error:
            if batch is None:
                raise
            loaded = "1 frame was" if batch.filled == 1 else f"{batch.filled} frames were"
            damage.found(f"the file is damaged or cut off ({said(error)}): only {loaded} loaded")
            break
        orientation = _orientation(file, damage)
        height, width = file.height, file.width
        if orientation >= image_batch.SIDEWAYS:
            height, width = width, height
        batch = batch or room.begin(height, width)
        if (height, width) == (batch.height, batch.width):
            if batch.filled == batch.room:
                room.more(batch)
            release = file.close if size.count == 1 else (lambda: None)
            batch.add(_bands(file, damage), image_batch.ORIENTATIONS[orientation], release)
        if size.count == 1:
            break
    if batch is None:
        raise EOFError("there is no image in the file")
    return batch


def said(error: BaseException) -> str:
    """Return Pillow's message without the names of objects in memory."""
    text = str(error) or type(error).__name__
    return "Pillow cannot identify it" if "<_io." in text or " object at 0x" in text else text


def _load(file: Image, damage: ImageDamage, index: int) -> None:
    """Decode the current frame; of a truncated one, the part that is there."""
    try:
        file.load()
    except Exception as error:
        if getattr(file, "tile", None) is None or isinstance(error, MemoryError):
            raise
        try:
            if file.format in _JPEG:
                source = getattr(file, "fp", None)  # loading may set it to None
                _append(file, _JPEG_END)
                file.load()
                if (
                    source is not None
                    and not source.closed
                    and image_truncation.only_end_marker_is_missing(source)
                ):
                    return
            else:
                _forgiving()(file)
        except Exception:  # noqa: BLE001  the first error says more
            raise error from None
        which = f"frame {index + 1}" if index else "the image"
        lacks = f"what could not be read of {which} is empty"
        damage.found(f"the file is damaged or cut off ({said(error)}), {lacks}")


def _append(file: Any, end: bytes) -> None:  # noqa: ANN401  a plugin's image
    """Make the decoder read ``end`` after the last byte, as Pillow does with LOAD_TRUNCATED_IMAGES."""
    ends = iter((end,))
    file.load_read = lambda count: file.fp.read(count) or next(ends, b"")


@functools.cache
def _forgiving() -> Callable[[Any], object]:
    """Return Pillow's ``ImageFile.load`` with LOAD_TRUNCATED_IMAGES set for it alone.

    ComfyUI sets this global, which all threads share, for a second attempt. Here a copy of the function gets
    its own globals.
    """
    from PIL import ImageFile

    load: Any = ImageFile.ImageFile.load
    own = {**vars(ImageFile), "LOAD_TRUNCATED_IMAGES": True}
    return types.FunctionType(load.__code__, own, load.__name__, load.__defaults__, load.__closure__)


def _orientation(frame: Image, damage: ImageDamage) -> int:
    try:
        orientation = frame.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  the pixels do not depend on it
        damage.lost("its EXIF data cannot be read, so it is not rotated")
        return 1
    return orientation if isinstance(orientation, int) and orientation in image_batch.ORIENTATIONS else 1


# --- Pixels ------------------------------------------------------------------------------------------------


def _bands(frame: Image, damage: ImageDamage) -> Iterator[Band]:
    """Yield the frame in bands of rows, so that converting it needs no second copy."""
    alpha_of = _alpha_of(frame, damage)
    # 16-bit grey; Pillow before 11 returns that of a PNG as 32 bits
    deep = frame.mode.startswith("I;16") or (frame.mode == "I" and frame.format == "PNG")
    for rows in image_batch.slices(frame.height, frame.width):
        band = frame.crop((0, rows.start, frame.width, rows.stop))
        alpha = alpha_of(band)
        yield rows.start, _deep(band) if deep else _colours(band), alpha


def _deep(band: Image) -> Array:
    grey = np.asarray(band).astype(np.float32) * np.float32(1 / 65535)
    return np.repeat(grey[..., None], 3, axis=2)


def _colours(band: Image) -> Array:
    if band.mode == "I":
        band = band.point(lambda value: value * (1 / 255))
    return np.asarray(band.convert("RGB"))


def _alpha_of(frame: Image, damage: ImageDamage) -> Callable[[Image], Array | None]:
    if frame.getbands()[-1] == "A":  # LAB has an A too, a colour
        return lambda band: np.asarray(band.getchannel("A"))
    if "transparency" not in frame.info:
        return lambda band: None
    try:  # with one pixel: the file's transparent colour may be unreadable
        pixel = frame.crop((0, 0, 1, 1))
        pixel.convert("RGBA")
        pixel.convert("RGB")
    except Exception:  # noqa: BLE001  the pixels do not depend on it
        del frame.info["transparency"]
        damage.lost("its transparent colour cannot be read, so it is opaque")
        return lambda band: None
    if frame.mode not in _TRANSPARENT_COLOUR_MODES:
        return lambda band: None
    return lambda band: np.asarray(band.convert("RGBA").getchannel("A"))


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raise Refused where Pillow finds an image that is larger than its limit."""
    from PIL import Image

    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # "Image size (1 pixels) exceeds limit of 2 pixels, could be decompression bomb DOS attack."
        pixels, limit = (f"{int(number):,}" for number in re.findall(r"\d+", str(error)))
        said = f"it has {pixels} pixels, and Pillow reads at most {limit}"
        raise Refused(said, image_batch.SMALLER) from error


def opened(file: BinaryIO) -> Image:
    """Open the file and read only its header. Raises Refused, and whatever Pillow raises."""
    from PIL import Image

    with _limited():
        image = Image.open(file)
    if image.format in _FORBIDDEN:
        raise Refused(_FORBIDDEN[image.format], "Save it as PNG, JPEG or WebP.")
    return image
