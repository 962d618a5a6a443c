from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from aiohttp import web
from cloud_storage.page import bucket_catalogue, routes
from page_requests import OURS, Answer, content
from servers.page import served


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No catalogue of another test."""
    monkeypatch.setattr(bucket_catalogue, "_open", type(bucket_catalogue._open)())


@pytest.fixture
def ask(comfyui):
    """``ask("files/list", folder="a/")`` is what a GET gives; the routes are ours.

    ``ask.post("models/fetch", {"models": …})`` is what a POST gives.
    """
    assert routes.register("comfyui-cloud-storage")

    @comfyui.routes.get("/elsewhere")
    async def elsewhere(_request):
        return web.Response(text="here")

    with served(comfyui.routes, {}) as address:

        def get(route, headers=OURS, method="GET", body=None, **query):
            path = route if route.startswith("/") else f"/api/cloud_storage/{route}"
            url = f"{address}{path}?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(url, headers=headers, method=method, data=body)
            try:
                answer = urllib.request.urlopen(request, timeout=60)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                return Answer(answer.status, dict(answer.headers), answer.read())

        def post(route, said, headers=OURS):
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            return get(route, {**headers, "Content-Type": "application/json"}, "POST", body)

        get.address, get.post = address, post
        yield get


@pytest.fixture
def save(cloud, ask):
    def save(name="a", text="", replaces="", **said):
        return ask.post(
            "workflows/save", {"name": name, "content": content(text), "replaces": replaces, **said}
        )

    return save
