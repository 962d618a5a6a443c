"""The errors of this package, and the one table that turns a server's error code into one of them.

A message has two sentences: what was tried, where, and what the server said; then what to do. None holds a
secret, a signed URL or an Authorization header: ``scrub`` takes those out of whatever a server or SDK said.

    StorageError
    ├── ConfigurationError(ValueError) ── MissingDependency(ImportError)
    ├── NotFound(FileNotFoundError)      ├── AccessDenied(PermissionError)
    ├── AlreadyExists(FileExistsError)   ├── Changed
    ├── Unreachable(ConnectionError) ── Throttled
    ├── IntegrityError
    └── TransferCancelled
    MediaError(ValueError)

Each is also the built-in a caller would expect, so ``except FileNotFoundError`` works without this module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


class StorageError(Exception):
    """Something a bucket, its server, the network or the settings did not allow."""


class ConfigurationError(StorageError, ValueError):
    """A setting is missing, malformed, unknown or contradicts another; nothing was sent."""


class MissingDependency(ConfigurationError, ImportError):
    """A package that this provider needs is not installed."""


class NotFound(StorageError, FileNotFoundError):
    """The object, or the whole bucket, is not there (or the key may not see it)."""


class AccessDenied(StorageError, PermissionError):
    """The server knows the request and refuses it: key, secret, token, clock or policy."""


class AlreadyExists(StorageError, FileExistsError):
    """An object has this key and the request was to create it; the object is untouched."""


class Changed(StorageError):
    """The object is no longer the one that was asked for: its ETag differs."""


class Unreachable(StorageError, ConnectionError):
    """No complete answer came: name, network, TLS, time-out, or a server that fails."""


class Throttled(Unreachable):
    """The server asks for fewer requests; trying again later will work."""


class IntegrityError(StorageError):
    """The bytes that arrived are not the bytes that were sent."""


class TransferCancelled(StorageError):
    """A transfer was told to stop; whatever it had begun is removed."""


class MediaError(ValueError):
    """A file is not the image, video or audio it should be, or cannot be encoded as asked."""


@dataclass(frozen=True)
class Meaning:
    """What one error code stands for: the class to raise, and the sentence that says what to do."""

    raises: type[StorageError]
    advice: str


_WRONG_KEY = "Check the access key of the profile: it was mistyped, deleted, or belongs to another provider."
_BAD_SIGNATURE = "Check the secret key of the profile: it does not fit the access key."
_CLOCK = "Set this machine's clock (enable NTP): the provider accepts a difference of 15 minutes at most."
_RENEW = "The session token is expired or wrong: get new temporary credentials and put them into the profile."
_POLICY = "Let the key's policy allow this operation on this bucket and prefix, or use another key."
_REGION = "Set the profile's region to the bucket's own."
_BUCKET = "Check the bucket's name, region and provider in the profile; these nodes create no buckets."
_KEY = "Check the key; List Bucket Contents shows what is there."
_BUSY = "Wait a moment and try again; fewer saves at once also help."
_BROKEN = "Try again; if it stays, look at the provider's status page."
_TAKEN = "Choose another name, or set if_exists to `new name`."
_DAMAGED = "The bytes were damaged on their way: run the node again."
_ACCOUNT = "The account is overdue or disabled: settle it with the provider."
_DOMAIN = "Set endpoint_url to the provider's endpoint of the region, or to the bucket's own domain."

# Codes of S3 (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of its look-alikes, and of OSS
# (help.aliyun.com/zh/oss/support/0002-*), which mean the same thing wherever both have them. A HEAD answer
# has no body, so botocore gives its status as the code: "403", "404", "412".
CODES: dict[str, Meaning] = {
    "NoSuchKey": Meaning(NotFound, _KEY),
    "404": Meaning(NotFound, _KEY),
    "NotFound": Meaning(NotFound, _KEY),
    "NoSuchBucket": Meaning(NotFound, _BUCKET),
    "NoSuchUpload": Meaning(Changed, "The upload was aborted by somebody else: run the node again."),
    "InvalidBucketName": Meaning(ConfigurationError, _BUCKET),
    "InvalidAccessKeyId": Meaning(AccessDenied, _WRONG_KEY),
    "InvalidAccessKey": Meaning(AccessDenied, _WRONG_KEY),
    "SignatureDoesNotMatch": Meaning(AccessDenied, _BAD_SIGNATURE),
    "RequestTimeTooSkewed": Meaning(AccessDenied, _CLOCK),
    "RequestExpired": Meaning(AccessDenied, _CLOCK),
    "ExpiredToken": Meaning(AccessDenied, _RENEW),
    "TokenRefreshRequired": Meaning(AccessDenied, _RENEW),
    "InvalidToken": Meaning(AccessDenied, _RENEW),
    "InvalidSecurityToken": Meaning(AccessDenied, _RENEW),
    "SecurityTokenExpired": Meaning(AccessDenied, _RENEW),
    "AccessKeyIdAndSecurityTokenNotMatch": Meaning(AccessDenied, _RENEW),
    "AccessDenied": Meaning(AccessDenied, _POLICY),
    "AllAccessDisabled": Meaning(AccessDenied, _POLICY),
    "UserDisable": Meaning(AccessDenied, _ACCOUNT),
    "InDebt": Meaning(AccessDenied, _ACCOUNT),
    "InDebtOverdue": Meaning(AccessDenied, _ACCOUNT),
    "Forbidden": Meaning(AccessDenied, _POLICY),
    "403": Meaning(AccessDenied, _POLICY),
    "401": Meaning(AccessDenied, _POLICY),
    "SecondLevelDomainForbidden": Meaning(ConfigurationError, _DOMAIN),
    "NonStandardHostForbidden": Meaning(ConfigurationError, _DOMAIN),
    "PermanentRedirect": Meaning(ConfigurationError, _REGION),
    "TemporaryRedirect": Meaning(ConfigurationError, _REGION),
    "301": Meaning(ConfigurationError, _REGION),
    "IllegalLocationConstraintException": Meaning(ConfigurationError, _REGION),
    "AuthorizationHeaderMalformed": Meaning(ConfigurationError, _REGION),
    "PreconditionFailed": Meaning(AlreadyExists, _TAKEN),
    "412": Meaning(AlreadyExists, _TAKEN),
    "ConditionalRequestConflict": Meaning(AlreadyExists, "Another upload to this key is under way: repeat it."),
    "FileAlreadyExists": Meaning(AlreadyExists, _TAKEN),
    "EntityTooLarge": Meaning(ConfigurationError, "The provider does not take objects of this size."),
    "KeyTooLongError": Meaning(ConfigurationError, "Shorten key_prefix or filename."),
    "InvalidObjectName": Meaning(ConfigurationError, "Change key_prefix or filename."),
    "InvalidStorageClass": Meaning(ConfigurationError, "Change upload.storage_class in the profile."),
    "InvalidTag": Meaning(ConfigurationError, "Change upload.tags in the profile."),
    "InvalidObjectState": Meaning(StorageError, "The object is archived: restore it there first."),
    "BadDigest": Meaning(IntegrityError, _DAMAGED),
    "InvalidDigest": Meaning(IntegrityError, _DAMAGED),
    "XAmzContentSHA256Mismatch": Meaning(IntegrityError, _DAMAGED),
    "QuotaExceeded": Meaning(StorageError, "The bucket's quota is used up: free room or raise it."),
    "SlowDown": Meaning(Throttled, _BUSY),
    "Throttling": Meaning(Throttled, _BUSY),
    "ThrottlingException": Meaning(Throttled, _BUSY),
    "TooManyRequests": Meaning(Throttled, _BUSY),
    "RequestLimitExceeded": Meaning(Throttled, _BUSY),
    "429": Meaning(Throttled, _BUSY),
    "ServiceUnavailable": Meaning(Throttled, _BUSY),
    "503": Meaning(Throttled, _BUSY),
    "RequestTimeout": Meaning(Unreachable, _BROKEN),
    "InternalError": Meaning(Unreachable, _BROKEN),
    "500": Meaning(Unreachable, _BROKEN),
    "502": Meaning(Unreachable, _BROKEN),
    "504": Meaning(Unreachable, _BROKEN),
}

_UNKNOWN = Meaning(StorageError, "Look the code up in the provider's documentation and check the endpoint.")


def meaning(code: str, status: int = 0) -> Meaning:
    """The row for a server's error code; where the code is unknown, that of its HTTP status."""
    return CODES.get(code) or CODES.get(str(status)) or _UNKNOWN


_SIGNED_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>)]*")
_HEADERS = re.compile(r"(?i)\b(authorization|x-(?:amz|oss)-security-token)\b(\s*[:=]\s*)[^\r\n]*")
_SECRET_MIN_CHARACTERS = 4  # a shorter one would be found in ordinary words


def scrub(text: str, *secrets: str) -> str:
    """``text`` without query strings of URLs, credential headers, line breaks, or any of ``secrets``."""
    text = _HEADERS.sub(r"\1\2***", _SIGNED_QUERY.sub(r"\1", text))
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARACTERS:
            text = text.replace(secret, "***")
    return " ".join(text.split())


def sentence(tried: str, where: str, said: str, advice: str) -> str:
    """One message: "Could not <tried> (<where>): <said>. <advice>"."""
    said = said.rstrip(". ")
    return f"Could not {tried} ({where}): {said}. {advice}"
