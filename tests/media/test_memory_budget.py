"""No two calls are promised the same bytes of memory."""

from __future__ import annotations

import threading

import pytest
from cloud_storage.media import memory_budget
from cloud_storage.media.memory_budget import Reservation


class Heap:
    """Memory of so many bytes, which are free until something is written to them."""

    def __init__(self, size):
        self.size, self.written = size, 0

    def free(self):
        return self.size - self.written

    def fill(self, promise, size):
        self.written += size
        promise.filled(size)


def told(promise):
    """How much a call is told that is free for it, if it takes none."""
    found = []
    promise.reserve(lambda free: found.append(free) or 0)
    return found[0]


def test_what_one_was_promised_is_free_for_nobody_else_whether_it_is_filled_or_not():
    heap = Heap(100)
    with Reservation(heap.free) as one, Reservation(heap.free) as other:
        assert one.reserve(lambda free: free - 40) == 60
        assert told(other) == 40
        heap.fill(one, 25)
        assert told(other) == 40
        heap.fill(one, 35)
        assert told(other) == 40
        heap.fill(one, 10)  # more than was promised takes nothing from what others were
        assert told(other) == 30


def test_what_is_not_filled_is_given_back_at_the_end_and_after_a_failure():
    heap = Heap(100)
    with Reservation(heap.free) as other:
        with pytest.raises(KeyError), Reservation(heap.free) as one:
            one.reserve(lambda free: 60)
            heap.fill(one, 20)
            raise KeyError
        assert told(other) == 80


def test_who_raises_on_hearing_what_is_free_is_promised_nothing():
    def refuse(free):
        raise MemoryError

    with Reservation(lambda: 100) as one, Reservation(lambda: 100) as other:
        one.reserve(lambda free: 10)
        with pytest.raises(MemoryError):
            one.reserve(refuse)
        assert told(other) == 90


def test_who_asks_while_another_chooses_is_told_what_that_leaves(monkeypatch):
    lock, waits, heard = threading.Lock(), threading.Event(), []

    class Queue:
        def __enter__(self):
            if not lock.acquire(blocking=False):
                waits.set()
                lock.acquire()

        def __exit__(self, *_):
            lock.release()

    monkeypatch.setattr(memory_budget, "_lock", Queue())
    with Reservation(lambda: 100) as one, Reservation(lambda: 100) as other:

        def ask():
            heard.append(told(other))
            waits.set()

        thread = threading.Thread(target=ask)

        def choose(free):
            thread.start()
            waits.wait()
            return 60

        one.reserve(choose)
        thread.join()
    assert heard == [40]
