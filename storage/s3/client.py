"""Build the boto3 client of a profile, for AWS and for compatible services.

Requests are signed with SigV4, without default checksums if the provider refuses them. Unless ``auth`` is
ambient, nothing is read from ~/.aws: a profile there could send the requests elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import MissingDependency
from .. import answers, connection_watch
from ..base import CONNECT_SECONDS, CONNECTIONS, READ_SECONDS
from ..sdk_errors import hide_debug_lines
from .errors import S3Errors, unwrapped

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

SMALL_BYTES = 4 << 20  # a smaller body is sent without "Expect: 100-continue": one round trip less

log = logging.getLogger("cloud_storage")
_building = threading.Lock()  # botocore's clients are safe for threads, creating a session is not


def build(profile: Profile, row: Provider, credentials: Credentials) -> Any:  # noqa: ANN401
    """Return a boto3 S3 client, safe for threads. Sends nothing.

    Raises MissingDependency without boto3, ConfigurationError for settings that it refuses.
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

    hide_debug_lines("botocore")
    options: dict[str, Any] = {
        "signature_version": UNSIGNED if profile.auth == "anonymous" else "s3v4",
        "s3": {"addressing_style": addressing(profile, row)},
        "retries": {"mode": "standard", "total_max_attempts": 1},  # see ``storage.retries``
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_pool_connections": CONNECTIONS,
        "tcp_keepalive": True,
        # Older releases do not know these options, and behave in this way without them.
        "request_checksum_calculation": row.checksums,
        "response_checksum_validation": row.checksums,
        "ignore_configured_endpoint_urls": True,
    }
    with _building:
        no_file = (None, None, os.devnull, None)
        nothing = {"config_file": no_file, "credentials_file": no_file, "profile": (None, None, None, None)}
        session = botocore.session.Session(session_vars={} if profile.auth == "ambient" else nothing)
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_time)
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
    _extend(client)
    _watch(client)
    return client


def _time(value: Any) -> datetime:  # noqa: ANN401  whatever stands in an answer
    """Return a time of an answer. botocore's own way takes two thirds of the time of a listing."""
    if isinstance(value, str) and value.endswith("Z"):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
    from botocore.utils import parse_timestamp

    parsed: datetime = parse_timestamp(value)
    return parsed


def addressing(profile: Profile, row: Provider) -> str:
    """Return the addressing style: "path" if the bucket cannot be part of a host name.

    Dots in the bucket's name break TLS, host names have no underscores and capitals, an IP address has no
    subdomains.
    """
    host = urlsplit(profile.endpoint_url).hostname or ""
    is_address = host == "localhost" or ":" in host or host.replace(".", "").isdigit()
    is_name = not {".", "_"} & set(profile.bucket) and profile.bucket == profile.bucket.lower()
    return row.addressing if is_name and not is_address else "path"


def _watch(client: Any) -> None:  # noqa: ANN401
    """Limit and check answers by ``connection_watch`` and ``answers``, before botocore parses them."""
    session = client._endpoint.http_session
    try:  # botocore has had these private names since 1.11
        session._pool_classes_by_scheme = connection_watch.watched_pools(session._pool_classes_by_scheme)
        session._manager.pool_classes_by_scheme = session._pool_classes_by_scheme
    except AttributeError:
        log.warning("This release of botocore is not known: Cancel and slow servers are noticed late.")

    def send(request: Any, **_: object) -> Any:  # noqa: ANN401
        is_object, request.stream_output = request.stream_output, True  # otherwise it would read the body
        answer = session.send(request)
        status = answer.status_code
        body, is_error = answers.read(answer.raw, status, request.method, is_object=is_object)
        if body is not None:
            answer.raw = _Body(body)
        if is_error and status // 100 == 2:  # noqa: PLR2004
            answer.status_code = 500  # so that botocore parses the error
        return answer

    client.meta.events.register("before-send.s3", send)


class _Body:
    """A body that is already read, with the method that botocore calls."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        return [self._body]


def _extend(client: Any) -> None:  # noqa: ANN401
    """Add what boto3 has no parameters for, by events of botocore that every release since 1.26 has."""
    events = client.meta.events

    def take_condition(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["condition"] = params.pop("Condition", {})

    def send_condition(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        # boto3 has parameters for If-None-Match and If-Match only since 1.35
        params["headers"].update(context.get("condition", {}))

    def take_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["body"] = params["Body"]

    def begin_counting(request: Any, **_: object) -> None:  # noqa: ANN401
        # The request is signed by now. Its data may be a wrapper around the body that adds a checksum.
        if "body" in request.context:
            request.context["body"].begin()

    def send_small_at_once(params: dict[str, Any], **_: object) -> None:
        if len(params.get("body") or b"") < SMALL_BYTES:
            params["headers"].pop("Expect", None)

    def raise_at_once(caught_exception: Exception | None = None, **_: object) -> None:
        if (cause := unwrapped(caught_exception)) is not None:  # botocore would retry
            raise cause

    def answer_head_bucket(**_: object) -> tuple[SimpleNamespace, dict[str, Any]]:
        return SimpleNamespace(status_code=200), {"ResponseMetadata": {"HTTPHeaders": {}}}

    # botocore sends HeadBucket to get the region after a redirect without one. A least-privilege key may not,
    # and a login page redirects that too: botocore repeats it until the stack is full.
    events.register("before-call.s3.HeadBucket", answer_head_bucket)
    for operation in ("PutObject", "CompleteMultipartUpload"):
        events.register(f"before-parameter-build.s3.{operation}", take_condition)
        events.register(f"before-call.s3.{operation}", send_condition)
    events.register_last("before-call.s3.PutObject", send_small_at_once)
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-parameter-build.s3.{operation}", take_body)
    events.register_last("request-created.s3", begin_counting)
    events.register_first("needs-retry.s3", raise_at_once)
