from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.storage import base, retries
from cloud_storage.storage.base import ObjectInfo, Opened, PutOptions
from cloud_storage.system.meter import Meter

DATA = b"0123456789"


class Memory(base.Storage):
    """A storage of one object; each answer breaks off after ``each`` bytes."""

    place, max_key_bytes = "here", 1024

    def __init__(self, each=10):
        self.each, self.opened = each, []

    def _open(self, key, start, stop, etag):
        self.opened.append((start, stop, etag))
        stop = len(DATA) if stop is None else stop

        def chunks():
            if self.each:  # no server sends an empty chunk
                yield DATA[start : min(stop, start + self.each)]

        return Opened(ObjectInfo(key, len(DATA), "tag"), stop - start, chunks())

    stat = list = page = _put = _delete = url = signed_url = None


@pytest.mark.usefixtures("impatient")
def test_a_body_that_breaks_off_is_resumed_where_it_ended_with_the_first_etag():
    storage, meter = Memory(each=4), Meter()
    assert storage.read("a", meter=meter) == DATA
    assert storage.opened == [(0, None, None), (4, 10, "tag"), (8, 10, "tag")]
    assert meter.done == len(DATA)


@pytest.mark.usefixtures("impatient")
def test_answers_without_a_byte_end_the_read():
    storage = Memory(each=0)
    with pytest.raises(errors.Unreachable, match="ended after 0 of 10 bytes"):
        storage.read("a")
    assert len(storage.opened) == retries.BODY.attempts


def test_more_bytes_than_announced_are_an_error():
    storage = Memory()
    storage._open = lambda *_: Opened(ObjectInfo("a", 3, "tag"), 3, iter([DATA]))
    with pytest.raises(errors.IntegrityError, match="more than the 3 bytes"):
        storage.read("a")


def test_a_read_only_profile_refuses_before_anything_is_sent():
    storage = Memory()
    storage.read_only = True
    for write in (
        lambda: storage.put("a", b"", PutOptions(), Meter()),
        lambda: storage.delete("a"),
    ):
        with pytest.raises(errors.ConfigurationError, match="read-only"):
            write()


@pytest.mark.parametrize("key", ["../a", "a/../../b", "a\\..\\..\\b"])
def test_no_key_leaves_the_path_prefix(key):
    storage = Memory()
    storage.path_prefix = "team/"
    with pytest.raises(errors.BadKey):
        storage._full(key)
    assert storage._full("a/../b") == "team/a/../b"
    assert storage.room_for_key == 1024 - 5
