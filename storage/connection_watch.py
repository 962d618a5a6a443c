"""The connections that both SDKs send their requests over: no answer is waited for or read without a limit.

Both SDKs keep their connections in urllib3's pools. Here each connected socket is a ``WatchedSocket``. While
nothing moves, it looks whether the node was cancelled. It ends a request that is taken too slowly, an answer
that arrives too slowly, and one that has more bytes than such an answer can have. It counts bytes before
anything unpacks or parses them.
"""

from __future__ import annotations

import contextlib
import contextvars
import http.client
import io
import logging
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from ..system.meter import current

POLL_SECONDS = 0.1  # between two looks whether Cancel was pressed, while nothing comes

# The rate at which a request has to be taken, and an answer has to arrive from its first byte on, over each
# window of so many seconds. Only waiting for the network counts, not the time that the program takes. A modem
# of 1996 was five times as fast.
SLOW_SECONDS = 60.0
SLOW_BYTES_PER_SECOND = 1024
# The same for the end of an upload in parts. S3 sends blanks meanwhile, for minutes:
# docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
FINISH_SECONDS = 600.0
# In which nothing of a request is taken. urllib3 has the time for connecting in force while it sends,
# and Python's ``sendall`` ends when all of its data took that long: docs.python.org/3/library/socket.html
SILENT_SECONDS = 30.0

HEAD_MAX_BYTES = 256 << 10  # S3 sends 8 KiB at most; http.client would take 6 MiB, and endless 100 Continue
_RECORD_BYTES = 16 << 10  # of TLS, which takes all of one or nothing: RFC 8446, section 5.1

log = logging.getLogger("cloud_storage")


class TooSlow(Exception):
    """The request is taken, or the answer comes, but so slowly that it is as good as not."""


class TooLong(Exception):
    """The answer has more bytes than one of its kind can have."""


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


class _Rate:
    """How fast the bytes of one message move."""

    def __init__(self) -> None:
        self.waited, self.moved = 0.0, 0

    def is_slow(self, count: int, waited: float, window: float) -> bool:
        """Whether ``count`` bytes after ``waited`` seconds end a window of too few; then both say how few."""
        if self.waited >= window:
            self.waited, self.moved = 0.0, 0
        self.waited += waited
        self.moved += count
        return self.waited >= window and count > 0 and self.moved < window * SLOW_BYTES_PER_SECOND


class WatchedSocket:
    """A connected socket, plain or TLS, as http.client uses it; one thread at a time."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401  a socket, or what a library puts in its place
        self._socket = connected
        self._seconds: float | None = connected.gettimeout()  # of silence, as the library has set it
        self._held = self._seconds  # what is set on the socket itself
        self.left: int | None = None  # bytes that may still come; None where something else bounds them
        self._sent: _Rate | None = None  # the request that is being sent
        self._begin()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._socket, name)

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def gettimeout(self) -> float | None:
        return self._seconds

    def settimeout(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._hold(seconds)

    def _hold(self, seconds: float | None) -> None:
        if self._held != seconds:
            self._socket.settimeout(seconds)
            self._held = seconds

    # ---------------------------------------------------------------------------------- sending

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401
        """As the socket's own, but a line may be slow. Raises TransferCancelled, TooSlow, and TimeoutError
        after a silence."""
        sent = self._sent = self._sent or _Rate()
        left = memoryview(data).cast("B")
        while left:
            began = time.monotonic()
            count = self._send(left[:_RECORD_BYTES] if self._is_tls else left, flags, began)
            self._taken(sent, count, time.monotonic() - began)
            left = left[count:]

    @staticmethod
    def _taken(sent: _Rate, count: int, waited: float) -> None:
        if sent.is_slow(count, waited, SLOW_SECONDS):
            raise TooSlow(f"only {sent.moved} bytes of the request were taken in {sent.waited:.0f} s")

    @property
    def _is_tls(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) or not isinstance(self._socket, socket.socket)

    def _send(self, piece: memoryview, flags: int, began: float) -> int:
        from urllib3.util.wait import wait_for_read, wait_for_write

        meter = current()
        meter.check()
        if not isinstance(self._socket, socket.socket):
            # TLS within TLS, for a proxy: after a time-out nobody knows how much of the data is under way
            self._hold(SILENT_SECONDS)
            self._socket.sendall(piece, flags)
            return len(piece)
        self._hold(0.0)  # with any other it waits for a third of the buffer to be free, and only then tries
        queued = None
        while True:
            try:
                return self._socket.send(piece, flags)
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait_for_write(self._socket, POLL_SECONDS)
            except ssl.SSLWantReadError:
                wait_for_read(self._socket, POLL_SECONDS)
            meter.check()
            left, now = self._queued(), time.monotonic()
            if queued is not None and left < queued:  # it moves, if not yet by a whole piece
                began = now
            elif now - began >= SILENT_SECONDS:
                raise TimeoutError("nothing of the request was taken")
            queued = left

    # -------------------------------------------------------------------------------- receiving

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: object) -> io.IOBase:
        """What the next answer is read from: http.client asks for it once for each."""
        self._begin()
        _socket_read.set(self)
        incoming = _Incoming(self, self._socket.makefile("rb", 0), ends=buffering != 0)
        return incoming if buffering == 0 else io.BufferedReader(incoming)

    def _begin(self) -> None:
        self.left = HEAD_MAX_BYTES
        self._started, self._came = False, _Rate()
        self._draining, self._sent = self._sent, None  # the request that the system may still be sending

    def receive(self, buffer: Any) -> int:  # noqa: ANN401
        """As ``recv_into``. Raises TransferCancelled, TooSlow, TooLong, and TimeoutError after a silence."""
        meter, began = current(), time.monotonic()
        queued = self._queued() if self._draining else 0
        self._hold(min(POLL_SECONDS, self._seconds or POLL_SECONDS))
        while True:
            meter.check()
            try:
                count = int(self._socket.recv_into(buffer))
            except TimeoutError:
                now = time.monotonic()
                if self._draining and queued and (left := self._queued()) < queued:
                    self._taken(self._draining, queued - left, now - began)
                    queued, began = left, now
                elif self._seconds is not None and now - began >= self._seconds:
                    raise
            else:
                break
        self._judge(count, time.monotonic() - began)
        return count

    def _queued(self) -> int:
        """Bytes that the peer has not taken yet: on a slow line, minutes of them. 0 where no system tells, as
        Windows: there such a line counts as silent. man7.org/linux/man-pages/man7/tcp.7.html, SIOCOUTQ; on
        macOS getsockopt(2), SO_NWRITE.
        """
        with contextlib.suppress(OSError, ImportError):
            if sys.platform == "darwin":
                return int(self._socket.getsockopt(socket.SOL_SOCKET, 0x1024))
            if sys.platform.startswith("linux"):
                import fcntl
                import termios

                told = fcntl.ioctl(self.fileno(), termios.TIOCOUTQ, bytes(4))
                return int.from_bytes(told, sys.byteorder)
        return 0

    def _judge(self, count: int, waited: float) -> None:
        # Until the first byte, silence alone is what counts
        if self._came.is_slow(count, waited if self._started else 0.0, _slow_seconds.get() or SLOW_SECONDS):
            came = self._came
            raise TooSlow(f"only {came.moved} bytes of the answer came in {came.waited:.0f} s")
        self._started, self._draining = True, None
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


def allow(count: int | None) -> None:
    """Let the answer whose head this thread has just read have this many bytes more; None: any number."""
    watched_socket = _socket_read.get()
    if watched_socket is not None:
        watched_socket.left = count
