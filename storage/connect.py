"""Open the Storage of a Profile: import the backend on first use, and cache its client.

All nodes and threads with the same settings and credentials share a client and its connections. A change of
either builds a new one, so a rotated key counts at once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ..config.profiles_file import ENVIRONMENT, permission_warning
from ..errors import ConfigurationError, StorageError
from ..profile import Profile, fingerprint_of, resolve, unlock
from ..providers import provider
from ..system import thread_pool
from ..system.locks import KeyedLock
from ..system.meter import Meter
from .base import Storage
from .keys import MAX_KEY_BYTES, clean_prefix

CACHED_CLIENTS = 16

log = logging.getLogger("cloud_storage")


# The module of a backend, and the Storage class in it
BACKENDS = {"s3": ("s3.storage", "S3Storage"), "oss": ("oss.storage", "OssStorage")}

_open: OrderedDict[str, Storage] = OrderedDict()
_warned: set[str] = set()
_lock = threading.Lock()
_building = KeyedLock()


def connect(profile: Profile, environ: Mapping[str, str] | None = None) -> Storage:
    """Return the storage of a profile, with the credentials that are configured now. Sends nothing.

    The first call imports the SDK and may take half a second: call it from a worker thread. Raises
    ConfigurationError, and MissingDependency if the SDK is not installed.
    """
    profile, key = unlock(profile, environ)
    _warn_once(permission_warning(profile.file))
    row = provider(profile.provider)
    profile = dataclasses.replace(profile, path_prefix=_folder(profile, row.max_key_bytes))
    settings = f"{profile.file}\0{fingerprint_of(profile, key)}"  # uploads are recorded beside the file
    with _building.hold(settings, Meter()):  # nodes with other profiles do not wait for the SDK's import
        with _lock:
            storage = _open.pop(settings, None)
        if storage is None:
            module, name = BACKENDS[row.backend]
            backend = getattr(importlib.import_module(f".{module}", __package__), name)
            storage = backend(profile, row, key)
        with _lock:
            _open[settings] = storage  # last: the first one is the one that was not used for longest
            while len(_open) > CACHED_CLIENTS:
                _open.popitem(last=False)
        return storage


def begin(profile: Profile) -> None:
    """Connect in a thread, so that the SDK is imported before a node needs it; failures are left to that."""

    def open_it() -> None:
        with contextlib.suppress(StorageError):
            connect(profile)

    thread_pool.begin(open_it)


def _warn_once(text: str) -> None:
    with _lock:
        if not text or text in _warned:
            return
        _warned.add(text)
    log.warning("%s", text)


def _folder(profile: Profile, max_key_bytes: int) -> str:
    """Return the profile's path_prefix as a prefix of keys: "" or "team/a/"."""
    try:
        return clean_prefix(f"{profile.path_prefix.rstrip('/')}/", max_key_bytes - 1)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The path_prefix from {profile.sources['path_prefix']} is wrong. {error}"
        ) from error


def storage_of(profile: Profile | None, profiles_file: Path) -> Storage:
    """Return the storage of a ``profile`` input; None, if it is not connected, is that of the environment."""
    return connect(profile or resolve(ENVIRONMENT, {}, profiles_file))


def unopened(reason: StorageError) -> Storage:
    """Return a stand-in for a storage that cannot be opened: each abstract method raises ``reason``."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise reason

    methods = dict.fromkeys(Storage.__abstractmethods__, refuse)
    kind = type("Unopened", (Storage,), {"place": "not opened", "max_key_bytes": MAX_KEY_BYTES, **methods})
    return kind()  # type: ignore[no-any-return]
