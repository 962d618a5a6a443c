"""Convert between HTTP headers and objects: PutOptions to headers, headers to ObjectInfo.

S3 and OSS use the same headers with different names. A ``Dialect`` has the names of one of them.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode

from ..errors import ConfigurationError, Forbidden, StorageError
from ..system.meter import Meter
from . import http_date
from .base import PIECES_METADATA, SAVED_ON_METADATA, SHA256_METADATA, ObjectInfo, PutOptions
from .error_codes import Meaning

if TYPE_CHECKING:
    from ..providers import Provider

PARTIAL_CONTENT = 206
_NUMBER = re.compile("[0-9]{1,20}")
_MD5 = re.compile("[0-9a-f]{32}")


def media_type(path: Path) -> str:
    """Return the media type that a file's extension stands for."""
    return mimetypes.guess_type(path.name, strict=False)[0] or PutOptions.content_type


@dataclass(frozen=True)
class Dialect:
    """The names and limits of one protocol.

    ``fields``: the name of each field of PutOptions in a write, except ``metadata``. ``metadata``: the prefix
    of a metadata header. ``metadata_name`` matches the allowed names; names and values together may have
    ``metadata_max_bytes``. ``no_md5``: headers with the values that mean that the ETag is not the MD5 of the
    content, even if it looks like one; "" means that the header is missing, "*" any value.
    """

    name: str
    fields: Mapping[str, str]
    metadata: str
    metadata_name: re.Pattern[str]
    metadata_max_bytes: int
    no_md5: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Reply:
    """The answer to a GET: ``headers`` by lower-case names; ``read`` gives the body, not decompressed."""

    status: int
    headers: Mapping[str, str]
    read: Callable[[int], bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class UploadRequest:
    """What to upload, and how. ``full_key`` is ``key`` with the profile's path_prefix."""

    key: str
    full_key: str
    source: bytes | Path
    size: int
    options: PutOptions
    meter: Meter
    create: bool
    replaces: str = ""
    listed_free: bool = False

    @property
    def tried(self) -> str:
        return f"store {self.key!r}"

    @property
    def sha256(self) -> str:
        return self.options.metadata.get(SHA256_METADATA, "")

    def stored(self, etag: str) -> ObjectInfo:
        """Return the object that a successful upload has created."""
        return ObjectInfo(self.key, self.size, etag, None, self.options.content_type, self.sha256)


# ------------------------------------------------------------------------------------------ requests


def fields(options: PutOptions, dialect: Dialect, row: Provider) -> dict[str, str]:
    """Return the ``options`` that are set, except metadata, by their names in ``dialect``.

    Raises ConfigurationError for options that the provider does not support.
    """
    if options.tags and not row.tagging:
        raise ConfigurationError(f"{row.name} has no object tags. Remove upload.tags from the profile.")
    if options.acl and not row.acl:
        raise ConfigurationError(f"{row.name} has no object ACLs. Remove upload.acl from the profile.")
    values = {**vars(options), "tags": urlencode(options.tags, quote_via=quote)}
    return {name: values[field] for field, name in dialect.fields.items() if values[field]}


def metadata(options: PutOptions, dialect: Dialect) -> dict[str, str]:
    """Return the metadata of ``options``, by names without the prefix.

    Values are percent-encoded: headers are ASCII, SDKs refuse other characters, and some servers cannot check
    their signature. Raises ConfigurationError for metadata that the server would refuse.
    """
    encoded = {}
    for name, value in options.metadata.items():
        if not dialect.metadata_name.fullmatch(name):
            raise ConfigurationError(
                f"{dialect.name} does not take metadata called {name!r}. "
                "Use only letters, digits and hyphens in the names of upload.metadata."
            )
        encoded[name] = quote(value.strip(), safe=" !#$&'()*+,/:;=?@[]~")
    if sum(len(name) + len(value) for name, value in encoded.items()) > dialect.metadata_max_bytes:
        raise ConfigurationError(
            f"The metadata is larger than the {dialect.metadata_max_bytes} bytes that {dialect.name} takes. "
            "Shorten upload.metadata."
        )
    return encoded


# What a server says about a setting of the profile's ``upload`` that it refuses, in the code or in words
_SETTINGS = {
    "acl": re.compile(r"acls?\b|access ?control", re.IGNORECASE),
    "server_side_encryption": re.compile("encrypt|kms", re.IGNORECASE),
    "kms_key_id": re.compile("encrypt|kms", re.IGNORECASE),
    "storage_class": re.compile("storage.?class", re.IGNORECASE),
    "tags": re.compile(r"(?<!e)tag(s|ging)?\b", re.IGNORECASE),
}


def settings_advice(options: PutOptions, row: Meaning, said: str) -> str:
    """Return a sentence with the profile's settings that may be why a server refused to write.

    ``row`` is the meaning of its answer and ``said`` its words. A permission that is missing for an ACL or
    for tags is often just "AccessDenied". "" if no such setting is sent, or none can be the reason.
    """
    sent = [name for name in _SETTINGS if getattr(options, name) and f"upload.{name}" not in row.advice]
    named = [f"upload.{name}" for name in sent if _SETTINGS[name].search(said)]
    if named:
        return f"The server refused this setting: correct or remove {', '.join(named)} in the profile."
    if sent and row.raises in (Forbidden, StorageError):
        settings = ", ".join(f"upload.{name}" for name in sent)
        return f"The profile also sets {settings}: the server and the key's policy must allow that too."
    return ""


def quoted(key: str) -> str:
    """Return ``key`` as part of an address."""
    return quote(key, safe="/-_.~")


# ------------------------------------------------------------------------------------------ answers


def described(key: str, answer: Mapping[str, str], dialect: Dialect, size: int) -> ObjectInfo:
    """Return the object that the headers of an answer describe. They are looked up by lower-case names."""
    return ObjectInfo(
        key=key,
        size=size,
        etag=etag(answer),
        modified=http_date.parsed(answer.get("last-modified")),
        content_type=answer.get("content-type", ""),
        sha256=answer.get(f"{dialect.metadata}{SHA256_METADATA}", ""),
        pieces=answer.get(f"{dialect.metadata}{PIECES_METADATA}", ""),
        saved_on=unquote(answer.get(f"{dialect.metadata}{SAVED_ON_METADATA}", "")),
        md5=_md5(answer, dialect),
    )


def _md5(answer: Mapping[str, str], dialect: Dialect) -> str:
    """Return the ETag if it is the MD5 of the content; that of an upload in parts has more than 32 digits."""
    tag = etag(answer).lower()
    for name, values in dialect.no_md5.items():
        value = answer.get(name, "")
        if value in values or (value and "*" in values):
            return ""
    return tag if _MD5.fullmatch(tag) else ""


def etag(answer: Mapping[str, str]) -> str:
    """Return the ETag without its quotes, "" if there is none."""
    return answer.get("etag", "").strip('"')


def length(answer: Mapping[str, str]) -> int | None:
    """Return the length of the body in bytes; None if the headers do not say it."""
    return number(answer.get("content-length", ""))


def number(text: str) -> int | None:
    """Return the value of a header as a number; None if it is not a number of at most 20 digits."""
    return int(text) if _NUMBER.fullmatch(text) else None


def whole_size(status: int, answer: Mapping[str, str], start: int, stop: int | None) -> int | None:
    """Return the size of an object from the answer for its bytes ``start`` to ``stop`` (None: the end).

    None if the answer has other bytes. An answer without a range is right if it has all of the object: some
    servers ignore a range that covers everything.
    """
    body = length(answer) or 0
    span, _, total = answer.get("content-range", "").removeprefix("bytes ").partition("/")
    if not span:
        return body if start == 0 and (stop is None or body <= stop) else None
    known = number(total)  # "*" where the server does not know
    size = start + body if known is None else known
    end = size if stop is None else min(stop, size)
    exact = status == PARTIAL_CONTENT and body == end - start and span == f"{start}-{end - 1}"
    return size if exact else None
