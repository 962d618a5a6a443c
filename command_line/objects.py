"""``ls``, ``pull``, ``push`` and ``sync``."""

from __future__ import annotations

import functools
import glob
import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path

from ..comfyui.amounts import in_bytes, several
from ..errors import ConfigurationError, NotFound, StorageError
from ..storage import keys
from ..storage.base import ObjectInfo
from ..syncing import plan as plans
from ..syncing import sync as syncing
from ..syncing.plan import FAILED, Options, Plan, Result
from ..system import thread_pool
from ..system.meter import Meter
from .console import counts
from .context import Context

LOOK_THREADS = 8  # requests about the keys of a command line
_BUCKET = re.compile(r"cloud:(.*)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")


# ------------------------------------------------------------ ls


def ls(context: Context, meter: Meter) -> int:
    """List a folder, or everything below a prefix."""
    options, storage = context.options, context.storage()
    prefix = keys.existing_prefix(options.prefix.lstrip("/"), storage.room_for_key)
    count = size = folders = 0

    def show(info: ObjectInfo) -> None:
        nonlocal count, size
        name = info.key.rpartition("/")[2] or info.key
        pattern = options.pattern
        if pattern and not (fnmatchcase(info.key[len(prefix) :], pattern) or fnmatchcase(name, pattern)):
            return
        count, size = count + 1, size + info.size
        context.console.answer(f"{_date(info.modified)}  {info.size:>14,}  {info.key}")
        modified = info.modified and info.modified.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        context.console.event("object", key=info.key, size=info.size, etag=info.etag, modified=modified)

    if options.recursive:
        for info in storage.list(prefix):
            meter.check()
            show(info)
    else:
        token = ""
        while True:
            page = storage.page(prefix, token=token)
            meter.check()
            for folder in page.folders if not options.pattern else ():
                context.console.answer(f"{'':16}  {'folder':>14}  {folder}")
                context.console.event("folder", key=folder)
                folders += 1
            for info in page.objects:
                show(info)
            token = page.next_token
            if not token:
                break
    context.summary = {"objects": count, "bytes": size}
    of_folders = several(folders, "{} folder, ", "{} folders, ") if folders else ""
    context.console.line(f"{of_folders}{several(count, '{} object', '{} objects')}, {in_bytes(size)}")
    return context.exit_code()


def _date(modified: datetime | None) -> str:
    return f"{modified.astimezone():%Y-%m-%d %H:%M}" if modified else f"{'':16}"


# ------------------------------------------------------------ pull, push


def pull(context: Context, meter: Meter) -> int:
    """Download objects and folders, in parallel."""
    options, storage = context.options, context.storage()
    wanted = _options(context)
    to: Path = options.to
    is_one = len(options.keys) == 1
    into_folder = not is_one or to.is_dir() or str(options.to)[-1:] in ("/", os.sep)

    def plan(text: str) -> Plan:
        key = keys.existing_key(text.lstrip("/") if not text.startswith("//") else text, storage.room_for_key)
        if not key.endswith("/"):
            try:
                info = storage.stat(key)
            except NotFound:
                if next(storage.list(f"{key}/", limit=1), None) is None:
                    raise
            else:
                name = key.rpartition("/")[2]
                return plans.one_download(storage, info, to / name if into_folder else to, wanted, meter)
        folder = to if key.endswith("/") else to / key.rpartition("/")[2]
        found = plans.download(storage, key, folder, wanted, meter, context.console.status)
        if not found.results():
            raise NotFound(f"There is no object below {key!r} ({storage.place}). Check the key.")
        return found

    return _planned(context, meter, options.keys, plan)


def push(context: Context, meter: Meter) -> int:
    """Upload files and folders, in parallel."""
    storage, wanted = context.storage(), _options(context)
    prefix = plans.folder_of_keys(context.options.to)

    def plan(text: str) -> Plan:
        path = Path(text)
        if path.is_dir():
            is_content = text[-1:] in ("/", os.sep) or path.name in ("", "..")
            below = prefix if is_content else f"{prefix}{path.name}/"
            found = plans.upload(path, storage, below, wanted, meter, context.console.status)
            if not found.results():
                raise NotFound(f"There is no file in {text}. Check the path.")
            return found
        return plans.one_upload(path, storage, f"{prefix}{path.name}", wanted, meter)

    return _planned(context, meter, _expanded(context.options.paths), plan)


def _expanded(paths: Sequence[str]) -> list[str]:
    """Return the paths that are meant: Windows' shells leave wildcards to programs."""
    found: list[str] = []
    for text in paths:
        matching = [] if Path(text).exists() or not _GLOB.search(text) else sorted(glob.glob(text))  # noqa: PTH207
        found += matching or [text]
    return found


def _planned(context: Context, meter: Meter, texts: Sequence[str], plan: Callable[[str], Plan]) -> int:
    """Plan each of the keys or paths, then do all of it. One that fails does not stop the others."""

    def attempt(text: str) -> Plan | StorageError:
        try:
            return plan(text)
        except ConfigurationError:
            raise
        except StorageError as error:
            return error

    jobs = [functools.partial(attempt, text) for text in texts]
    found = thread_pool.run(jobs, min(LOOK_THREADS, len(jobs)))
    failed = [
        Result(text, FAILED, Path(text), text, error=str(each))
        for text, each in zip(texts, found, strict=True)
        if isinstance(each, StorageError)
    ]
    return finish(context, meter, [each for each in found if isinstance(each, Plan)], failed)


# ------------------------------------------------------------ sync


def sync(context: Context, meter: Meter) -> int:
    """Make a folder like another one."""
    options = context.options
    source, target = _BUCKET.fullmatch(options.source), _BUCKET.fullmatch(options.target)
    named = f"{options.source!r} and {options.target!r}"
    if source and target:
        raise ConfigurationError(
            f"Both {named} are in the bucket, and sync moves files between a bucket and this machine. Sync "
            "the first one to a folder of this machine, then that folder to the second one; each command may "
            "have another --profile."
        )
    if not source and not target:
        raise ConfigurationError(
            f"Of {named} none is in the bucket. Write the folder of the bucket as cloud:PREFIX. To copy "
            "between folders of this machine, use cp, rsync or robocopy."
        )
    storage = context.storage()
    wanted = _options(context, overwrite=True, delete=options.delete)
    say = context.console.status
    if target:
        plan = plans.upload(Path(options.source), storage, target[1], wanted, meter, say)
    else:
        plan = plans.download(storage, source[1] if source else "", Path(options.target), wanted, meter, say)
    return finish(context, meter, [plan], [])


def _options(context: Context, *, overwrite: bool = False, delete: bool = False) -> Options:
    return Options(
        delete=delete,
        overwrite=overwrite or getattr(context.options, "overwrite", False),
        pattern=context.options.pattern,
        state=context.state_folder(),
    )


def finish(context: Context, meter: Meter, found: Sequence[Plan], failed: Sequence[Result]) -> int:
    """Do what is planned, unless this is a dry run, and report each file."""
    console, storage = context.console, context.storage()

    def report(result: Result) -> None:
        console.file(result, storage, context.profile_name)

    for result in failed:
        report(result)
    if context.options.dry_run:
        results = [result for plan in found for result in plan.results()]
        for result in results:
            report(result)
    else:
        results = syncing.run(found, meter, report, console.status).results
    everything = [*failed, *results]
    context.summary = summary(everything)
    console.close()
    console.line(plans.words(everything))
    return context.exit_code()


def summary(results: Sequence[Result]) -> dict[str, object]:
    """Return the fields of the last object for programs."""
    moved = sum(result.size for result in results if result.status in plans.MOVED)
    return {"files": counts(results), "bytes": moved}
