"""Names the kind of a file by its first bytes, for messages about files that are not what they should be."""

from __future__ import annotations

from typing import Literal

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8"
EBML_HEADER = b"\x1a\x45\xdf\xa3"
_COMMON_IMAGES = {
    PNG_SIGNATURE: "a PNG image",
    JPEG_START + b"\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"8BPS": "a Photoshop image",
}
_AUDIO_AND_VIDEO = {
    EBML_HEADER: "a Matroska or WebM video",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"ID3": "an MP3 file",
    b"FLV\1": "a Flash video",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "a Windows Media file",
    b"\0\0\1\xba": "an MPEG video",
}
_DOCUMENTS = {b"%PDF": "a PDF document", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "a gzip archive"}
# The boxes that an MP4 or QuickTime file begins with
ISO_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_TEXTS = {  # compared in lower case, after white space
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<svg": "an SVG drawing",
    b"<": "an XML document, perhaps a server's error message",
    b"{": "a JSON document, perhaps a server's error message",
    b"version https://git-lfs": "a Git LFS pointer, which only stands for the file",
}
_RIFF = {b"WEBP": "a WebP image", b"WAVE": "a WAV file", b"AVI ": "an AVI video"}  # by bytes 8 to 12
_ISO_IMAGES = {  # by the brand in bytes 8 to 12; other brands are videos. mp4ra.org/registered-types/brands
    **dict.fromkeys((b"avif", b"avis"), "an AVIF image"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis"), "a HEIC photograph"),
    **dict.fromkeys((b"hevc", b"hevx", b"hevm", b"hevs"), "a HEIC photograph"),
    **dict.fromkeys(
        (b"mif1", b"mif2", b"msf1", b"miaf"), "a HEIC photograph"
    ),  # or AVIF, by the other brands
    **dict.fromkeys((b"avci", b"avcs"), "a HEIF image"),
    b"jxl ": "a JPEG XL image",
    b"jp2 ": "a JPEG 2000 image",
    b"jpx ": "a JPEG 2000 image",
    b"crx ": "a raw photograph (Canon CR3)",
}
# Images that ComfyUI's own Load Image may not read either
_RARE_IMAGES = {
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL \r\n\x87\n": "a JPEG XL image",
    b"\0\0\0\x0cjP  \r\n\x87\n": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"II\xbc": "a JPEG XR image",
    b"II*\0\x10\0\0\0CR": "a raw photograph (Canon CR2)",
    b"IIU\0": "a raw photograph (Panasonic RW2)",
    b"IIRO": "a raw photograph (Olympus ORF)",
    b"IIRS": "a raw photograph (Olympus ORF)",
    b"MMOR": "a raw photograph (Olympus ORF)",
    b"FUJIFILMCCD-RAW": "a raw photograph (Fujifilm RAF)",
    b"FOVb": "a raw photograph (Sigma X3F)",
    b"\0MRM": "a raw photograph (Minolta MRW)",
    b"v/1\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"#?RGBE": "a Radiance HDR image",
    b"gimp xcf": "a GIMP drawing",
    b"%!PS": "a PostScript document",
    b"\xc5\xd0\xd3\xc6": "a PostScript document",
    b"qoif": "a QOI image",
    b"DDS ": "a DirectDraw texture",
    b"SIMPLE  =": "a FITS image",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
    b"\0\0\1\0": "a Windows icon",
    b"icns": "an icon of macOS",
}
_IMAGE_SEQUENCES = (b"avis", b"msf1", b"hevc", b"hevx", b"hevm", b"hevs", b"avcs")  # of _ISO_IMAGES
_MIXED_BRANDS = (b"mif1", b"mif2", b"msf1", b"miaf")  # used by HEIC and by AVIF files
_BY_START = {**_RARE_IMAGES, **_COMMON_IMAGES, **_AUDIO_AND_VIDEO, **_DOCUMENTS}
HEAD_BYTES = 1 << 16  # of a file: enough for every function of this module; 100 bytes are enough for most
_DNG_VERSION = 0xC612  # a TIFF tag, helpx.adobe.com/camera-raw/digital-negative.html


def is_common_image(data: bytes) -> bool:
    """Return whether ``data`` begins like an image that Pillow reads: not a camera's raw file."""
    is_rare = _is_dng(data) or data.startswith(tuple(_RARE_IMAGES))
    return _looks_common(data) and not is_rare


def is_any_image(data: bytes) -> bool:
    """Return whether ``data`` begins like an image of any kind, readable or not."""
    return _looks_common(data) or data.startswith(tuple(_RARE_IMAGES)) or _iso_image(data) is not None


def is_animation(data: bytes) -> bool:
    """Return whether ``data`` begins like an image file that is also a video: GIF, AVIF or HEIC sequence."""
    return data.startswith(b"GIF8") or (data[4:8] == b"ftyp" and data[8:12] in _IMAGE_SEQUENCES)


def is_document(data: bytes) -> bool:
    """Return whether ``data`` begins like a text, a PDF or an archive."""
    return _text(data).startswith(tuple(_TEXTS)) or data.startswith(tuple(_DOCUMENTS))


def is_audio_or_video(data: bytes) -> bool:
    """Return whether ``data`` begins like a common video or audio file; damaged ones count too."""
    if data[4:8] == b"ftyp":
        return _iso_image(data) is None
    riff = data[:4] == b"RIFF" and data[8:12] in (b"WAVE", b"AVI ")
    if data[:1] == b"\xff" and data[1:2] >= b"\xe0" and not data.startswith(b"\xff\xff"):  # MPEG audio's sync
        return True
    return riff or data[4:8] in ISO_BOXES or data.startswith((b"GIF8", *_AUDIO_AND_VIDEO))


def kind(data: bytes) -> str:
    """Return what a file is by its first bytes: "an HTML page", "a PDF document"."""
    if data[4:8] == b"ftyp":
        return _iso_image(data) or "an MP4 or QuickTime video"
    if _is_dng(data):
        return "a raw photograph (DNG)"
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    found = [name for start, name in _BY_START.items() if data.startswith(start)]
    found += [name for start, name in _TEXTS.items() if _text(data).startswith(start)]
    return found[0] if found else f"something unknown that begins with {data[:8].hex(' ')}"


def _looks_common(data: bytes) -> bool:
    return data.startswith(tuple(_COMMON_IMAGES)) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _is_dng(data: bytes) -> bool:
    """Return whether the first directory of a TIFF file has the tag of a DNG raw photograph."""
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    if not data.startswith((b"II*\0", b"MM\0*")):
        return False
    start = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[start : start + 2], order)
    tags = range(start + 2, min(start + 2 + 12 * count, len(data) - 1), 12)
    return any(int.from_bytes(data[tag : tag + 2], order) == _DNG_VERSION for tag in tags)


def _iso_image(data: bytes) -> str | None:
    """Return the kind of image in an ISO media file, by its brands (ISO/IEC 14496-12, 4.3), or None."""
    if data[4:8] != b"ftyp":
        return None
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, int.from_bytes(data[:4], "big"), 4))]
    if data[8:12] in _MIXED_BRANDS and {b"avif", b"avis"}.intersection(brands[:32]):
        return _ISO_IMAGES[b"avif"]
    return _ISO_IMAGES.get(data[8:12])


def _text(data: bytes) -> bytes:
    """Return the first bytes without byte order mark and white space, in lower case."""
    return data[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
