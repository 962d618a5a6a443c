"""Images: a frame of an IMAGE tensor to an encoded file, and a file that Pillow reads to IMAGE and MASK.

The rule: what comes out is what ComfyUI's own Save Image and Load Image make of it, bit for bit. Nothing here
changes Pillow's global settings, which other nodes share; every function may be called from any thread.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from . import media_kind, png, png_repair
from .errors import MediaError, sentence
from .media_metadata import Metadata
from .pixels import Pixels, eight_bits

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

__all__ = ["CHANNELS", "FORMATS", "Encoded", "Format", "Metadata", "decode", "decode_mask", "encode"]

logger = logging.getLogger("cloud_storage")

Floats = npt.NDArray[np.float32]

# --- Frames to files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Encoded:
    """An image as a file: its bytes, what to call it, and in plain sentences what of the original is lost."""

    data: bytes
    extension: str
    content_type: str
    notes: tuple[str, ...] = ()


Written = tuple[bytes, tuple[str, ...]]  # a file, and notes on what it lacks


@dataclass(frozen=True)
class Format:
    """A kind of file that an image can be saved as."""

    name: str
    extension: str
    content_type: str
    max_side: int  # of width and of height, in pixels
    keeps_alpha: bool
    has_quality: bool
    write: Callable[[Pixels, int, Mapping[str, str]], Written]  # of pixels, quality, texts to embed


def _write_png(pixels: Pixels, quality: int, texts: Mapping[str, str]) -> Written:
    # ComfyUI fails on a keyword that PNG does not allow; no image is to be lost for one here.
    allowed = {key: text for key, text in texts.items() if _is_keyword(key)}
    refused = [key for key in texts if key not in allowed]
    notes = tuple(f"{key!r} was left out of the file, PNG does not allow it as a keyword." for key in refused)
    return png.encode(pixels, allowed.items()), notes


def _is_keyword(key: str) -> bool:
    return 0 < len(key) <= png.MAX_KEYWORD_BYTES and all("\0" < letter <= "\xff" for letter in key)


_MAX_SEGMENT_BYTES = 65_533  # a JPEG segment tells its length in two bytes and counts these with it


def _write_jpeg(pixels: Pixels, quality: int, texts: Mapping[str, str]) -> Written:
    exif = _exif(texts).tobytes() if texts else b""
    if len(exif) <= _MAX_SEGMENT_BYTES:
        return _written_by_pillow(pixels, "JPEG", quality, exif), ()
    note = (
        f"The workflow ({len(exif):,} bytes) was left out of the file, a JPEG's EXIF has room for "
        f"{_MAX_SEGMENT_BYTES:,}; PNG and WebP hold it."
    )
    return _written_by_pillow(pixels, "JPEG", quality, b""), (note,)


def _write_webp(pixels: Pixels, quality: int, texts: Mapping[str, str]) -> Written:
    return _written_by_pillow(pixels, "WEBP", quality, _exif(texts).tobytes() if texts else b""), ()


def _written_by_pillow(pixels: Pixels, pillow_format: str, quality: int, exif: bytes) -> bytes:
    from PIL import Image

    height, width, channels = pixels.shape
    image = Image.fromarray(pixels.reshape(height, width) if channels == 1 else pixels)
    file = io.BytesIO()
    image.save(file, pillow_format, quality=quality, exif=exif)
    return file.getvalue()


_EXIF_PROMPT = 0x0110  # Model
_EXIF_REST = 0x010F  # Make, and downwards


def _exif(texts: Mapping[str, str]) -> Exif:
    """The tags in which ComfyUI keeps a WebP's workflow (comfy_api/latest/_ui.py, _create_webp_metadata)."""
    from PIL import Image

    exif = Image.Exif()
    rest = iter(range(_EXIF_REST, 0, -1))
    for key, text in texts.items():
        exif[_EXIF_PROMPT if key == "prompt" else next(rest)] = f"{key}:{text}"
    return exif


# In the order in which the nodes offer them.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format("png", "png", "image/png", png.MAX_SIDE, True, False, _write_png),
            # JPEG_MAX_DIMENSION of libjpeg (jmorecfg.h), a little less than the format's 16 bits.
            Format("jpg", "jpg", "image/jpeg", 65_500, False, True, _write_jpeg),
            # WEBP_MAX_DIMENSION of libwebp (webp/encode.h), 14 bits.
            Format("webp", "webp", "image/webp", 16_383, True, True, _write_webp),
        )
    }
)

_ALPHA = 3  # its index among the channels
_OPAQUE = 255


def encode(
    image: torch.Tensor | npt.NDArray[Any],
    format_name: str,
    quality: int = 95,
    metadata: Metadata | None = None,
) -> Encoded:
    """One frame, floats in 0..1 [H, W] or [H, W, C] with C 1 (grey), 3 (RGB) or 4 (RGBA), as a file.

    ``format_name`` is a key of FORMATS; ``quality`` is 1 to 100 for those that have one. Floats become bytes
    as in ComfyUI's Save Image: times 255, clamped, the fraction dropped; NaN becomes 0. ``metadata`` is
    embedded the way ComfyUI reads it back from PNG and WebP (from JPEG it reads none); None embeds nothing.
    What a format cannot hold is left out and named in the notes. Raises MediaError for another shape, and
    for a frame too large for the format.
    """
    if format_name not in FORMATS:
        advice = f"Choose one of {', '.join(FORMATS)}."
        raise MediaError(_refusal(repr(format_name), "the format is unknown", advice))
    form = FORMATS[format_name]
    metadata = metadata or Metadata()
    pixels = eight_bits(_frame(image, form))
    height, width, channels = pixels.shape
    notes = metadata.notes
    if channels > _ALPHA and not form.keeps_alpha:
        if pixels[..., _ALPHA].min() < _OPAQUE:
            notes += (f"A {form.name} file has no transparency: the alpha channel was left out.",)
        pixels = np.ascontiguousarray(pixels[..., :_ALPHA])
    try:
        data, further_notes = form.write(pixels, quality, metadata.texts)
    except (OSError, ValueError, MemoryError) as error:  # the encoders' own
        what = f"{width} x {height} pixels as {form.name}"
        raise MediaError(_refusal(what, f"{type(error).__name__} {error}", "Try another format.")) from error
    return Encoded(data, form.extension, form.content_type, notes + further_notes)


def _refusal(what: str, said: str, advice: str) -> str:
    return sentence("encode the image", what, said, advice)


def _frame(image: torch.Tensor | npt.NDArray[Any], form: Format) -> npt.NDArray[Any]:
    """``image`` as floats [H, W, C] in main memory. Raises MediaError unless ``form`` can hold it."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        image = (image.float() if image.dtype == torch.bfloat16 else image).numpy()  # numpy has no bfloat16
    shape = image.shape
    match shape:
        case (height, width):
            image = image[..., None]
        case (height, width, channels) if channels in png.COLOUR_TYPES:
            pass
        case _:
            height = width = 0
    if not (height and width):
        said = f"an array of {' x '.join(map(str, shape))} is no image"
        raise MediaError(_refusal(form.name, said, "Connect images of height x width x 1, 3 or 4 channels."))
    if max(height, width) > form.max_side:
        roomier = [other.name for other in FORMATS.values() if other.max_side >= max(height, width)]
        said = f"a {form.name} file is at most {form.max_side:,} pixels wide and high"
        advice = f"Save it as {' or '.join(roomier)}, or make it smaller."
        raise MediaError(_refusal(f"{width} x {height} pixels", said, advice))
    return image


# --- Files to frames ---------------------------------------------------------------------------------------

Frames = tuple[torch.Tensor, torch.Tensor]  # IMAGE and MASK

# The host's own way to read the file, where its Load Image has one beside Pillow: gives [B, H, W, 3] floats,
# and alpha [B, H, W] or None. No frame at all, or any exception, mean that it cannot read this one.
Reader = Callable[[], tuple[torch.Tensor, torch.Tensor | None]]

CHANNELS = ("alpha", "red", "green", "blue")

MAX_PIXELS = 1 << 30  # of all frames of a file together: 16 GiB of IMAGE and MASK

_SINGLE_FRAME = {"MPO"}  # its further pictures are no further frames, but previews or the other eye's view
_TRANSPARENT_COLOUR_MODES = {"1", "L", "P", "RGB"}  # where info["transparency"] names see-through colours


def decode(data: bytes, name: str = "no name", reader: Reader | None = None) -> Frames:
    """The frames of an image file as IMAGE [B, H, W, 3] and MASK [B, H, W] (1 - alpha), float32 in 0..1.

    As ComfyUI's Load Image does it with Pillow (0.3): turned upright by EXIF, frames of another size than
    the first left out. Different, and meant: without alpha the mask is zeros of the image's own size. As in
    newer ComfyUI, 16-bit grey keeps its bits, and colours declared transparent (tRNS) are. That one reads
    most files through FFmpeg, and JPEGs come out a little different; its way is to be given as ``reader``,
    which goes first.

    Of a damaged or cut-off PNG or JPEG comes the part that is there, as in ComfyUI, with a warning in the
    log. ``name`` stands for the file in messages. Raises MediaError where there is no image or too large a
    one.
    """
    frames = None if reader is None else _read(reader, data)
    if frames is not None:
        return frames
    try:
        return _decoded(data)
    except MediaError as error:
        raise MediaError(sentence("read the image", name, str(error), "Make it smaller.")) from error
    except Exception as error:  # noqa: BLE001  Pillow's plugins raise what they like; all of it is told below
        damage = error
    repaired = _repaired(data)
    if repaired is not None:
        try:
            frames = _decoded(repaired)
        except Exception:  # noqa: BLE001  nothing is lost: what was wrong in the first place is told below
            logger.debug("%s: the repaired file cannot be read either", name)
        else:
            logger.warning("%s is damaged (%s); the image holds what could be read of it", name, damage)
            return frames
    said, advice = _diagnosis(data, damage)
    raise MediaError(sentence("read the image", name, said, advice)) from damage


def decode_mask(
    data: bytes, channel: str, name: str = "no name", reader: Reader | None = None
) -> torch.Tensor:
    """One of CHANNELS of every frame as MASK [B, H, W]: alpha inverted, and zeros where there is none.

    Otherwise as ``decode``. All frames as in newer ComfyUI; 0.3 looked at the first one only.
    """
    image, mask = decode(data, name, reader)
    return mask if channel == "alpha" else image[..., CHANNELS.index(channel) - 1].clone()


def _read(reader: Reader, data: bytes) -> Frames | None:
    try:
        if _is_too_large(data):
            return None  # Pillow goes next, and says so
        images, alpha = reader()
    except Exception as error:  # noqa: BLE001  only this way is lost: Pillow goes next, as in ComfyUI
        logger.debug("ComfyUI's reader does not take the file: %s", error)
        return None
    if len(images) == 0:
        return None
    return images, torch.zeros(images.shape[:3], dtype=images.dtype) if alpha is None else 1.0 - alpha


def _is_too_large(data: bytes) -> bool:
    """Whether Pillow knows the file, and would not open it or all of its frames. Nothing is unpacked."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as file:
            return bool(file.width * file.height * getattr(file, "n_frames", 1) > MAX_PIXELS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True
    except Exception:  # noqa: BLE001  nothing is lost: what Pillow does not know is the reader's to judge
        return False


def _decoded(data: bytes) -> Frames:
    images, masks = zip(*_frames(data), strict=True)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks))


def _frames(data: bytes) -> Iterator[tuple[Floats, Floats]]:
    from PIL import Image, ImageOps, ImageSequence

    size, pixels = None, 0
    try:
        with Image.open(io.BytesIO(data)) as file:
            for raw_frame in ImageSequence.Iterator(file):
                width, height = raw_frame.size
                pixels += width * height
                if pixels > MAX_PIXELS:
                    raise MediaError(f"its frames, {width} x {height}, have more than {MAX_PIXELS:,} pixels")
                frame = ImageOps.exif_transpose(raw_frame)
                size = size or frame.size
                if frame.size == size:
                    yield _image(frame), _mask(frame)
                if file.format in _SINGLE_FRAME:
                    return
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(f"Pillow does not open one so large ({error})") from error


def _image(frame: Image) -> Floats:
    if frame.mode.startswith("I;16"):
        grey = np.asarray(frame).astype(np.float32) * np.float32(1 / 65535)
        return np.repeat(grey[..., None], 3, axis=2)
    if frame.mode == "I":
        frame = frame.point(lambda value: value * (1 / 255))
    return _fractions(frame.convert("RGB"))


def _mask(frame: Image) -> Floats:
    if frame.getbands()[-1] == "A":  # LAB has an A too, a colour
        alpha = frame.getchannel("A")
    elif "transparency" in frame.info and frame.mode in _TRANSPARENT_COLOUR_MODES:
        alpha = frame.convert("RGBA").getchannel("A")
    else:
        return np.zeros((frame.height, frame.width), np.float32)
    mask: Floats = np.float32(1) - _fractions(alpha)
    return mask


def _fractions(image: Image) -> Floats:
    floats = np.asarray(image).astype(np.float32)
    floats /= 255
    return floats


def _repaired(data: bytes) -> bytes | None:
    """A file that Pillow reads where it gave up on ``data``; None where there is no way to make one.

    ComfyUI tries a second time with Pillow's LOAD_TRUNCATED_IMAGES set, a global that other threads may set
    and restore meanwhile. The same picture comes of a JPEG with an end put to it, and of a PNG written anew.
    """
    if data.startswith(b"\xff\xd8"):
        return data + b"\xff\xd9"  # end of image
    return png_repair.repaired(data) if data.startswith(png.SIGNATURE) else None


def _diagnosis(data: bytes, error: Exception) -> tuple[str, str]:
    """What is wrong with a file that cannot be read, and what to do."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for it", "Make it smaller, or free memory."
    if not data:
        return "the file is empty", "Upload it again."
    if media_kind.is_image(data):
        return f"the file is damaged or cut off, {error}", "Upload it again."
    return f"the file is no image but {media_kind.kind(data)}", "Choose the key of an image."
