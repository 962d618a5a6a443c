"""What OSS answers and what oss2 and requests raise, as the errors of this package."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ...errors import (
    AccessDenied,
    ConfigurationError,
    Forbidden,
    Scope,
    StorageError,
    Unreachable,
    scrub,
    sentence,
)
from ..error_codes import STRANGER, Meaning, ancestors, failure, meaning, refusal, without_quotes

if TYPE_CHECKING:
    from ...profile import Credentials

ERRORS_FROM, SERVER_ERROR = 400, 500  # of HTTP's statuses
_INTERNAL = "Internal endpoints answer only inside Aliyun's network: use the public endpoint from elsewhere."


class Refused(Exception):
    """The server says no: its status, its headers, and the elements of its error document, if it is OSS's.

    Its own words hold none of the server's, which may repeat a token: it is the cause of what is raised, and
    stands in ComfyUI's log.
    """

    def __init__(self, answer: Any, body: bytes) -> None:  # noqa: ANN401
        self.headers: Mapping[str, str] = answer.headers
        answer.close()
        if not body:  # of a HEAD
            try:
                body = base64.b64decode(self.headers.get("x-oss-err", ""))
            except ValueError:
                body = b""
        self.details = _elements(body)
        self.known = "Code" in self.details
        failed = answer.status_code >= ERRORS_FROM or not self.known
        self.status: int = answer.status_code if failed else SERVER_ERROR  # it said yes, and then no
        self.code = self.details.get("Code", str(self.status))
        super().__init__(f"HTTP status {answer.status_code}")


def _elements(document: bytes) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  expat bounds the expansion of entities since 2.4.1
    except ElementTree.ParseError:
        return {}
    return {child.tag: child.text or "" for child in root} if root.tag == "Error" else {}


def code_of(error: BaseException) -> str:
    """The server's error code ("NoSuchKey", or a status such as "404" where it gave none), else ""."""
    return error.code if isinstance(error, Refused) else ""


def status_of(error: BaseException) -> int:
    """The HTTP status of the server's answer, 0 where there was none."""
    return error.status if isinstance(error, Refused) else 0


def translated(
    error: Exception,
    tried: str,
    where: str,
    credentials: Credentials,
    *,
    reading: bool = False,
    expected: bool = False,
) -> Exception:
    """What ``error`` means, ``reading`` an object and ``expected`` by its ETag as in ``error_codes.meaning``.

    It is itself where it is an error of this package, or a fault of this program.
    """
    if isinstance(error, StorageError):
        return error
    secrets = credentials.reveal()[1:]
    if isinstance(error, Refused):
        return _answered(error, tried, where, secrets, reading, expected)
    without_quotes(error, *secrets)
    row = failure(error)
    if isinstance(error, RuntimeError):  # of oss2, about an answer's document
        row = Meaning(Unreachable, STRANGER)
    elif row and row.raises is Unreachable and "-internal." in where and "SSLError" not in ancestors(error):
        row = Meaning(Unreachable, _INTERNAL)
    return row.error(sentence(tried, where, scrub(said_by(error), *secrets), row.advice)) if row else error


def _answered(
    error: Refused, tried: str, where: str, secrets: tuple[str, ...], reading: bool, expected: bool
) -> StorageError:
    ec = error.details.get("EC") or error.headers.get("x-oss-ec", "")
    row = meaning(error.code, error.status, cause=ec, reading=reading, expected=expected)
    endpoint = scrub(error.details.get("Endpoint", ""))
    elsewhere = row.raises in (AccessDenied, ConfigurationError, Forbidden) and row.scope is not Scope.OBJECT
    if endpoint and elsewhere:
        advice = f"The bucket is at {endpoint}: set the profile's region or endpoint_url to that."
        row = Meaning(ConfigurationError, advice)
    said = (error.details.get("Message") or "no further words").rstrip(".")
    if error.status < ERRORS_FROM and not error.known:  # a redirect, which OSS does not send
        row = Meaning(Unreachable, STRANGER)
        said = f"it sends on to {urlsplit(error.headers.get('Location', '')).hostname}"
    if error.details.get("ArgumentName"):
        said = f"{said}: {error.details['ArgumentName']}"
    if ec:
        said = f"{said}; EC {ec}"
    answer = scrub(f"{error.code} ({said})", *secrets)
    return refusal(row, tried, where, answer, error.headers.get("Date", ""))


def said_by(error: BaseException) -> str:
    """What an exception says, without the layers of requests and urllib3 around it."""
    cause: Any = error
    while isinstance(inner := getattr(cause, "reason", None) or next(iter(cause.args), None), BaseException):
        cause = inner
    if type(cause).__module__.startswith(("urllib3", "oss2")) and cause.args:  # (the connection, words)
        cause = cause.args[-1]
    return re.sub(r"<[^<>]* object at 0x[0-9a-fA-F]+>: ", "", str(cause)) or type(error).__name__
