from __future__ import annotations

import pytest
from cloud_storage.comfyui.amounts import Rate, in_bytes, in_time, several


def test_a_rate_is_that_of_the_last_seconds_and_nothing_is_told_of_what_stands_still():
    rate = Rate()
    for second in range(100):
        rate.note(float(second), second * 1000 if second < 50 else 50_000 + (second - 50) * 3000)
    assert rate.per_second() == 3000
    for second in range(100, 120):
        rate.note(float(second), 50_000 + 49 * 3000)
    assert rate.words(10**9) == ""
    rate.note(120.0, 5)  # one that counts anew
    assert rate.per_second() is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (60, "60 s"), (61, "2 min"), (3540, "59 min"), (3600, "1 h 0 min"), (4800, "1 h 20 min")],
)
def test_a_time_is_told_in_whole_numbers(seconds, words):
    assert in_time(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (3_000_000, "3.0 MB"), (2_500_000_000, "2.5 GB")],
)
def test_a_size_is_told_in_units_that_people_use(count, words):
    assert in_bytes(count) == words


def test_one_is_one_and_more_are_many():
    told = [several(count, "{} entry", "{} entries") for count in (0, 1, 2)]
    assert told == ["0 entries", "1 entry", "2 entries"]
