"""Names the kind of a file by how it begins, for messages about files that are not what they should be."""

from __future__ import annotations

_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
    b"8BPS": "a Photoshop image",
}
_OTHERS = {
    b"\x1a\x45\xdf\xa3": "a Matroska or WebM video",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"ID3": "an MP3 file",
}
_RECORDINGS = (b"GIF8", b"\x1a\x45\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"FLV\1", b"\xff\xfb", b"\0\0\1\xba")
_ISO_BOXES = (
    b"ftyp",
    b"moov",
    b"mdat",
    b"wide",
    b"free",
    b"skip",
)  # that an MP4 or QuickTime file begins with
_TEXTS = {  # in lower case, after white space
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<svg": "an SVG drawing",
    b"<": "an XML document, perhaps a server's error message",
    b"{": "a JSON document, perhaps a server's error message",
    b"version https://git-lfs": "a Git LFS pointer, which only stands for the file",
}
_RIFF = {b"WEBP": "a WebP image", b"WAVE": "a WAV file", b"AVI ": "an AVI video"}  # by bytes 8 to 12
_ISO_MEDIA = {  # by the brand in bytes 8 to 12; all others are films
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
    b"heic": "a HEIC photograph",
    b"heix": "a HEIC photograph",
    b"mif1": "a HEIC photograph",
}


def is_image(data: bytes) -> bool:
    """Whether ``data`` begins like a common image file, sound or not."""
    return data.startswith(tuple(_IMAGES)) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def is_document(data: bytes) -> bool:
    """Whether ``data`` begins like a text, a PDF or an archive: like no picture, film or sound."""
    text = data[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(tuple(_TEXTS)) or data.startswith((b"%PDF", b"PK\x03\x04", b"\x1f\x8b"))


def is_animation(data: bytes) -> bool:
    """Whether ``data`` begins like an image file that is also a film."""
    return data.startswith(b"GIF8")


def is_recording(data: bytes) -> bool:
    """Whether ``data`` begins like a common file of moving pictures or sound, sound or not."""
    if data[4:8] == b"ftyp":
        return data[8:12] not in _ISO_MEDIA
    riff = data[:4] == b"RIFF" and data[8:12] in (b"WAVE", b"AVI ")
    return riff or data[4:8] in _ISO_BOXES or data.startswith(_RECORDINGS)


def kind(data: bytes) -> str:
    """What a file is, by its first 100 bytes: "an HTML page", "a PDF document"."""
    if data[4:8] == b"ftyp":
        return _ISO_MEDIA.get(data[8:12], "an MP4 or QuickTime video")
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    text = data[:100].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = [name for start, name in {**_IMAGES, **_OTHERS}.items() if data.startswith(start)]
    found += [name for start, name in _TEXTS.items() if text.startswith(start)]
    return found[0] if found else f"something unknown that begins with {data[:8].hex(' ')}"
