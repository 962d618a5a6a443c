"""By what a file of this machine is known again without reading it: its size and when it was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """By what a file is known again without reading it: its size in bytes and when it was last written.

    To the nanosecond: two versions of a model have the same size as a rule, and may follow within a second.
    Where a file system rounds the time later, the file is compared by its checksum once more, see models.py.
    """

    size: int
    modified_ns: int

    def fits(self, path: Path) -> bool:
        """Whether ``path`` is a file that bears this mark."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified_ns)


def mark_of(path: Path) -> Mark:
    """The mark of a file. Raises OSError."""
    status = path.stat()
    return Mark(status.st_size, status.st_mtime_ns)


def told(path: Path) -> str:
    """The mark of a file in words, for ``IS_CHANGED``, whose answer gets into images: size and time, no path.

    "" where there is no such file: execution will meet and show it.
    """
    try:
        mark = mark_of(path)
    except OSError:
        return ""
    return f"{mark.size} {mark.modified_ns}"
