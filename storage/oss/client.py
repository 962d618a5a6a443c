"""Build the oss2.Bucket of a profile: the address of the bucket, and how requests are sent.

Every request is signed with V4 and uses one connection pool for all threads. Redirects are not followed.
"""

from __future__ import annotations

import io
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
from ..sdk_errors import hide_debug_lines
from .errors import OssErrors, Refused
from .ram_role import RamRole

if TYPE_CHECKING:
    from ...profile import Credentials, Profile
    from ...providers import Provider

# A custom domain is not below these: help.aliyun.com/en/oss/user-guide/0018-00000401
OWN_DOMAINS = (".aliyuncs.com", ".aliyun.com", ".aliyun-inc.com")

# Public, internal and dual-stack endpoints name their region:
# help.aliyun.com/en/oss/user-guide/regions-and-endpoints
_REGION = re.compile(
    r"(?:^|[.-])(?:oss-(?!accelerate)([a-z0-9-]+?)(?:-internal)?|([a-z0-9-]+)\.oss)\.aliyuncs\.com$"
)

# A key "." or ".." at the end of a URL: requests would resolve it as a folder
_DOTS = re.compile(r"(?<=/)\.{1,2}\Z")


@dataclass(frozen=True)
class Address:
    """The address of a bucket. ``style``: "path", "virtual" or "custom"; ``base``: the URL before a key."""

    endpoint: str
    style: str
    region: str
    base: str


def address(profile: Profile) -> Address:
    """Return the address of a profile's bucket. Raises ConfigurationError if oss2 cannot use the endpoint."""
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
        region = found[1] or found[2]  # OSS refuses a request that is signed for another region
    if _is_local(host):
        return Address(endpoint, "path", region, f"{endpoint}/{profile.bucket}/")
    if host.endswith(OWN_DOMAINS):
        return Address(endpoint, "virtual", region, f"{parts.scheme}://{profile.bucket}.{parts.netloc}/")
    return Address(endpoint, "custom", region, f"{endpoint}/")


def _is_local(host: str) -> bool:
    """Return True if ``host`` cannot have subdomains, by the same rule as oss2."""
    try:
        socket.inet_aton(host)
    except OSError:
        return host == "localhost"
    return True


def build(
    profile: Profile,
    row: Provider,
    credentials: Credentials,
    where: Address,
    record_date: Callable[[str | None], None],
) -> Any:  # noqa: ANN401  oss2 has no types
    """Return an ``oss2.Bucket``, safe for threads. Sends nothing.

    ``record_date`` gets the Date header of every answer. Raises MissingDependency without an oss2 that can
    sign with V4, ConfigurationError for settings that oss2 refuses.
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
    hide_debug_lines("oss2")
    if profile.auth == "anonymous":
        auth = oss2.AnonymousAuth()
    else:
        ambient = profile.auth == "ambient"
        auth = sign(RamRole(Keys) if ambient else StaticCredentialsProvider(*credentials.reveal()))
    with OssErrors(str(profile), credentials).translated("prepare the connection"):
        return oss2.Bucket(
            auth,
            where.endpoint,
            profile.bucket,
            is_cname=where.style == "custom",
            is_path_style=where.style == "path",
            session=Session(profile.ca_file, record_date),
            connect_timeout=(CONNECT_SECONDS, READ_SECONDS),
            region=where.region,
            # Content-MD5 is better: damaged bytes are not stored, and crcmod is slow without its C extension
            enable_crc=False,
        )


class Session:
    """A session for oss2: sends its signed requests over one pool of connections, from any thread.

    oss2's own follows redirects, so that a PUT to a login page becomes a GET that succeeds, and lets an entry
    of ~/.netrc replace the signature. Raises Refused for every answer that is an error.
    """

    def __init__(self, ca_file: str, record_date: Callable[[str | None], None]) -> None:
        self._verify: str | bool = ca_file or True
        self._record_date = record_date
        self._session = connection_watch.session(CONNECTIONS)
        # cookies would be the only state of the session that threads change
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def do_request(self, request: Any, timeout: tuple[float, float]) -> Any:  # noqa: ANN401
        """Send a signed request. oss2 calls this; it reads the content of an object itself."""
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
            verify=self._verify,  # here: REQUESTS_CA_BUNDLE takes precedence over the session's
            auth=lambda prepared: prepared,
            allow_redirects=False,
        )
        self._record_date(answer.headers.get("Date"))
        is_object = request.method == "GET" and not request.params
        # Reads the body, which releases the connection: oss2 forgets to after status 204
        body, is_error = answers.read(answer.raw, answer.status_code, request.method, is_object=is_object)
        if is_error:
            raise Refused(answer, body or b"")
        if body is not None:
            answer.raw = io.BytesIO(body)
        return Response(answer)
