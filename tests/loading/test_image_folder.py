from __future__ import annotations

import threading
from io import BytesIO

import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.loading import image_folder, object_cache
from cloud_storage.loading.selection import Choice
from cloud_storage.storage import http
from cloud_storage.storage.base import ObjectInfo, PutOptions
from cloud_storage.system.budget import Budget
from cloud_storage.system.meter import Meter
from PIL import Image
from servers.faults import Answer, Fault, s3_error


class Listed:
    """A bucket that can only be listed."""

    place = "bucket 'listed'"

    def __init__(self, *keys):
        self.keys = keys

    def list(self, prefix):
        return (ObjectInfo(key, 1, "etag") for key in self.keys if key.startswith(prefix))


FOLDER = Listed("in/a.png", "in/b.JPG", "in/c.txt", "in/d.webp", "in/sub/", "out/e.png")


def keys(prefix="in/", pattern="*", **choice):
    return [info.key for info in image_folder.images(FOLDER, prefix, pattern, Choice(**choice))]


def test_images_are_known_by_their_extensions_and_other_files_do_not_count():
    assert keys() == ["in/a.png", "in/b.JPG", "in/d.webp"]
    assert keys(skip=1, limit=1) == ["in/b.JPG"]
    assert keys(pattern="*.png") == ["in/a.png"]


def test_a_folder_without_an_image_is_an_error_that_says_what_was_asked_for():
    with pytest.raises(errors.NotFound, match=r"below 'in/' matches '\*\.gif' \(bucket 'listed'\)"):
        keys(pattern="*.gif")
    with pytest.raises(errors.NotFound, match="after the first 3"):
        keys(skip=3)


def test_the_text_on_the_progress_has_the_right_number():
    loading = image_folder.Loading()
    loading.found.append(ObjectInfo("a.png", 1, "etag"))
    assert loading.words() == "Loaded 0 of 1 image,"


# ------------------------------------------------------------ many of them, from a server


def pixels(number):
    return np.full((4, 5, 3), number, np.uint8)


@pytest.fixture
def twelve(comfyui, direct):
    for number in range(12):
        data = BytesIO()
        Image.fromarray(pixels(number)).save(data, "PNG")
        direct.put(f"set/{number:02}.png", data.getvalue(), PutOptions(), Meter())
    return torch.from_numpy(np.stack([pixels(number) for number in range(12)]).astype(np.float32) / 255)


def load(storage, **choice):
    chosen = image_folder.images(storage, "set/", "*", Choice(limit=100, **choice))
    return image_folder.Loading().load(storage, chosen, "pad to first", Meter())


def test_a_folder_is_one_listing_and_one_request_for_each_image(twelve, shaky, proxy):
    loaded = load(shaky)
    assert torch.equal(loaded.images[0], twelve)
    assert [sent.method for sent in proxy.requests] == ["GET"] * 13
    proxy.clear()
    assert torch.equal(load(shaky).images[0], twelve)
    assert [sent.method for sent in proxy.requests] == ["GET"], "the copies are as listed"


def test_the_first_image_is_requested_before_the_listing_has_ended(twelve, direct, monkeypatch):
    monkeypatch.setattr(http, "PAGE_KEYS", 5)
    requested = threading.Event()
    kind = type(direct)
    real_page, real_get = kind._page, kind._get

    def page(self, prefix, after, token, *others):
        assert not token or requested.wait(60), "the second page is asked for before the first image"
        return real_page(self, prefix, after, token, *others)

    def get(self, *arguments):
        requested.set()
        return real_get(self, *arguments)

    monkeypatch.setattr(kind, "_page", page)
    monkeypatch.setattr(kind, "_get", get)
    assert torch.equal(load(direct).images[0], twelve)


def test_an_error_in_a_later_page_of_the_listing_is_raised(twelve, direct, monkeypatch):
    monkeypatch.setattr(http, "PAGE_KEYS", 5)
    real = type(direct)._page

    def page(self, prefix, after, token, *others):
        if token:
            raise errors.Forbidden("Could not list it (here): not now. Ask somebody.")
        return real(self, prefix, after, token, *others)

    monkeypatch.setattr(type(direct), "_page", page)
    with pytest.raises(errors.StorageError, match="not now"):
        load(direct)


def test_downloads_go_on_while_all_processors_decode(twelve, direct, monkeypatch):
    monkeypatch.setattr(image_folder, "DECODE_THREADS", 1)
    monkeypatch.setattr(image_folder, "_decoding", Budget(1))
    lock, fetched, eight_more = threading.Lock(), [], threading.Event()
    real_fetch, real_decode = object_cache.fetch, image_folder.ImageFile.decode

    def fetch(storage, key, *others, **named):
        copy = real_fetch(storage, key, *others, **named)
        with lock:
            fetched.append(key)
            if len(fetched) == 9:
                eight_more.set()
        return copy

    def decode(self, **options):
        assert eight_more.wait(60), "downloads wait for the image that is being decoded"
        return real_decode(self, **options)

    monkeypatch.setattr(object_cache, "fetch", fetch)
    monkeypatch.setattr(image_folder.ImageFile, "decode", decode)
    assert torch.equal(load(direct).images[0], twelve)


def test_no_more_images_are_decoded_at_once_than_there_are_processors(twelve, direct, monkeypatch):
    monkeypatch.setattr(image_folder, "_decoding", Budget(2))
    lock, decoding, most = threading.Lock(), set(), []
    real = image_folder.ImageFile.decode

    def decode(self, **options):
        with lock:
            decoding.add(self.name)
            most.append(len(decoding))
        try:
            return real(self, **options)
        finally:
            with lock:
                decoding.discard(self.name)

    monkeypatch.setattr(image_folder.ImageFile, "decode", decode)
    load(direct)
    assert max(most) <= 2


def test_a_server_that_asks_for_fewer_requests_gets_fewer(twelve, shaky, proxy, monkeypatch, impatient):
    counts, halved = [], threading.Event()
    real, real_decode = image_folder.AdaptiveConcurrency.__call__, image_folder.ImageFile.decode

    def asked(self):
        counts.append(real(self))
        if counts[-1] < counts[0]:
            halved.set()
        return counts[-1]

    def decode(self, **options):
        assert "11.png" not in self.name or halved.wait(60), "the number of requests is as before"
        return real_decode(self, **options)

    monkeypatch.setattr(image_folder.AdaptiveConcurrency, "__call__", asked)
    monkeypatch.setattr(image_folder.ImageFile, "decode", decode)
    rule = proxy.add(Fault(Answer(503, s3_error("SlowDown")), "GET", "03.png"))
    assert torch.equal(load(shaky).images[0], twelve)
    assert rule.happened == 1
    assert (counts[0], min(counts)) == (8, 4)
