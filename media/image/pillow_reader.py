"""The frames of an image file as Pillow reads them, one at a time, turned upright.

The rule: metadata that cannot be read costs nothing but itself, and of a file that is cut off comes what is
there. Pillow's global settings, which other nodes share, stay untouched.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from ..damage import Damage
from . import image_batch, image_truncation
from .image_batch import Array, Band, Batch

if TYPE_CHECKING:
    from PIL.Image import Image

_ORIENTATION = 0x0112  # EXIF's tag
_SINGLE_FRAME = {"MPO"}  # its further pictures are no further frames, but previews or the other eye's view
_JPEG, _END_OF_JPEG = {"JPEG", "MPO"}, b"\xff\xd9"
_OTHER_SIZES = {"TIFF"}  # whose further pictures may have other sizes, and are left out then
_TRANSPARENT_COLOUR_MODES = {"1", "L", "P", "RGB"}  # where info["transparency"] names see-through colours
# Of Pillow's formats those that are not read, and why
_FORBIDDEN = {"EPS": "it is a PostScript program, which would have to be run"}


class Refused(Exception):
    """A file that is not read, and what to do."""

    def __init__(self, said: str, advice: str) -> None:
        super().__init__(said)
        self.advice = advice


class Room(Protocol):
    """Where frames go."""

    def begin(self, height: int, width: int) -> Batch: ...
    def more(self, batch: Batch) -> None: ...


@dataclass(frozen=True)
class Size:
    """What the header of a file says: how many frames of the first one's size, 0 for nobody knows, and the
    pixels of one.
    """

    count: int
    pixels: int


def size(file: Image, *, first_only: bool) -> Size:
    """How large the file will be in memory. Nothing is decoded."""
    pixels = file.width * file.height
    if first_only or file.format in _SINGLE_FRAME:
        return Size(1, pixels)
    try:
        count = getattr(file, "n_frames", 1)
        if count > 1 and file.format in _OTHER_SIZES:
            count = sum(_pixels_of(file, index) == pixels for index in range(count))
    except Exception:  # noqa: BLE001  a later frame cannot be read: it is told when its turn comes
        count = 0
    return Size(count, pixels)


def _pixels_of(file: Image, index: int) -> int:
    file.seek(index)
    return file.width * file.height


def fill(file: Image, size: Size, room: Room, damage: Damage) -> Batch:
    """Decode the frames.

    Those of another size than the first are left out, as in ComfyUI's Load Image. A file of one frame is
    closed before its pixels become floats. Raises whatever Pillow raises, where there is no frame.
    """
    first = getattr(file, "_min_frame", 0)  # a Photoshop file counts from 1, see Pillow's ImageSequence
    batch = None
    for index in itertools.count(first):
        try:
            file.seek(index)
            _load(file, damage, index - first)
        except EOFError:
            break
        except Exception as error:
            if batch is None:
                raise
            damage.found(f"the file is damaged or cut off ({said(error)}): {batch.filled} frames are there")
            break
        orientation = _orientation(file, damage)
        height, width = file.height, file.width
        if orientation >= image_batch.SIDEWAYS:
            height, width = width, height
        batch = batch or room.begin(height, width)
        if (height, width) == (batch.height, batch.width):
            if batch.filled == batch.room:
                room.more(batch)
            release = file.close if size.count == 1 else _nothing
            batch.add(_bands(file, damage), image_batch.TURNS[orientation], release)
        if size.count == 1:
            break
    if batch is None:
        raise EOFError("there is no picture in the file")
    return batch


def _nothing() -> None:
    pass


def said(error: BaseException) -> str:
    """What Pillow says, without the names of objects in memory."""
    text = str(error) or type(error).__name__
    return "Pillow cannot identify it" if "<_io." in text or " object at 0x" in text else text


def _load(file: Image, damage: Damage, index: int) -> None:
    """Decode the frame that the file stands at; what of it is there, where it breaks off."""
    try:
        file.load()
    except Exception as error:
        if getattr(file, "tile", None) is None or isinstance(error, MemoryError):
            raise
        try:
            if file.format in _JPEG:
                source = getattr(file, "fp", None)  # which loading may let go of
                _end_with(file, _END_OF_JPEG)
                file.load()
                if source is not None and not source.closed and image_truncation.lacks_only_its_end(source):
                    return
            else:
                _forgiving()(file)
        except Exception:  # noqa: BLE001  the first error says more
            raise error from None
        which = f"frame {index + 1}" if index else "the picture"
        lacks = f"what could not be read of {which} is empty"
        damage.found(f"the file is damaged or cut off ({said(error)}), {lacks}")


def _end_with(file: Any, end: bytes) -> None:  # noqa: ANN401  a plugin's image
    """Let the decoder find ``end`` behind the last byte, as Pillow does it with LOAD_TRUNCATED_IMAGES."""
    ends = iter((end,))
    file.load_read = lambda count: file.fp.read(count) or next(ends, b"")


@functools.cache
def _forgiving() -> Callable[[Any], object]:
    """Pillow's own ``ImageFile.load`` as it is with LOAD_TRUNCATED_IMAGES, a global that other threads share:
    ComfyUI sets it for a second attempt. The same code, with globals of its own.
    """
    from PIL import ImageFile

    load: Any = ImageFile.ImageFile.load
    own = {**vars(ImageFile), "LOAD_TRUNCATED_IMAGES": True}
    return types.FunctionType(load.__code__, own, load.__name__, load.__defaults__, load.__closure__)


def _orientation(frame: Image, damage: Damage) -> int:
    try:
        orientation = frame.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001  the picture does not depend on it
        damage.lost("its EXIF data cannot be read, so it is not rotated")
        return 1
    return orientation if isinstance(orientation, int) and orientation in image_batch.TURNS else 1


# --- Pixels ------------------------------------------------------------------------------------------------


def _bands(frame: Image, damage: Damage) -> Iterator[Band]:
    """The frame in bands, so that a conversion needs no second copy of all of it."""
    alpha_of = _alpha_of(frame, damage)
    # 16 bits of grey, which Pillow before 11 gives as 32 where a PNG has them
    deep = frame.mode.startswith("I;16") or (frame.mode == "I" and frame.format == "PNG")
    for top, bottom in image_batch.band_rows(frame.height, frame.width):
        band = frame.crop((0, top, frame.width, bottom))
        alpha = alpha_of(band)
        yield top, _deep(band) if deep else _colours(band), alpha


def _deep(band: Image) -> Array:
    grey = np.asarray(band).astype(np.float32) * np.float32(1 / 65535)
    return np.repeat(grey[..., None], 3, axis=2)


def _colours(band: Image) -> Array:
    if band.mode == "I":
        band = band.point(lambda value: value * (1 / 255))
    return np.asarray(band.convert("RGB"))


def _alpha_of(frame: Image, damage: Damage) -> Callable[[Image], Array | None]:
    if frame.getbands()[-1] == "A":  # LAB has an A too, a colour
        return lambda band: np.asarray(band.getchannel("A"))
    if "transparency" not in frame.info:
        return lambda band: None
    try:  # a first pixel shows whether the file's word on it can be read
        pixel = frame.crop((0, 0, 1, 1))
        pixel.convert("RGBA")
        pixel.convert("RGB")
    except Exception:  # noqa: BLE001  the picture does not depend on it
        del frame.info["transparency"]
        damage.lost("its transparent colour cannot be read, so it is opaque")
        return lambda band: None
    if frame.mode not in _TRANSPARENT_COLOUR_MODES:
        return lambda band: None
    return lambda band: np.asarray(band.convert("RGBA").getchannel("A"))


def opened(file: BinaryIO) -> Image:
    """The file, of which only the header is read yet. Raises Refused, and whatever Pillow raises."""
    from PIL import Image

    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(f"Pillow does not open one so large ({error})", "Make it smaller.") from error
    if image.format in _FORBIDDEN:
        raise Refused(_FORBIDDEN[image.format], "Save it as PNG, JPEG or WebP.")
    return image
