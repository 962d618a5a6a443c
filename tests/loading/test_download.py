from __future__ import annotations

import threading

import pytest
from cloud_storage import errors
from cloud_storage.loading import download
from cloud_storage.storage.base import ObjectInfo, Storage
from cloud_storage.system import concurrency
from cloud_storage.system.meter import Meter


def test_a_range_that_fails_stops_the_others(tmp_path):
    begun, stopped = threading.Event(), []

    class Uneven(Storage):
        """A bucket whose first range is refused, once the others are on their way and wait for bytes."""

        def stream(self, key, start=0, stop=None, etag=None, meter=None):
            def chunks():
                if start == 0:
                    begun.wait()
                    raise errors.AccessDenied("Could not read (here): no. Do this.")
                begun.set()
                try:
                    meter.wait(60)
                except errors.TransferCancelled:
                    stopped.append(start)
                    raise
                yield b""

            return None, chunks()

    Uneven.__abstractmethods__ = frozenset()
    part = tmp_path / "part"
    part.write_bytes(bytes(20))
    with pytest.raises(errors.AccessDenied):
        info = ObjectInfo("a", 20, "e")
        download.fetch_ranges(Uneven(), info, part, [range(10), range(10, 20)], Meter())
    assert stopped == [10]


def test_more_ranges_travel_side_by_side_where_that_pays(tmp_path, monkeypatch):
    monkeypatch.setattr(concurrency, "WINDOW_SECONDS", 0)
    monkeypatch.setattr(concurrency, "GAIN", 0)
    side_by_side = threading.Barrier(2 * concurrency.FIRST)

    class Patient(Storage):
        """A bucket that answers the first ranges at once, and later ones when twice as many are asked for."""

        def stream(self, key, start=0, stop=None, etag=None, meter=None):
            if start >= concurrency.FIRST:
                side_by_side.wait(60)
            meter.add(1)
            return None, iter([b"a"])

    Patient.__abstractmethods__ = frozenset()
    count = 3 * concurrency.FIRST
    part = tmp_path / "part"
    part.write_bytes(bytes(count))
    pieces = [range(number, number + 1) for number in range(count)]
    download.fetch_ranges(Patient(), ObjectInfo("a", count, "e"), part, pieces, Meter())
    assert part.read_bytes() == b"a" * count


@pytest.mark.parametrize("size", [0, 1, download.RANGE_MIN_BYTES, (2 << 30) + 7, (12 << 30) - 1])
def test_pieces_cover_everything_once_and_are_small_at_first_and_towards_the_end(size):
    pieces = download.ranges(5, 5 + size)
    assert [piece.start for piece in pieces] == [5, *(piece.stop for piece in pieces)][: len(pieces)]
    assert sum(map(len, pieces)) == size
    lengths = list(map(len, pieces))
    first, rest = lengths[: download.RANGES_FIRST], lengths[download.RANGES_FIRST :]
    assert set(first[:-1]) <= {download.RANGE_MIN_BYTES}
    assert rest == sorted(rest, reverse=True)
    assert all(download.RANGE_MIN_BYTES <= length <= download.RANGE_MAX_BYTES for length in rest[:-1])
    assert len(rest) < 3 or rest[-2] == download.RANGE_MIN_BYTES
