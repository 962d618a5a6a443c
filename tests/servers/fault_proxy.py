"""A proxy before a real server that can be slow, break, lie and fall silent, and counts what passes.

It leaves Host and every other byte alone, so signatures stay valid. One thread serves one connection, with an
upstream connection of its own.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType

from .certificates import Certificates
from .faults import Fault, Rule
from .http_wire import BUFFER_BYTES
from .processes import free_ports
from .relay import Connection, Link

CLOSE_SECONDS = 10  # how long a connection's thread may take to end after its sockets are shut


class FaultProxy(Link):
    """``with FaultProxy("127.0.0.1", port) as proxy``: transparent until told otherwise, at ``proxy.url``.

    ``certificates`` make it speak TLS with its clients; ``upstream_tls`` names the authority by which it
    trusts the server it then speaks TLS with. Every attribute and method may be used from any thread while it
    runs.

    ``latency_seconds`` is added to each answer a client waits for ("100 Continue" is one of them), for all
    connections side by side. ``bandwidth_bytes_per_second`` limits each connection, in each direction.
    """

    def __init__(
        self,
        upstream_host: str,
        upstream_port: int,
        certificates: Certificates | None = None,
        upstream_tls: Path | None = None,
    ) -> None:
        super().__init__(
            (upstream_host, upstream_port),
            certificates.server_context() if certificates else None,
            ssl.create_default_context(cafile=str(upstream_tls)) if upstream_tls else None,
        )
        self.port = free_ports(1)[0]
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    def add(self, fault: Fault) -> Rule:
        """Put a fault in force; the rule that comes back counts how often it happened."""
        rule = Rule(fault)
        with self.changed:
            self.rules.append(rule)
        return rule

    def clear(self) -> None:
        """Be transparent again: no faults, latency, limits or records, and nothing silent any more."""
        with self.changed:
            self.rules.clear()
            self.requests = []
        self.latency_seconds, self.bandwidth_bytes_per_second = 0.0, None
        self.release()

    def release(self) -> None:
        """Let every connection that has fallen silent go on; later silences are not affected."""
        with self.changed:
            self.releases += 1
            self.changed.notify_all()

    def refuse(self) -> None:
        """Close the listening socket, so that connections are refused, and end the connections there are."""
        if self._listener is not None and self._acceptor is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), though not on every system
            self._listener.close()
            self._acceptor.join()
            self._listener = self._acceptor = None
        with self.changed:
            connections = list(self.connections)
            for connection in connections:
                connection.abort()
            self.changed.notify_all()
        for connection in connections:
            connection.thread.join(CLOSE_SECONDS)

    def resume(self) -> None:
        """Listen, after a refusal on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        # What it accepts inherits this: a client cannot be far ahead of what the proxy has passed on.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self._listener.settimeout(0.2)
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def __enter__(self) -> FaultProxy:
        self.resume()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:  # closed by refuse
                return
            connection = Connection(self, accepted)
            with self.changed:
                self.connections.add(connection)
            connection.thread.start()
