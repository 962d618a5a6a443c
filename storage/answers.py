"""Read the XML documents of S3 and OSS: up to a size limit, and only documents of an object store.

A proxy or a login page can answer with status 200 as well. The content of an object is not read here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from . import connection_watch

DOCUMENT_MAX_BYTES = 8 << 20  # a listing of 1,000 keys of 1,024 bytes has 5 MiB if every byte is escaped
ERROR_MAX_BYTES = 64 << 10  # an error document may quote the string to sign, and then has some KiB
_READ_BYTES = 64 << 10

_ROOT_ELEMENTS = ("ListBucketResult", "InitiateMultipartUploadResult", "CompleteMultipartUploadResult")
# An HTML page may have a doctype before its root element.
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*\?>\s*)?(?:<![^>]*>\s*)*<([A-Za-z]\w*)")


class InvalidAnswer(Exception):
    """The status means success, but no object store sends such a body. The message quotes no server."""


def read(raw: Any, status: int, method: str, *, is_object: bool) -> tuple[bytes | None, bool]:  # noqa: ANN401
    """Return the body of an answer, not decompressed, and True if it is an error.

    ``raw`` is urllib3's response. The body of an object is None: the caller streams it. Raises InvalidAnswer,
    TooLong, and whatever the network raises.
    """
    if status // 100 != 2:  # noqa: PLR2004
        return error_document(raw), True
    if is_object:
        connection_watch.allow(None)  # its Content-Length limits it
        return None, False
    body = document(raw)
    if is_error(body):
        return body, True
    if method in ("GET", "POST"):  # the answers to other methods have no document
        check(body)
    return body, False


def document(raw: Any) -> bytes:  # noqa: ANN401
    """Return the body of a successful answer. Raises TooLong, and whatever the network raises."""
    body = _body(raw, DOCUMENT_MAX_BYTES)
    if len(body) > DOCUMENT_MAX_BYTES:
        raise connection_watch.TooLong(connection_watch.TOO_LONG)
    return body


def error_document(raw: Any) -> bytes:  # noqa: ANN401
    """Return the body of an error answer; only its beginning, or nothing, if it is too long."""
    try:
        return _body(raw, ERROR_MAX_BYTES)[:ERROR_MAX_BYTES]
    except connection_watch.TooLong:
        return b""


def _body(raw: Any, max_bytes: int) -> bytes:  # noqa: ANN401
    connection_watch.allow(2 * max_bytes)  # chunked encoding adds bytes
    blocks, size = [], 0
    try:
        for block in raw.stream(_READ_BYTES, decode_content=False):
            blocks.append(block)
            size += len(block)
            if size > max_bytes:
                break
    finally:
        if size > max_bytes:
            raw.close()
    return b"".join(blocks)


def is_error(body: bytes) -> bool:
    """Return True if a body is an error document.

    S3 and OSS send one after status 200 if an operation fails after they have begun to answer:
    docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    return _root(body) == "Error"


def check(body: bytes) -> None:
    """Raise InvalidAnswer if a body is not one of the documents of S3 and OSS."""
    root = _root(body)
    if body.strip() and root not in _ROOT_ELEMENTS:
        kind = f"a page of {root.upper()}" if root.lower() == "html" else "something else"
        raise InvalidAnswer(f"the answer is {kind}, not a document of an object store")


def _root(body: bytes) -> str:
    match = _ROOT.match(body)
    return match[1].decode() if match else ""


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """Raise InvalidAnswer for an answer that an SDK, or the code that uses its result, cannot parse.

    Examples: "12x" for a number, a wrong date, an entry without a size. What an SDK raises because it refuses
    the request has a class of its own, and is raised as it is.
    """
    try:
        yield
    except (ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        if type(error).__module__ != "builtins":
            raise
        # oss2 says "parse xml: Size could not be found under Contents"; a KeyError names the field
        fault = f"{error}" if isinstance(error, (RuntimeError, KeyError)) else "a field has a wrong value"
        raise InvalidAnswer(f"the answer is incomplete: {fault}") from None
