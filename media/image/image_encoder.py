"""Encodes one frame of an IMAGE tensor as an image file, with the pixels that ComfyUI's Save Image writes.

Pillow's global settings, which other nodes share, are not changed. Any thread may call these functions.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ...errors import MediaError, sentence
from ..image_tensor import Bytes, to_uint8
from ..workflow_metadata import Metadata
from . import png

if TYPE_CHECKING:
    from PIL.Image import Exif

__all__ = ["FORMATS", "Encoded", "Format", "Metadata", "encode"]


@dataclass(frozen=True)
class Encoded:
    """An encoded image, and a sentence for each thing that is lost."""

    data: bytes
    content_type: str
    notes: tuple[str, ...] = ()


Written = tuple[bytes, tuple[str, ...]]  # a file, and notes on what is lost


@dataclass(frozen=True)
class Format:
    """A format for image files. ``name`` is also the file's extension."""

    name: str
    content_type: str
    max_side: int  # largest width and height, in pixels
    keeps_alpha: bool
    write: Callable[[Bytes, int, Mapping[str, str]], Written]  # pixels, quality, texts to embed


def _write_png(pixels: Bytes, quality: int, texts: Mapping[str, str]) -> Written:
    # ComfyUI fails for a keyword that PNG does not allow; here the image is saved without it.
    allowed = {key: text for key, text in texts.items() if _is_keyword(key)}
    refused = [key for key in texts if key not in allowed]
    notes = tuple(f"{key!r} was left out of the file, PNG does not allow it as a keyword." for key in refused)
    return png.encode(pixels, allowed.items()), notes


def _is_keyword(key: str) -> bool:
    return 0 < len(key) <= png.MAX_KEYWORD_BYTES and all("\0" < letter <= "\xff" for letter in key)


_MAX_SEGMENT_BYTES = 65_533  # a JPEG segment's length has two bytes and includes them


def _write_jpeg(pixels: Bytes, quality: int, texts: Mapping[str, str]) -> Written:
    exif = _exif(texts).tobytes() if texts else b""
    if len(exif) <= _MAX_SEGMENT_BYTES:
        return _written_by_pillow(pixels, "JPEG", quality, exif), ()
    note = (
        f"The workflow ({len(exif):,} bytes) was left out of the file, a JPEG's EXIF has room for "
        f"{_MAX_SEGMENT_BYTES:,}; PNG and WebP have room for it."
    )
    return _written_by_pillow(pixels, "JPEG", quality, b""), (note,)


def _write_webp(pixels: Bytes, quality: int, texts: Mapping[str, str]) -> Written:
    return _written_by_pillow(pixels, "WEBP", quality, _exif(texts).tobytes() if texts else b""), ()


def _written_by_pillow(pixels: Bytes, pillow_format: str, quality: int, exif: bytes) -> bytes:
    from PIL import Image

    height, width, channels = pixels.shape
    image = Image.fromarray(pixels.reshape(height, width) if channels == 1 else pixels)
    file = io.BytesIO()
    image.save(file, pillow_format, quality=quality, exif=exif)
    return file.getvalue()


_EXIF_PROMPT = 0x0110  # Model
_EXIF_REST = 0x010F  # Make, then the tags below it


def _exif(texts: Mapping[str, str]) -> Exif:
    """Return the tags in which ComfyUI keeps a WebP's workflow.

    See _create_webp_metadata in comfy_api/latest/_ui.py.
    """
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
            Format("png", "image/png", png.MAX_SIDE, True, _write_png),
            # JPEG_MAX_DIMENSION of libjpeg (jmorecfg.h), a little less than the format's 16 bits.
            Format("jpg", "image/jpeg", 65_500, False, _write_jpeg),
            # WEBP_MAX_DIMENSION of libwebp (webp/encode.h), 14 bits.
            Format("webp", "image/webp", 16_383, True, _write_webp),
        )
    }
)

_ALPHA, _OPAQUE = 3, 255  # the index of the alpha channel, and its largest value


def encode(
    image: torch.Tensor | npt.NDArray[Any],
    format_name: str,
    quality: int = 95,
    metadata: Metadata | None = None,
) -> Encoded:
    """Encode one frame, floats in 0..1 [H, W] or [H, W, C] with C 1 (grey), 3 (RGB) or 4 (RGBA).

    ``format_name`` is a key of FORMATS; ``quality`` is 1 to 100 and ignored for png. Floats become bytes as
    in ComfyUI's Save Image: times 255, clamped, the fraction dropped; NaN becomes 0. ``metadata`` is embedded
    where ComfyUI reads it from PNG and WebP (it reads none from JPEG); None embeds nothing. The notes name
    what a format cannot hold. Raises MediaError for another shape and for a frame too large for the format.
    """
    if format_name not in FORMATS:
        advice = f"Choose one of {', '.join(FORMATS)}."
        raise MediaError(_refusal(repr(format_name), "the format is unknown", advice))
    form = FORMATS[format_name]
    metadata = metadata or Metadata()
    pixels = to_uint8(_frame(image, form))
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
    return Encoded(data, form.content_type, notes + further_notes)


def _refusal(what: str, said: str, advice: str) -> str:
    return sentence("encode the image", what, said, advice)


def _frame(image: torch.Tensor | npt.NDArray[Any], form: Format) -> npt.NDArray[Any]:
    """Return ``image`` as floats [H, W, C] in main memory. Raises MediaError if ``form`` cannot hold it."""
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        image = (image.float() if image.dtype == torch.bfloat16 else image).numpy()  # numpy has no bfloat16
    shape = image.shape
    image = image[..., None] if image.ndim == 2 else image  # noqa: PLR2004
    if image.ndim != 3 or 0 in shape or image.shape[2] not in png.COLOUR_TYPES:  # noqa: PLR2004
        said = f"an array of {' x '.join(map(str, shape))} is not an image"
        raise MediaError(_refusal(form.name, said, "Connect images of height x width x 1, 3 or 4 channels."))
    height, width = shape[:2]
    if max(height, width) > form.max_side:
        roomier = [other.name for other in FORMATS.values() if other.max_side >= max(height, width)]
        said = f"a {form.name} file is at most {form.max_side:,} pixels wide and high"
        advice = f"Save it as {' or '.join(roomier)}, or make it smaller."
        raise MediaError(_refusal(f"{width} x {height} pixels", said, advice))
    return image
