"""The tables of error codes and of SDK exceptions: which error of this package each one is."""

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
from .answers import InvalidAnswer
from .connection_watch import TooLong, TooSlow

SAID_MAX_CHARACTERS = 1000  # of a server's words in a message
NO_WORDS = "no further words"  # in a server's answer


@dataclass(frozen=True)
class Meaning:
    """What an error code means: the class to raise, and the sentence that says what to do.

    ``clocks``: the message also has the time here and at the server. ``scope``: None for that of the class.
    """

    raises: type[StorageError]
    advice: str
    clocks: bool = False
    scope: Scope | None = None

    def error(self, message: str) -> StorageError:
        """Return the error to raise."""
        error = self.raises(message)
        error.scope = self.scope or error.scope
        return error


_WRONG_KEY = "Check the access key of the profile: it was mistyped, deleted, or belongs to another provider."
_BAD_SIGNATURE = "Check the secret key of the profile: it does not fit the access key."
_CLOCK = "Set this machine's clock (enable NTP): the provider accepts a difference of 15 minutes at most."
_RENEW = "The session token is expired or wrong: get new temporary credentials and put them into the profile."
_POLICY = "Let the key's policy allow this operation on this bucket and prefix, or use another key."
_HIDDEN = (
    "The object is missing, or the profile's key may not read it: a key without permission to list the "
    "bucket gets this answer for both. Check the key's name and the policy."
)
_REPLACED = "The object was replaced meanwhile: run the node again."
_REGION = "Set the profile's region to the bucket's own."
_REGION_OF_ENDPOINT = "Set the profile's region to the one in the endpoint's name, or remove it."
_BUCKET = "Check the bucket's name, region and provider in the profile; these nodes create no buckets."
_LONG = "The key is too long here: check it. When saving, shorten key_prefix or filename."
_SLASH = "No key may begin with / or \\ here. When saving, change key_prefix or filename."
_ACLS = "The bucket has ACLs disabled: remove upload.acl from the profile."
_ENCRYPTION = "Change upload.server_side_encryption in the profile."
_LARGE = "The provider does not take objects of this size."
_QUOTA = "The bucket's quota is used up: free room or raise it."
_IMMUTABLE = "The bucket's retention policy protects it: choose another key."
_BUSY = "Wait a moment and try again; fewer saves at once also help."
_BROKEN = "Try again; if it fails again, check the provider's status page."
_DAMAGED = "The bytes were damaged on their way: run the node again."
_ACCOUNT = "The account is overdue or disabled: settle it with the provider."
_DOMAIN = "Set endpoint_url to the provider's endpoint of the region, or to the bucket's own domain."
_OWN_DOMAIN = (
    "Map a domain of your own to the bucket and set endpoint_url to it; "
    "inside Aliyun, use the internal endpoint."
)
_NO_LOGIN = "This machine has no AWS role, SSO login or ~/.aws: set one up, or auth to keys."
_LOGIN = "Renew the login that the AWS chain uses, for example `aws sso login`."
_NO_SERVER = "Check the endpoint, the network, and that the server runs."
_NO_NAME = (
    "No server has the name in the endpoint: check the profile's region, account_id or endpoint_url, "
    "then this machine's network."
)
_NO_ANSWER = "Check the endpoint, the network and the firewall: nothing answered."
_SILENT = "The server went silent. Try again, and check the network."
_SLOW = "Try again, and check the network; if it fails again, check the provider's status page."
_BROKE = "The connection broke. Try again, and check the network."
_CERTIFICATE = "Check that the endpoint is right and its certificate valid; for a private CA set ca_file."
_NETWORK = "Check the network and try again."
_SETTINGS = "Check the profile's settings."
NOT_AN_OBJECT_STORE = "Check endpoint_url: a proxy or a login page answers there, not an object store."

_FORBIDDEN = Meaning(Forbidden, _POLICY)  # or, when an object is read, it may be missing


def _by_name(rows: dict[str, Meaning]) -> dict[str, Meaning]:
    return {name: row for names, row in rows.items() for name in names.split()}


# Codes of S3 (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of compatible services, and of
# OSS (help.aliyun.com/zh/oss/support/0002-*). A code that several of them have means the same for all. The
# answer to a HEAD has no body, so its status is the code: "403", "404", "412". OSS also has a number for the
# cause of an error, its EC: help.aliyun.com/en/oss/user-guide/<EC>
CODES = _by_name(
    {
        "NoSuchKey NotFound 404": Meaning(NotFound, "Check the key; List Bucket Contents shows all keys."),
        "NoSuchBucket": Meaning(NotFound, _BUCKET),
        "NoSuchUpload": Meaning(Changed, "The upload was aborted by somebody else: run the node again."),
        "InvalidBucketName": Meaning(ConfigurationError, _BUCKET),
        "InvalidAccessKeyId InvalidAccessKey": Meaning(AccessDenied, _WRONG_KEY),
        "SignatureDoesNotMatch": Meaning(AccessDenied, _BAD_SIGNATURE),
        # The number: InvalidArgument, because the clocks are on different days
        "RequestTimeTooSkewed RequestExpired 0002-00000212": Meaning(AccessDenied, _CLOCK, clocks=True),
        # or a wrong clock makes the token seem expired
        "ExpiredToken SecurityTokenExpired": Meaning(AccessDenied, _RENEW, clocks=True),
        "TokenRefreshRequired InvalidToken InvalidSecurityToken": Meaning(AccessDenied, _RENEW),
        "AccessKeyIdAndSecurityTokenNotMatch": Meaning(AccessDenied, _RENEW),
        "AccessDenied Forbidden 403": _FORBIDDEN,
        "AllAccessDisabled 401": Meaning(Forbidden, _POLICY),
        "UserDisable InDebt InDebtOverdue": Meaning(AccessDenied, _ACCOUNT),
        "SecondLevelDomainForbidden NonStandardHostForbidden": Meaning(ConfigurationError, _DOMAIN),
        # Accounts since 2025-03-20, buckets in mainland China:
        # help.aliyun.com/en/oss/user-guide/map-custom-domain-names-1
        # Buckets since 2023-08-15: help.aliyun.com/en/oss/user-guide/
        # what-to-do-with-apkdownloadforbidden-reporting-an-error
        "PublicEndpointForbidden ApkDownloadForbidden": Meaning(ConfigurationError, _OWN_DOMAIN),
        "PermanentRedirect TemporaryRedirect 301 307": Meaning(ConfigurationError, _REGION),
        "IllegalLocationConstraintException": Meaning(ConfigurationError, _REGION),
        "AuthorizationHeaderMalformed": Meaning(ConfigurationError, _REGION),
        "302 303 308": Meaning(Unreachable, NOT_AN_OBJECT_STORE),
        # Both: InvalidArgument
        "0002-00000226 0002-00000228": Meaning(ConfigurationError, _REGION_OF_ENDPOINT),
        "PreconditionFailed 412 FileAlreadyExists": Meaning(AlreadyExists, TAKEN),
        "ConditionalRequestConflict": Meaning(AlreadyExists, "Another upload to it is under way: try again."),
        "EntityTooLarge": Meaning(TooLarge, _LARGE),
        "KeyTooLongError": Meaning(BadKey, _LONG),
        # A key must not start with / or \: help.aliyun.com/en/oss/user-guide/object-overview
        "InvalidObjectName": Meaning(BadKey, _SLASH),
        "InvalidStorageClass": Meaning(ConfigurationError, "Change upload.storage_class in the profile."),
        "InvalidEncryptionAlgorithmError": Meaning(ConfigurationError, _ENCRYPTION),
        "InvalidTag": Meaning(ConfigurationError, "Change upload.tags in the profile."),
        "AccessControlListNotSupported": Meaning(ConfigurationError, _ACLS),
        # A retention policy (WORM) of the bucket: help.aliyun.com/en/oss/user-guide/oss-retention-policies
        "FileImmutable": Meaning(AccessDenied, _IMMUTABLE, scope=Scope.OBJECT),
        "InvalidObjectState": Meaning(StorageError, "The object is archived: restore it there first."),
        "BadDigest InvalidDigest XAmzContentSHA256Mismatch": Meaning(IntegrityError, _DAMAGED),
        "QuotaExceeded": Meaning(StorageError, _QUOTA, scope=Scope.ALL),
        "SlowDown Throttling ThrottlingException TooManyRequests": Meaning(Throttled, _BUSY),
        "RequestLimitExceeded 429 ServiceUnavailable 503": Meaning(Throttled, _BUSY),
        "RequestTimeout InternalError 500 502 504": Meaning(Unreachable, _BROKEN),
    }
)

_UNKNOWN = Meaning(StorageError, "Look the code up in the provider's documentation and check the endpoint.")


def meaning(
    code: str, status: int = 0, *, cause: str = "", reading: bool = False, expected: bool = False
) -> Meaning:
    """Return the row of a server's error ``cause`` or ``code``; if both are unknown, of its HTTP status.

    ``reading``: an object was requested; then "forbidden" may also mean that it is missing. ``expected``: it
    was requested by its ETag; then a failed precondition means Changed.
    """
    row = CODES.get(cause) or CODES.get(code) or CODES.get(str(status)) or _UNKNOWN
    if reading and CODES.get(code) is row is _FORBIDDEN:
        return Meaning(Forbidden, _HIDDEN)
    if expected and row.raises is AlreadyExists:
        return Meaning(Changed, _REPLACED)
    return row


# Exceptions without an answer of a server, by class name, so that no library is imported for this table. The
# nearest class of an exception's ancestors that is in it counts.
FAILURES = _by_name(
    {
        # Of botocore, if it gets the credentials from this machine
        "NoCredentialsError": Meaning(AccessDenied, _NO_LOGIN),
        "PartialCredentialsError": Meaning(AccessDenied, "Complete the key pair where it is configured."),
        "CredentialRetrievalError TokenRetrievalError SSOTokenLoadError": Meaning(AccessDenied, _LOGIN),
        "UnauthorizedSSOTokenError LoginTokenLoadError": Meaning(AccessDenied, _LOGIN),
        "ProfileNotFound": Meaning(AccessDenied, "Correct AWS_PROFILE, or set auth to keys."),
        # Of botocore, requests, urllib3 and Python, about the connection
        "EndpointConnectionError ConnectionError": Meaning(Unreachable, _NO_SERVER),
        "ConnectTimeoutError ConnectTimeout": Meaning(Unreachable, _NO_ANSWER),
        "ReadTimeoutError ReadTimeout TimeoutError": Meaning(Unreachable, _SILENT),
        "ConnectionClosedError ProtocolError ChunkedEncodingError": Meaning(Unreachable, _BROKE),
        "HTTPException ResponseStreamingError IncompleteReadError": Meaning(Unreachable, _BROKE),
        "SSLError": Meaning(Unreachable, _CERTIFICATE),
        "ProxyConnectionError ProxyError": Meaning(Unreachable, "Check HTTP_PROXY and HTTPS_PROXY."),
        "gaierror NameResolutionError": Meaning(Unreachable, _NO_NAME),
        "HTTPClientError RequestException HTTPError": Meaning(Unreachable, _NETWORK),
        # Of botocore, oss2 and this package, about an answer
        "ResponseParserError ParseError": Meaning(Unreachable, NOT_AN_OBJECT_STORE),
        f"{InvalidAnswer.__name__} {TooLong.__name__}": Meaning(Unreachable, NOT_AN_OBJECT_STORE),
        "FlexibleChecksumError InconsistentError": Meaning(IntegrityError, _DAMAGED),
        TooSlow.__name__: Meaning(Unreachable, _SLOW),
        # Of all of them, about the request
        "BotoCoreError Boto3Error OssError ValueError": Meaning(ConfigurationError, _SETTINGS),
        "InvalidURL InvalidSchema MissingSchema InvalidHeader": Meaning(ConfigurationError, _SETTINGS),
        "OSError": Meaning(StorageError, "Check the file and the disk."),
    }
)


def failure(error: BaseException) -> Meaning | None:
    """Return the row of an exception without an answer; None for a fault of this program."""
    if any(not {"gaierror", "NameResolutionError"}.isdisjoint(ancestors(each)) for each in causes(error)):
        return FAILURES["gaierror"]
    return next((FAILURES[name] for name in ancestors(error) if name in FAILURES), None)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, and every exception that led to it or is wrapped in it, each once."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            linked = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
            waiting += [other for other in linked if isinstance(other, BaseException)]


def ancestors(error: BaseException) -> list[str]:
    """Return the names of an exception's classes, its own first."""
    return [ancestor.__name__ for ancestor in type(error).__mro__]


def without_quotes(error: BaseException, *secrets: str) -> None:
    """Remove a server's words and ``secrets`` from an exception and from its ``causes``.

    Python prints them as the causes of the error that is raised. A server may repeat what it was sent, such
    as the session token and signed URLs.
    """
    for each in causes(error):
        if not {"ClientError", "ResponseParserError"}.isdisjoint(ancestors(each)):  # they quote the server
            each.args = ("what the server said is in the message of the error that follows",)
        else:
            each.args = tuple(scrub(arg, *secrets) if isinstance(arg, str) else arg for arg in each.args)


def refusal(row: Meaning, tried: str, where: str, said: str, date: str) -> StorageError:
    """Return the error for a server's answer: what it ``said``, without secrets, and its Date header."""
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
