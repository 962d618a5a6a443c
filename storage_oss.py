"""Aliyun OSS in its own protocol, on oss2.

Only requests that a least-privilege key may send: objects and listings, nothing about the bucket. Bytes are
checked by the server, with Content-MD5: what was damaged on its way is refused, not stored.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from . import multipart, oss_client
from .errors import (
    AccessDenied,
    AlreadyExists,
    Changed,
    ConfigurationError,
    IntegrityError,
    NotFound,
    StorageError,
    Unreachable,
)
from .multipart import Slice
from .storage import SHA256_METADATA, Meter, ObjectInfo, Opened, PutOptions, Storage, paced

if TYPE_CHECKING:
    from .profile import Credentials, Profile
    from .providers import Provider

PAGE_KEYS = 1000
HASH_BYTES = 4 << 20
METADATA_MAX_BYTES = 8192  # help.aliyun.com/en/oss/user-guide/0011-00000002
SIGNED_URL_MAX = timedelta(days=7)  # help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls
_METADATA_NAME = re.compile(r"[A-Za-z0-9-]+")  # help.aliyun.com/en/oss/user-guide/0011-00000004
_FORBID_OVERWRITE = {"x-oss-forbid-overwrite": "true"}

T = TypeVar("T")


class OssStorage(Storage):
    """One bucket behind one ``oss2.Bucket``; it is thread-safe and keeps its connections."""

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials) -> None:
        self._address = oss_client.address(profile)
        self._bucket = oss_client.build(profile, row, credentials, self._address, self._saw_date)
        self._credentials = credentials
        self._profile = profile
        self._row = row
        self._forbids: bool | None = None  # whether x-oss-forbid-overwrite has an effect; None: not yet known
        self.path_prefix = profile.path_prefix
        self.read_only = profile.read_only
        self.defaults = PutOptions(**vars(profile.upload))
        self.max_key_bytes = row.max_key_bytes
        self.endpoint = self._address.endpoint
        self.place = f"bucket {profile.bucket!r} at {self.endpoint}"

    # ------------------------------------------------------------------------------------ reading

    def stat(self, key: str) -> ObjectInfo:
        headers = self._head(key)
        return _info(key, headers, int(headers.get("Content-Length", 0)))

    def _head(self, key: str) -> Mapping[str, str]:
        tried = f"look at {key!r}"
        try:
            headers: Mapping[str, str] = oss_client.repeated(
                lambda: self._bucket.head_object(self._full(key)).headers
            )
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self._explain_head(error, key, tried)
        return headers

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        left = limit
        start_after, token = self._full(after) if after else "", ""
        while left is None or left > 0:
            page = self._asked(
                f"list {prefix!r}",
                lambda: self._bucket.list_objects_v2(
                    prefix=self._full(prefix),
                    start_after=start_after,
                    continuation_token=token,  # noqa: B023  called at once
                    max_keys=PAGE_KEYS if left is None else min(left, PAGE_KEYS),  # noqa: B023
                ),
            )
            for entry in page.object_list:
                yield ObjectInfo(
                    key=self._relative(entry.key),
                    size=entry.size,
                    etag=entry.etag,
                    modified=datetime.fromtimestamp(entry.last_modified, timezone.utc),
                )
            left = None if left is None else left - len(page.object_list)
            if not page.is_truncated:
                return
            token = page.next_continuation_token

    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        tried = f"read {key!r}"
        ranged = start > 0 or stop is not None
        if stop is not None and stop <= start:
            return Opened(self.stat(key), 0, iter(()))
        headers = {"x-oss-range-behavior": "standard"}  # else a range beyond the end gets the whole object
        if etag:
            headers["If-Match"] = f'"{etag}"'
        span = (start, None if stop is None else stop - 1) if ranged else None
        try:
            answer = oss_client.repeated(lambda: self._get(key, span, headers))
        except Exception as error:  # noqa: BLE001  raised again as what it means
            if oss_client.code_of(error) in ("InvalidRange", "416"):
                return Opened(self.stat(key), 0, iter(()))
            self._explain_get(error, tried, expected=bool(etag))
        length = int(answer.headers.get("Content-Length", -1))
        if length < 0:
            answer.close()
            raise IntegrityError(
                f"Could not {tried} ({self.place}): the answer does not say how long it is. "
                "Look at what stands between here and the server: a proxy or CDN may change answers."
            )
        size = self._ranged(answer, length, start, stop, tried) if ranged else length
        return Opened(_info(key, answer.headers, size), length, self._chunks(answer, tried))

    def _get(self, key: str, span: tuple[int, int | None] | None, headers: Mapping[str, str]) -> Any:  # noqa: ANN401
        return self._bucket.get_object(self._full(key), byte_range=span, headers=headers)

    def _ranged(self, answer: Any, length: int, start: int, stop: int | None, tried: str) -> int:  # noqa: ANN401
        """The object's whole size, once the answer is known to be the range that was asked for."""
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if not span and start == 0 and (stop is None or length <= stop):
            return length  # the range holds the whole object, and the server answered as if none was given
        if answer.status != 206 or span.partition("-")[0] != str(start):  # noqa: PLR2004
            answer.close()
            raise IntegrityError(
                f"Could not {tried} ({self.place}): the server ignored the range from byte {start}. "
                "Look at what stands between here and the server: a proxy or CDN may not pass ranges on."
            )
        return int(total) if total.isdigit() else start + length

    def _chunks(self, answer: Any, tried: str) -> Iterator[bytes]:  # noqa: ANN401
        raw = answer.resp.response.raw  # as it travels: requests would unpack an object stored with gzip
        with contextlib.closing(answer), self._translated(tried):
            yield from paced(lambda size: bytes(raw.read(size, decode_content=False)))

    # ------------------------------------------------------------------------------------ writing

    def _put(
        self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool
    ) -> ObjectInfo:
        tried = f"store {key!r}"
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        headers = self._headers(options)
        if create:
            self._look_before(key)
        if size > multipart.SINGLE_MAX_BYTES:
            requests = _Multipart(self, key, size, headers, options=options, meter=meter, create=create)
            multipart.upload(source, size, requests, self._limits(), meter)
            return ObjectInfo(key, size, requests.etag, None, options.content_type, _sha256(options))
        with contextlib.closing(Slice(source, 0, size, meter)) as body:
            digest = _md5(body)
            headers["Content-MD5"] = base64.b64encode(digest).decode()
            etag = self._asked(
                tried,
                lambda: self._stored(
                    self._bucket.put_object(
                        self._full(key),
                        body,
                        headers={**headers, **(_FORBID_OVERWRITE if create else {})},
                    ),
                    tried,
                ),
                meter=meter,
                body=body,
                own=lambda error: self._own(
                    error, key, size, options, lambda there: _etag(there).lower() == digest.hex()
                ),
            )
        return ObjectInfo(key, size, etag, None, options.content_type, _sha256(options))

    def _look_before(self, key: str) -> None:
        """Refuse a taken key where the server would not.

        x-oss-forbid-overwrite "does not take effect" in a bucket with versioning, enabled or suspended:
        help.aliyun.com/en/oss/user-guide/overview-78. Which kind this is, the answer to a first write says.
        """
        if self._forbids:
            return
        # AccessDenied: a key that may only write cannot look, and has the server's word alone
        with contextlib.suppress(NotFound, AccessDenied):
            self.stat(key)
            raise AlreadyExists(
                f"Could not store {key!r} ({self.place}): there is an object of that name. "
                "Choose another name, or set if_exists to `new name`."
            )

    def _stored(self, answer: Any, tried: str) -> str:  # noqa: ANN401
        """The ETag of what an answered write has stored."""
        self._forbids = "x-oss-version-id" not in answer.headers
        etag = _etag(answer.headers)
        if not etag:
            raise Unreachable(
                f"Could not {tried} ({self.place}): the answer names no ETag, so it is not from OSS. "
                "Check endpoint_url, and what stands between here and the server."
            )
        return etag

    def _own(
        self,
        error: Exception,
        key: str,
        size: int,
        options: PutOptions,
        same: Callable[[Mapping[str, str]], bool],
    ) -> str | None:
        """The ETag of the object under ``key`` if it is what was just sent, else None.

        Asked when the answer to a first try was lost, and a second one met what may be the first one's.
        """
        if oss_client.code_of(error) not in ("FileAlreadyExists", "NoSuchUpload"):
            return None
        with contextlib.suppress(StorageError):  # then it stays a conflict
            there = self._head(key)
            recorded = there.get(f"x-oss-meta-{SHA256_METADATA}", "")
            own = recorded == _sha256(options) if recorded else same(there)
            if own and int(there.get("Content-Length", -1)) == size:
                return _etag(there)
        return None

    def _delete(self, key: str) -> None:
        self._asked(f"delete {key!r}", lambda: self._bucket.delete_object(self._full(key)))

    # ------------------------------------------------------------------------------------ addresses

    def url(self, key: str) -> str:
        base = f"{self._profile.public_url}/" if self._profile.public_url else self._address.base
        return base + quote(self._full(key), safe="/-_.~")

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
        with self._translated(f"sign an address for {key!r}"):
            seconds = int(expires.total_seconds())
            return str(self._bucket.sign_url("GET", self._full(key), seconds, slash_safe=True))

    # ------------------------------------------------------------------------------------ pieces

    def _headers(self, options: PutOptions) -> dict[str, str | bytes]:
        """``options`` as OSS's headers, the empty ones left out. Raises ConfigurationError."""
        if options.tags and not self._row.tagging:
            raise ConfigurationError(f"{self._row.name} has no object tags. Remove upload.tags.")
        if options.acl and not self._row.acl:
            raise ConfigurationError(f"{self._row.name} has no object ACLs. Remove upload.acl.")
        metadata = {}
        for name, value in options.metadata.items():
            if not _METADATA_NAME.fullmatch(name):
                raise ConfigurationError(
                    f"OSS does not take metadata called {name!r}. "
                    "Use only letters, digits and hyphens in the names of upload.metadata."
                )
            metadata[f"x-oss-meta-{name}"] = quote(value.strip(), safe=" !#$&'()*+,/:;=?@[]~")
        if sum(len(name) + len(value) for name, value in metadata.items()) > METADATA_MAX_BYTES:
            raise ConfigurationError(
                f"The metadata is larger than the {METADATA_MAX_BYTES} bytes that OSS takes. "
                "Shorten upload.metadata."
            )
        fields = {
            "Content-Type": options.content_type,
            "Content-Disposition": options.content_disposition,
            "Cache-Control": options.cache_control,
            "x-oss-storage-class": options.storage_class,
            "x-oss-object-acl": options.acl,
            "x-oss-server-side-encryption": options.server_side_encryption,
            "x-oss-server-side-encryption-key-id": options.kms_key_id,
            "x-oss-tagging": urlencode(options.tags, quote_via=quote),
            **metadata,
        }
        # http.client takes Latin-1 only, of a text
        return {name: value if value.isascii() else value.encode() for name, value in fields.items() if value}

    def _limits(self) -> multipart.Limits:
        return multipart.Limits(self._row.max_parts, self._row.min_part_bytes, self._row.max_part_bytes)

    def _asked(
        self,
        tried: str,
        request: Callable[[], T],
        *,
        meter: Meter | None = None,
        body: Slice | None = None,
        own: Callable[[Exception], T | None] | None = None,
    ) -> T:
        """``oss_client.repeated``, with errors of this package."""
        with self._translated(tried):
            return oss_client.repeated(request, meter=meter, body=body, own=own)

    @contextlib.contextmanager
    def _translated(self, tried: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self._raise(error, tried)

    def _raise(self, error: BaseException, tried: str, *, expected: bool = False) -> Any:  # noqa: ANN401
        oss_client.raise_translated(error, tried, self.place, self._credentials, expected=expected)

    def _explain_get(self, error: BaseException, tried: str, *, expected: bool = False) -> Any:  # noqa: ANN401
        """As ``_raise``, and tells that a missing key may be called forbidden."""
        try:
            self._raise(error, tried, expected=expected)
        except AccessDenied as denied:
            if oss_client.code_of(error) not in ("AccessDenied", "403", "Forbidden"):
                raise
            raise AccessDenied(
                f"{str(denied).partition('. ')[0]}. The object is missing, or the profile's key may not "
                "read it: a key without the right to list the bucket may get this answer for both. "
                "Check the key's name and the policy."
            ) from error

    def _explain_head(self, error: BaseException, key: str, tried: str) -> Any:  # noqa: ANN401
        """A HEAD answer has its reason in a header, if at all: else a GET of one byte is refused with one."""
        refused = isinstance(error, oss_client.Refused) and not error.known
        if not refused or oss_client.code_of(error) not in ("400", "401", "403", "404"):
            self._explain_get(error, tried)
        try:
            answer = oss_client.repeated(lambda: self._get(key, (0, 0), {}))
        except Exception as reason:  # noqa: BLE001  raised again as what it means
            self._explain_get(reason, tried)
        answer.close()
        self._raise(error, tried)


class _Multipart:
    """The four requests of one multipart upload; a part is oss2's PartInfo. ``finish`` sets ``etag``."""

    def __init__(
        self,
        storage: OssStorage,
        key: str,
        size: int,
        headers: Mapping[str, str | bytes],
        *,
        options: PutOptions,
        meter: Meter,
        create: bool,
    ) -> None:
        self._storage, self._key, self._size = storage, key, size
        self._headers, self._options, self._meter = headers, options, meter
        self._only = _FORBID_OVERWRITE if create else {}
        self._tried = f"store {key!r}"
        self._target = storage._full(key)
        self._bucket = storage._bucket
        self.etag = ""

    def start(self) -> str:
        headers = {**self._headers, **self._only}  # refused before gigabytes travel; again when they have
        return self._storage._asked(
            self._tried,
            lambda: str(self._bucket.init_multipart_upload(self._target, headers=headers).upload_id),
            meter=self._meter,
        )

    def send(self, upload_id: str, number: int, body: Slice) -> Any:  # noqa: ANN401
        from oss2.models import PartInfo

        headers = {"Content-MD5": base64.b64encode(_md5(body)).decode()}
        answer = self._storage._asked(
            f"{self._tried}, part {number}",
            lambda: self._bucket.upload_part(self._target, upload_id, number, body, headers=headers),
            meter=self._meter,
            body=body,
        )
        return PartInfo(number, answer.etag, size=len(body), part_crc=answer.crc)

    def finish(self, upload_id: str, parts: Sequence[Any]) -> None:
        def complete() -> str:
            answer = self._bucket.complete_multipart_upload(
                self._target, upload_id, parts, headers=self._only
            )
            answer.resp.read()
            return self._storage._stored(answer, self._tried)

        self.etag = self._storage._asked(
            self._tried,
            complete,
            meter=self._meter,
            own=lambda error: self._storage._own(
                error, self._key, self._size, self._options, lambda there: _crc64(there) == _joined(parts)
            ),
        )

    def abort(self, upload_id: str) -> None:
        with contextlib.suppress(Changed, NotFound):  # it is gone
            self._storage._asked(
                f"abort the upload of {self._key!r}",
                lambda: self._bucket.abort_multipart_upload(self._target, upload_id),
            )


def _info(key: str, headers: Mapping[str, str], size: int) -> ObjectInfo:
    try:
        modified = parsedate_to_datetime(headers.get("Last-Modified", ""))
    except (TypeError, ValueError):
        modified = None
    return ObjectInfo(
        key=key,
        size=size,
        etag=_etag(headers),
        modified=modified,
        content_type=headers.get("Content-Type", ""),
        sha256=headers.get(f"x-oss-meta-{SHA256_METADATA}", ""),
    )


def _etag(headers: Mapping[str, str]) -> str:
    return headers.get("ETag", "").strip('"')


def _md5(body: Slice) -> bytes:
    """The digest of a body, which is at its start again afterwards."""
    digest = hashlib.md5(usedforsecurity=False)
    while block := body.read(HASH_BYTES):
        digest.update(block)
    body.seek(0)
    return digest.digest()


def _crc64(headers: Mapping[str, str]) -> int | None:
    text = headers.get("x-oss-hash-crc64ecma", "")
    return int(text) if text.isdigit() else None


def _joined(parts: Sequence[Any]) -> int:
    """The CRC-64 of an object in parts, from what the server said of each; -1 where it said nothing."""
    from oss2.utils import calc_obj_crc_from_parts

    crc = calc_obj_crc_from_parts(parts)
    return -1 if crc is None else int(crc)


def _sha256(options: PutOptions) -> str:
    return options.metadata.get(SHA256_METADATA, "")
