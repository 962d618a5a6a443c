"""ComfyUI's web server as far as a package's routes and its part of the page need one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web


@contextmanager
def served(routes: web.RouteTableDef, folders: dict[str, Path]) -> Iterator[str]:
    """Answer as ComfyUI does, with a loop in a thread of its own; yields the address.

    ``routes`` are there twice, below /api as well. ``folders`` are given out as files: the path in front, and
    the folder.
    """
    application = web.Application()
    mirrored = web.RouteTableDef()
    for route in routes:
        if isinstance(route, web.RouteDef):
            mirrored.route(route.method, f"/api{route.path}")(route.handler, **route.kwargs)
    application.add_routes(mirrored)
    application.add_routes(routes)
    application.add_routes([web.static(path, folder) for path, folder in folders.items()])

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = web.AppRunner(application, access_log=None)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        yield f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(start(), loop).result()}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
