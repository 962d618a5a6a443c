from __future__ import annotations

from datetime import timedelta

from cloud_storage.system import utc_clock


def test_a_clock_that_is_set_back_does_not_change_the_order(monkeypatch):
    before = utc_clock.now()
    assert before < utc_clock.now(), "no two calls have one time"
    monkeypatch.setattr(utc_clock, "_last", before + timedelta(days=1))
    assert utc_clock.now() > before + timedelta(days=1)
