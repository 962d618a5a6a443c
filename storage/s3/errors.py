"""Translate what boto3 raises into the errors of this package."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...errors import ConfigurationError, StorageError, scrub
from ..connection_watch import TooLong, TooSlow
from ..error_codes import NO_WORDS, Meaning, meaning
from ..sdk_errors import SdkErrors


class S3Errors(SdkErrors):
    """Reads botocore's exceptions. Its ClientError has the server's answer as a dict."""

    def code(self, error: BaseException) -> str:
        return str(_answer(error).get("Error", {}).get("Code", ""))  # after a HEAD the status, such as "404"

    def status(self, error: BaseException) -> int:
        return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))

    def _answered(self, error: Exception, reading: bool, expected: bool) -> tuple[Meaning, str, str] | None:
        answer = _answer(error)
        if not answer:
            return None
        details, headers = answer.get("Error", {}), answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        code, status = self.code(error), self.status(error)
        row = meaning(code, status, reading=reading, expected=expected)
        region = details.get("Region") or headers.get("x-amz-bucket-region")
        if region and row.raises is ConfigurationError:
            advice = f"The bucket is in region {scrub(region)}: set the profile's region to that."
            row = dataclasses.replace(row, advice=advice)
        said = f"{code or status} ({details.get('Message') or NO_WORDS})"
        return row, said, headers.get("date", "")


def unwrapped(error: BaseException | None) -> BaseException | None:
    """Return the error of this package around which botocore has put ``error``, if there is one."""
    cause = getattr(error, "kwargs", {}).get("error")
    return cause if isinstance(cause, (StorageError, TooSlow, TooLong)) else None


def _answer(error: BaseException) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}
