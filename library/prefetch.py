"""Fetches the models of queued prompts while earlier prompts run, and ends what no prompt wants any more.

One thread looks at the queue while there is something to do; ComfyUI reports neither that a prompt came into
its queue nor that one was deleted. The same thread has the buckets listed again now and then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from ..comfyui import folders
from ..config.settings import ON_DEMAND
from . import copies
from .catalogue import Catalogue
from .fetches import Fetches, Key, key_of
from .queued_models import QueuedModels

TICK_SECONDS = 0.25
REFRESH_SECONDS = 600.0
AHEAD = 2  # fetches at the same time before a node waits for one: the first prompt's files come first

log = logging.getLogger("cloud_storage")


class Prefetcher:
    """Follows the queue. Any thread may call ``wake``; the thread that it starts calls the rest."""

    def __init__(
        self,
        catalogue: Catalogue,
        fetches: Fetches,
        queued: QueuedModels,
        settings_changed: Callable[[], bool],
    ) -> None:
        """``settings_changed`` returns whether profiles.json is another one than at the latest listing."""
        self._catalogue, self._fetches, self._queued = catalogue, fetches, queued
        self._settings_changed = settings_changed
        self._woken, self._is_closed = threading.Event(), False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._given_up: tuple[frozenset[str], set[Key]] = frozenset(), set()

    def wake(self) -> None:
        """Look at the queue now, and as long as it names models that are not here."""
        self._woken.set()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cloud-storage-prefetch", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread; a program that assembled the library itself may do so."""
        self._is_closed = True
        self._woken.set()

    def _run(self) -> None:
        while not self._is_closed:
            is_busy = False
            try:
                is_busy = self.look()
            except Exception as error:  # noqa: BLE001  the thread has no caller, and must not end
                log.warning("The queue was not searched for models to fetch: %s", error)
            was_woken = self._woken.wait(TICK_SECONDS if is_busy else REFRESH_SECONDS)
            self._woken.clear()
            due = not was_woken and not is_busy and self._catalogue.state().mode == ON_DEMAND
            if due or self._settings_changed():
                self._catalogue.refresh()

    def look(self) -> bool:
        """Start and end fetches as the queue asks for; returns whether to look again soon."""
        for path in self._queued.new_uses():
            copies.note_use(path)
        prompts = self._queued.wanted()
        wanted = [one for prompt in prompts for one in prompt]
        self._fetches.cancel_all_but({key_of(*one) for one in wanted})
        ids = self._queued.ids()
        if self._given_up[0] != ids:  # with other prompts in the queue there may be room
            self._given_up = ids, set()
        given_up = self._given_up[1]
        for prompt in prompts:
            missing = [one for one in prompt if folders.model_path(*one) is None]
            for folder_type, name in missing[:AHEAD]:
                self._start(folder_type, name, given_up)
            if missing:  # what runs later must not take the room of what runs before
                break
        return bool(wanted) or bool(self._fetches.busy()) or self._queued.is_expecting()

    def _start(self, folder_type: str, name: str, given_up: set[Key]) -> None:
        """Start a fetch, unless it runs, or was tried before for the same queue."""
        key = key_of(folder_type, name)
        model = self._catalogue.find(folder_type, name)
        if model is None or key in given_up or self._fetches.running(folder_type, name) is not None:
            return
        given_up.add(key)  # a second time only for a node, or for other prompts
        self._fetches.start(model, name, folder_type=folder_type, for_page=False)
