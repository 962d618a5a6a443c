"""What a command writes: lines for people, or one JSON object a line for programs; and its progress.

Lines for people are on standard output, errors and progress on standard error. Programs get everything on
standard output. Docs: docs/command-line.md, docs/command-line.schema.json. Names and meanings of fields never
change; a new field or event may be added.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..comfyui.amounts import Rate, in_bytes
from ..comfyui.cloud_files import FETCHED, SKIPPED, STORED, UNCHANGED
from ..errors import scrub
from ..storage.base import ObjectInfo, Storage
from ..syncing.plan import DELETED, FAILED, LEFT_OUT, TO_DELETE, TO_FETCH, TO_STORE, Result
from ..system.meter import Meter

PROGRESS_SECONDS = 1.0  # between two objects of JSON about the progress
PLAIN_PROGRESS_SECONDS = 30.0  # between two lines of text, where there is no terminal

# What a line for people begins with; "" shows none: there may be many, and the last line counts them
_VERBS = {
    STORED: "uploaded",
    FETCHED: "downloaded",
    DELETED: "deleted",
    SKIPPED: "",
    UNCHANGED: "",
    TO_STORE: "would upload",
    TO_FETCH: "would download",
    TO_DELETE: "would delete",
    LEFT_OUT: "left out",
}
# Control characters, lone surrogates, and characters that change the direction of writing: keys and names may
# have any, and some steer a terminal
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# The messages of this package speak of its nodes
_WORDS = (
    (re.compile(r"\bRun the node again\b"), "Run the command again"),
    (re.compile(r"\brun the node again\b"), "run the command again"),
    (re.compile(r" and start ComfyUI again\b"), ""),
    (re.compile(r"\bwith ComfyUI's Python\b"), "with the Python that runs this"),
    (re.compile(r", or set force_redownload to replace it"), ""),
    (re.compile(r"\bset if_exists to `new name`"), "use --overwrite"),
    (
        re.compile(r" Choose one in a Cloud Storage Profile node, or write"),
        " Choose one with --profile, or write",
    ),
    (re.compile(r" in Cloud Storage Profile\b"), " with --profile"),
)


def printable(text: str) -> str:
    """Return ``text`` on one line, with escapes for what a terminal would not show as it is."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def in_own_words(text: str) -> str:
    """Return a message of this package as the command line says it."""
    for pattern, instead in _WORDS:
        text = pattern.sub(instead, text)
    return text


class Console:
    """Where one command writes. Any thread may call it; only ``progress`` is for one thread."""

    def __init__(self, *, is_json: bool = False, is_quiet: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        self.is_json, self.is_quiet = is_json, is_quiet
        self.failed = 0
        self._lock = threading.Lock()
        self._bar: Any = None
        self._rate, self._drawn_at = Rate(), time.monotonic()
        self._status = ""
        handler = _LogLines(self)
        log = logging.getLogger("cloud_storage")
        log.handlers, log.propagate = [handler], False

    # ------------------------------------------------------------ lines

    def line(self, text: str) -> None:
        """Write a line for people; not if they asked for quiet."""
        if not (self.is_json or self.is_quiet):
            self._write(printable(text), sys.stdout)

    def answer(self, text: str) -> None:
        """Write a line that was asked for, also if they asked for quiet."""
        if not self.is_json:
            self._write(printable(text), sys.stdout)

    def event(self, event: str, **fields: object) -> None:
        """Write an object for programs; empty fields are left out."""
        if self.is_json:
            known = {name: value for name, value in fields.items() if value not in (None, "", [])}
            self._write(json.dumps({"event": event, **known}), sys.stdout)

    def error(self, text: str, kind: str = "Error") -> None:
        """Write a sentence on what failed."""
        text = printable(in_own_words(scrub(text)))
        if self.is_json:
            self.event("error", error=kind, message=text)
        else:
            self._write(f"Error: {text}", sys.stderr)

    def warning(self, text: str) -> None:
        """Write a sentence that is no failure."""
        text = printable(in_own_words(scrub(text)))
        if self.is_json:
            self.event("warning", message=text)
        elif not self.is_quiet:
            self._write(f"Warning: {text}", sys.stderr)

    def status(self, text: str) -> None:
        """Note what is being done, for the progress bar."""
        self._status = printable(text)

    def file(self, result: Result, storage: Storage | None = None, profile: str = "") -> None:
        """Write what became of a file."""
        name = result.key if result.status in (STORED, TO_STORE, SKIPPED) else str(result.path)
        message = in_own_words(result.error)
        if result.status == FAILED:
            self.failed += 1
        if self.is_json:
            info = result.info or ObjectInfo(result.key, result.size, "")
            self.event(
                "file",
                status=result.status.replace(" ", "_"),
                key=result.key,
                path=str(result.path),
                bucket=storage.bucket if storage else "",
                size=None if result.status == FAILED else result.size,
                etag=info.etag,
                sha256=info.sha256,
                profile=profile,
                message=printable(message),
            )
        elif result.status == FAILED:
            self._write(f"Error: {printable(message)}", sys.stderr)
        elif result.status == LEFT_OUT:
            self.line(f"left out {name}: {message}")
        elif verb := _VERBS[result.status]:
            size = "" if result.status in (DELETED, TO_DELETE) else f" ({in_bytes(result.size)})"
            if result.status in (DELETED, TO_DELETE):
                name = result.name
            self.line(f"{verb} {name}{size}")

    def _write(self, text: str, stream: Any) -> None:  # noqa: ANN401
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            print(text, file=stream, flush=True)
            if self._bar is not None:
                self._bar.refresh()

    # ------------------------------------------------------------ progress

    def progress(self, meter: Meter) -> None:
        """Draw how far a transfer is. The caller calls this now and then."""
        done, total = meter.done, meter.total
        now = time.monotonic()
        self._rate.note(now, done)
        if self.is_json:
            if now - self._drawn_at >= PROGRESS_SECONDS and total:
                self._drawn_at = now
                self.event("progress", done=done, total=total)
        elif self.is_quiet or not total:
            return
        elif sys.stderr.isatty():
            self._draw(done, total)
        elif now - self._drawn_at >= PLAIN_PROGRESS_SECONDS:
            self._drawn_at = now
            rest = self._rate.words(total)
            self._write(f"{in_bytes(done)} of {in_bytes(total)}{rest}", sys.stderr)

    def _draw(self, done: int, total: int) -> None:
        with self._lock:
            if self._bar is None:
                try:
                    from tqdm import tqdm
                except ImportError:
                    return
                self._bar = tqdm(
                    total=total, unit="B", unit_scale=True, dynamic_ncols=True, leave=False, file=sys.stderr
                )
            self._bar.total = total
            self._bar.set_description_str(self._status, refresh=False)
            self._bar.update(done - self._bar.n)
            self._bar.refresh()

    def close(self) -> None:
        """Remove the progress bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.close()
                self._bar = None


class _LogLines(logging.Handler):
    """Shows the warnings of the package's log."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.warning(record.getMessage())


def counts(results: Iterable[Result]) -> Mapping[str, int]:
    """Return how many results have each status, by its name in JSON."""
    found: dict[str, int] = {}
    for result in results:
        name = result.status.replace(" ", "_")
        found[name] = found.get(name, 0) + 1
    return found
