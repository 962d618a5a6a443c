"""S3 and its look-alikes, on boto3.

Nothing here asks which provider it talks to: what differs is a column of the provider's row. HeadBucket and
ListBuckets are never sent, because least-privilege keys may not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from . import multipart, s3_client
from .errors import AccessDenied, AlreadyExists, ConfigurationError, IntegrityError, NotFound, StorageError
from .multipart import Slice
from .storage import SHA256_METADATA, Meter, ObjectInfo, Opened, PutOptions, Storage, paced

if TYPE_CHECKING:
    from .profile import Credentials, Profile
    from .providers import Provider

PAGE_KEYS = 1000
METADATA_MAX_BYTES = 2048  # docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
_REFUSES_CONDITION = ("NotImplemented", "InvalidArgument", "InvalidRequest", "501", "400")

T = TypeVar("T")


class S3Storage(Storage):
    """One bucket behind one boto3 client; the client is thread-safe and keeps its connections."""

    def __init__(self, profile: Profile, row: Provider, credentials: Credentials) -> None:
        self._client = s3_client.build(profile, row, credentials)
        self._credentials = credentials
        self._profile = profile
        self._row = row
        self._bucket = profile.bucket
        self._creates = row.conditional_writes is not False
        self._base = ""
        self.path_prefix = profile.path_prefix
        self.read_only = profile.read_only
        self.defaults = PutOptions(**vars(profile.upload))
        self.max_key_bytes = row.max_key_bytes
        self.endpoint = str(self._client.meta.endpoint_url)
        self.place = f"bucket {profile.bucket!r} at {self.endpoint}"
        self._client.meta.events.register("response-received.s3", self._note_clock)

    def _note_clock(self, response_dict: Mapping[str, Any] | None = None, **_: object) -> None:
        headers = (response_dict or {}).get("headers", {})
        self._saw_date(headers.get("Date") or headers.get("date"))

    # ------------------------------------------------------------------------------------------ reading

    def stat(self, key: str) -> ObjectInfo:
        tried = f"look at {key!r}"
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._full(key))
        except Exception as error:
            self._explain_head(error, key, tried)
        return self._info(key, answer)

    def list(self, prefix: str = "", limit: int | None = None, after: str = "") -> Iterator[ObjectInfo]:
        left = limit
        arguments = {"Prefix": self._full(prefix)}
        if after:
            arguments["StartAfter"] = self._full(after)
        while left is None or left > 0:
            arguments["MaxKeys"] = PAGE_KEYS if left is None else min(left, PAGE_KEYS)
            with self._translated(f"list {prefix!r}"):
                page = self._client.list_objects_v2(Bucket=self._bucket, **arguments)
            for entry in page.get("Contents", []):
                yield ObjectInfo(
                    key=self._relative(entry["Key"]),
                    size=entry["Size"],
                    etag=str(entry.get("ETag", "")).strip('"'),
                    modified=entry.get("LastModified"),
                )
            left = None if left is None else left - len(page.get("Contents", []))
            if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    def _open(self, key: str, start: int, stop: int | None, etag: str | None) -> Opened:
        tried = f"read {key!r}"
        arguments: dict[str, Any] = {}
        if start or stop is not None:
            if stop is not None and stop <= start:
                return Opened(self.stat(key), 0, iter(()))
            arguments["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        if etag:
            arguments["IfMatch"] = f'"{etag}"'
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._full(key), **arguments)
        except Exception as error:
            if s3_client.code_of(error) in ("InvalidRange", "416"):
                return Opened(self.stat(key), 0, iter(()))
            self._explain_get(error, tried, expected=bool(etag))
        length, size = answer["ContentLength"], answer["ContentLength"]
        if arguments.get("Range"):
            size = self._ranged(answer, start, stop, tried)
        return Opened(self._info(key, answer, size), length, self._chunks(answer["Body"], tried))

    def _ranged(self, answer: Mapping[str, Any], start: int, stop: int | None, tried: str) -> int:
        """The object's whole size, once the answer is known to be the range that was asked for."""
        span, _, total = str(answer.get("ContentRange", "")).removeprefix("bytes ").partition("/")
        length = int(answer["ContentLength"])
        if not span and start == 0 and (stop is None or length <= stop):
            return length  # the range holds the whole object, and the server answered as if none was given
        if answer["ResponseMetadata"]["HTTPStatusCode"] != 206 or span.partition("-")[0] != str(start):  # noqa: PLR2004
            answer["Body"].close()
            raise IntegrityError(
                f"Could not {tried} ({self.place}): the server ignored the range from byte {start}. "
                "Look at what stands between here and the server: a proxy or CDN may not pass ranges on."
            )
        return int(total) if total.isdigit() else start + length

    def _chunks(self, body: Any, tried: str) -> Iterator[bytes]:  # noqa: ANN401
        with contextlib.closing(body), self._translated(tried):
            yield from paced(body.read)

    # ------------------------------------------------------------------------------------------ writing

    def _put(self, key: str, source: bytes | Path, options: PutOptions, meter: Meter, create: bool) -> ObjectInfo:
        tried = f"store {key!r}"
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        fields = self._fields(options)
        if size > multipart.SINGLE_MAX_BYTES:
            return self._put_parts(key, source, size, fields, meter, create)
        with contextlib.closing(Slice(source, 0, size, meter)) as body:
            etag = self._creating(
                key,
                create,
                lambda only: self._client.put_object(
                    Bucket=self._bucket, Key=self._full(key), Body=body, ContentLength=size, **only, **fields
                )["ETag"],
                lambda: self._is_own(key, source, size, options),
                tried,
            )
        return ObjectInfo(key, size, etag.strip('"'), None, options.content_type, _sha256(options))

    def _put_parts(
        self, key: str, source: bytes | Path, size: int, fields: Mapping[str, Any], meter: Meter, create: bool
    ) -> ObjectInfo:
        if create:  # before gigabytes travel; the server is asked again when they have
            self._refuse_existing(key)
        requests = _Multipart(self, key, fields, create)
        multipart.upload(source, size, requests, self._limits(), meter)
        stored = self.stat(key)
        if stored.size != size:
            raise IntegrityError(
                f"Could not store {key!r} ({self.place}): {stored.size} of {size} bytes arrived. Run the node again."
            )
        return stored

    def _creating(
        self,
        key: str,
        create: bool,
        send: Callable[[dict[str, bool]], T],
        is_own: Callable[[], T | None],
        tried: str,
        conditional: bool = True,
    ) -> T:
        """Send a write that may have to be the first of its key, by the server's own means or by a look before it."""
        atomic = create and self._creates and conditional
        if create and not atomic:
            self._refuse_existing(key)
        try:
            return send({"CreateOnly": True} if atomic else {})
        except Exception as error:  # noqa: BLE001  translated below, nothing is lost
            if atomic and s3_client.code_of(error) in _REFUSES_CONDITION:
                self._creates = False
                return self._creating(key, create, send, is_own, tried)
            taken = s3_client.code_of(error) in ("PreconditionFailed", "412", "ConditionalRequestConflict")
            if atomic and taken and s3_client.retried(error):
                own = is_own()  # the answer to the first try was lost, and the second met the object of the first
                if own is not None:
                    return own
            self._raise(error, tried)

    def _refuse_existing(self, key: str) -> None:
        with contextlib.suppress(NotFound):
            self.stat(key)
            raise AlreadyExists(
                f"Could not store {key!r} ({self.place}): there is an object of that name. "
                "Choose another name, or set if_exists to `new name`."
            )

    def _is_own(self, key: str, source: bytes | Path, size: int, options: PutOptions) -> str | None:
        """The ETag of the object under ``key`` if it is what was just sent, else None."""
        stored = self.stat(key)
        content = source if isinstance(source, bytes) else source.read_bytes()
        same = stored.sha256 == _sha256(options) if stored.sha256 else stored.etag == hashlib.md5(content).hexdigest()  # noqa: S324
        return stored.etag if stored.size == size and same else None

    def _delete(self, key: str) -> None:
        with self._translated(f"delete {key!r}"), contextlib.suppress(NotFound):
            self._client.delete_object(Bucket=self._bucket, Key=self._full(key))

    # ------------------------------------------------------------------------------------------ addresses

    def url(self, key: str) -> str:
        if self._profile.public_url:
            return f"{self._profile.public_url}/{_quoted(self._full(key))}"
        if not self._base:
            probe = "x"
            with self._translated("form an address"):
                signed = self._sign(probe, 60)
            self._base = signed.partition("?")[0][: -len(probe)]
        return self._base + _quoted(self._full(key))

    def signed_url(self, key: str, expires: timedelta) -> str:
        if self._profile.auth == "anonymous":
            raise ConfigurationError(
                f"Could not sign an address for {key!r}: the profile is anonymous and has no key. "
                "Use the object's own address, or a profile with credentials."
            )
        with self._translated(f"sign an address for {key!r}"):
            return self._sign(self._full(key), int(expires.total_seconds()))

    def _sign(self, full_key: str, seconds: int) -> str:
        parameters = {"Bucket": self._bucket, "Key": full_key}
        return str(self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds))

    # ------------------------------------------------------------------------------------------ pieces

    def _info(self, key: str, answer: Mapping[str, Any], size: int | None = None) -> ObjectInfo:
        return ObjectInfo(
            key=key,
            size=answer["ContentLength"] if size is None else size,
            etag=str(answer.get("ETag", "")).strip('"'),
            modified=answer.get("LastModified"),
            content_type=answer.get("ContentType", ""),
            sha256=answer.get("Metadata", {}).get(SHA256_METADATA, ""),
        )

    def _fields(self, options: PutOptions) -> dict[str, Any]:
        """``options`` as boto3's parameters, the empty ones left out. Raises ConfigurationError."""
        if options.tags and not self._row.tagging:
            raise ConfigurationError(f"{self._row.name} has no object tags. Remove upload.tags from the profile.")
        if options.acl and not self._row.acl:
            raise ConfigurationError(f"{self._row.name} has no object ACLs. Remove upload.acl from the profile.")
        # S3 headers are ASCII: boto3 refuses the rest, and some servers cannot check its signature
        metadata = {name: quote(value, safe=" !#$&'()*+,/:;=?@[]~") for name, value in options.metadata.items()}
        if sum(len(name) + len(value) for name, value in metadata.items()) > METADATA_MAX_BYTES:
            raise ConfigurationError(
                f"The metadata is larger than the {METADATA_MAX_BYTES} bytes that S3 takes. Shorten upload.metadata."
            )
        fields = {
            "ContentType": options.content_type,
            "ContentDisposition": options.content_disposition,
            "CacheControl": options.cache_control,
            "StorageClass": options.storage_class,
            "ACL": options.acl,
            "ServerSideEncryption": options.server_side_encryption,
            "SSEKMSKeyId": options.kms_key_id,
            "Tagging": urlencode(options.tags),
            "Metadata": metadata,
        }
        return {name: value for name, value in fields.items() if value}

    def _limits(self) -> multipart.Limits:
        return multipart.Limits(self._row.max_parts, self._row.min_part_bytes, self._row.max_part_bytes)

    @contextlib.contextmanager
    def _translated(self, tried: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001  raised again as what it means
            self._raise(error, tried)

    def _raise(self, error: BaseException, tried: str, *, expected: bool = False) -> Any:  # noqa: ANN401
        s3_client.raise_translated(error, tried, self.place, self._credentials, expected=expected)

    def _explain_get(self, error: BaseException, tried: str, *, expected: bool = False) -> Any:  # noqa: ANN401
        """As ``_raise``, and tells that without the right to list, S3 calls a missing key forbidden."""
        try:
            self._raise(error, tried, expected=expected)
        except AccessDenied as denied:
            if s3_client.code_of(error) not in ("AccessDenied", "403", "Forbidden"):
                raise
            raise AccessDenied(
                f"{str(denied).partition('. ')[0]}. The object is missing, or the profile's key may not read it: a key "
                "without the right to list the bucket gets this answer for both. Check the key's name and the policy."
            ) from error

    def _explain_head(self, error: BaseException, key: str, tried: str) -> Any:  # noqa: ANN401
        """A HEAD answer has no body and so no reason: ask again with a GET of one byte, whose refusal has one."""
        if s3_client.code_of(error) not in ("400", "401", "403", "404", "301", "307"):
            self._raise(error, tried)
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._full(key), Range="bytes=0-0")
        except Exception as reason:  # noqa: BLE001  raised again as what it means
            self._explain_get(reason, tried)
        answer["Body"].close()
        self._raise(error, tried)


class _Multipart:
    """The four requests of one multipart upload to S3; a part is its number and ETag."""

    def __init__(self, storage: S3Storage, key: str, fields: Mapping[str, Any], create: bool) -> None:
        self._storage, self._key, self._fields, self._create = storage, key, fields, create
        self._tried = f"store {key!r}"
        self._target = {"Bucket": storage._bucket, "Key": storage._full(key)}

    def start(self) -> str:
        with self._storage._translated(self._tried):
            return str(self._storage._client.create_multipart_upload(**self._target, **self._fields)["UploadId"])

    def send(self, upload_id: str, number: int, body: Slice) -> dict[str, Any]:
        with self._storage._translated(f"{self._tried}, part {number}"):
            answer = self._storage._client.upload_part(
                **self._target, UploadId=upload_id, PartNumber=number, Body=body, ContentLength=len(body)
            )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def finish(self, upload_id: str, parts: Sequence[dict[str, Any]]) -> None:
        def complete(only: dict[str, bool]) -> str:
            upload = {"Parts": list(parts)}
            client = self._storage._client
            return str(
                client.complete_multipart_upload(**self._target, UploadId=upload_id, MultipartUpload=upload, **only)["ETag"]
            )

        try:
            self._storage._creating(
                self._key,
                self._create,
                complete,
                lambda: self._completed(parts),
                self._tried,
                conditional=bool(self._storage._row.conditional_complete),
            )
        except StorageError as error:
            # a first answer that was lost leaves the second try without an upload to complete
            if s3_client.code_of(error.__cause__ or error) != "NoSuchUpload" or self._completed(parts) is None:
                raise

    def _completed(self, parts: Sequence[dict[str, Any]]) -> str | None:
        """The object's ETag if it is the one these parts make (MD5 of the parts' MD5s), else None."""
        with contextlib.suppress(NotFound, ValueError):
            digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
            etag = self._storage.stat(self._key).etag
            if etag == f"{hashlib.md5(digests).hexdigest()}-{len(parts)}":  # noqa: S324  the server's algorithm
                return etag
        return None

    def abort(self, upload_id: str) -> None:
        with self._storage._translated(f"abort the upload of {self._key!r}"), contextlib.suppress(NotFound):
            self._storage._client.abort_multipart_upload(**self._target, UploadId=upload_id)


def _quoted(key: str) -> str:
    return quote(key, safe="/-_.~")


def _sha256(options: PutOptions) -> str:
    return options.metadata.get(SHA256_METADATA, "")
