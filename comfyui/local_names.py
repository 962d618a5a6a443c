"""Which names of files every system accepts: a key may have any name, and a workflow runs on any system."""

from __future__ import annotations

import re
from collections.abc import Sequence

NAME_MAX_BYTES = 1024  # of folders and file together; Linux takes 4,096 for a whole path, macOS 1,024
SEGMENT_MAX_BYTES = 255 - 50  # of a name on most disks, minus what a download adds to it
# On Windows these are devices, in every folder and with any extension.
# learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_DEVICE = re.compile(
    r"(?i)(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$) *(\.|$)"
)
_INVALID = re.compile(
    '[\\\\:*?"<>|\x00-\x1f\ud800-\udfff]'
)  # a colon also names a drive or a stream on Windows


def is_outside(segments: Sequence[str]) -> bool:
    """Whether a path of these folders and this file may lead out of the folder that it begins in."""
    return any(segment in (".", "..") for segment in segments)


def is_hidden(segments: Sequence[str]) -> bool:
    return any(segment.startswith(".") for segment in segments)


def is_invalid(segments: Sequence[str]) -> bool:
    """Whether some system accepts no file of this path, or of one of its parts."""
    return (
        any(map(_is_invalid, segments)) or len("/".join(segments).encode(errors="replace")) > NAME_MAX_BYTES
    )


def _is_invalid(segment: str) -> bool:
    return bool(
        _INVALID.search(segment)
        or segment[-1] in ". "
        or _DEVICE.match(segment)
        or len(segment.encode(errors="replace")) > SEGMENT_MAX_BYTES
    )
