"""What the picker and nodes ask for beside lists of files: thumbnails, addresses to open, the workflow inside
a file, and a test of the connection.

All functions may be called from any thread but the event loop. A request names a profile, and may override
the settings that a node may override, unless the profile is locked. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from ..comfyui import folders, uploadable_files
from ..comfyui.node_lines import Line, for_page
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS
from ..errors import ConfigurationError
from ..profile import Profile, resolve
from ..storage import connection_test
from ..storage.base import Storage
from ..storage.connect import connect
from ..storage.keys import existing_key
from ..system.meter import Meter
from . import thumbnails, workflow_inside
from .answers import Answer, Query

OPEN_SECONDS = 60  # for which a signed URL works: enough to start a download
THUMBNAIL_SECONDS = 7 * 24 * 3600  # its URL has the object's version


def chosen_profile(query: Mapping[str, Any]) -> Profile:
    """Return the profile that a request names, with what it overrides. Raises ConfigurationError."""
    overrides = {name: str(query[name]) for name, row in SETTINGS.items() if row.widget and name in query}
    return named_profile(query, overrides)


def named_profile(query: Mapping[str, Any], overrides: Mapping[str, str] = MappingProxyType({})) -> Profile:
    """Return the profile that a request names. Raises ConfigurationError."""
    name = query.get("profile") or ENVIRONMENT
    if not isinstance(name, str):
        raise ConfigurationError("The name of a profile is a text. Reload the page.")
    return resolve(name, overrides, folders.profiles_file())


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


def _object(query: Query) -> tuple[Storage, str]:
    storage = connect(chosen_profile(query))
    return storage, existing_key(query.get("key", ""), storage.room_for_key)
