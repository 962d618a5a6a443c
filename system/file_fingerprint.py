"""A cheap fingerprint of a file on this machine: its size and modification time, without reading it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fingerprint:
    """The size of a file in bytes and when it was last written, in nanoseconds.

    Two versions of a model usually have the same size and may follow within a second. Some file systems round
    the time later; then ``loading.model_file`` compares the file by its checksum once more.
    """

    size: int
    modified_ns: int

    @staticmethod
    def of(path: Path) -> Fingerprint:
        """Return the fingerprint of a file. Raises OSError."""
        status = path.stat()
        return Fingerprint(status.st_size, status.st_mtime_ns)

    def fits(self, path: Path) -> bool:
        """Return True if ``path`` is a file with this fingerprint."""
        try:
            return Fingerprint.of(path) == self
        except OSError:
            return False


def fingerprint_text(path: Path) -> str:
    """Return the fingerprint of a file for ``IS_CHANGED``; "" if it cannot be read, which the node reports.

    ComfyUI writes the result of IS_CHANGED into images, so it does not contain the path.
    """
    try:
        found = Fingerprint.of(path)
    except OSError:
        return ""
    return f"{found.size} {found.modified_ns}"
