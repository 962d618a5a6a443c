"""What the picker and the lines on nodes ask for: lists of a bucket and of local files, thumbnails, addresses
to open, the workflow inside a file, and a test of the connection.

All functions may be called from any thread but the event loop. A request names a profile, and may override
the settings that a node may override, unless the profile is locked. Nothing is written.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ..comfyui import folders, uploadable_files
from ..comfyui.node_lines import Line, for_page
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS
from ..profile import Profile, resolve
from ..storage import connection_test
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import connect
from ..storage.keys import existing_key
from ..system.meter import Meter
from . import browse, browse_local, thumbnails, workflow_inside
from .answers import Answer, Query

LISTING_SECONDS = 30  # for which the browser may cache a listing; the picker reloads it when it opens
OPEN_SECONDS = 60  # for which a signed URL works: enough to start a download
THUMBNAIL_SECONDS = 7 * 24 * 3600  # its URL has the object's version


def chosen_profile(query: Query) -> Profile:
    """Return the profile that a request names, with what it overrides. Raises ConfigurationError."""
    overrides = {name: query[name] for name, row in SETTINGS.items() if row.widget and name in query}
    return resolve(query.get("profile") or ENVIRONMENT, overrides, folders.profiles_file())


def listing(query: Query, meter: Meter) -> Answer:
    """Return a page of a folder or of a search in a bucket: see ``browse.Listing``."""
    profile = chosen_profile(query)
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


def local_listing(query: Query, meter: Meter) -> Answer:
    """Return the same of the files that Upload File to Cloud can upload."""
    folder, token, text, order, endings = _asked(query)
    return Answer(_listed(browse_local.listing(folder, text, order, token, meter, endings)))


def thumbnail(query: Query, meter: Meter) -> Answer:
    """Return a small picture of an object, as WebP."""
    storage, key = _object(query)
    return Answer(thumbnails.thumbnail(storage, key, query.get("etag", ""), meter), THUMBNAIL_SECONDS)


def local_thumbnail(query: Query, _meter: Meter) -> Answer:
    """Return the same of a file of this machine."""
    return Answer(thumbnails.of_file(uploadable_files.chosen(query.get("key", ""))), THUMBNAIL_SECONDS)


def address(query: Query, meter: Meter) -> Answer:
    """Return a signed URL of an existing object below the profile's prefix, for a tab that a click opened.

    Not as a redirect: a browser that follows a link sends no OUR_HEADER, so a page of another site could send
    it here too.
    """
    storage, key = _object(query)
    storage.stat(key)
    return Answer({"address": storage.signed_url(key, timedelta(seconds=OPEN_SECONDS))})


def workflow(query: Query, meter: Meter) -> Answer:
    """Return the workflow inside an object: see ``workflow_inside``."""
    storage, key = _object(query)
    return Answer(workflow_inside.workflow(storage, key, meter))


def test(query: Query, meter: Meter) -> Answer:
    """Return the lines of a test of the connection that writes nothing."""
    profile = chosen_profile(query)
    lines = connection_test.lines(profile, connect(profile), meter, may_write=False)
    return Answer({"lines": for_page([Line(*line) for line in lines])})


def _asked(query: Query) -> tuple[str, str, str, str, tuple[str, ...]]:
    endings = tuple(filter(None, query.get("endings", "").split(",")))
    folder, token, text, order = (query.get(name, "") for name in ("folder", "token", "search", "order"))
    return folder, token, text, order, endings


def _listed(found: browse.Listing) -> dict[str, Any]:
    return {**vars(found), "files": [_described(info) for info in found.files]}


def _described(info: ObjectInfo) -> dict[str, Any]:
    modified = info.modified.isoformat() if info.modified else None
    return {"key": info.key, "size": info.size, "modified": modified, "etag": info.etag}


def _object(query: Query) -> tuple[Storage, str]:
    storage = connect(chosen_profile(query))
    return storage, existing_key(query.get("key", ""), storage.room_for_key)
