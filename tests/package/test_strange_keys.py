"""Keys that other programs made are read exactly as they are on every server, never as another object."""

from __future__ import annotations

import http.client
import io
import re
import urllib.parse
import wave
from datetime import timedelta

import numpy as np
import pytest
import torch
from cloud_storage import errors
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import outputs_of, own_prefix
from odd_images import saved
from PIL import Image

# A key, and another that a program that tidies up would make of it
STRANGE = {
    "/uploads/a.png": "uploads/a.png",
    "//uploads/a.png": "/uploads/a.png",
    "C:\\x\\a.png": "C:/x/a.png",
    "photos\\a.png": "photos/a.png",
    "x/./a.png": "x/a.png",
    "x/../a.png": "a.png",
    "./b.png": "b.png",
    "x/.": "x/",
    "x/..": "x",
    "a//b.png": "a/b.png",
    "tab\tx.png": "tabx.png",
    "line\nx.png": "linex.png",
    "line\r\nx.png": "line\nx.png",
    "end.png\n": "end.png",
    " c.png": "c.png",
    "c.png ": "c.png",
    "a/c .png": "a/c.png",
    "a%2Fd.png": "a/d.png",
    "%2e%2e/e.png": "e.png",
    "a+e.png": "a e.png",
    "q?x=1.png": "q",
    "h#x.png": "h",
    "e\u0301.png": "\u00e9.png",
    "folder/": "folder",
    "z\u200b.png": "z.png",
}


@pytest.fixture(scope="module")
def storage(place, tmp_path_factory):
    storage = place.open(path_prefix=own_prefix())
    for key in {*STRANGE, *STRANGE.values()}:
        storage.put(key, key.encode(), PutOptions(), Meter())
    return storage


def test_a_listing_names_every_strange_key_as_it_is(storage):
    assert {info.key for info in storage.list("")} == {*STRANGE, *STRANGE.values()}


def test_a_strange_key_is_read_as_it_is(storage):
    found = {key: (storage.read(key), storage.stat(key).size, next(storage.list(key)).key) for key in STRANGE}
    assert found == {key: (key.encode(), len(key.encode()), key) for key in STRANGE}


def test_a_signed_address_means_that_key(storage):
    found = {}
    for key in STRANGE:
        address = urllib.parse.urlsplit(storage.signed_url(key, timedelta(minutes=5)))
        if address.scheme == "https":
            return  # the same addresses as those of the http place
        connection = http.client.HTTPConnection(address.netloc)
        connection.request("GET", f"{address.path}?{address.query}")
        found[key] = connection.getresponse().read()
        connection.close()
    assert found == {key: key.encode() for key in STRANGE}


@pytest.mark.parametrize("first", ["/", "//", "\\", "./", "../"])
def test_a_strange_beginning_of_the_whole_key_is_kept_too_and_oss_says_what_it_does_not_take(place, first):
    storage, name = place.open(), f"{own_prefix()}a.png"
    storage.put(name, b"another", PutOptions(), Meter())
    key = first + name
    if place.is_oss and first[0] in "/\\":
        for request in (storage.stat, storage.read, lambda key: storage.put(key, b"", PutOptions(), Meter())):
            with pytest.raises(errors.BadKey, match=r"No key may begin with / or \\ here"):
                request(key)
        return
    with pytest.raises(errors.NotFound):
        storage.read(key)
    storage.put(key, b"this", PutOptions(), Meter())
    assert storage.read(key) == b"this"
    assert [info.key for info in storage.list(key)] == [key]
    storage.delete(key)
    assert storage.read(name) == b"another"
    storage.delete(name)


@pytest.mark.parametrize("key", [".", "..", "/"])
def test_a_key_that_an_address_cannot_hold_is_an_error_and_no_listing_of_the_bucket(place, key):
    storage = place.open()
    for request in (storage.stat, storage.read):
        with pytest.raises((errors.NotFound, errors.BadKey)):
            request(key)


@pytest.mark.parametrize("key", ["../x", "a/../../x", "..\\x", "/../x", "./../x"])
def test_below_a_path_prefix_no_key_leads_out_of_it(place, key):
    storage = place.open(path_prefix=own_prefix())
    for request in (
        storage.stat,
        storage.read,
        storage.delete,
        lambda key: storage.put(key, b"", PutOptions(), Meter()),
        lambda key: storage.signed_url(key, timedelta(minutes=5)),
        storage.url,
        lambda key: list(storage.list(key)),
    ):
        with pytest.raises(errors.BadKey, match=r"leaves the path_prefix of the profile\. Remove"):
            request(key)


def test_every_key_that_list_gives_goes_into_every_node_that_loads(cloud, tmp_path):
    pictures, sounds = {}, {}
    for number, key in enumerate(key for key in STRANGE if not key.endswith("/")):
        pixels = np.full((3, 2, 3), number * 5, np.uint8)
        cloud.put(key, saved(Image.fromarray(pixels), "PNG"), PutOptions(), Meter())
        pictures[key] = torch.from_numpy(pixels.astype(np.float32) / 255)[None]
        sounds[f"{key}.wav"] = 100 + number
        cloud.put(f"{key}.wav", wav(100 + number), PutOptions(), Meter())
    keys = outputs_of("ListBucketContents", prefix="", max_results=1000)[1]
    assert set(keys) == {*pictures, *sounds}
    for key, image in pictures.items():
        assert torch.equal(outputs_of("LoadImageFromCloud", key=key)[0], image)
        assert torch.equal(outputs_of("LoadMaskFromCloud", key=key, channel="red")[0], image[..., 0])
    for key, count in sounds.items():
        assert outputs_of("LoadAudioFromCloud", key=key)[0]["waveform"].shape[-1] == count
    folder = {"pattern": "*.png", "limit": 100, "size_mode": "one item each"}
    images, _, keys, _ = outputs_of("LoadImagesFromCloud", **folder)
    assert set(keys) == {key for key in pictures if key.endswith(".png")}
    for key, image in zip(keys, images, strict=True):
        assert torch.equal(image, pictures[key])
    for path in tmp_path.rglob("*"):  # whatever became of a key is a plain name in a folder of ours
        assert path.is_dir() or re.fullmatch(r"[\w.-]+", path.name)


def wav(samples):
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * samples))
    return data.getvalue()


def test_a_node_saves_a_key_with_spaces_in_it_and_loads_it(cloud):
    image = torch.ones((1, 3, 2, 3))
    saved_as = outputs_of("SaveImageToCloud", images=image, key_prefix=" a b ", filename=" c .png ")[1]
    assert saved_as == ["a b/c .png"]
    assert [info.key for info in cloud.list("")] == saved_as
    assert torch.equal(outputs_of("LoadImageFromCloud", key=saved_as[0])[0], image)
