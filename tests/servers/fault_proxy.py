"""A proxy before a real server that can be slow, break, lie and fall silent, and counts what passes.

It leaves Host and every other byte alone, so signatures stay valid. One thread serves one connection, with an
upstream connection of its own. Counts are raised before the bytes they stand for are sent: what a client has
received is counted.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from .certificates import Certificates
from .faults import Answer, Cut, Fault, Plan, Rule
from .http_wire import BUFFER_BYTES, Body, Disconnected, Head, Wire
from .processes import free_ports

CLOSE_SECONDS = 10  # how long a connection's thread may take to end after its sockets are shut
PACE_SECONDS = 0.02  # with a bandwidth, pieces are as large as what passes in this time


@dataclass
class Record:
    """One request that reached the proxy; bytes are those of its bodies, ``status`` is 0 until answered."""

    method: str
    path: str
    query: str
    headers: dict[str, str] = field(repr=False)
    status: int = 0
    request_bytes: int = 0
    response_bytes: int = 0


class FaultProxy:
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
        self.latency_seconds = 0.0
        self.bandwidth_bytes_per_second: float | None = None
        self.requests: list[Record] = []
        self.port = free_ports(1)[0]
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{self.port}"
        self._upstream = (upstream_host, upstream_port)
        self._server_context = certificates.server_context() if certificates else None
        self._client_context = ssl.create_default_context(cafile=str(upstream_tls)) if upstream_tls else None
        self._changed = threading.Condition()  # guards what follows and wakes who waits for it
        self._rules: list[Rule] = []
        self._releases = 0
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None

    def add(self, fault: Fault) -> Rule:
        """Put a fault in force; the rule that comes back counts how often it happened."""
        rule = Rule(fault)
        with self._changed:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Be transparent again: no faults, latency, limits or records, and nothing silent any more."""
        with self._changed:
            self._rules.clear()
            self.requests = []
        self.latency_seconds, self.bandwidth_bytes_per_second = 0.0, None
        self.release()

    def release(self) -> None:
        """Let every connection that has fallen silent go on; later silences are not affected."""
        with self._changed:
            self._releases += 1
            self._changed.notify_all()

    def refuse(self) -> None:
        """Close the listening socket, so that connections are refused, and end the connections there are."""
        if self._listener is not None and self._acceptor is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), though not on every system
            self._listener.close()
            self._acceptor.join()
            self._listener = self._acceptor = None
        with self._changed:
            connections = list(self._connections)
            for connection in connections:
                connection.abort()
            self._changed.notify_all()
        for connection in connections:
            connection.thread.join(CLOSE_SECONDS)

    def resume(self) -> None:
        """Listen, after a refusal on the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES
        )  # its connections inherit it
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
            connection = _Connection(self, accepted)
            with self._changed:
                self._connections.add(connection)
            connection.thread.start()

    def _begin(self, head: Head) -> tuple[Record, Plan]:
        """Record a request and decide what happens to it."""
        method, target = head.words[0], head.words[1]
        path, _, query = target.partition("?")
        record = Record(method, path, query, head.fields)
        with self._changed:
            self.requests.append(record)
            return record, Plan([rule for rule in self._rules if rule.takes(method, path, query)])


class _Ended(Exception):
    """The connection is over; its client's side is already closed."""


class _Connection:
    """A client's connection and its own to the server: request, response, and again, on one thread."""

    def __init__(self, proxy: FaultProxy, accepted: socket.socket) -> None:
        self._proxy = proxy
        self._sockets: list[socket.socket] = []
        self._upstream: Wire | None = None
        self._aborted = False
        self.thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)

    def abort(self) -> None:
        """End the connection from a thread that holds the proxy's lock; its own then finishes by itself."""
        self._aborted = True
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, accepted: socket.socket) -> None:
        client = None
        try:
            client = self._adopt(accepted, self._proxy._server_context, server_side=True)
            while self._served(client, client.head()):
                pass
            client.finish()
        except _Ended:
            pass
        except (OSError, EOFError, Disconnected, ValueError, LookupError):
            # One side ended in the middle, or spoke no HTTP: so ends the other, as it would without a proxy.
            if client is not None:
                client.reset()
        finally:
            with self._proxy._changed:
                for each in self._sockets:
                    each.close()
                self._sockets.clear()
                self._proxy._connections.discard(self)

    def _adopt(
        self,
        connected: socket.socket,
        context: ssl.SSLContext | None,
        server_side: bool = False,
        name: str = "",
    ) -> Wire:
        """Prepare a connected socket, for TLS where there is a context; ``abort`` reaches it from now on."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A fixed, small buffer: otherwise megabytes seem sent that nobody has received, and no fault is
        # exact.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if context is not None:
            connected = context.wrap_socket(
                connected,
                server_side=server_side,
                server_hostname=name or None,
                do_handshake_on_connect=False,
            )
        with self._proxy._changed:
            self._sockets.append(connected)
            if self._aborted:
                raise Disconnected("the proxy refuses connections")
        if isinstance(connected, ssl.SSLSocket):
            connected.do_handshake()
        return Wire(connected)

    def _connected(self) -> Wire:
        """The connection to the server; a new one where there is none or the server has ended it."""
        if self._upstream is not None and self._upstream.arrived():  # nothing was asked: this is its end
            self._upstream.close()
            self._upstream = None
        if self._upstream is None:
            connected = socket.socket()
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            connected.connect(self._proxy._upstream)
            self._upstream = self._adopt(
                connected, self._proxy._client_context, name=self._proxy._upstream[0]
            )
        return self._upstream

    def _served(self, client: Wire, head: Head) -> bool:
        """Serve one request; whether another may follow on this connection."""
        record, plan = self._proxy._begin(head)
        body = Body(client, head)
        answer = plan.answer("before body")
        if answer is not None:
            self._answer(client, record, answer, last=not body.finished)
            return self._may_follow(client, body) and head.keeps_alive()
        answer = plan.answer("after body")
        if answer is not None:
            if "expect" in head.fields and not body.finished:
                client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            record.request_bytes = body.skip()
            self._answer(client, record, answer)
            return head.keeps_alive()
        upstream = self._connected()
        upstream.send(head.changed(plan.headers("request")).raw)
        response = self._relay_request(client, upstream, body, record, plan)
        while response is None or response.status < 200:
            if response is not None:
                self._continue(client, response)
            response = upstream.head()
        self._relay_response(client, upstream, response, record, plan, whole=body.finished)
        return self._may_follow(client, body) and head.keeps_alive() and response.keeps_alive()

    def _relay_request(
        self, client: Wire, upstream: Wire, body: Body, record: Record, plan: Plan
    ) -> Head | None:
        """Send a request's body on; the final response if one comes before the body's end."""
        pace = _Pace(self._proxy, self._pause)
        if not body.finished:
            with selectors.DefaultSelector() as selector:
                selector.register(client.socket, selectors.EVENT_READ, client)
                selector.register(upstream.socket, selectors.EVENT_READ, upstream)
                while not body.finished:
                    ready = [client] if client.pending() else [key.data for key, _ in selector.select()]
                    if upstream in ready and upstream.arrived():
                        response = upstream.head()
                        if response.status >= 200:
                            return response
                        self._continue(client, response)
                    if client in ready:
                        limit = self._until_cut(client, body, record.request_bytes, plan, "request body")
                        piece = body.piece(min(limit, pace.limit()))
                        plan.flip("request body", record.request_bytes, piece)
                        record.request_bytes += len(piece)
                        try:
                            upstream.send(body.framed(piece))
                        except OSError:
                            return upstream.head()  # it may have said why it hung up
                        pace.passed(len(piece))
        self._until_cut(client, body, record.request_bytes, plan, "request body")
        return None

    def _relay_response(
        self, client: Wire, upstream: Wire, head: Head, record: Record, plan: Plan, whole: bool
    ) -> None:
        body = Body(upstream, head, answers=record.method)
        self._pause(self._proxy.latency_seconds + plan.delay())
        record.status = head.status
        cut = plan.cut("response")
        if cut is not None:
            self._cut(client, *cut, plan)
        answer = plan.answer("after server")
        if answer is not None:
            body.skip()
            self._answer(client, record, answer, wait=False)
            return
        changes = plan.headers("response")
        if (
            not whole
        ):  # the server has not read the request to its end, and nobody can say where the next begins
            changes["Connection"] = "close"
        client.send(head.changed(changes).raw)
        pace = _Pace(self._proxy, self._pause)
        while not body.finished:
            limit = self._until_cut(client, body, record.response_bytes, plan, "response body")
            piece = body.piece(min(limit, pace.limit()))
            plan.flip("response body", record.response_bytes, piece)
            record.response_bytes += len(piece)
            client.send(body.framed(piece))
            pace.passed(len(piece))
        self._until_cut(client, body, record.response_bytes, plan, "response body")
        if body.ends_with_connection or any(name.lower() == "content-length" for name in changes):
            client.finish()
            raise _Ended

    def _until_cut(self, client: Wire, body: Body, position: int, plan: Plan, where: str) -> int:
        """How many bytes of a body may pass before a cut is due; carries it out when that is none."""
        cut = plan.cut(where)
        if cut is None:
            return BUFFER_BYTES
        at = cut[1].at
        if isinstance(at, float):
            at = int(at * body.length) if body.length is not None else 1
        if position < at and not body.finished:
            return at - position
        self._cut(client, *cut, plan)
        return BUFFER_BYTES

    def _cut(self, client: Wire, rule: Rule, cut: Cut, plan: Plan) -> None:
        if cut.how == "silence":
            with self._proxy._changed:
                releases = self._proxy._releases
                plan.mark(rule)
                self._proxy._changed.wait_for(lambda: self._aborted or self._proxy._releases > releases)
            return
        plan.mark(rule)
        if cut.how == "reset":
            client.reset()
        else:
            client.close()
        raise _Ended

    def _answer(
        self, client: Wire, record: Record, answer: Answer, last: bool = False, wait: bool = True
    ) -> None:
        """Send the proxy's own answer; the ``last`` one says that the connection ends with it."""
        if wait:
            self._pause(self._proxy.latency_seconds)
        fields = {
            "Content-Type": "application/xml",
            "Content-Length": str(len(answer.body)),
            **answer.headers,
        }
        if last:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} Fault", *(f"{name}: {value}" for name, value in fields.items())]
        content = b"" if record.method == "HEAD" else answer.body
        record.status, record.response_bytes = answer.status, len(content)
        client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)

    def _may_follow(self, client: Wire, body: Body) -> bool:
        """Whether the next bytes are a new request.

        When the answer came before the body, the client may send that or not: what comes is then read and
        dropped, as closing with bytes unread would take the answer from the client.
        """
        if not body.finished:
            client.finish()
            while client.some():
                pass
        return body.finished

    def _continue(self, client: Wire, response: Head) -> None:
        self._pause(self._proxy.latency_seconds)
        client.send(response.raw)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with self._proxy._changed:
                if self._proxy._changed.wait_for(lambda: self._aborted, seconds):
                    raise Disconnected("the proxy refuses connections")


class _Pace:
    """Holds one body to the proxy's bandwidth, which may change while it travels."""

    def __init__(self, proxy: FaultProxy, pause: Callable[[float], None]) -> None:
        self._proxy, self._pause = proxy, pause
        self._due = time.monotonic()

    def limit(self) -> int:
        """How many bytes may go next in one piece."""
        rate = self._proxy.bandwidth_bytes_per_second
        return BUFFER_BYTES if rate is None else max(1, min(BUFFER_BYTES, int(rate * PACE_SECONDS)))

    def passed(self, count: int) -> None:
        """Wait until ``count`` more bytes are within the bandwidth."""
        rate = self._proxy.bandwidth_bytes_per_second
        if rate is not None:
            self._due = max(self._due, time.monotonic() - PACE_SECONDS) + count / rate
            self._pause(self._due - time.monotonic())
