"""One boto3 client for a profile, for look-alikes as well as for AWS.

SigV4 always, no default checksums where a provider refuses them, bounded time-outs, and in keys mode nothing
from ~/.aws, so that a stray profile cannot redirect it.
"""

from __future__ import annotations

import logging
import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import MissingDependency, StorageError
from .. import answers, connection_watch
from ..base import CONNECT_SECONDS, CONNECTIONS, READ_SECONDS
from .errors import S3Errors

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

SMALL_BYTES = 4 << 20  # a smaller body is sent without asking first, which saves a round trip

log = logging.getLogger("cloud_storage")
_building = threading.Lock()  # creating a botocore session is not thread-safe, using a client is


def build(profile: Profile, row: Provider, credentials: Credentials) -> Any:  # noqa: ANN401  it has no types
    """A boto3 S3 client, safe for threads. Sends nothing.

    Raises MissingDependency without boto3, ConfigurationError for settings it refuses.
    """
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

    logger = logging.getLogger("botocore")
    if logger.level == logging.NOTSET:  # else its debug lines put tokens and signed URLs into ComfyUI's log
        logger.setLevel(logging.WARNING)
    options: dict[str, Any] = {
        "signature_version": UNSIGNED if profile.auth == "anonymous" else "s3v4",
        "s3": {"addressing_style": addressing(profile, row)},
        "retries": {"mode": "standard", "total_max_attempts": 1},  # see the module ``retries``
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
        with S3Errors(str(profile), credentials).translated("prepare the connection"):
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
    _register(client)
    _watch(client)
    return client


def addressing(profile: Profile, row: Provider) -> str:
    """Path style where a bucket cannot be a host name below the endpoint's.

    Dots in it break TLS, underscores and capitals are no part of a name, and an IP has no sub-domains.
    """
    host = urlsplit(profile.endpoint_url).hostname or ""
    is_address = host == "localhost" or ":" in host or host.replace(".", "").isdigit()
    is_name = not {".", "_"} & set(profile.bucket) and profile.bucket == profile.bucket.lower()
    return row.addressing if is_name and not is_address else "path"


def _watch(client: Any) -> None:  # noqa: ANN401
    """Read answers within the limits of ``connection_watch``, and check them before botocore parses them."""
    session = client._endpoint.http_session
    try:  # names that botocore has had since 1.11 and calls private
        session._pool_classes_by_scheme = connection_watch.watched(session._pool_classes_by_scheme)
        session._manager.pool_classes_by_scheme = session._pool_classes_by_scheme
    except AttributeError:
        log.warning("This release of botocore is not known: Cancel and slow servers are noticed late.")

    def send(request: Any, **_: object) -> Any:  # noqa: ANN401
        streamed, request.stream_output = request.stream_output, True  # else it would read all there is
        answer = session.send(request)
        if answer.status_code // 100 != 2:  # noqa: PLR2004
            answer.raw = _Body(answers.error_document(answer.raw))
        elif streamed:
            connection_watch.allow(None)  # the head says how long the body is
        else:
            body = answers.document(answer.raw)
            answer.raw = _Body(body)
            if answers.is_error(body):
                answer.status_code = 500  # for botocore, which parses it as the error that it is then
            elif request.method in ("GET", "POST"):  # to others nobody answers in words
                answers.check(body)
        return answer

    client.meta.events.register("before-send.s3", send)


class _Body:
    """A body that has been read, as botocore asks for it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        return [self._body]


def _register(client: Any) -> None:  # noqa: ANN401
    """Teach the client what its parameters cannot say, in every release since 1.26."""
    events = client.meta.events

    def take_create(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["create_only"] = params.pop("CreateOnly", False)

    def take_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["body"] = params["Body"]

    def send_create(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        if context.get("create_only"):  # a parameter of its own only since botocore 1.35
            params["headers"]["If-None-Match"] = "*"

    def spare_round_trip(params: dict[str, Any], **_: object) -> None:
        if len(params.get("body") or b"") < SMALL_BYTES:
            params["headers"].pop("Expect", None)

    def begin_counting(request: Any, **_: object) -> None:  # noqa: ANN401
        # Signing has read it, where it must. request.data may be a wrapper around it that adds a checksum.
        if "body" in request.context:
            request.context["body"].begin()

    def end_for_good(caught_exception: Exception | None = None, **_: object) -> None:
        cause = getattr(caught_exception, "kwargs", {}).get("error")
        # Of the body, or of the answer: botocore wraps them, and would try again
        if isinstance(cause, (StorageError, connection_watch.TooSlow, connection_watch.TooLong)):
            raise cause

    def know_no_region(**_: object) -> tuple[SimpleNamespace, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPHeaders": {}}}

    # botocore asks HeadBucket for the region when it is sent elsewhere and not told where. Least-privilege
    # keys may not, and with a login page, which sends everybody elsewhere, it asks until the stack is full.
    events.register("before-call.s3.HeadBucket", know_no_region)
    for operation in ("PutObject", "CompleteMultipartUpload"):
        events.register(f"before-parameter-build.s3.{operation}", take_create)
        events.register(f"before-call.s3.{operation}", send_create)
    events.register_last("before-call.s3.PutObject", spare_round_trip)
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-parameter-build.s3.{operation}", take_body)
    events.register_last("request-created.s3", begin_counting)
    events.register_first("needs-retry.s3", end_for_good)
