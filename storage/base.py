"""The interface of every storage backend to the rest of the package.

A backend implements the abstract methods and passes ``tests/storage/test_contract.py``. Reading is
implemented here, once, on one ranged request (``_open``): an interrupted read resumes where it stopped, as
long as the object has the same ETag.
"""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..config.settings import UploadSettings
from ..errors import BadKey, ConfigurationError, IntegrityError, Unreachable, sentence
from ..system.digests import PIECES
from ..system.meter import Meter
from . import changes, http_date
from .retries import BODY

# For each request, with every SDK
CONNECT_SECONDS = 10
READ_SECONDS = 30  # without a byte of the answer; for sending see ``connection_watch``
CONNECTIONS = 64  # kept open; more than the threads of any node

# The names of the metadata in which an upload records its checksums: of the whole, and by ``digests.PIECES``
SHA256_METADATA, PIECES_METADATA = "sha256", PIECES
SAVED_ON_METADATA = "saved-on"  # the name of the machine that saved a workflow
PROXY_ADVICE = "Run the node again; if it fails again, check for a proxy or CDN that changes answers."


@dataclass(frozen=True)
class ObjectInfo:
    """An object as its server describes it.

    ``key`` is relative to the storage, ``size`` in bytes, ``modified`` in UTC. ``etag`` is opaque: equal
    ETags mean equal content and nothing else (with KMS or multipart it is not an MD5). ``sha256`` is the
    hexadecimal checksum that an upload of this package recorded in the metadata, ``pieces`` its digest by
    ``digests.PIECES``, ``saved_on`` the machine that saved a workflow, all "" in listings. ``md5`` is the
    hexadecimal MD5 of the content if the server says that its ETag is one, else "".
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None
    content_type: str = ""
    sha256: str = ""
    md5: str = ""
    pieces: str = ""
    saved_on: str = ""


@dataclass(frozen=True)
class Page:
    """One answer to a listing; ``next_token`` requests the next one, "" after the last.

    ``folders`` are keys up to and including a "/"; only ``Storage.page`` has any.
    """

    objects: Sequence[ObjectInfo]
    next_token: str
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class PutOptions(UploadSettings):
    """How an object is stored. Empty fields are not sent. ``metadata`` and ``tags`` may have any Unicode."""

    content_type: str = "application/octet-stream"
    content_disposition: str = ""


@dataclass(frozen=True)
class Opened:
    """The answer to a ranged request: the object, how many bytes follow, and the bytes in chunks of any size.

    ``close`` releases the connection, also before all chunks are read; it may be called twice.
    """

    info: ObjectInfo
    length: int
    chunks: Iterator[bytes]
    close: Callable[[], None] = lambda: None


class Storage(ABC):
    """One bucket. Keys are relative to it and to the profile's path_prefix: "a/b.png", never "/a/b.png".

    Raises only StorageError for errors of the server, the network or a file to upload. Safe for threads.
    """

    place: str  # "bucket … at endpoint", for messages; contains no secret
    bucket: str = ""
    max_key_bytes: int  # of the whole key, with path_prefix
    path_prefix: str = ""  # "" or "team/a/": added to every key on the server, removed from returned keys
    read_only: bool = False
    defaults: PutOptions = PutOptions()  # the profile's; a node adds its own
    endpoint: str = ""  # where requests are sent
    clock_difference: timedelta | None = None  # the server's clock minus this machine's, in the last answer

    @property
    def root(self) -> str:
        """Return an identifier of the bucket and path_prefix, for caches of keys."""
        return f"{self.place}/{self.path_prefix}"

    @property
    def refuses_replaced(self) -> bool:
        """Return whether the server itself is known to refuse a write that ``replaces`` another object."""
        return False

    @property
    def room_for_key(self) -> int:
        """Return how many bytes in UTF-8 a key may have, without ``path_prefix``."""
        return self.max_key_bytes - len(self.path_prefix.encode())

    def _full(self, key: str) -> str:
        """Return the key on the server. Raises BadKey if its ".." would lead out of path_prefix.

        A server that stores objects in folders may resolve "..", and a workflow may be limited to
        path_prefix.
        """
        if self.path_prefix and _climbs(key):
            said = "its .. leaves the path_prefix of the profile"
            raise BadKey(sentence("use this object key", repr(key), said, "Remove the .. at its beginning."))
        return self.path_prefix + key

    def _relative(self, full_key: str) -> str:
        return full_key[len(self.path_prefix) :]

    def _record_date(self, header: str | None) -> None:
        """Set ``clock_difference`` from the Date header of an answer."""
        date = http_date.parsed(header)
        if date is not None:
            self.clock_difference = date - datetime.now(timezone.utc)

    def recording(self, content_type: str, sha256: str, pieces: str = "") -> PutOptions:
        """Return the profile's options for an upload that records its checksums: of the whole, and by
        ``digests.PIECES``, "" for none. ``stat`` has them then.
        """
        checksums = {SHA256_METADATA: sha256, PIECES_METADATA: pieces}
        recorded = {name: digest for name, digest in checksums.items() if digest}
        metadata = {**self.defaults.metadata, **recorded}
        return replace(self.defaults, content_type=content_type, metadata=metadata)

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Describe one object. Raises NotFound."""

    @abstractmethod
    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        """Yield up to ``limit`` objects whose key starts with ``prefix`` and is greater than ``after``.

        In key order (UTF-8 bytes). Pages are requested as they are needed, so ``next`` raises.
        """

    @abstractmethod
    def page(self, folder: str = "", limit: int = 1000, token: str = "") -> Page:
        """Return the objects and folders directly in ``folder`` ("" or "a/b/"), each in key order.

        One request, whatever the number of objects in subfolders: up to ``limit`` entries, or fewer if the
        server sends fewer. ``token`` is the ``next_token`` of the page before, "" for the first page.
        """

    def put(
        self,
        key: str,
        source: bytes | Path,
        options: PutOptions,
        meter: Meter,
        create: bool = False,
        replaces: str = "",
        *,
        listed_free: bool = False,
    ) -> ObjectInfo:
        """Store ``source`` under ``key``: a reader sees the old object or the whole new one.

        ``create``: raises AlreadyExists and changes nothing if the key is taken. If the server cannot do that
        atomically, the key is checked before the write; raises AccessDenied if the access key may not check.
        ``listed_free``: a listing has just shown that the key is free. Then it is not checked again if the
        server is asked to refuse a taken one with the write.
        ``replaces`` is the ETag of the object to replace: raises Changed and changes nothing if there is
        another one, or none. It is checked before the write, and by a server that supports If-Match again.
        Large sources are uploaded in parts; after a failure or Cancel these are removed from the server.
        ``meter`` counts bytes, and subtracts bytes that are sent again. Raises ConfigurationError, before
        anything is sent, if the profile is read-only.
        """
        self._refuse_read_only(f"store {key!r}")
        meter.check()
        info = self._put(key, source, options, meter, create, replaces, listed_free)
        changes.tell(self, key, info)
        return info

    def delete(self, key: str) -> None:
        """Remove one object, if it exists. Raises ConfigurationError if the profile is read-only."""
        self._refuse_read_only(f"delete {key!r}")
        self._delete(key)
        changes.tell(self, key, None)

    def unfinished(self) -> int:
        """Return how many multipart uploads killed processes have left, as recorded on this machine.

        Sends no request. The next ``put`` ends these uploads.
        """
        return 0

    def _refuse_read_only(self, tried: str) -> None:
        if self.read_only:
            raise ConfigurationError(
                f"Could not {tried} ({self.place}): the profile is read-only. Use another one for writing."
            )

    @abstractmethod
    def _put(
        self,
        key: str,
        source: bytes | Path,
        options: PutOptions,
        meter: Meter,
        create: bool,
        replaces: str,
        listed_free: bool,
    ) -> ObjectInfo:
        """Do what ``put`` promises, on a profile that may write."""

    @abstractmethod
    def _delete(self, key: str) -> None:
        """Do what ``delete`` promises, on a profile that may write."""

    @abstractmethod
    def url(self, key: str) -> str:
        """Return the object's unsigned URL; below the profile's public_url if it has one."""

    @abstractmethod
    def signed_url(self, key: str, expires: timedelta) -> str:
        """Return a URL that lets anybody read the object until it expires. Sends nothing. Never log it."""

    @abstractmethod
    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        """Request the bytes ``start`` up to, not including, ``stop`` (None: the end), once.

        Raises NotFound, Changed if the object has another ETag than ``etag``, Unreachable if several attempts
        got no answer, and IntegrityError if the server ignores the range. The chunks raise Unreachable for an
        error that another request may repair.
        """

    def stream(
        self,
        key: str,
        start: int = 0,
        stop: int | None = None,
        etag: str | None = None,
        meter: Meter | None = None,
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """Start to read a range; the bytes come in chunks and count on ``meter``.

        An interrupted read resumes where it stopped, with the ETag of the first answer, until BODY.attempts
        answers in a row have no byte. Raises NotFound, Changed, IntegrityError, Unreachable,
        TransferCancelled.
        """
        meter = meter or Meter()
        meter.check()
        opened = self._open(key, start, stop, etag)
        return opened.info, self._resumed(opened, key, start, meter)

    def read(
        self,
        key: str,
        start: int = 0,
        stop: int | None = None,
        etag: str | None = None,
        meter: Meter | None = None,
    ) -> bytes:
        """Return all bytes of a range. Raises as ``stream`` does."""
        return b"".join(self.stream(key, start, stop, etag, meter)[1])

    def _resumed(self, opened: Opened, key: str, start: int, meter: Meter) -> Iterator[bytes]:
        position, end, etag, attempt = start, start + opened.length, opened.info.etag, 1
        while True:
            try:
                with contextlib.closing(opened):
                    for chunk in opened.chunks:
                        meter.add(len(chunk))
                        position += len(chunk)
                        attempt = 1
                        yield chunk
                if position == end:
                    return
                raise self._incomplete(key, position - start, end - start)
            except Unreachable:
                if attempt >= BODY.attempts:
                    raise
            meter.wait(BODY.backoff(attempt))
            attempt += 1
            opened = self._open(key, position, end, etag)

    def _incomplete(self, key: str, arrived: int, expected: int) -> IntegrityError | Unreachable:
        tried = f"read {key!r}"
        if arrived > expected:
            said = f"the server sent more than the {expected} bytes it announced"
            return IntegrityError(sentence(tried, self.place, said, PROXY_ADVICE))
        said = f"the connection ended after {arrived} of {expected} bytes"
        return Unreachable(sentence(tried, self.place, said, "Check the network and run the node again."))


def _climbs(key: str) -> bool:
    """Return True if ``key`` as a path leads above the folder in which it starts."""
    depth = 0
    for segment in re.split(r"[/\\]", key):
        depth += -1 if segment == ".." else segment not in ("", ".")
        if depth < 0:
            return True
    return False
