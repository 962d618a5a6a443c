"""Deletes files of the output folder that the bucket provably has, if the settings ask for that."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from ..errors import StorageError
from ..storage.base import Storage
from ..system import digests, utc_clock
from ..system.meter import Meter
from . import open_files
from .journal import Row
from .mirrored_folder import ELSEWHERE, MirroredFolder
from .sender import Target

DAY_SECONDS = 24 * 3600
FOLDER = "output"  # a workflow or an input file is missed where it was; an output was made to be kept

log = logging.getLogger("cloud_storage")


def remove(
    folder: MirroredFolder,
    storage: Storage,
    days: float,
    all_folders: Iterable[MirroredFolder],
    meter: Meter,
) -> int:
    """Delete what was stored more than ``days`` ago. Returns how many files.

    Just before, the bucket is asked for each object, and the file is read: only one whose content is there
    is deleted. Those of ``all_folders`` that are the same folder, for other buckets, must have stored it too.
    Raises StorageError, ``sqlite3.Error``.
    """
    if folder.names.folder != FOLDER or not days or not folder.has_looked or folder.note == ELSEWHERE:
        return 0
    target, count = folder.target, 0
    others = [each for each in all_folders if each.root == folder.root and each is not folder]
    before = utc_clock.now().timestamp() - days * DAY_SECONDS
    for row in target.journal.stored_before(target.number, before):
        meter.check()
        are_all = all(each.has_stored(row.name, row.file) for each in others)
        if are_all and _is_proven(target, storage, row, meter):
            try:
                os.unlink(target.root / row.name)  # noqa: PTH108
            except OSError:
                continue
            target.journal.set_gone(target.number, [row.name], gone=True)
            count += 1
    if count:
        log.info("The mirror has deleted %d local files, which are in the bucket.", count)
    return count


def _is_proven(target: Target, storage: Storage, row: Row, meter: Meter) -> bool:
    path = target.root / row.name
    try:
        if path.is_symlink() or not row.file.fits(path) or open_files.written_to([path]):
            return False
        if digests.file_sha256(path, meter) != row.sha256:
            return False
        info = storage.stat(row.key)
        is_same = (info.size, info.etag) == (row.file.size, row.etag) and info.sha256 in ("", row.sha256)
        return is_same and row.file.fits(path)
    except FileNotFoundError:  # the file, or the object (``NotFound`` is one)
        return False
    except StorageError:
        raise
    except OSError:
        return False
