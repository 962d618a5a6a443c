from __future__ import annotations

import pytest
from cloud_storage.system import concurrency


class Download:
    """A download whose bytes per second are ``rate(requests at the same time)``."""

    def __init__(self, rate, most=concurrency.MOST):
        self.now, self.done, self.rate = 0.0, 0, rate
        self.concurrency = concurrency.AdaptiveConcurrency(lambda: self.done, most, lambda: self.now)

    def seconds(self, count, step=1.0):
        """How many requests ran at the same time, second by second."""
        found = [self.concurrency()]
        for _ in range(count):
            self.now += step
            self.done += self.rate(found[-1]) * step
            found.append(self.concurrency())
        return found


def test_requests_are_added_as_long_as_they_pay():
    assert Download(lambda count: 90e6 * count).seconds(4) == [4, 8, 16, 16, 16]


@pytest.mark.parametrize(("limit", "expected"), [(4, [4, 8, 4, 4, 4]), (9, [4, 8, 16, 8, 8])])
def test_a_step_that_does_not_pay_is_taken_back_and_not_tried_again(limit, expected):
    assert Download(lambda count: 90e6 * min(count, limit)).seconds(4) == expected


def test_none_are_added_to_requests_that_are_fast_enough():
    assert Download(lambda count: 110e6 * count).seconds(2) == [4, 4, 4]


def test_what_holds_stays_even_when_the_network_changes():
    download = Download(lambda count: 390e6)
    assert download.seconds(3)[-1] == 4
    download.rate = lambda count: 9e9 * count
    assert download.seconds(3) == [4, 4, 4, 4]


def test_a_rate_is_measured_for_long_enough():
    found = Download(lambda count: 90e6 * count).seconds(7, concurrency.WINDOW_SECONDS / 4)
    assert found == [4] * 4 + [8] * 4


@pytest.mark.parametrize(("most", "expected"), [(1, [1, 1, 1]), (3, [3, 3, 3]), (5, [4, 5, 5])])
def test_there_are_never_more_than_there_may_be(most, expected):
    assert Download(lambda count: 20e6 * count * count, most).seconds(2) == expected
