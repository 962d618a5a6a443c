"""What the panel Files and the picker ask for: profiles, windows of a bucket's keys, and addresses to share.

All functions may be called from any thread but the event loop. A request names a profile. The lists are also
those of the picker, which may override what a node may override, unless the profile is locked; links may not.
Keys are relative to the profile's prefix: nothing outside of it can be named. Nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..comfyui import folders
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS, profile_names
from ..errors import ConfigurationError, NotFound, StorageError
from ..profile import Profile, resolve
from ..storage.base import ObjectInfo, Storage
from ..storage.connect import connect
from ..storage.keys import existing_key, existing_prefix
from ..system.meter import Meter
from . import browse_local, bucket_catalogue
from .bucket_catalogue import GLIMPSED, State
from .bucket_rows import ORDERS, Asked, Folder, Snapshot
from .picker import chosen_profile, named_profile

WINDOW = 1000  # entries of one answer
ASKED = 20
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

    ``place`` is the number of the entry with the key ``at``. The folder is listed alone if ``look`` says so,
    and once while the first listing runs, so that the first screen waits for nobody.
    """
    profile, asked = chosen_profile(query), _asked(query)
    known = bucket_catalogue.of(profile)
    known.asked()
    if known.must_look_into(asked.folder) or query.get("look"):
        known.add(connect(profile).page(asked.folder, GLIMPSED))
        meter.check()
    snapshot, state = known.shown()
    named = {"profile": profile.name, "bucket": profile.bucket, "prefix": profile.path_prefix}
    return {**named, **_state(state), **_window(snapshot, asked, query)}


def local(query: Query, meter: Meter) -> dict[str, Any]:
    """Return the same of ComfyUI's own folders, whose files Upload File to Cloud may upload."""
    asked = _asked(query)
    columns, below, error = browse_local.found(asked.folder, asked.text, meter)
    version = f"{hash((*columns.keys, *columns.etags)):x}"
    state = State(version, len(columns.keys), not error, False, None, error)
    snapshot = Snapshot(columns, () if asked.text else below)
    return {**_state(state), **_window(snapshot, replace(asked, deep=False), query)}


def _window(snapshot: Snapshot, asked: Asked, query: Query) -> dict[str, Any]:
    start, count = _number(query, "start"), min(WINDOW, _number(query, "count", WINDOW))
    view, at = snapshot.view(asked), str(query.get("at", ""))
    return {
        "total": len(view),
        "folders": len(view.folders),
        "hidden": view.hidden,
        "start": start,
        "place": view.place(at) if at else None,
        "entries": [_entry(one, snapshot) for one in view.entries(start, count)],
    }


def state(query: Query, _meter: Meter) -> dict[str, Any]:
    """Return what the catalogue of a profile knows of itself; list the bucket again if that is old."""
    known = bucket_catalogue.of(chosen_profile(query))
    known.asked()
    return _state(known.shown()[1])


def refresh(said: Query) -> dict[str, Any]:
    """List the bucket of a profile again, in a thread, unless that is being done."""
    known = bucket_catalogue.of(chosen_profile(said))
    known.refresh()
    return _state(known.shown()[1])


def changed(said: Query) -> dict[str, Any]:
    """Return for each of ``files`` whether the object has another ETag by now, or is gone; None if that
    cannot be known. Nodes ask this about what they have loaded.
    """
    asked = said.get("files")
    if not isinstance(asked, list) or len(asked) > ASKED or not all(isinstance(one, dict) for one in asked):
        raise ConfigurationError(f"Ask for up to {ASKED} files. Reload the page.")
    return {"changed": [_has_changed(one) for one in asked]}


def _has_changed(one: Query) -> bool | None:
    try:
        storage, key = _object(chosen_profile(one), one)
        return storage.stat(key).etag != one.get("etag")
    except NotFound:
        return True
    except StorageError:
        return None


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
