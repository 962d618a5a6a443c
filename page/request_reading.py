"""Reads requests in the event loop, each kind up to its own size, and returns the work for a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, Unreachable
from ..storage.connect import connect
from ..system.meter import Meter
from . import picker, send, setup
from .answers import Answer, Read, Work

if TYPE_CHECKING:
    from aiohttp.web import Request

BODY_BYTES = 32 * 1024 * 1024  # of a POST: a workflow may hold images
BODY_SECONDS = 60.0  # within which it must be here


def with_query(work: Work) -> Read:
    async def read(request: Request, _held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
        query = dict(request.query)
        return lambda meter: work(query, meter)

    return read


def with_body(work: Callable[[Mapping[str, Any], Meter], Answer]) -> Read:
    async def read(request: Request, _held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
        size = BODY_BYTES // 1024**2
        too_large = f"The request is larger than {size} MB, which no workflow is."
        body = await _body(request, BODY_BYTES, too_large)
        return lambda meter: work(_json(body), meter)

    return read


def with_refusal(work: Callable[[Mapping[str, Any], Meter, str], dict[str, Any]], method: str) -> Read:
    """The work also gets why this request may change no settings, "" if it may: see setup.py. The body of one
    that may not is not read.
    """

    async def read(request: Request, _held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
        why = setup.refusal(request.headers)
        too_large = f"The request is larger than {setup.BODY_BYTES} bytes, which no settings are."
        is_read = method == "POST" and not why
        body = await _body(request, setup.BODY_BYTES, too_large) if is_read else b""
        return lambda meter: Answer(work(_json(body), meter, why))

    return read


async def _body(request: Request, limit: int, too_large: str) -> bytes:
    try:
        return await asyncio.wait_for(_collected(request, limit, too_large), BODY_SECONDS)
    except asyncio.TimeoutError as error:
        raise Unreachable("The request did not arrive whole from the browser. Try again.") from error


async def _collected(request: Request, limit: int, too_large: str) -> bytes:
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > limit:
            raise ConfigurationError(too_large)
    return bytes(body)


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested too deeply
        said = None
    if not isinstance(said, dict):
        raise ConfigurationError("The request is not a JSON object. Reload the page.")
    return said


async def with_file(request: Request, held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
    """The body is a file for the bucket: it goes to the disk as it arrives, and is removed at the end."""
    query, size = dict(request.query), request.content_length
    storage = connect(picker.chosen_profile(query))  # wrong settings are found before the file travels
    folder, name = query.get("folder", ""), query.get("name", "")
    dropped = held.enter_context(send.place_for(storage, folder, name, size))
    await send.receive(request.content, dropped.path, size)
    return lambda meter: Answer(dropped.store(storage, meter))
