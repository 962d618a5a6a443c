"""What all nodes that save have in common: where to, under which names, and which addresses to hand out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from ..comfyui import folders, interrupt, server
from ..comfyui.node_lines import Line
from ..comfyui.progress import Progress
from ..media.workflow_metadata import Metadata
from ..system.meter import Meter
from ..system.watch import run_in_thread
from . import batch, list_order, numbering
from .list_order import Call
from .names import Name, NameContext, Template
from .store_file import File

if TYPE_CHECKING:
    from ..profile import Profile


T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """What a save came to: addresses, ``shown`` for the browser, lines for the node."""

    links: list[str]
    keys: list[str]
    shown: list[dict[str, str]]
    lines: list[Line]

    @property
    def urls(self) -> str:
        """The addresses, joined by semicolons, which are percent-encoded within one."""
        return ";".join(self.links)

    @property
    def summary(self) -> str:
        """The lines without addresses, in one."""
        return " ".join(str(line) for line in self.lines if str(line) not in self.links)


@dataclass(frozen=True)
class Order:
    """Where a save node is told to store, under which names, which addresses to hand out, and what to do with
    what cannot be stored.
    """

    profile: Profile | None
    key_prefix: str
    filename: str
    if_exists: str
    link: str
    expires_hours: int
    on_failure: str
    node_id: str | None

    @functools.cached_property
    def target(self) -> batch.Target:
        """Asked for in a worker thread: the first time imports an SDK."""
        return batch.target(self.profile, folders.profiles_file(), folders.outbox_folder(), self.on_failure)

    def names(
        self,
        extension: str,
        count: int,
        width: int | None,
        height: int | None,
        prompt: dict[str, Any] | None,
        extra_pnginfo: dict[str, Any] | None,
    ) -> list[Name]:
        """A name for each of ``count`` files. Raises ConfigurationError for a bad one."""
        now, room = datetime.now(), self.target.storage.room_for_key
        template = Template(self.key_prefix, self.filename, extension, room)
        node_id = self.node_id or ""
        return [
            template.name(NameContext(now, number, count, width, height, prompt, extra_pnginfo, node_id))
            for number in range(count)
        ]

    def carry_out(
        self,
        names: list[Name],
        encode: Callable[[int], File],
        show: Callable[[File, str], dict[str, str]],
        meter: Meter,
        call: Call,
        *,
        look_first: bool = False,
    ) -> Stored:
        """Encode and store one file per name; see ``saving.save``."""
        names = numbering.own_names(self.target.storage, names, self.if_exists, call, meter)
        saved = batch.save(
            self.target, names, encode, show, self.if_exists, meter, call, look_first=look_first
        )
        expires = timedelta(hours=self.expires_hours)
        stored = [one.key for one in saved if one.key]
        storage, kind = self.target.storage, self.link
        links = [link for key in stored if (link := batch.link(storage, key, kind, expires))]
        shown = [one.shown for one in saved if one.shown is not None]
        addresses = batch.addresses(self.target.sender, stored, links, kind)
        lines = [*batch.lines(self.target, saved), *addresses]
        return Stored(links, [one.key for one in saved], shown, lines)


async def in_order(node_id: str | None, store: Callable[[Call], T], meter: Meter, progress: Progress) -> T:
    """What ``store`` comes to, in a thread of its own; what has begun is completed, see ``run_in_thread``.

    To be awaited before anything else is, so that the calls of a node come in ComfyUI's order.
    """
    with list_order.begun(node_id) as call:

        def work() -> T:
            try:
                return store(call)
            finally:
                call.end()  # at once, not when the event loop finds the time

        return await run_in_thread(work, meter, progress, finish_unless=interrupt.is_interrupted)


def metadata(
    embed_workflow: bool, prompt: dict[str, Any] | None, extra_pnginfo: dict[str, Any] | None
) -> Metadata | None:
    """What goes into the file; None where the user or the server wants nothing there."""
    return Metadata(prompt, extra_pnginfo) if embed_workflow and not server.metadata_disabled() else None
