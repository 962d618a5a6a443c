"""Limit the time and size of every answer, and check for Cancel, on the connections of both SDKs.

Both SDKs keep their connections in urllib3's pools. Here each connected socket is a ``WatchedSocket``. While
no bytes move, it checks if the node was cancelled. It ends a request that is sent too slowly, an answer that
arrives too slowly, and an answer that is too long. It counts bytes before anything decompresses or parses
them.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import http.client
import io
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..system.meter import current

POLL_SECONDS = 0.1  # between two checks for Cancel while no bytes move

# The slowest rate for a request, and for an answer after its first byte, measured over each period of
# SLOW_SECONDS. Only the time that is spent waiting for the network counts. A modem of 1996 was five times as
# fast.
SLOW_SECONDS = 60.0
SLOW_BYTES_PER_SECOND = 1024
# The same period when a multipart upload is completed. S3 then sends spaces for minutes:
# docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
COMPLETE_SECONDS = 600.0
# How long sending may make no progress. urllib3's time-out while it sends is the one for connecting, and
# Python's ``sendall`` applies it to all of the data: docs.python.org/3/library/socket.html
SILENT_SECONDS = 30.0

HEAD_MAX_BYTES = 256 << 10  # S3 sends 8 KiB at most; http.client takes 6 MiB, and endless "100 Continue"
TOO_LONG = "the answer is too long for its kind"
_RECORD_BYTES = 16 << 10  # of TLS, which accepts a whole record or nothing: RFC 8446, section 5.1


class TooSlow(Exception):
    """The request is sent, or the answer arrives, too slowly to be useful."""


class TooLong(Exception):
    """The answer has more bytes than an answer of its kind can have."""


_slow_seconds: contextvars.ContextVar[float | None] = contextvars.ContextVar("slow_seconds", default=None)
_read_socket: contextvars.ContextVar[WatchedSocket | None] = contextvars.ContextVar("socket", default=None)


@contextlib.contextmanager
def completing() -> Iterator[None]:
    """Allow an answer within the block as much time as the completion of a multipart upload needs."""
    token = _slow_seconds.set(COMPLETE_SECONDS)
    try:
        yield
    finally:
        _slow_seconds.reset(token)


class _Rate:
    """Measures how fast the bytes of one message move."""

    def __init__(self) -> None:
        self.waited, self.moved = 0.0, 0

    def is_slow(self, count: int, waited: float, period: float) -> bool:
        """Add ``count`` bytes that took ``waited`` seconds. Return True if a period ends and was too slow.

        ``moved`` and ``waited`` then are the bytes and seconds of that period.
        """
        if self.waited >= period:
            self.waited, self.moved = 0.0, 0
        self.waited += waited
        self.moved += count
        return self.waited >= period and count > 0 and self.moved < period * SLOW_BYTES_PER_SECOND


class WatchedSocket:
    """A connected socket, plain or TLS, as http.client uses it; for one thread at a time."""

    def __init__(self, connected: Any) -> None:  # noqa: ANN401  a socket, or a library's replacement for one
        self._socket = connected
        self._timeout: float | None = connected.gettimeout()  # that the library has set
        self._real_timeout = self._timeout  # of the socket itself
        self.left: int | None = None  # bytes that may still arrive; None: limited elsewhere
        self._sent: _Rate | None = None  # of the request that is being sent
        self._begin()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._socket, name)

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds  # for ``receive``: the socket itself waits for shorter times

    def _set_real_timeout(self, seconds: float | None) -> None:
        if self._real_timeout != seconds:
            self._socket.settimeout(seconds)
            self._real_timeout = seconds

    # ---------------------------------------------------------------------------------- sending

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401
        """Send as the socket's own ``sendall``, but allow a slow connection.

        Raises TransferCancelled, TooSlow, and TimeoutError after SILENT_SECONDS without progress.
        """
        left = memoryview(data).cast("B")
        while left:
            block = left[:_RECORD_BYTES] if self._is_tls else left
            left = left[self._measured(functools.partial(self._send, block, flags)) :]

    @property
    def sends_files(self) -> bool:
        """Whether the system can send a file on this connection."""
        return hasattr(os, "sendfile") and not self._is_tls

    def send_file(self, descriptor: int, start: int, count: int) -> int:
        """Send up to ``count`` bytes of an open file, and return how many; 0 if this file cannot be sent so.

        Raises as ``sendall``.
        """
        try:
            send = functools.partial(os.sendfile, self.fileno(), descriptor, start, count)
            return self._measured(functools.partial(self._wait_to_send, send))
        except (ConnectionError, TimeoutError):
            raise
        except OSError:  # a file system without it, or a disk that fails, which reading will say
            return 0

    @staticmethod
    def _count_sent(sent: _Rate, count: int, waited: float) -> None:
        if sent.is_slow(count, waited, SLOW_SECONDS):
            raise TooSlow(f"only {sent.moved} bytes of the request were sent in {sent.waited:.0f} s")

    @property
    def _is_tls(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) or not isinstance(self._socket, socket.socket)

    def _measured(self, send: Callable[[], int]) -> int:
        """Return how many bytes ``send`` sent. Raises TooSlow, and what it raises."""
        current().check()
        sent = self._sent = self._sent or _Rate()
        began = time.monotonic()
        count = send()
        self._count_sent(sent, count, time.monotonic() - began)
        return count

    def _send(self, block: memoryview, flags: int) -> int:
        if isinstance(self._socket, socket.socket):
            return self._wait_to_send(functools.partial(self._socket.send, block, flags))
        # TLS within TLS, for a proxy: after a time-out nobody knows how much of the data was sent
        self._set_real_timeout(SILENT_SECONDS)
        self._socket.sendall(block, flags)
        return len(block)

    def _wait_to_send(self, send: Callable[[], int]) -> int:
        """Call ``send`` until the system accepts some bytes, and return how many."""
        from urllib3.util.wait import wait_for_read, wait_for_write

        meter = current()
        self._set_real_timeout(0.0)  # with a time-out it waits until a third of the buffer is free
        began = time.monotonic()
        queued = None
        while True:
            try:
                return send()
            except (BlockingIOError, ssl.SSLWantWriteError):
                wait_for_write(self._socket, POLL_SECONDS)
            except ssl.SSLWantReadError:
                wait_for_read(self._socket, POLL_SECONDS)
            meter.check()
            left, now = self._queued(), time.monotonic()
            if queued is not None and left < queued:  # progress, but less than a whole block
                began = now
            elif now - began >= SILENT_SECONDS:
                raise TimeoutError("the server accepts no more of the request")
            queued = left

    # -------------------------------------------------------------------------------- receiving

    def makefile(self, mode: str = "r", buffering: int | None = None, **_: object) -> io.IOBase:
        """Return the file to read the next answer from: http.client asks for one for each answer."""
        self.begin_answer()
        raw = _RawAnswer(self, self._socket.makefile("rb", 0), may_end=buffering != 0)
        return raw if buffering == 0 else io.BufferedReader(raw)

    def begin_answer(self) -> None:
        """Expect the next answer: its limits begin anew."""
        self._begin()
        _read_socket.set(self)

    def _begin(self) -> None:
        self.left = HEAD_MAX_BYTES
        self._started, self._received = False, _Rate()
        self._draining, self._sent = self._sent, None  # the request that the system may still be sending

    def receive(self, buffer: Any) -> int:  # noqa: ANN401
        """Receive as ``recv_into``. Raises TransferCancelled, TooSlow, TooLong, and TimeoutError."""
        meter, began = current(), time.monotonic()
        queued: int | None = None  # unknown until the answer is late
        self._set_real_timeout(min(POLL_SECONDS, self._timeout or POLL_SECONDS))
        while True:
            meter.check()
            try:
                count = int(self._socket.recv_into(buffer))
            except TimeoutError:
                now = time.monotonic()
                left = self._queued() if self._draining and queued != 0 else 0
                if self._draining and queued is not None and left < queued:
                    self._count_sent(self._draining, queued - left, now - began)
                    began = now
                elif self._timeout is not None and now - began >= self._timeout:
                    raise
                queued = left
            else:
                break
        self._count_received(count, time.monotonic() - began)
        return count

    def _queued(self) -> int:
        """Return how many sent bytes the server has not confirmed: on a slow connection, minutes of them.

        0 if the system does not say so, as Windows: there such a connection counts as silent.
        man7.org/linux/man-pages/man7/tcp.7.html, SIOCOUTQ; on macOS getsockopt(2), SO_NWRITE.
        """
        with contextlib.suppress(OSError, ImportError):
            if sys.platform == "darwin":
                return int(self._socket.getsockopt(socket.SOL_SOCKET, 0x1024))
            if sys.platform.startswith("linux"):
                import fcntl
                import termios

                count = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4))
                return int.from_bytes(count, sys.byteorder)
        return 0

    def _count_received(self, count: int, waited: float) -> None:
        received, period = self._received, _slow_seconds.get() or SLOW_SECONDS
        if received.is_slow(count, waited if self._started else 0.0, period):  # before it: a time-out alone
            raise TooSlow(f"only {received.moved} bytes of the answer arrived in {received.waited:.0f} s")
        self._started, self._draining = True, None
        if self.left is not None:
            self.left -= count
            if self.left < 0:
                raise TooLong(TOO_LONG)


class _RawAnswer(io.RawIOBase):
    """The bytes of one answer. ``owner``, the socket's own file, is never read: it keeps the socket open."""

    def __init__(self, watched: WatchedSocket, owner: Any, may_end: bool) -> None:  # noqa: ANN401
        super().__init__()
        self._watched, self._owner, self._may_end = watched, owner, may_end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        count = self._watched.receive(buffer)
        if not count and len(buffer) and not self._may_end:  # botocore reads forever after "100 Continue"
            raise http.client.RemoteDisconnected("the connection ended within the headers of an answer")
        return count

    def close(self) -> None:
        self._owner.close()
        super().close()


class _WatchedConnection:
    """A mixin for urllib3's connections: their sockets are watched."""

    sock: Any

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.sock = WatchedSocket(self.sock)


def watched_pools(pools: Mapping[str, type]) -> dict[str, type]:
    """Return urllib3's classes of connection pools, by scheme, with connections whose sockets are watched."""
    watched = {}
    for scheme, pool in pools.items():
        connection = type("Watched", (_WatchedConnection, pool.ConnectionCls), {})  # type: ignore[attr-defined]
        watched[scheme] = type("WatchedPool", (pool,), {"ConnectionCls": connection})
    return watched


def session(connections: int) -> Any:  # noqa: ANN401  requests has no types here
    """Return a requests.Session that keeps up to ``connections`` connections, whose sockets are watched."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = watched_pools(self.poolmanager.pool_classes_by_scheme)

        def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401
            is_known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **options)
            if not is_known:
                manager.pool_classes_by_scheme = watched_pools(manager.pool_classes_by_scheme)
            return manager

    new = requests.Session()
    for scheme in ("http://", "https://"):
        new.mount(scheme, Adapter(pool_maxsize=connections))
    return new


def allow(count: int | None) -> None:
    """Allow ``count`` more bytes to the answer whose headers this thread has just read; None: any number."""
    watched = _read_socket.get()
    if watched is not None:
        watched.left = count
