from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from cloud_storage.system import concurrency
from cloud_storage.system.concurrency import CALM_SECONDS, FIRST, MOST, START

TICK = 0.05  # seconds between two calls, as in thread_pool


@pytest.fixture(autouse=True)
def rarely_again(monkeypatch):
    """No trial is made again by itself, except where a test is about that; the machine has two processors."""
    monkeypatch.setattr(concurrency, "AGAIN", 1000)
    monkeypatch.setattr(concurrency.os, "cpu_count", lambda: 2)


class Transfer:
    """A transfer whose bytes per second are ``rate(requests at the same time)``.

    A request that is one too many goes on for ``lasts`` seconds.
    """

    def __init__(self, rate, most=MOST, start=FIRST, busy=0.0, others=0.0, lasts=0.0):
        self.now, self.done, self.rate, self.changed = 100.0, 0, rate, []
        self.lasts, self.running, self.too_many = lasts, 0, 0.0
        self.refusals, self.used, self.busy, self.others = 0, 0.0, busy, others
        self.concurrency = concurrency.AdaptiveConcurrency(
            lambda: self.done,
            most,
            start=start,
            refused=lambda: self.refusals,
            clock=lambda: self.now,
            processor_seconds=lambda: self.used,
            machine_seconds=lambda: self.used + (self.now - 100.0) * self.others,
        )

    def counts(self, seconds):
        """The numbers of requests in this time, each as often as it changed."""
        found = [self.concurrency(self.running)]
        for _ in range(round(seconds / TICK)):
            self.too_many = self.too_many + TICK if self.running > found[-1] else 0.0
            if self.running < found[-1] or self.too_many > self.lasts:
                self.running = found[-1]
            self.now += TICK
            self.done += round(self.rate(self.running) * TICK)
            self.used += self.busy * TICK
            count = self.concurrency(self.running)
            if count != found[-1]:
                found.append(count)
                self.changed.append(self.now)
        return found


@pytest.mark.parametrize("each", [2e3, 1e6, 90e6, 133e6, 1e9])
def test_requests_are_added_while_that_pays_whatever_one_of_them_carries(each):
    assert Transfer(lambda count: each * count).counts(10) == [8, 32, 64]


def test_the_first_step_takes_two_tenths_of_a_second_and_each_other_one_tenth():
    transfer = Transfer(lambda count: 90e6 * count)
    assert [transfer.counts(seconds)[-1] for seconds in (0.2, 0.1)] == [32, 64]


def test_the_first_step_is_a_small_one_where_a_large_one_would_need_more_processors_than_there_are():
    transfer = Transfer(lambda count: 90e6 * count, busy=1.0)
    assert transfer.counts(10) == [8, 16, 32, 64]


@pytest.mark.parametrize("phase", [0, 1])
def test_a_server_that_sends_in_bursts_is_judged_as_fast(phase):
    """As nginx does, which limits a connection by sending for a while, and then not until the next tenth."""

    def rate(count):
        return 20e6 * count * 2 * (round((transfer.now - 100.0) / TICK) % 2 == phase)

    transfer = Transfer(rate)
    assert transfer.counts(0.5) == [8, 32, 64]


def test_each_other_step_is_decided_within_a_second():
    transfer = Transfer(lambda count: 90e6 * count**0.5)
    transfer.counts(0.2)
    assert transfer.counts(1) == [32, 64]


def test_more_requests_wait_until_the_first_ones_carry_what_they_can():
    transfer = Transfer(lambda count: 10e6 * min(count, 8) * min(1, 2 ** ((transfer.now - 100.6) / 0.1)))
    assert transfer.counts(10) == [8, 32, 16, 8]
    assert 100.5 < transfer.changed[0] < 100.8


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (8, [8, 32, 16, 8]),
        (9, [8, 32, 16, 32, 16]),
        (17, [8, 32, 64, 32]),
        (34, [8, 32, 64, 32]),
        (36, [8, 32, 64]),
    ],
)
def test_a_step_that_does_not_pay_is_taken_back_and_not_tried_again(limit, expected):
    assert Transfer(lambda count: 10e6 * min(count, limit)).counts(60) == expected


def test_what_did_not_pay_is_tried_again_after_some_seconds_and_then_after_twice_as_many(monkeypatch):
    monkeypatch.setattr(concurrency, "AGAIN", 3)
    transfer = Transfer(lambda count: 10e6 * min(count, 8))
    assert transfer.counts(40) == [8, 32, 16, 8, 16, 8, 16, 8, 16, 8]
    tried, taken_back = transfer.changed[1::2], transfer.changed[2::2]
    steady = [later - earlier for earlier, later in zip(taken_back, tried[1:], strict=False)]
    assert steady == pytest.approx([3, 6, 12], rel=0.2)


def test_a_trial_that_was_unlucky_is_made_good(monkeypatch):
    """The first bytes come faster than the others, so that more requests seem to bring nothing."""
    monkeypatch.setattr(concurrency, "AGAIN", 3)
    transfer = Transfer(lambda count: 27e6 if transfer.now < 101.5 else 22e6 * min(count / 8, 1.2))
    assert transfer.counts(8) == [8, 32, 16, 8, 16, 32, 16]


def test_a_line_that_gets_better_is_used():
    transfer = Transfer(lambda count: 80e6)
    assert transfer.counts(10) == [8, 32, 16, 8]
    transfer.rate = lambda count: 90e6 * count
    assert transfer.counts(20) == [8, 16, 32, 64]


@pytest.mark.parametrize("seconds", [9.5, 10, 10.5, 11])
def test_requests_are_taken_away_when_the_gain_of_them_is_gone(seconds):
    transfer = Transfer(lambda count: 90e6 * count)
    assert transfer.counts(seconds)[-1] == 64
    transfer.rate = lambda count: 400e6
    assert transfer.counts(20) == [64, 32, 16, 8]


@pytest.mark.parametrize("seconds", [9.5, 10, 10.5, 11])
def test_a_line_that_only_gets_slower_keeps_its_requests(seconds):
    transfer = Transfer(lambda count: 90e6 * count)
    assert transfer.counts(seconds)[-1] == 64
    transfer.rate = lambda count: 20e6 * count
    assert transfer.counts(20) == [64, 32, 64]


def test_a_process_that_waits_gets_the_first_requests_at_once():
    transfer = Transfer(lambda count: 90e6 * count, start=START, busy=0.7)
    assert transfer.counts(2 * TICK) == [START, FIRST]
    assert Transfer(lambda count: 90e6 * count, 5, start=START).counts(2 * TICK) == [START, 5]


def test_where_python_is_the_limit_there_are_few_requests():
    transfer = Transfer(lambda count: 500e6, start=START, busy=1.3)
    assert transfer.counts(20) == [START, 2 * START, START]


def test_requests_of_a_process_that_has_other_work_are_added_while_that_pays():
    transfer = Transfer(lambda count: 90e6 * count, start=START, busy=1.3)
    assert transfer.counts(10) == [2, 4, 8, 16, 32, 64]


def test_the_burst_that_begins_a_connection_does_not_hide_that_more_requests_pay():
    began = 100.0

    def rate(count):
        return 320e6 if transfer.now < began + 0.3 else 10e6 * count

    transfer = Transfer(rate)
    assert transfer.counts(6)[-1] == MOST


def test_the_burst_of_added_connections_does_not_hide_that_more_requests_pay():
    def rate(count):
        is_burst = bool(transfer.changed) and transfer.now - transfer.changed[-1] < 0.15
        return 10e6 * count * (4 if is_burst else 1)

    transfer = Transfer(rate)
    assert transfer.counts(10) == [8, 32, 64]


def test_fewer_requests_are_judged_when_those_that_are_too_many_have_ended():
    """As ranges of 8 MiB at 5 MB/s: for two seconds the rate is that of all."""
    transfer = Transfer(lambda count: 5e6 * count, lasts=2.0)
    assert transfer.counts(10)[-1] == 64
    transfer.rate = lambda count: 3.5e6 * count
    assert transfer.counts(10) == [64, 32, 64]


def test_after_a_fall_more_requests_are_tried_before_fewer():
    transfer = Transfer(lambda count: 160e6 if count == 8 else 170e6)
    assert transfer.counts(10) == [8, 32, 16, 8]
    transfer.rate = lambda count: 10e6 * count
    assert transfer.counts(20) == [8, 16, 32, 64]


def test_a_rate_that_varies_by_less_than_the_gain_changes_nothing():
    transfer = Transfer(lambda count: 10e6 * min(count, 8))
    assert transfer.counts(10)[-1] == 8
    transfer.rate = lambda count: 10e6 * min(count, 8) * (1.1 if int(transfer.now) % 2 else 0.95)
    assert transfer.counts(30) == [8]


def test_a_server_that_asks_for_fewer_requests_gets_half_of_them_once_a_burst():
    transfer = Transfer(lambda count: 90e6 * count)
    assert transfer.counts(10)[-1] == 64
    transfer.refusals = 5
    assert transfer.counts(0.3) == [32]
    transfer.refusals = 9
    assert transfer.counts(0.1) == [32]
    transfer.now += 1
    transfer.refusals = 10
    assert transfer.counts(CALM_SECONDS) == [16]


def test_after_a_calm_time_more_requests_are_tried_again():
    transfer = Transfer(lambda count: 90e6 * count)
    transfer.counts(10)
    transfer.refusals = 1
    assert transfer.counts(CALM_SECONDS - 1) == [32]
    assert transfer.counts(5) == [32, 64]


@pytest.mark.parametrize(
    ("busy", "others", "expected"),
    [(1.9, 0, [8]), (1.0, 0.9, [8]), (1.7, 0, [8, 16, 32, 64]), (1.0, 0.7, [8, 16, 32, 64])],
)
def test_a_machine_that_is_busy_by_whatever_program_gets_no_further_requests(busy, others, expected):
    transfer = Transfer(lambda count: 90e6 * count, busy=busy, others=others)
    assert transfer.counts(10) == expected


def test_a_machine_that_was_busy_for_long_gets_further_requests_as_soon_as_it_is_not(monkeypatch):
    monkeypatch.setattr(concurrency, "AGAIN", 1)
    transfer = Transfer(lambda count: 90e6 * count, others=1.9)
    assert transfer.counts(40) == [8]
    transfer.others = 0
    assert transfer.counts(2.5) == [8, 16, 32, 64]


def test_the_work_of_all_programs_is_that_of_psutil_and_nothing_without_it(monkeypatch):
    times = SimpleNamespace(user=1.0, nice=2.0, system=4.0, idle=100.0, iowait=100.0, steal=8.0, guest=1.0)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(cpu_times=lambda: times))
    concurrency._cpu_times.cache_clear()
    assert concurrency.machine_seconds() == 15
    monkeypatch.setitem(sys.modules, "psutil", None)
    concurrency._cpu_times.cache_clear()
    assert concurrency.machine_seconds() == 0
    concurrency._cpu_times.cache_clear()


def test_nothing_is_judged_before_bytes_come():
    transfer = Transfer(lambda count: 0)
    assert transfer.counts(30) == [8]
    transfer.rate = lambda count: 90e6 * count
    assert transfer.counts(1) == [8, 32, 64]


@pytest.mark.parametrize(("most", "expected"), [(1, [1]), (3, [3]), (9, [8, 9]), (500, [8, 32, 64])])
def test_there_are_never_more_than_there_may_be(most, expected):
    assert Transfer(lambda count: 20e6 * count * count, most).counts(10) == expected
