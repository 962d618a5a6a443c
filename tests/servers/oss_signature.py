"""Who signed a request to Aliyun OSS, checked as Aliyun documents its signatures; no SDK is asked.

V1  help.aliyun.com/en/oss/developer-reference/include-signatures-in-the-authorization-header
    help.aliyun.com/en/oss/developer-reference/ddd-signatures-to-urls
V4  help.aliyun.com/en/oss/developer-reference/recommend-to-use-signature-version-4
    help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls
V2 (``OSS2``) has no page any more; its error pages, 0002-00000101 to -119, and a published example remain.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from . import oss_errors as errors

MAX_SKEW_SECONDS = 15 * 60
MAX_URL_SECONDS = 7 * 24 * 3600
MAX_STS_URL_SECONDS = 12 * 3600  # with temporary credentials; the page on V4 URLs, x-oss-expires
V4_ALGORITHM = "OSS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_LAST_SECOND = 1 << 32  # any later expiry is as good as this

# The query parameters that a V1 signature covers: first the page's list, then what Aliyun's own SDKs sign
# besides (aliyun-oss-go-sdk, oss/conn.go, signKeyList; alibabacloud-oss-python-sdk-v2, signer/v1.py).
_V1_SUB_RESOURCES = """
    acl append bucketInfo cname comp cors delete endTime img lifecycle live location logging objectMeta
    partNumber position qos referer replication replicationLocation replicationProgress response-cache-control
    response-content-disposition response-content-encoding response-content-language response-content-type
    response-expires security-token startTime stat status style styleName symlink tagging uploadId uploads vod
    website x-oss-process

    asyncFetch callback callback-var continuation-token encryption inventory inventoryId policy qosInfo
    requestPayment resourceGroup restore sequential versionId versioning versions worm wormExtend wormId
    x-oss-request-payer x-oss-traffic-limit
"""
V1_SUB_RESOURCES = frozenset(_V1_SUB_RESOURCES.split())


@dataclass(frozen=True)
class Request:
    """What a signature covers. ``key`` and ``query`` are decoded; ``query`` keeps the order of the wire.

    ``headers`` has lower-case names; the values are the bytes of the wire as Latin-1, without outer blanks.
    """

    method: str
    bucket: str = ""
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def header(self, name: str) -> bytes:
        return self.headers.get(name, "").encode("latin-1")

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.query)


@dataclass(frozen=True)
class TemporaryKey:
    """Credentials of STS: the secret, the token that must come along, and until when both are good (UTC)."""

    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: datetime


@dataclass
class Keyring:
    """The keys a server knows, by key id; tests may change both while it runs."""

    lasting: dict[str, str] = field(default_factory=dict, repr=False)
    temporary: dict[str, TemporaryKey] = field(default_factory=dict, repr=False)

    def secret(self, key_id: str, token: str, now: datetime) -> str:
        """The secret of a key id. Raises OssRefused for an unknown key and for a token that does not fit."""
        if key_id in self.temporary:
            known = self.temporary[key_id]
            if not token:
                raise errors.INVALID_STS_KEY_ID.because(OSSAccessKeyId=key_id)
            if not hmac.compare_digest(token.encode(), known.token.encode()):
                raise errors.INVALID_TOKEN.because()
            if now >= known.expires:
                raise errors.TOKEN_EXPIRED.because()
            return known.secret
        if key_id not in self.lasting:
            raise errors.INVALID_ACCESS_KEY_ID.because(OSSAccessKeyId=key_id)
        if token:
            raise errors.INVALID_STS_KEY_ID.because(OSSAccessKeyId=key_id)
        return self.lasting[key_id]


@dataclass(frozen=True)
class Claim:
    """What a request says about its signer; ``scope`` is (day, region) of V4."""

    version: str
    key_id: str
    token: str
    signature: str
    string_to_sign: bytes
    canonical_request: bytes = b""
    scope: tuple[str, str] = ("", "")
    lifetime_seconds: int = 0  # of a V4 URL

    def expected(self, secret: str) -> str:
        """The signature that the holder of ``secret`` would have sent."""
        if self.version == "V4":
            return v4_signature(v4_signing_key(secret, *self.scope), self.string_to_sign)
        return base64_signature(secret, self.string_to_sign, "sha1" if self.version == "V1" else "sha256")


def authenticate(
    request: Request, keyring: Keyring, now: datetime, region: str, refuse_v1: bool = False
) -> str:
    """The key id that signed ``request``, "" for an anonymous one. Raises OssRefused."""
    claim = _claimed(request, now, region)
    if claim is None:
        return ""
    if claim.version == "V1" and refuse_v1:
        raise errors.V1_REFUSED.because()
    secret = keyring.secret(claim.key_id, claim.token, now)
    if claim.key_id in keyring.temporary and claim.lifetime_seconds > MAX_STS_URL_SECONDS:
        raise errors.INVALID_QUERY_EXPIRES.because()
    if not hmac.compare_digest(claim.expected(secret).encode(), claim.signature.encode()):
        details = {
            "OSSAccessKeyId": claim.key_id,
            "SignatureProvided": claim.signature,
            "StringToSign": claim.string_to_sign.decode("utf-8", "replace"),
            "StringToSignBytes": claim.string_to_sign.hex(" ").upper() + " ",
        }
        if claim.canonical_request:
            details["CanonicalRequest"] = claim.canonical_request.decode("utf-8", "replace")
        raise errors.SIGNATURE_MISMATCH[claim.version].because(**details)
    return claim.key_id


def _claimed(request: Request, now: datetime, region: str) -> Claim | None:
    authorization = request.headers.get("authorization", "")
    kind, _, rest = authorization.partition(" ")
    if authorization:
        readers = {"OSS": _v1_header, "OSS2": _v2_header, V4_ALGORITHM: _v4_header}
        if kind not in readers:
            raise errors.UNSUPPORTED_AUTHORIZATION.because(
                ArgumentName="Authorization", ArgumentValue=authorization
            )
        return readers[kind](request, rest.strip(), now, region)
    parameters = request.parameters
    version = parameters.get("x-oss-signature-version", "")
    if version == V4_ALGORITHM:
        return _v4_url(request, now, region)
    if version == "OSS2":
        return _v2_url(request, now)
    if {"OSSAccessKeyId", "Signature", "Expires"} & parameters.keys():
        return _v1_url(request, now)
    return None


# --- V1 ---


def v1_string_to_sign(request: Request, date: str) -> bytes:
    """VERB, Content-MD5, Content-Type, date (or expiry), x-oss- headers and resource, as V1 signs them."""
    signed = sorted((name, value) for name, value in request.query if name in V1_SUB_RESOURCES)
    resource = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    if signed:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in signed)
    lines = (
        request.method.encode(),
        request.header("content-md5"),
        request.header("content-type"),
        date.encode(),
    )
    return b"\n".join(lines) + b"\n" + _header_lines(request) + resource.encode()


def base64_signature(secret: str, string_to_sign: bytes, digest: str) -> str:
    """HMAC in Base64: with ``sha1`` a V1 signature, with ``sha256`` a V2 one."""
    return base64.b64encode(hmac.new(secret.encode(), string_to_sign, digest).digest()).decode()


def _v1_header(request: Request, rest: str, now: datetime, region: str) -> Claim:
    key_id, colon, signature = rest.rpartition(":")
    if not (key_id and colon and signature):
        raise errors.INVALID_AUTHORIZATION.because()
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    _check_skew(_http_date(date), date, now)
    token = request.headers.get("x-oss-security-token", "")
    return Claim("V1", key_id, token, signature, v1_string_to_sign(request, date))


def _v1_url(request: Request, now: datetime) -> Claim:
    parameters = request.parameters
    key_id, expires, signature = (
        parameters.get(name, "") for name in ("OSSAccessKeyId", "Expires", "Signature")
    )
    if not (key_id and expires and signature):
        raise errors.MISSING_QUERY_SIGNATURE.because()
    _check_expiry(expires, now)
    token = parameters.get("security-token", "")
    return Claim("V1", key_id, token, signature, v1_string_to_sign(request, expires))


# --- V2 ---


def v2_string_to_sign(request: Request, date: str, additional: Iterable[str]) -> bytes:
    """As V1, but the resource is percent-encoded, has every query parameter, and further headers may join."""
    names = sorted(additional)
    resource = quote(f"/{request.bucket}/{request.key}" if request.bucket else "/", safe="")
    query = _canonical_query(request)
    lines = (
        request.method.encode(),
        request.header("content-md5"),
        request.header("content-type"),
        date.encode(),
    )
    joined = ";".join(names) + "\n" + resource + (f"?{query}" if query else "")
    return b"\n".join(lines) + b"\n" + _header_lines(request, names) + joined.encode()


def _v2_header(request: Request, rest: str, now: datetime, region: str) -> Claim:
    fields = dict(part.strip().partition(":")[::2] for part in rest.split(","))
    key_id, signature = fields.get("AccessKeyId", ""), fields.get("Signature", "")
    if not (key_id and signature):
        raise errors.INVALID_AUTHORIZATION.because()
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    _check_skew(_http_date(date), date, now)
    additional = _additional(request, fields.get("AdditionalHeaders", ""))
    token = request.headers.get("x-oss-security-token", "")
    return Claim("V2", key_id, token, signature, v2_string_to_sign(request, date, additional))


def _v2_url(request: Request, now: datetime) -> Claim:
    parameters = request.parameters
    names = ("x-oss-access-key-id", "x-oss-expires", "x-oss-signature")
    key_id, expires, signature = (parameters.get(name, "") for name in names)
    if not (key_id and expires and signature):
        raise errors.MISSING_QUERY_FIELD.because()
    _check_expiry(expires, now)
    additional = _additional(request, parameters.get("x-oss-additional-headers", ""))
    token = parameters.get("security-token", "")
    return Claim("V2", key_id, token, signature, v2_string_to_sign(request, expires, additional))


# --- V4 ---


def v4_canonical_request(request: Request, additional: Iterable[str]) -> bytes:
    """Verb, path with bucket, sorted query, sorted headers, names of the additional ones, payload."""
    names = sorted(additional)
    resource = quote(f"/{request.bucket}/{request.key}" if request.bucket else "/", safe="/")
    headers = _header_lines(request, ("content-type", "content-md5", *names))
    head = f"{request.method}\n{resource}\n{_canonical_query(request)}\n".encode()
    return head + headers + b"\n" + f"{';'.join(names)}\n{UNSIGNED_PAYLOAD}".encode()


def v4_string_to_sign(canonical_request: bytes, timestamp: str, day: str, region: str) -> bytes:
    digest = hashlib.sha256(canonical_request).hexdigest()
    return f"{V4_ALGORITHM}\n{timestamp}\n{day}/{region}/oss/aliyun_v4_request\n{digest}".encode()


def v4_signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for step in (day, region, "oss", "aliyun_v4_request"):
        key = hmac.new(key, step.encode(), "sha256").digest()
    return key


def v4_signature(signing_key: bytes, string_to_sign: bytes) -> str:
    return hmac.new(signing_key, string_to_sign, "sha256").hexdigest()


def _v4_header(request: Request, rest: str, now: datetime, region: str) -> Claim:
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    signature = fields.get("Signature", "")
    key_id, day, named_region, product, terminator = _credential(
        fields.get("Credential", ""), errors.INVALID_CREDENTIAL
    )
    if not signature:
        raise errors.INVALID_AUTHORIZATION.because()
    if terminator != "aliyun_v4_request":
        raise errors.INVALID_CREDENTIAL.because()
    if product != "oss":
        raise errors.INVALID_SIGNING_PRODUCT.because()
    if named_region != region:
        raise errors.INVALID_SIGNING_REGION.because(Authorization=request.headers["authorization"])
    if request.headers.get("x-oss-content-sha256") != UNSIGNED_PAYLOAD:
        raise errors.INVALID_CONTENT_SHA256.because()
    timestamp = request.headers.get("x-oss-date", "")
    signed_at = _timestamp(timestamp)
    if signed_at is None:
        raise errors.MISSING_DATE.because()
    if day != timestamp[:8] or abs((signed_at.date() - now.date()).days) > 1:
        raise errors.INVALID_SIGNING_DATE.because()
    _check_skew(signed_at, timestamp, now)
    canonical = v4_canonical_request(request, _additional(request, fields.get("AdditionalHeaders", "")))
    token = request.headers.get("x-oss-security-token", "")
    string_to_sign = v4_string_to_sign(canonical, timestamp, day, region)
    return Claim("V4", key_id, token, signature, string_to_sign, canonical, (day, region))


def _v4_url(request: Request, now: datetime, region: str) -> Claim:
    parameters = request.parameters
    for name in ("x-oss-expires", "x-oss-credential", "x-oss-date", "x-oss-signature"):
        if not parameters.get(name):
            raise errors.MISSING_QUERY_FIELD.because(ArgumentName=name)
    for name, value in request.query:
        if name.startswith("x-oss-") and request.headers.get(name, value) != value:
            raise errors.HEADER_AND_QUERY_DIFFER.because(ArgumentName=name)
    key_id, day, named_region, product, terminator = _credential(
        parameters["x-oss-credential"], errors.INVALID_QUERY_CREDENTIAL
    )
    if (product, terminator) != ("oss", "aliyun_v4_request"):
        raise errors.INVALID_QUERY_CREDENTIAL.because()
    if named_region != region:
        raise errors.INVALID_QUERY_REGION.because()
    timestamp, expires = parameters["x-oss-date"], parameters["x-oss-expires"]
    signed_at = _timestamp(timestamp)
    if signed_at is None or day != timestamp[:8]:
        raise errors.INVALID_QUERY_DATE.because()
    if not (expires.isascii() and expires.isdigit() and 1 <= int(expires) <= MAX_URL_SECONDS):
        raise errors.INVALID_QUERY_EXPIRES.because()
    if now < signed_at - timedelta(seconds=MAX_SKEW_SECONDS):
        raise _skewed(timestamp, now)
    if now > signed_at + timedelta(seconds=int(expires)):
        ends = signed_at + timedelta(seconds=int(expires))
        raise errors.URL_EXPIRED.because(Expires=iso_milliseconds(ends), ServerTime=iso_milliseconds(now))
    canonical = v4_canonical_request(
        request, _additional(request, parameters.get("x-oss-additional-headers", ""))
    )
    return Claim(
        "V4",
        key_id,
        parameters.get("x-oss-security-token", ""),
        parameters["x-oss-signature"],
        v4_string_to_sign(canonical, timestamp, day, region),
        canonical,
        (day, region),
        int(expires),
    )


def _credential(text: str, refusal: errors.Refusal) -> list[str]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        raise refusal.because()
    return parts


# --- Pieces of all three ---


def _header_lines(request: Request, further: Iterable[str] = ()) -> bytes:
    names = {name for name in request.headers if name.startswith("x-oss-")}
    names |= {name for name in further if name in request.headers}
    return b"".join(name.encode() + b":" + request.header(name) + b"\n" for name in sorted(names))


def _canonical_query(request: Request) -> str:
    """Encoded, then sorted; a parameter without a value has no ``=``; the signature itself is left out."""
    encoded = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in request.query)
    return "&".join(
        f"{name}={value}" if value else name for name, value in encoded if name != "x-oss-signature"
    )


def _additional(request: Request, listed: str) -> list[str]:
    names = listed.split(";") if listed else []
    for name in names:
        if name != name.lower() or name not in request.headers:
            raise errors.INVALID_ADDITIONAL_HEADERS.because(ArgumentName=name)
    return names


def iso_milliseconds(moment: datetime) -> str:
    """The form in which OSS writes a time into XML."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _timestamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _http_date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(timezone.utc)
    except (TypeError, ValueError):
        return _timestamp(text)


def _check_skew(signed_at: datetime | None, text: str, now: datetime) -> None:
    if signed_at is None:
        raise errors.MISSING_DATE.because()
    if abs((now - signed_at).total_seconds()) > MAX_SKEW_SECONDS:
        raise _skewed(text, now)


def _skewed(text: str, now: datetime) -> errors.OssRefused:
    signed_at = _http_date(text)
    return errors.TIME_TOO_SKEWED.because(
        MaxAllowedSkewMilliseconds=str(MAX_SKEW_SECONDS * 1000),
        RequestTime=iso_milliseconds(signed_at) if signed_at else text,
        ServerTime=iso_milliseconds(now),
    )


def _check_expiry(expires: str, now: datetime) -> None:
    if not (expires.isascii() and expires.isdigit()):
        raise errors.INVALID_EXPIRES.because(Expires=expires)
    ends = datetime.fromtimestamp(min(int(expires), _LAST_SECOND), timezone.utc)
    if now > ends:
        raise errors.URL_EXPIRED.because(Expires=iso_milliseconds(ends), ServerTime=iso_milliseconds(now))
