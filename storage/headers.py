"""Objects in the words of HTTP: what an answer's headers say of one, and how PutOptions are sent.

S3 and OSS say the same things in headers of different names. A ``Dialect`` holds the names of one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from ..errors import ConfigurationError
from ..system.meter import Meter
from . import http_date
from .base import SHA256_METADATA, ObjectInfo, PutOptions

if TYPE_CHECKING:
    from ..providers import Provider

PARTIAL_CONTENT = 206
_NUMBER = re.compile("[0-9]{1,20}")
_MD5 = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Dialect:
    """How one protocol calls things.

    ``fields`` are what a write calls the fields of PutOptions, all but ``metadata``. ``metadata`` stands
    before the name of each piece of metadata in a header; ``metadata_name`` matches the names that may be,
    and all names and values together have ``metadata_max_bytes`` at most. ``no_md5`` are headers, each with
    the values, whose presence says that an ETag is no MD5 of the content, whatever it looks like; the empty
    value stands for the absence of the header, and "*" for any.
    """

    name: str
    fields: Mapping[str, str]
    metadata: str
    metadata_name: re.Pattern[str]
    metadata_max_bytes: int
    no_md5: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Reply:
    """An answered GET: ``headers`` by lower-case names, and the body, as it travels, still to be read."""

    status: int
    headers: Mapping[str, str]
    read: Callable[[int], bytes]
    close: Callable[[], None]


@dataclass(frozen=True)
class Upload:
    """What is to be stored, and how."""

    key: str
    source: bytes | Path
    size: int
    options: PutOptions
    meter: Meter
    create: bool

    @property
    def tried(self) -> str:
        return f"store {self.key!r}"

    @property
    def sha256(self) -> str:
        return self.options.metadata.get(SHA256_METADATA, "")

    def stored(self, etag: str) -> ObjectInfo:
        """The object that a successful upload has made."""
        return ObjectInfo(self.key, self.size, etag, None, self.options.content_type, self.sha256)


# ------------------------------------------------------------------------------------------ what is sent


def fields(options: PutOptions, dialect: Dialect, row: Provider) -> dict[str, str]:
    """``options`` without metadata, as ``dialect`` calls them; what is empty is left out.

    Raises ConfigurationError for what the provider does not have.
    """
    if options.tags and not row.tagging:
        raise ConfigurationError(f"{row.name} has no object tags. Remove upload.tags from the profile.")
    if options.acl and not row.acl:
        raise ConfigurationError(f"{row.name} has no object ACLs. Remove upload.acl from the profile.")
    values = {**vars(options), "tags": urlencode(options.tags, quote_via=quote)}
    return {name: values[field] for field, name in dialect.fields.items() if values[field]}


def metadata(options: PutOptions, dialect: Dialect) -> dict[str, str]:
    """The metadata of ``options``, under names without a prefix.

    Values are percent-encoded: headers are ASCII, SDKs refuse the rest, and some servers cannot check the
    signature of it. Raises ConfigurationError for what the server would refuse.
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


def quoted(key: str) -> str:
    """``key`` as it stands in an address."""
    return quote(key, safe="/-_.~")


# ------------------------------------------------------------------------------------------ what is answered


def described(key: str, answer: Mapping[str, str], dialect: Dialect, size: int) -> ObjectInfo:
    """The object that an answer's headers tell of; they are asked for by their names in lower case."""
    return ObjectInfo(
        key=key,
        size=size,
        etag=etag(answer),
        modified=http_date.parsed(answer.get("last-modified")),
        content_type=answer.get("content-type", ""),
        sha256=answer.get(f"{dialect.metadata}{SHA256_METADATA}", ""),
        md5=_md5(answer, dialect),
    )


def _md5(answer: Mapping[str, str], dialect: Dialect) -> str:
    """The ETag where it is the content's MD5: 32 digits, which those of parts are not, and not ruled out."""
    tag = etag(answer).lower()
    for name, values in dialect.no_md5.items():
        said = answer.get(name, "")
        if said in values or (said and "*" in values):
            return ""
    return tag if _MD5.fullmatch(tag) else ""


def etag(answer: Mapping[str, str]) -> str:
    """The entity tag without its quotes, "" where there is none."""
    return answer.get("etag", "").strip('"')


def length(answer: Mapping[str, str]) -> int | None:
    """How many bytes the body has; None where the headers do not say."""
    return number(answer.get("content-length", ""))


def number(text: str) -> int | None:
    """The number that a header's value is; None where it is none, or longer than 64 bits."""
    return int(text) if _NUMBER.fullmatch(text) else None


def whole_size(status: int, answer: Mapping[str, str], start: int, stop: int | None) -> int | None:
    """The size of an object, by an answer that holds its bytes from ``start`` up to ``stop`` (None: the end).

    None where it holds other bytes. An answer with all of them will do, as some servers ignore a range that
    leaves nothing out.
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
