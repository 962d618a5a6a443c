"""From a Profile to its Storage: the backends, their SDKs imported on first use, and a cache of clients.

A client is shared by every node and thread that uses the same settings and credentials, and keeps its
connections. It is built anew when either changes, so a rotated key counts at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ..config.profiles_file import ENVIRONMENT, permission_warning
from ..errors import ConfigurationError, StorageError
from ..profile import Profile, fingerprint_of, resolve, unlock
from ..providers import provider
from ..system.locks import KeyedLock
from ..system.meter import Meter
from .base import Storage
from .keys import MAX_KEY_BYTES, clean_prefix

CACHED_CLIENTS = 16

log = logging.getLogger("cloud_storage")


@dataclass(frozen=True)
class Backend:
    """A module of this package and the Storage class in it."""

    module: str
    storage: str


BACKENDS: dict[str, Backend] = {
    "s3": Backend("s3.storage", "S3Storage"),
    "oss": Backend("oss.storage", "OssStorage"),
}

_open: OrderedDict[str, Storage] = OrderedDict()
_warned: set[str] = set()
_lock = threading.Lock()
_building = KeyedLock()


def connect(profile: Profile, environ: Mapping[str, str] | None = None) -> Storage:
    """The storage of a profile, its settings and credentials as its layers hold them now. Sends nothing.

    May take half a second the first time, for the SDK's import: call it from a worker thread. Raises
    ConfigurationError, and MissingDependency when the SDK is not installed.
    """
    profile, key = unlock(profile, environ)
    _warn(permission_warning(profile.file))
    row = provider(profile.provider)
    profile = dataclasses.replace(profile, path_prefix=_folder(profile, row.max_key_bytes))
    same = f"{profile.file}\0{fingerprint_of(profile, key)}"  # uploads are noted beside the file
    with _building.hold(same, Meter()):  # nodes with other profiles do not wait for the SDK's import
        with _lock:
            storage = _open.pop(same, None)
        if storage is None:
            backend = BACKENDS[row.backend]
            module = importlib.import_module(f".{backend.module}", __package__)
            storage = getattr(module, backend.storage)(profile, row, key)
        with _lock:
            _open[same] = storage  # at the end: the first is the one not used for longest
            while len(_open) > CACHED_CLIENTS:
                _open.popitem(last=False)
        return storage


def _warn(words: str) -> None:
    """Log a warning, once while ComfyUI runs."""
    with _lock:
        if not words or words in _warned:
            return
        _warned.add(words)
    log.warning("%s", words)


def _folder(profile: Profile, max_key_bytes: int) -> str:
    """The profile's path_prefix as it stands in front of every key: "" or "team/a/"."""
    try:
        return clean_prefix(f"{profile.path_prefix.rstrip('/')}/", max_key_bytes - 1)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"The path_prefix from {profile.sources['path_prefix']} is wrong. {error}"
        ) from error


def storage_of(profile: Profile | None, profiles_file: Path) -> Storage:
    """The storage behind a ``profile`` input; None, when nothing is wired to it, is the environment's."""
    return connect(profile or resolve(ENVIRONMENT, {}, profiles_file))


def unopened(reason: StorageError) -> Storage:
    """Return a stand-in for a storage that cannot be opened: each abstract method raises ``reason``."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise reason

    methods = dict.fromkeys(Storage.__abstractmethods__, refuse)
    kind = type("Unopened", (Storage,), {"place": "not opened", "max_key_bytes": MAX_KEY_BYTES, **methods})
    return kind()  # type: ignore[no-any-return]
