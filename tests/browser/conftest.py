"""What the tests of the page have beside the fixtures of all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cloud_storage.page import routes
from conftest import ROOT, Place, make_place
from servers.page import served


@pytest.fixture(scope="session")
def fast_place(servers: Any, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One bucket: nothing here depends on its protocol."""
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def address(comfyui: Any) -> Iterator[str]:
    """The address of a server with our routes, the scripts of the page, and the pages beside the tests."""
    routes.register("comfyui-cloud-storage")
    with served(comfyui.routes, {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}) as found:
        yield found
