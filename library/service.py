"""The one library of this process: its catalogue, its fetches, and what begins with ComfyUI's server."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..comfyui import folders, prompt, prompt_queue, server
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import OFF, ON_DEMAND
from ..loading.model_file import LocalModel, Wanted
from ..profile import Profile
from ..storage.base import Storage
from ..system import utc_clock
from ..system.meter import Meter
from . import catalogue as catalogues
from . import copies
from .catalogue import Catalogue, Model
from .demand import Demand
from .disk_budget import Budget
from .fetches import Fetches
from .prefetch import REFRESH_SECONDS, Prefetcher
from .prompt_rewriting import PromptRewriter
from .queued_models import QueuedModels


@dataclass(frozen=True)
class Library:
    """The parts of the library, which know each other."""

    catalogue: Catalogue
    fetches: Fetches
    queued: QueuedModels
    prefetcher: Prefetcher
    rewriter: PromptRewriter


def assembled(catalogue: Catalogue) -> Library:
    """Return a new library of a catalogue. Starts nothing."""
    queued = QueuedModels(prompt_queue.queued_prompts)
    fetches = Fetches(catalogue, Budget(catalogue, queued))
    prefetcher = Prefetcher(catalogue, fetches, queued, catalogue.settings_changed)

    def posted(nodes: Mapping[str, Any]) -> None:
        if catalogue.state().mode != OFF or catalogue.settings_changed():
            queued.posted(nodes)
            prefetcher.wake()

    return Library(catalogue, fetches, queued, prefetcher, PromptRewriter(catalogue, posted, queued.changed))


_making = threading.Lock()


@functools.lru_cache(maxsize=1)
def _made(_user_folder: str) -> Library:
    return assembled(catalogues.of_this_comfyui())


def library() -> Library:
    """Return the library; the first call reads the settings, and the catalogue on disk. Any thread."""
    with _making:
        return _made(str(folders.system_folder()))


def catalogue() -> Catalogue:
    """Return the catalogue of the library."""
    return library().catalogue


def fetches() -> Fetches:
    """Return the fetches of the library."""
    return library().fetches


def demand(folder_type: str, name: str, *, is_word: bool = False) -> Demand:
    """Return the demand of a node for one file."""
    found = library()
    return Demand(found.catalogue, found.fetches, folder_type, name, is_word=is_word)


def download(
    storage: Storage,
    wanted: Wanted,
    folder_type: str,
    name: str,
    meter: Meter,
    say: Callable[[str], object],
) -> tuple[LocalModel, str]:
    """Fetch what a Download Model node names, in this thread; see ``Fetches.for_node``. Loaders of
    ``folder_type`` list the file as ``name``.
    """
    return fetches().for_node(
        storage, wanted, Model(folder_type, name, wanted.key, 0, "", None, None, ""), meter, say
    )


def in_use(path: Path) -> None:
    """Note that a node of the running prompt uses a file: it is not removed before the prompt has ended."""
    library().queued.hold(path, prompt.running_ids())
    copies.note_use(path)


def uploaded(profile: Profile | None, keys: Iterable[str]) -> None:
    """List the buckets again in a thread if these keys, which were just stored, are models of the library.

    ``profile`` is that of the node; None is that of the environment.
    """
    found = catalogue()
    for member in found.members.members:
        is_same = member.name == ENVIRONMENT if profile is None else member.is_of(profile)
        for key in keys if is_same else ():
            if key.startswith(member.models.prefix):
                found.uploaded(member.name, key)


def start() -> bool:
    """Begin with ComfyUI's server: look at each prompt, and list the buckets when the settings say so. False
    if there is no server.
    """
    if not prompt_queue.on_prompt(lambda body: library().rewriter(body)):
        return False
    server.when_started(
        lambda: threading.Thread(target=_begin, name="cloud-storage-library", daemon=True).start()
    )
    return True


def _begin() -> None:
    found = library()
    if found.catalogue.state().mode == ON_DEMAND:
        found.catalogue.refresh()
        found.prefetcher.wake()  # from now on the buckets are listed now and then


def asked() -> None:
    """List the buckets in a thread if there is no listing yet, or the latest is old, or the settings are
    others.
    """
    found = catalogue()
    state = found.state()
    is_old = state.listed is None or utc_clock.now() - state.listed > timedelta(seconds=REFRESH_SECONDS)
    if found.settings_changed() or (is_old and state.mode != OFF and not state.is_listing):
        found.refresh()
