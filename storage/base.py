"""The seam: what every storage backend is, seen from the rest of the package.

A backend implements the abstract methods and passes ``tests/storage/test_contract.py``. Reading is built
once, here, on one ranged request (``_open``): broken bodies are taken up again where they ended, guarded by
the ETag.
"""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..errors import BadKey, ConfigurationError, IntegrityError, Unreachable, sentence
from ..system.meter import Meter
from . import http_date
from .retries import BODY

# Of one request, with every SDK
CONNECT_SECONDS = 10
READ_SECONDS = 30  # of silence, see ``connection_watch`` for that while sending
CONNECTIONS = 64  # kept open; more than the threads that any node uses at once

SHA256_METADATA = "sha256"  # the user metadata under which an upload records its digest


@dataclass(frozen=True)
class ObjectInfo:
    """One object as its server describes it.

    ``key`` is relative to the storage, ``size`` in bytes, ``modified`` in UTC. ``etag`` is opaque: equal tags
    mean equal content and nothing else (with KMS or multipart it is no MD5). ``sha256`` is the hexadecimal
    digest that an upload of this package recorded in the metadata; empty where there is none and in listings.
    ``md5`` is the hexadecimal MD5 of the content where the server says that its ETag is one, else empty.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None
    content_type: str = ""
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class Page:
    """One answer to a listing; ``following`` is the token to ask for the next one with, "" after the last.

    ``folders`` are keys up to and including a "/", each for all objects behind it; only ``page`` has any.
    """

    objects: Sequence[ObjectInfo]
    following: str
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class PutOptions:
    """How an object is stored. Empty fields are not sent. ``metadata`` and ``tags`` may hold any Unicode."""

    content_type: str = "application/octet-stream"
    content_disposition: str = ""
    cache_control: str = ""
    storage_class: str = ""
    acl: str = ""
    server_side_encryption: str = ""
    kms_key_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def _climbs(key: str) -> bool:
    """Whether ``key`` as a path would lead above the folder that it begins in."""
    depth = 0
    for segment in re.split(r"[/\\]", key):
        depth += -1 if segment == ".." else segment not in ("", ".")
        if depth < 0:
            return True
    return False


@dataclass(frozen=True)
class Opened:
    """An answered ranged request: the object, how many bytes will come, and the bytes in chunks of any size.

    ``close`` gives the connection back, whether the chunks were consumed or not; twice does no harm.
    """

    info: ObjectInfo
    length: int
    chunks: Iterator[bytes]
    close: Callable[[], None] = lambda: None


class Storage(ABC):
    """One bucket. Keys are relative to it and to the profile's path_prefix: "a/b.png", never "/a/b.png".

    Raises StorageError and nothing else for whatever the server, the network or a file to send does. Safe to
    share between threads.
    """

    place: str  # "bucket at endpoint", for messages; holds no secret
    bucket: str = ""
    max_key_bytes: int  # of the whole key, path_prefix included
    path_prefix: str = ""  # "" or "team/a/": in front of every key in the bucket, in none that is handed out
    read_only: bool = False
    defaults: PutOptions = PutOptions()  # the profile's, for whoever composes those of an object
    endpoint: str = ""  # where requests really go
    clock_difference: timedelta | None = None  # the server's clock minus this machine's, as last seen

    @property
    def root(self) -> str:
        """What keys are relative to, for what is remembered of them: equal for the same place only."""
        return f"{self.place}/{self.path_prefix}"

    @property
    def room_for_key(self) -> int:
        """Bytes that a key may have in UTF-8: what the provider allows, without ``path_prefix``."""
        return self.max_key_bytes - len(self.path_prefix.encode())

    def _full(self, key: str) -> str:
        """The whole key. Raises BadKey for one that is below path_prefix only as long as nobody resolves its
        "..": a server that keeps objects in folders may, and a workflow may be meant to see no more.
        """
        if self.path_prefix and _climbs(key):
            said = "its .. leaves the path_prefix of the profile"
            raise BadKey(sentence("use this object key", repr(key), said, "Remove the .. at its beginning."))
        return self.path_prefix + key

    def _saw_date(self, header: str | None) -> None:
        """Note the Date header of an answer, see ``clock_difference``."""
        there = http_date.parsed(header)
        if there is not None:
            self.clock_difference = there - datetime.now(timezone.utc)

    def _relative(self, full_key: str) -> str:
        return full_key[len(self.path_prefix) :]

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Describe one object. Raises NotFound."""

    @abstractmethod
    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix`` and is greater than ``after``, at most ``limit`` of them.

        In key order (UTF-8 bytes), asked for in pages as they are needed: raises on ``next``, not at once.
        """

    @abstractmethod
    def page(self, folder: str = "", limit: int = 1000, token: str = "") -> Page:
        """What lies directly in ``folder`` ("" or "a/b/"): its objects, and the folders in it.

        One request, so it gives ``limit`` entries at most, fewer where the server thinks fit, objects and
        folders each in key order; ``token`` is ``following`` of the page before, "" for the first. How many
        objects lie deeper makes no difference.
        """

    def put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool = False
    ) -> ObjectInfo:
        """Store ``source`` under ``key``: all or nothing, a reader sees the old object or the whole new one.

        With ``create``, raises AlreadyExists and changes nothing when the key is taken; where a server cannot
        do that atomically, by a look before the write, and AccessDenied where the profile's key may not look.
        Large sources go in parts; when that fails or ``meter`` stops, the parts already sent are removed from
        the server. Bytes are counted on ``meter``, negative when sent again. Raises ConfigurationError,
        before anything is sent, when the profile is read-only.
        """
        self._refuse_read_only(f"store {key!r}")
        meter.check()
        return self._put(key, source, options, meter, create)

    def delete(self, key: str) -> None:
        """Remove one object; one that is not there is fine. Raises as ``put`` does on a read-only profile."""
        self._refuse_read_only(f"delete {key!r}")
        self._delete(key)

    def unfinished(self) -> int:
        """How many uploads in parts a process that was killed has left here, as this machine knows. Asks no
        server. The next ``put`` ends them.
        """
        return 0

    def _refuse_read_only(self, tried: str) -> None:
        if self.read_only:
            raise ConfigurationError(
                f"Could not {tried} ({self.place}): the profile is read-only. Use another one for writing."
            )

    @abstractmethod
    def _put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool
    ) -> ObjectInfo:
        """What ``put`` promises, on a profile that may write."""

    @abstractmethod
    def _delete(self, key: str) -> None:
        """What ``delete`` promises, on a profile that may write."""

    @abstractmethod
    def url(self, key: str) -> str:
        """The object's address, percent-encoded, unsigned; below the profile's public_url if it has one."""

    @abstractmethod
    def signed_url(self, key: str, expires: timedelta) -> str:
        """An address at which anybody can read the object until it expires. Sends nothing. Never log it."""

    @abstractmethod
    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        """One ranged request for bytes ``start`` up to, not including, ``stop`` (None: the end).

        Raises NotFound, Changed when ``etag`` is given and does not match, Unreachable when several attempts
        got no answer, and Unreachable while the chunks are consumed, for whatever another request may mend. A
        server that ignores the range is an IntegrityError.
        """

    def stream(
        self,
        key: str,
        start: int = 0,
        stop: int | None = None,
        etag: str | None = None,
        meter: Meter | None = None,
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """Begin to read a range; the bytes come in chunks, counted on ``meter`` as they arrive.

        A body that breaks off is resumed where it ended, with the ETag of the first answer, until
        BODY.attempts answers in a row bring no byte. Raises NotFound, Changed, IntegrityError, Unreachable,
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
        """The bytes of a range, whole or not at all; see ``stream`` for what it raises."""
        return b"".join(self.stream(key, start, stop, etag, meter)[1])

    def _resumed(self, opened: Opened, key: str, start: int, meter: Meter) -> Iterator[bytes]:
        position, end, etag, tries = start, start + opened.length, opened.info.etag, 1
        while True:
            try:
                with contextlib.closing(opened):
                    for chunk in opened.chunks:
                        meter.add(len(chunk))
                        position += len(chunk)
                        tries = 1
                        yield chunk
                if position == end:
                    return
                raise self._incomplete(key, position - start, end - start)
            except Unreachable:
                if tries >= BODY.attempts:
                    raise
            meter.wait(BODY.backoff(tries))
            tries += 1
            opened = self._open(key, position, end, etag)

    def _incomplete(self, key: str, arrived: int, expected: int) -> IntegrityError | Unreachable:
        tried = f"Could not read {key!r} ({self.place})"
        if arrived > expected:
            return IntegrityError(
                f"{tried}: the server sent more than the {expected} bytes it announced. "
                "Run the node again; if it stays, look at what stands between here and the server."
            )
        return Unreachable(
            f"{tried}: the connection ended after {arrived} of {expected} bytes. "
            "Check the network and run the node again."
        )
