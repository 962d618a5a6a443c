"""The HTTP routes of our page (``web/``): list a bucket, thumbnails, open an object, test the connection, set
up a bucket, send files to a bucket, the panel Files, the models of the library, the mirror, and what waits.

What changes something is a POST, and changes nothing but fetches of models, the lists of models and files,
and, for the user of this machine, profiles.json; or uploads what waits in the outbox and what the user sends
(``send.py``). No route replaces an object or deletes. A request about a bucket names a profile. Those of the
picker may override the settings that a node may override, unless the profile is locked; requests about models
choose no profile. Work is done in threads, a few at a time; except for what is sent within ANSWER_SECONDS, so
that ComfyUI's event loop stays free.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..comfyui import folders, server, uploadable_files
from ..comfyui.node_lines import Line, for_page
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS
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
from ..profile import Profile, resolve
from ..storage import connection_test
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import connect
from ..storage.keys import existing_key
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import (
    browse,
    browse_local,
    files,
    mirror,
    models,
    send,
    setup,
    status,
    thumbnails,
    transfers,
    workflow_inside,
)

if TYPE_CHECKING:
    from aiohttp.web import Request, Response

log = logging.getLogger("cloud_storage")

_UNESCAPED = re.compile(r"[\w.~!$&'()*,;=:@+-]+", re.ASCII)  # characters that a URL's path holds as they are

ANSWER_SECONDS = 60.0
AT_ONCE = 6  # requests of all browsers together; the others wait
SENDS_AT_ONCE, SENDS_WAITING = 2, 64  # uploads of all browsers together; more than these are refused
LISTING_SECONDS = 30  # for which the browser may cache a listing; the picker reloads it when it opens
OPEN_SECONDS = 60  # for which a signed URL works: enough to start a download
THUMBNAIL_SECONDS = 7 * 24 * 3600  # its URL has the object's version
BODY_BYTES = 32 * 1024 * 1024  # of a POST: a workflow may hold images
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


def register(package_folder: str) -> bool:
    """Add the routes to ComfyUI's server; False if there is none.

    Logs a warning if the browser cannot load ``web/``: ComfyUI serves it at /extensions/<package folder>, and
    aiohttp finds no folder whose name has characters that a URL escapes.
    """
    if not _UNESCAPED.fullmatch(package_folder):
        log.warning(
            "ComfyUI's page cannot load the buttons and links of the cloud storage nodes from a folder "
            "called %r. Rename it to comfyui-cloud-storage and restart ComfyUI.",
            package_folder,
        )
    about_buckets, about_models = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)
    handlers = [("GET", name, _handler(_with_query(work), about_buckets)) for name, work in _WORK.items()]
    about_files = asyncio.Semaphore(AT_ONCE)  # of their own: many thumbnails do not hold up the lists
    for name, told in _FILES.items():
        handlers.append(("GET", name, _handler(_with_query(_told(told)), about_files)))
    asked = {**_MODELS, **_MIRROR, **_TRANSFERS, **_STATUS}
    for method, table in (("GET", asked), ("POST", {**_MODELS_POSTED, **_MIRROR_POSTED, **_POSTED})):
        read = _with_query if method == "GET" else _with_body
        handlers += [
            (method, name, _handler(read(_answered(work)), about_models)) for name, work in table.items()
        ]
    about_setup = asyncio.Semaphore(AT_ONCE)
    handlers += [
        (method, name, _handler(_with_refusal(work, method), about_setup)) for method, name, work in _SETUP
    ]
    sends = _Queue()
    posted = _with_body(lambda said, meter: Answer(send.send(said, meter)))
    handlers += [
        ("POST", "send", _handler(posted, sends, seconds=None)),
        ("POST", "drop", _handler(_with_file, sends, seconds=None)),
    ]
    return all(server.answer(method, f"/cloud_storage/{name}", handler) for method, name, handler in handlers)


# Reads a request in the event loop and returns the work, for a thread. What it enters is left after the work.
Read = Callable[["Request", contextlib.ExitStack], Awaitable[Callable[[Meter], Answer]]]


def _with_query(work: Work) -> Read:
    async def read(request: Request, _held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
        query = dict(request.query)
        return lambda meter: work(query, meter)

    return read


def _with_body(work: Callable[[Mapping[str, Any], Meter], Answer]) -> Read:
    async def read(request: Request, _held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
        size = BODY_BYTES // 1024**2
        too_large = f"The request is larger than {size} MB, which no workflow is."
        body = await _body(request, BODY_BYTES, too_large)
        return lambda meter: work(_json(body), meter)

    return read


def _with_refusal(work: Callable[[Mapping[str, Any], Meter, str], dict[str, Any]], method: str) -> Read:
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


async def _with_file(request: Request, held: contextlib.ExitStack) -> Callable[[Meter], Answer]:
    """The body is a file for the bucket: it goes to the disk as it arrives, and is removed at the end."""
    query, size = dict(request.query), request.content_length
    storage = connect(_profile(query))  # wrong settings are found before the file travels
    folder, name = query.get("folder", ""), query.get("name", "")
    dropped = held.enter_context(send.place_for(storage, folder, name, size))
    await send.receive(request.content, dropped.path, size)
    return lambda meter: Answer(dropped.store(storage, meter))


class _Queue:
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


def _answered(work: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Answer]:
    return lambda said, _meter: Answer(work(said))


def _told(work: Callable[[Query, Meter], dict[str, Any]]) -> Work:
    return lambda query, meter: Answer(work(query, meter))


def _handler(
    read: Read, busy: asyncio.Semaphore | _Queue, seconds: float | None = ANSWER_SECONDS
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


# ------------------------------------------------------------ the routes, run in threads


def _list(query: Query, meter: Meter) -> Answer:
    profile = _profile(query)
    storage = connect(profile)
    folder, token, text, order, endings = _asked(query)
    if order:
        found = browse.ordered(storage, folder, text, order, meter, endings)
    elif text:
        found = browse.search(storage, folder, text, token, meter, endings)
    else:
        found = browse.folder(storage, folder, token, meter, endings)
    place = {"place": f"{storage.bucket}/{storage.path_prefix}", "profile": profile.name}
    return Answer({**place, **_listed(found)}, LISTING_SECONDS)


def _local(query: Query, meter: Meter) -> Answer:
    folder, token, text, order, endings = _asked(query)
    return Answer(_listed(browse_local.listing(folder, text, order, token, meter, endings)))


def _asked(query: Query) -> tuple[str, str, str, str, tuple[str, ...]]:
    endings = tuple(filter(None, query.get("endings", "").split(",")))
    folder, token, text, order = (query.get(name, "") for name in ("folder", "token", "search", "order"))
    return folder, token, text, order, endings


def _listed(found: browse.Listing) -> dict[str, Any]:
    return {**vars(found), "files": [_described(info) for info in found.files]}


def _described(info: ObjectInfo) -> dict[str, Any]:
    modified = info.modified.isoformat() if info.modified else None
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}


def _thumbnail(query: Query, meter: Meter) -> Answer:
    storage, key = _object(query)
    return Answer(thumbnails.thumbnail(storage, key, query.get("etag", ""), meter), THUMBNAIL_SECONDS)


def _local_thumbnail(query: Query, _meter: Meter) -> Answer:
    return Answer(thumbnails.of_file(uploadable_files.chosen(query.get("key", ""))), THUMBNAIL_SECONDS)


def _open(query: Query, meter: Meter) -> Answer:
    """Return a signed URL of an existing object below the profile's prefix, for a tab that a click opened.

    Not as a redirect: a browser that follows a link sends no OUR_HEADER, so a page of another site could send
    it here too.
    """
    storage, key = _object(query)
    storage.stat(key)
    return Answer({"address": storage.signed_url(key, timedelta(seconds=OPEN_SECONDS))})


def _workflow(query: Query, meter: Meter) -> Answer:
    storage, key = _object(query)
    return Answer(workflow_inside.workflow(storage, key, meter))


def _test(query: Query, meter: Meter) -> Answer:
    profile = _profile(query)
    lines = connection_test.lines(profile, connect(profile), meter, may_write=False)
    return Answer({"lines": for_page([Line(*line) for line in lines])})


def _object(query: Query) -> tuple[Storage, str]:
    storage = connect(_profile(query))
    return storage, existing_key(query.get("key", ""), storage.room_for_key)


def _profile(query: Query) -> Profile:
    overrides = {name: query[name] for name, row in SETTINGS.items() if row.widget and name in query}
    return resolve(query.get("profile") or ENVIRONMENT, overrides, folders.profiles_file())


_WORK: dict[str, Work] = {
    "list": _list,
    "thumbnail": _thumbnail,
    "local": _local,
    "local_thumbnail": _local_thumbnail,
    "open": _open,
    "workflow": _workflow,
    "test": _test,
}

_MIRROR = {"mirror/state": mirror.state}
_MIRROR_POSTED = {"mirror/retry": mirror.retry}
_FILES = {
    "files/profiles": files.profiles,
    "files/list": files.listing,
    "files/state": files.state,
    "files/link": files.link,
    "files/share": files.share,
}
_STATUS = {"status": status.status}
_TRANSFERS = {"transfers/waiting": transfers.waiting}
_POSTED = {"files/refresh": files.refresh, "transfers/retry": transfers.retry}

_MODELS = {
    "models/names": models.names,
    "models/catalogue": models.catalogue,
    "models/copies": models.copies,
    "models/progress": models.progress,
}
_MODELS_POSTED = {
    "models/workflow": models.workflow,
    "models/fetch": models.fetch,
    "models/cancel": models.cancel,
    "models/dismiss": models.dismiss,
    "models/refresh": models.refresh,
}

_SETUP: tuple[tuple[str, str, Callable[[Mapping[str, Any], Meter, str], dict[str, Any]]], ...] = (
    ("GET", "setup", lambda said, _meter, why: setup.ask(said, why)),
    ("POST", "setup/test", setup.test),
    ("POST", "setup/save", lambda said, _meter, why: setup.save(said, why)),
)
