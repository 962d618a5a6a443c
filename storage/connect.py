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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from ..config.profiles_file import ENVIRONMENT, permission_warning
from ..errors import ConfigurationError, StorageError
from ..profile import Profile, fingerprint_of, resolve, unlock
from ..providers import provider
from ..system.meter import Meter
from .base import ObjectInfo, Opened, Page, PutOptions, Storage
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
    with _lock:
        if same not in _open:
            backend = BACKENDS[row.backend]
            module = importlib.import_module(f".{backend.module}", __package__)
            _open[same] = getattr(module, backend.storage)(profile, row, key)
        _open.move_to_end(same)
        while len(_open) > CACHED_CLIENTS:
            _open.popitem(last=False)
        return _open[same]


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


class Unopened(Storage):
    """Stands for a storage whose settings do not let it be opened, for who can make use of that: every method
    raises ``reason``.
    """

    place, max_key_bytes = "not opened", MAX_KEY_BYTES

    def __init__(self, reason: StorageError) -> None:
        self._reason = reason

    def _raise(self, *_: object) -> NoReturn:
        raise self._reason

    def stat(self, key: str) -> ObjectInfo:
        self._raise()

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        self._raise()

    def page(self, folder: str = "", limit: int = 1000, token: str = "") -> Page:
        self._raise()

    def _put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool
    ) -> ObjectInfo:
        self._raise()

    def _delete(self, key: str) -> None:
        self._raise()

    def url(self, key: str) -> str:
        self._raise()

    def signed_url(self, key: str, expires: timedelta) -> str:
        self._raise()

    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        self._raise()
