"""A lock file by the system's own calls, as ``filelock`` uses them: for a Python without that package.

The command line runs where only an SDK is installed. Processes with and without ``filelock`` exclude each
other.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class SystemLock:
    """The lock of one file, for one thread. The system releases it when the process ends."""

    def __init__(self, lock_file: str) -> None:
        self.lock_file = lock_file
        self._descriptor = -1

    def acquire(self) -> bool:
        """Take the lock without waiting. Returns False if somebody else holds it.

        Raises OSError: with a file name if the file cannot be made, without one if it cannot be locked.
        """
        while True:
            descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                is_held = _lock(descriptor)
                # Its holder may have removed the file after it was opened here
                is_there = os.name == "nt" or os.fstat(descriptor).st_nlink > 0
            except BaseException:
                os.close(descriptor)
                raise
            if is_held and is_there:
                self._descriptor = descriptor
                return True
            os.close(descriptor)
            if is_there:
                return False

    def release(self) -> None:
        """Release the lock. On Windows this removes the file too, which it cannot do while it is open."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            _unlock(descriptor)
        finally:
            os.close(descriptor)
        if os.name == "nt":
            with contextlib.suppress(OSError):
                Path(self.lock_file).unlink()


if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
