"""Remembers what earlier syncs of a folder and a prefix have moved, so that nothing is read to compare it.

It only saves work: without it, files are compared by their checksums. One line of JSON for each file. A
process that is killed may leave half a line, which is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path

from ..storage.base import ObjectInfo, Storage
from ..system import durable_write
from ..system.file_fingerprint import Fingerprint

REWRITE_LINES = 1000  # beyond twice as many lines as files, the history is written anew


class History:
    """What was the same: the fingerprint of a file, and the ETag of an object. Any thread may use it.

    Errors of the disk are left out: the next sync compares more.
    """

    def __init__(self, state: Path | None, storage: Storage, prefix: str, folder: Path) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, list[object]] = {}
        self._descriptor, self._is_begun = -1, False
        self._path = Path()
        if state is None:
            return
        pair = "\0".join((storage.root, prefix, str(folder.resolve())))
        self._path = state / f"{hashlib.sha256(pair.encode(errors='surrogatepass')).hexdigest()[:32]}.jsonl"
        with contextlib.suppress(OSError):
            state.mkdir(parents=True, exist_ok=True)
            lines = self._read()
            if lines > 2 * len(self._known) + REWRITE_LINES:
                text = "".join(_line(name, entry) for name, entry in self._known.items())
                durable_write.replace(self._path, text.encode())
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self._path, flags, 0o600)

    def _read(self) -> int:
        """Read the file; return how many lines it has."""
        count = 0
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            for line in file:
                count += 1
                with contextlib.suppress(ValueError, TypeError):
                    name, size, modified_ns, etag = json.loads(line)
                    self._known[str(name)] = [size, modified_ns, etag]
        return count

    def has(self, name: str, file: Fingerprint, info: ObjectInfo) -> bool:
        """Whether this file and this object were the same, and neither has changed since."""
        return bool(info.etag) and self._known.get(name) == [file.size, file.modified_ns, info.etag]

    def add(self, name: str, file: Fingerprint, etag: str) -> None:
        """Note that they are the same."""
        entry: list[object] = [file.size, file.modified_ns, etag]
        if not etag or self._known.get(name) == entry:
            return
        with self._lock, contextlib.suppress(OSError):
            self._known[name] = entry
            if self._descriptor >= 0:
                beginning = b"" if self._is_begun else b"\n"  # there may be half a line
                os.write(self._descriptor, beginning + _line(name, entry).encode())
                self._is_begun = True

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _line(name: str, entry: list[object]) -> str:
    return f"{json.dumps([name, *entry])}\n"
