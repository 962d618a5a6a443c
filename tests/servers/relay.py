"""One proxied connection: requests to the server, responses to the client, and the faults on the way.

Counts are raised before the bytes they stand for are sent: what a client has received is counted.
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

from .faults import Answer, Cut, Plan, Rule
from .http_wire import BUFFER_BYTES, Body, Disconnected, Head, Wire

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


class Link:
    """What the connections of one proxy share: where they lead, what breaks them, what they counted."""

    def __init__(
        self,
        upstream: tuple[str, int],
        server_context: ssl.SSLContext | None,
        client_context: ssl.SSLContext | None,
    ) -> None:
        self.latency_seconds = 0.0
        self.bandwidth_bytes_per_second: float | None = None
        self.requests: list[Record] = []
        self.upstream = upstream
        self.server_context, self.client_context = server_context, client_context
        self.changed = threading.Condition()  # guards what follows and wakes who waits for it
        self.rules: list[Rule] = []
        self.releases = 0
        self.connections: set[Connection] = set()

    def begin(self, head: Head) -> tuple[Record, Plan]:
        """Record a request and decide what happens to it."""
        method, target = head.words[0], head.words[1]
        path, _, query = target.partition("?")
        record = Record(method, path, query, head.fields)
        with self.changed:
            self.requests.append(record)
            return record, Plan([rule for rule in self.rules if rule.takes(method, path, query)])


class _Ended(Exception):
    """The connection is over; its client's side is already closed."""


class Connection:
    """A client's connection and its own to the server: request, response, and again, on one thread."""

    def __init__(self, link: Link, accepted: socket.socket) -> None:
        self._link = link
        self._sockets: list[socket.socket] = []
        self._upstream: Wire | None = None
        self._aborted = False
        self.thread = threading.Thread(target=self._serve, args=(accepted,), daemon=True)

    def abort(self) -> None:
        """End the connection from a thread that holds the link's lock; its own then finishes by itself."""
        self._aborted = True
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, accepted: socket.socket) -> None:
        client = None
        try:
            client = self._adopt(accepted, self._link.server_context, server_side=True)
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
            with self._link.changed:
                for each in self._sockets:
                    each.close()
                self._sockets.clear()
                self._link.connections.discard(self)

    def _adopt(
        self,
        connected: socket.socket,
        context: ssl.SSLContext | None,
        server_side: bool = False,
        name: str = "",
    ) -> Wire:
        """Prepare a connected socket, for TLS where there is a context; ``abort`` reaches it from now on."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A fixed, small buffer: otherwise megabytes seem sent that nobody has received, and faults come late.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        if context is not None:
            connected = context.wrap_socket(
                connected,
                server_side=server_side,
                server_hostname=name or None,
                do_handshake_on_connect=False,
            )
        with self._link.changed:
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
            connected.connect(self._link.upstream)
            self._upstream = self._adopt(connected, self._link.client_context, name=self._link.upstream[0])
        return self._upstream

    def _served(self, client: Wire, head: Head) -> bool:
        """Serve one request; whether another may follow on this connection."""
        record, plan = self._link.begin(head)
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
        pace = _Pace(self._link, self._pause)
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
        self._pause(self._link.latency_seconds + plan.delay())
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
        if not whole:  # who knows where the next request would begin
            changes["Connection"] = "close"
        self._pass(client, head.changed(changes).raw, plan)
        pace = _Pace(self._link, self._pause)
        while not body.finished:
            limit = self._until_cut(client, body, record.response_bytes, plan, "response body")
            piece = body.piece(min(limit, pace.limit()))
            plan.flip("response body", record.response_bytes, piece)
            at = record.response_bytes
            record.response_bytes += len(piece)
            self._pass(client, body.framed(piece), plan, at)
            pace.passed(len(piece))
        self._until_cut(client, body, record.response_bytes, plan, "response body")
        if body.ends_with_connection or any(name.lower() == "content-length" for name in changes):
            client.finish()
            raise _Ended

    def _pass(self, client: Wire, data: bytes | memoryview, plan: Plan, at: int = -1) -> None:
        """Send it, byte by byte with a pause behind each where that is planned from byte ``at`` on."""
        pauses = plan.pauses(at)
        for place in range(len(data)):
            seconds = next(pauses, 0.0)
            if not seconds:
                client.send(data[place:])
                return
            client.send(bytes(data[place : place + 1]))
            self._pause(seconds)

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
            with self._link.changed:
                releases = self._link.releases
                plan.mark(rule)
                self._link.changed.wait_for(lambda: self._aborted or self._link.releases > releases)
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
            self._pause(self._link.latency_seconds)
        body = answer.body(record.query) if callable(answer.body) else answer.body
        fields = {
            "Content-Type": "application/xml",
            "Content-Length": str(len(body)),
            **answer.headers,
        }
        if last:
            fields["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} Fault", *(f"{name}: {value}" for name, value in fields.items())]
        content = b"" if record.method == "HEAD" else body
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
        self._pause(self._link.latency_seconds)
        client.send(response.raw)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with self._link.changed:
                if self._link.changed.wait_for(lambda: self._aborted, seconds):
                    raise Disconnected("the proxy refuses connections")


class _Pace:
    """Holds one body to the proxy's bandwidth, which may change while it travels."""

    def __init__(self, link: Link, pause: Callable[[float], None]) -> None:
        self._link, self._pause = link, pause
        self._due = time.monotonic()

    def limit(self) -> int:
        """How many bytes may go next in one piece."""
        rate = self._link.bandwidth_bytes_per_second
        return BUFFER_BYTES if rate is None else max(1, min(BUFFER_BYTES, int(rate * PACE_SECONDS)))

    def passed(self, count: int) -> None:
        """Wait until ``count`` more bytes are within the bandwidth."""
        rate = self._link.bandwidth_bytes_per_second
        if rate is not None:
            self._due = max(self._due, time.monotonic() - PACE_SECONDS) + count / rate
            self._pause(self._due - time.monotonic())
