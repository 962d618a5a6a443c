from __future__ import annotations

import asyncio

import pytest
from cloud_storage import errors
from cloud_storage.loading import load_request
from cloud_storage.loading.object_cache import Limit
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter


def loaded(key, open_object):
    def decode(source, _name, _meter):
        return source.read_bytes() if hasattr(source, "read_bytes") else source.read(-1)

    return asyncio.run(load_request.run(key, None, "7", open_object, decode))


def test_a_copy_is_downloaded_once_and_ranges_each_time(cloud, comfyui):
    cloud.put("a", b"content", PutOptions(), Meter())
    for open_object, words in (
        (load_request.copies(), ("fetched", "unchanged")),
        (load_request.ranges, ("fetched", "fetched")),
    ):
        for word in words:
            result, status, file = loaded("a", open_object)
            assert (result, file.key, file.status, file.size) == (b"content", "a", word, 7)
            assert status.startswith("Loaded a, ")
            assert comfyui.texts[-1][0] == status


def test_what_is_too_large_is_not_downloaded(cloud):
    cloud.put("a", b"content", PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match=r"it has 7 bytes, and a poem may have 6. Choose a poem"):
        loaded("a", load_request.copies(Limit("a poem", 6)))


def test_the_state_of_an_object_is_its_etag(cloud):
    info = cloud.put("a", b"content", PutOptions(), Meter())
    assert load_request.etag(cloud, "a", None) == info.etag


def test_offline_the_last_copy_is_unchanged_as_far_as_anybody_knows(cloud, monkeypatch):
    cloud.put("a", b"content", PutOptions(), Meter())
    loaded("a", load_request.copies())

    def unreachable(*_arguments, **_named):
        raise errors.Unreachable("Could not read (here): no answer. Check the network.")

    monkeypatch.setattr(type(cloud), "stat", unreachable)
    result, status, file = loaded("a", load_request.copies())
    assert (result, file.status, file.key, file.etag) == (b"content", "unchanged", "a", "")
    assert "cannot be reached" in status
