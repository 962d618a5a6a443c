from __future__ import annotations

from datetime import datetime, timezone

import pytest
from cloud_storage.storage import http_date


@pytest.mark.parametrize("date", ["Fri, 20 Nov 2026 10:00:00 GMT", "Fri, 20 Nov 2026 10:00:00 -0000"])
def test_a_date_is_read_in_utc(date):
    assert http_date.parsed(date) == datetime(2026, 11, 20, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 99 Nov 2026 10:00:00 GMT"])
def test_a_missing_or_wrong_date_is_none(date):
    assert http_date.parsed(date) is None
