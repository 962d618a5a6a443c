from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cloud_storage.comfyui import server


def test_free_memory_and_metadata_are_comfyuis(comfyui, monkeypatch):
    from comfy import cli_args, model_management

    monkeypatch.setattr(model_management, "free_bytes", 12345)
    assert server.free_memory() == 12345
    for disabled in (True, False):
        monkeypatch.setattr(cli_args.args, "disable_metadata", disabled)
        assert server.metadata_disabled() is disabled


def test_a_route_answers_and_a_call_is_made_once_when_the_server_starts(comfyui):
    calls = []

    async def handler(_request):
        return web.Response(text="here")

    assert server.answer("GET", "/ours", handler)
    server.when_started(lambda: calls.append("started"))
    assert calls == []

    async def ask():
        comfyui.app.add_routes(comfyui.routes)
        async with TestClient(TestServer(comfyui.app)) as client:
            return [await (await client.get("/ours")).text() for _ in range(2)]

    assert asyncio.run(ask()) == ["here", "here"]
    assert calls == ["started"]
    server.when_started(lambda: calls.append("too late"))
    assert calls == ["started"]


@pytest.mark.parametrize("missing", ["instance", "module"])
def test_without_a_server_nothing_is_registered(monkeypatch, missing):
    import sys

    if missing == "module":
        monkeypatch.setitem(sys.modules, "server", None)
    else:
        monkeypatch.setattr(sys.modules["server"].PromptServer, "instance", None)
    assert not server.answer("GET", "/ours", lambda request: request)
    server.when_started(lambda: pytest.fail("there is no server"))
