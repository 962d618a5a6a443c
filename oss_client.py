"""One oss2 bucket for a profile, and what oss2 and requests raise, translated into this package's errors.

Every request is signed V4 and sent through one pool that all threads share. oss2 retries nothing and follows
redirects: both are decided here.
"""

from __future__ import annotations

import base64
import logging
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

from .errors import (
    CODES,
    AccessDenied,
    AlreadyExists,
    Changed,
    ConfigurationError,
    IntegrityError,
    Meaning,
    MissingDependency,
    StorageError,
    Unreachable,
    meaning,
    scrub,
    sentence,
)

if TYPE_CHECKING:
    from .multipart import Slice
    from .profile import Credentials, Profile
    from .providers import Provider
    from .storage import Meter

CONNECT_SECONDS = 10
READ_SECONDS = 30  # of silence
ATTEMPTS = 4  # in all
BACKOFF_SECONDS = 0.5  # before the second attempt; doubled for each further one
CONNECTIONS = 64  # kept open; more than the threads that any node uses at once
ERROR_MAX_BYTES = 64 << 10  # of an error document: with the string to sign in it, it is some KiB

# Of an ECS instance: help.aliyun.com/en/ecs/user-guide/view-instance-metadata
METADATA_URL = "http://100.100.100.200/latest"
METADATA_SECONDS = 2  # it is a link-local address: who is not there in that time is not there
METADATA_TOKEN_SECONDS = 300
RENEW_SECONDS = 600  # before temporary credentials expire

# No custom domain may lie below these: help.aliyun.com/en/oss/user-guide/0018-00000401
OWN_DOMAINS = (".aliyuncs.com", ".aliyun.com", ".aliyun-inc.com")

# Public, internal and dual-stack endpoints name their region:
# help.aliyun.com/en/oss/user-guide/regions-and-endpoints
_REGION = re.compile(
    r"(?:^|[.-])(?:oss-(?!accelerate)([a-z0-9-]+?)(?:-internal)?|([a-z0-9-]+)\.oss)\.aliyuncs\.com$"
)

T = TypeVar("T")


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
        auth = sign(RamRole() if ambient else StaticCredentialsProvider(*credentials.reveal()))
    try:
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
    except Exception as error:  # noqa: BLE001  raised again as what it means
        raise_translated(error, "prepare the connection", str(profile), credentials)


class Wire:
    """What oss2 calls a session: sends its signed requests through one pool of connections, from any thread.

    oss2's own follows redirects, so that a PUT that meets a login page ends as a GET that succeeds, and lets
    an entry of ~/.netrc replace the signature. Raises Refused for every answer that is not a success.
    """

    def __init__(self, ca_file: str, saw_date: Callable[[str | None], None]) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self._verify: str | bool = ca_file or True
        self._saw_date = saw_date
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        # cookies would be the one thing that threads change in a session
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def do_request(self, request: Any, timeout: tuple[float, float]) -> Any:  # noqa: ANN401
        """Called by oss2 with a signed request; the body of the answer is still to be read."""
        from oss2.http import Response

        if hasattr(request.data, "begin"):
            request.data.begin()
        answer = self._session.request(
            request.method,
            request.url,
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
            raise Refused(answer)
        if answer.raw.length_remaining == 0:
            answer.content  # noqa: B018  gives the connection back, which oss2 forgets after a 204
        return Response(answer)


class Refused(Exception):
    """The server says no: its status, its headers, and the elements of its error document, if it is OSS's."""

    def __init__(self, answer: Any) -> None:  # noqa: ANN401
        self.status: int = answer.status_code
        self.headers: Mapping[str, str] = answer.headers
        body = answer.raw.read(ERROR_MAX_BYTES, decode_content=True)
        answer.close()
        if not body:  # of a HEAD
            try:
                body = base64.b64decode(self.headers.get("x-oss-err", ""))
            except ValueError:
                body = b""
        self.details = _elements(body)
        self.known = "Code" in self.details
        self.code = self.details.get("Code", str(self.status))
        super().__init__(f"{self.status} {self.code}")


def _elements(document: bytes) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  expat bounds the expansion of entities since 2.4.1
    except ElementTree.ParseError:
        return {}
    return {child.tag: child.text or "" for child in root} if root.tag == "Error" else {}


class RamRole:
    """Temporary credentials of this ECS instance's RAM role, fetched on first use and renewed in time.

    oss2's own provider must be told the role's name and cannot talk to instances in security hardening mode.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Any = None
        self._until = 0.0

    def get_credentials(self) -> Any:  # noqa: ANN401
        """An ``oss2.credentials.Credentials``. Raises AccessDenied where there is no role."""
        with self._lock:
            if time.time() > self._until - RENEW_SECONDS:
                try:
                    self._held, self._until = self._fetch()
                except Exception as error:
                    if time.time() < self._until:
                        return self._held
                    raise AccessDenied(
                        "Could not get credentials (metadata of this ECS instance): "
                        f"{_said(error)}. Attach a RAM role to the instance, or set auth to keys."
                    ) from error
            return self._held

    def _fetch(self) -> tuple[Any, float]:
        import requests
        from oss2.credentials import Credentials as Keys

        with requests.Session() as session:
            session.trust_env = False  # a link-local address is not behind a proxy
            token = session.put(
                f"{METADATA_URL}/api/token",
                headers={"X-aliyun-ecs-metadata-token-ttl-seconds": str(METADATA_TOKEN_SECONDS)},
                timeout=METADATA_SECONDS,
            )
            if token.ok:
                session.headers["X-aliyun-ecs-metadata-token"] = token.text
            roles = f"{METADATA_URL}/meta-data/ram/security-credentials/"
            listed = session.get(roles, timeout=METADATA_SECONDS)
            listed.raise_for_status()
            if not listed.text.strip():
                raise ValueError("it has no RAM role")
            answer = session.get(roles + listed.text.split()[0], timeout=METADATA_SECONDS)
            answer.raise_for_status()
        role = answer.json()
        until = datetime.strptime(role["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return Keys(role["AccessKeyId"], role["AccessKeySecret"], role["SecurityToken"]), until.timestamp()


# ---------------------------------------------------------------------------- trying again


def repeated(
    request: Callable[[], T],
    *,
    meter: Meter | None = None,
    body: Slice | None = None,
    own: Callable[[Exception], T | None] | None = None,
) -> T:
    """The answer to ``request``, which is sent up to ATTEMPTS times while something passing is in the way.

    ``body`` is rewound before each attempt, which takes its counts back. The answer to an attempt may have
    been lost after the server had done what it was asked: ``own`` is given what a later attempt met then, and
    returns the answer that was lost, or None. Raises what the last attempt raised, and TransferCancelled when
    ``meter`` stops.
    """
    attempt = 1
    while True:
        try:
            return request()
        except Exception as error:
            if attempt == ATTEMPTS or not _passes(error):
                lost = own(error) if own is not None and attempt > 1 else None
                if lost is None:
                    raise
                return lost
        seconds = random.uniform(0.5, 1.0) * BACKOFF_SECONDS * 2 ** (attempt - 1)  # noqa: S311
        if meter is None:
            time.sleep(seconds)
        else:
            meter.wait(seconds)
        if body is not None:
            body.seek(0)
        attempt += 1


_BROKEN = {"ConnectionError", "Timeout", "ChunkedEncodingError", "ProtocolError", "ReadTimeoutError"}


def _passes(error: Exception) -> bool:
    """Whether the same request may do better in a moment."""
    if isinstance(error, StorageError):
        return False
    if isinstance(error, Refused):
        unsupported = error.status == 501  # noqa: PLR2004
        return issubclass(meaning(error.code, error.status).raises, Unreachable) or (
            error.status >= 500 and not unsupported  # noqa: PLR2004
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error) or "ProxyError" in _ancestors(error):
        return False
    return not _BROKEN.isdisjoint(_ancestors(error))


# ---------------------------------------------------------------------------------- errors

_NETWORK = "Check the network and try again."
_NO_ANSWER = {
    # what requests and urllib3 raise, by class name so that nothing is imported for it
    "SSLError": "Check that the endpoint is right and its certificate valid; for a private CA set ca_file.",
    "ProxyError": "Check HTTP_PROXY and HTTPS_PROXY.",
    "ConnectTimeout": "Check the endpoint, the network and the firewall: nothing answered.",
    "ReadTimeout": "The server went silent. Try again, and check the network.",
    "ReadTimeoutError": "The server went silent. Try again, and check the network.",
    "ChunkedEncodingError": "The connection broke. Try again, and check the network.",
    "ProtocolError": "The connection broke. Try again, and check the network.",
    "ConnectionError": "Check the endpoint, the network, and that the server runs.",
    "HTTPError": _NETWORK,
    "RequestException": _NETWORK,
}
_INTERNAL = "Internal endpoints answer only inside Aliyun's network: use the public endpoint from elsewhere."
_STRANGER = "Check endpoint_url: what answers there is not OSS, but a proxy, a login page or another service."
_REGION_OF_ENDPOINT = "Set the profile's region to the one in the endpoint's name, or remove it."

# Exact causes that share a code with others: help.aliyun.com/en/oss/user-guide/<EC>
BY_EC: dict[str, Meaning] = {
    "0002-00000212": CODES["RequestTimeTooSkewed"],  # Invalid signing date: the clocks are on different days
    "0002-00000226": Meaning(ConfigurationError, _REGION_OF_ENDPOINT),
    "0002-00000228": Meaning(ConfigurationError, _REGION_OF_ENDPOINT),
    # PublicEndpointForbidden: accounts since 2025-03-20, buckets in mainland China;
    # help.aliyun.com/en/oss/user-guide/map-custom-domain-names-1
    "0048-00000401": Meaning(
        ConfigurationError,
        "Map a domain of your own to the bucket and set endpoint_url to it; "
        "inside Aliyun, use the internal endpoint.",
    ),
}


def code_of(error: BaseException) -> str:
    """The server's error code ("NoSuchKey", or a status such as "404" where it gave none), else ""."""
    return error.code if isinstance(error, Refused) else ""


def raise_translated(
    error: BaseException, tried: str, where: str, credentials: Credentials, *, expected: bool = False
) -> NoReturn:
    """Raise what ``error`` means; ``expected`` says that it asked for an ETag, which makes 412 Changed."""
    if isinstance(error, StorageError):
        raise error
    secrets = credentials.reveal()[1:]
    if isinstance(error, Refused):
        raise _answered(error, tried, where, secrets, expected) from error
    said = scrub(_said(error), *secrets)
    module = type(error).__module__.partition(".")[0]
    advice = next((_NO_ANSWER[name] for name in _ancestors(error) if name in _NO_ANSWER), "")
    if module in ("requests", "urllib3") and isinstance(error, ValueError):  # no URL, no header value
        raise ConfigurationError(sentence(tried, where, said, "Check the profile's settings.")) from error
    if advice or module in ("urllib3", "http", "ssl", "socket"):
        if "-internal." in where and "SSLError" not in _ancestors(error):
            advice = _INTERNAL
        raise Unreachable(sentence(tried, where, said, advice or _NETWORK)) from error
    if isinstance(error, OSError):
        raise StorageError(sentence(tried, where, said, "Check the file and the disk.")) from error
    if isinstance(error, (ElementTree.ParseError, RuntimeError)):  # of oss2, about an answer's document
        raise Unreachable(sentence(tried, where, said, _STRANGER)) from error
    if type(error).__name__ == "InconsistentError":
        raise IntegrityError(sentence(tried, where, said, "Run the node again.")) from error
    if module == "oss2" or isinstance(error, ValueError):
        raise ConfigurationError(sentence(tried, where, said, "Check the profile's settings.")) from error
    raise error


def _answered(
    error: Refused, tried: str, where: str, secrets: tuple[str, ...], expected: bool
) -> StorageError:
    ec = error.details.get("EC") or error.headers.get("x-oss-ec", "")
    said = scrub(error.details.get("Message") or "no further words", *secrets).rstrip(".")
    if error.details.get("ArgumentName"):
        said = f"{said}: {scrub(error.details['ArgumentName'])}"
    row = BY_EC.get(ec) or meaning(error.code, error.status)
    advice = row.advice
    endpoint = scrub(error.details.get("Endpoint", ""))
    if not error.known and error.status < 400:  # noqa: PLR2004  a redirect, which OSS does not send
        row = Meaning(Unreachable, _STRANGER)
        said, advice = f"it sends on to {urlsplit(error.headers.get('Location', '')).hostname}", row.advice
    elif expected and row.raises is AlreadyExists:
        row = Meaning(Changed, "The object was replaced meanwhile: run the node again.")
        advice = row.advice
    elif endpoint and row.raises in (AccessDenied, ConfigurationError):
        row = Meaning(ConfigurationError, "")
        advice = f"The bucket is at {endpoint}: set the profile's region or endpoint_url to that."
    elif "Expired" in error.code or row == CODES["RequestTimeTooSkewed"]:
        advice = f"{_clocks(error.headers.get('Date', ''))}{advice}"
    cause = f"{said}; EC {scrub(ec)}" if ec else said
    return row.raises(sentence(tried, where, f"the server answered {scrub(error.code)} ({cause})", advice))


def _clocks(date: str) -> str:
    here = datetime.now(timezone.utc)
    try:
        there = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return ""
    form = "%Y-%m-%d %H:%M:%S UTC"
    return f"This machine's clock says {here.strftime(form)}, the server's {there.strftime(form)}. "


def _said(error: BaseException) -> str:
    """What an exception says, without the layers of requests and urllib3 around it."""
    cause: Any = error
    while isinstance(inner := getattr(cause, "reason", None) or next(iter(cause.args), None), BaseException):
        cause = inner
    if type(cause).__module__.startswith(("urllib3", "oss2")) and cause.args:  # (the connection, words)
        cause = cause.args[-1]
    return re.sub(r"<[^<>]* object at 0x[0-9a-fA-F]+>: ", "", str(cause)) or type(error).__name__


def _ancestors(error: BaseException) -> list[str]:
    return [ancestor.__name__ for ancestor in type(error).__mro__]
