"""A server of Aliyun's OSS REST protocol on loopback, for tests: no server of Aliyun's can be installed.

It does what its answers say, checks every signature (``oss_signature``), refuses in OSS's own error documents
(``oss_errors``), and answers NotImplemented to what it lacks (``oss_operations``).
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from .oss_http import Exchange, Permissions, Seen
from .oss_objects import Bucket, Spool, StoredObject, Upload
from .oss_operations import OPERATIONS
from .oss_signature import Keyring, TemporaryKey

SOCKET_BUFFER_BYTES = 4 << 20


class OssServer:
    """The server, as a context manager; ``url`` is its endpoint.

    ``buckets`` names them, then they are private, or maps each name to its ACL. ``credentials`` are key ids
    and secrets; ``sts_tokens`` key ids of temporary credentials and (secret, token, expiry in UTC).
    ``permissions`` limits single keys, in the words of ``Permissions``. ``cnames`` maps custom domains to
    buckets. A TLS context as ``certificate`` opens ``tls_url`` beside ``url``. ``crc64=False`` leaves
    x-oss-hash-crc64ecma out.

    Requests to an IP address or to localhost are path style, to ``bucket.<endpoint>`` virtual host style,
    where the endpoints are the region's public and internal one and ``localhost``. Its threads live in this
    process.
    """

    operations = OPERATIONS

    def __init__(
        self,
        buckets: Iterable[str] | Mapping[str, str] = ("bucket",),
        *,
        credentials: Mapping[str, str] | None = None,
        sts_tokens: Mapping[str, tuple[str, str, datetime]] | None = None,
        permissions: Mapping[str, Mapping[str, Any]] | None = None,
        cnames: Mapping[str, str] | None = None,
        region: str = "cn-hangzhou",
        refuse_v1: bool = False,
        certificate: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
        crc64: bool = True,
        spool_folder: Path | None = None,
    ) -> None:
        acls = buckets if isinstance(buckets, Mapping) else dict.fromkeys(buckets, "private")
        self.buckets = {name: Bucket(name, acl) for name, acl in acls.items()}
        self.keyring = Keyring(
            dict({"key id": "secret"} if credentials is None else credentials),
            {key_id: TemporaryKey(*rest) for key_id, rest in (sts_tokens or {}).items()},
        )
        self.permissions = {key_id: Permissions(**granted) for key_id, granted in (permissions or {}).items()}
        self.cnames = dict(cnames or {})
        self.region = region
        self.endpoints = (f"oss-{region}.aliyuncs.com", f"oss-{region}-internal.aliyuncs.com", "localhost")
        self.refuse_v1 = refuse_v1
        self.crc64 = crc64
        self.lock = threading.Lock()  # around ``buckets`` and all that is in them
        self.new_spool = functools.partial(Spool, spool_folder)
        self.requests: list[Seen] = []
        self.failures: list[Exception] = []  # the server's own; leaving the context raises the first
        self._clock = clock
        self._offset_seconds = 0.0
        self._certificate = certificate
        self._listeners: list[Listener] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listeners[0].port}"

    @property
    def tls_url(self) -> str:
        return f"https://127.0.0.1:{self._listeners[1].port}"

    def objects(self, bucket: str) -> dict[str, StoredObject]:
        """The objects of a bucket by key, as they are now."""
        with self.lock:
            return dict(self.buckets[bucket].objects)

    def open_uploads(self, bucket: str) -> list[Upload]:
        """The multipart uploads that are neither completed nor aborted."""
        with self.lock:
            return list(self.buckets[bucket].uploads.values())

    def set_time(self, offset_seconds: float) -> None:
        """Set the server's clock to so many seconds after the real one."""
        self._offset_seconds = offset_seconds

    def now(self) -> datetime:
        """The server's time, in UTC."""
        return datetime.fromtimestamp(self._clock() + self._offset_seconds, timezone.utc)

    def __enter__(self) -> OssServer:
        self._listen()
        return self

    def restart(self) -> None:
        """End every connection and listen anew, with the same objects, on other ports."""
        for listener in self._listeners:
            listener.stop()
        self._listen()

    def _listen(self) -> None:
        self._listeners = [Listener(self, None)]
        if self._certificate is not None:
            self._listeners.append(Listener(self, self._certificate))
        for listener in self._listeners:
            listener.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            listener.stop()
        if error is None and self.failures:
            raise self.failures[0]


class Listener(ThreadingHTTPServer):
    """One port of the server; each connection has a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, oss: OssServer, certificate: ssl.SSLContext | None) -> None:
        self.oss = oss
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), Exchange)
        self.port = self.socket.getsockname()[1]
        for option in (
            socket.SO_RCVBUF,
            socket.SO_SNDBUF,
        ):  # on the listening socket: windows are settled at accept
            self.socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        if certificate is not None:
            # The handshake is the connection's thread's: a silent client must not keep the others out.
            self.socket = certificate.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end the connections that are still open."""
        self.shutdown()
        self._thread.join()
        self.server_close()
        with self._guard:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: clients that leave are part of some tests; the server's own errors are in ``failures``."""
