"""What the OSS test server can do: a function per operation, and the table that says which request is which.

Each follows its page below help.aliyun.com/en/oss/developer-reference/: putobject, getobject, listobjectsv2.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from email.utils import formatdate
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from . import oss_errors as errors
from .oss_http import Exchange, Operation, xml
from .oss_objects import Body, Part, StoredObject, Upload, crc64_joined
from .oss_signature import iso_milliseconds

MAX_LISTED = 1000
DEFAULT_LISTED = 100
MIN_PART_BYTES = 100 * 1024
MAX_PARTS = 10_000
MAX_TAGS = 10
MAX_TAG_KEY, MAX_TAG_VALUE = 128, 256

# Stored with an object and answered with it, besides x-oss-meta-*.
STANDARD_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
    }
)
KEPT_HEADERS = STANDARD_HEADERS | {
    "x-oss-object-acl",
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-storage-class",
}
ARCHIVES = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})
ALLOWED_VALUES = {
    "x-oss-object-acl": (
        frozenset({"default", "private", "public-read", "public-read-write"}),
        errors.INVALID_ARGUMENT,
    ),
    "x-oss-storage-class": (ARCHIVES | {"Standard", "IA"}, errors.INVALID_ARGUMENT),
    "x-oss-server-side-encryption": (frozenset({"AES256", "KMS", "SM4"}), errors.INVALID_ENCRYPTION),
    "x-oss-forbid-overwrite": (frozenset({"true", "false"}), errors.INVALID_FORBID_OVERWRITE),
}
TAG_CHARACTERS = re.compile(r"[A-Za-z0-9 +\-=._:/]*")
OWNER_XML = f"<Owner>{xml(ID='1234567890', DisplayName='1234567890')}</Owner>"


# --- objects ---


def put_object(exchange: Exchange) -> None:
    for name in ("x-oss-copy-source", "if-match", "if-none-match"):
        # Conditional writes are not in the protocol; x-oss-forbid-overwrite is what it has for them.
        if name in exchange.fields:
            raise errors.NOT_IMPLEMENTED.because(Header=name)
    headers, tags = _headers_and_tags(exchange)
    received = exchange.receive(exchange.oss.new_spool)
    stored = StoredObject(
        exchange.key,
        Body((received.piece,)),
        received.md5.hex().upper(),
        received.md5,
        received.crc64,
        exchange.oss.now().replace(microsecond=0),
        headers=headers,
        tags=tags,
    )
    with exchange.oss.lock:
        _check_overwrite(exchange, errors.ALREADY_EXISTS)
        exchange.bucket.put(stored)
    exchange.answer(200, _digests(stored.etag, stored.crc64, stored.md5))


def get_object(exchange: Exchange) -> None:
    stored, head = exchange.stored(), exchange.command == "HEAD"
    headers = _digests(stored.etag, stored.crc64)
    headers["Last-Modified"] = formatdate(stored.modified.timestamp(), usegmt=True)
    if _unchanged(exchange, stored):
        exchange.answer(304, headers)
        return
    if head and "objectMeta" in exchange.parameters:
        exchange.answer(200, headers | {"Content-Length": str(stored.size)})
        return
    if not head and stored.headers.get("x-oss-storage-class") in ARCHIVES:
        raise errors.ARCHIVED.because(ObjectName=exchange.key)
    headers |= {"Accept-Ranges": "bytes", "x-oss-object-type": stored.kind, "x-oss-storage-class": "Standard"}
    headers |= {_shown(name): value for name, value in stored.headers.items() if name != "x-oss-object-acl"}
    if stored.tags:
        headers["x-oss-tagging-count"] = str(len(stored.tags))
    if exchange.key_id:
        wanted = {name: exchange.parameters.get(f"response-{name}") for name in STANDARD_HEADERS}
        headers |= {_shown(name): text.encode().decode("latin-1") for name, text in wanted.items() if text}
    part = None if head else _range(exchange, stored.size)
    start, stop = part or (0, stored.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    elif stored.kind == "Normal":
        headers["Content-MD5"] = base64.b64encode(stored.md5).decode()
    headers["Content-Length"] = str(stop - start)
    exchange.answer(206 if part else 200, headers, () if head else stored.body.cut(start, stop))


def delete_object(exchange: Exchange) -> None:
    with exchange.oss.lock:
        exchange.bucket.delete(exchange.key)
    exchange.answer(204, {})


def get_tagging(exchange: Exchange) -> None:
    tags = exchange.stored().tags
    listed = "".join(f"<Tag>{xml(Key=key, Value=value)}</Tag>" for key, value in tags.items())
    exchange.answer_xml("Tagging", f"<TagSet>{listed}</TagSet>")


def _headers_and_tags(exchange: Exchange) -> tuple[dict[str, str], dict[str, str]]:
    """What a request wants stored with its object."""
    for name, (allowed, refusal) in ALLOWED_VALUES.items():
        if name in exchange.fields and exchange.fields[name] not in allowed:
            raise refusal.because(ArgumentName=name, ArgumentValue=exchange.fields[name])
    kept = {
        name: value
        for name, value in exchange.fields.items()
        if name in KEPT_HEADERS or name.startswith("x-oss-meta-")
    }
    return {"content-type": "application/octet-stream"} | kept, _tags(
        exchange.fields.get("x-oss-tagging", "")
    )


def _tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in text.split("&") if text else ():
        key, *values = (unquote(part) for part in pair.split("="))
        if len(values) > 1:
            raise errors.MALFORMED_TAGGING.because(ArgumentValue=text)
        value = values[0] if values else ""
        fits = 1 <= len(key) <= MAX_TAG_KEY and len(value) <= MAX_TAG_VALUE and key not in tags
        if not (fits and TAG_CHARACTERS.fullmatch(key) and TAG_CHARACTERS.fullmatch(value)):
            raise errors.INVALID_TAG.because(ArgumentValue=pair)
        tags[key] = value
    if len(tags) > MAX_TAGS:
        raise errors.INVALID_TAG.because()
    return tags


def _check_overwrite(exchange: Exchange, refusal: errors.Refusal) -> None:
    """Called under the lock that the object is then stored under, so no other request can come between."""
    if exchange.fields.get("x-oss-forbid-overwrite") == "true" and exchange.key in exchange.bucket.objects:
        raise refusal.because()


def _unchanged(exchange: Exchange, stored: StoredObject) -> bool:
    """Whether the client has this object, by its conditions; others that do not hold refuse the request."""
    match, none_match = exchange.fields.get("if-match"), exchange.fields.get("if-none-match")
    modified, unmodified = exchange.date("if-modified-since"), exchange.date("if-unmodified-since")
    if match is not None and match.strip('"') != stored.etag:
        raise errors.PRECONDITION_FAILED.because(Condition="If-Match")
    if unmodified is not None and stored.modified > unmodified:
        raise errors.PRECONDITION_FAILED.because(Condition="If-Unmodified-Since")
    if none_match is not None:
        return none_match.strip('"') == stored.etag
    return modified is not None and stored.modified <= modified


def _range(exchange: Exchange, size: int) -> tuple[int, int] | None:
    """Start and stop of what to send, None for all of it.

    A range that does not lie wholly inside the object is ignored, unless the request says ``standard``: then
    its end is cut, and one that starts behind the object's end is refused. Of several ranges only the first
    counts. help.aliyun.com/en/oss/how-to-obtain-oss-resources-by-segmenting-http-range-requests
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)(?:,.*)?", exchange.fields.get("range", ""))
    if not found or not (found[1] or found[2]):
        return None
    if found[1]:
        start, stop = int(found[1]), int(found[2]) + 1 if found[2] else max(size, int(found[1]) + 1)
    else:
        start, stop = size - int(found[2]), size
    if 0 <= start < stop <= size:
        return start, stop
    if exchange.fields.get("x-oss-range-behavior") != "standard" or (found[1] and start >= stop):
        return None
    start, stop = max(start, 0), min(stop, size)
    if start >= stop:
        wanted = exchange.fields["range"]
        raise errors.INVALID_RANGE.because(RangeRequested=wanted, ActualObjectSize=str(size))
    return start, stop


def _digests(etag: str, crc64: int | None, md5: bytes = b"") -> dict[str, str]:
    headers = {"ETag": f'"{etag}"'}
    if crc64 is not None:
        headers["x-oss-hash-crc64ecma"] = str(crc64)
    if md5:
        headers["Content-MD5"] = base64.b64encode(md5).decode()
    return headers


def _shown(name: str) -> str:
    return name if name.startswith("x-oss-") else name.title()


# --- multipart uploads ---


def initiate_upload(exchange: Exchange) -> None:
    headers, tags = _headers_and_tags(exchange)
    spool = functools.cache(
        exchange.oss.new_spool
    )  # one file for all parts, made when the first large one comes
    upload_id = secrets.token_hex(16).upper()
    upload = Upload(exchange.key, upload_id, exchange.oss.now(), headers, tags, spool)
    with exchange.oss.lock:
        _check_overwrite(exchange, errors.ALREADY_EXISTS)
        exchange.bucket.uploads[upload_id] = upload
    inner = xml(Bucket=exchange.bucket.name, Key=exchange.encoded(exchange.key), UploadId=upload_id)
    exchange.answer_xml("InitiateMultipartUploadResult", inner)


def upload_part(exchange: Exchange) -> None:
    if "x-oss-copy-source" in exchange.fields:
        raise errors.NOT_IMPLEMENTED.because(Header="x-oss-copy-source")
    with exchange.oss.lock:
        upload = _upload(exchange)
    number = exchange.integer("partNumber", 1, MAX_PARTS, None)
    # A part of unknown size cannot have its place in the common file.
    received = exchange.receive(exchange.oss.new_spool if exchange.body.size is None else upload.spool)
    part = Part(number, received, exchange.oss.now())
    with exchange.oss.lock:
        _upload(exchange).parts[number] = part
    exchange.answer(200, _digests(part.etag, received.crc64, received.md5))


def complete_upload(exchange: Exchange) -> None:
    with exchange.oss.lock:
        _upload(exchange)
    listed = (
        None if exchange.fields.get("x-oss-complete-all") == "yes" else _listed_parts(exchange.body.read())
    )
    with exchange.oss.lock:
        upload = _upload(exchange)
        parts = _chosen_parts(upload, listed)
        _check_overwrite(exchange, errors.ALREADY_EXISTS_COMPLETING)
        acl = {name: exchange.fields[name] for name in ("x-oss-object-acl",) if name in exchange.fields}
        stored = _assembled(upload, parts, acl, exchange.oss.now())
        exchange.bucket.put(stored)
        del exchange.bucket.uploads[upload.upload_id]
    inner = xml(
        Location=f"http://{exchange.bucket.name}.{exchange.oss.endpoints[0]}/{quote(exchange.key)}",
        Bucket=exchange.bucket.name,
        Key=exchange.encoded(exchange.key),
        ETag=f'"{stored.etag}"',
    )
    exchange.answer_xml("CompleteMultipartUploadResult", inner, _digests(stored.etag, stored.crc64))


def abort_upload(exchange: Exchange) -> None:
    with exchange.oss.lock:
        del exchange.bucket.uploads[_upload(exchange).upload_id]
    exchange.answer(204, {})


def list_parts(exchange: Exchange) -> None:
    marker = exchange.integer("part-number-marker", 0, MAX_PARTS, 0)
    limit = exchange.integer("max-parts", 1, MAX_LISTED, MAX_LISTED)
    with exchange.oss.lock:
        upload = _upload(exchange)
        parts = [part for number, part in sorted(upload.parts.items()) if number > marker]
    inner = xml(
        Bucket=exchange.bucket.name,
        Key=exchange.encoded(exchange.key),
        UploadId=upload.upload_id,
        PartNumberMarker=str(marker),
        NextPartNumberMarker=str(parts[:limit][-1].number if parts else 0),
        MaxParts=str(limit),
        IsTruncated=_bool(len(parts) > limit),
    )
    for part in parts[:limit]:
        fields = xml(PartNumber=str(part.number), LastModified=iso_milliseconds(part.modified))
        inner += f"<Part>{fields}{xml(ETag=_quoted(part.etag), Size=str(part.size))}</Part>"
    exchange.answer_xml("ListPartsResult", inner)


def list_uploads(exchange: Exchange) -> None:
    limit = exchange.integer("max-uploads", 1, MAX_LISTED, MAX_LISTED)
    prefix, key_marker, id_marker = (
        exchange.parameters.get(name, "") for name in ("prefix", "key-marker", "upload-id-marker")
    )
    # Without an upload id, a key marker stands for all uploads of that key.
    marker = (key_marker.encode(), id_marker or "\U0010ffff") if key_marker else (b"", "")
    with exchange.oss.lock:
        found = [
            (upload.key.encode(), upload.upload_id, upload) for upload in exchange.bucket.uploads.values()
        ]
    uploads = [entry[2] for entry in sorted(found) if entry[:2] > marker and entry[2].key.startswith(prefix)]
    more = len(uploads) > limit
    inner = xml(
        Bucket=exchange.bucket.name,
        KeyMarker=exchange.encoded(key_marker),
        UploadIdMarker=id_marker,
        NextKeyMarker=exchange.encoded(uploads[limit - 1].key) if more else "",
        NextUploadIdMarker=uploads[limit - 1].upload_id if more else "",
        Prefix=exchange.encoded(prefix),
        MaxUploads=str(limit),
        IsTruncated=_bool(more),
    )
    for upload in uploads[:limit]:
        fields = xml(Key=exchange.encoded(upload.key), UploadId=upload.upload_id)
        inner += f"<Upload>{fields}{xml(Initiated=iso_milliseconds(upload.started))}</Upload>"
    exchange.answer_xml("ListMultipartUploadsResult", inner)


def _upload(exchange: Exchange) -> Upload:
    """Called under the lock."""
    upload_id = exchange.parameters["uploadId"]
    upload = exchange.bucket.uploads.get(upload_id)
    if upload is None or upload.key != exchange.key:
        raise errors.NO_SUCH_UPLOAD.because(UploadId=upload_id)
    return upload


def _listed_parts(document: bytes) -> list[tuple[int, str]]:
    """Part numbers and ETags of a CompleteMultipartUpload document."""
    try:
        nodes = ElementTree.fromstring(document).findall("Part")
        listed = [
            (int(node.findtext("PartNumber", "")), node.findtext("ETag", "").strip('"')) for node in nodes
        ]
    except (ElementTree.ParseError, ValueError):
        listed = []
    if not listed:
        raise errors.MALFORMED_XML.because()
    return listed


def _chosen_parts(upload: Upload, listed: list[tuple[int, str]] | None) -> list[Part]:
    """The parts to make an object of, in the order of their numbers; ``listed`` None means all there are."""
    if listed is None:
        listed = [(part.number, part.etag) for _, part in sorted(upload.parts.items())]
    numbers = [number for number, _ in listed]
    if numbers != sorted(set(numbers)):
        raise errors.INVALID_PART_ORDER.because(UploadId=upload.upload_id)
    for number, etag in listed:
        if number not in upload.parts or upload.parts[number].etag != etag.upper():
            raise errors.INVALID_PART.because(UploadId=upload.upload_id, PartNumber=str(number))
    parts = [upload.parts[number] for number in numbers]
    for part in parts[:-1]:
        if part.size < MIN_PART_BYTES:
            raise errors.ENTITY_TOO_SMALL.because(
                ProposedSize=str(part.size), MinSizeAllowed=str(MIN_PART_BYTES), PartNumber=str(part.number)
            )
    return parts


def _assembled(upload: Upload, parts: list[Part], headers: Mapping[str, str], now: datetime) -> StoredObject:
    digest = hashlib.md5(b"".join(part.received.md5 for part in parts), usedforsecurity=False)
    crc64: int | None = 0
    for part in parts:
        crc = part.received.crc64
        crc64 = None if crc64 is None or crc is None else crc64_joined(crc64, crc, part.size)
    return StoredObject(
        upload.key,
        Body(tuple(part.received.piece for part in parts)),
        f"{digest.hexdigest().upper()}-{len(parts)}",
        b"",
        crc64,
        now.replace(microsecond=0),
        "Multipart",
        {**upload.headers, **headers},
        upload.tags,
    )


# --- buckets ---


def list_objects(exchange: Exchange) -> None:
    """Both versions: ListObjectsV2 with list-type=2, else ListObjects with its marker."""
    newer = exchange.parameters.get("list-type") == "2"
    prefix, delimiter, marker, token, start_after = (
        exchange.parameters.get(name, "")
        for name in ("prefix", "delimiter", "marker", "continuation-token", "start-after")
    )
    limit = exchange.integer("max-keys", 1, MAX_LISTED, DEFAULT_LISTED)
    after = start_after if newer else marker
    if newer and token:
        after = _from_token(token)
    with exchange.oss.lock:
        page = exchange.bucket.page(prefix, delimiter, after, limit, resumed=not newer or bool(token))
    inner = xml(Name=exchange.bucket.name, Prefix=exchange.encoded(prefix), MaxKeys=str(limit))
    inner += xml(Delimiter=exchange.encoded(delimiter), IsTruncated=_bool(bool(page.last)))
    if newer:
        inner += xml(
            StartAfter=exchange.encoded(start_after), KeyCount=str(len(page.objects) + len(page.prefixes))
        )
    else:
        inner += xml(Marker=exchange.encoded(marker))
    if page.last:
        last = {"NextContinuationToken": _to_token(page.last)} if newer else {"NextMarker": page.last}
        inner += xml(**{name: exchange.encoded(value) for name, value in last.items()})
    owner = "" if newer and exchange.parameters.get("fetch-owner") != "true" else OWNER_XML
    for stored in page.objects:
        inner += f"<Contents>{_listed(exchange, stored)}{owner}</Contents>"
    for rolled in page.prefixes:
        inner += f"<CommonPrefixes>{xml(Prefix=exchange.encoded(rolled))}</CommonPrefixes>"
    exchange.answer_xml("ListBucketResult", inner)


def bucket_info(exchange: Exchange) -> None:
    inner = xml(
        Name=exchange.bucket.name,
        Location=f"oss-{exchange.oss.region}",
        Region=exchange.oss.region,
        CreationDate="2025-01-01T00:00:00.000Z",
        ExtranetEndpoint=exchange.oss.endpoints[0],
        IntranetEndpoint=exchange.oss.endpoints[1],
        StorageClass="Standard",
    )
    grant = f"<AccessControlList>{xml(Grant=exchange.bucket.acl)}</AccessControlList>"
    exchange.answer_xml("BucketInfo", f"<Bucket>{inner}{OWNER_XML}{grant}</Bucket>")


def bucket_location(exchange: Exchange) -> None:
    exchange.answer_xml("LocationConstraint", f"oss-{exchange.oss.region}")


def _listed(exchange: Exchange, stored: StoredObject) -> str:
    return xml(
        Key=exchange.encoded(stored.key),
        LastModified=iso_milliseconds(stored.modified),
        ETag=_quoted(stored.etag),
        Type=stored.kind,
        Size=str(stored.size),
        StorageClass=stored.headers.get("x-oss-storage-class", "Standard"),
    )


def _to_token(last: str) -> str:
    return base64.b64encode(last.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise errors.INVALID_ARGUMENT.because(
            ArgumentName="continuation-token", ArgumentValue=token
        ) from None


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _bool(value: bool) -> str:
    return "true" if value else "false"


# The first row that fits is taken.
OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "bucket", "uploads", "oss:ListMultipartUploads", "info", list_uploads),
    Operation("GET", "bucket", "bucketInfo", "oss:GetBucketInfo", "info", bucket_info),
    Operation("GET", "bucket", "location", "oss:GetBucketLocation", "info", bucket_location),
    Operation("GET", "bucket", "", "oss:ListObjects", "list", list_objects),
    Operation("GET", "object", "uploadId", "oss:ListParts", "abort", list_parts),
    Operation("GET", "object", "tagging", "oss:GetObjectTagging", "read", get_tagging),
    Operation("GET", "object", "", "oss:GetObject", "read", get_object),
    Operation("HEAD", "object", "", "oss:GetObject", "read", get_object),
    Operation("PUT", "object", "uploadId", "oss:PutObject", "put", upload_part),
    Operation("PUT", "object", "", "oss:PutObject", "put", put_object),
    Operation("POST", "object", "uploads", "oss:PutObject", "put", initiate_upload),
    Operation("POST", "object", "uploadId", "oss:PutObject", "put", complete_upload),
    Operation("DELETE", "object", "uploadId", "oss:AbortMultipartUpload", "abort", abort_upload),
    Operation("DELETE", "object", "", "oss:DeleteObject", "delete", delete_object),
)
