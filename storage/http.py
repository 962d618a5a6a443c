"""What S3 and OSS have in common: one bucket, reached over HTTP through an SDK.

A backend sends the requests and names its SDK's exceptions. What an answer or an error means is decided here,
so it is the same for both. Requests are only about objects and listings, never about the bucket: a
least-privilege key may not send those.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar

from ..errors import (
    AccessDenied,
    AlreadyExists,
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
from . import answers, headers, keys, listing_pages, multipart, retries
from .base import PROXY_ADVICE, ObjectInfo, Opened, Page, PutOptions, Storage
from .error_codes import NOT_AN_OBJECT_STORE, Meaning
from .headers import Dialect, Reply, UploadRequest
from .multipart import Slice
from .sdk_errors import SdkErrors
from .unfinished_uploads import Uploads

if TYPE_CHECKING:
    from ..profile import Credentials, Profile
    from ..providers import Provider

log = logging.getLogger("cloud_storage")
T = TypeVar("T")

PAGE_KEYS = 1000
# docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
# help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls
SIGNED_URL_MAX = timedelta(days=7)

CHUNK_MIN_BYTES = 64 << 10  # of one read from a socket, see ``_chunks``
CHUNK_MAX_BYTES = 512 << 10
CHUNK_SECONDS = 0.1

_NO_REASON = ("301", "307", "400", "401", "403", "404")  # the codes of a HEAD, whose answer has no body
_AFTER_THE_END = ("InvalidRange", "416")
# What a repeated write gets if the first attempt was successful and its answer was lost
_MAY_BE_OWN = (
    *("PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchUpload"),
    "FileAlreadyExists",  # of OSS
)
_NO_LENGTH = "the answer does not say how long it is"


class HttpStorage(Storage):
    """One bucket behind the client of an SDK, which is safe for threads and keeps its connections open.

    The abstract methods send one request and may raise whatever the SDK raises.
    """

    dialect: ClassVar[Dialect]
    sdk_errors: ClassVar[type[SdkErrors]]

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials, endpoint: str) -> None:
        self._profile, self._row = profile, row
        self.place = f"bucket {profile.bucket!r} at {endpoint}"
        self._errors = self.sdk_errors(self.place, credentials)
        self._retry = retries.Retries(self._errors.verdict).run
        self.bucket, self.path_prefix = profile.bucket, profile.path_prefix
        self.read_only = profile.read_only
        self.defaults = PutOptions(**vars(profile.upload))
        self.max_key_bytes = row.max_key_bytes
        self.endpoint = endpoint
        self._uploads = Uploads(profile.file.parent, self.place)

    # ------------------------------------------------------------------------ what a backend adds

    @abstractmethod
    def _head(self, full_key: str) -> Mapping[str, str]:
        """Return the headers of an object, by lower-case names."""

    @abstractmethod
    def _get(self, full_key: str, conditions: Mapping[str, str]) -> Reply:
        """Request an object. ``conditions`` may have the headers Range and If-Match."""

    @abstractmethod
    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        """Return up to ``count`` objects of the bucket. All keys include path_prefix.

        Objects with ``delimiter`` after the prefix are grouped into folders.
        """

    @abstractmethod
    def _fields(self, options: PutOptions) -> dict[str, Any]:
        """Return the options as the SDK's write requests take them. Raises ConfigurationError."""

    @abstractmethod
    def _store_single(self, upload: UploadRequest, fields: dict[str, Any], body: Slice) -> str:
        """Upload in one request, with retries, and return the ETag."""

    @abstractmethod
    def _store_parts(self, upload: UploadRequest, fields: dict[str, Any]) -> ObjectInfo:
        """Upload in parts."""

    @abstractmethod
    def _send_delete(self, full_key: str) -> object: ...

    @abstractmethod
    def _send_abort(self, full_key: str, upload_id: str) -> object: ...

    @abstractmethod
    def _base(self) -> str:
        """Return the URL before every key."""

    @abstractmethod
    def _signed(self, full_key: str, seconds: int) -> str:
        """Return a signed URL of an object."""

    # ------------------------------------------------------------------------------------ reading

    def _request(self, send: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
        """Send a request with retries; also after an answer that cannot be parsed."""
        return self._retry(answers.parsing()(functools.partial(send, *arguments)))

    def stat(self, key: str) -> ObjectInfo:
        answer = self._headers_of(key)
        size = headers.length(answer)
        if size is None:
            raise IntegrityError(sentence(f"read {key!r}", self.place, _NO_LENGTH, PROXY_ADVICE))
        return headers.described(key, answer, self.dialect, size)

    def _headers_of(self, key: str) -> Mapping[str, str]:
        tried = f"read {key!r}"
        try:
            answer = self._request(self._head, self._full(key))
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self._raise_reason(error, key, tried)
        return self._with_etag(answer, tried)

    def _with_etag(self, answer: Mapping[str, str], tried: str) -> Mapping[str, str]:
        """Return ``answer``. Raises Unreachable without an ETag, which every object has."""
        if not headers.etag(answer):
            raise self._unexpected_answer(tried, "ETag")
        return answer

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        left, token, progress = limit, "", listing_pages.Progress()
        start = self._full(after) if after else ""
        while left is None or left > 0:
            count = PAGE_KEYS if left is None else min(left, PAGE_KEYS)
            page = self._checked_page(prefix, start, token, count)
            if fault := progress.fault(page):
                raise self._invalid_listing(prefix, fault)
            yield from page.objects[:left]
            left = None if left is None else left - len(page.objects)
            token = page.next_token
            if not token:
                return

    def page(self, folder: str = "", limit: int = PAGE_KEYS, token: str = "") -> Page:
        page = self._checked_page(folder, "", token, min(limit, PAGE_KEYS), "/")
        if token and page.next_token == token:
            raise self._invalid_listing(folder, listing_pages.SAME_PAGE)
        return page

    def _checked_page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        """Return a page whose keys are relative and start with ``prefix``."""
        with self._errors.translated(_listing(prefix)):
            page = self._request(self._page, self._full(prefix), after, token, count, delimiter)
        if fault := listing_pages.fault(page, self._full(prefix)):
            raise self._invalid_listing(prefix, fault)
        return listing_pages.relative(page, self.path_prefix)

    def _invalid_listing(self, prefix: str, fault: str) -> Unreachable:
        return Unreachable(sentence(_listing(prefix), self.place, fault, PROXY_ADVICE))

    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        tried = f"read {key!r}"
        if stop is not None and stop <= start:
            return self._open_empty(key, etag)
        conditions = {"If-Match": f'"{etag}"'} if etag else {}
        ranged = start > 0 or stop is not None
        if ranged:
            conditions["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        try:
            reply = self._request(self._get, self._full(key), conditions)
        except Exception as error:  # noqa: BLE001  raised again as what it means
            if self._errors.code(error) in _AFTER_THE_END:
                return self._open_empty(key, etag)
            self._reraise_read(error, key, tried, expected=bool(etag))
        try:
            self._with_etag(reply.headers, tried)
            length = headers.length(reply.headers)
            size = headers.whole_size(reply.status, reply.headers, start, stop) if ranged else length
            if length is None or size is None:
                ignored = f"the server ignored the range from byte {start}"
                said = _NO_LENGTH if length is None else ignored
                raise IntegrityError(sentence(tried, self.place, said, PROXY_ADVICE))
        except StorageError:
            reply.close()
            raise
        info = headers.described(key, reply.headers, self.dialect, size)
        return Opened(info, length, self._chunks(reply, tried), reply.close)

    def _open_empty(self, key: str, etag: str | None) -> Opened:
        """Open an empty range, which servers refuse: request the headers alone."""
        info = self.stat(key)
        if etag and info.etag != etag:
            advice = "It was replaced meanwhile: run the node again."
            raise Changed(sentence(f"read {key!r}", self.place, "it has another ETag than expected", advice))
        return Opened(info, 0, iter(()))

    def _chunks(self, reply: Reply, tried: str) -> Iterator[bytes]:
        """Yield the body of an answer in chunks that grow while reads are fast.

        Small chunks keep the progress bar smooth and Cancel quick on a slow network. Large ones cost less:
        reading 1 GiB in chunks of 64 KiB takes four times as long. For even larger ones the system gives new
        memory each time: of 1 MiB each, 3.3 GB took it 4.2 s of the processor, of 512 KiB 2.9 s.
        """
        size = CHUNK_MIN_BYTES
        with self._errors.translated(tried):
            while True:
                began = time.monotonic()
                chunk = reply.read(size)
                if not chunk:
                    return
                yield chunk
                is_fast = time.monotonic() - began < CHUNK_SECONDS
                size = min(size * 2, CHUNK_MAX_BYTES) if is_fast else max(size // 2, CHUNK_MIN_BYTES)

    def _raise_reason(self, error: Exception, key: str, tried: str) -> NoReturn:
        """Raise why a HEAD failed. If its answer has no reason, request one byte with GET to get one."""
        if self._errors.code(error) in _NO_REASON:
            try:
                self._request(self._get, self._full(key), {"Range": "bytes=0-0"}).close()
            except Exception as reason:  # noqa: BLE001  raised again as what it means
                if self._errors.code(reason) not in _AFTER_THE_END:
                    self._reraise_read(reason, key, tried)
        self._reraise_read(error, key, tried)

    def _reraise_read(self, error: Exception, key: str, tried: str, *, expected: bool = False) -> NoReturn:
        def advise(row: Meaning, said: str) -> str:
            is_missing = row.raises in (NotFound, Forbidden) and not said.startswith("NoSuchBucket")
            return keys.not_found_advice(key, self.bucket, self.path_prefix) if is_missing else ""

        self._errors.reraise(error, tried, reading=True, expected=expected, advise=advise)

    # ------------------------------------------------------------------------------------ writing

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
        size = multipart.size_of(source)
        upload = UploadRequest(
            key, self._full(key), source, size, options, meter, create, replaces, listed_free
        )
        fields = self._fields(options)
        if replaces:
            self._check_is(upload)
        try:
            if upload.size > multipart.SINGLE_MAX_BYTES:
                stored = self._store_parts(upload, fields)
            else:
                with contextlib.closing(Slice(source, 0, upload.size, meter)) as body:
                    stored = upload.stored(self._store_single(upload, fields, body))
        except AlreadyExists as error:  # the server's answer to a condition that is not met
            if replaces:
                raise self._replaced(upload) from error
            raise
        with contextlib.suppress(TransferCancelled):  # too late: the object is stored
            self._uploads.end(self._end_unfinished)
        return stored

    def _writing(self, upload: UploadRequest) -> AbstractContextManager[None]:
        """Translate what is raised in the block, and name the profile's settings that may be the reason."""
        advise = functools.partial(headers.settings_advice, upload.options)
        return self._errors.translated(upload.tried, advise=advise)

    def _write(
        self,
        upload: UploadRequest,
        send: Callable[[], str],
        is_own: Callable[[Mapping[str, str]], bool],
        body: Slice | None = None,
    ) -> str:
        """Send a write with retries and return the ETag, also if an attempt succeeds and its answer is lost.

        ``is_own`` says if the headers of an object are those of this upload.
        """

        def find_own(error: Exception) -> str | None:
            return self._find_own(upload, is_own) if self._errors.code(error) in _MAY_BE_OWN else None

        return self._retry(send, meter=upload.meter, body=body, own=find_own)

    def _find_own(self, upload: UploadRequest, is_own: Callable[[Mapping[str, str]], bool]) -> str | None:
        """Return the ETag of the object with the upload's key if it has the same content, else None.

        The recorded sha256 is compared, or other headers by ``is_own``. Raises if the object cannot be
        checked now: if it were reported as a conflict, the content would be stored again by another name.
        """
        try:
            answer = self._headers_of(upload.key)
        except (NotFound, Forbidden):  # a write-only key cannot check: the conflict is reported
            return None
        info = headers.described(upload.key, answer, self.dialect, headers.length(answer) or 0)
        is_same = info.sha256 == upload.sha256 if info.sha256 else is_own(answer)
        return info.etag if is_same and info.size == upload.size else None

    def _check_free(self, upload: UploadRequest, *, atomic: bool) -> None:
        """Raise AlreadyExists if the key is taken, before the bytes are sent.

        ``atomic``: the server itself will refuse a taken key as well. Then a write-only key need not check.
        Otherwise it is refused, because it could replace an object.
        """
        try:
            answer = self._request(self._head, upload.full_key)
        except Exception as error:  # noqa: BLE001  raised again as what it means
            meant = self._errors.translate(error, upload.tried)
            if isinstance(meant, NotFound) or (atomic and isinstance(meant, AccessDenied)):
                return  # a missing bucket or a wrong access key is reported by the write that follows
            self._raise_reason(error, upload.key, f"check whether {upload.key!r} is taken")
        self._with_etag(answer, upload.tried)
        raise taken(upload.key, self.place)

    def _check_is(self, upload: UploadRequest) -> None:
        """Raise Changed if the key does not have the object that the upload is to replace."""
        try:
            is_same = headers.etag(self._headers_of(upload.key)) == upload.replaces
        except NotFound:
            is_same = False
        if not is_same:
            raise self._replaced(upload)

    def _replaced(self, upload: UploadRequest) -> Changed:
        said, advice = "somebody else has replaced or deleted it meanwhile", "Look at what is there now."
        return Changed(sentence(upload.tried, self.place, said, advice))

    def _unexpected_answer(self, tried: str, missing: str) -> Unreachable:
        """Return the error for a successful answer that is not from an object store."""
        return Unreachable(sentence(tried, self.place, f"the answer has no {missing}", NOT_AN_OBJECT_STORE))

    def _send_parts(self, upload: UploadRequest, requests: multipart.Requests[Any]) -> str:
        """Upload in parts and return the ETag. The upload is recorded on the disk while it is open."""
        recorded = functools.partial(self._uploads.recorded, upload.full_key)
        return multipart.upload(upload.source, upload.size, requests, self._row, upload.meter, recorded)

    def _end_unfinished(self, full_key: str, upload_id: str) -> bool:
        try:
            self._abort(full_key, upload_id)
        except TransferCancelled:
            raise
        except StorageError as error:  # the key has no permission, or the server does not answer
            log.warning("An unfinished upload is left in the bucket: %s", error)
            return False
        return True

    def _abort(self, full_key: str, upload_id: str) -> None:
        """Remove the parts of an upload. It is no error if they are gone already."""
        with (
            contextlib.suppress(Changed, NotFound),
            self._errors.translated(f"abort the upload of {self._relative(full_key)!r}"),
        ):
            self._retry(lambda: self._send_abort(full_key, upload_id))

    def unfinished(self) -> int:
        return len(self._uploads.left())

    def _delete(self, key: str) -> None:
        try:
            self._retry(lambda: self._send_delete(self._full(key)))
        except Exception as error:  # noqa: BLE001  raised again as what it means
            if self._errors.code(error) != "NoSuchKey":  # Google's answer for an object that does not exist
                self._errors.reraise(error, f"delete {key!r}")

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


S = TypeVar("S", bound=HttpStorage)


class PartRequests(ABC, Generic[S]):
    """The requests of one upload in parts, with retries. A backend sends each of them once."""

    def __init__(self, storage: S, upload: UploadRequest, fields: Mapping[str, Any]) -> None:
        self.storage, self.upload, self.fields = storage, upload, fields

    @abstractmethod
    def _start(self) -> str: ...

    @abstractmethod
    def _send(self, upload_id: str, number: int, body: Slice) -> Any: ...  # noqa: ANN401

    @abstractmethod
    def finish(self, upload_id: str, parts: Sequence[Any]) -> str:
        """Complete the upload and return the ETag."""

    def start(self) -> str:
        with self.storage._writing(self.upload):
            return self.storage._retry(self._start, meter=self.upload.meter)

    def send(self, upload_id: str, number: int, body: Slice) -> Any:  # noqa: ANN401
        send = functools.partial(self._send, upload_id, number, body)
        with self.storage._errors.translated(f"{self.upload.tried}, part {number}"):
            return self.storage._retry(send, body=body, policy=retries.PART)

    def abort(self, upload_id: str) -> None:
        self.storage._abort(self.upload.full_key, upload_id)


def _listing(prefix: str) -> str:
    return f"list {prefix!r}" if prefix else "list the bucket"
