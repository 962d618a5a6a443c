"""S3 and compatible services, with boto3.

Nothing here depends on the name of the provider: every difference is a column of its row.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import AccessDenied, IntegrityError, sentence
from .. import connection_watch, headers, listing_pages
from ..answers import InvalidAnswer
from ..base import ObjectInfo, Page, PutOptions
from ..headers import Reply, UploadRequest
from ..http import HttpStorage, PartRequests
from ..multipart import Slice
from . import client as s3_client
from .direct import UNSIGNED, Direct, Part
from .errors import S3Errors
from .kept_connection import KeptConnection

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

_PUT, _COMPLETE = "PutObject", "CompleteMultipartUpload"
_PAGE_FIELDS = {"Name", "Prefix", "Contents", "IsTruncated", "MaxKeys", "KeyCount"}
_CONDITIONS = {"Range": "Range", "If-Match": "IfMatch"}
_CRC32 = "x-amz-checksum-crc32"
_SHA256 = re.compile("[0-9a-f]{64}")
# A server that does not support If-None-Match, and one that may not
_NO_CONDITIONS = ("NotImplemented", "501")
_UNMET = ("PreconditionFailed", "412")
# The ETag in If-Match. Ceph compares the quotes too, so that no ETag is equal to a quoted one; a bare one may
# be. "" is for a server that finds none equal.
_ETAG_FORMS = ('"{}"', "{}", "")
_MAYBE_NO_CONDITIONS = (*_NO_CONDITIONS, "InvalidArgument", "InvalidRequest", "400")


class _Creation(NamedTuple):
    """How a write avoids replacing an object.

    ``condition``: send If-None-Match. ``certain``: the server is known to respect it, so a write-only key is
    safe. ``checks``: check before the write if the key is taken, because some servers ignore the condition.
    """

    condition: bool
    certain: bool
    checks: bool


_OVERWRITE = _Creation(False, certain=False, checks=False)
_CHECK_FIRST = _Creation(False, certain=False, checks=True)


class S3Storage(HttpStorage):
    """One bucket behind one boto3 client."""

    sdk_errors = S3Errors
    dialect = headers.Dialect(
        name="S3",
        fields={
            "content_type": "ContentType",
            "content_disposition": "ContentDisposition",
            "cache_control": "CacheControl",
            "storage_class": "StorageClass",
            "acl": "ACL",
            "server_side_encryption": "ServerSideEncryption",
            "kms_key_id": "SSEKMSKeyId",
            "tags": "Tagging",
        },
        metadata="x-amz-meta-",
        metadata_name=re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"),  # rfc-editor.org/rfc/rfc9110#section-5.6.2
        metadata_max_bytes=2048,  # docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
        # docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html, ETag
        no_md5={
            "x-amz-server-side-encryption": ("aws:kms", "aws:kms:dsse"),
            "x-amz-server-side-encryption-customer-algorithm": ("*",),
        },
    )

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials) -> None:
        self._client = s3_client.build(profile, row, credentials)
        self._direct = Direct(self._client)
        super().__init__(profile, row, credentials, str(self._client.meta.endpoint_url))
        puts, completes = row.conditional_writes, row.conditional_complete
        self._creation = {  # becomes _CHECK_FIRST once the server has refused the condition
            _PUT: _CHECK_FIRST if puts is False else _Creation(True, certain=True, checks=not puts),
            _COMPLETE: _CHECK_FIRST
            if completes is False
            # Ceph accepts the condition on a completion and ignores it
            else _Creation(True, certain=completes is True, checks=not (puts and completes)),
        }
        self._etag_form = 0  # in _ETAG_FORMS; the next one once the server has refused the ETag of the object
        self._address = ""
        self._checks_crc32 = False  # becomes True once an answer has the checksum that the request had
        self._client.meta.events.register("response-received.s3", self._record_clock)

    @property
    def refuses_replaced(self) -> bool:
        is_asked = self._creation[_PUT].condition and bool(_ETAG_FORMS[self._etag_form])
        return bool(self._row.conditional_writes) and is_asked

    def _record_clock(self, response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
        answer = (response_dict or {}).get("headers", {})
        self._record_date(answer.get("Date") or answer.get("date"))

    # ------------------------------------------------------------------------------------ reading

    def _head(self, full_key: str) -> Mapping[str, str]:
        if connection := self._direct.connection():
            answer = self._direct.head(connection, full_key)
            self._record_date(answer.get("date"))
            return answer
        return _headers(self._client.head_object(**self._target(full_key)))

    def _get(self, full_key: str, conditions: Mapping[str, str]) -> Reply:
        # AWS's answers with whole objects have checksums, which its SDK checks
        is_checked = self._row.checksums == "when_supported" and "Range" not in conditions
        if not is_checked and (connection := self._direct.connection()):
            reply = self._direct.get(connection, full_key, conditions)
            self._record_date(reply.headers.get("date"))
            return reply
        parameters = {_CONDITIONS[name]: value for name, value in conditions.items()}
        answer = self._client.get_object(**self._target(full_key), **parameters)
        self._direct.learn(full_key)
        body = answer["Body"]
        return Reply(answer["ResponseMetadata"]["HTTPStatusCode"], _headers(answer), body.read, body.close)

    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        optional = {"StartAfter": after, "ContinuationToken": token, "Delimiter": delimiter}
        parameters = {name: value for name, value in optional.items() if value}
        answer = self._client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=count, **parameters)
        if not _PAGE_FIELDS & answer.keys():
            raise InvalidAnswer("the answer has no listing")
        objects = [
            ObjectInfo(
                key=entry["Key"],
                size=int(entry["Size"]),
                etag=str(entry.get("ETag", "")).strip('"'),
                modified=entry.get("LastModified"),
            )
            for entry in answer.get("Contents", [])
        ]
        folders = [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])]
        token = answer.get("NextContinuationToken", "")
        return listing_pages.page(objects, bool(answer.get("IsTruncated")), token, folders)

    # ------------------------------------------------------------------------------------ writing

    def _fields(self, options: PutOptions) -> dict[str, Any]:
        fields: dict[str, Any] = headers.fields(options, self.dialect, self._row)
        if metadata := headers.metadata(options, self.dialect):
            fields["Metadata"] = metadata
        return fields

    def _store_single(self, upload: UploadRequest, fields: dict[str, Any], body: Slice) -> str:
        if self._is_plain and not self._checks_crc32:
            fields["ContentMD5"] = _base64(body.digest("md5"))
        named = self._as_headers(fields)

        def send(condition: Mapping[str, str]) -> str:
            body.seek(0)
            # a larger one waits for "100 Continue", in botocore's way
            if upload.size < s3_client.SMALL_BYTES and (connection := self._direct.connection()):
                answer = self._put_directly(
                    connection, upload, {**named, **condition}, body, upload.sha256, checked=self._is_plain
                )
                self._checks_crc32 = self._checks_crc32 or _CRC32 in answer
                return headers.etag(answer)
            answer = self._client.put_object(
                **self._target(upload.full_key),
                Body=body,
                ContentLength=upload.size,
                Condition=condition,
                **fields,
            )
            self._direct.learn(upload.full_key)
            return self._require(answer, "ETag", upload.tried).strip('"')

        def is_own(answer: Mapping[str, str]) -> bool:
            return headers.etag(answer) == body.digest("md5").hex()

        return self._write_if_free(upload, _PUT, send, is_own)

    @property
    def _is_plain(self) -> bool:
        """Whether no TLS protects what is sent, so that a checksum must; not every server checks the
        signed SHA-256."""
        return self.endpoint.startswith("http:")

    def _as_headers(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the fields of a write as the headers that botocore makes of them."""
        names = self._direct.header_names
        named = {names[name]: value for name, value in fields.items() if name != "Metadata"}
        for name, value in fields.get("Metadata", {}).items():
            named[f"{self.dialect.metadata}{name}"] = value
        return named

    def _put_directly(
        self,
        connection: KeptConnection,
        upload: UploadRequest,
        sent: dict[str, str],
        body: Slice,
        sha256: str = "",
        *,
        checked: bool = False,
        part: Part | None = None,
    ) -> Mapping[str, str]:
        """Send the object, or a part of it, and return the headers of the answer, which have an ETag.

        ``sha256`` is that of ``body``, if it is known; ``checked``: add a checksum that the server checks,
        which AWS gets always.
        """
        try:
            if checked or self._row.checksums == "when_supported":
                sent[_CRC32] = _base64(body.crc32())
            payload = sha256 if _SHA256.fullmatch(sha256) else ""
            if not payload:
                payload = body.digest("sha256").hex() if self._is_plain else UNSIGNED
        except BaseException:
            connection.keep({})  # nothing has been sent
            raise
        body.begin()
        answer = self._direct.put(connection, upload.full_key, sent, payload, body, part)
        self._record_date(answer.get("date"))
        return self._with_etag(answer, f"{upload.tried}, part {part.number}" if part else upload.tried)

    def _store_parts(self, upload: UploadRequest, fields: dict[str, Any]) -> ObjectInfo:
        if upload.create:  # before gigabytes are sent; checked again afterwards
            self._check_free(upload, atomic=self._creation[_COMPLETE].certain)
        etag = self._send_parts(upload, _PartRequests(self, upload, fields))
        try:
            stored = self.stat(upload.key)
        except AccessDenied:  # a write-only key
            return upload.stored(etag)
        if stored.size != upload.size:
            said = f"{stored.size} of {upload.size} bytes arrived"
            raise IntegrityError(sentence(upload.tried, self.place, said, "Run the node again."))
        return stored

    def _write_if_free(
        self,
        upload: UploadRequest,
        operation: str,
        send: Callable[[Mapping[str, str]], str],
        is_own: Callable[[Mapping[str, str]], bool],
    ) -> str:
        """Send a write and return its ETag. With ``upload.create`` the key must be free; with
        ``upload.replaces`` it has been checked.

        ``send`` gets the headers of the condition; ``is_own`` is that of ``_write``.
        """
        form = self._etag_form
        match = _ETAG_FORMS[form].format(upload.replaces)
        met = {"If-None-Match": "*"} if upload.create else {"If-Match": match}

        def write(creation: _Creation) -> str:
            # not for a completion: Ceph accepts the condition there and ignores it
            is_known = upload.listed_free and creation.condition and operation == _PUT
            if creation.checks and upload.create and not is_known:
                self._check_free(upload, atomic=creation.certain)
            condition = met if creation.condition else {}
            return self._write(upload, functools.partial(send, condition), is_own)

        creation = self._creation[operation] if upload.create else _OVERWRITE
        if upload.replaces and match:
            creation = self._creation[operation]
        with self._writing(upload):
            try:
                return write(creation)
            except Exception as error:
                code = self._errors.code(error)
                if upload.replaces and creation.condition and code in _UNMET:
                    self._check_is(upload)
                    self._etag_form = max(self._etag_form, form + 1)
                    return self._write_if_free(upload, operation, send, is_own)
                if not creation.condition or code not in _MAYBE_NO_CONDITIONS:
                    raise
            if code in _NO_CONDITIONS:
                self._creation[operation] = _CHECK_FIRST
            etag = write(_CHECK_FIRST)
            self._creation[operation] = _CHECK_FIRST  # it works without: the server refused the condition
            return etag

    def _send_delete(self, full_key: str) -> object:
        return self._client.delete_object(**self._target(full_key))

    def _send_abort(self, full_key: str, upload_id: str) -> object:
        return self._client.abort_multipart_upload(**self._target(full_key), UploadId=upload_id)

    # ------------------------------------------------------------------------------------ addresses

    def _base(self) -> str:
        if not self._address:
            with self._errors.translated("form an address"):
                self._address = self._signed("x", 60).partition("?")[0].removesuffix("x")
        return self._address

    def _signed(self, full_key: str, seconds: int) -> str:
        parameters = self._target(full_key)
        return str(self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))

    def _target(self, full_key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": full_key}

    def _require(self, answer: Mapping[str, Any], name: str, tried: str) -> str:
        if name not in answer:
            raise self._unexpected_answer(tried, name)
        return str(answer[name])


class _PartRequests(PartRequests[S3Storage]):
    """The requests of one multipart upload to S3; a part is its number and ETag."""

    def _start(self) -> str:
        target = self.storage._target(self.upload.full_key)
        answer = self.storage._client.create_multipart_upload(**target, **self.fields)
        self.storage._direct.learn(self.upload.full_key)
        return self.storage._require(answer, "UploadId", self.upload.tried)

    def _send(self, upload_id: str, number: int, body: Slice) -> dict[str, Any]:
        if connection := self.storage._direct.connection():
            part = Part(upload_id, number)
            sent = self.storage._put_directly(connection, self.upload, {}, body, part=part)
            return {"PartNumber": number, "ETag": headers.etag(sent)}
        answer = self.storage._client.upload_part(
            **self.storage._target(self.upload.full_key),
            UploadId=upload_id,
            PartNumber=number,
            Body=body,
            ContentLength=len(body),
        )
        etag = self.storage._require(answer, "ETag", f"{self.upload.tried}, part {number}")
        return {"PartNumber": number, "ETag": etag}

    def finish(self, upload_id: str, parts: Sequence[dict[str, Any]]) -> str:
        def complete(condition: Mapping[str, str]) -> str:
            with connection_watch.completing():
                answer = self.storage._client.complete_multipart_upload(
                    **self.storage._target(self.upload.full_key),
                    UploadId=upload_id,
                    MultipartUpload={"Parts": list(parts)},
                    Condition=condition,
                )
            etag = self.storage._require(answer, "ETag", self.upload.tried)
            return etag.strip('"') or _joined_etag(parts)  # Ceph's is empty

        def is_own(answer: Mapping[str, str]) -> bool:
            return headers.etag(answer) == _joined_etag(parts)

        return self.storage._write_if_free(self.upload, _COMPLETE, complete, is_own)


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return found


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _joined_etag(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the ETag of an upload in parts: the MD5 of the parts' MD5s; "" if their ETags are not MD5s."""
    try:
        digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
