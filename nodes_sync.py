"""The node that makes a folder of the bucket like a folder of this machine, or the other way round."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import node_inputs
from .comfyui import cloud_files, folders, model_folders, results, sync_folders
from .comfyui.amounts import several
from .comfyui.cloud_files import STATUSES, CloudFile
from .comfyui.node_lines import WARNING, Line
from .comfyui.progress import Progress
from .comfyui.sync_folders import SyncFolder
from .errors import StorageError, sentence
from .loading import is_changed, selection
from .storage.base import Storage
from .storage.connect import storage_of
from .storage.keys import existing_prefix
from .syncing import local_files, sync
from .syncing.plan import FAILED, MOVED, Options, Plan, Result, folder_of_keys
from .system.meter import Meter
from .system.watch import run_in_thread

if TYPE_CHECKING:
    from .profile import Profile

UPLOAD, DOWNLOAD = "upload", "download"
DIRECTIONS = (UPLOAD, DOWNLOAD)
HISTORY_FOLDER = "sync"  # beside profiles.json
SHOWN_LINES = 30  # on the node; the report has REPORTED
REPORTED = 1000
LISTED = 1000  # files for programs: with more of them, those that are unchanged are left out


class SyncFolderWithCloud:
    """Move what differs between a folder and a prefix, in one direction. Nothing is deleted."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "cloud_storage/models", "sync", True
    RETURN_TYPES = ("STRING", node_inputs.FILE_NAME, "STRING")
    RETURN_NAMES = ("path", "name", "report")
    DESCRIPTION = (
        "Makes a folder of the bucket like a folder below ComfyUI's input, output or models folder, or the "
        "other way round: datasets, results, diffusers models. Only what differs is moved, and nothing is "
        "deleted."
    )
    OUTPUT_TOOLTIPS = (
        "The folder's path on this machine.",
        "The folder's name as loaders list it, for example sdxl of models/diffusers/sdxl.",
        "How many files were moved, then one line for each of them.",
    )
    SEARCH_ALIASES = ("s3 sync", "rclone", "mirror", "backup", "dataset", "diffusers", "同步文件夹")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "direction": (
                    list(DIRECTIONS),
                    {
                        "tooltip": "upload: from this machine to the bucket. download: from the bucket to "
                        "this machine."
                    },
                ),
                "folder": node_inputs.text_input(
                    "A folder below ComfyUI's input, output or models folder, for example output/dataset or "
                    "models/diffusers/sdxl."
                ),
                "prefix": node_inputs.text_input("The folder in the bucket, for example datasets/cats/."),
            },
            "optional": {
                "profile": node_inputs.PROFILE,
                "dry_run": (
                    "BOOLEAN",
                    {"default": False, "tooltip": "Only report what would be moved, and move nothing."},
                ),
                "overwrite": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": "Replace files that are on both sides and differ. Off: they are kept, and "
                        "named on the node.",
                    },
                ),
                "pattern": node_inputs.text_input(
                    "Move only files whose name matches this, for example *.png or *.safetensors.", "*"
                ),
            },
            "hidden": node_inputs.UNIQUE_ID,
        }

    @classmethod
    def IS_CHANGED(
        cls,
        direction: str | None = None,
        folder: str | None = None,
        prefix: str | None = None,
        pattern: str | None = "*",  # missing in prompts of programs; None if wired
        unique_id: str | None = None,
        **others: object,
    ) -> str:
        """Changes when the source does; for a download also when the folder does. Always if that is wired."""
        if None in (direction, folder, pattern):
            return uuid.uuid4().hex
        if direction == UPLOAD:
            return _local_state(str(folder))
        return is_changed.answer(unique_id, prefix, _state, (folder, pattern))

    async def sync(
        self,
        direction: str = UPLOAD,
        folder: str = "",
        prefix: str = "",
        profile: Profile | None = None,
        dry_run: bool = False,
        overwrite: bool = False,
        pattern: str = "*",
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        meter, progress = Meter(), Progress(unique_id, "Uploaded" if direction == UPLOAD else "Downloaded")

        def work() -> tuple[SyncFolder, str, list[Result], list[CloudFile]]:
            storage = storage_of(profile, folders.profiles_file())
            place = sync_folders.chosen(folder)
            start = folder_of_keys(existing_prefix(prefix, storage.room_for_key))
            options = Options(
                overwrite=overwrite,
                pattern="" if pattern == "*" else pattern,
                refuse=place.refuses,
                state=folders.system_folder() / HISTORY_FOLDER,
            )
            if direction == UPLOAD:
                plan = sync.plan_upload(place.path, storage, start, options, meter, progress.text)
                plan = _without_hidden(plan, place)
            else:
                plan = sync.plan_download(storage, start, place.path, options, meter, progress.text)
            if dry_run:
                return place, plan.words(), plan.results(), []
            outcome = sync.run(plan, meter)
            if direction == DOWNLOAD:
                is_changed.remember(
                    unique_id, profile, prefix, _state(storage, prefix, (folder, pattern)), (folder, pattern)
                )
            _refuse_failed(plan, outcome.results, storage)
            told = _for_programs(outcome.results, storage, cloud_files.profile_name(profile))
            return place, outcome.words(), outcome.results, told

        place, words, found, files = await run_in_thread(work, meter, progress)
        progress.text(words)
        lines = _lines(words, found, place)
        report = "\n".join(map(str, lines[:REPORTED]))
        more = [f"… and {len(lines) - SHOWN_LINES} more"] if len(lines) > SHOWN_LINES else []
        return results.shown((str(place.path), place.name, report), [*lines[:SHOWN_LINES], *more], files)


def _without_hidden(plan: Plan, place: SyncFolder) -> Plan:
    """The plan without files that a workflow may not read; they are not named."""
    return replace(
        plan,
        transfers=tuple(one for one in plan.transfers if place.shows(one.path)),
        unchanged=tuple(one for one in plan.unchanged if place.shows(one.path)),
        refused=tuple(one for one in plan.refused if not place.refuses(one.name)),
    )


def _refuse_failed(plan: Plan, found: Sequence[Result], storage: Storage) -> None:
    """Raise StorageError if a file that was to be moved could not be."""
    left_out = {result.name for result in plan.refused}
    failed = [result for result in found if result.status == FAILED and result.name not in left_out]
    if failed:
        many = several(len(failed), "{} file was not moved", "{} files were not moved")
        said = f"{many}, the first one is {failed[0].name!r}: {failed[0].error.removesuffix('.')}"
        advice = "Run the node again: it moves only what is missing."
        raise StorageError(sentence("sync the folder", storage.place, said, advice))


def _for_programs(found: Sequence[Result], storage: Storage, profile: str) -> list[CloudFile]:
    known = [result for result in found if result.status in STATUSES and result.info is not None]
    if len(known) > LISTED:
        known = [result for result in known if result.status in MOVED]
    return [
        cloud_files.of_object(result.status, storage, result.info, profile)
        for result in known
        if result.info is not None
    ]


def _lines(words: str, found: Sequence[Result], place: SyncFolder) -> list[Line]:
    """The lines of the node: how many files, what was left out and why, what was moved."""
    failed = [Line(f"{result.name}: {result.error}", WARNING) for result in found if result.status == FAILED]
    moved = [result.name for result in found if result.status not in (*_AS_BEFORE, FAILED)]
    risky = (
        next(filter(None, map(model_folders.warning, moved)), "") if place.root == sync_folders.MODELS else ""
    )
    return [Line(words), *failed, *([Line(risky)] if risky else []), *map(Line, moved)]


_AS_BEFORE = ("skipped", "unchanged")


def _state(storage: Storage, prefix: str, how: tuple[str, str]) -> str:
    """What a download would compare: the objects' ETags, and the files here."""
    folder, pattern = how
    start = folder_of_keys(existing_prefix(prefix, storage.room_for_key))
    return f"{selection.state(selection.matching(storage, start, pattern))} {_local_state(folder)}"


def _local_state(folder: str) -> str:
    """A digest of the names, sizes and times of the files in a folder; "" if there is none."""
    try:
        listed = local_files.found(sync_folders.chosen(folder).path, Meter())
    except (StorageError, OSError):  # the node meets the same error and shows it
        return ""
    told = sorted((name, *vars(file).values()) for name, file in listed.files.items())
    return hashlib.sha256(repr(told).encode(errors="surrogatepass")).hexdigest()[:16]


NODE_CLASS_MAPPINGS = {"SyncFolderWithCloud": SyncFolderWithCloud}
NODE_DISPLAY_NAME_MAPPINGS = {"SyncFolderWithCloud": "Sync Folder with Cloud"}
