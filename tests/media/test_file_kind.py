"""The kind of a file by its first bytes."""

from __future__ import annotations

import io

import films
import pytest
from cloud_storage.media import file_kind
from films import KINDS
from PIL import Image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_images_that_pillow_writes_are_common_images(form):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, form)
    data = file.getvalue()
    assert file_kind.is_common_image(data)
    assert file_kind.is_any_image(data)
    assert not file_kind.is_document(data)
    assert file_kind.is_animation(data) == (form == "GIF")
    assert form.lower() in file_kind.kind(data).lower()


@pytest.mark.parametrize("kind", [name for name in KINDS if name not in ("gif", "ts")])
def test_videos_are_no_images(tmp_path, kind):
    data = films.write(tmp_path / f"f.{KINDS[kind].ending}", KINDS[kind], films.numbered(2)).read_bytes()
    assert file_kind.is_audio_or_video(data)
    assert not file_kind.is_any_image(data)
    assert not file_kind.is_document(data)
    assert "video" in file_kind.kind(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xef\xbb\xbf \n<!DOCTYPE HTML>", "an HTML page"),
        (b"<?xml version='1.0'?><Error/>", "an XML document, perhaps a server's error message"),
        (b'{"error": 1}', "a JSON document, perhaps a server's error message"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer, which only stands for the file"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
    ],
)
def test_a_document_is_named(data, kind):
    assert file_kind.kind(data) == kind
    assert file_kind.is_document(data)


@pytest.mark.parametrize(
    ("brands", "kind", "animated"),
    [
        (b"avif", "an AVIF image", False),
        (b"avis", "an AVIF image", True),
        (b"heic", "a HEIC photograph", False),
        (b"mif1\0\0\0\0avif", "an AVIF image", False),
        (b"isom", "an MP4 or QuickTime video", False),
    ],
)
def test_boxes_are_named_by_their_brands(brands, kind, animated):
    data = (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands
    assert (file_kind.kind(data), file_kind.is_animation(data)) == (kind, animated)
    assert file_kind.is_any_image(data) != file_kind.is_audio_or_video(data)


def test_a_raw_photograph_is_an_image_but_not_a_common_one():
    dng = b"II*\0\x08\0\0\0\x01\0\x12\xc6\x01\0\x04\0\0\0\x01\x04\0\0"
    assert file_kind.kind(dng) == "a raw photograph (DNG)"
    assert file_kind.is_any_image(dng)
    assert not file_kind.is_common_image(dng)


def test_anything_else_is_told_by_its_bytes():
    assert file_kind.kind(b"\x01\x02abc") == "something unknown that begins with 01 02 61 62 63"
    assert file_kind.kind(b"") == "something unknown that begins with "
