"""The HTTP routes of our page (``web/``): list a bucket, thumbnails, open an object, test the connection, set
up a bucket, send files to a bucket, the panel Files, workflows in the bucket, the models of the library, the
mirror, and what waits.

What changes something is a POST, and changes nothing but fetches of models, the lists of models and files,
and, for the user of this machine, profiles.json; or uploads what waits in the outbox and what the user
sends (``send.py``), and workflows. No route deletes, and none replaces an object but a workflow, of the
version that the page names or the mirror has stored (``workflows.py``). A request about a bucket names a
profile. Those of the picker may override the settings that a node may override, unless the profile is
locked; requests about models choose no profile. Work is done in threads, a few at a time; except for what
is sent within ANSWER_SECONDS, so that ComfyUI's event loop stays free.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..comfyui import server
from ..system.meter import Meter
from . import files, mirror, models, picker, send, setup, status, transfers, workflows
from .answers import Answer, Queue, Work, handler
from .request_reading import with_body, with_file, with_query, with_refusal

log = logging.getLogger("cloud_storage")

_UNESCAPED = re.compile(r"[\w.~!$&'()*,;=:@+-]+", re.ASCII)  # characters that a URL's path holds as they are

AT_ONCE = 6  # requests of all browsers together; the others wait


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
    handlers = [("GET", name, handler(with_query(work), about_buckets)) for name, work in _WORK.items()]
    about_files = asyncio.Semaphore(AT_ONCE)  # of their own: many thumbnails do not hold up the lists
    for name, told in _FILES.items():
        handlers.append(("GET", name, handler(with_query(_told(told)), about_files)))
    asked = {**_MODELS, **_MIRROR, **_TRANSFERS, **_STATUS}
    for method, table in (("GET", asked), ("POST", {**_MODELS_POSTED, **_MIRROR_POSTED, **_POSTED})):
        read = with_query if method == "GET" else with_body
        handlers += [
            (method, name, handler(read(_answered(work)), about_models)) for name, work in table.items()
        ]
    about_setup = asyncio.Semaphore(AT_ONCE)
    handlers += [
        (method, name, handler(with_refusal(work, method), about_setup)) for method, name, work in _SETUP
    ]
    about_workflows = asyncio.Semaphore(AT_ONCE)
    handlers += [
        ("GET", name, handler(with_query(_told(work)), about_workflows)) for name, work in _WORKFLOWS.items()
    ]
    handlers.append(("POST", "workflows/save", handler(with_body(_told(workflows.save)), Queue())))
    sends = Queue()
    posted = with_body(_told(send.send))
    handlers += [
        ("POST", "send", handler(posted, sends, seconds=None)),
        ("POST", "drop", handler(with_file, sends, seconds=None)),
    ]
    return all(server.answer(method, f"/cloud_storage/{name}", each) for method, name, each in handlers)


def _answered(work: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., Answer]:
    return lambda said, _meter: Answer(work(said))


def _told(work: Callable[[Mapping[str, Any], Meter], dict[str, Any]]) -> Callable[..., Answer]:
    return lambda query, meter: Answer(work(query, meter))


_WORK: dict[str, Work] = {
    "thumbnail": picker.thumbnail,
    "local_thumbnail": picker.local_thumbnail,
    "open": picker.address,
    "workflow": picker.workflow,
    "test": picker.test,
}

_MIRROR = {"mirror/state": mirror.state}
_MIRROR_POSTED = {"mirror/retry": mirror.retry}
_FILES = {
    "files/profiles": files.profiles,
    "files/list": files.listing,
    "local": files.local,
    "files/state": files.state,
    "files/link": files.link,
    "files/share": files.share,
}
_WORKFLOWS = {"workflows/list": workflows.listing, "workflows/read": workflows.read}
_STATUS = {"status": status.status}
_TRANSFERS = {"transfers/waiting": transfers.waiting}
_POSTED = {
    "files/refresh": files.refresh,
    "files/changed": files.changed,
    "transfers/retry": transfers.retry,
    "cache/clear": status.clear_cache,
}

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
