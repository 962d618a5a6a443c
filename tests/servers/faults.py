"""What can go wrong between a client and a server, as data for the fault proxy.

A ``Fault`` says for which requests and how often, its action says what. Several that match one request all
happen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal, TypeVar
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .http_wire import HeaderChange


@dataclass(frozen=True)
class Answer:
    """The proxy answers itself.

    "before body": without reading the request's body, then it closes; "after body": once the body has
    arrived, none of which the server sees; "after server": the server does what was asked, its answer is
    replaced.
    """

    status: int
    body: bytes | Callable[[str], bytes] = b""  # or made of the request's query
    headers: Mapping[str, str] = field(default_factory=dict)
    when: Literal["before body", "after body", "after server"] = "after body"


@dataclass(frozen=True)
class Cut:
    """The connection ends, or falls silent, at a point of the exchange.

    ``at`` counts bytes of that body when it is an int and is a fraction of its length when it is a float; a
    shorter body is cut at its end, and one without Content-Length after its first piece. "response" is the
    moment between the server's answer and its first byte: the request was carried out, the answer is lost.
    A "reset" also discards what is still under way, so the client may have received less than ``at``.
    "silence" keeps the sockets open and moves no byte until ``FaultProxy.release``, then goes on as if
    nothing had been.
    """

    where: Literal["request body", "response", "response body"]
    at: int | float = 0
    how: Literal["reset", "close", "silence"] = "reset"


@dataclass(frozen=True)
class Flip:
    """One bit of a body is inverted; nothing else shows it."""

    at: int
    bit: int = 0
    where: Literal["request body", "response body"] = "response body"


@dataclass(frozen=True)
class Headers:
    """Header fields are set, added, removed (None), or computed from their old value.

    After a response whose Content-Length was changed the connection closes, as the client cannot know where
    it ended.
    """

    request: Mapping[str, HeaderChange] = field(default_factory=dict)
    response: Mapping[str, HeaderChange] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """The response comes later, on top of the proxy's latency."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """The answer comes byte by byte, with so many seconds between two of them: its head as well, or from byte
    ``at`` of its body on where that is no less than 0. After ``most`` bytes the rest comes as it comes: so a
    client that waits for all of it gets it, and its test fails rather than waits for hours.
    """

    seconds: float
    at: int = -1
    most: int = 1000


Action = Answer | Cut | Flip | Headers | Delay | Drip
_Kind = TypeVar("_Kind", Answer, Cut, Flip, Headers, Delay, Drip)

LOST_ANSWER = Cut("response")


@dataclass(frozen=True)
class Fault:
    """``action`` for requests of ``method`` whose path and query, percent-encoded as sent, contain the given
    texts.

    The first ``skip`` of them are left alone; then it happens ``times`` times (None: always).
    """

    action: Action
    method: str = ""
    path: str = ""
    query: str = ""
    skip: int = 0
    times: int | None = 1


class Rule:
    """A fault in force. ``seen`` counts the requests it matched, ``happened`` those it did something to."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.happened = 0
        self._first = threading.Event()

    def takes(self, method: str, path: str, query: str) -> bool:
        """Whether the fault applies to this request, which is counted. Not for two threads at once."""
        fault = self.fault
        if fault.method not in ("", method) or fault.path not in path or fault.query not in query:
            return False
        self.seen += 1
        return self.seen > fault.skip and (fault.times is None or self.seen <= fault.skip + fault.times)

    def mark(self) -> None:
        """Note that the action takes place now."""
        self.happened += 1
        self._first.set()

    def wait(self, seconds: float = 30) -> None:
        """Return when the action has taken place; a silence, when it has begun. Raises TimeoutError."""
        if not self._first.wait(seconds):
            raise TimeoutError(f"{self.fault} did not happen within {seconds} s")


class Plan:
    """What happens to one request: the actions of the rules that take it, each marked when it happens."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._marked: set[Rule] = set()
        self._paused = 0

    def mark(self, rule: Rule) -> None:
        """Note that a rule's action takes place now."""
        if rule not in self._marked:
            self._marked.add(rule)
            rule.mark()

    def answer(self, when: str) -> Answer | None:
        """The proxy's own answer at this moment."""
        for rule, action in self._of(Answer):
            if action.when == when:
                self.mark(rule)
                return action
        return None

    def headers(self, side: Literal["request", "response"]) -> dict[str, HeaderChange]:
        """The changes to one head."""
        changes: dict[str, HeaderChange] = {}
        for rule, action in self._of(Headers):
            wanted = action.request if side == "request" else action.response
            if wanted:
                self.mark(rule)
                changes.update(wanted)
        return changes

    def delay(self) -> float:
        """Seconds to wait before the response."""
        seconds = 0.0
        for rule, action in self._of(Delay):
            self.mark(rule)
            seconds += action.seconds
        return seconds

    def pauses(self, position: int) -> Iterator[float]:
        """Seconds to wait behind each byte of the answer from here on, as long as there are such bytes."""
        for rule, action in self._of(Drip):
            if action.at <= position:
                self.mark(rule)
                while self._paused < action.most:
                    self._paused += 1
                    yield action.seconds

    def cut(self, where: str) -> tuple[Rule, Cut] | None:
        """The cut that is still to come at this point of the exchange; it is marked by who carries it out."""
        waiting = (pair for pair in self._of(Cut) if pair[1].where == where and pair[0] not in self._marked)
        return next(waiting, None)

    def flip(self, where: str, position: int, piece: memoryview) -> None:
        """Invert the bits of ``piece``, which begins at ``position`` of its body, that are to be inverted."""
        for rule, action in self._of(Flip):
            if action.where == where and position <= action.at < position + len(piece):
                piece[action.at - position] ^= 1 << action.bit
                self.mark(rule)

    def _of(self, kind: type[_Kind]) -> Iterator[tuple[Rule, _Kind]]:
        for rule in self._rules:
            action = rule.fault.action
            if isinstance(action, kind):
                yield rule, action


def s3_error(code: str, **elements: str) -> bytes:
    """The XML body of an S3 error; ``elements`` are such as ``Message``, ``Region``, ``Resource``."""
    said = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in {"Code": code, **elements}.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{said}</Error>'.encode()


def listing(query: str, names: Sequence[str], token: str = "", truncated: bool | None = None) -> bytes:
    """A listing in the words of S3 and of OSS: objects called so below the prefix that was asked for."""
    prefix = dict(parse_qsl(query)).get("prefix", "")
    said = "" if not token else f"<NextContinuationToken>{token}</NextContinuationToken>"
    more = bool(token) if truncated is None else truncated
    objects = "".join(
        f"<Contents><Key>{escape(prefix + name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        "<ETag>&quot;x&quot;</ETag><Type>Normal</Type><Size>1</Size><StorageClass>Standard</StorageClass>"
        "</Contents>"
        for name in names
    )
    return (
        f"<ListBucketResult><Name>bucket</Name><Prefix>{escape(prefix)}</Prefix><MaxKeys>1000</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{said}{objects}</ListBucketResult>"
    ).encode()


def shifted(by: timedelta) -> HeaderChange:
    """For ``Headers``: the HTTP date in a field, moved, as from a server whose clock is off."""
    return lambda old: format_datetime(parsedate_to_datetime(old) + by, usegmt=True)
