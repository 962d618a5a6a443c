"""Workflows in the bucket, for the page: lists them, opens one, and saves one, never over a version that its
user has not seen.

All functions may be called from any thread but the event loop. A request names a profile, and overrides
nothing. The workflow ``a/b`` is the object ``<mirror_prefix>workflows/a/b.json``, where the mirror stores it
too.
"""

from __future__ import annotations

import hashlib
import io
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from ..errors import AlreadyExists, Changed, ConfigurationError, MediaError, NotFound
from ..media import workflow_reader
from ..mirror import members, saved_workflows
from ..mirror.names import Names
from ..mirror.service import mirror
from ..profile import Profile
from ..storage.base import SAVED_ON_METADATA, ObjectInfo, Storage
from ..storage.connect import connect
from ..storage.keys import clean_key, existing_key
from ..system.meter import Meter
from .picker import named_profile

EXTENSION = ".json"
WORKFLOW_BYTES = 32 << 20
LISTED_KEYS = 5000
MACHINE_CHARACTERS = 100

Said = Mapping[str, Any]


def listing(query: Said, meter: Meter) -> dict[str, Any]:
    """Return the workflows of a profile by name, with how each was saved last.

    ``complete`` is False if there are more than LISTED_KEYS objects in the folder. ``is_certain``: the server
    itself notices two that save at the same moment. Raises StorageError.
    """
    profile = named_profile(query)
    storage = connect(profile)
    folder = _folder(profile)
    found, count = [], 0
    for info in storage.list(folder, LISTED_KEYS + 1):
        meter.check()
        count += 1
        if count <= LISTED_KEYS and _is_workflow(info.key):
            found.append({"name": _name(info.key, folder), "key": info.key, **_version(info)})
    return {
        "profile": profile.name,
        "bucket": profile.bucket,
        "folder": f"{profile.path_prefix}{folder}",
        "workflows": found,
        "complete": count <= LISTED_KEYS,
        "is_certain": storage.refuses_replaced,
    }


def read(query: Said, meter: Meter) -> dict[str, Any]:
    """Return the workflow of a JSON object: ``workflow`` in the page's form, or ``prompt`` in the API's.

    ``name`` is its name without the folder of the workflows and the extension. An object of that folder has a
    ``version``, to be given to ``save``. Raises MediaError for other JSON, and StorageError.
    """
    profile = named_profile(query)
    storage = connect(profile)
    folder, key = _folder(profile), existing_key(_text(query, "key"), storage.room_for_key)
    file = PurePosixPath(key)
    info = storage.stat(key)
    _refuse_large(file.name, info.size)
    data = storage.read(key, etag=info.etag, meter=meter)
    found = workflow_reader.find(io.BytesIO(data), file.name)
    if not workflow_reader.is_of_page(found):
        return {"prompt": found, "name": file.stem}
    if not (key.startswith(folder) and _is_workflow(key)):
        return {"workflow": found, "name": file.stem}
    return {"workflow": found, "name": _name(key, folder), "version": _version(info)}


def save(said: Said, meter: Meter) -> dict[str, Any]:
    """Save ``content``, the text of a workflow in the page's form, as ``name``; returns its ``version``.

    Without ``replaces`` the name must be free; with it, it is the ETag of the version to replace. If the
    bucket has another one, nothing is changed, and the answer is that one as ``conflict``: null if it was
    deleted. The mirror's copy of the same workflow on this machine is no other one. Raises
    ConfigurationError for a bad name, MediaError for what is no workflow, and StorageError.
    """
    profile = named_profile(said)
    storage = connect(profile)
    folder, replaces = _folder(profile), _text(said, "replaces")
    key = _key(folder, _text(said, "name"), storage)
    name = _name(key, folder)
    data = _checked(name, _text(said, "content"))
    sha256 = hashlib.sha256(data).hexdigest()
    options = storage.recording("application/json", sha256)
    saved_on = {SAVED_ON_METADATA: platform.node()[:MACHINE_CHARACTERS]}
    options = replace(options, metadata={**options.metadata, **saved_on})

    def put(replaces: str) -> ObjectInfo:
        return storage.put(key, data, options, meter, create=not replaces, replaces=replaces)

    try:
        info = put(replaces)
    except (AlreadyExists, Changed):
        there = _look(storage, key)
        if there is not None and there.sha256 == sha256:  # saved before: the answer was lost
            info = there
        elif there is not None and _is_own_copy(profile, storage, there, data):
            info = put(there.etag)
        else:
            return {"name": name, "key": key, "conflict": there and _version(there)}
    mirror().saved(profile, info, sha256)
    return {"name": name, "key": key, "version": _version(info)}


def _is_own_copy(profile: Profile, storage: Storage, info: ObjectInfo, data: bytes) -> bool:
    """Whether an object is the mirror's copy of a workflow that is on this machine, and ``data`` a version of
    that workflow: then nothing is lost if it is replaced.
    """
    return mirror().is_copy(profile, info) and saved_workflows.is_same(storage, info, data)


def _checked(name: str, content: str) -> bytes:
    try:
        data = content.encode()
    except UnicodeEncodeError:
        raise MediaError(f"{name} contains half a character. Correct the text of its nodes.") from None
    _refuse_large(name, len(data))
    if not workflow_reader.is_of_page(workflow_reader.find(io.BytesIO(data), name)):
        raise MediaError(
            f"{name} is no workflow of ComfyUI's page. Open it on the canvas and save it from there."
        )
    return data


def _refuse_large(name: str, size: int) -> None:
    if size > WORKFLOW_BYTES:
        raise MediaError(f"{name} is larger than {WORKFLOW_BYTES >> 20} MB, which no workflow is.")


def _look(storage: Storage, key: str) -> ObjectInfo | None:
    try:
        return storage.stat(key)
    except NotFound:
        return None


def _version(info: ObjectInfo) -> dict[str, Any]:
    modified = info.modified.isoformat() if info.modified else None
    return {"etag": info.etag, "modified": modified, "saved_on": info.saved_on}


# ------------------------------------------------------------ names and keys


def _folder(profile: Profile) -> str:
    return Names(members.WORKFLOWS, profile.mirror.prefix).key("")


def _key(folder: str, name: str, storage: Storage) -> str:
    """The key of a name that a user has written."""
    name = name.strip().strip("/")
    name = name[: -len(EXTENSION)] if name.lower().endswith(EXTENSION) else name
    if not name or name.rpartition("/")[2].startswith("."):
        raise ConfigurationError("Give the workflow a name that does not begin with a dot.")
    return clean_key(f"{folder}{name}{EXTENSION}", storage.room_for_key)


def _name(key: str, folder: str) -> str:
    return key[len(folder) : -len(EXTENSION)]


def _is_workflow(key: str) -> bool:
    """Whether a key of the folder is that of a workflow; ComfyUI keeps its bookmarks there in .index.json."""
    return key.endswith(EXTENSION) and not key.rpartition("/")[2].startswith(".")


def _text(said: Said, name: str) -> str:
    value = said.get(name) or ""
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} in the request is no text. Reload the page.")
    return value
