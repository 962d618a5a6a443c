"""The table of faults: what is done to the line, and what must hold for each kind of operation.

``tests/faults/test_faults.py`` makes every cell happen, ``README.md`` shows it. A new operation is one row of
OPERATIONS there; what holds for it is what holds for its direction, unless it stands in ``exceptions`` here.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cloud_storage.comfyui import folders
from servers.faults import Action, Answer, Cut, Drip, Fault, Flip, Headers, listing, s3_error

Direction = Literal["up", "down", "list"]

# Outcomes, as the README calls them
STORED, LOADED, LISTED = "stored", "loaded", "listed"  # the right result, once, as if nothing had been
KEPT = "kept"  # a clear error; the file is in the outbox, and stored by Retry Pending Uploads afterwards
ERROR = "error"  # a clear error and no half file; the same again works afterwards


@dataclass(frozen=True)
class Request:
    """The request that carries an operation's bytes, known by what its path and query contain, and which byte
    of them is flipped to corrupt them.

    ``keeps`` is false for uploads of files that lie on the disk anyway: the outbox keeps nothing of them.
    """

    direction: Direction
    method: str
    query: str = ""
    path: str = ""
    flip_at: int = 1000
    keeps: bool = True


@dataclass(frozen=True)
class Line:
    """What stands between ComfyUI and a server: a proxy, and the means to restart the server behind it."""

    proxy: Any
    restart: Callable[[], None]


@dataclass(frozen=True)
class Row:
    """One fault: how it is brought about, and what must hold, by direction. ``hasty`` is for faults that are
    noticed by silence or slowness: the time-outs are short then. ``patient`` is for those that last a moment:
    the pauses between attempts last as long then. ``of_listings`` is for faults that only a listing
    meets: an operation without one does not notice.
    """

    begin: Callable[[Line, Request], Any]
    up: str
    down: str
    listing: str
    hasty: bool = False
    patient: bool = False
    of_listings: bool = False
    exceptions: Mapping[str, str] = field(default_factory=dict)

    def outcome(self, operation: str, request: Request) -> str:
        """What must hold for an operation of this name and request."""
        by_direction = {"up": self.up, "down": self.down, "list": self.listing}[request.direction]
        outcome = self.exceptions.get(operation, by_direction)
        return ERROR if outcome == KEPT and not request.keeps else outcome


def _on(request: Request, action: Action, times: int | None = 1, skip: int = 0) -> Fault:
    return Fault(action, request.method, request.path, request.query, skip, times)


def _body(at: float, how: str, times: int | None = 1) -> Callable[[Line, Request], Any]:
    """The bytes break off after a share of them, with the side that sends them gone or silent."""

    def begin(line: Line, request: Request) -> Any:
        where = "request body" if request.direction == "up" else "response body"
        return line.proxy.add(_on(request, Cut(where, at, how), times))

    return begin


def _answer(status: int, code: str, times: int | None) -> Callable[[Line, Request], Any]:
    def begin(line: Line, request: Request) -> Any:
        return line.proxy.add(_on(request, Answer(status, s3_error(code)), times))

    return begin


def _flip(line: Line, request: Request) -> Any:
    where = "request body" if request.direction == "up" else "response body"
    return line.proxy.add(_on(request, Flip(request.flip_at, where=where)))


def _expire(line: Line, request: Request) -> Any:
    """The token ends between the first request of the operation and the rest."""
    return line.proxy.add(Fault(Answer(403, s3_error("ExpiredToken")), skip=1, times=None))


def _length(line: Line, request: Request) -> Any:
    """An answer claims to be longer than it is, and then the connection ends."""
    longer = {"Content-Length": lambda old: str(int(old or 0) + 100)}
    return line.proxy.add(_on(request, Headers(response=longer)))


def _refuse(line: Line, request: Request) -> None:
    line.proxy.refuse()


def _slow(line: Line, request: Request) -> None:
    line.proxy.bandwidth_bytes_per_second = 50_000


def _restart(line: Line, request: Request) -> Any:
    """The server dies at half of the bytes, and is back before the client tries again."""
    rule = _body(0.5, "silence")(line, request)

    def when_reached() -> None:
        rule.wait()
        line.proxy.refuse()
        line.restart()
        line.proxy.resume()

    rule.helper = when_reached
    return rule


PAGE = b"<!doctype html><html><body>Please log in<p></body></html>"


def _false_yes(line: Line, request: Request) -> Any:
    """A write is answered with success and an error in the body, a read with a page to log in at."""
    body = s3_error("InternalError") if request.direction == "up" else PAGE
    return line.proxy.add(_on(request, Answer(200, body), None))


def _byte_by_byte(times: int | None) -> Callable[[Line, Request], Any]:
    def begin(line: Line, request: Request) -> Any:
        return line.proxy.add(_on(request, Drip(0.02), times))

    return begin


def _listing(same_token: bool) -> Callable[[Line, Request], Any]:
    """Each answer to a listing names a further one: by a token of its own and no key, or always the same."""

    def begin(line: Line, request: Request) -> Any:
        numbers = itertools.count()

        def answer(query: str) -> bytes:
            number = next(numbers)
            names = [f"{number:06d}.png"] if same_token else []
            return listing(query, names, "again" if same_token else f"token-{number}")

        return line.proxy.add(Fault(Answer(200, answer), "GET", query="list-type=2", times=None))

    return begin


def _kill(line: Line, request: Request) -> Any:
    """Another process of this machine, with the same settings, is killed while it uploads in parts."""
    half = line.proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", query="uploadId"))
    program = Path(__file__).with_name("killed_upload.py")
    process = subprocess.Popen([sys.executable, str(program), str(folders.profiles_file()), "killed.bin"])
    half.wait(60)
    process.kill()
    process.wait()
    line.proxy.release()
    return half


_LISTS = {"load folder": ERROR, "folder down": ERROR}

TABLE: Mapping[str, Row] = {
    "connection refused": Row(_refuse, KEPT, ERROR, ERROR),
    "reset at 0 %": Row(_body(0.0, "reset"), STORED, LOADED, LISTED),
    "reset at 50 %": Row(_body(0.5, "reset"), STORED, LOADED, LISTED),
    "reset at 99 %": Row(_body(0.99, "reset"), STORED, LOADED, LISTED),
    "reset every time": Row(_body(0.5, "reset", None), KEPT, ERROR, ERROR),
    "stalled once": Row(_body(0.5, "silence"), STORED, LOADED, LISTED, hasty=True),
    "stalled for good": Row(_body(0.5, "silence", None), KEPT, ERROR, ERROR, hasty=True),
    "slow, 50 kB/s": Row(_slow, STORED, LOADED, LISTED),
    "truncated body": Row(_body(0.5, "close"), STORED, LOADED, LISTED),
    "corrupted body": Row(_flip, STORED, ERROR, LISTED),
    "500 once": Row(_answer(500, "InternalError", 1), STORED, LOADED, LISTED),
    "500 for good": Row(_answer(500, "InternalError", None), KEPT, ERROR, ERROR),
    "503 burst": Row(_answer(503, "SlowDown", 5), STORED, LOADED, LISTED),
    "503 for good": Row(_answer(503, "SlowDown", None), KEPT, ERROR, ERROR),
    "403 mid-way, expired token": Row(_expire, KEPT, ERROR, ERROR),
    "wrong content length": Row(_length, STORED, ERROR, LISTED),
    "endless listing": Row(_listing(False), KEPT, LOADED, ERROR, of_listings=True, exceptions=_LISTS),
    "repeated token": Row(_listing(True), KEPT, LOADED, ERROR, of_listings=True, exceptions=_LISTS),
    "false 200": Row(_false_yes, KEPT, ERROR, ERROR),
    "byte by byte once": Row(_byte_by_byte(1), STORED, LOADED, LISTED, hasty=True),
    "byte by byte": Row(_byte_by_byte(None), KEPT, ERROR, ERROR, hasty=True),
    "kill in a multipart upload": Row(_kill, STORED, LOADED, LISTED),
    "server restarted": Row(_restart, STORED, LOADED, LISTED, patient=True),
}
