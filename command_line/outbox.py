"""``outbox list`` and ``outbox send``: files of nodes whose upload failed."""

from __future__ import annotations

from collections.abc import Iterator

from ..comfyui import folders
from ..comfyui.amounts import in_bytes, several
from ..saving import outbox_sender
from ..saving.outbox import Entry, Outbox
from ..system.meter import Meter
from . import running
from .context import Context


def _outboxes(context: Context) -> Iterator[Outbox]:
    yield Outbox(folders.outbox_folder())
    if context.installation.base is not None:
        yield Outbox(folders.earlier_outbox_folder(), is_own=False)


def _is_wanted(context: Context, entry: Entry) -> bool:
    name = context.options.profile
    return not name or outbox_sender.settled(entry.sender, folders.profiles_file()).profile == name


def list_waiting(context: Context, meter: Meter) -> int:
    """List what waits, oldest first, with the reason. Sends nothing."""
    count = size = 0
    for outbox in _outboxes(context):
        contents = outbox.contents()
        for entry in contents.entries:
            meter.check()
            if not _is_wanted(context, entry):
                continue
            count, size = count + 1, size + entry.size
            saved = f"{entry.saved_at.astimezone():%Y-%m-%d %H:%M}"
            context.console.answer(
                f"{saved}  {in_bytes(entry.size):>10}  {entry.meant}  ({entry.sender}): {entry.why}"
            )
            context.console.event(
                "waiting",
                key=entry.meant,
                size=entry.size,
                sha256=entry.sha256,
                saved=f"{entry.saved_at:%Y-%m-%dT%H:%M:%SZ}",
                profile=entry.sender.profile,
                path=str(entry.path),
                message=entry.why,
            )
        for line in contents.unreadable:
            context.console.warning(line)
    context.summary = {"waiting": count, "bytes": size}
    context.console.line(
        several(count, "{} file is waiting", "{} files are waiting")
        + (f", {in_bytes(size)}." if count else ".")
    )
    return running.DONE


def send(context: Context, meter: Meter) -> int:
    """Upload what waits. The exit code is 1 if something is still waiting."""
    report = outbox_sender.Report()
    for outbox in _outboxes(context):
        report += outbox_sender.send(
            outbox,
            folders.profiles_file(),
            lambda entry: _is_wanted(context, entry),
            meter,
            context.console.status,
        )
    for file in report.files:
        known = file.for_programs()
        context.console.event("file", **{**known, "status": file.status})
    context.summary = {"files": {"stored": report.sent, "waiting": report.left}}
    context.console.close()
    for line in str(report).split("\n"):
        context.console.line(line)
    return running.FAILED if report.left else running.DONE
