"""Answers requests of our page, and of no other: the work is done in a thread, a few at a time, so that
ComfyUI's event loop stays free, and its result or its error becomes an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import (
    AccessDenied,
    AlreadyExists,
    Changed,
    ConfigurationError,
    MediaError,
    NotFound,
    StorageError,
    Throttled,
    TooLarge,
    Unreachable,
)
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import thumbnails

if TYPE_CHECKING:
    from aiohttp.web import Request, Response

ANSWER_SECONDS = 60.0
SENDS_AT_ONCE, SENDS_WAITING = 2, 64  # uploads of all browsers together; more than these are refused
PACKED_BYTES = 10_000  # of JSON that is compressed, if the browser takes it

# A page of another site can make the browser send a GET, but not with this header: the browser would first
# ask this server for permission (CORS), which it does not give. Sec-Fetch-Site and Origin, if sent, must
# match too.
OUR_HEADER = "X-Cloud-Storage"
_SAME_SITE = ("same-origin", "none")

# HTTP status by error: the first row of which the error is an instance.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (TooLarge, 413),
    (ConfigurationError, 400),
    (AccessDenied, 403),
    (NotFound, 404),
    (Changed, 409),
    (AlreadyExists, 409),
    (MediaError, 415),
    (Throttled, 503),
    (Unreachable, 504),
    (StorageError, 502),
)


@dataclass(frozen=True)
class Answer:
    """Data for JSON, or a WebP file; ``seconds`` is how long the browser may cache it."""

    content: dict[str, Any] | bytes
    seconds: int = 0


Query = Mapping[str, str]
Work = Callable[[Query, Meter], Answer]

# Reads a request in the event loop and returns the work, for a thread. What it enters is left after the work.
Read = Callable[["Request", contextlib.ExitStack], Awaitable[Callable[[Meter], Answer]]]


class Queue:
    """Lets SENDS_AT_ONCE in, and SENDS_WAITING wait; raises Throttled for more."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(SENDS_AT_ONCE)
        self._inside = 0

    async def __aenter__(self) -> None:
        if self._inside >= SENDS_AT_ONCE + SENDS_WAITING:
            raise Throttled("Too many files are being sent at once. Wait until some of them are done.")
        self._inside += 1
        try:
            await self._free.acquire()
        except BaseException:  # the browser gave up
            self._inside -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        self._free.release()


def handler(
    read: Read, busy: asyncio.Semaphore | Queue, seconds: float | None = ANSWER_SECONDS
) -> Callable[[Request], Awaitable[Response]]:
    """A handler for aiohttp; its work may take ``seconds``, or as long as a large file takes."""

    async def handle(request: Request) -> Response:
        from aiohttp import web

        if not _is_ours(request.headers):
            return web.json_response({"error": "Only the page of this ComfyUI may ask."}, status=403)
        meter = Meter()
        try:
            async with busy:
                with contextlib.ExitStack() as held:
                    work = await read(request, held)
                    tick = (lambda _meter: None) if seconds is None else _limit()
                    answer = await run_in_thread(lambda: work(meter), meter, tick)
        except (StorageError, MediaError) as error:
            status = next(status for kind, status in STATUSES if isinstance(error, kind))
            kind = type(error).__name__
            return web.json_response({"error": str(error), "kind": kind}, status=status, headers=_headers(0))
        if isinstance(answer.content, bytes):
            body, kind = answer.content, thumbnails.MEDIA_TYPE
            return web.Response(body=body, content_type=kind, headers=_headers(answer.seconds))
        text = json.dumps(answer.content)
        kind = "application/json"
        response = web.Response(text=text, content_type=kind, headers=_headers(answer.seconds))
        if len(text) > PACKED_BYTES:
            response.enable_compression()
        return response

    return handle


def _is_ours(headers: Mapping[str, str]) -> bool:
    origin = headers.get("Origin")
    return (
        OUR_HEADER in headers
        and headers.get("Sec-Fetch-Site", _SAME_SITE[0]) in _SAME_SITE
        and (origin is None or urlsplit(origin).netloc.lower() == headers.get("Host", "").lower())
    )


def _limit() -> Callable[[Meter], None]:
    end = time.monotonic() + ANSWER_SECONDS

    def tick(_: Meter) -> None:
        if time.monotonic() > end:
            raise Unreachable(
                f"The bucket's server did not answer within {ANSWER_SECONDS:g} seconds. Check the network."
            )

    return tick


def _headers(seconds: int) -> dict[str, str]:
    keep = f"private, max-age={seconds}" if seconds else "no-store"
    return {"Cache-Control": keep, "X-Content-Type-Options": "nosniff"}
