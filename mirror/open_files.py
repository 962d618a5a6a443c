"""Which files a program has open for writing, as far as the system tells.

Linux tells it of all processes of this user, Windows by refusing to share a file, other systems not at all.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Collection
from pathlib import Path

_GENERIC_READ, _SHARE_READ_DELETE, _OPEN_EXISTING = 0x80000000, 0x1 | 0x4, 3
_SHARING_VIOLATION = 32


def written_to(paths: Collection[Path]) -> set[Path]:
    """Return those of ``paths`` that a program has open for writing. Never raises."""
    if not paths:
        return set()
    if sys.platform == "win32":
        return {path for path in paths if _is_shared(path)}
    return _by_proc(paths)


def _by_proc(paths: Collection[Path]) -> set[Path]:
    wanted = {os.path.realpath(path): path for path in paths}
    found: set[Path] = set()
    with contextlib.suppress(OSError):
        for process in os.listdir("/proc"):  # noqa: PTH208
            if process.isdigit():
                found.update(wanted[name] for name in _written_by(process, wanted))
    return found


def _written_by(process: str, wanted: Collection[str]) -> set[str]:
    found: set[str] = set()
    try:
        descriptors = os.listdir(f"/proc/{process}/fd")  # noqa: PTH208
    except OSError:  # it ended, or belongs to somebody else
        return found
    for descriptor in descriptors:
        with contextlib.suppress(OSError, ValueError, IndexError):
            name = os.readlink(f"/proc/{process}/fd/{descriptor}")  # noqa: PTH115
            if name in wanted:
                about = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text()
                flags = int(about.partition("flags:")[2].split()[0], 8)
                if flags & (os.O_WRONLY | os.O_RDWR):
                    found.add(name)
    return found


def _is_shared(path: Path) -> bool:
    """Return if Windows refuses to open a file without others writing to it."""
    windows = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    windows.CreateFileW.restype = ctypes.c_void_p
    handle = windows.CreateFileW(str(path), _GENERIC_READ, _SHARE_READ_DELETE, None, _OPEN_EXISTING, 0, None)
    if handle == ctypes.c_void_p(-1).value:
        return bool(ctypes.get_last_error() == _SHARING_VIOLATION)  # type: ignore[attr-defined,unused-ignore]
    windows.CloseHandle(ctypes.c_void_p(handle))
    return False
