"""What boto3 raises, as the errors of this package."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ...errors import ConfigurationError, StorageError, scrub, sentence
from ..error_codes import failure, meaning, refusal, without_quotes

if TYPE_CHECKING:
    from ...profile import Credentials


def code_of(error: BaseException) -> str:
    """The server's error code ("NoSuchKey", or for a HEAD its status, such as "404"), else ""."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    """The HTTP status of the server's answer, 0 where there was none."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


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
    words = str(error)
    without_quotes(error, *secrets)
    answer = _answer(error)
    if not answer:
        row = failure(error)
        return row.error(sentence(tried, where, scrub(words, *secrets), row.advice)) if row else error
    told, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    status = status_of(error)
    row = meaning(code_of(error), status, reading=reading, expected=expected)
    region = told.get("Region") or headers.get("x-amz-bucket-region")
    if region and row.raises is ConfigurationError:
        advice = f"The bucket is in region {scrub(region)}: set the profile's region to that."
        row = dataclasses.replace(row, advice=advice)
    said = f"{code_of(error) or status} ({told.get('Message') or 'no further words'})"
    return refusal(row, tried, where, scrub(said, *secrets), headers.get("date", ""))


def _answer(error: BaseException) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}
