"""Which files the mirror leaves out, and the keys of the others."""

from __future__ import annotations

import fnmatch
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..comfyui.folders import EARLIER_OUTBOX_FOLDER
from ..storage.keys import clean_key

_UNFINISHED = (".part", ".tmp")
_HASH_CHARACTERS = (8, 16, 64)  # of the checksum that a name gets if its key has other content


@dataclass(frozen=True)
class Names:
    """The names of one folder: ``folder`` is output, input or workflows; ``prefix`` begins each key."""

    folder: str
    prefix: str
    exclude: Sequence[str] = ()

    def leaves_out(self, name: str) -> bool:
        """Return if the file or folder ``name`` below this folder, with "/" between folders, is left out.

        A name that is not Unicode is no key: it is left out too.
        """
        last = name.rpartition("/")[2]
        if last.startswith(".") or last.lower().endswith(_UNFINISHED):
            return True
        if self.folder == "output" and name.casefold() == EARLIER_OUTBOX_FOLDER:
            return True
        if not _is_unicode(last):
            return True
        whole = f"{self.folder}/{name}"
        return any(
            fnmatch.fnmatchcase(whole, pattern) or fnmatch.fnmatchcase(last, pattern)
            for pattern in self.exclude
        )

    def keys(self, name: str, sha256: str, max_bytes: int) -> Iterator[str]:
        """Yield the key of a file, then others to use if that has other content. Raises BadKey."""
        path = PurePosixPath(f"{self.folder}/{unicodedata.normalize('NFC', name)}")
        yield clean_key(f"{self.prefix}{path}", max_bytes)
        for count in _HASH_CHARACTERS:
            other = path.with_name(f"{path.stem}-{sha256[:count]}{path.suffix}")
            yield clean_key(f"{self.prefix}{other}", max_bytes)

    def key(self, name: str) -> str:
        """Return the key that a file is meant to have, to show it."""
        return f"{self.prefix}{self.folder}/{name}"


def _is_unicode(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes of a disk that are not UTF-8
        return False
    return sys.platform == "win32" or "\\" not in name
