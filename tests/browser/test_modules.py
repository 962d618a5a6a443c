"""ComfyUI loads every .js file in web/, also one that an older version left there: loading has no effect."""

from __future__ import annotations

import pytest
from conftest import ROOT
from servers.page import served

ENTRY = "cloud_storage.js"  # the only one that ComfyUI is meant to load
MODULES = sorted(path.name for path in (ROOT / "web").glob("*.js") if path.name != ENTRY)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_is_loaded_by_itself_does_nothing(page, name):
    with served([], {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}) as address:
        page.goto(f"{address}/page/page.html")
        page.set_content("<p>Another page</p>")
        before = page.content()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.evaluate("name => import(`/web/${name}`)", name)
        assert page.content() == before
        assert all("/web/" in url and url.endswith(".js") for url in asked)


def test_only_one_module_registers_an_extension():
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "web").glob("*.js")}
    assert [name for name, source in sources.items() if "registerExtension" in source] == [ENTRY]
