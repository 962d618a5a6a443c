"""One boto3 client for a profile, and the translation of whatever boto3 raises into the errors of this package.

The client is configured for look-alikes as well as for AWS: SigV4 always, no default checksums where a provider
refuses them, bounded time-outs, and in keys mode nothing from ~/.aws, so that a stray profile cannot redirect it.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import (
    AccessDenied,
    AlreadyExists,
    Changed,
    ConfigurationError,
    IntegrityError,
    Meaning,
    MissingDependency,
    StorageError,
    TransferCancelled,
    Unreachable,
    meaning,
    scrub,
    sentence,
)

if TYPE_CHECKING:
    from .profile import Credentials, Profile
    from .providers import Provider

CONNECT_SECONDS = 10
READ_SECONDS = 30  # of silence
ATTEMPTS = 4  # in all, with botocore's jittered back-off between them
CONNECTIONS = 64  # kept open; more than the threads that any node uses at once

_building = threading.Lock()  # creating a botocore session is not thread-safe, using a client is


def build(profile: Profile, row: Provider, credentials: Credentials) -> Any:  # noqa: ANN401  boto3 has no types
    """A boto3 S3 client. Raises MissingDependency without boto3, ConfigurationError for settings it refuses."""
    try:
        import boto3
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as error:
        raise MissingDependency(
            f"boto3 is not installed, which {row.name} needs. "
            "Run `pip install boto3` with ComfyUI's Python and start ComfyUI again."
        ) from error

    options: dict[str, Any] = {
        "signature_version": UNSIGNED if profile.auth == "anonymous" else "s3v4",
        "s3": {"addressing_style": addressing(profile, row)},
        "retries": {"mode": "standard", "max_attempts": ATTEMPTS},
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_pool_connections": CONNECTIONS,
        "tcp_keepalive": True,
        # Options that older releases do not know; they behave in this way without them.
        "request_checksum_calculation": row.checksums,
        "response_checksum_validation": row.checksums,
        "ignore_configured_endpoint_urls": True,
    }
    with _building:
        variables = {}
        if profile.auth != "ambient":
            nothing = (None, None, os.devnull, None)
            variables = {
                "config_file": nothing,
                "credentials_file": nothing,
                "profile": (None, None, None, None),
            }
        session = botocore.session.Session(session_vars=variables)
        known = set(Config.OPTION_DEFAULTS)
        access_key, secret_key, token = credentials.reveal()
        try:
            client = boto3.session.Session(botocore_session=session).client(
                "s3",
                region_name=profile.region or None,
                endpoint_url=profile.endpoint_url or None,
                aws_access_key_id=access_key or None,
                aws_secret_access_key=secret_key or None,
                aws_session_token=token or None,
                verify=profile.ca_file or None,
                config=Config(**{name: value for name, value in options.items() if name in known}),
            )
        except Exception as error:
            raise_translated(error, "prepare the connection", str(profile), credentials)
    _register(client)
    return client


def addressing(profile: Profile, row: Provider) -> str:
    """Path style where a bucket cannot be a host name below the endpoint's: dots break TLS, an IP has no sub-domains."""
    from urllib.parse import urlsplit

    host = urlsplit(profile.endpoint_url).hostname or ""
    is_address = host == "localhost" or ":" in host or host.replace(".", "").isdigit()
    if is_address or "." in profile.bucket or "_" in profile.bucket or profile.bucket != profile.bucket.lower():
        return "path"
    return row.addressing


def _register(client: Any) -> None:  # noqa: ANN401
    """Teach the client what its parameters cannot say, in every release since 1.26."""
    events = client.meta.events

    def take_create(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["create_only"] = params.pop("CreateOnly", False)

    def send_create(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if context.get("create_only"):  # a parameter of its own only since botocore 1.35
            params["headers"]["If-None-Match"] = "*"

    def spare_round_trip(params: dict[str, Any], **_: object) -> None:
        if len(params.get("body") or b"") < SMALL_BYTES:
            params["headers"].pop("Expect", None)

    def begin_counting(request: Any, **_: object) -> None:  # noqa: ANN401
        if hasattr(request.body, "begin"):
            request.body.begin()

    def end_when_cancelled(caught_exception: Exception | None = None, **_: object) -> None:
        cause = getattr(caught_exception, "kwargs", {}).get("error")
        if isinstance(cause, (TransferCancelled, IntegrityError)):  # wrapped by botocore, which would try again
            raise cause

    for operation in ("PutObject", "CompleteMultipartUpload"):
        events.register(f"before-parameter-build.s3.{operation}", take_create)
        events.register(f"before-call.s3.{operation}", send_create)
    events.register_last("before-call.s3.PutObject", spare_round_trip)
    events.register("before-send.s3", begin_counting)
    events.register_first("needs-retry.s3", end_when_cancelled)


SMALL_BYTES = 1 << 20  # a body up to this size is sent without asking first, which saves a round trip

# What botocore raises before there is an answer, by class name so that nothing is imported for it.
_NO_ANSWER = {
    "EndpointConnectionError": "Check the endpoint, the network, and that the server runs.",
    "ConnectTimeoutError": "Check the endpoint, the network and the firewall: nothing answered.",
    "ReadTimeoutError": "The server went silent. Try again, and check the network.",
    "ConnectionClosedError": "The server or something before it closed the connection. Try again.",
    "ResponseStreamingError": "The connection broke. Try again, and check the network.",
    "IncompleteReadError": "The connection broke. Try again, and check the network.",
    "ProxyConnectionError": "Check HTTP_PROXY and HTTPS_PROXY.",
    "SSLError": "Check that the endpoint is right and its certificate valid; for a private CA set ca_file.",
    "HTTPClientError": "Check the network and try again.",
}
_NO_CREDENTIALS = {
    "NoCredentialsError": "This machine has no AWS role, SSO login or ~/.aws: set one up, or auth to keys.",
    "PartialCredentialsError": "Complete the key pair where it is configured.",
    "CredentialRetrievalError": "Renew the login that the AWS chain uses, for example `aws sso login`.",
    "TokenRetrievalError": "Renew the login that the AWS chain uses, for example `aws sso login`.",
    "SSOTokenLoadError": "Renew the login that the AWS chain uses, for example `aws sso login`.",
    "UnauthorizedSSOTokenError": "Renew the login that the AWS chain uses, for example `aws sso login`.",
    "LoginTokenLoadError": "Renew the login that the AWS chain uses.",
    "ProfileNotFound": "Correct AWS_PROFILE, or set auth to keys.",
}


def code_of(error: BaseException) -> str:
    """The server's error code of a ClientError ("NoSuchKey", or a status such as "404" for a HEAD), else ""."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def retried(error: BaseException) -> bool:
    """Whether the request had been sent before, so that the answer may be to our own first try."""
    response = getattr(error, "response", None)
    return isinstance(response, dict) and response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0


def raise_translated(
    error: BaseException, tried: str, where: str, credentials: Credentials, *, expected: bool = False
) -> NoReturn:
    """Raise what ``error`` means. ``expected`` says that a precondition on the ETag was sent: then 412 is Changed."""
    if isinstance(error, StorageError):
        raise error
    secrets = credentials.reveal()[1:]
    name = type(error).__name__
    code = code_of(error)
    if code:
        raise _answered(error, code, tried, where, secrets, expected) from error
    said = scrub(str(error), *secrets)
    if name in _NO_CREDENTIALS:
        raise AccessDenied(sentence(tried, where, said, _NO_CREDENTIALS[name])) from error
    for ancestor in type(error).__mro__:
        if ancestor.__name__ in _NO_ANSWER:
            raise Unreachable(sentence(tried, where, said, _NO_ANSWER[ancestor.__name__])) from error
    module = type(error).__module__
    if module.startswith(("urllib3", "http", "ssl", "socket")) or isinstance(error, (ConnectionError, TimeoutError)):
        raise Unreachable(sentence(tried, where, said, "Check the network and try again.")) from error
    if isinstance(error, OSError):
        raise StorageError(sentence(tried, where, said, "Check the file and the disk.")) from error
    if module.startswith(("botocore", "boto3")) or isinstance(error, ValueError):
        raise ConfigurationError(sentence(tried, where, said, "Check the profile's settings.")) from error
    raise error


def _answered(
    error: BaseException, code: str, tried: str, where: str, secrets: tuple[str, ...], expected: bool
) -> StorageError:
    response: dict[str, Any] = error.response  # type: ignore[attr-defined]
    metadata = response.get("ResponseMetadata", {})
    headers = {key.lower(): value for key, value in metadata.get("HTTPHeaders", {}).items()}
    said = scrub(str(response["Error"].get("Message") or "no further words"), *secrets)
    row = meaning(code, int(metadata.get("HTTPStatusCode", 0)))
    if expected and row.raises is AlreadyExists:
        row = Meaning(Changed, "The object was replaced meanwhile: run the node again.")
    advice = row.advice
    region = response["Error"].get("Region") or headers.get("x-amz-bucket-region")
    if region and row.raises is ConfigurationError:
        advice = f"The bucket is in region {scrub(region)}: set the profile's region to that."
    if "Skewed" in code or "Expired" in code:
        advice = f"{_clocks(headers.get('date', ''))}{advice}"
    return row.raises(sentence(tried, where, f"the server answered {code} ({said})", advice))


def _clocks(date: str) -> str:
    here = datetime.now(timezone.utc)
    try:
        there = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return ""
    return f"This machine's clock says {here:%Y-%m-%d %H:%M:%S} UTC, the server's {there:%Y-%m-%d %H:%M:%S} UTC. "
