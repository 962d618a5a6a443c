"""What a server or an SDK said, as one of this package's errors: the tables of codes and of exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import (
    TAKEN,
    AccessDenied,
    AlreadyExists,
    BadKey,
    Changed,
    ConfigurationError,
    Forbidden,
    IntegrityError,
    NotFound,
    Scope,
    StorageError,
    Throttled,
    TooLarge,
    Unreachable,
    scrub,
    sentence,
)
from . import http_date

SAID_MAX_CHARACTERS = 1000  # of a server's words in a message


@dataclass(frozen=True)
class Meaning:
    """What one error code stands for: the class to raise, and the sentence that says what to do.

    With ``clocks``, the message also tells what time it is here and at the server. ``scope`` is that of the
    class unless the row has its own.
    """

    raises: type[StorageError]
    advice: str
    clocks: bool = False
    scope: Scope | None = None

    def error(self, message: str) -> StorageError:
        """The error to raise."""
        error = self.raises(message)
        error.scope = self.scope or error.scope
        return error


_WRONG_KEY = "Check the access key of the profile: it was mistyped, deleted, or belongs to another provider."
_BAD_SIGNATURE = "Check the secret key of the profile: it does not fit the access key."
_CLOCK = "Set this machine's clock (enable NTP): the provider accepts a difference of 15 minutes at most."
_RENEW = "The session token is expired or wrong: get new temporary credentials and put them into the profile."
_POLICY = "Let the key's policy allow this operation on this bucket and prefix, or use another key."
_HIDDEN = (
    "The object is missing, or the profile's key may not read it: a key without the right to list the bucket "
    "gets this answer for both. Check the key's name and the policy."
)
_REPLACED = "The object was replaced meanwhile: run the node again."
_REGION = "Set the profile's region to the bucket's own."
_REGION_OF_ENDPOINT = "Set the profile's region to the one in the endpoint's name, or remove it."
_BUCKET = "Check the bucket's name, region and provider in the profile; these nodes create no buckets."
_LONG = "The key is too long here: check it. When saving, shorten key_prefix or filename."
_RENAME = "When saving, change key_prefix or filename."
_LARGE = "The provider does not take objects of this size."
_QUOTA = "The bucket's quota is used up: free room or raise it."
_IMMUTABLE = "The bucket's retention policy protects it: choose another key."
_KEY = "Check the key; List Bucket Contents shows what is there."
_BUSY = "Wait a moment and try again; fewer saves at once also help."
_BROKEN = "Try again; if it stays, look at the provider's status page."
_DAMAGED = "The bytes were damaged on their way: run the node again."
_ACCOUNT = "The account is overdue or disabled: settle it with the provider."
_DOMAIN = "Set endpoint_url to the provider's endpoint of the region, or to the bucket's own domain."
_OWN_DOMAIN = (
    "Map a domain of your own to the bucket and set endpoint_url to it; "
    "inside Aliyun, use the internal endpoint."
)
_ENCRYPTION = "Change upload.server_side_encryption in the profile."
_NO_LOGIN = "This machine has no AWS role, SSO login or ~/.aws: set one up, or auth to keys."
_LOGIN = "Renew the login that the AWS chain uses, for example `aws sso login`."
_NO_SERVER = "Check the endpoint, the network, and that the server runs."
_NO_NAME = (
    "No server has the name in the endpoint: check the profile's region, account_id or endpoint_url, "
    "then this machine's network."
)
_NO_ANSWER = "Check the endpoint, the network and the firewall: nothing answered."
_SILENT = "The server went silent. Try again, and check the network."
_SLOW = "Try again, and check the network; if it stays, look at the provider's status page."
_BROKE = "The connection broke. Try again, and check the network."
_CERTIFICATE = "Check that the endpoint is right and its certificate valid; for a private CA set ca_file."
_NETWORK = "Check the network and try again."
_SETTINGS = "Check the profile's settings."
STRANGER = "Check endpoint_url: what answers there is no object store, but a proxy or a login page."

_FORBIDDEN = Meaning(Forbidden, _POLICY)
_DENIED = Meaning(Forbidden, _POLICY)  # whatever was asked for
_UNREADABLE = Meaning(Forbidden, _HIDDEN)
_SKEWED = Meaning(AccessDenied, _CLOCK, clocks=True)
_EXPIRED = Meaning(AccessDenied, _RENEW, clocks=True)  # or only seems to be, to a clock that is wrong

# Codes of S3 (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of its look-alikes, and of OSS
# (help.aliyun.com/zh/oss/support/0002-*), which mean the same thing wherever both have them. A HEAD answer
# has no body, so its status is the code: "403", "404", "412". OSS gives some causes that share a code with
# others a number of their own, its EC: help.aliyun.com/en/oss/user-guide/<EC>
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
    "RequestTimeTooSkewed": _SKEWED,
    "RequestExpired": _SKEWED,
    "0002-00000212": _SKEWED,  # InvalidArgument: the clocks are on different days
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": Meaning(AccessDenied, _RENEW),
    "InvalidToken": Meaning(AccessDenied, _RENEW),
    "InvalidSecurityToken": Meaning(AccessDenied, _RENEW),
    "SecurityTokenExpired": _EXPIRED,
    "AccessKeyIdAndSecurityTokenNotMatch": Meaning(AccessDenied, _RENEW),
    "AccessDenied": _FORBIDDEN,
    "AllAccessDisabled": _DENIED,
    "UserDisable": Meaning(AccessDenied, _ACCOUNT),
    "InDebt": Meaning(AccessDenied, _ACCOUNT),
    "InDebtOverdue": Meaning(AccessDenied, _ACCOUNT),
    "Forbidden": _FORBIDDEN,
    "403": _FORBIDDEN,
    "401": _DENIED,
    "SecondLevelDomainForbidden": Meaning(ConfigurationError, _DOMAIN),
    "NonStandardHostForbidden": Meaning(ConfigurationError, _DOMAIN),
    # Of accounts since 2025-03-20, buckets in mainland China:
    # help.aliyun.com/en/oss/user-guide/map-custom-domain-names-1
    "PublicEndpointForbidden": Meaning(ConfigurationError, _OWN_DOMAIN),
    # Buckets since 2023-08-15: help.aliyun.com/en/oss/user-guide/
    # what-to-do-with-apkdownloadforbidden-reporting-an-error
    "ApkDownloadForbidden": Meaning(ConfigurationError, _OWN_DOMAIN),
    "PermanentRedirect": Meaning(ConfigurationError, _REGION),
    "TemporaryRedirect": Meaning(ConfigurationError, _REGION),
    "301": Meaning(ConfigurationError, _REGION),
    "307": Meaning(ConfigurationError, _REGION),
    "302": Meaning(Unreachable, STRANGER),
    "303": Meaning(Unreachable, STRANGER),
    "308": Meaning(Unreachable, STRANGER),
    "IllegalLocationConstraintException": Meaning(ConfigurationError, _REGION),
    "AuthorizationHeaderMalformed": Meaning(ConfigurationError, _REGION),
    "0002-00000226": Meaning(ConfigurationError, _REGION_OF_ENDPOINT),  # InvalidArgument, as the next
    "0002-00000228": Meaning(ConfigurationError, _REGION_OF_ENDPOINT),
    "PreconditionFailed": Meaning(AlreadyExists, TAKEN),
    "412": Meaning(AlreadyExists, TAKEN),
    "ConditionalRequestConflict": Meaning(AlreadyExists, "Another upload to it is under way: try again."),
    "FileAlreadyExists": Meaning(AlreadyExists, TAKEN),
    "EntityTooLarge": Meaning(TooLarge, _LARGE),
    "KeyTooLongError": Meaning(BadKey, _LONG),
    # help.aliyun.com/en/oss/user-guide/object-overview: "cannot start with a forward slash or a backslash"
    "InvalidObjectName": Meaning(BadKey, f"No key may begin with / or \\ here. {_RENAME}"),
    "InvalidStorageClass": Meaning(ConfigurationError, "Change upload.storage_class in the profile."),
    "InvalidEncryptionAlgorithmError": Meaning(ConfigurationError, _ENCRYPTION),
    "InvalidTag": Meaning(ConfigurationError, "Change upload.tags in the profile."),
    # A retention policy (WORM) of the bucket: help.aliyun.com/en/oss/user-guide/oss-retention-policies
    "FileImmutable": Meaning(AccessDenied, _IMMUTABLE, scope=Scope.OBJECT),
    "InvalidObjectState": Meaning(StorageError, "The object is archived: restore it there first."),
    "BadDigest": Meaning(IntegrityError, _DAMAGED),
    "InvalidDigest": Meaning(IntegrityError, _DAMAGED),
    "XAmzContentSHA256Mismatch": Meaning(IntegrityError, _DAMAGED),
    "QuotaExceeded": Meaning(StorageError, _QUOTA, scope=Scope.ALL),
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


def meaning(
    code: str, status: int = 0, *, cause: str = "", reading: bool = False, expected: bool = False
) -> Meaning:
    """The row for a server's error ``cause`` or ``code``; where both are unknown, that of its HTTP status.

    ``reading`` says that an object was asked for: then forbidden may also be missing. ``expected`` says that
    it was asked for by its ETag: then a failed precondition is Changed.
    """
    row = CODES.get(cause) or CODES.get(code) or CODES.get(str(status)) or _UNKNOWN
    if reading and CODES.get(code) is row is _FORBIDDEN:
        return _UNREADABLE
    if expected and row.raises is AlreadyExists:
        return Meaning(Changed, _REPLACED)
    return row


# What is raised where no answer came, by class names, so that nothing is imported for it. Of an exception's
# ancestors, the nearest that stands here counts.
FAILURES: dict[str, Meaning] = {
    name: Meaning(raises, advice)
    for names, raises, advice in (
        # Of botocore, where the AWS chain is to give the credentials
        ("NoCredentialsError", AccessDenied, _NO_LOGIN),
        ("PartialCredentialsError", AccessDenied, "Complete the key pair where it is configured."),
        ("CredentialRetrievalError TokenRetrievalError SSOTokenLoadError", AccessDenied, _LOGIN),
        ("UnauthorizedSSOTokenError LoginTokenLoadError", AccessDenied, _LOGIN),
        ("ProfileNotFound", AccessDenied, "Correct AWS_PROFILE, or set auth to keys."),
        # Of botocore, requests, urllib3 and Python, on the way
        ("EndpointConnectionError ConnectionError", Unreachable, _NO_SERVER),
        ("ConnectTimeoutError ConnectTimeout", Unreachable, _NO_ANSWER),
        ("ReadTimeoutError ReadTimeout TimeoutError", Unreachable, _SILENT),
        ("ConnectionClosedError ProtocolError ChunkedEncodingError HTTPException", Unreachable, _BROKE),
        ("ResponseStreamingError IncompleteReadError", Unreachable, _BROKE),
        ("SSLError", Unreachable, _CERTIFICATE),
        ("ProxyConnectionError ProxyError", Unreachable, "Check HTTP_PROXY and HTTPS_PROXY."),
        ("gaierror NameResolutionError", Unreachable, _NO_NAME),
        ("HTTPClientError RequestException HTTPError", Unreachable, _NETWORK),
        # Of botocore and oss2, about an answer
        ("ResponseParserError ParseError", Unreachable, STRANGER),
        ("FlexibleChecksumError InconsistentError", IntegrityError, _DAMAGED),
        ("NoAnswer TooLong", Unreachable, STRANGER),
        ("TooSlow", Unreachable, _SLOW),
        # Of all of them, about what was to be sent
        ("BotoCoreError Boto3Error OssError ValueError", ConfigurationError, _SETTINGS),
        ("InvalidURL InvalidSchema MissingSchema InvalidHeader", ConfigurationError, _SETTINGS),
        ("OSError", StorageError, "Check the file and the disk."),
    )
    for name in names.split()
}


def failure(error: BaseException) -> Meaning | None:
    """The row for an exception that is no answer; None for what is in no table: a fault of this program."""
    if any(not _UNRESOLVED.isdisjoint(ancestors(each)) for each in causes(error)):
        return FAILURES["gaierror"]
    return next((FAILURES[name] for name in ancestors(error) if name in FAILURES), None)


_UNRESOLVED = frozenset(("gaierror", "NameResolutionError"))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that led to it or is wrapped in it, itself first, each once."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            linked = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
            waiting += [other for other in linked if isinstance(other, BaseException)]


def ancestors(error: BaseException) -> list[str]:
    """The names of an exception's classes, its own first."""
    return [ancestor.__name__ for ancestor in type(error).__mro__]


_QUOTING = ("ClientError", "ResponseParserError")  # of botocore: their words are the server's


def without_quotes(error: BaseException, *secrets: str) -> None:
    """Take a server's words and ``secrets`` out of an exception, and out of all that led to it.

    It becomes the cause of the error that is raised, and Python prints causes. A server may repeat whatever
    it was sent, the session token and signed addresses among it.
    """
    for each in causes(error):
        if not {*_QUOTING}.isdisjoint(ancestors(each)):
            each.args = ("what the server said stands in the message of the error that follows",)
        else:
            each.args = tuple(scrub(arg, *secrets) if isinstance(arg, str) else arg for arg in each.args)


def refusal(row: Meaning, tried: str, where: str, said: str, date: str) -> StorageError:
    """The error for a server's answer: what it ``said``, scrubbed, and the Date header it said that under."""
    if len(said) > SAID_MAX_CHARACTERS:
        said = f"{said[:SAID_MAX_CHARACTERS]}…"
    advice = f"{_clocks(date)}{row.advice}" if row.clocks else row.advice
    return row.error(sentence(tried, where, f"the server answered {said}", advice))


def _clocks(date: str) -> str:
    here, there = datetime.now(timezone.utc), http_date.parsed(date)
    if there is None:
        return ""
    form = "%Y-%m-%d %H:%M:%S UTC"
    return f"This machine's clock says {here.strftime(form)}, the server's {there.strftime(form)}. "
