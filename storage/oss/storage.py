"""Aliyun OSS with its own protocol, through oss2.

The server checks the bytes by Content-MD5: it refuses damaged bytes and stores nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .. import connection_watch, headers, listing_pages
from ..base import ObjectInfo, Page, PutOptions
from ..headers import Reply, UploadRequest
from ..http import HttpStorage, PartRequests
from ..multipart import Slice
from . import client as oss_client
from .errors import OssErrors

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider


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
        # help.aliyun.com/en/oss/developer-reference/headobject: an MD5 only after PutObject
        no_md5={
            "x-oss-object-type": ("", "Multipart", "Appendable", "Symlink"),
            "x-oss-server-side-encryption": ("KMS",),
        },
    )

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials) -> None:
        self._address = oss_client.address(profile)
        self._bucket = oss_client.build(profile, row, credentials, self._address, self._record_date)
        super().__init__(profile, row, credentials, self._address.endpoint)
        self._forbids: bool | None = None  # if x-oss-forbid-overwrite has an effect; None: not yet known

    # ------------------------------------------------------------------------------------ reading

    def _head(self, full_key: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self._bucket.head_object(full_key).headers
        return found

    def _get(self, full_key: str, conditions: Mapping[str, str]) -> Reply:
        # "standard": otherwise a range after the end returns the whole object
        sent = {**conditions, "x-oss-range-behavior": "standard"}
        answer = self._bucket.get_object(full_key, headers=sent)
        raw = answer.resp.response.raw  # requests would decompress an object that is stored with gzip

        def read(size: int) -> bytes:
            return bytes(raw.read(size, decode_content=False))

        return Reply(answer.status, answer.headers, read, answer.close)

    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        answer = self._bucket.list_objects_v2(
            prefix=prefix,
            start_after=after,
            continuation_token=token,
            max_keys=count,
            delimiter=delimiter,
        )
        objects = [
            ObjectInfo(
                key=entry.key,
                size=entry.size,
                etag=entry.etag,
                modified=datetime.fromtimestamp(entry.last_modified, timezone.utc),
            )
            for entry in answer.object_list
        ]
        token, folders = answer.next_continuation_token, list(answer.prefix_list)
        return listing_pages.page(objects, answer.is_truncated, token, folders)

    # ------------------------------------------------------------------------------------ writing

    def _fields(self, options: PutOptions) -> dict[str, Any]:
        fields = headers.fields(options, self.dialect, self._row)
        for name, value in headers.metadata(options, self.dialect).items():
            fields[f"{self.dialect.metadata}{name}"] = value
        # http.client encodes a str as Latin-1
        return {name: value if value.isascii() else value.encode() for name, value in fields.items()}

    def _store_single(self, upload: UploadRequest, fields: dict[str, Any], body: Slice) -> str:
        only = self._only_if_free(upload)
        digest = body.digest("md5")
        sent = {**fields, **only, **_content_md5(digest)}

        def put() -> str:
            return self._etag(self._bucket.put_object(upload.full_key, body, headers=sent), upload)

        def is_own(answer: Mapping[str, str]) -> bool:
            return headers.etag(answer).lower() == digest.hex()

        with self._writing(upload):
            return self._write(upload, put, is_own, body)

    def _store_parts(self, upload: UploadRequest, fields: dict[str, Any]) -> ObjectInfo:
        requests = _PartRequests(self, upload, fields, self._only_if_free(upload))
        return upload.stored(self._send_parts(upload, requests))

    def _only_if_free(self, upload: UploadRequest) -> dict[str, str]:
        """Return the headers with which a write does not replace an object. Raises AlreadyExists.

        x-oss-forbid-overwrite "does not take effect" in a bucket with versioning, enabled or suspended:
        help.aliyun.com/en/oss/user-guide/overview-78. The answer to the first write says if this is one;
        until then the key is checked. A write-only key cannot check, and has to trust the server.
        """
        if not upload.create:
            return {}
        if not self._forbids:
            self._check_free(upload, atomic=True)
        return {"x-oss-forbid-overwrite": "true"}

    def _etag(self, answer: Any, upload: UploadRequest) -> str:  # noqa: ANN401
        """Return the ETag from the answer to a write."""
        etag = headers.etag(self._with_etag(answer.headers, upload.tried))
        self._forbids = "x-oss-version-id" not in answer.headers
        return etag

    def _send_delete(self, full_key: str) -> object:
        return self._bucket.delete_object(full_key)

    def _send_abort(self, full_key: str, upload_id: str) -> object:
        return self._bucket.abort_multipart_upload(full_key, upload_id)

    # ------------------------------------------------------------------------------------ addresses

    def _base(self) -> str:
        return self._address.base

    def _signed(self, full_key: str, seconds: int) -> str:
        return str(self._bucket.sign_url("GET", full_key, seconds, slash_safe=True))


class _PartRequests(PartRequests[OssStorage]):
    """The requests of one multipart upload to OSS; a part is oss2's PartInfo."""

    def __init__(
        self, storage: OssStorage, upload: UploadRequest, fields: Mapping[str, Any], only: Mapping[str, str]
    ) -> None:
        super().__init__(storage, upload, {**fields, **only})  # refuse a taken key before the bytes are sent
        self._only = only

    def _start(self) -> str:
        answer = self.storage._bucket.init_multipart_upload(self.upload.full_key, headers=self.fields)
        return str(answer.upload_id)

    def _send(self, upload_id: str, number: int, body: Slice) -> Any:  # noqa: ANN401
        from oss2.models import PartInfo

        answer = self.storage._bucket.upload_part(
            self.upload.full_key, upload_id, number, body, headers=_content_md5(body.digest("md5"))
        )
        return PartInfo(number, answer.etag, size=len(body), part_crc=answer.crc)

    def finish(self, upload_id: str, parts: Sequence[Any]) -> str:
        def complete() -> str:
            with connection_watch.completing():
                answer = self.storage._bucket.complete_multipart_upload(
                    self.upload.full_key, upload_id, parts, headers=self._only
                )
            return self.storage._etag(answer, self.upload)

        def is_own(answer: Mapping[str, str]) -> bool:
            return headers.number(answer.get("x-oss-hash-crc64ecma", "")) == _joined_crc64(parts)

        with self.storage._writing(self.upload):
            return self.storage._write(self.upload, complete, is_own)


def _content_md5(digest: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(digest).decode()}


def _joined_crc64(parts: Sequence[Any]) -> int:
    """Return the CRC-64 of an upload in parts from those of the parts; -1 if the server gave none."""
    from oss2.utils import calc_obj_crc_from_parts

    crc = calc_obj_crc_from_parts(parts)
    return -1 if crc is None else int(crc)
