"""What the tests of the storage have beside the fixtures of all tests."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Place, make_place


@pytest.fixture(scope="session", params=("ministack-http", "oss-http", "ministack-http-direct"))
def fast_place(
    request: pytest.FixtureRequest, servers: Any, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """One bucket per way to reach one: requests that go around botocore are tested from the first one on."""
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")
