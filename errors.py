"""The errors of this package.

A message has two sentences: what was tried, where, and what the server said; then what to do. No message
contains a secret, a signed URL or an Authorization header: ``scrub`` removes those from the words of a server
or SDK.

    StorageError
    ├── ConfigurationError(ValueError) ── MissingDependency(ImportError), BadKey, TooLarge
    ├── NotFound(FileNotFoundError)      ├── AccessDenied(PermissionError) ── Forbidden
    ├── AlreadyExists(FileExistsError)   ├── Changed
    ├── Unreachable(ConnectionError) ── Throttled
    ├── IntegrityError
    └── TransferCancelled
    MediaError(ValueError) ── Unreadable

Each is also the built-in a caller would expect, so ``except FileNotFoundError`` works without this module.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

log = logging.getLogger("cloud_storage")


class Scope(Enum):
    """How much of a bucket an error affects."""

    OBJECT = "one object: its name, its size or its content"
    SOME = "the objects of a policy, or an unknown number of objects"
    ALL = "every object: the network, the server, the bucket, the access key or the settings"


class _PackageError:
    """An error with a short class name, see SHORT_MODULE. It can be copied and pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self).__name__, self.args), vars(self) or None  # type: ignore[attr-defined]


class StorageError(_PackageError, Exception):
    """A bucket, its server, the network or the settings made an operation fail."""

    scope = Scope.SOME

    def instead_of(self, tried: str, other: str) -> StorageError:
        """Return the same error with "Could not ``other``" instead of "Could not ``tried``"."""
        return self._with_text(str(self).replace(f"Could not {tried}", f"Could not {other}", 1))

    def with_advice(self, advice: str) -> StorageError:
        """Return the same error with one more sentence."""
        return self._with_text(f"{self} {advice}")

    def _with_text(self, text: str) -> StorageError:
        error = type(self)(text)
        error.scope = self.scope
        return error


class ConfigurationError(StorageError, ValueError):
    """A setting is missing, malformed, unknown or contradicts another; nothing was sent."""

    scope = Scope.ALL


class MissingDependency(ConfigurationError, ImportError):
    """A Python package that is needed is not installed or too old."""


class BadKey(ConfigurationError):
    """No object can have this key: it is malformed or too long."""

    scope = Scope.OBJECT


class TooLarge(ConfigurationError):
    """The provider does not accept objects of this size."""

    scope = Scope.OBJECT


class NotFound(StorageError, FileNotFoundError):
    """The object or the whole bucket does not exist (or the access key may not see it)."""

    scope = Scope.ALL


class AccessDenied(StorageError, PermissionError):
    """The server refuses the request: the access key, its secret, the token or the clock is wrong."""

    scope = Scope.ALL


class Forbidden(AccessDenied):
    """The access key is right, but its policy does not allow this operation here; it may allow others."""

    scope = Scope.SOME


class AlreadyExists(StorageError, FileExistsError):
    """An object has this key already, and must not be replaced. It is not changed."""

    scope = Scope.OBJECT


class Changed(StorageError):
    """The object was replaced: it has another ETag than expected."""

    scope = Scope.ALL


class Unreachable(StorageError, ConnectionError):
    """No complete answer came: host name, network, TLS, time-out, or an error of the server."""

    scope = Scope.ALL


class Throttled(Unreachable):
    """The server asks for fewer requests; a later attempt will work."""


class IntegrityError(StorageError):
    """The bytes that arrived are not the bytes that were sent."""

    scope = Scope.OBJECT


class TransferCancelled(StorageError):
    """A transfer was cancelled, and what it had started was removed."""


class MediaError(_PackageError, ValueError):
    """A file is not a valid image, video or audio file, or cannot be encoded with these settings."""


class Unreadable(MediaError):
    """Nothing of a file can be decoded."""


def _unpickled(name: str, arguments: tuple[Any, ...]) -> Exception:
    return globals()[name](*arguments)  # type: ignore[no-any-return]


# ComfyUI's page shows the module of an error's class, which otherwise starts with the path of the folder.
SHORT_MODULE = "cloud_storage"
for _class in [
    each for each in globals().values() if isinstance(each, type) and issubclass(each, _PackageError)
]:
    _class.__module__ = SHORT_MODULE
del _class


_SIGNED_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>)]*")
_HEADERS = re.compile(r"(?i)\b(authorization|x-(?:amz|oss)-security-token)\b(\s*[:=]\s*)[^\r\n]*")
_SECRET_MIN_CHARACTERS = 4  # a shorter text would be found in ordinary words


def scrub(text: str, *secrets: str) -> str:
    """Return ``text`` without query strings of URLs, credential headers, line breaks and ``secrets``."""
    text = _HEADERS.sub(r"\1\2***", _SIGNED_QUERY.sub(r"\1", text))
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARACTERS:
            text = text.replace(secret, "***")
    return " ".join(text.split())


def sentence(tried: str, where: str, said: str, advice: str) -> str:
    """Return one message: "Could not <tried> (<where>): <said>. <advice>"."""
    text = f"Could not {tried} ({where}): {said.rstrip('. ')}. {advice}"
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" with the known name closest to ``word``; "" if none is close."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


# Control characters, and lone surrogates
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DISK_ADVICE = "Free room on the disk of the server, or make the folder writable."


@contextlib.contextmanager
def disk_errors(tried: str, where: Path | str, advice: str) -> Iterator[None]:
    """Raise StorageError for an OSError in the block.

    The message has only the name of a path, because everybody who can open the page reads it. The log has the
    whole path.
    """
    try:
        yield
    except StorageError:  # some are OSErrors, too
        raise
    except OSError as error:
        if isinstance(where, Path):
            log.warning("Could not %s (%s): %s", tried, where, error)
            where = where.name
        raise StorageError(sentence(tried, where, error.strerror or str(error), advice)) from error


TAKEN = "Choose another name, or set if_exists to `new name`."


def taken(key: str, where: str) -> AlreadyExists:
    """Return the error for a key that an object has already."""
    return AlreadyExists(sentence(f"store {key!r}", where, "there is an object of that name", TAKEN))
