"""A bucket and a running ComfyUI for each file of tests; some files have an ``address`` of their own."""

from __future__ import annotations

import pytest
from conftest import ROOT, make_place
from servers.comfyui import running


@pytest.fixture(scope="module")
def place(servers, tmp_path_factory):
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The folder that has everything which ComfyUI writes."""
    return tmp_path_factory.mktemp("comfyui") / "base"


@pytest.fixture(scope="module")
def address(place, base):
    with running(base, ROOT, place.environ) as url:
        yield url
