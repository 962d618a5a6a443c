"""``mirror``: uploads the folders that the settings name, without a ComfyUI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..comfyui.amounts import in_bytes, several
from ..comfyui.cloud_files import STORED, WAITING
from ..config.settings import SETTINGS
from ..errors import ConfigurationError
from ..mirror.mirrored_folder import ELSEWHERE
from ..mirror.service import LOOK_SECONDS, Mirror
from . import running

if TYPE_CHECKING:
    from ..mirror.journal import Row
    from ..mirror.mirrored_folder import MirroredFolder
    from ..mirror.profile_mirror import ProfileMirror
    from ..system.meter import Meter
    from .context import Context

GROWING_SECONDS = 20.0  # with --once, files that are not complete by then are left to the next run


def run(context: Context, meter: Meter) -> int:
    """Mirror until the command is interrupted; with ``--once`` until what is there is in the bucket."""
    context.require_comfyui()

    def report(profile: ProfileMirror, folder: MirroredFolder, row: Row) -> None:
        path = str(folder.root / row.name)
        context.console.line(f"uploaded {row.key} ({in_bytes(row.file.size)})")
        context.console.event(
            "file",
            status=STORED,
            key=row.key,
            path=path,
            bucket=profile.profile.bucket,
            size=row.file.size,
            etag=row.etag,
            sha256=row.sha256,
            profile=profile.profile.name,
        )

    mirror = Mirror(context.options.profile, context.options.all, report)
    try:
        mirror.look()
        _require_some(mirror)
        if not context.options.once:
            mirror.run(meter)
            meter.check()  # it ends by an interruption only
        return _once(context, mirror, meter)
    finally:
        mirror.close()


def _require_some(mirror: Mirror) -> None:
    if mirror.profiles:
        return
    wrong = " ".join(mirror.state()["errors"])
    variable = SETTINGS["mirror"].variable
    raise ConfigurationError(
        wrong or f"No profile mirrors a folder. Set {variable} to output, or mirror in a profile."
    )


def _once(context: Context, mirror: Mirror, meter: Meter) -> int:
    began = time.monotonic()
    while _has_work(mirror, time.monotonic() - began):
        meter.wait(LOOK_SECONDS)
        mirror.look()
    code, waiting = running.DONE, 0
    for profile in mirror.profiles:
        if profile.failure is not None:
            code = running.FAILED
            context.console.error(profile.failure.error)
        for folder in profile.folders:
            waiting += len(folder.writing())
            for one in folder.waiting():
                waiting, code = waiting + 1, running.FAILED
                if one.error:
                    context.console.error(one.error)
                context.console.event(
                    "file", status=WAITING, key=folder.names.key(one.name), path=str(folder.root / one.name)
                )
            if folder.note:
                code = running.FAILED
                context.console.error(f"{folder.root}: {folder.note}")
            if folder.old:
                old = several(folder.old, "{} file was", "{} files were")
                context.console.line(f"{old} there before the mirror was switched on. Send with --all.")
    sent = sum(profile.sent for profile in mirror.profiles)
    context.summary = {"files": {"stored": sent, "waiting": waiting}}
    uploaded = several(sent, "{} file was uploaded", "{} files were uploaded")
    context.console.line(f"{uploaded}. {several(waiting, '{} is waiting', '{} are waiting')}.")
    return code


def _has_work(mirror: Mirror, seconds: float) -> bool:
    """Return if something is still to be sent, and may be sent now."""
    for profile in mirror.profiles:
        if profile.failure is not None:
            continue
        for folder in profile.folders:
            if not (folder.has_looked or folder.note):
                return True
            if any(one.meter is not None or not one.error for one in folder.waiting()):
                return True
            if folder.writing() and seconds < GROWING_SECONDS and folder.note != ELSEWHERE:
                return True
    return False
