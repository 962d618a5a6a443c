"""Finds out whether a file and an object have the same content, with few requests and few bytes read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import disk_errors
from ..loading import resumable_download
from ..storage.base import ObjectInfo, Storage
from ..system import digests
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter

MD5_MAX_BYTES = 64 << 20  # servers have an MD5 of what was uploaded in one request; for larger files they
# are asked for the checksums that the upload recorded, which several threads compute
_MD5 = re.compile("[0-9a-f]{32}")
_CHECK_FILE = "Check the file and the disk."


@dataclass
class Comparison:
    """Compares files with objects of one storage. ``known`` has the digests of each file that was read."""

    storage: Storage
    meter: Meter
    known: dict[Path, dict[str, str]] = field(default_factory=dict)

    def is_same(self, path: Path, file: Fingerprint, info: ObjectInfo) -> bool:
        """Whether an object, as a listing or ``stat`` describes it, has the content of the file.

        False as well if the object has no checksum to compare. Raises StorageError.
        """
        if file.size != info.size:
            return False
        if file.size == 0:
            return True
        with disk_errors("compare a file", path, _CHECK_FILE):
            tag = info.etag.lower()
            is_listed = not (info.content_type or info.sha256 or info.md5)  # a listing has none of these
            may_be_md5 = is_listed and file.size <= MD5_MAX_BYTES and _MD5.fullmatch(tag)
            if may_be_md5 and self._digest(path, "md5") == tag:
                return True
            if is_listed:
                info = self.storage.stat(info.key)
                if info.size != file.size:
                    return False
            expected = resumable_download.expected(info)
            return expected is not None and self._digest(path, expected.name) == expected.value

    def _digest(self, path: Path, algorithm: str) -> str:
        known = self.known.setdefault(path, {})
        if algorithm not in known:
            known[algorithm] = digests.file_digest(path, algorithm, self.meter)
        return known[algorithm]
