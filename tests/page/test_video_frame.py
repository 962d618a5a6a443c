"""Thumbnails of videos in a bucket: the first frame, upright, from a bounded part of the bytes."""

from __future__ import annotations

from io import BytesIO

import films
import numpy as np
import pytest
from cloud_storage.page import thumbnails, video_frame
from page_requests import put
from PIL import Image

FIRST = 0b1010011010


def film(tmp_path, kind, **options):
    path = tmp_path / f"f.{kind.ending}"
    return films.write(path, kind, [films.picture(FIRST + step) for step in range(6)], **options).read_bytes()


def number(image):
    """What the blocks of a thumbnail say."""
    green = np.asarray(image.convert("RGB").resize((films.WIDTH, films.HEIGHT)))[..., 1]
    blocks = green.reshape(films.ROWS, films.HEIGHT // films.ROWS, films.COLUMNS, -1).mean(axis=(1, 3))
    return sum(1 << bit for bit, value in enumerate(blocks.ravel()) if value > 128)


@pytest.mark.parametrize("name", ["mp4", "mp4, index at its end", "mkv", "ts"])
def test_the_thumbnail_of_a_video_is_its_first_frame(cloud, ask, tmp_path, name):
    key = f"a.{films.KINDS[name].ending}"
    put(cloud, key, data=film(tmp_path, films.KINDS[name]))
    answer = ask("thumbnail", key=key, etag=cloud.stat(key).etag)
    small = Image.open(BytesIO(answer.body))
    assert (small.format, small.size) == ("WEBP", (160, 96))
    assert number(small) == FIRST


def test_a_video_that_is_played_upright_has_an_upright_thumbnail(cloud, ask, tmp_path):
    put(cloud, "a.mp4", data=film(tmp_path, films.KINDS["mp4"], rotation=90))
    assert Image.open(BytesIO(ask("thumbnail", key="a.mp4").body)).size == (96, 160)


def test_what_is_no_video_or_needs_too_much_has_none(cloud, ask, tmp_path, monkeypatch):
    put(cloud, "text.mp4", data=b"no video at all")
    put(cloud, "list.mkv", data=b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n")
    put(cloud, "a.mp4", data=film(tmp_path, films.KINDS["mp4"]))
    for key in ("text.mp4", "list.mkv"):
        answer = ask("thumbnail", key=key)
        assert (answer.status, answer.json["kind"]) == (415, "MediaError"), key
    assert ask("thumbnail", key="a.mp4", etag="another").status == 409
    monkeypatch.setattr(thumbnails, "SOURCE_MAX_PIXELS", 100)
    assert "pixels" in ask("thumbnail", key="a.mp4").json["error"]
    monkeypatch.setattr(video_frame, "MOST_BYTES", 100)
    assert "bytes" in ask("thumbnail", key="a.mp4").json["error"]
