"""Makes thumbnails of images and videos in a bucket, for the picker and the panel Files.

Opening a folder asks for many of them at once, of files that nobody has checked. So bytes, pixels and formats
are limited, and thumbnails are cached in memory by the object's ETag, up to KEPT_MAX_BYTES. The bucket is
asked each time whether this profile may read this version: another access key may not see the thumbnail.
"""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, MediaError, sentence
from ..storage.base import Storage
from ..system.meter import Meter
from . import video_frame

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PIXELS = 160  # shown at 80 CSS pixels: screens have up to two pixels for one
SOURCE_MAX_BYTES = 32 << 20
FIRST_BYTES = 4 << 20  # of the first request: enough for most images, and not all of a file that is too large
SOURCE_MAX_PIXELS = 40_000_000
KEPT_MAX_BYTES = 24 << 20
MEDIA_TYPE = "image/webp"

# The formats that Pillow may try. Others run programs (EPS), or few browsers show them.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_SMALLER = "Load it with a node to see it."

_ETAG = re.compile(r"[\x21\x23-\x7e]{0,256}")  # RFC 9110, 8.8.3, without its quotation marks

_kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
_lock = threading.Lock()


def thumbnail(storage: Storage, key: str, etag: str, meter: Meter) -> bytes:
    """Return a WebP file of at most SIDE_PIXELS in both directions; of a video, its first frame. A cached one
    is used if the server still lets this profile read the first byte of that version.

    ``etag`` is the version that a listing showed, "" for any. Raises MediaError if the object is not an image
    or above the limits, ConfigurationError if ``etag`` is not an ETag, and errors of ``Storage.stream``.
    """
    if not _ETAG.fullmatch(etag):
        raise ConfigurationError("The version of the object is no ETag. Open the folder again.")
    name = (storage.root, key, etag)
    with _lock:
        kept = _kept.get(name) if etag else None
    if kept is not None:
        for _ in storage.stream(key, 0, 1, etag, meter)[1]:
            pass
        with _lock:
            if name in _kept:
                _kept.move_to_end(name)
        return kept
    if video_frame.is_video(key):
        frame, version = video_frame.first(storage, key, etag, SOURCE_MAX_PIXELS, meter)
        return _keep(storage, key, version, _small(frame))
    info, chunks = storage.stream(key, 0, FIRST_BYTES, etag, meter)
    data = b"".join(chunks)
    if info.size > SOURCE_MAX_BYTES:
        said = f"its {info.size} bytes are more than {SOURCE_MAX_BYTES}"
        raise MediaError(sentence("make a thumbnail", key, said, _SMALLER))
    if info.size > len(data):
        data += storage.read(key, len(data), None, info.etag, meter)
    return _keep(storage, key, info.etag, _made(data, key))


def _keep(storage: Storage, key: str, etag: str, made: bytes) -> bytes:
    with _lock:
        _kept[storage.root, key, etag] = made
        while sum(map(len, _kept.values())) > KEPT_MAX_BYTES:
            _kept.popitem(last=False)
    return made


def forget() -> None:
    """Empty the cache."""
    with _lock:
        _kept.clear()


def kept_bytes() -> int:
    """Return the size of the cache."""
    with _lock:
        return sum(map(len, _kept.values()))


def of_file(path: Path) -> bytes:
    """Return the thumbnail of a local file. Raises MediaError."""
    try:
        size = path.stat().st_size
        if size <= SOURCE_MAX_BYTES:
            return _made(path.read_bytes(), path.name)
        said = f"its {size} bytes are more than {SOURCE_MAX_BYTES}"
    except OSError as error:  # deleted meanwhile
        said = error.strerror or "it cannot be read"
    raise MediaError(sentence("make a thumbnail", path.name, said, _SMALLER))


def _made(data: bytes, key: str) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            pixels = image.width * image.height
            if pixels <= SOURCE_MAX_PIXELS:
                return _small(image)
        said = f"its {pixels} pixels are more than {SOURCE_MAX_PIXELS}"
    except Exception as error:  # noqa: BLE001  Pillow's plugins raise what they like; the picker shows a symbol then
        said = f"it cannot be read as an image, {type(error).__name__}"
    raise MediaError(sentence("make a thumbnail", key, said, _SMALLER))


def _small(image: Image) -> bytes:
    """The first frame, upright, as WebP."""
    from PIL import ImageOps

    image.draft("RGB", (SIDE_PIXELS * 2, SIDE_PIXELS * 2))  # decodes a JPEG at a fraction of its size
    if image.mode.startswith("I"):  # 16-bit grey, which convert() would clip
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    written = io.BytesIO()
    transparent = "A" in upright.getbands() or "transparency" in upright.info
    upright.convert("RGBA" if transparent else "RGB").save(written, "WEBP", quality=75)
    return written.getvalue()
