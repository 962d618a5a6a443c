"""What a sync of one direction has to move: the listing of both sides, compared. Nothing is moved here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from ..comfyui.amounts import in_bytes, several
from ..comfyui.cloud_files import FETCHED, SKIPPED, STORED, UNCHANGED
from ..errors import AlreadyExists, ConfigurationError, NotFound, StorageError, disk_errors, sentence
from ..storage import keys
from ..storage.base import ObjectInfo, Storage
from ..system import thread_pool
from ..system.file_fingerprint import Fingerprint
from ..system.meter import Meter
from . import local_files
from .comparison import Comparison
from .history import History

TO_STORE, TO_FETCH, TO_DELETE, DELETED = "to store", "to fetch", "to delete", "deleted"
LEFT_OUT, FAILED = "left out", "failed"
MOVED = (STORED, FETCHED)
COMPARE_THREADS = 8  # each reads a file, or waits for the answer to one request
_CHECK_FOLDER = "Check the folder and its permissions."


@dataclass(frozen=True)
class Options:
    """How to sync.

    ``delete`` removes from the target what the source lacks. Without ``overwrite`` a target with other
    content fails. ``pattern`` selects files by the name below the folder, or by their own name. ``refuse``
    returns why a name may not be written into the folder, "" if it may. ``state`` is the folder of the
    histories; None: nothing is remembered.
    """

    delete: bool = False
    overwrite: bool = True
    pattern: str = ""
    refuse: Callable[[str], str] = lambda name: ""
    state: Path | None = None

    def selects(self, name: str) -> bool:
        if not self.pattern:
            return True
        return fnmatchcase(name, self.pattern) or fnmatchcase(name.rpartition("/")[2], self.pattern)


@dataclass(frozen=True)
class Result:
    """One file: ``name`` is the part of key and path that both have. ``size`` is in bytes.

    ``status`` is one of ``cloud_files``, DELETED, LEFT_OUT or FAILED, in a plan also TO_STORE, TO_FETCH or
    TO_DELETE.
    ``error`` is the sentence for the user on one that failed or is left out.
    """

    name: str
    status: str
    path: Path
    key: str
    size: int = 0
    info: ObjectInfo | None = None
    error: str = ""


@dataclass(frozen=True)
class Transfer:
    """One file to move. ``file`` is what a local one was like, None if there is none; ``info`` is the object,
    None if there is none. ``digests`` are those of the file, by their algorithm, as far as they are known.
    """

    name: str
    path: Path
    key: str
    file: Fingerprint | None
    info: ObjectInfo | None
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """The work of one sync. ``is_upload``: from the folder to the bucket."""

    storage: Storage
    is_upload: bool
    folder: Path
    prefix: str
    options: Options
    transfers: tuple[Transfer, ...] = ()
    unchanged: tuple[Result, ...] = ()
    refused: tuple[Result, ...] = ()  # FAILED or LEFT_OUT
    deletions: tuple[Result, ...] = ()  # TO_DELETE

    def size(self, transfer: Transfer) -> int:
        source = transfer.file if self.is_upload else transfer.info
        return source.size if source else 0

    @property
    def bytes(self) -> int:
        """How many bytes are to be moved."""
        return sum(map(self.size, self.transfers))

    def results(self) -> list[Result]:
        """Every file of the plan, by its name: what a dry run shows."""
        status = TO_STORE if self.is_upload else TO_FETCH
        planned = [
            Result(one.name, status, one.path, one.key, self.size(one), None if self.is_upload else one.info)
            for one in self.transfers
        ]
        return by_name([*planned, *self.unchanged, *self.refused, *self.deletions])

    def words(self) -> str:
        """A sentence on what would be done."""
        return words(self.results())


def by_name(results: Iterable[Result]) -> list[Result]:
    return sorted(results, key=lambda result: result.name)


_WORDS = (  # of a status: singular, plural; the size is added where bytes move
    (STORED, "{} file uploaded", "{} files uploaded", True),
    (FETCHED, "{} file downloaded", "{} files downloaded", True),
    (TO_STORE, "{} file to upload", "{} files to upload", True),
    (TO_FETCH, "{} file to download", "{} files to download", True),
    (SKIPPED, "{} there already", "{} there already", False),
    (UNCHANGED, "{} unchanged", "{} unchanged", False),
    (DELETED, "{} deleted", "{} deleted", False),
    (TO_DELETE, "{} to delete", "{} to delete", False),
    (LEFT_OUT, "{} left out", "{} left out", False),
    (FAILED, "{} failed", "{} failed", False),
)


def words(results: Iterable[Result]) -> str:
    """Count results in a sentence: "3 files uploaded (1.2 MB), 1 deleted."."""
    found = list(results)
    parts = []
    for status, one, many, has_size in _WORDS:
        those = [result for result in found if result.status == status]
        if those:
            size = f" ({in_bytes(sum(result.size for result in those))})" if has_size else ""
            parts.append(f"{several(len(those), one, many)}{size}")
    return f"{', '.join(parts)}." if parts else "There is nothing to do: no files."


# ------------------------------------------------------------ both directions


def folder_of_keys(prefix: str) -> str:
    """Return ``prefix`` as that of a folder: "" or "a/b/"."""
    prefix = prefix.lstrip("/")
    return f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""


def upload(
    folder: Path, storage: Storage, prefix: str, options: Options, meter: Meter, say: Callable[[str], object]
) -> Plan:
    """Compare a folder with what is below ``prefix``, to make the latter like the former.

    Raises ConfigurationError if ``options.delete`` is set and the folder has no file, NotFound if there is
    no folder, and what ``Storage.list`` does.
    """
    prefix = folder_of_keys(prefix)
    say(f"Looking for files in {folder.name or folder}")
    with disk_errors("read the folder", folder, _CHECK_FOLDER):
        if not folder.is_dir():
            raise NotFound(sentence("read the folder", str(folder), "there is none", "Check its path."))
        local = local_files.found(folder, meter)
    names = {name: file for name, file in local.files.items() if options.selects(name)}
    _refuse_empty(options, not names, str(folder))
    plan = Plan(storage, True, folder, prefix, options)
    refused = [_refusal(plan, name, f"It cannot be read: {why}.") for name, why in local.unreadable.items()]
    refused += [
        replace(_refusal(plan, name, f"It is left out: {why}."), status=LEFT_OUT)
        for name, why in local.left_out.items()
        if options.selects(name)
    ]
    for name in list(names):
        if why := _unfit_key(storage, f"{prefix}{name}"):
            refused.append(_refusal(plan, name, why))
            del names[name]
    say("Listing the bucket")
    objects = _objects(storage, prefix, options, meter)
    pairs = [(name, names[name], objects.get(name)) for name in sorted(names)]
    gone = [name for name in objects if name not in local.files and not local.hides(name)]
    deletions = [_deletion(plan, name, objects[name].size) for name in gone] if options.delete else []
    return _completed(plan, pairs, refused, deletions, meter, say)


def download(
    storage: Storage, prefix: str, folder: Path, options: Options, meter: Meter, say: Callable[[str], object]
) -> Plan:
    """Compare what is below ``prefix`` with a folder, to make the latter like the former.

    Raises ConfigurationError if ``options.delete`` is set and there is no object, and what ``Storage.list``
    does.
    """
    prefix = folder_of_keys(prefix)
    say("Listing the bucket")
    objects = _objects(storage, prefix, options, meter)
    _refuse_empty(options, not objects, f"{storage.place}, below {prefix!r}")
    local = local_files.LocalFiles()
    with disk_errors("read the folder", folder, _CHECK_FOLDER):
        if folder.exists():
            local = local_files.found(folder, meter)
            local.sweep()
    plan = Plan(storage, False, folder, prefix, options)
    clashes = local_files.clashing(iter(sorted(objects)))
    refused, pairs = [], []
    for name in sorted(objects):
        if why := local_files.refused(name) or clashes.get(name) or options.refuse(name):
            refused.append(_refusal(plan, name, f"It cannot be a file here: {why}.", objects[name]))
        else:
            pairs.append((name, local.files.get(name), objects[name]))
    gone = [name for name in local.files if name not in objects and options.selects(name)]
    deletions = [_deletion(plan, name, local.files[name].size) for name in gone] if options.delete else []
    return _completed(plan, pairs, refused, deletions, meter, say)


def one_upload(path: Path, storage: Storage, key: str, options: Options, meter: Meter) -> Plan:
    """Compare one file with the object ``key``. Raises NotFound if there is no file, and StorageError."""
    plan = Plan(storage, True, path.parent, key.removesuffix(path.name), options)
    with disk_errors("read what to upload", path, "Check its path."):
        file = Fingerprint.of(path)
    if why := _unfit_key(storage, key):
        return replace(plan, refused=(Result(path.name, FAILED, path, key, error=why),))
    try:
        info = storage.stat(key)
    except NotFound:
        info = None
    return _of_one(plan, path, key, file, info, meter)


def one_download(storage: Storage, info: ObjectInfo, path: Path, options: Options, meter: Meter) -> Plan:
    """Compare one object, as ``stat`` describes it, with the file ``path``. Raises StorageError."""
    plan = Plan(storage, False, path.parent, info.key.rpartition("/")[0], options)
    try:
        file = Fingerprint.of(path)
    except OSError:
        file = None
    return _of_one(plan, path, info.key, file, info, meter)


def _of_one(
    plan: Plan, path: Path, key: str, file: Fingerprint | None, info: ObjectInfo | None, meter: Meter
) -> Plan:
    one = Transfer(path.name, path, key, file, info)
    with History(plan.options.state, plan.storage, plan.prefix, plan.folder) as history:
        judged = _judge(plan, one, Comparison(plan.storage, meter), history)
    if isinstance(judged, Transfer):
        return replace(plan, transfers=(judged,))
    if judged.status == FAILED:
        return replace(plan, refused=(judged,))
    return replace(plan, unchanged=(judged,))


def _objects(storage: Storage, prefix: str, options: Options, meter: Meter) -> dict[str, ObjectInfo]:
    """Return the objects below a folder of keys by their names below it; not the markers of folders."""
    found = {}
    with meter.governs():
        for info in storage.list(prefix):
            name = info.key[len(prefix) :]
            if name and not name.endswith("/") and options.selects(name):
                found[name] = info
    return found


def _refuse_empty(options: Options, is_empty: bool, source: str) -> None:
    if options.delete and is_empty:
        raise ConfigurationError(
            f"Nothing is deleted: there is no file in the source ({source}), and everything in the target "
            "would be removed. Check the source, or leave out delete."
        )


def _unfit_key(storage: Storage, key: str) -> str:
    """Return why no object can be written under this key; "" if one can.

    A key is the name of the file as it is, with the white space at its ends.
    """
    try:
        keys.clean_key(key, storage.room_for_key)
    except StorageError as error:
        return str(error)
    return ""


def _refusal(plan: Plan, name: str, error: str, info: ObjectInfo | None = None) -> Result:
    size = info.size if info else 0
    return Result(
        name, FAILED, plan.folder / name.replace("\0", ""), f"{plan.prefix}{name}", size, error=error
    )


def _deletion(plan: Plan, name: str, size: int) -> Result:
    return Result(name, TO_DELETE, plan.folder / name, f"{plan.prefix}{name}", size)


# ------------------------------------------------------------ comparing


def _completed(
    plan: Plan,
    pairs: Iterable[tuple[str, Fingerprint | None, ObjectInfo | None]],
    refused: Iterable[Result],
    deletions: Iterable[Result],
    meter: Meter,
    say: Callable[[str], object],
) -> Plan:
    """Return the plan with what comparing the pairs found, and with these refusals and deletions."""
    transfers, same, failed = _compared(plan, pairs, meter, say)
    return replace(
        plan,
        transfers=transfers,
        unchanged=same,
        refused=tuple(by_name([*refused, *failed])),
        deletions=tuple(by_name(deletions)),
    )


def _compared(
    plan: Plan,
    pairs: Iterable[tuple[str, Fingerprint | None, ObjectInfo | None]],
    meter: Meter,
    say: Callable[[str], object],
) -> tuple[tuple[Transfer, ...], tuple[Result, ...], tuple[Result, ...]]:
    """Return the pairs to transfer, those that are the same, and those that fail."""
    comparison = Comparison(plan.storage, meter)
    found = [
        Transfer(name, plan.folder / name, f"{plan.prefix}{name}", file, info) for name, file, info in pairs
    ]
    with History(plan.options.state, plan.storage, plan.prefix, plan.folder) as history, meter.governs():
        both = [one for one in found if one.file is not None and one.info is not None]
        if both:
            say(several(len(both), "Comparing {} file", "Comparing {} files"))
        jobs = (functools.partial(_judge, plan, one, comparison, history) for one in both)
        judged = dict(zip((one.name for one in both), thread_pool.run(jobs, COMPARE_THREADS), strict=True))
    everything = [judged.get(one.name, one) for one in found]
    results = [each for each in everything if isinstance(each, Result)]
    return (
        tuple(each for each in everything if isinstance(each, Transfer)),
        tuple(result for result in results if result.status != FAILED),
        tuple(result for result in results if result.status == FAILED),
    )


def _judge(plan: Plan, one: Transfer, comparison: Comparison, history: History) -> Transfer | Result:
    """Return the transfer, or the result if nothing is to be moved or it fails."""
    if one.file is None or one.info is None:
        return one
    file, info = one.file, one.info
    result = Result(one.name, SKIPPED if plan.is_upload else UNCHANGED, one.path, one.key, info.size, info)
    if history.has(one.name, file, info):
        return result
    try:
        if comparison.is_same(one.path, file, info):
            history.add(one.name, file, info.etag)
            return result
    except (NotFound, FileNotFoundError):
        pass  # gone since the listing: the transfer finds out
    except StorageError as error:
        return replace(result, status=FAILED, error=str(error), info=None)
    if not plan.options.overwrite:
        return replace(result, status=FAILED, error=str(_taken(plan, one)), info=None)
    return replace(one, digests=comparison.known.get(one.path, {}))


def _taken(plan: Plan, one: Transfer) -> AlreadyExists:
    tried, where = f"download {one.key!r}", str(one.path)
    said = "there is a file of that name with other content"
    if plan.is_upload:
        tried, where = f"store {one.key!r}", plan.storage.place
        said = "there is an object of that name with other content"
    return AlreadyExists(sentence(tried, where, said, "Choose another name, or overwrite it."))
