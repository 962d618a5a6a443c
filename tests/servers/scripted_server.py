"""A server whose answers a test writes, byte by byte, on real connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import BinaryIO


def answered(status: str = "200 OK", body: bytes = b"", **named: str) -> bytes:
    fields = {"Content_Length": str(len(body)), "ETag": '"x"', **named}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


class Server:
    """Answers the requests that it gets, one after another; an answer is bytes, or pieces of them.

    After an answer that ends in None it closes the connection.
    """

    def __init__(self, *answers: bytes | list[bytes | None]) -> None:
        self.answers, self.connections = list(answers), 0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._serve(self._listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        with connection, connection.makefile("rb") as received:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while head := self._head(received):
                lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line]
                named = {name.decode().lower(): value.decode() for name, value in lines}
                body = received.read(int(named.get("content-length", 0)))
                self.requests.append((head.split(b"\r\n")[0].decode(), named, body))
                answer = self.answers.pop(0)
                for piece in answer if isinstance(answer, list) else [answer]:
                    if piece is None:
                        break
                    connection.sendall(piece)
                else:
                    continue
                break
        self.closed.set()

    @staticmethod
    def _head(received: BinaryIO) -> bytes:
        lines = []
        while (line := received.readline()) not in (b"", b"\r\n"):
            lines.append(line)
        return b"".join(lines)

    def close(self) -> None:
        self._listener.close()
