from __future__ import annotations

import pytest
from cloud_storage.errors import TransferCancelled
from cloud_storage.mirror.bandwidth import Bandwidth, PacedMeter
from cloud_storage.system.meter import Meter


def test_each_turn_comes_after_the_bytes_of_those_before():
    bandwidth = Bandwidth(1000)
    turns = [bandwidth.turn(500_000) for _ in range(3)]
    assert turns[0] == pytest.approx(500, abs=5)
    assert turns[2] == pytest.approx(1500, abs=5)


def test_without_a_limit_nobody_waits():
    assert Bandwidth(0).turn(10**12) == 0


def test_who_counts_bytes_waits_and_can_be_stopped():
    whole = Meter()
    meter = PacedMeter(Bandwidth(1), whole)
    whole.stop()
    with pytest.raises(TransferCancelled):
        meter.part().add(10**6)
    meter = PacedMeter(Bandwidth(10**9), Meter())
    meter.part().add(1000)
    assert meter.done == 1000
