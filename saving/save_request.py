"""What a save node is asked to do, as one object; saves a batch of files or uploads one file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..comfyui import cloud_files, folders, interrupt, server
from ..comfyui.cloud_files import SKIPPED, STORED, CloudFile
from ..comfyui.node_lines import Line
from ..comfyui.progress import Progress
from ..media.workflow_metadata import Metadata
from ..storage.base import Storage
from ..system import utc_clock
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import batch, foreign_values, list_order, upload_file
from .choices import KEEP_AND_STOP, NEW_NAME, OBJECT_URL, PRESIGNED
from .list_order import Call
from .names import Name, NameContext, Template
from .store_file import File

if TYPE_CHECKING:
    from ..profile import Profile


@dataclass(frozen=True)
class SaveResult:
    """What a save node hands out and shows: addresses and keys, previews for the browser, lines; and the
    files for programs, in the order of ``keys``.
    """

    links: list[str]
    keys: list[str]
    lines: list[Line]
    previews: list[dict[str, str]]
    files: list[CloudFile]

    @property
    def urls(self) -> str:
        """The addresses, joined by semicolons, which are percent-encoded within one."""
        return ";".join(self.links)

    @property
    def summary(self) -> str:
        """The lines without addresses, in one."""
        return " ".join(str(line) for line in self.lines if str(line) not in self.links)


@dataclass(frozen=True, kw_only=True)
class SaveRequest:
    """Where a save node stores, under which names, which addresses it hands out, and what it does with a file
    that cannot be stored. ``prompt``, ``extra_pnginfo`` and ``unique_id`` are ComfyUI's hidden inputs.
    """

    profile: Profile | None = None
    key_prefix: str
    filename: str = "ComfyUI_%counter%"
    if_exists: str = NEW_NAME
    link: str = OBJECT_URL
    expires_hours: int = 24
    on_failure: str = KEEP_AND_STOP
    prompt: dict[str, Any] | None = None
    extra_pnginfo: dict[str, Any] | None = None
    unique_id: str | None = None
    remarks: tuple[str, ...] = ()

    def understood(self) -> SaveRequest:
        """The request with the values of another package's workflow translated, and ``remarks`` on that."""
        ours = foreign_values.translated(
            self.if_exists, self.link, self.expires_hours, self.prompt, self.unique_id
        )
        return replace(self, **vars(ours))

    @functools.cached_property
    def target(self) -> batch.Target:
        """To be asked for in a worker thread: the first time imports an SDK."""
        return batch.target(self.profile, folders.profiles_file(), folders.outbox_folder(), self.on_failure)

    @property
    def storage(self) -> Storage:
        return self.target.storage

    def metadata(self, embed_workflow: bool) -> Metadata | None:
        """What goes into the file; None if the user or the server wants no workflow there."""
        wanted = embed_workflow and not server.metadata_disabled()
        return Metadata(self.prompt, self.extra_pnginfo) if wanted else None

    def context(self, count: int = 1, width: int | None = None, height: int | None = None) -> NameContext:
        """What tokens stand for in the name of the first of ``count`` files."""
        prompt, pnginfo, node_id = self.prompt, self.extra_pnginfo, self.unique_id or ""
        return NameContext(datetime.now(), 0, count, width, height, prompt, pnginfo, node_id)

    def names(
        self, extension: str, count: int, width: int | None = None, height: int | None = None
    ) -> list[Name]:
        """A name for each of ``count`` files. Raises ConfigurationError for a bad one."""
        template = Template(self.key_prefix, self.filename, extension, self.storage.room_for_key)
        context = self.context(count, width, height)
        return [template.name(replace(context, batch_num=number)) for number in range(count)]

    def save(
        self,
        names: Sequence[Name],
        encode: Callable[[int], File],
        show: Callable[[File, str], dict[str, str] | None],
        meter: Meter,
        call: Call,
        *,
        look_first: bool = False,
    ) -> SaveResult:
        """Encode and store one file per name; see ``batch.save``."""
        files = batch.save(
            self.target, names, encode, show, self.if_exists, meter, call, look_first=look_first
        )
        previews = [file.shown for file in files if file.shown is not None]
        told = [file.cloud_file(self.storage, self.target.sender.profile) for file in files]
        return self._result([file.key for file in files], batch.lines(self.target, files), previews, told)

    def upload(
        self, file_name: str, path: Path, meter: Meter, say: Callable[[str], object], call: Call
    ) -> SaveResult:
        """Store the file ``path`` as it is, under the name that ``upload_file.name`` makes of ``file_name``.

        See ``upload_file.upload``. Raises ConfigurationError for a bad name.
        """
        room = self.storage.room_for_key
        name = upload_file.name(self.key_prefix, self.filename, file_name, self.context(), room)
        uploaded = upload_file.upload(self.storage, name, path, self.if_exists, meter, say, call)
        status = STORED if uploaded.sent else SKIPPED
        told = cloud_files.of_object(status, self.storage, uploaded.info, self.target.sender.profile)
        return self._result([uploaded.key], [Line(uploaded.status)], [], [told])

    def _result(
        self,
        keys: list[str],
        lines: Sequence[Line],
        previews: list[dict[str, str]],
        files: list[CloudFile],
    ) -> SaveResult:
        expires = timedelta(hours=self.expires_hours)
        until = utc_clock.now() + expires if self.link == PRESIGNED else None
        link_of = [batch.link(self.storage, key, self.link, expires) for key in keys]
        told = [
            replace(file, url=link, signed_until=until) if link else file
            for file, link in zip(files, link_of, strict=True)
        ]
        stored, links = [key for key in keys if key], [link for link in link_of if link]
        addresses = batch.addresses(self.target.sender, stored, links, self.link) if links else []
        return SaveResult(links, keys, [*map(Line, self.remarks), *lines, *addresses], previews, told)


async def in_order(
    node_id: str | None, save: Callable[[Call], SaveResult], meter: Meter, progress: Progress
) -> SaveResult:
    """Run ``save`` in a thread of its own, as ``run`` does, with the call of the node ``node_id``.

    To be awaited before anything else is: so the calls of a node reserve their keys in ComfyUI's order.
    """
    with list_order.begun(node_id) as call:

        def work() -> SaveResult:
            try:
                return save(call)
            finally:
                call.end()  # at once, not when the event loop finds the time

        return await run(work, meter, progress)


async def run(work: Callable[[], SaveResult], meter: Meter, progress: Progress) -> SaveResult:
    """Run ``work`` in a thread of its own and write its summary on the node.

    What has begun is completed when another node fails, see ``run_in_thread``.
    """
    result = await run_in_thread(work, meter, progress, finish_unless=interrupt.is_interrupted)
    progress.text(result.summary)
    return result
