"""What may become part of an address: the checks of URLs, bucket names and regions before anything is sent.

``label`` is what messages call the value: the variable or field, and where it stands. A URL that is refused
is never shown, since a password may stand in it.
"""

from __future__ import annotations

import functools
import re

from .. import providers
from ..errors import ConfigurationError

# What boto3 takes (VALID_BUCKET in botocore/handlers.py), and of that nothing that is a folder in a URL.
_BUCKET = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,255}")
_ENDPOINT_PART = re.compile(r"[A-Za-z0-9-]+")
_HOST_AND_PORT = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::0*([1-9][0-9]{0,4}))?")
_PATH = re.compile(r"(?:/|/(?!\.\.?(?:/|$))[A-Za-z0-9._~!$&'()*+,=:%-]+)*")  # no ";": it stands between URLs
_PORT_MAX = 65535
# What boto3 makes where the table leaves the endpoint to it: docs.aws.amazon.com/general/latest/gr/s3.html
_SDK_HOST = re.compile(r"s3[a-z0-9.-]*\.amazonaws\.com(?:\.cn)?")


def check_bucket(bucket: str, label: str) -> None:
    """Raises ConfigurationError for what no provider takes as a bucket's name."""
    if not _BUCKET.fullmatch(bucket):
        raise ConfigurationError(
            f"{label} is {bucket!r}, which is no bucket's name. "
            "Write the bare name: no s3://, no slash, no domain, no ARN."
        )


def check_endpoint_part(value: str, label: str) -> None:
    """Raises ConfigurationError for a region or account_id that would bend the endpoint it is put into."""
    if not _ENDPOINT_PART.fullmatch(value):
        raise ConfigurationError(
            f"{label} is {value!r}, but only letters, digits and hyphens are allowed. "
            "Write the bare name, such as us-east-1; an address belongs into endpoint_url."
        )


def clean_url(url: str, label: str) -> str:
    """``url``, no slash at its end. Raises ConfigurationError for more than scheme, host, port, path."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    if any(sign in url for sign in "@?#"):
        raise ConfigurationError(
            f"{label} holds a user name, query or fragment. Leave only scheme, host, port and path."
        )
    host = _HOST_AND_PORT.fullmatch(authority)
    port = int(host[1] or 1) if host else 0
    if scheme.lower() not in ("http", "https") or not 0 < port <= _PORT_MAX:
        raise ConfigurationError(
            f"{label} is not an http or https address. Write it like https://s3.example.com:9000, in ASCII."
        )
    if not _PATH.fullmatch(slash + path):
        raise ConfigurationError(
            f"The path of {label} holds a character that no address may hold, or a folder . or .. in it. "
            "Correct it, or write the character as %XX."
        )
    return f"{scheme.lower()}://{authority.lower()}{slash}{path}".rstrip("/")


def refuse_bucket_in(endpoint_url: str, bucket: str, label: str) -> None:
    """Raises ConfigurationError for an endpoint with the bucket's name in it: requests would name it twice.

    In front of the host it is refused only where the rest is the host of a provider in the table: a custom
    domain or a server of one's own may well begin like its bucket.
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
        f"{label} holds the bucket's name {bucket}. Write {right} there: the bucket is a setting of its own."
    )


def _path_of_provider(authority: str) -> str | None:
    """The path of the provider's endpoint with this host and port; None where no provider has it."""
    return next((path for host, path in _provider_hosts() if host.fullmatch(authority)), None)


@functools.cache
def _provider_hosts() -> list[tuple[re.Pattern[str], str]]:
    """Host, as a pattern for any region and account, and path of every endpoint in the table and of boto3."""
    found = [(_SDK_HOST, "")]
    for row in map(providers.provider, providers.names()):
        host, _, path = row.endpoint.partition("://")[2].partition("/")
        if host:
            literals = map(re.escape, re.split(r"\{\w+\}", host))
            found.append((re.compile("[a-z0-9-]+".join(literals)), path))
    return found
