"""S3 and its look-alikes, on boto3.

Nothing here asks which provider it talks to: what differs is a column of the provider's row.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import AccessDenied, IntegrityError, sentence
from .. import answers, connection_watch, headers, multipart, retries
from ..answers import NoAnswer
from ..base import ObjectInfo, Page
from ..headers import Reply, Upload
from ..http import HttpStorage
from ..multipart import Slice
from . import client as s3_client
from .errors import S3Errors

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

_PUT, _COMPLETE = "PutObject", "CompleteMultipartUpload"
_OF_A_PAGE = {"Name", "Prefix", "Contents", "IsTruncated", "MaxKeys", "KeyCount"}
_CONDITIONS = {"Range": "Range", "If-Match": "IfMatch"}
_KNOWS_NO_CONDITION = ("NotImplemented", "501")
_REFUSES_CONDITION = (*_KNOWS_NO_CONDITION, "InvalidArgument", "InvalidRequest", "400")
_MAYBE_OUR_OWN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchUpload")


class _Creation(NamedTuple):
    """How a write is kept from replacing an object.

    ``condition``: send If-None-Match. ``certain``: the server is known to obey it, so a key that may only
    write is safe. ``looks``: ask before the write whether the key is taken, as some servers ignore the
    condition.
    """

    condition: bool
    certain: bool
    looks: bool


_OVERWRITE = _Creation(False, certain=False, looks=False)
_LOOK_FIRST = _Creation(False, certain=False, looks=True)


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
        super().__init__(profile, row, credentials, str(self._client.meta.endpoint_url))
        puts, completes = row.conditional_writes, row.conditional_complete
        self._creation = {  # changes when the server turns out to refuse the condition
            _PUT: _LOOK_FIRST if puts is False else _Creation(True, certain=True, looks=not puts),
            _COMPLETE: _LOOK_FIRST
            if completes is False
            # Ceph accepts the condition on a completion and ignores it
            else _Creation(True, certain=completes is True, looks=not (puts and completes)),
        }
        self._address = ""
        self._client.meta.events.register("response-received.s3", self._note_clock)

    def _note_clock(self, response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
        answer = (response_dict or {}).get("headers", {})
        self._saw_date(answer.get("Date") or answer.get("date"))

    # ------------------------------------------------------------------------------------ reading

    def _head(self, key: str) -> Mapping[str, str]:
        def ask() -> Mapping[str, str]:
            with answers.parsing():
                return _headers(self._client.head_object(**self._target(key)))

        return self._repeated(ask)

    def _get(self, key: str, conditions: Mapping[str, str]) -> Reply:
        given = {_CONDITIONS[name]: value for name, value in conditions.items()}

        def ask() -> Mapping[str, Any]:
            with answers.parsing():
                return dict(self._client.get_object(**self._target(key), **given))

        answer = self._repeated(ask)
        body = answer["Body"]
        return Reply(answer["ResponseMetadata"]["HTTPStatusCode"], _headers(answer), body.read, body.close)

    def _page(self, prefix: str, after: str, token: str, count: int, delimiter: str = "") -> Page:
        given = {"StartAfter": after, "ContinuationToken": token, "Delimiter": delimiter}
        further = {name: value for name, value in given.items() if value}

        def ask() -> Page:
            with answers.parsing():
                answer = self._client.list_objects_v2(
                    Bucket=self.bucket, Prefix=prefix, MaxKeys=count, **further
                )
                return _page_of(answer)

        return self._repeated(ask)

    # ------------------------------------------------------------------------------------ writing

    def _store(self, upload: Upload) -> ObjectInfo:
        fields: dict[str, Any] = self._fields(upload.options)
        metadata = self._metadata(upload.options)
        if metadata:
            fields["Metadata"] = metadata
        if upload.size > multipart.SINGLE_MAX_BYTES:
            return self._store_parts(upload, fields)
        with contextlib.closing(Slice(upload.source, 0, upload.size, upload.meter)) as body:
            if self.endpoint.startswith("http:"):  # what nothing else protects; not every server looks at the
                fields["ContentMD5"] = base64.b64encode(body.md5()).decode()  # digest in the signature

            def send(condition: Mapping[str, bool]) -> str:
                body.seek(0)
                answer = self._client.put_object(
                    **self._target(upload.key), Body=body, ContentLength=upload.size, **condition, **fields
                )
                return self._require(answer, "ETag", upload.tried).strip('"')

            def same(there: Mapping[str, str]) -> bool:
                return headers.etag(there) == body.md5().hex()

            return upload.stored(self._written(upload, _PUT, send, same))

    def _store_parts(self, upload: Upload, fields: Mapping[str, Any]) -> ObjectInfo:
        if upload.create:  # before gigabytes travel; the server is asked again when they have
            self._look_before(upload, atomic=self._creation[_COMPLETE].certain)
        requests = _Multipart(self, upload, fields)
        etag = self._in_parts(upload, requests)
        try:
            stored = self.stat(upload.key)
        except AccessDenied:  # of a key that may only write
            return upload.stored(etag)
        if stored.size != upload.size:
            said = f"{stored.size} of {upload.size} bytes arrived"
            raise IntegrityError(sentence(upload.tried, self.place, said, "Run the node again."))
        return stored

    def _written(
        self,
        upload: Upload,
        operation: str,
        send: Callable[[Mapping[str, bool]], str],
        same: Callable[[Mapping[str, str]], bool],
    ) -> str:
        """Send a write and return its ETag. With ``upload.create`` the key must be free.

        ``send`` gets the condition to send with; ``same`` says whether the headers of an object are those of
        what was sent.
        """

        def own(error: Exception) -> str | None:
            return self._find_own_upload(upload, same) if self._errors.code(error) in _MAYBE_OUR_OWN else None

        def write(way: _Creation) -> str:
            if way.looks:
                self._look_before(upload, atomic=way.certain)
            condition = {"CreateOnly": True} if way.condition else {}
            return self._repeated(functools.partial(send, condition), meter=upload.meter, own=own)

        way = self._creation[operation] if upload.create else _OVERWRITE
        with self._errors.translated(upload.tried):
            try:
                return write(way)
            except Exception as error:
                code = self._errors.code(error)
                if not way.condition or code not in _REFUSES_CONDITION:
                    raise
            if code in _KNOWS_NO_CONDITION:
                self._creation[operation] = _LOOK_FIRST
            etag = write(_LOOK_FIRST)
            self._creation[operation] = _LOOK_FIRST  # it was the condition that such a code refused
            return etag

    def _delete(self, key: str) -> None:
        try:
            self._repeated(lambda: self._client.delete_object(**self._target(key)))
        except Exception as error:  # noqa: BLE001  raised again as what it means
            if self._errors.code(error) != "NoSuchKey":  # S3 does not mind, Google's does
                self._errors.reraise(error, f"delete {key!r}")

    def _send_abort(self, full_key: str, upload_id: str) -> object:
        return self._client.abort_multipart_upload(Bucket=self.bucket, Key=full_key, UploadId=upload_id)

    # ------------------------------------------------------------------------------------ addresses

    def _base(self) -> str:
        if not self._address:
            with self._errors.translated("form an address"):
                self._address = self._signed("x", 60).partition("?")[0].removesuffix("x")
        return self._address

    def _signed(self, full_key: str, seconds: int) -> str:
        parameters = {"Bucket": self.bucket, "Key": full_key}
        return str(self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))

    # ------------------------------------------------------------------------------------ pieces

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self._full(key)}

    def _require(self, answer: Mapping[str, Any], name: str, tried: str) -> str:
        if name not in answer:
            raise self._unexpected_answer(tried, name)
        return str(answer[name])


class _Multipart:
    """The four requests of one multipart upload to S3; a part is its number and ETag."""

    def __init__(self, storage: S3Storage, upload: Upload, fields: Mapping[str, Any]) -> None:
        self._storage, self._upload, self._fields = storage, upload, fields
        self._client, self._target = storage._client, storage._target(upload.key)

    def start(self) -> str:
        with self._storage._errors.translated(self._upload.tried):
            answer = self._storage._repeated(
                lambda: self._client.create_multipart_upload(**self._target, **self._fields),
                meter=self._upload.meter,
            )
        return self._storage._require(answer, "UploadId", self._upload.tried)

    def send(self, upload_id: str, number: int, body: Slice) -> dict[str, Any]:
        tried = f"{self._upload.tried}, part {number}"
        with self._storage._errors.translated(tried):
            answer = self._storage._repeated(
                lambda: self._client.upload_part(
                    **self._target, UploadId=upload_id, PartNumber=number, Body=body, ContentLength=len(body)
                ),
                body=body,
                policy=retries.PART,
            )
        return {"PartNumber": number, "ETag": self._storage._require(answer, "ETag", tried)}

    def finish(self, upload_id: str, parts: Sequence[dict[str, Any]]) -> str:
        def complete(condition: Mapping[str, bool]) -> str:
            with connection_watch.finishing():
                answer = self._client.complete_multipart_upload(
                    **self._target, UploadId=upload_id, MultipartUpload={"Parts": list(parts)}, **condition
                )
            etag = self._storage._require(answer, "ETag", self._upload.tried)
            return etag.strip('"') or _joined(parts)  # Ceph leaves it empty

        def same(there: Mapping[str, str]) -> bool:
            return headers.etag(there) == _joined(parts)

        return self._storage._written(self._upload, _COMPLETE, complete, same)

    def abort(self, upload_id: str) -> None:
        self._storage._abort(self._storage._full(self._upload.key), upload_id)


def _page_of(answer: Mapping[str, Any]) -> Page:
    if not _OF_A_PAGE & answer.keys():
        raise NoAnswer("the answer has no listing")
    objects = [
        ObjectInfo(
            key=entry["Key"],
            size=int(entry["Size"]),
            etag=str(entry.get("ETag", "")).strip('"'),
            modified=entry.get("LastModified"),
        )
        for entry in answer.get("Contents", [])
    ]
    following = str(answer.get("NextContinuationToken", "")) if answer.get("IsTruncated") else ""
    if answer.get("IsTruncated") and not following:
        raise NoAnswer("the listing says that it goes on, and not where")
    return Page(objects, following, [entry["Prefix"] for entry in answer.get("CommonPrefixes", [])])


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return found


def _joined(parts: Sequence[Mapping[str, Any]]) -> str:
    """The ETag of an object in parts: the MD5 of the parts' MD5s; "" where their ETags are none."""
    try:
        digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
