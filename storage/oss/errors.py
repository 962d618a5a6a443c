"""Translate the error answers of OSS, and what oss2 and requests raise, into the errors of this package."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from ...errors import AccessDenied, ConfigurationError, Forbidden, Scope, Unreachable, scrub
from ..error_codes import NO_WORDS, NOT_AN_OBJECT_STORE, Meaning, ancestors, failure, meaning
from ..sdk_errors import SdkErrors

ERRORS_FROM, SERVER_ERROR = 400, 500  # of HTTP's statuses
_INTERNAL = "Internal endpoints answer only inside Aliyun's network: use the public endpoint from elsewhere."


class Refused(Exception):
    """An error answer: its status, its headers, and the elements of its error document if OSS has sent it.

    Its text has no words of the server, which may repeat a token: ComfyUI logs it as the cause of an error.
    """

    def __init__(self, answer: Any, body: bytes) -> None:  # noqa: ANN401
        self.headers: Mapping[str, str] = answer.headers
        answer.close()
        if not body:  # the answer to a HEAD
            try:
                body = base64.b64decode(self.headers.get("x-oss-err", ""))
            except ValueError:
                body = b""
        self.details = _elements(body)
        self.is_from_oss = "Code" in self.details
        failed = answer.status_code >= ERRORS_FROM or not self.is_from_oss
        self.status: int = answer.status_code if failed else SERVER_ERROR  # an error after status 200
        self.code = self.details.get("Code", str(self.status))
        super().__init__(f"HTTP status {answer.status_code}")


def _elements(document: bytes) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  expat bounds the expansion of entities since 2.4.1
    except ElementTree.ParseError:
        return {}
    return {child.tag: child.text or "" for child in root} if root.tag == "Error" else {}


class OssErrors(SdkErrors):
    """Reads Refused, and what oss2, requests and urllib3 raise if no answer came."""

    def code(self, error: BaseException) -> str:
        return error.code if isinstance(error, Refused) else ""

    def status(self, error: BaseException) -> int:
        return error.status if isinstance(error, Refused) else 0

    def _words(self, error: Exception) -> str:
        return innermost_text(error)

    def _failed(self, error: Exception) -> Meaning | None:
        row = failure(error)
        if isinstance(error, RuntimeError):  # oss2 cannot parse the answer
            return Meaning(Unreachable, NOT_AN_OBJECT_STORE)
        is_silent = row is not None and row.raises is Unreachable and "SSLError" not in ancestors(error)
        return Meaning(Unreachable, _INTERNAL) if is_silent and "-internal." in self._where else row

    def _answered(self, error: Exception, reading: bool, expected: bool) -> tuple[Meaning, str, str] | None:
        if not isinstance(error, Refused):
            return None
        ec = error.details.get("EC") or error.headers.get("x-oss-ec", "")
        row = meaning(error.code, error.status, cause=ec, reading=reading, expected=expected)
        endpoint = scrub(error.details.get("Endpoint", ""))
        refused = row.raises in (AccessDenied, ConfigurationError, Forbidden)
        if endpoint and refused and row.scope is not Scope.OBJECT:
            advice = f"The bucket is at {endpoint}: set the profile's region or endpoint_url to that."
            row = Meaning(ConfigurationError, advice)
        said = (error.details.get("Message") or NO_WORDS).rstrip(".")
        if error.status < ERRORS_FROM and not error.is_from_oss:  # a redirect: OSS does not send any
            row = Meaning(Unreachable, NOT_AN_OBJECT_STORE)
            said = f"it redirects to {urlsplit(error.headers.get('Location', '')).hostname}"
        if error.details.get("ArgumentName"):
            said = f"{said}: {error.details['ArgumentName']}"
        if ec:
            said = f"{said}; EC {ec}"
        return row, f"{error.code} ({said})", error.headers.get("Date", "")


def innermost_text(error: BaseException) -> str:
    """Return the text of the exception that requests and urllib3 have wrapped."""
    cause: Any = error
    while isinstance(inner := getattr(cause, "reason", None) or next(iter(cause.args), None), BaseException):
        cause = inner
    if type(cause).__module__.startswith(("urllib3", "oss2")) and cause.args:  # (the connection, words)
        cause = cause.args[-1]
    return re.sub(r"<[^<>]* object at 0x[0-9a-fA-F]+>: ", "", str(cause)) or type(error).__name__
