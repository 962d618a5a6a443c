"""Small pictures of images in a bucket, for the browser's key picker.

Whoever opens a folder has many made at once, of files that nobody has checked: so bytes, pixels and formats
are limited, and what was made is kept in memory, under the object's ETag, within a bound. The server is asked
each time whether this profile may read this version: what one key was shown is not for another.
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

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE_PIXELS = 160  # shown at half of it where a screen has two pixels to one
SOURCE_MAX_BYTES = 32 << 20
FIRST_BYTES = 4 << 20  # most images come with one request; of one that is too large, no more than this
SOURCE_MAX_PIXELS = 40_000_000
KEPT_MAX_BYTES = 24 << 20
MEDIA_TYPE = "image/webp"

# What Pillow may take a file for. Others of its formats run programs (EPS) or are seldom seen by a browser.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_SMALLER = "Load it with a node to see it."

_ETAG = re.compile(r"[\x21\x23-\x7e]{0,256}")  # RFC 9110, 8.8.3, without its quotation marks

_kept: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
_lock = threading.Lock()


def thumbnail(storage: Storage, key: str, etag: str, meter: Meter) -> bytes:
    """A WebP file of at most SIDE_PIXELS in both directions; one made before of the same version is given
    again, once the server has given out its first byte.

    ``etag`` is the version that a listing named, "" for any. Raises MediaError for what is no image or above
    the limits,
    ConfigurationError for what is no ETag, and Changed, NotFound and others as ``Storage.stream`` does.
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
    info, chunks = storage.stream(key, 0, FIRST_BYTES, etag, meter)
    data = b"".join(chunks)
    if info.size > SOURCE_MAX_BYTES:
        said = f"its {info.size} bytes are more than {SOURCE_MAX_BYTES}"
        raise MediaError(sentence("make a small picture", key, said, _SMALLER))
    if info.size > len(data):
        data += storage.read(key, len(data), None, info.etag, meter)
    made = _made(data, key)
    with _lock:
        _kept[storage.root, key, info.etag] = made
        while sum(map(len, _kept.values())) > KEPT_MAX_BYTES:
            _kept.popitem(last=False)
    return made


def of_file(path: Path) -> bytes:
    """The same of a local file. Raises MediaError."""
    try:
        size = path.stat().st_size
        if size <= SOURCE_MAX_BYTES:
            return _made(path.read_bytes(), path.name)
        said = f"its {size} bytes are more than {SOURCE_MAX_BYTES}"
    except OSError as error:  # removed meanwhile
        said = error.strerror or "it cannot be read"
    raise MediaError(sentence("make a small picture", path.name, said, _SMALLER))


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
    raise MediaError(sentence("make a small picture", key, said, _SMALLER))


def _small(image: Image) -> bytes:
    """The first frame, upright, as WebP."""
    from PIL import ImageOps

    image.draft("RGB", (SIDE_PIXELS * 2, SIDE_PIXELS * 2))  # a JPEG is then decoded at a fraction of its size
    if image.mode.startswith("I"):  # 16 bits of grey, which a conversion would clip
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((SIDE_PIXELS, SIDE_PIXELS))
    written = io.BytesIO()
    transparent = "A" in upright.getbands() or "transparency" in upright.info
    upright.convert("RGBA" if transparent else "RGB").save(written, "WEBP", quality=75)
    return written.getvalue()
