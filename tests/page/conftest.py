from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request

import pytest
from aiohttp import web
from cloud_storage.page import routes
from page_requests import OURS, Answer
from servers.page import served


@pytest.fixture
def ask(comfyui):
    """``ask("list", folder="a/")`` is what a GET gives; the server is ComfyUI's stand-in with our routes."""
    assert routes.register("comfyui-cloud-storage")

    @comfyui.routes.get("/elsewhere")
    async def elsewhere(_request):
        return web.Response(text="here")

    with served(comfyui.routes, {}) as address:

        def get(route, headers=OURS, method="GET", **query):
            path = route if route.startswith("/") else f"/api/cloud_storage/{route}"
            url = f"{address}{path}?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(url, headers=headers, method=method)
            try:
                answer = urllib.request.urlopen(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                return Answer(answer.status, dict(answer.headers), answer.read())

        get.address = address
        yield get
