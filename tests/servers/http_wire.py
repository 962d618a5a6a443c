"""HTTP/1.1 framing for a proxy: where a head ends, how long a body is, and its bytes as they arrive.

Bodies are handed out as views of one reused buffer: use a piece, or copy it, before asking for the next.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BUFFER_BYTES = 256 * 1024

# "On, for zero seconds": closing then sends an RST. Windows has two 16-bit fields, everything else two ints.
_LINGER_ZERO = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

HeaderChange = (
    str | None | Callable[[str], str]
)  # a value, None to remove, or what makes the new value of the old


class Disconnected(Exception):
    """The other side ended the connection in the middle of a message, or sent what is no HTTP."""


@dataclass(frozen=True)
class Head:
    """A request's or response's first line and header fields; ``raw`` is exactly what was received."""

    raw: bytes

    @property
    def words(self) -> list[str]:
        """The first line: method, target, version; or version, status, reason."""
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.words[1])

    @property
    def fields(self) -> dict[str, str]:
        """Header fields by lower-case name."""
        lines = self.raw.decode("latin-1").split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines if line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def keeps_alive(self) -> bool:
        """Whether another message may follow on the same connection."""
        connection = self.fields.get("connection", "").lower()
        if b" HTTP/1.0" in self.raw[: self.raw.find(b"\r\n")] or self.raw.startswith(b"HTTP/1.0"):
            return connection == "keep-alive"
        return connection != "close"

    def changed(self, changes: Mapping[str, HeaderChange]) -> Head:
        """This head with some fields set, added or removed; every other byte stays as it was."""
        if not changes:
            return self
        wanted = {name.lower(): change for name, change in changes.items()}
        first, *lines = self.raw[:-4].split(b"\r\n")
        kept = [
            line for line in lines if line.partition(b":")[0].decode("latin-1").strip().lower() not in wanted
        ]
        old = self.fields
        for name, change in changes.items():
            value = change(old.get(name.lower(), "")) if callable(change) else change
            if value is not None:
                kept.append(f"{name}: {value}".encode("latin-1"))
        return Head(b"\r\n".join([first, *kept]) + b"\r\n\r\n")


class Wire:
    """One side of a proxied connection: a blocking socket and what was received but not yet used."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._view = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0

    def pending(self) -> bool:
        """Whether bytes can be had without waiting for the network."""
        return self._end > self._start or (
            isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0
        )

    def arrived(self) -> bool:
        """Whether there is something to read now, be it the end. A readable TLS socket may hold no data at
        all: the session tickets that a server sends after the handshake."""
        if self.pending():
            return True
        self._start = self._end = 0
        self.socket.setblocking(False)
        try:
            self._end = self._receive(self._view)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self.socket.setblocking(True)
        return True

    def some(self, limit: int = BUFFER_BYTES) -> memoryview:
        """Up to ``limit`` bytes, as soon as there are any; none at the end of the connection."""
        if self._start == self._end:
            self._start = self._end = 0
            self._end = self._receive(self._view[: min(limit, BUFFER_BYTES)])
        piece = self._view[self._start : min(self._end, self._start + limit)]
        self._start += len(piece)
        return piece

    def until(self, marker: bytes) -> bytes:
        """Everything up to and with ``marker``. Raises Disconnected; with nothing received, EOFError."""
        searched = self._start
        while True:
            found = bytes(self._view[searched : self._end]).find(marker)
            if found >= 0:
                stop = searched + found + len(marker)
                taken = bytes(self._view[self._start : stop])
                self._start = stop
                return taken
            searched = max(self._start, self._end - len(marker) + 1)
            if self._end == BUFFER_BYTES:  # make room by moving what is there to the front
                waiting = bytes(self._view[self._start : self._end])
                if len(waiting) == BUFFER_BYTES:
                    raise Disconnected("a head or chunk line longer than the buffer")
                self._view[: len(waiting)] = waiting
                searched -= self._start
                self._start, self._end = 0, len(waiting)
            count = self._receive(self._view[self._end :])
            if not count:
                raise (
                    EOFError
                    if self._start == self._end
                    else Disconnected("the connection ended within a line")
                )
            self._end += count

    def head(self) -> Head:
        """The next head. Raises EOFError when the connection ended before it, Disconnected within it."""
        return Head(self.until(b"\r\n\r\n"))

    def send(self, data: bytes | memoryview) -> None:
        """Send everything."""
        self.socket.sendall(data)

    def _receive(self, into: memoryview) -> int:
        try:
            return self.socket.recv_into(into)
        except ssl.SSLEOFError:  # ended without TLS's own farewell: as a plain end
            return 0

    def reset(self) -> None:
        """End the connection with an RST: the other side gets "connection reset by peer"."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.socket.close()

    def close(self) -> None:
        """End the connection with a FIN, as the end of a process does: no farewell under TLS."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()

    def finish(self) -> None:
        """Say in good order that nothing more will come; the connection can still be read."""
        with contextlib.suppress(OSError):
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.setblocking(False)
                with contextlib.suppress(
                    OSError
                ):  # it sends its farewell, and would then wait for the other's
                    self.socket.unwrap()
                self.socket.setblocking(True)
            else:
                self.socket.shutdown(socket.SHUT_WR)


class Body:
    """One message's body, read piece by piece; ``length`` is None where only its end tells."""

    def __init__(self, wire: Wire, head: Head, answers: str = "") -> None:
        """``answers`` is the method of the request that a response belongs to; empty for a request's body."""
        fields = head.fields
        self._wire = wire
        self.chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        self.length: int | None = None
        self.trailer = b"\r\n"  # of a chunked body: trailing fields and the empty line that ends them
        if answers == "HEAD" or (answers and (head.status in (204, 304) or head.status < 200)):
            self.chunked, self.length = False, 0
        elif not self.chunked:
            if "content-length" in fields:
                self.length = int(fields["content-length"])
            elif not answers:
                self.length = 0
        self.ends_with_connection = not self.chunked and self.length is None
        self.finished = self.length == 0
        self._left = self.length or 0  # of the body, or of the current chunk

    def piece(self, limit: int = BUFFER_BYTES) -> memoryview:
        """Up to ``limit`` bytes of content, without chunk framing; none at the end. Raises Disconnected."""
        if self.finished:
            return memoryview(b"")
        if self.chunked and self._left == 0:
            self._left = int(self._line().split(b";")[0], 16)
            if self._left == 0:
                return self._end_of_chunks()
        piece = self._wire.some(limit if self.ends_with_connection else min(limit, self._left))
        if self.ends_with_connection:
            self.finished = not piece
            return piece
        if not piece:
            raise Disconnected(f"the connection ended {self._left} bytes before the body")
        self._left -= len(piece)
        if self.chunked:
            if self._left == 0:
                self._chunk_ends = True
        elif self._left == 0:
            self.finished = True
        return piece

    _chunk_ends = (
        False  # the line break after a chunk's content is read with the next one: a piece must stay valid
    )

    def _line(self) -> bytes:
        try:
            if self._chunk_ends:
                self._wire.until(b"\r\n")
                self._chunk_ends = False
            return self._wire.until(b"\r\n")
        except EOFError as error:
            raise Disconnected("the connection ended between two chunks") from error

    def _end_of_chunks(self) -> memoryview:
        self.trailer = b""
        while not self.trailer.endswith(b"\r\n\r\n") and self.trailer != b"\r\n":
            self.trailer += self._line()
        self.finished = True
        return memoryview(b"")

    def framed(self, piece: memoryview) -> bytes | memoryview:
        """``piece`` as it goes over the wire in this body's framing; for an empty one, what ends the body."""
        if not self.chunked:
            return piece
        if not piece:
            return b"0\r\n" + self.trailer
        return b"%x\r\n%b\r\n" % (len(piece), bytes(piece))

    def skip(self) -> int:
        """Read and drop the rest; returns how many bytes that were."""
        count = 0
        while piece := self.piece():
            count += len(piece)
        return count
