"""Small pictures of objects, over HTTP."""

from __future__ import annotations

from io import BytesIO

import pytest
from cloud_storage.page import thumbnails
from page_requests import picture, put
from PIL import Image


def test_a_small_picture_is_small_and_shows_the_image(cloud, ask):
    put(cloud, "a.png", data=picture())
    answer = ask("thumbnail", key="a.png", etag=cloud.stat("a.png").etag)
    small = Image.open(BytesIO(answer.body))
    assert (small.format, small.size) == ("WEBP", (160, 80))
    shown = small.getpixel((80, 40))
    assert all(abs(one - other) < 8 for one, other in zip(shown, (200, 100, 50), strict=True))
    assert answer.headers["Content-Type"] == "image/webp"
    assert answer.headers["Cache-Control"].startswith("private, max-age=")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF's orientation: a quarter to the right
    return picture(form="JPEG", exif=exif)


@pytest.mark.parametrize(
    ("data", "size", "bands"),
    [
        (_turned(), (80, 160), "RGB"),
        (picture(mode="I;16", colour=32768), (160, 80), "RGB"),
        (picture(mode="RGBA", colour=(1, 2, 3, 0)), (160, 80), "RGBA"),
        (picture(mode="P", colour=0, transparency=0), (160, 80), "RGBA"),
        (picture(form="GIF", mode="L", colour=9), (160, 80), "RGB"),
        (picture(form="TIFF", mode="CMYK", colour=(0, 0, 0, 0)), (160, 80), "RGB"),
        (picture(size=(3, 2), form="WEBP"), (3, 2), "RGB"),
    ],
    ids=["turned", "16 bits", "alpha", "palette", "gif", "cmyk", "tiny"],
)
def test_images_of_all_sorts_have_one(cloud, ask, data, size, bands):
    put(cloud, "a", data=data)
    small = Image.open(BytesIO(ask("thumbnail", key="a").body))
    assert (small.size, small.mode) == (size, bands)
    if bands == "RGB" and data == picture(mode="I;16", colour=32768):
        assert abs(small.getpixel((0, 0))[0] - 128) < 4


def test_what_is_no_image_or_too_large_has_none(cloud, ask, monkeypatch):
    put(cloud, "text.png", data=b"no image at all")
    put(cloud, "eps.png", data=b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    put(cloud, "cut.png", data=picture()[:100])
    put(cloud, "of another sort.png", data=picture(form="PPM"))
    put(cloud, "large.png", data=picture())
    for key in ("text.png", "eps.png", "cut.png", "of another sort.png"):
        answer = ask("thumbnail", key=key)
        assert (answer.status, answer.json["kind"]) == (415, "MediaError"), key
    monkeypatch.setattr(thumbnails, "SOURCE_MAX_PIXELS", 400 * 200 - 1)
    assert "pixels" in ask("thumbnail", key="large.png").json["error"]
    monkeypatch.setattr(thumbnails, "SOURCE_MAX_BYTES", 50)
    assert "bytes" in ask("thumbnail", key="large.png").json["error"]


def test_an_image_that_takes_two_requests_arrives_whole(cloud, ask, monkeypatch):
    monkeypatch.setattr(thumbnails, "FIRST_BYTES", 64)
    put(cloud, "a.png", data=picture())
    assert Image.open(BytesIO(ask("thumbnail", key="a.png").body)).size == (160, 80)


def test_a_small_picture_is_made_once_for_each_version(cloud, ask, monkeypatch):
    monkeypatch.setattr(thumbnails, "_kept", type(thumbnails._kept)())
    put(cloud, "a.png", data=picture())
    etag = cloud.stat("a.png").etag
    first = ask("thumbnail", key="a.png", etag=etag).body
    made = thumbnails._made
    monkeypatch.setattr(thumbnails, "_made", None)
    assert ask("thumbnail", key="a.png", etag=etag).body == first
    monkeypatch.setattr(thumbnails, "_made", made)
    put(cloud, "a.png", data=picture(colour=(0, 0, 0)))
    assert ask("thumbnail", key="a.png", etag="another").status == 409
    monkeypatch.setattr(thumbnails, "KEPT_MAX_BYTES", 0)
    assert ask("thumbnail", key="a.png", etag=cloud.stat("a.png").etag).body != first
    assert not thumbnails._kept


def test_a_small_picture_made_before_is_for_nobody_who_may_not_read_the_object(cloud, ask, monkeypatch):
    put(cloud, "a.png", data=picture())
    etag = cloud.stat("a.png").etag
    assert ask("thumbnail", key="a.png", etag=etag).status == 200
    with monkeypatch.context() as patch:
        patch.setenv("COMFY_S3_SECRET_KEY", "another, which the server refuses")
        answer = ask("thumbnail", key="a.png", etag=etag)
        assert (answer.status, answer.json["kind"]) == (403, "AccessDenied")
    cloud.delete("a.png")
    assert ask("thumbnail", key="a.png", etag=etag).status == 404


@pytest.mark.parametrize("etag", ["a\r\nX-Own: 1", 'a"', "\0", "a b", "é", "x" * 300])
def test_what_is_no_etag_is_not_sent(cloud, ask, etag):
    put(cloud, "a.png", data=picture())
    answer = ask("thumbnail", key="a.png", etag=etag)
    assert (answer.status, answer.json["kind"]) == (400, "ConfigurationError")
