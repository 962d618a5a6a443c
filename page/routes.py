"""What our part of the browser (``web/``) asks of the server: what is in a bucket, small pictures of it, an
address that opens one object, and a look at the connection.

GET only, and nothing here writes or deletes. A profile is named, never described: what a node may override
may be overridden, unless the profile is locked. The server's loop is never held up: all work is done in
threads, a few at a time, within ANSWER_SECONDS.
"""

from __future__ import annotations

import asyncio
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
    Changed,
    ConfigurationError,
    MediaError,
    NotFound,
    StorageError,
    Throttled,
    Unreachable,
)
from ..profile import Profile, resolve
from ..storage import connection_test
from ..storage.base import ObjectInfo
from ..storage.connect import connect
from ..storage.keys import existing_key
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import browse, browse_local, thumbnails

if TYPE_CHECKING:
    from aiohttp.web import Request, Response

log = logging.getLogger("cloud_storage")

_SENT_AS_IT_IS = re.compile(r"[\w.~!$&'()*,;=:@+-]+", re.ASCII)  # in the path of an address

ANSWER_SECONDS = 60.0
AT_ONCE = 6  # requests of all browsers together; further ones wait
LISTING_SECONDS = 30  # for which a browser may show what it has; the picker asks for it anew when it opens
OPEN_SECONDS = 60  # that the address of a link on a node is good for: enough to begin a download
THUMBNAIL_SECONDS = 7 * 24 * 3600  # its address holds the object's version

# A page of another site can have a browser send a GET, but not with a header of its own: for that the
# browser first asks this server, which does not allow it. Where it says whose request it is, that counts too.
OUR_HEADER = "X-Cloud-Storage"
_FROM_OURSELVES = ("same-origin", "none")

# The first that an error is an instance of.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigurationError, 400),
    (AccessDenied, 403),
    (NotFound, 404),
    (Changed, 409),
    (MediaError, 415),
    (Throttled, 503),
    (Unreachable, 504),
    (StorageError, 502),
)


@dataclass(frozen=True)
class Reply:
    """What is sent back: something for JSON, or a file's bytes; for how long the browser may keep it."""

    content: dict[str, Any] | bytes
    seconds: int = 0


Query = Mapping[str, str]
Work = Callable[[Query, Meter], Reply]


def register(package_folder: str) -> bool:
    """Have ComfyUI's server answer; False where there is none.

    A warning tells where it cannot send our part of the page: aiohttp, which sends ``web/`` from below
    /extensions/<name of the package's folder>, finds nothing for a name that an address has to escape.
    """
    if not _SENT_AS_IT_IS.fullmatch(package_folder):
        log.warning(
            "ComfyUI's page cannot load the buttons and links of the cloud storage nodes from a folder "
            "called %r. Rename it to comfyui-cloud-storage and restart ComfyUI.",
            package_folder,
        )
    busy = asyncio.Semaphore(AT_ONCE)
    paths = {f"/cloud_storage/{name}": _handler(work, busy) for name, work in _WORK.items()}
    return all(server.answer_get(path, handler) for path, handler in paths.items())


def _handler(work: Work, busy: asyncio.Semaphore) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        from aiohttp import web

        if not _is_ours(request.headers):
            return web.json_response({"error": "Only the page of this ComfyUI may ask."}, status=403)
        meter, query = Meter(), dict(request.query)
        try:
            async with busy:
                reply = await run_in_thread(lambda: work(query, meter), meter, _limit())
        except (StorageError, MediaError) as error:
            status = next(status for kind, status in STATUSES if isinstance(error, kind))
            kind = type(error).__name__
            return web.json_response({"error": str(error), "kind": kind}, status=status, headers=_headers(0))
        if isinstance(reply.content, bytes):
            body, kind = reply.content, thumbnails.MEDIA_TYPE
            return web.Response(body=body, content_type=kind, headers=_headers(reply.seconds))
        return web.json_response(reply.content, headers=_headers(reply.seconds))

    return handle


def _is_ours(headers: Mapping[str, str]) -> bool:
    origin = headers.get("Origin")
    return (
        OUR_HEADER in headers
        and headers.get("Sec-Fetch-Site", _FROM_OURSELVES[0]) in _FROM_OURSELVES
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


# ------------------------------------------------------------ the work, in threads


def _list(query: Query, meter: Meter) -> Reply:
    storage = connect(_profile(query))
    folder, token, text, order, endings = _asked(query)
    if order:
        found = browse.ordered(storage, folder, text, order, meter, endings)
    elif text:
        found = browse.search(storage, folder, text, token, meter, endings)
    else:
        found = browse.folder(storage, folder, token, meter, endings)
    return Reply({"place": f"{storage.bucket}/{storage.path_prefix}", **_listed(found)}, LISTING_SECONDS)


def _local(query: Query, meter: Meter) -> Reply:
    folder, token, text, order, endings = _asked(query)
    return Reply(_listed(browse_local.listing(folder, text, order, token, meter, endings)))


def _asked(query: Query) -> tuple[str, str, str, str, tuple[str, ...]]:
    endings = tuple(filter(None, query.get("endings", "").split(",")))
    folder, token, text, order = (query.get(name, "") for name in ("folder", "token", "search", "order"))
    return folder, token, text, order, endings


def _listed(found: browse.Listing) -> dict[str, Any]:
    return {
        "folders": found.folders,
        "files": [_described(info) for info in found.files],
        "following": found.following,
        "hidden": found.hidden,
        "total": found.total,
        "complete": found.complete,
    }


def _described(info: ObjectInfo) -> dict[str, Any]:
    modified = info.modified.isoformat() if info.modified else None
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}


def _thumbnail(query: Query, meter: Meter) -> Reply:
    storage = connect(_profile(query))
    key = existing_key(query.get("key", ""), storage.room_for_key)
    return Reply(thumbnails.thumbnail(storage, key, query.get("etag", ""), meter), THUMBNAIL_SECONDS)


def _local_thumbnail(query: Query, _meter: Meter) -> Reply:
    return Reply(thumbnails.of_file(uploadable_files.chosen(query.get("key", ""))), THUMBNAIL_SECONDS)


def _open(query: Query, meter: Meter) -> Reply:
    """An address of an object that exists, below the profile's prefix, for the tab that a click has opened.

    It is in the answer and not a redirect: a browser sends no header of ours where it follows a link, and so
    could not be told from one that a page of another site sends here.
    """
    storage = connect(_profile(query))
    key = existing_key(query.get("key", ""), storage.room_for_key)
    storage.stat(key)
    return Reply({"address": storage.signed_url(key, timedelta(seconds=OPEN_SECONDS))})


def _test(query: Query, meter: Meter) -> Reply:
    profile = _profile(query)
    return Reply(
        {
            "lines": for_page(
                [
                    Line(*line)
                    for line in connection_test.lines(profile, connect(profile), meter, looks_only=True)
                ]
            )
        }
    )


def _profile(query: Query) -> Profile:
    overrides = {name: query[name] for name, row in SETTINGS.items() if row.widget and name in query}
    return resolve(query.get("profile") or ENVIRONMENT, overrides, folders.profiles_file())


_WORK: dict[str, Work] = {
    "list": _list,
    "thumbnail": _thumbnail,
    "local": _local,
    "local_thumbnail": _local_thumbnail,
    "open": _open,
    "test": _test,
}
