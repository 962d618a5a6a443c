"""The connections that both SDKs send their requests over: no answer is waited for or read without a limit.

Both SDKs keep their connections in urllib3's pools. Here each connected socket is a ``WatchedSocket``. While
nothing arrives, it looks whether the node was cancelled. It ends an answer that arrives too slowly, and one
that has more bytes than such an answer can have. It counts bytes before anything unpacks or parses them.
"""

from __future__ import annotations

import contextlib
import contextvars
import http.client
import io
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .meter import current

POLL_SECONDS = 0.1  # between two looks whether Cancel was pressed, while nothing comes

# The rate at which an answer has to arrive from its first byte on, over each window of so many seconds. Only
# waiting for the network counts, not the time that the reader takes. A modem of 1996 was five times as fast.
# Sending has such a limit as well, see ``multipart.BLOCK_BYTES``.
SLOW_SECONDS = 60.0
SLOW_BYTES_PER_SECOND = 1024
# The same for the end of an upload in parts. S3 sends blanks meanwhile, for minutes:
# docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
FINISH_SECONDS = 600.0

HEAD_MAX_BYTES = 256 << 10  # S3 sends 8 KiB at most; http.client would take 6 MiB, and endless 100 Continue
DOCUMENT_MAX_BYTES = 8 << 20  # 1,000 keys of 1,024 bytes are 5 MiB where every byte of them is escaped
ERROR_MAX_BYTES = 64 << 10  # of an error document: with the string to sign in it, it is some KiB
_PIECE_BYTES = 64 << 10

# The documents that S3 and OSS answer with
_ANSWERS = ("ListBucketResult", "InitiateMultipartUploadResult", "CompleteMultipartUploadResult")
# A doctype may stand before it, of a page
_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?[^>]*\?>\s*)?(?:<![^>]*>\s*)*<([A-Za-z]\w*)")

log = logging.getLogger("cloud_storage")


class TooSlow(Exception):
    """The answer comes, but so slowly that it is as good as none."""


class TooLong(Exception):
    """The answer has more bytes than one of its kind can have."""


class NoAnswer(Exception):
    """The status says success, and the answer is none of an object store. The message quotes no server."""


_slow_seconds: contextvars.ContextVar[float | None] = contextvars.ContextVar("slow_seconds", default=None)
_socket_read: contextvars.ContextVar[WatchedSocket | None] = contextvars.ContextVar("line", default=None)


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """Within, an answer may take as long as the end of an upload in parts may."""
    token = _slow_seconds.set(FINISH_SECONDS)
    try:
        yield
    finally:
        _slow_seconds.reset(token)


class WatchedSocket:
    """A connected socket, plain or TLS, as http.client uses it; one thread at a time."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401  a socket, or what a library puts in its place
        self._socket = connected
        self._seconds: float | None = connected.gettimeout()  # of silence, as the library has set it
        self._polls = False  # whether the socket itself has the short time-out by now
        self.left: int | None = None  # bytes that may still come; None where something else bounds them
        self._begin()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._socket, name)

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def gettimeout(self) -> float | None:
        return self._seconds

    def settimeout(self, seconds: float | None) -> None:
        self._seconds, self._polls = seconds, False
        self._socket.settimeout(seconds)

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401
        if self._polls:
            self.settimeout(self._seconds)
        self._socket.sendall(data, flags)

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: object) -> io.IOBase:
        """What the next answer is read from: http.client asks for it once for each."""
        self._begin()
        _socket_read.set(self)
        incoming = _Incoming(self, self._socket.makefile("rb", 0), ends=buffering != 0)
        return incoming if buffering == 0 else io.BufferedReader(incoming)

    def _begin(self) -> None:
        self.left = HEAD_MAX_BYTES
        self._started, self._waited, self._came = False, 0.0, 0

    def receive(self, buffer: Any) -> int:  # noqa: ANN401
        """As ``recv_into``. Raises TransferCancelled, TooSlow, TooLong, and TimeoutError after a silence."""
        meter, began = current(), time.monotonic()
        if not self._polls:
            self._socket.settimeout(min(POLL_SECONDS, self._seconds or POLL_SECONDS))
            self._polls = True
        while True:
            meter.check()
            try:
                count = int(self._socket.recv_into(buffer))
            except TimeoutError:
                if self._seconds is not None and time.monotonic() - began >= self._seconds:
                    raise
            else:
                break
        self._judge(count, time.monotonic() - began)
        return count

    def _judge(self, count: int, waited: float) -> None:
        if self._started:  # until the first byte, silence alone is what counts
            self._waited += waited
        self._started = True
        self._came += count
        seconds = _slow_seconds.get() or SLOW_SECONDS
        if self._waited >= seconds and count:
            if self._came < seconds * SLOW_BYTES_PER_SECOND:
                raise TooSlow(f"only {self._came} bytes of the answer came in {self._waited:.0f} s")
            self._waited, self._came = 0.0, 0
        if self.left is not None:
            self.left -= count
            if self.left < 0:
                raise TooLong("the answer has more bytes than one of its kind can have")


class _Incoming(io.RawIOBase):
    """The bytes of one answer. ``holder`` is the socket's own file, which keeps it open; nothing reads it."""

    def __init__(self, line: WatchedSocket, holder: Any, ends: bool) -> None:  # noqa: ANN401
        super().__init__()
        self._watched, self._holder, self._ends = line, holder, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        count = self._watched.receive(buffer)
        if not count and len(buffer) and not self._ends:  # botocore reads on for ever, after "100 Continue"
            raise http.client.RemoteDisconnected("the connection ended within the head of an answer")
        return count

    def close(self) -> None:
        self._holder.close()
        super().close()


class _Watched:
    """Of a connection of urllib3: its socket is a WatchedSocket."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = WatchedSocket(self.sock)


def watched(pools: Mapping[str, type]) -> dict[str, type]:
    """urllib3's classes of connection pools, by scheme, with connections whose sockets are watched."""
    made = {}
    for scheme, pool in pools.items():
        connection = type("Watched", (_Watched, pool.ConnectionCls), {})  # type: ignore[attr-defined]
        made[scheme] = type("WatchedPool", (pool,), {"ConnectionCls": connection})
    return made


def session(connections: int) -> Any:  # noqa: ANN401  a requests.Session, which has no types here
    """A session of requests that keeps so many connections, whose sockets are watched."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *given: Any, **named: Any) -> None:  # noqa: ANN401
            super().init_poolmanager(*given, **named)
            self.poolmanager.pool_classes_by_scheme = watched(self.poolmanager.pool_classes_by_scheme)

        def proxy_manager_for(self, proxy: str, **named: Any) -> Any:  # noqa: ANN401
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **named)
            if not known:
                manager.pool_classes_by_scheme = watched(manager.pool_classes_by_scheme)
            return manager

    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, Adapter(pool_maxsize=connections))
    return made


# ------------------------------------------------------------------------------------------ bodies


def stream() -> None:
    """Allow a body of any length for the answer whose head this thread has just read: it says its length."""
    _bound(None)


def document(raw: Any) -> bytes:  # noqa: ANN401  urllib3's response
    """The body of an answer, as it travels. Raises TooLong, and whatever the network does."""
    body = _body(raw, DOCUMENT_MAX_BYTES)
    if len(body) > DOCUMENT_MAX_BYTES:
        raise TooLong("the answer has more bytes than one of its kind can have")
    return body


def error_document(raw: Any) -> bytes:  # noqa: ANN401
    """The body of a refusal; of one that is too long for that, its beginning or nothing."""
    try:
        return _body(raw, ERROR_MAX_BYTES)[:ERROR_MAX_BYTES]
    except TooLong:
        return b""


def _body(raw: Any, most: int) -> bytes:  # noqa: ANN401
    _bound(2 * most)  # with what frames its chunks
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


def _bound(most: int | None) -> None:
    watched_socket = _socket_read.get()
    if watched_socket is not None:
        watched_socket.left = most


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
