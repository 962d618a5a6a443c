"""The seam: what every storage backend is, seen from the rest of the package.

A backend implements the abstract methods and passes ``tests/test_storage_contract.py``. Reading is built once,
here, on one ranged request (``_open``): broken bodies are taken up again where they ended, guarded by the ETag.
"""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path

from .errors import ConfigurationError, IntegrityError, TransferCancelled, Unreachable

READ_ATTEMPTS = 5  # tries without a single new byte before a read gives up
BACKOFF_SECONDS = 0.2  # before the second try; doubled for each further one
BACKOFF_MAX_SECONDS = 5.0

CHUNK_MIN_BYTES = 64 << 10  # of one read from a socket, see ``paced``
CHUNK_MAX_BYTES = 4 << 20
CHUNK_SECONDS = 0.1

SHA256_METADATA = "sha256"  # the user metadata under which an upload records its digest


@dataclass(frozen=True)
class ObjectInfo:
    """One object as its server describes it.

    ``key`` is relative to the storage, ``size`` in bytes, ``modified`` in UTC. ``etag`` is opaque: equal tags mean
    equal content and nothing else (with KMS or multipart it is no MD5). ``sha256`` is the hexadecimal digest that an
    upload of this package recorded in the metadata; empty where there is none and in listings.
    """

    key: str
    size: int
    etag: str
    modified: datetime | None = None
    content_type: str = ""
    sha256: str = ""


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


class Meter:
    """Counts the bytes of one operation and carries the order to stop; every method may be called from any thread.

    ``part()`` gives a meter that counts here as well but can be stopped alone: one part of a transfer failing stops
    its siblings without stopping the node's other transfers.
    """

    def __init__(self, total: int = 0, whole: Meter | None = None) -> None:
        self.total = total
        self._done = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._whole = whole

    @property
    def done(self) -> int:
        """Bytes counted so far."""
        return self._done

    def add(self, count: int) -> None:
        """Count ``count`` bytes (negative when a retry sends them again). Raises TransferCancelled once stopped."""
        self.check()
        with self._lock:
            self._done += count
        if self._whole is not None:
            self._whole.add(count)

    def expect(self, count: int) -> None:
        """Add ``count`` bytes to what is expected in total."""
        with self._lock:
            self.total += count
        if self._whole is not None:
            self._whole.expect(count)

    def stop(self) -> None:
        """Make every further ``add``, ``check`` and ``wait`` raise TransferCancelled."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set() or (self._whole is not None and self._whole.stopped)

    def check(self) -> None:
        """Raises TransferCancelled once stopped."""
        if self.stopped:
            raise TransferCancelled("The transfer was cancelled. Run the node again to repeat it.")

    def wait(self, seconds: float) -> None:
        """Sleep, but not past an order to stop: then raises TransferCancelled at once."""
        while seconds > 0:
            self.check()
            nap = min(seconds, 0.1)
            self._stop.wait(nap)
            seconds -= nap
        self.check()

    def part(self) -> Meter:
        """A meter whose counts also count here and which stops when this one stops, or alone."""
        return Meter(whole=self)


def paced(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Chunks from ``read(size)`` until it gives none, larger as long as they come fast.

    A slow network so gets chunks small enough for a smooth progress bar and a quick cancel, a fast one those that cost
    least: reading 1 GiB in chunks of 64 KiB is four times as slow as in chunks of 4 MiB.
    """
    size = CHUNK_MIN_BYTES
    while True:
        began = time.monotonic()
        chunk = read(size)
        if not chunk:
            return
        yield chunk
        fast = time.monotonic() - began < CHUNK_SECONDS
        size = min(size * 2, CHUNK_MAX_BYTES) if fast else max(size // 2, CHUNK_MIN_BYTES)


@dataclass(frozen=True)
class Opened:
    """An answered ranged request: the object, how many bytes will come, and the bytes in chunks of any size."""

    info: ObjectInfo
    length: int
    chunks: Iterator[bytes]


class Storage(ABC):
    """One bucket. Keys are relative to it and to the profile's path_prefix: "a/b.png", never "/a/b.png".

    Raises StorageError and nothing else for whatever the server or the network does. Safe to share between threads.
    """

    place: str  # "bucket at endpoint", for messages; holds no secret
    max_key_bytes: int  # of the whole key, path_prefix included
    path_prefix: str = ""  # "" or "team/a/": in front of every key in the bucket, in no key that is handed out
    read_only: bool = False
    defaults: PutOptions = PutOptions()  # the profile's upload options, for whoever composes those of an object
    endpoint: str = ""  # where requests really go
    clock_difference: timedelta | None = None  # the server's clock minus this machine's, as last seen

    def _full(self, key: str) -> str:
        return self.path_prefix + key

    def _saw_date(self, header: str | None) -> None:
        """Note the Date header of an answer, see ``clock_difference``."""
        try:
            there = parsedate_to_datetime(header or "")
        except (TypeError, ValueError):
            return
        self.clock_difference = there - datetime.now(timezone.utc)

    def _relative(self, full_key: str) -> str:
        return full_key[len(self.path_prefix) :]

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Describe one object. Raises NotFound."""

    @abstractmethod
    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with ``prefix`` and is greater than ``after``, in key order (UTF-8 bytes), pages as
        needed; at most ``limit``. Raises on the first ``next``, not on the call."""

    def put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool = False
    ) -> ObjectInfo:
        """Store ``source`` under ``key``: all or nothing, a reader sees the old object or the whole new one.

        With ``create``, raises AlreadyExists and changes nothing when the key is taken; where a server cannot do
        that atomically, by a look before the write. Large sources go in parts; when that fails or ``meter`` stops,
        the parts already sent are removed from the server. Bytes are counted on ``meter``, negative when sent again.
        Raises ConfigurationError, before anything is sent, when the profile is read-only.
        """
        self._refuse_read_only(f"store {key!r}")
        meter.check()
        return self._put(key, source, options, meter, create)

    def delete(self, key: str) -> None:
        """Remove one object; one that is not there is fine. Raises ConfigurationError when the profile is read-only."""
        self._refuse_read_only(f"delete {key!r}")
        self._delete(key)

    def _refuse_read_only(self, tried: str) -> None:
        if self.read_only:
            raise ConfigurationError(
                f"Could not {tried} ({self.place}): the profile is read-only. Use another profile for writing."
            )

    @abstractmethod
    def _put(self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool) -> ObjectInfo:
        """What ``put`` promises, on a profile that may write."""

    @abstractmethod
    def _delete(self, key: str) -> None:
        """What ``delete`` promises, on a profile that may write."""

    @abstractmethod
    def url(self, key: str) -> str:
        """The object's address, percent-encoded, without a signature; below the profile's public_url if it has one."""

    @abstractmethod
    def signed_url(self, key: str, expires: timedelta) -> str:
        """An address that anybody can read the object at until it expires. Sends nothing. A secret: never log it."""

    @abstractmethod
    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        """One ranged request for bytes ``start`` up to, not including, ``stop`` (None: the end).

        Raises NotFound, Changed when ``etag`` is given and does not match, and Unreachable, also while the chunks are
        consumed, for whatever a second try may mend. A server that ignores the range is an IntegrityError.
        """

    def stream(
        self, key: str, start: int = 0, stop: int | None = None, etag: str | None = None, meter: Meter | None = None
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """Begin to read a range; the bytes come in chunks, counted on ``meter`` as they arrive.

        A body that breaks is taken up where it ended, with the ETag of the first answer, up to READ_ATTEMPTS times
        without progress. Raises NotFound, Changed, IntegrityError, Unreachable, TransferCancelled.
        """
        meter = meter or Meter()
        meter.check()
        opened = self._open(key, start, stop, etag)
        return opened.info, self._resumed(opened, key, start, meter)

    def read(
        self, key: str, start: int = 0, stop: int | None = None, etag: str | None = None, meter: Meter | None = None
    ) -> bytes:
        """The bytes of a range, whole or not at all; see ``stream`` for what it raises."""
        return b"".join(self.stream(key, start, stop, etag, meter)[1])

    def _resumed(self, opened: Opened, key: str, start: int, meter: Meter) -> Iterator[bytes]:
        end = start + opened.length
        position, tries = start, 1
        chunks, etag = opened.chunks, opened.info.etag
        while True:
            try:
                for chunk in chunks:
                    meter.add(len(chunk))
                    position += len(chunk)
                    tries = 1
                    yield chunk
                if position == end:
                    return
                if position > end:
                    raise IntegrityError(
                        f"Could not read {key!r} ({self.place}): the server sent more than the {opened.length} bytes it "
                        "announced. Run the node again; if it stays, look at what stands between here and the server."
                    )
                raise Unreachable(
                    f"Could not read {key!r} ({self.place}): the connection ended after {position - start} of "
                    f"{opened.length} bytes. Check the network and run the node again."
                )
            except Unreachable:
                if tries >= READ_ATTEMPTS:
                    raise
            chunks = iter(())
            meter.wait(random.uniform(0.5, 1.0) * min(BACKOFF_SECONDS * 2 ** (tries - 1), BACKOFF_MAX_SECONDS))
            tries += 1
            try:
                chunks = self._open(key, position, end, etag).chunks
            except Unreachable:
                if tries >= READ_ATTEMPTS:
                    raise
