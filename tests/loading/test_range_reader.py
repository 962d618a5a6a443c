"""An object as a file: what is read is what is there, and little else travels."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import threading

import pytest
from cloud_storage import errors
from cloud_storage.loading import range_reader
from cloud_storage.loading.range_reader import BLOCK_BYTES, RangeReader
from cloud_storage.storage import base
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter

MIB = 1 << 20


@pytest.fixture(scope="module")
def data():
    return os.urandom(6 * MIB + 12_345)


@pytest.fixture
def reader(cloud, data):
    """A reader of an object that holds ``data``, and its meter."""
    cloud.put("film.mp4", data, PutOptions(), Meter())
    meter = Meter()
    with contextlib.closing(RangeReader(cloud, "film.mp4", meter)) as opened:
        yield opened, meter


def all_of(source, size=-1):
    return b"".join(iter(lambda: source.read(size), b""))


@pytest.mark.parametrize("size", [-1, 1000, 32768, 200_000])
def test_everything_is_read_in_order_and_travels_once(reader, data, size):
    source, meter = reader
    assert all_of(source, size) == data
    assert meter.done == len(data)


def test_any_place_is_read_as_it_is_in_memory(reader, data):
    source, _ = reader
    memory, chance = io.BytesIO(data), random.Random(4)
    for _ in range(300):
        place, size = chance.randrange(len(data) + 1000), chance.randrange(1, 90_000)
        assert source.seek(place) == memory.seek(place) == source.tell()
        wanted = memory.read(size)
        got = b""
        while len(got) < len(wanted):
            got += source.read(size - len(got))
        assert got == wanted
    assert source.seek(-5, io.SEEK_END) == len(data) - 5
    assert source.read(100) == data[-5:]
    assert source.read(100) == b""


def test_a_few_bytes_here_and_there_move_a_few_blocks(reader):
    source, meter = reader
    for place in (0, 5 * MIB, 1 * MIB, 3 * MIB):
        source.seek(place)
        source.read(1000)
    assert meter.done == 4 * BLOCK_BYTES


def test_what_is_ahead_is_at_most_half_of_what_was_read(reader):
    source, meter = reader
    for _ in range(20):
        source.read(BLOCK_BYTES)
    with source._changed:
        while source._requests:
            source._changed.wait(1)
    assert meter.done <= 20 * BLOCK_BYTES * 1.5 + BLOCK_BYTES


def test_what_is_read_in_order_comes_in_few_requests(cloud, data, monkeypatch):
    cloud.put("film.mp4", data, PutOptions(), Meter())
    real, made = type(cloud)._open, []

    def counting(self, key, start, stop, etag):
        made.append((start, stop))
        return real(self, key, start, stop, etag)

    monkeypatch.setattr(type(cloud), "_open", counting)
    with contextlib.closing(RangeReader(cloud, "film.mp4", Meter())) as source:
        assert all_of(source) == data
    assert len(made) < len(data) // BLOCK_BYTES / 3


def test_two_places_can_be_read_in_turn_without_going_back(reader, data):
    source, meter = reader
    parts = {0: b"", 3 * MIB: b""}
    for _ in range(40):
        for start, got in parts.items():
            source.seek(start + len(got))
            parts[start] += source.read(30_000)
    for start, got in parts.items():
        assert got == data[start : start + len(got)]
    assert meter.done < 2.2 * sum(map(len, parts.values()))


def test_blocks_that_were_dropped_are_fetched_again(reader, data, monkeypatch):
    monkeypatch.setattr(range_reader, "CACHE_BLOCKS", 8)
    monkeypatch.setattr(range_reader, "AHEAD_BLOCKS", 2)
    source, _ = reader
    assert all_of(source) == data
    source.seek(0)
    assert all_of(source) == data
    assert len(source._blocks) <= 8


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_an_object_of_any_size_is_read(cloud, size):
    data = os.urandom(size)
    cloud.put("small", data, PutOptions(), Meter())
    with contextlib.closing(RangeReader(cloud, "small", Meter())) as source:
        assert source.info.size == size
        assert all_of(source) == data


def test_a_missing_object_is_told_at_once(cloud):
    with pytest.raises(errors.NotFound, match="gone"):
        RangeReader(cloud, "gone", Meter())


def test_an_object_that_is_replaced_meanwhile_is_not_mixed_with_the_old_one(cloud, reader, data):
    source, _ = reader
    source.read(10)
    cloud.put("film.mp4", os.urandom(len(data)), PutOptions(), Meter())
    source.seek(3 * MIB)
    with pytest.raises(errors.Changed):
        source.read(10)
    assert isinstance(source.failure, errors.Changed)


def test_a_stopped_meter_ends_a_read_that_waits(cloud, data, monkeypatch):
    cloud.put("film.mp4", data, PutOptions(), Meter())
    meter, asked, silent = Meter(), threading.Event(), threading.Event()
    with contextlib.closing(RangeReader(cloud, "film.mp4", meter)) as source:

        def stream(self, *arguments):
            asked.set()
            silent.wait(30)
            raise errors.Unreachable("It was silent. Wait.")

        monkeypatch.setattr(type(cloud), "stream", stream)
        threading.Thread(target=lambda: asked.wait(30) and meter.stop(), daemon=True).start()
        source.seek(3 * MIB)
        with pytest.raises(errors.TransferCancelled):
            source.read(10)
        silent.set()


@pytest.mark.usefixtures("impatient")
def test_a_body_that_breaks_is_taken_up_where_it_ended(cloud, data, monkeypatch):
    cloud.put("film.mp4", data, PutOptions(), Meter())
    real, broken = type(cloud)._open, []

    def breaking(self, key, start, stop, etag):
        opened = real(self, key, start, stop, etag)

        def chunks():
            for chunk in opened.chunks:
                if len(broken) < 5 and start > 0:
                    broken.append(start)
                    yield chunk[:1000]
                    raise errors.Unreachable("It broke. Again.")
                yield chunk

        return base.Opened(opened.info, opened.length, chunks(), opened.close)

    monkeypatch.setattr(type(cloud), "_open", breaking)
    with contextlib.closing(RangeReader(cloud, "film.mp4", Meter())) as source:
        assert all_of(source) == data
    assert len(broken) == 5


def test_closing_ends_what_is_under_way(reader):
    source, meter = reader
    for _ in range(30):
        source.read(BLOCK_BYTES)
    source.close()
    with source._changed:
        while source._requests:
            source._changed.wait(1)
    assert not source._blocks
    assert not meter.stopped


@pytest.mark.parametrize("order", [range(4), (3, 0, 1, 2)], ids=["in order", "its end first"])
def test_an_object_that_is_read_whole_and_is_not_what_was_uploaded_is_an_error(cloud, data, order):
    whole = data[: 4 * BLOCK_BYTES - 99]
    cloud.put("whole.mp4", whole, PutOptions(metadata={"sha256": hashlib.sha256(whole).hexdigest()}), Meter())
    cloud.put("other.mp4", whole, PutOptions(metadata={"sha256": hashlib.sha256(data).hexdigest()}), Meter())

    def read(key, order):
        with contextlib.closing(RangeReader(cloud, key, Meter())) as source:
            for index in order:
                source.seek(index * BLOCK_BYTES)
                assert source.read() == whole[index * BLOCK_BYTES : (index + 1) * BLOCK_BYTES]

    read("whole.mp4", order)
    read("other.mp4", (0, 2))
    with pytest.raises(errors.IntegrityError, match="sha256"):
        read("other.mp4", order)
