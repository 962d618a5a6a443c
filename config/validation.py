"""Checks URLs, bucket names, regions and accounts before they become part of an address.

``label`` is the name of the value in messages: the variable or field, and its place. A refused URL is never
shown, because it may contain a password.
"""

from __future__ import annotations

import functools
import re

from .. import providers
from ..errors import ConfigurationError

# VALID_BUCKET of botocore/handlers.py, without names that are folders in a URL: . and ..
_BUCKET = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,255}")
_ENDPOINT_PART = re.compile(r"[A-Za-z0-9-]+")
_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::0*([1-9][0-9]{0,4}))?")
_PATH = re.compile(r"(?:/|/(?!\.\.?(?:/|$))[A-Za-z0-9._~!$&'()*+,=:%-]+)*")  # no ";": it separates URLs
_PORT_MAX = 65535
# The hosts that boto3 uses if the table has no endpoint: docs.aws.amazon.com/general/latest/gr/s3.html
_SDK_HOST = re.compile(r"s3[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?")


def check_bucket(bucket: str, label: str) -> None:
    """Raises ConfigurationError for a bucket name that no provider accepts."""
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(
            f"{label} is {bucket!r}, which is not a bucket name. "
            "Write the bare name: no s3://, no slash, no domain, no ARN."
        )


def check_endpoint_part(value: str, label: str) -> None:
    """Raises ConfigurationError for a region or account_id that would lead the endpoint to another host."""
    if not _ENDPOINT_PART.fullmatch(value):
        raise ConfigurationError(
            f"{label} is {value!r}, but only letters, digits and hyphens are allowed. "
            "Write the bare name, such as us-east-1; an address belongs in endpoint_url."
        )


def clean_url(url: str, label: str) -> str:
    """``url`` without its last slash. Raises ConfigurationError unless it is scheme, host, port and path."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if any(sign in url for sign in "@?#"):
        raise ConfigurationError(
            f"{label} contains a user name, query or fragment. Leave only scheme, host, port and path."
        )
    host = _HOST_AND_PORT.fullmatch(authority)
    port = int(host[1] or 1) if host else 0
    if scheme.lower() not in ("http", "https") or not 0 < port <= _PORT_MAX:
        raise ConfigurationError(
            f"{label} is not an http or https address. Write it like https://s3.example.com:9000, in ASCII."
        )
    if not _PATH.fullmatch(slash + path):
        raise ConfigurationError(
            f"The path of {label} contains a character that no address may have, or a folder . or .. in it. "
            "Correct it, or write the character as %XX."
        )
    return f"{scheme.lower()}://{authority.lower()}{slash}{path}".rstrip("/")


def refuse_bucket_in(endpoint_url: str, bucket: str, label: str) -> None:
    """Raises ConfigurationError if the endpoint contains the bucket's name: requests would have it twice.

    In front of the host it is refused only if the rest is the host of a provider in the table: a custom
    domain or your own server may begin like its bucket.
    """
    scheme, _, rest = endpoint_url.partition("://")
    authority, _, path = rest.partition("/")
    folders = path.split("/")
    if bucket in folders and path != _path_of_provider(authority):
        right = "/".join([f"{scheme}://{authority}", *(folder for folder in folders if folder != bucket)])
    else:
        before, _, parent = authority.partition(f"{bucket.lower()}.")
        if before or _path_of_provider(parent) is None:
            return
        right = f"{scheme}://{parent}/{path}".rstrip("/")
    raise ConfigurationError(
        f"{label} contains the bucket's name {bucket}. "
        f"Write {right} there: the bucket is a setting of its own."
    )


def _path_of_provider(authority: str) -> str | None:
    """The path of the provider's endpoint with this host and port; None if no provider has it."""
    return next((path for host, path in _provider_hosts() if host.fullmatch(authority)), None)


@functools.cache
def _provider_hosts() -> list[tuple[re.Pattern[str], str]]:
    """The endpoints of the table and of boto3: a pattern for the host, with any region, and the path."""
    found = [(_SDK_HOST, "")]
    for row in map(providers.provider, providers.names()):
        host, _, path = row.endpoint.partition("://")[2].partition("/")
        if host:
            literals = map(re.escape, re.split(r"\{\w+\}", host))
            found.append((re.compile("[a-z0-9-]+".join(literals)), path))
    return found
