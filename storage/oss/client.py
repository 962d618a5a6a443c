"""One oss2 bucket for a profile: where its requests go and how they are sent.

Every request is signed V4 and goes through one pool that all threads share. oss2 would follow redirects:
whether to is decided here.
"""

from __future__ import annotations

import io
import logging
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import ConfigurationError, MissingDependency
from .. import answers, connection_watch
from ..base import CONNECT_SECONDS, CONNECTIONS, READ_SECONDS
from .errors import OssErrors, Refused
from .ram_role import RamRole

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

# No custom domain may lie below these: help.aliyun.com/en/oss/user-guide/0018-00000401
OWN_DOMAINS = (".aliyuncs.com", ".aliyun.com", ".aliyun-inc.com")

# Public, internal and dual-stack endpoints name their region:
# help.aliyun.com/en/oss/user-guide/regions-and-endpoints
_REGION = re.compile(
    r"(?:^|[.-])(?:oss-(?!accelerate)([a-z0-9-]+?)(?:-internal)?|([a-z0-9-]+)\.oss)\.aliyuncs\.com$"
)

# A key that is a dot or two, at the end of an address: requests would take it for a folder, and leave it out
_DOTS = re.compile(r"(?<=/)\.{1,2}\Z")

# ----------------------------------------------------------------------- where requests go


@dataclass(frozen=True)
class Address:
    """Where a bucket is: ``style`` is "path", "virtual" or "custom", ``base`` the URL before every key."""

    endpoint: str
    style: str
    region: str
    base: str


def address(profile: Profile) -> Address:
    """The address of a profile's bucket. Raises ConfigurationError for an endpoint that oss2 cannot use."""
    parts = urlsplit(profile.endpoint_url)
    host = parts.hostname or ""
    if ":" in host:
        raise ConfigurationError(
            f"The endpoint_url {profile.endpoint_url} is an IPv6 address, which oss2 cannot use. "
            "Give a host name."
        )
    if parts.path.strip("/"):
        raise ConfigurationError(
            f"The endpoint_url {profile.endpoint_url} has a path, which no bucket of OSS has. "
            "Leave only scheme and host."
        )
    endpoint = f"{parts.scheme}://{parts.netloc}"
    found = _REGION.search(host)
    region = profile.region.removeprefix("oss-")
    if found and profile.sources.get("region", "default") == "default":
        region = found[1] or found[2]  # else every request to another region than the default one is refused
    if _is_local(host):
        return Address(endpoint, "path", region, f"{endpoint}/{profile.bucket}/")
    if host.endswith(OWN_DOMAINS):
        return Address(endpoint, "virtual", region, f"{parts.scheme}://{profile.bucket}.{parts.netloc}/")
    return Address(endpoint, "custom", region, f"{endpoint}/")


def _is_local(host: str) -> bool:
    """Whether ``host`` can have no sub-domains; as oss2 sees it, which decides the same way for itself."""
    try:
        socket.inet_aton(host)
    except OSError:
        return host == "localhost"
    return True


# ------------------------------------------------------------------------------ the client


def build(
    profile: Profile,
    row: Provider,
    credentials: Credentials,
    place: Address,
    saw_date: Callable[[str | None], None],
) -> Any:  # noqa: ANN401  oss2 has no types
    """An ``oss2.Bucket``, safe for threads; ``saw_date`` gets the Date header of every answer. Sends nothing.

    Raises MissingDependency without an oss2 that signs V4, ConfigurationError for what oss2 refuses.
    """
    try:
        import oss2
        from oss2.credentials import Credentials as Keys
        from oss2.credentials import StaticCredentialsProvider

        sign = oss2.ProviderAuthV4
    except (ImportError, AttributeError) as error:
        raise MissingDependency(
            f"oss2 is not installed or too old, which {row.name} needs. "
            "Run `pip install --upgrade oss2` with ComfyUI's Python and start ComfyUI again."
        ) from error
    logger = logging.getLogger("oss2")
    if logger.level == logging.NOTSET:  # else its debug lines put security tokens into ComfyUI's log
        logger.setLevel(logging.WARNING)
    if profile.auth == "anonymous":
        auth = oss2.AnonymousAuth()
    else:
        ambient = profile.auth == "ambient"
        auth = sign(RamRole(Keys) if ambient else StaticCredentialsProvider(*credentials.reveal()))
    with OssErrors(str(profile), credentials).translated("prepare the connection"):
        return oss2.Bucket(
            auth,
            place.endpoint,
            profile.bucket,
            is_cname=place.style == "custom",
            is_path_style=place.style == "path",
            session=Wire(profile.ca_file, saw_date),
            connect_timeout=(CONNECT_SECONDS, READ_SECONDS),
            region=place.region,
            # Content-MD5 does more for less: what is damaged is not stored, and crcmod needs no C extension
            enable_crc=False,
        )


class Wire:
    """What oss2 calls a session: sends its signed requests through one pool of connections, from any thread.

    oss2's own follows redirects, so that a PUT that meets a login page ends as a GET that succeeds, and lets
    an entry of ~/.netrc replace the signature. Raises Refused for every answer that is not a success,
    whatever its status.
    """

    def __init__(self, ca_file: str, saw_date: Callable[[str | None], None]) -> None:
        self._verify: str | bool = ca_file or True
        self._saw_date = saw_date
        self._session = connection_watch.session(CONNECTIONS)
        # cookies would be the one thing that threads change in a session
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def do_request(self, request: Any, timeout: tuple[float, float]) -> Any:  # noqa: ANN401
        """Called by oss2 with a signed request; the body of an object is still to be read."""
        from oss2.http import Response

        if hasattr(request.data, "begin"):
            request.data.begin()
        answer = self._session.request(
            request.method,
            _DOTS.sub(lambda dots: dots[0].replace(".", "%2E"), request.url),
            data=request.data,
            params=request.params,
            headers=request.headers,
            timeout=timeout,
            stream=True,
            verify=self._verify,  # here and not in the session, where REQUESTS_CA_BUNDLE would win
            auth=lambda prepared: prepared,
            allow_redirects=False,
        )
        self._saw_date(answer.headers.get("Date"))
        if answer.status_code // 100 != 2:  # noqa: PLR2004
            raise Refused(answer, answers.error_document(answer.raw))
        if request.method == "GET" and not request.params:  # of an object
            connection_watch.allow(None)  # the head says how long the body is
        else:
            body = answers.document(
                answer.raw
            )  # which gives the connection back; oss2 forgets it after a 204
            if answers.is_error(body):
                raise Refused(answer, body)
            if request.method in ("GET", "POST"):  # to others nobody answers in words
                answers.check(body)
            answer.raw = io.BytesIO(body)
        return Response(answer)
