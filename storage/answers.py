"""Read the documents that S3 and OSS answer with: within a limit, and nothing else in their place.

A proxy or a login page may answer with success, too. The body of an object is not read here.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from . import connection_watch

DOCUMENT_MAX_BYTES = 8 << 20  # 1,000 keys of 1,024 bytes are 5 MiB where every byte of them is escaped
ERROR_MAX_BYTES = 64 << 10  # of an error document: with the string to sign in it, it is some KiB
_PIECE_BYTES = 64 << 10

# The documents that S3 and OSS answer with
_ANSWERS = ("ListBucketResult", "InitiateMultipartUploadResult", "CompleteMultipartUploadResult")
# A doctype may stand before it, of a page
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*\?>\s*)?(?:<![^>]*>\s*)*<([A-Za-z]\w*)")


class NoAnswer(Exception):
    """The status says success, and the answer is none of an object store. The message quotes no server."""


def document(raw: Any) -> bytes:  # noqa: ANN401  urllib3's response
    """The body of an answer, as it travels. Raises TooLong, and whatever the network does."""
    body = _body(raw, DOCUMENT_MAX_BYTES)
    if len(body) > DOCUMENT_MAX_BYTES:
        raise connection_watch.TooLong("the answer has more bytes than one of its kind can have")
    return body


def error_document(raw: Any) -> bytes:  # noqa: ANN401
    """The body of a refusal; of one that is too long for that, its beginning or nothing."""
    try:
        return _body(raw, ERROR_MAX_BYTES)[:ERROR_MAX_BYTES]
    except connection_watch.TooLong:
        return b""


def _body(raw: Any, most: int) -> bytes:  # noqa: ANN401
    connection_watch.allow(2 * most)  # with what frames its chunks
    pieces, size = [], 0
    try:
        for piece in raw.stream(_PIECE_BYTES, decode_content=False):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                break
    finally:
        if size > most:
            raw.close()
    return b"".join(pieces)


def is_error(body: bytes) -> bool:
    """Whether an answer that says yes says no in its body, as S3 and OSS do where they begin to answer before
    they have ended: docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    return _root(body) == "Error"


def check(body: bytes) -> None:
    """Raises NoAnswer where a body is none of the documents that S3 and OSS answer with."""
    root = _root(body)
    if body.strip() and root not in _ANSWERS:
        said = f"a page of {root.upper()}" if root.lower() == "html" else "something else"
        raise NoAnswer(f"the answer is {said}, and no document of an object store")


def _root(body: bytes) -> str:
    found = _ROOT.match(body)
    return found[1].decode() if found else ""


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """What an SDK, or who reads what it gives, stumbles over in an answer, as NoAnswer: "12x" for a number, a
    date that is none, an entry without its size. What it refuses of a request are classes of its own.
    """
    try:
        yield
    except (ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        if type(error).__module__ != "builtins":
            raise
        # oss2's own words, "parse xml: Size could not be found under Contents", or the name that is missing
        lacks = f"{error}" if isinstance(error, (RuntimeError, KeyError)) else "a field of it makes no sense"
        raise NoAnswer(f"the answer is not whole: {lacks}") from None
