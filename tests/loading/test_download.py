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
    for seconds in ("SETTLE_SECONDS", "TRIAL_SECONDS", "STEADY_SECONDS", "GAIN", "BUSY"):
        monkeypatch.setattr(concurrency, seconds, 1e9 if seconds == "BUSY" else 0)
    side_by_side = threading.Barrier(2 * concurrency.FIRST)

    class Patient(Storage):
        """A bucket that answers the first ranges at once, and later ones when twice as many are asked for."""

        def stream(self, key, start=0, stop=None, etag=None, meter=None):
            meter.add(1)
            if start >= concurrency.FIRST:
                side_by_side.wait(60)
            return None, iter([b"a"])

    Patient.__abstractmethods__ = frozenset()
    count = 3 * concurrency.FIRST
    part = tmp_path / "part"
    part.write_bytes(bytes(count))
    pieces = [range(number, number + 1) for number in range(count)]
    download.fetch_ranges(Patient(), ObjectInfo("a", count, "e"), part, pieces, Meter())
    assert part.read_bytes() == b"a" * count


@pytest.mark.parametrize("size", [0, 1, download.RANGE_MIN_BYTES, (2 << 30) + 7, (12 << 30) - 1])
def test_ranges_cover_everything_once_and_get_smaller_towards_the_end(size):
    pieces = list(download.ranges([range(5, 5 + size)] if size else []))
    assert [piece.start for piece in pieces] == [5, *(piece.stop for piece in pieces)][: len(pieces)]
    assert sum(map(len, pieces)) == size
    lengths = list(map(len, pieces))
    assert lengths == sorted(lengths, reverse=True)
    assert all(download.RANGE_MIN_BYTES <= length <= download.RANGE_MAX_BYTES for length in lengths[:-1])
    assert len(lengths) < 3 or lengths[-2] == download.RANGE_MIN_BYTES


def test_first_ranges_leave_some_for_every_request_that_may_begin_later():
    first = next(download.ranges([range(3 << 30)]))
    assert len(first) * concurrency.MOST * 3 <= 3 << 30
    assert len(next(download.ranges([range(20 << 30)]))) == download.RANGE_MAX_BYTES


def test_every_gap_is_divided_for_itself():
    gaps = [range(0, 3), range(10, 10 + download.RANGE_MIN_BYTES + 1)]
    middle = 10 + download.RANGE_MIN_BYTES
    assert list(download.ranges(gaps)) == [gaps[0], range(10, middle), range(middle, middle + 1)]
