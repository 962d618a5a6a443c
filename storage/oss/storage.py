"""Aliyun OSS in its own protocol, on oss2.

Bytes are checked by the server, with Content-MD5: what was damaged on its way is refused, not stored.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .. import answers, connection_watch, headers, multipart, retries
from ..answers import NoAnswer
from ..base import ObjectInfo, Page, PutOptions
from ..headers import Reply, Upload
from ..http import HttpStorage
from ..multipart import Slice
from . import client as oss_client
from .errors import OssErrors

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

_FORBID_OVERWRITE = {"x-oss-forbid-overwrite": "true"}
_MAYBE_OUR_OWN = ("FileAlreadyExists", "NoSuchUpload")


class OssStorage(HttpStorage):
    """One bucket behind one ``oss2.Bucket``."""

    sdk_errors = OssErrors
    dialect = headers.Dialect(
        name="OSS",
        fields={
            "content_type": "Content-Type",
            "content_disposition": "Content-Disposition",
            "cache_control": "Cache-Control",
            "storage_class": "x-oss-storage-class",
            "acl": "x-oss-object-acl",
            "server_side_encryption": "x-oss-server-side-encryption",
            "kms_key_id": "x-oss-server-side-encryption-key-id",
            "tags": "x-oss-tagging",
        },
        metadata="x-oss-meta-",
        metadata_name=re.compile(r"[A-Za-z0-9-]+"),  # help.aliyun.com/en/oss/user-guide/0011-00000004
        metadata_max_bytes=8192,  # help.aliyun.com/en/oss/user-guide/0011-00000002
        # help.aliyun.com/en/oss/developer-reference/headobject: an MD5 where PutObject made the object
        no_md5={
            "x-oss-object-type": ("", "Multipart", "Appendable", "Symlink"),
            "x-oss-server-side-encryption": ("KMS",),
        },
    )

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials) -> None:
        self._address = oss_client.address(profile)
        self._bucket = oss_client.build(profile, row, credentials, self._address, self._saw_date)
        super().__init__(profile, row, credentials, self._address.endpoint)
        self._forbids: bool | None = None  # whether x-oss-forbid-overwrite has an effect; None: not yet known

    # ------------------------------------------------------------------------------------ reading

    def _head(self, key: str) -> Mapping[str, str]:
        def ask() -> Mapping[str, str]:
            with answers.parsing():
                found: Mapping[str, str] = self._bucket.head_object(self._full(key)).headers
                return found

        return self._repeated(ask)

    def _get(self, key: str, conditions: Mapping[str, str]) -> Reply:
        # else a range behind the end gets the whole object
        asked = {**conditions, "x-oss-range-behavior": "standard"}

        def ask() -> Any:  # noqa: ANN401
            with answers.parsing():
                return self._bucket.get_object(self._full(key), headers=asked)

        answer = self._repeated(ask)
        raw = answer.resp.response.raw  # as it travels: requests would unpack an object stored with gzip

        def read(size: int) -> bytes:
            return bytes(raw.read(size, decode_content=False))

        return Reply(answer.status, answer.headers, read, answer.close)

    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        def ask() -> Page:
            with answers.parsing():
                return _page_of(
                    self._bucket.list_objects_v2(
                        prefix=prefix,
                        start_after=after,
                        continuation_token=token,
                        max_keys=count,
                        delimiter=delimiter,
                    )
                )

        return self._repeated(ask)

    # ------------------------------------------------------------------------------------ writing

    def _store(self, upload: Upload) -> ObjectInfo:
        sent = self._sent(upload.options)
        if upload.create and not self._forbids:
            # x-oss-forbid-overwrite "does not take effect" in a bucket with versioning, enabled or suspended:
            # help.aliyun.com/en/oss/user-guide/overview-78. Which kind this is, the answer to a first write
            # says. A key that may only write cannot look, and has the server's word alone.
            self._look_before(upload, atomic=True)
        only = _FORBID_OVERWRITE if upload.create else {}
        if upload.size > multipart.SINGLE_MAX_BYTES:
            requests = _Multipart(self, upload, sent, only)
            etag = self._in_parts(upload, requests)
            return upload.stored(etag)
        with contextlib.closing(Slice(upload.source, 0, upload.size, upload.meter)) as body:
            digest = body.md5()
            sent = {**sent, **only, **_content_md5(digest)}

            def put() -> str:
                answer = self._bucket.put_object(self._full(upload.key), body, headers=sent)
                return self._accepted(answer, upload)

            def same(there: Mapping[str, str]) -> bool:
                return headers.etag(there).lower() == digest.hex()

            return upload.stored(self._written(upload, put, same, body))

    def _written(
        self,
        upload: Upload,
        send: Callable[[], str],
        same: Callable[[Mapping[str, str]], bool],
        body: Slice | None = None,
    ) -> str:
        """Send a write and return its ETag, even if the answer is lost; ``same`` is that of S3Storage."""

        def own(error: Exception) -> str | None:
            return self._find_own_upload(upload, same) if self._errors.code(error) in _MAYBE_OUR_OWN else None

        with self._errors.translated(upload.tried):
            return self._repeated(send, meter=upload.meter, body=body, own=own)

    def _accepted(self, answer: Any, upload: Upload) -> str:  # noqa: ANN401
        """The ETag of what an answered write has stored."""
        etag = headers.etag(answer.headers)
        if not etag:
            raise self._unexpected_answer(upload.tried, "ETag")
        self._forbids = "x-oss-version-id" not in answer.headers
        return etag

    def _delete(self, key: str) -> None:
        with self._errors.translated(f"delete {key!r}"):
            self._repeated(lambda: self._bucket.delete_object(self._full(key)))

    def _send_abort(self, full_key: str, upload_id: str) -> object:
        return self._bucket.abort_multipart_upload(full_key, upload_id)

    # ------------------------------------------------------------------------------------ addresses

    def _base(self) -> str:
        return self._address.base

    def _signed(self, full_key: str, seconds: int) -> str:
        return str(self._bucket.sign_url("GET", full_key, seconds, slash_safe=True))

    # ------------------------------------------------------------------------------------ pieces

    def _sent(self, options: PutOptions) -> dict[str, str | bytes]:
        """``options`` as headers. Raises ConfigurationError."""
        fields = self._fields(options)
        for name, value in self._metadata(options).items():
            fields[f"{self.dialect.metadata}{name}"] = value
        # http.client takes Latin-1 only, of a text
        return {name: value if value.isascii() else value.encode() for name, value in fields.items()}


class _Multipart:
    """The four requests of one multipart upload to OSS; a part is oss2's PartInfo."""

    def __init__(
        self,
        storage: OssStorage,
        upload: Upload,
        sent: Mapping[str, str | bytes],
        only: Mapping[str, str],
    ) -> None:
        self._storage, self._upload, self._sent, self._only = storage, upload, sent, only
        self._bucket, self._target = storage._bucket, storage._full(upload.key)

    def start(self) -> str:
        sent = {**self._sent, **self._only}  # refused before gigabytes travel; again when they have
        with self._storage._errors.translated(self._upload.tried):
            answer = self._storage._repeated(
                lambda: self._bucket.init_multipart_upload(self._target, headers=sent),
                meter=self._upload.meter,
            )
        return str(answer.upload_id)

    def send(self, upload_id: str, number: int, body: Slice) -> Any:  # noqa: ANN401
        from oss2.models import PartInfo

        sent = _content_md5(body.md5())
        with self._storage._errors.translated(f"{self._upload.tried}, part {number}"):
            answer = self._storage._repeated(
                lambda: self._bucket.upload_part(self._target, upload_id, number, body, headers=sent),
                body=body,
                policy=retries.PART,
            )
        return PartInfo(number, answer.etag, size=len(body), part_crc=answer.crc)

    def finish(self, upload_id: str, parts: Sequence[Any]) -> str:
        def complete() -> str:
            with connection_watch.finishing():
                answer = self._bucket.complete_multipart_upload(
                    self._target, upload_id, parts, headers=self._only
                )
            return self._storage._accepted(answer, self._upload)

        def same(there: Mapping[str, str]) -> bool:
            return _crc64(there) == _joined(parts)

        return self._storage._written(self._upload, complete, same)

    def abort(self, upload_id: str) -> None:
        self._storage._abort(self._storage._full(self._upload.key), upload_id)


def _page_of(answer: Any) -> Page:  # noqa: ANN401
    objects = [
        ObjectInfo(
            key=entry.key,
            size=entry.size,
            etag=entry.etag,
            modified=datetime.fromtimestamp(entry.last_modified, timezone.utc),
        )
        for entry in answer.object_list
    ]
    following = answer.next_continuation_token if answer.is_truncated else ""
    if answer.is_truncated and not following:
        raise NoAnswer("the listing says that it goes on, and not where")
    return Page(objects, following, list(answer.prefix_list))


def _content_md5(digest: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(digest).decode()}


def _crc64(answer: Mapping[str, str]) -> int | None:
    return headers.number(answer.get("x-oss-hash-crc64ecma", ""))


def _joined(parts: Sequence[Any]) -> int:
    """The CRC-64 of an object in parts, from what the server said of each; -1 where it said nothing."""
    from oss2.utils import calc_obj_crc_from_parts

    crc = calc_obj_crc_from_parts(parts)
    return -1 if crc is None else int(crc)
