"""What S3 and OSS have in common: one bucket, reached over HTTP through an SDK.

A backend says how its requests are sent and what its SDK's exceptions mean. What answers and refusals come to
is decided here, and so the same on both. Only objects and listings are asked for, nothing about the bucket:
least-privilege keys may not.
"""

from __future__ import annotations

import contextlib
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..errors import (
    AccessDenied,
    Changed,
    ConfigurationError,
    Forbidden,
    IntegrityError,
    NotFound,
    StorageError,
    TransferCancelled,
    Unreachable,
    sentence,
    taken,
)
from ..system.meter import Meter
from . import headers, listing_pages, multipart, retries
from .base import ObjectInfo, Opened, Page, PutOptions, Storage
from .error_codes import STRANGER
from .headers import Dialect, Reply, Upload
from .sdk_errors import SdkErrors
from .unfinished_uploads import Uploads

if TYPE_CHECKING:
    from ..profile import Credentials, Profile
    from ..providers import Provider

log = logging.getLogger("cloud_storage")

PAGE_KEYS = 1000
# docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
# help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls
SIGNED_URL_MAX = timedelta(days=7)

CHUNK_MIN_BYTES = 64 << 10  # of one read from a socket, see ``_chunks``
CHUNK_MAX_BYTES = 1 << 20
CHUNK_SECONDS = 0.1

_NO_REASON = ("301", "307", "400", "401", "403", "404")  # to a HEAD, whose answer has no body for one
_BEHIND_THE_END = ("InvalidRange", "416")
_NO_LENGTH = "the answer does not say how long it is"
_BETWEEN = "Look at what stands between here and the server: a proxy or CDN may change answers."


class HttpStorage(Storage):
    """One bucket behind an SDK's client, which is thread-safe and keeps its connections.

    The methods that a backend brings may raise whatever its SDK raises; ``sdk_errors`` translates that.
    """

    dialect: ClassVar[Dialect]
    sdk_errors: ClassVar[type[SdkErrors]]

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials, endpoint: str) -> None:
        self._profile, self._row = profile, row
        self.place = f"bucket {profile.bucket!r} at {endpoint}"
        self._errors = self.sdk_errors(self.place, credentials)
        self._repeated = retries.Retries(self._errors.verdict).run
        self._limits = multipart.Limits(row.max_parts, row.min_part_bytes, row.max_part_bytes)
        self.bucket, self.path_prefix = profile.bucket, profile.path_prefix
        self.read_only = profile.read_only
        self.defaults = PutOptions(**vars(profile.upload))
        self.max_key_bytes = row.max_key_bytes
        self.endpoint = endpoint
        self._uploads = Uploads(profile.file.parent, self.place)

    # ------------------------------------------------------------------------ what a backend brings

    @abstractmethod
    def _head(self, key: str) -> Mapping[str, str]:
        """The headers of an object, by lower-case names."""

    @abstractmethod
    def _get(self, key: str, conditions: Mapping[str, str]) -> Reply:
        """The object, under the headers Range and If-Match where ``conditions`` has them."""

    @abstractmethod
    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        """Up to ``count`` objects of the bucket; all keys, asked and answered, are whole.

        Objects whose key has ``delimiter`` behind the prefix are rolled up into folders. Raises NoAnswer for
        what is no listing, or one that says that it goes on and not where.
        """

    @abstractmethod
    def _store(self, upload: Upload) -> ObjectInfo:
        """Carry out an upload."""

    @abstractmethod
    def _send_abort(self, full_key: str, upload_id: str) -> object:
        """Ask the server to forget an upload in parts."""

    @abstractmethod
    def _base(self) -> str:
        """The address before every key."""

    @abstractmethod
    def _signed(self, full_key: str, seconds: int) -> str:
        """An address of the object that holds a signature."""

    # ------------------------------------------------------------------------------------ reading

    def stat(self, key: str) -> ObjectInfo:
        answer = self._looked_at(key)
        size = headers.length(answer)
        if size is None:
            raise IntegrityError(sentence(f"read {key!r}", self.place, _NO_LENGTH, _BETWEEN))
        return headers.described(key, answer, self.dialect, size)

    def _looked_at(self, key: str) -> Mapping[str, str]:
        try:
            answer = self._head(key)
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self._raise_reason(error, key, f"read {key!r}")
        return self._of_an_object(answer, f"read {key!r}")

    def _of_an_object(self, answer: Mapping[str, str], tried: str) -> Mapping[str, str]:
        """``answer``, unless it says yes and is a page of somebody else: every object has an ETag."""
        if not headers.etag(answer):
            raise self._unexpected_answer(tried, "ETag")
        return answer

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        left, token, progress = limit, "", listing_pages.Progress()
        start = self._full(after) if after else ""
        while left is None or left > 0:
            count = PAGE_KEYS if left is None else min(left, PAGE_KEYS)
            page = self._asked_page(prefix, start, token, count)
            if wrong := progress.wrong(page):
                raise self._no_listing(prefix, wrong)
            yield from page.objects[:left]
            left = None if left is None else left - len(page.objects)
            token = page.following
            if not token:
                return

    def page(self, folder: str = "", limit: int = PAGE_KEYS, token: str = "") -> Page:
        page = self._asked_page(folder, "", token, min(limit, PAGE_KEYS), "/")
        if token and page.following == token:
            raise self._no_listing(folder, listing_pages.SAME_PLACE)
        return page

    def _asked_page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        """A page whose keys are relative and begin with ``prefix``, as was asked for."""
        with self._errors.translated(_listing(prefix)):
            page = self._page(self._full(prefix), after, token, count, delimiter)
        if wrong := listing_pages.foreign(page, self._full(prefix)):
            raise self._no_listing(prefix, wrong)
        return listing_pages.relative(page, self.path_prefix)

    def _no_listing(self, prefix: str, said: str) -> Unreachable:
        return Unreachable(sentence(_listing(prefix), self.place, said, listing_pages.ADVICE))

    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        tried = f"read {key!r}"
        if stop is not None and stop <= start:
            return self._nothing(key, etag)
        conditions = {"If-Match": f'"{etag}"'} if etag else {}
        ranged = start > 0 or stop is not None
        if ranged:
            conditions["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            reply = self._get(key, conditions)
        except Exception as error:  # noqa: BLE001  raised again as what it means
            if self._errors.code(error) in _BEHIND_THE_END:
                return self._nothing(key, etag)
            self._errors.reraise(error, tried, reading=True, expected=bool(etag))
        try:
            self._of_an_object(reply.headers, tried)
        except Unreachable:
            reply.close()
            raise
        length = headers.length(reply.headers)
        size = headers.whole_size(reply.status, reply.headers, start, stop) if ranged else length
        if length is None or size is None:
            reply.close()
            ignored = f"the server ignored the range from byte {start}"
            said = _NO_LENGTH if length is None else ignored
            raise IntegrityError(sentence(tried, self.place, said, _BETWEEN))
        info = headers.described(key, reply.headers, self.dialect, size)
        return Opened(info, length, self._chunks(reply, tried), reply.close)

    def _nothing(self, key: str, etag: str | None) -> Opened:
        """An empty range, which servers refuse: what is known of the object is asked for alone."""
        info = self.stat(key)
        if etag and info.etag != etag:
            advice = "It was replaced meanwhile: run the node again."
            raise Changed(sentence(f"read {key!r}", self.place, "it has another ETag than expected", advice))
        return Opened(info, 0, iter(()))

    def _chunks(self, reply: Reply, tried: str) -> Iterator[bytes]:
        with self._errors.translated(tried):
            yield from _chunks(reply.read)

    # ------------------------------------------------------------------------------------ writing

    def _put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool
    ) -> ObjectInfo:
        stored = self._store(Upload(key, source, multipart.size_of(source), options, meter, create))
        with contextlib.suppress(TransferCancelled):  # too late: it is stored
            self._uploads.end(self._ended)
        return stored

    def _in_parts(self, upload: Upload, requests: multipart.Requests[Any]) -> str:
        """The ETag of an upload in parts, which is noted as long as it is open."""

        def noted(upload_id: str) -> AbstractContextManager[Callable[[], None]]:
            return self._uploads.noted(self._full(upload.key), upload_id)

        return multipart.upload(upload.source, upload.size, requests, self._limits, upload.meter, noted)

    def _ended(self, full_key: str, upload_id: str) -> bool:
        try:
            self._abort(full_key, upload_id)
        except TransferCancelled:
            raise
        except StorageError as error:  # the key may not, or the server does not answer
            log.warning("An unfinished upload stays in the bucket: %s", error)
            return False
        return True

    def _abort(self, full_key: str, upload_id: str) -> None:
        """Remove an upload in parts; that it is gone already is fine."""
        with (
            contextlib.suppress(Changed, NotFound),
            self._errors.translated(f"abort the upload of {self._relative(full_key)!r}"),
        ):
            self._repeated(lambda: self._send_abort(full_key, upload_id))

    def unfinished(self) -> int:
        return len(self._uploads.left())

    def _fields(self, options: PutOptions) -> dict[str, str]:
        return headers.fields(options, self.dialect, self._row)

    def _metadata(self, options: PutOptions) -> dict[str, str]:
        return headers.metadata(options, self.dialect)

    def _look_before(self, upload: Upload, *, atomic: bool) -> None:
        """Refuse a taken key before its bytes travel.

        ``atomic`` says that the server itself will refuse it as well. Then a key that may only write need not
        look; else that would replace whatever is there, and is refused.
        """
        try:
            answer = self._head(upload.key)
        except Exception as error:  # noqa: BLE001  raised again as what it means
            meant = self._errors.translate(error, upload.tried)
            if isinstance(meant, NotFound) or (atomic and isinstance(meant, AccessDenied)):
                return  # a missing bucket or a wrong key is named by the write that follows
            self._raise_reason(error, upload.key, f"check whether {upload.key!r} is taken")
        self._of_an_object(answer, upload.tried)
        raise taken(upload.key, self.place)

    def _unexpected_answer(self, tried: str, lacks: str) -> Unreachable:
        """The error for an answer that says yes and is none: of a proxy, or of a page to log in at."""
        return Unreachable(sentence(tried, self.place, f"the answer has no {lacks}", STRANGER))

    def _find_own_upload(self, upload: Upload, same: Callable[[Mapping[str, str]], bool]) -> str | None:
        """The ETag of the object under the key if it is what was just sent, else None.

        Asked when the answer to a first try was lost, and a second one met what may be the first one's.
        Content is compared: the recorded sha256, or by ``same``, what else the headers tell. Raises where
        nobody can be asked now: to take it for a conflict would store the same under two names.
        """
        try:
            there = self._looked_at(upload.key)
        except (NotFound, Forbidden):  # a key that may only write cannot tell: the conflict is reported
            return None
        found = headers.described(upload.key, there, self.dialect, headers.length(there) or 0)
        own = found.sha256 == upload.sha256 if found.sha256 else same(there)
        return found.etag if own and found.size == upload.size else None

    # ------------------------------------------------------------------------------------ addresses

    def url(self, key: str) -> str:
        base = f"{self._profile.public_url}/" if self._profile.public_url else self._base()
        return base + headers.quoted(self._full(key))

    def signed_url(self, key: str, expires: timedelta) -> str:
        if self._profile.auth == "anonymous":
            raise ConfigurationError(
                f"Could not sign an address for {key!r}: the profile is anonymous and has no key. "
                "Use the object's own address, or a profile with credentials."
            )
        if expires > SIGNED_URL_MAX:
            raise ConfigurationError(
                f"Could not sign an address for {key!r}: {self._row.name} takes none for more than "
                f"{SIGNED_URL_MAX.days} days. Choose a shorter time."
            )
        with self._errors.translated(f"sign an address for {key!r}"):
            return self._signed(self._full(key), int(expires.total_seconds()))

    # ------------------------------------------------------------------------------------ refusals

    def _raise_reason(self, error: Exception, key: str, tried: str) -> NoReturn:
        """Raise why a HEAD was refused; where its answer does not say, that to a GET of one byte does."""
        if self._errors.code(error) in _NO_REASON:
            try:
                self._get(key, {"Range": "bytes=0-0"}).close()
            except Exception as reason:  # noqa: BLE001  raised again as what it means
                if self._errors.code(reason) not in _BEHIND_THE_END:
                    self._errors.reraise(reason, tried, reading=True)
        self._errors.reraise(error, tried, reading=True)


def _listing(prefix: str) -> str:
    """What listing is called when it fails."""
    return f"list {prefix!r}" if prefix else "list the bucket"


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what ``read(size)`` returns until it is empty, in larger chunks as long as they come fast.

    Small chunks keep the progress bar smooth and Cancel quick on a slow network. Large ones cost less:
    reading 1 GiB in chunks of 64 KiB takes four times as long as in chunks of 1 MiB. Still larger ones need
    fresh memory each time, and take a tenth longer.
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
