"""No two calls reserve the same bytes of memory."""

from __future__ import annotations

import threading

import pytest
from cloud_storage.errors import MediaError
from cloud_storage.media import memory_budget
from cloud_storage.media.memory_budget import Reservation


class Heap:
    """Memory of ``size`` bytes, which are free until something is written to them."""

    def __init__(self, size):
        self.size, self.written = size, 0

    def free(self):
        return self.size - self.written

    def fill(self, call, size):
        self.written += size
        call.filled(size)


def reservation(free):
    return Reservation("load the image", "a.png", free)


def reserve(call, size, wanted=0, advice=lambda available: f"{available} bytes."):
    call.reserve(size, "it takes", advice, wanted, spare=0)
    return call.reserved


def available(call):
    """How much a call could still reserve."""
    found = []
    with pytest.raises(MediaError):
        reserve(call, 1 << 40, advice=lambda total: found.append(total) or "")
    return found[0] - call.reserved


def test_what_one_call_reserved_is_free_for_no_other_whether_it_is_filled_or_not():
    heap = Heap(100)
    with reservation(heap.free) as one, reservation(heap.free) as other:
        assert reserve(one, 60) == 60
        assert available(other) == 40
        heap.fill(one, 25)
        assert available(other) == 40
        heap.fill(one, 35)
        assert available(other) == 40
        heap.fill(one, 10)  # more than was reserved takes nothing from what others reserved
        assert available(other) == 30


def test_what_is_not_filled_is_given_back_at_the_end_and_after_a_failure():
    heap = Heap(100)
    with reservation(heap.free) as other:
        with pytest.raises(KeyError), reservation(heap.free) as one:
            reserve(one, 60)
            heap.fill(one, 20)
            raise KeyError
        assert available(other) == 80


def test_a_call_that_is_refused_reserves_nothing_more_and_the_message_has_the_numbers():
    with reservation(lambda: 100) as one, reservation(lambda: 100) as other:
        reserve(one, 10)
        with pytest.raises(
            MediaError, match=r"load the image \(a\.png\): it takes 0\.0 GB once .* 100 bytes\."
        ):
            reserve(one, 101)
        assert available(other) == 90


def test_the_size_is_the_total_and_more_is_reserved_if_it_is_free():
    with reservation(lambda: 100) as one:
        assert reserve(one, 40, wanted=50) == 50
        assert reserve(one, 50) == reserve(one, 30) == 50
        assert reserve(one, 60, wanted=200) == 100


def test_spare_bytes_are_left_for_the_decoder():
    with reservation(lambda: memory_budget.SPARE_BYTES + 100) as one:
        one.reserve(100, "it takes", str)
        with pytest.raises(MediaError):
            one.reserve(101, "it takes", str)


def test_a_call_that_asks_meanwhile_waits_and_gets_what_the_other_leaves(monkeypatch):
    lock, waits, heard = threading.Lock(), threading.Event(), []

    class Queue:
        def __enter__(self):
            if not lock.acquire(blocking=False):
                waits.set()
                lock.acquire()

        def __exit__(self, *_):
            lock.release()

    monkeypatch.setattr(memory_budget, "_lock", Queue())
    with reservation(lambda: 100) as other:

        def ask():
            heard.append(available(other))
            waits.set()

        thread = threading.Thread(target=ask)

        def free():
            thread.start()
            waits.wait()
            return 100

        with reservation(free) as one:
            reserve(one, 60)
            thread.join()
    assert heard == [40]
