"""The errors of this package.

A message has two sentences: what was tried, where, and what the server said; then what to do. None holds a
secret, a signed URL or an Authorization header: ``scrub`` takes those out of whatever a server or SDK said.

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
    """How much of a bucket an error stands in the way of."""

    OBJECT = "one object: its name, its size or its content"
    SOME = "those that a policy means, or nobody knows how many"
    ALL = "every object: the network, the server, the bucket, the key or the settings"


class _Ours:
    """An error whose class ComfyUI's page names shortly: see SHORT_MODULE. It can be copied and pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self).__name__, self.args), vars(self) or None  # type: ignore[attr-defined]


class StorageError(_Ours, Exception):
    """Something a bucket, its server, the network or the settings did not allow."""

    scope = Scope.SOME

    def trying(self, before: str, now: str) -> StorageError:
        """The same error with what was tried told in other words."""
        error = type(self)(str(self).replace(f"Could not {before}", f"Could not {now}", 1))
        error.scope = self.scope
        return error

    def saying(self, more: str) -> StorageError:
        """The same error with another sentence at its end."""
        error = type(self)(f"{self} {more}")
        error.scope = self.scope
        return error


class ConfigurationError(StorageError, ValueError):
    """A setting is missing, malformed, unknown or contradicts another; nothing was sent."""

    scope = Scope.ALL


class MissingDependency(ConfigurationError, ImportError):
    """A package that this provider needs is not installed."""


class BadKey(ConfigurationError):
    """No object can have this key here: it is malformed or too long."""

    scope = Scope.OBJECT


class TooLarge(ConfigurationError):
    """The provider takes no object of this size."""

    scope = Scope.OBJECT


class NotFound(StorageError, FileNotFoundError):
    """The object, or the whole bucket, is not there (or the key may not see it)."""

    scope = Scope.ALL


class AccessDenied(StorageError, PermissionError):
    """The server refuses the request: the key, secret, token or clock is wrong."""

    scope = Scope.ALL


class Forbidden(AccessDenied):
    """The key is right, but its policy does not allow this operation here; it may allow others."""

    scope = Scope.SOME


class AlreadyExists(StorageError, FileExistsError):
    """An object has this key and the request was to create it; the object is untouched."""

    scope = Scope.OBJECT


class Changed(StorageError):
    """The object is no longer the one that was asked for: its ETag differs."""

    scope = Scope.ALL


class Unreachable(StorageError, ConnectionError):
    """No complete answer came: name, network, TLS, time-out, or a server that fails."""

    scope = Scope.ALL


class Throttled(Unreachable):
    """The server asks for fewer requests; trying again later will work."""


class IntegrityError(StorageError):
    """The bytes that arrived are not the bytes that were sent."""

    scope = Scope.OBJECT


class TransferCancelled(StorageError):
    """A transfer was told to stop; whatever it had begun is removed."""


class MediaError(_Ours, ValueError):
    """A file is not the image, video or audio it should be, or cannot be encoded as asked."""


class Unreadable(MediaError):
    """Nothing of a file can be decoded."""


def _again(name: str, arguments: tuple[Any, ...]) -> Exception:
    """The error of this module that is called ``name``, when one is read back from a pickle."""
    return globals()[name](*arguments)  # type: ignore[no-any-return]


# ComfyUI's page names an error by its class and that one's module, which begins with the folder's whole path.
SHORT_MODULE = "cloud_storage"
for _class in [each for each in globals().values() if isinstance(each, type) and issubclass(each, _Ours)]:
    _class.__module__ = SHORT_MODULE
del _class


_SIGNED_QUERY = re.compile(r"(https?://[^\s\"'<>?]+)\?[^\s\"'<>)]*")
_HEADERS = re.compile(r"(?i)\b(authorization|x-(?:amz|oss)-security-token)\b(\s*[:=]\s*)[^\r\n]*")
_SECRET_MIN_CHARACTERS = 4  # a shorter one would be found in ordinary words


def scrub(text: str, *secrets: str) -> str:
    """``text`` without query strings of URLs, credential headers, line breaks, or any of ``secrets``."""
    text = _HEADERS.sub(r"\1\2***", _SIGNED_QUERY.sub(r"\1", text))
    for secret in secrets:
        if len(secret) >= _SECRET_MIN_CHARACTERS:
            text = text.replace(secret, "***")
    return " ".join(text.split())


def sentence(tried: str, where: str, said: str, advice: str) -> str:
    """One message: "Could not <tried> (<where>): <said>. <advice>"."""
    said = said.rstrip(". ")
    return _UNSHOWN.sub(_as_escape, f"Could not {tried} ({where}): {said}. {advice}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence with the known name closest to ``word``, and a space before it; "" if none is close."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


# What a page, a log or a terminal cannot show: control characters, and halves of characters.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def _as_escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]


DISK_ADVICE = "Free room on the disk of the server, or make the folder writable."


@contextlib.contextmanager
def disk_told(tried: str, where: Path | str, advice: str) -> Iterator[None]:
    """What the disk raises within, as StorageError; some of this package's errors are OSErrors themselves.

    Of a path the message has the name only: it is read by whoever reaches the page. The log has all of it.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if isinstance(where, Path):
            log.warning("Could not %s (%s): %s", tried, where, error)
            where = where.name
        raise StorageError(sentence(tried, where, error.strerror or str(error), advice)) from error


TAKEN = "Choose another name, or set if_exists to `new name`."


def taken(key: str, where: str) -> AlreadyExists:
    """The error for a key that a look has found taken."""
    return AlreadyExists(sentence(f"store {key!r}", where, "there is an object of that name", TAKEN))
