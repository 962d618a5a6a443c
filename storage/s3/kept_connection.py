"""HTTP/1.1 on a connection of botocore's pool: one request and its answer, as bytes.

http.client, urllib3 and botocore take a millisecond of the processor for each request, and parse the headers
of an answer as those of an e-mail: benchmarks/throughput.py. Here a request is one string, and the headers of
an answer are lines with a colon. The connection, its TLS and its limits are those of ``connection_watch``.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from .. import answers, connection_watch
from ..base import READ_SECONDS
from ..multipart import Slice

_BUFFER_BYTES = 64 << 10  # the headers of an answer, and the beginning of its body
_END = b"\r\n\r\n"


class KeptConnection:
    """One connection, taken out of its pool, for one request at a time. Raises what botocore raises."""

    def __init__(self, pool: Any, connection: Any, address: str) -> None:  # noqa: ANN401
        self._pool, self._connection, self._address = pool, connection, address
        self._socket = connection.sock
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._stop = 0  # of what has been received and not been read

    def send(self, request: str, fields: Mapping[str, str], body: Slice | None) -> tuple[int, dict[str, str]]:
        """Send a request: method and path, headers, body. Return the status and the headers of the answer, by
        lower-case names.
        """
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            if not lines.count("\r") == lines.count("\n") == len(fields):
                raise ValueError("a header has a line break")  # noqa: TRY301
            self._send(f"{request} HTTP/1.1\r\n{lines}\r\n".encode(), body)
            self._socket.settimeout(READ_SECONDS)
            status, headers = self._receive_headers()
            while status // 100 == 1:  # as "100 Continue"
                status, headers = self._next_headers()
        except BaseException as error:  # noqa: BLE001  raised again by its name
            self.close()
            reraise(error, self._address)
        return status, headers

    def _send(self, head: bytes, body: Slice | None) -> None:
        try:
            # one packet where that is enough
            self._socket.sendall(
                head + body.read() if body is not None and len(body) < _BUFFER_BYTES else head
            )
            if body is not None and self._socket.sends_files:
                body.send_file(self._socket.send_file)
            while body is not None and (block := body.read(_BUFFER_BYTES)):
                self._socket.sendall(block)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a server that refuses a request answers before it has all of it

    def _receive_headers(self) -> tuple[int, dict[str, str]]:
        self._socket.begin_answer()
        self._start = self._stop = 0
        return self._next_headers()

    def _next_headers(self) -> tuple[int, dict[str, str]]:
        searched = self._start
        while (end := self._find_end(searched)) < 0:
            searched = max(self._start, self._stop - len(_END))
            if self._stop == _BUFFER_BYTES:
                raise connection_watch.TooLong(connection_watch.TOO_LONG)
            count = self._socket.receive(self._buffer[self._stop :])
            if not count:
                raise http.client.RemoteDisconnected("the connection ended within the headers of an answer")
            self._stop += count
        lines = str(self._buffer[self._start : end], "latin-1").split("\r\n")
        self._start = end + len(_END)
        version, _, rest = lines[0].partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise http.client.BadStatusLine("the answer is not one of HTTP/1.1")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise http.client.HTTPException("the answer has a header that is none")
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if version == "HTTP/1.0":
            headers.setdefault("connection", "close")
        return int(rest[:3]), headers

    def _find_end(self, start: int) -> int:
        return self._buffer.obj.find(_END, start, self._stop)  # type: ignore[attr-defined, no-any-return]

    def body(self, headers: Mapping[str, str]) -> Body:
        """Return the body of a successful answer; the connection goes back to its pool after it."""
        return Body(self, headers)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive bytes of a body, first those that came with the headers. Returns 0 at the end."""
        count = min(self._stop - self._start, len(buffer))
        if not count:
            return int(self._socket.receive(buffer))
        buffer[:count] = self._buffer[self._start : self._start + count]
        self._start += count
        return count

    def error_document(self, status: int, headers: Mapping[str, str], method: str) -> bytes:
        """Return the body of an answer that refuses, up to a limit; the connection goes back after it."""
        response = http.client.HTTPResponse(_Replay(self, status, headers), method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            document = answers.error_document(_Stream(response))
        except BaseException as error:  # noqa: BLE001  raised again by its name
            self.close()
            reraise(error, self._address)
        if response.isclosed() and not response.will_close and self._start == self._stop:
            self.keep(headers)
        else:
            self.close()
        return document

    def keep(self, headers: Mapping[str, str]) -> None:
        """Put the connection back into its pool, after the whole answer with these headers."""
        if headers.get("connection", "").lower() == "close":
            self._connection.close()
        self._pool._put_conn(self._connection)

    def close(self) -> None:
        """Close the connection: nobody knows what will arrive on it."""
        self._connection.close()
        self._pool._put_conn(self._connection)


class Body:
    """The body of an answer, as botocore's StreamingBody."""

    def __init__(self, kept: KeptConnection, headers: Mapping[str, str]) -> None:
        self._kept: KeptConnection | None = kept
        self._headers = headers
        length = headers.get("content-length", "")
        self._length = self._left = int(length) if length.isdigit() else 0
        if not self._left:
            self._kept = None
            if length:
                kept.keep(headers)
            else:  # nobody knows where it ends
                kept.close()

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end. Raises what botocore raises."""
        size = min(size, self._left)
        if not size or self._kept is None:
            return b""
        data = bytearray(size)
        view, received = memoryview(data), 0
        kept = self._kept
        try:
            while received < size:
                count = kept.receive_into(view[received:])
                if not count:
                    raise self._incomplete(received)  # noqa: TRY301
                received += count
        except BaseException as error:  # noqa: BLE001  raised again by its name
            self.close()
            reraise(error, "", reading=True)
        self._left -= received
        if not self._left:
            self._kept = None
            kept.keep(self._headers)
        return data  # type: ignore[return-value]  # a copy as bytes would cost as much as receiving them

    def _incomplete(self, received: int) -> Exception:
        from botocore.exceptions import IncompleteReadError

        done = self._length - self._left + received
        error: Exception = IncompleteReadError(actual_bytes=done, expected_bytes=self._length)
        return error

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def reraise(error: BaseException, address: str, *, reading: bool = False) -> NoReturn:
    """Raise what botocore raises where the network fails in this way; any other error as it is."""
    from botocore import exceptions

    if isinstance(error, TimeoutError):
        raise exceptions.ReadTimeoutError(endpoint_url=address, error=error) from error
    if isinstance(error, (OSError, http.client.HTTPException)):
        if reading:
            raise exceptions.ResponseStreamingError(error=error) from error
        raise exceptions.ConnectionClosedError(endpoint_url=address, error=error) from error
    raise error


def take(pool: Any, address: str) -> KeptConnection | None:  # noqa: ANN401
    """Take a connection out of a pool of urllib3, and open it where it is closed; None if that fails.

    Raises what botocore raises when the server does not answer in time.
    """
    from botocore.exceptions import ConnectTimeoutError
    from urllib3 import exceptions

    try:
        connection = pool._get_conn()
    except exceptions.HTTPError:  # the pool is closed
        return None
    try:
        if connection.sock is None:
            connection.connect()
    except BaseException as error:
        connection.close()
        pool._put_conn(connection)
        if isinstance(error, (OSError, exceptions.NewConnectionError, exceptions.SSLError)):
            return None  # botocore says what it is, if it fails again
        if isinstance(error, exceptions.ConnectTimeoutError):
            raise ConnectTimeoutError(endpoint_url=address, error=error) from error
        raise
    return KeptConnection(pool, connection, address)


class _Replay:
    """An answer whose headers have been read, as the socket that http.client reads an answer from."""

    def __init__(self, kept: KeptConnection, status: int, headers: Mapping[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = io.BytesIO(f"HTTP/1.1 {status} \r\n{lines}\r\n".encode("latin-1"))
        self._kept = kept

    def makefile(self, *_: object) -> io.BufferedReader:
        head, kept = self._head, self._kept

        class Raw(io.RawIOBase):
            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:  # noqa: ANN401
                return head.readinto(buffer) or kept.receive_into(memoryview(buffer))

        return io.BufferedReader(Raw())


class _Stream:
    """An answer of http.client with the methods of urllib3's that ``answers`` calls."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response, self.close = response, response.close

    def stream(self, size: int, **_: object) -> Iterator[bytes]:
        while block := self._response.read(size):
            yield block
