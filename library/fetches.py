"""Fetches models in threads, for prompts and for the page: each file once, whoever asks.

A fetch that the page began ends when it is complete, fails or is cancelled; one that a prompt began also ends
when no prompt wants it any more (``prefetch.py``). Download Model names an object by itself, which need not
be of the library: its node's own thread downloads, with the same record, budget and list of fetches.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ..comfyui import folders, model_folders
from ..errors import NotFound, StorageError, TransferCancelled, sentence
from ..loading import model_file, model_record
from ..loading.model_file import LocalModel, Wanted
from ..storage.base import Storage
from ..storage.connect import connect
from ..system.meter import Meter
from .catalogue import Catalogue, Model
from .disk_budget import Budget

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
ENDED_KEPT = 100  # for the page
AT_ONCE = 3  # besides those that a node waits for: each makes up to 64 requests at the same time

log = logging.getLogger("cloud_storage")

Key = tuple[str, str]  # folder type, and name with "/"


def key_of(folder_type: str, name: str) -> Key:
    """Return what identifies a file, whichever separator its name has."""
    return folder_type, name.replace("\\", "/")


@dataclass(frozen=True)
class FetchState:
    """One fetch as it is now: ``done`` and ``total`` in bytes, ``total`` 0 while it is not known.

    ``text`` says what it waits for or did besides, ``error`` why it failed; both may be "". ``model`` is the
    catalogue's, None if a node named the object itself.
    """

    folder_type: str
    name: str
    key: str
    profile: str
    status: str
    done: int
    total: int
    text: str
    error: str
    model: Model | None


class Fetch:
    """One file on its way. ``failure`` is the reason why it did not arrive; None before the end, and after
    success.
    """

    def __init__(self, model: Model, folder_type: str, name: str, meter: Meter | None = None) -> None:
        self.model, self.folder_type, self.name = model, folder_type, name
        self.is_of_catalogue = meter is None
        self.key = key_of(folder_type, name)
        self.meter = meter or Meter()
        self.for_page = False
        self.waiting = 0  # nodes that wait for it
        self.text, self._notes = "", list[str]()
        self.status = WAITING
        self.failure: StorageError | None = None
        self.ended = threading.Condition()

    @property
    def has_ended(self) -> bool:
        return self.status not in (WAITING, RUNNING)

    def state(self) -> FetchState:
        """Return the fetch as it is now."""
        total = self.meter.total or self.model.size
        return FetchState(
            self.folder_type,
            self.name,
            self.model.key,
            self.model.profile,
            self.status,
            self.meter.done,
            total,
            self.text,
            str(self.failure or ""),
            self.model if self.is_of_catalogue else None,
        )

    def say(self, text: str) -> None:
        """Set what the page and the node show besides the bytes."""
        self.text = text

    def note(self, text: str) -> None:
        """Show a text, and keep it until the end."""
        self._notes.append(text)
        self.text = " ".join(self._notes)

    def conclude(self) -> None:
        """Show only what is to be known in the end."""
        self.text = " ".join(self._notes)


class Fetches:
    """All fetches of this process. Any thread may call any method."""

    def __init__(self, catalogue: Catalogue, budget: Budget) -> None:
        self._catalogue, self._budget = catalogue, budget
        self._changed = threading.Condition()
        self._running: dict[Key, Fetch] = {}  # also those that wait for their turn, in order
        self._of_nodes: list[Fetch] = []  # that nodes make in their own threads
        self._ended: deque[Fetch] = deque(maxlen=ENDED_KEPT)
        self._arrived: Counter[Key] = Counter()
        self._reported: Counter[Key] = Counter()

    def start(self, model: Model, name: str = "", *, folder_type: str = "", for_page: bool = True) -> Fetch:
        """Begin to fetch a model, under its own name or ``name``, into its own type's folder or that of
        ``folder_type``; returns at once. A fetch of the same file that runs is joined.
        """
        with self._changed:
            fetch = Fetch(model, folder_type or model.folder_type, name or model.name)
            joined = self._running.get(fetch.key)
            if joined is not None and not joined.meter.stopped:  # one that is ending keeps the file's lock
                joined.for_page |= for_page
                return joined
            fetch.for_page = for_page
            self._running[fetch.key] = fetch
            self._forget(fetch.key)
        threading.Thread(target=self._work, args=(fetch,), name="cloud-storage-fetch", daemon=True).start()
        return fetch

    @contextlib.contextmanager
    def held(self, model: Model, name: str, *, folder_type: str) -> Iterator[Fetch]:
        """Start or join a fetch for a node, which nobody ends for want of a prompt within the block."""
        with self._changed:
            fetch = self.start(model, name, folder_type=folder_type, for_page=False)
            fetch.waiting += 1
        try:
            yield fetch
        finally:
            with self._changed:
                fetch.waiting -= 1

    def wait(self, fetch: Fetch, meter: Meter) -> None:
        """Wait for a fetch, which does not have to wait for its turn then. Raises its failure, and
        TransferCancelled when ``meter`` is stopped: the fetch itself continues.
        """
        with self._changed, meter.wakes(self._changed):
            fetch.waiting += 1
            self._changed.notify_all()
            try:
                while not fetch.has_ended:
                    meter.check()
                    self._changed.wait()
            finally:
                fetch.waiting -= 1
        if fetch.failure is not None:
            raise fetch.failure

    def running(self, folder_type: str, name: str) -> Fetch | None:
        """Return the fetch of a file that runs or waits for its turn."""
        return self._running.get(key_of(folder_type, name))

    def arrivals(self, folder_type: str, name: str) -> int:
        """Return how often a file has been fetched, or will have been when it is here again.

        Equal numbers mean that it was here all the time, so that what was loaded from it is still valid.
        """
        key = key_of(folder_type, name)
        with self._changed:
            is_here = key not in self._running and folders.model_path(folder_type, name) is not None
            return self._arrived.get(key, 0) + (not is_here)

    def has_arrived(self, folder_type: str, name: str) -> bool:
        """Return whether a file has been fetched since this was asked last: ahead of a prompt or for it."""
        key = key_of(folder_type, name)
        with self._changed:
            before, self._reported[key] = self._reported[key], self._arrived[key]
            return self._arrived[key] > before

    def cancel(self, folder_type: str, name: str) -> bool:
        """Stop a fetch; False if none runs. What has arrived is kept for the next one."""
        key = key_of(folder_type, name)
        found = [one for one in (*self._of_nodes, *self.busy()) if one.key == key]
        for fetch in found:
            fetch.meter.stop()
        return bool(found)

    def cancel_all_but(self, wanted: Collection[Key]) -> None:
        """Stop the fetches that only prompts began, that no node waits for, and that nobody wants."""
        with self._changed:
            unwanted = [
                fetch
                for key, fetch in self._running.items()
                if key not in wanted and not fetch.for_page and not fetch.waiting
            ]
            for fetch in unwanted:
                fetch.meter.stop()

    def busy(self) -> list[Fetch]:
        """Return the fetches that run or wait for their turn, oldest first."""
        with self._changed:
            return list(self._running.values())

    def states(self) -> list[FetchState]:
        """Return the running fetches and the latest that ended, oldest first."""
        with self._changed:
            return [fetch.state() for fetch in (*self._ended, *self._of_nodes, *self._running.values())]

    def dismiss(self) -> None:
        """Forget the fetches that ended."""
        with self._changed:
            self._ended.clear()

    def for_node(
        self,
        storage: Storage,
        wanted: Wanted,
        model: Model,
        meter: Meter,
        say: Callable[[str], object],
    ) -> tuple[LocalModel, str]:
        """Fetch in this thread what a node wants; returns also what was done besides, "" if nothing.

        ``model`` says what the page shows, while bytes move. Raises what ``model_file.fetch`` raises, and
        StorageError if the budget has no room.
        """
        fetch = Fetch(model, model.folder_type, model.name, meter)

        @contextlib.contextmanager
        def room(size: int) -> Iterator[None]:
            with self._budget.reserve(wanted.target, size, meter, fetch.note):
                with self._changed:
                    fetch.status = RUNNING
                    self._of_nodes.append(fetch)
                    self._forget(fetch.key)
                try:
                    yield
                finally:
                    with self._changed:
                        self._of_nodes.remove(fetch)

        status = FAILED
        try:
            found = model_file.fetch(storage, wanted, meter, say, room)
            status = DONE
        except StorageError as error:
            status, fetch.failure = CANCELLED if isinstance(error, TransferCancelled) else FAILED, error
            raise
        finally:
            with self._changed:
                if fetch.status == RUNNING:
                    fetch.status = status
                    self._ended.append(fetch)
                    self._arrived[fetch.key] += status == DONE
        fetch.conclude()
        return found, fetch.text

    def _forget(self, key: Key) -> None:
        """Forget that an earlier fetch of a file has ended."""
        self._ended = deque((one for one in self._ended if one.key != key), ENDED_KEPT)

    # ------------------------------------------------------------ the threads

    def _work(self, fetch: Fetch) -> None:
        status = FAILED
        try:
            with fetch.meter.governs():
                self._wait_for_turn(fetch)
                self._fetch(fetch)
            status = DONE
        except TransferCancelled as error:
            status, fetch.failure = CANCELLED, error
        except StorageError as error:
            fetch.failure = error
        except Exception as error:  # the thread has no caller: the page and the node show it
            log.exception("A model could not be fetched")
            said = f"{type(error).__name__}: {error}"
            fetch.failure = StorageError(
                sentence(f"fetch {fetch.name!r}", fetch.folder_type, said, "Report this as a bug.")
            )
        with self._changed:
            fetch.status = status
            if self._running.get(fetch.key) is fetch:
                del self._running[fetch.key]
            self._arrived[fetch.key] += status == DONE
            if (
                fetch.for_page or fetch.waiting or status == DONE
            ):  # what failed ahead of a prompt is tried again
                self._ended.append(fetch)
            self._changed.notify_all()

    def _wait_for_turn(self, fetch: Fetch) -> None:
        with self._changed, fetch.meter.wakes(self._changed):
            while True:
                fetch.meter.check()
                running = sum(one.status == RUNNING for one in self._running.values())
                first = next((one for one in self._running.values() if one.status == WAITING), None)
                if fetch.waiting or (first is fetch and running < AT_ONCE):
                    fetch.status = RUNNING
                    self._changed.notify_all()
                    return
                self._changed.wait()

    def _fetch(self, fetch: Fetch) -> None:
        model = fetch.model
        member = self._catalogue.members.named(model.profile)
        if member is None:
            said = f"there is no profile {model.profile!r} any more"
            advice = "Refresh the list of models."
            raise NotFound(sentence(f"fetch {fetch.name!r}", fetch.folder_type, said, advice))
        file = model_folders.file_named(fetch.folder_type, fetch.name)
        if file.path.is_file():
            return  # it has appeared meanwhile, and is what loaders take
        storage = connect(member.profile)

        def room(size: int) -> contextlib.AbstractContextManager[None]:
            return self._budget.reserve(file.path, size, fetch.meter, fetch.note)

        try:
            model_file.fetch(storage, Wanted(model.key, file.path), fetch.meter, fetch.say, room)
        except NotFound as error:
            self._catalogue.refresh()
            said = f"it is no longer in the bucket, as {model.key!r}"
            advice = "Upload it again, or choose another model."
            raise NotFound(sentence(f"fetch {fetch.name!r}", storage.place, said, advice)) from error
        if instead := model_folders.taken_instead(file):
            fetch.note(instead)
        fetch.conclude()
        record = model_record.read(file.path)
        if record is not None:
            self._catalogue.note_sha256(model, record.etag, record.sha256)
