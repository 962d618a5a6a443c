"""What the panel Files asks for: the profiles, windows of a bucket's keys, and addresses to share.

All functions may be called from any thread but the event loop. A request names a profile, and overrides
nothing. Keys are relative to the profile's prefix: nothing outside of it can be named. Nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..comfyui import folders
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS, profile_names
from ..errors import ConfigurationError
from ..profile import Profile, resolve
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import connect
from ..storage.keys import existing_key, existing_prefix
from ..system.meter import Meter
from . import bucket_catalogue
from .bucket_catalogue import BucketCatalogue, State
from .bucket_rows import ORDERS, Asked, Folder, Snapshot

WINDOW = 1000  # entries of one answer
GLIMPSED = 1000  # entries of a folder that is listed alone
ENDINGS = 200
ENDING_CHARACTERS = 16
TEXT_CHARACTERS = 200
SHARE_HOURS = (1, 24, 168)
MODELS = (".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".onnx", ".bin")

Query = Mapping[str, Any]


def profiles(_query: Query, _meter: Meter) -> dict[str, Any]:
    """Return the profiles that can be chosen, each with its bucket or what is wrong with it.

    ``chosen`` is the one that is used if none is named. ``error`` says what to do if there is none.
    """
    file = folders.profiles_file()
    found: list[dict[str, str]] = []
    chosen = error = ""
    for name in profile_names(file):
        try:
            profile = resolve(name, {}, file)
        except ConfigurationError as failure:
            if name != ENVIRONMENT:
                found.append({"name": name, "bucket": "", "prefix": "", "error": str(failure)})
                continue
            error = str(failure)
            if os.environ.get(SETTINGS["bucket"].variable):
                found.append({"name": name, "bucket": "", "prefix": "", "error": error})
            continue
        if name == ENVIRONMENT:
            chosen = profile.name  # the default profile, if the environment names no bucket
        if name != ENVIRONMENT or profile.name == ENVIRONMENT:
            found.append({"name": name, "bucket": profile.bucket, "prefix": profile.path_prefix, "error": ""})
    chosen = chosen or next((one["name"] for one in found), "")
    return {"profiles": found, "chosen": chosen, "error": "" if found else error}


def listing(query: Query, meter: Meter) -> dict[str, Any]:
    """Return a window of the entries that are asked for, from the number ``start`` on.

    ``place`` is the number of the entry with the key ``at``. While the first listing runs, the folder is
    listed alone, once, so that the first screen waits for nobody.
    """
    profile = named_profile(query)
    asked, start, count = _asked(query), _number(query, "start"), min(WINDOW, _number(query, "count", WINDOW))
    known = bucket_catalogue.of(profile)
    known.asked()
    if known.must_look_into(asked.folder):
        known.add(connect(profile).page(asked.folder, GLIMPSED))
        meter.check()
    snapshot, state = known.shown()
    view = snapshot.view(asked)
    at = str(query.get("at", ""))
    return {
        **_state(state),
        "profile": profile.name,
        "bucket": profile.bucket,
        "prefix": profile.path_prefix,
        "total": len(view),
        "folders": len(view.folders),
        "start": start,
        "place": view.place(at) if at else None,
        "entries": [_entry(one, snapshot) for one in view.entries(start, count)],
    }


def state(query: Query, _meter: Meter) -> dict[str, Any]:
    """Return what the catalogue of a profile knows of itself; list the bucket again if that is old."""
    known = bucket_catalogue.of(named_profile(query))
    known.asked()
    return _state(known.shown()[1])


def refresh(said: Query) -> dict[str, Any]:
    """List the bucket of a profile again, in a thread, unless that is being done."""
    known: BucketCatalogue = bucket_catalogue.of(named_profile(said))
    known.refresh()
    return _state(known.shown()[1])


def link(query: Query, _meter: Meter) -> dict[str, Any]:
    """Return the unsigned address of an object, and whether the settings say that anybody may read it."""
    profile = named_profile(query)
    storage, key = _object(profile, query)
    return {
        "address": storage.url(key),
        "public": bool(profile.public_url) or profile.auth == "anonymous",
    }


def share(query: Query, _meter: Meter) -> dict[str, Any]:
    """Return a signed address of an existing object, which works for ``hours``."""
    hours = _number(query, "hours", SHARE_HOURS[0])
    if hours not in SHARE_HOURS:
        raise ConfigurationError(f"A link works for {', '.join(map(str, SHARE_HOURS))} hours. Choose one.")
    storage, key = _object(named_profile(query), query)
    storage.stat(key)  # an address of nothing would only fail in somebody else's browser
    return {"address": storage.signed_url(key, timedelta(hours=hours))}


# ------------------------------------------------------------ what is asked


def named_profile(query: Query) -> Profile:
    """Return the profile that a request names, without overrides. Raises ConfigurationError."""
    name = query.get("profile") or ENVIRONMENT
    if not isinstance(name, str):
        raise ConfigurationError("The name of a profile is a text. Reload the page.")
    return resolve(name, {}, folders.profiles_file())


def _object(profile: Profile, query: Query) -> tuple[Storage, str]:
    storage = connect(profile)
    return storage, existing_key(str(query.get("key", "")), storage.room_for_key)


def _asked(query: Query) -> Asked:
    folder = existing_prefix(str(query.get("folder", "")))
    folder = folder if not folder or folder.endswith("/") else f"{folder}/"
    text, order = str(query.get("search", "")).strip(), str(query.get("order") or ORDERS[0])
    endings = tuple(filter(None, str(query.get("endings", "")).lower().split(",")))
    if order not in ORDERS:
        raise ConfigurationError(
            f"There is no order {order[:TEXT_CHARACTERS]!r}. Choose {', '.join(ORDERS)}."
        )
    if len(text) > TEXT_CHARACTERS:
        raise ConfigurationError(f"Search for at most {TEXT_CHARACTERS} characters.")
    if len(endings) > ENDINGS or any(len(one) > ENDING_CHARACTERS for one in endings):
        raise ConfigurationError(f"Ask for at most {ENDINGS} endings of files, each a short one.")
    return Asked(folder, text, order, endings, bool(query.get("without")), not query.get("flat"))


def _number(query: Query, name: str, default: int = 0) -> int:
    text = str(query.get(name, default))
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(10**9)):
        raise ConfigurationError("A number of the request is none. Reload the page.")
    return int(text)


# ------------------------------------------------------------ as JSON


def _state(state: State) -> dict[str, Any]:
    listed = state.listed.isoformat() if state.listed else None
    return {"state": {**vars(state), "listed": listed}, "version": state.version}


def _entry(one: Folder | ObjectInfo, snapshot: Snapshot) -> dict[str, Any]:
    modified = one.modified.isoformat() if one.modified else None
    if isinstance(one, Folder):
        return {"key": one.key, "count": one.count, "modified": modified}
    found: dict[str, Any] = {"key": one.key, "size": one.size, "modified": modified, "etag": one.etag}
    if one.key.lower().endswith(MODELS):
        preview = snapshot.preview_of(one.key)
        if preview is not None:
            found["preview"] = {"key": preview.key, "size": preview.size, "etag": preview.etag}
    return found
