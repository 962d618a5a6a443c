"""``models list``, ``models pull`` and ``models push``: by ComfyUI's types and names."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..comfyui import folders, installation, model_folders
from ..comfyui.amounts import in_bytes
from ..comfyui.cloud_files import FETCHED, UNCHANGED
from ..errors import (
    AlreadyExists,
    ConfigurationError,
    NotFound,
    StorageError,
    TransferCancelled,
    did_you_mean,
)
from ..loading import model_file
from ..loading.model_file import LocalModel
from ..storage.base import Storage
from ..syncing import plan as plans
from ..syncing.plan import FAILED, TO_FETCH, Options, Plan, Result
from ..system import thread_pool
from ..system.meter import Meter
from . import objects, workflows
from .context import Context
from .wish import Wish

AT_ONCE = 2  # downloads, each over several connections: while one is checked, the other one moves
HERE, IN_BUCKET, BOTH = "here", "in the bucket", "here and in the bucket"
_SHA256 = re.compile("[0-9a-fA-F]{64}")


def _prefix(context: Context) -> str:
    """The folder of the bucket that has a folder for each type: that of the settings, if none is given."""
    given = context.options.prefix
    return context.profile.models.prefix if given is None else plans.folder_of_keys(given)


def _in_bucket(context: Context, prefix: str) -> dict[str, int]:
    """Return the models below the prefix by type and name, "loras/ink.safetensors", with their sizes."""
    return {
        info.key[len(prefix) :]: info.size
        for info in context.storage().list(prefix)
        if "/" in info.key[len(prefix) :] and not info.key.endswith("/")
    }


# ------------------------------------------------------------ list


def list_models(context: Context, meter: Meter) -> int:
    """List the models of this machine and of the bucket."""
    context.require_comfyui()
    prefix, only = _prefix(context), context.options.type
    there = {
        name: size
        for name, size in _in_bucket(context, prefix).items()
        if name.split("/")[0] == only or not only
    }
    here: dict[str, int] = {}
    for model_type in [only] if only else model_folders.types():
        for name in folders.model_names(model_type):
            path = model_folders.local(model_type, name).path
            here[model_folders.key_name(model_type, name)] = path.stat().st_size
        meter.check()
    found = sorted({*here, *there})
    for each in found:
        model_type, _, name = each.partition("/")
        state = BOTH if each in here and each in there else HERE if each in here else IN_BUCKET
        size = here.get(each, there.get(each, 0))
        context.console.answer(f"{in_bytes(size):>10}  {state:<22}  {each}")
        context.console.event(
            "model",
            type=model_type,
            name=name,
            size=size,
            here=each in here,
            key=f"{prefix}{each}" if each in there else "",
        )
    context.summary = {"models": len(found)}
    return context.exit_code()


# ------------------------------------------------------------ pull


def pull(context: Context, meter: Meter) -> int:
    """Download models that are named, listed in manifests, or named by workflows."""
    context.require_comfyui()
    options = context.options
    if not (options.names or options.manifest or options.workflow):
        raise ConfigurationError("Which models? Give their names, --manifest FILE or --workflow FILE.")
    failed: list[Result] = []  # and, of workflows, what is here already
    wishes = [wish for file in options.manifest for wish in _manifest(context, file)]
    wishes += _named(context, options.names, failed)
    if options.workflow:
        wishes += workflows.wishes(context, options.workflow, _prefix(context), failed)
    once = {(wish.type, wish.name): wish for wish in wishes}
    for result in failed:
        context.console.file(result, context.storage(), context.profile_name)
    jobs = [functools.partial(_fetch, context, wish, meter) for wish in once.values()]
    results = thread_pool.run(jobs, min(AT_ONCE, max(1, len(jobs)))) if jobs else []
    return _finish(context, [*failed, *results])


def _finish(context: Context, results: Sequence[Result]) -> int:
    context.summary = objects.summary(results)
    context.console.close()
    context.console.line(plans.words(results))
    return context.exit_code()


def _fetch(context: Context, wish: Wish, meter: Meter) -> Result:
    """Download one model, unless it is there already, and report it."""
    storage = context.storage()
    path = Path(wish.shown)
    try:
        installation.add_type(wish.type)
        file = model_folders.file_of(wish.type, f"{wish.type}/{wish.name}")
        path = file.path
        if context.options.dry_run:
            result = _would_fetch(storage, wish, path)
        else:
            model = _copied(context, storage, wish, path, meter)
            info = model.info
            size = info.size if info else path.stat().st_size
            result = Result(wish.shown, FETCHED if model.fetched else UNCHANGED, path, wish.key, size, info)
    except TransferCancelled:
        raise
    except StorageError as error:
        result = Result(wish.shown, FAILED, path, wish.key, error=str(error))
    context.console.file(result, storage, context.profile_name)
    return result


def _copied(context: Context, storage: Storage, wish: Wish, path: Path, meter: Meter) -> LocalModel:
    wanted = model_file.Wanted(wish.key, path, wish.sha256)
    try:
        return model_file.fetch(storage, wanted, meter, context.console.status)
    except AlreadyExists:
        if not context.options.overwrite:
            raise
    return model_file.fetch(storage, replace(wanted, force=True), meter, context.console.status)


def _would_fetch(storage: Storage, wish: Wish, path: Path) -> Result:
    info = storage.stat(wish.key)
    status = UNCHANGED if model_file.is_copy(storage, wish.key, path) else TO_FETCH
    return Result(wish.shown, status, path, wish.key, info.size, info)


def _manifest(context: Context, file: Path) -> Iterator[Wish]:
    """Read a manifest. Raises ConfigurationError, which names the entry that is wrong."""
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"The manifest {file} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigurationError(f"The manifest {file} is not JSON: {error}.") from error
    entries = content.get("models") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise ConfigurationError(
            f"The manifest {file} is not a list. "
            'Write it like [{"type": "loras", "name": "style/ink.safetensors", "sha256": "…"}].'
        )
    for number, entry in enumerate(entries, 1):
        where = f"Entry {number} of the manifest {file}"
        fields = {"type": "", "name": "", "sha256": "", "key": ""}
        if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
            raise ConfigurationError(f"{where} is not an object with texts.")
        for name in entry:
            if name not in fields:
                raise ConfigurationError(
                    f"{where} has an unknown field {name!r}.{did_you_mean(name, fields)} "
                    f"Known fields: {', '.join(fields)}."
                )
        fields.update(entry)
        if not fields["type"] or not fields["name"]:
            raise ConfigurationError(f"{where} needs a type and a name.")
        if fields["sha256"] and not _SHA256.fullmatch(fields["sha256"].strip()):
            raise ConfigurationError(f"{where}: sha256 has to be 64 hexadecimal digits.")
        name = fields["name"].replace("\\", "/")
        key = fields["key"] or f"{_prefix(context)}{fields['type']}/{name}"
        yield Wish(fields["type"], name, key, fields["sha256"].strip().lower())


def _named(context: Context, names: Iterable[str], failed: list[Result]) -> Iterator[Wish]:
    """Find the models of a command line: TYPE/NAME, or a name that one model of the bucket has."""
    prefix = _prefix(context)
    there: dict[str, int] | None = None
    types = set(model_folders.types())
    for text in names:
        given = text.replace("\\", "/").strip("/")
        model_type, _, name = given.partition("/")
        if name and model_type in types:
            yield Wish(model_type, name, f"{prefix}{given}")
            continue
        there = _in_bucket(context, prefix) if there is None else there
        same = [each for each in there if each == given or each.partition("/")[2] == given]
        same = same or [each for each in there if each.rpartition("/")[2] == given]
        if len(same) == 1:
            model_type, _, name = same[0].partition("/")
            yield Wish(model_type, name, f"{prefix}{same[0]}")
            continue
        place = f"{context.storage().place}, below {prefix!r}"
        if same:
            said = f"{text!r} may be {' or '.join(same)} ({place}). Give one of them."
        else:
            said = f"There is no model {text!r} ({place}).{did_you_mean(given, there)} Give TYPE/NAME."
        failed.append(Result(text, FAILED, Path(text), text, error=said))


# ------------------------------------------------------------ push


def push(context: Context, meter: Meter) -> int:
    """Upload models of this machine to where ``models pull`` and the nodes find them."""
    context.require_comfyui()
    storage, prefix = context.storage(), _prefix(context)
    wanted = Options(overwrite=context.options.overwrite, state=context.state_folder())
    failed: list[Result] = []
    found: list[Plan] = []
    for text in context.options.names:
        try:
            model_type, name = _local(text)
            file = model_folders.local(model_type, name)
            key = f"{prefix}{model_folders.key_name(model_type, file.name)}"
            found.append(plans.one_upload(file.path, storage, key, wanted, meter))
        except ConfigurationError:
            raise
        except StorageError as error:
            failed.append(Result(text, FAILED, Path(text), text, error=str(error)))
    return objects.finish(context, meter, found, failed)


def _local(text: str) -> tuple[str, str]:
    """Return type and name of a local model: TYPE/NAME, or a name that only one of them has, also without its
    subfolder.
    """
    model_type, _, name = text.replace("\\", "/").strip("/").partition("/")
    known = model_folders.types()
    if name and model_type in known:
        return model_type, str(Path(name))
    native = str(Path(text))
    there = [(each, name) for each in known for name in folders.model_names(each)]
    same = [one for one in there if one[1] == native] or [one for one in there if Path(one[1]).name == native]
    if len(same) == 1:
        return same[0]
    if same:
        named = " or ".join(model_folders.key_name(*one) for one in same)
        raise NotFound(f"{text!r} may be {named}. Give one of them.")
    hint = did_you_mean(native, [name for _, name in there])
    raise NotFound(f"There is no model {text!r} here.{hint} Give TYPE/NAME.")
