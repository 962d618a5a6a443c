"""Which models the prompts of the queue name: what to fetch for them, and what must not be removed."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..comfyui import folders, model_folders
from ..comfyui.prompt_queue import QueuedPrompt
from ..errors import ConfigurationError
from .loader_row import NAME, STANDS_FOR, WITHIN
from .named_models import Added, Downloaded, Named, added_models, downloaded, in_prompt, stem

EXPECTED = 64  # prompts that were posted last, which may not be in the queue yet
EXPECTED_SECONDS = 20.0  # after which a prompt that is not in the queue has been refused


@dataclass(frozen=True)
class _Names:
    """What one prompt names: by its loaders, by the nodes that were added to it, and by Download Model."""

    named: tuple[Named, ...]
    added: tuple[Added, ...]
    downloaded: tuple[Downloaded, ...]

    @staticmethod
    def of(nodes: Mapping[str, Any]) -> _Names:
        return _Names(tuple(in_prompt(nodes)), tuple(added_models(nodes)), tuple(downloaded(nodes)))

    def paths(self) -> Iterator[Path]:
        """The files of this machine that the prompt may load."""
        for added in self.added:
            yield from _existing(added.folder_type, added.name)
            if added.is_word:
                yield from _of_word(added.folder_type, added.name)
        for wanted in self.downloaded:
            with contextlib.suppress(ConfigurationError):  # the node says what is wrong
                path = model_folders.file_of(wanted.folder_type, wanted.key, wanted.subfolder).path
                if path.is_file():
                    yield path
        for one in self.named:
            for folder_type in one.row.types:
                if one.row.kind in (NAME, WITHIN):
                    yield from _existing(folder_type, one.name)
                elif one.row.kind == STANDS_FOR:
                    for name in _listed(folder_type):
                        if name.startswith(one.name):
                            yield from _existing(folder_type, name)
                else:
                    yield from _of_word(folder_type, one.name)


def _existing(folder_type: str, name: str) -> Iterator[Path]:
    path = folders.model_path(folder_type, name)
    if path is not None:
        yield path


def _of_word(folder_type: str, word: str) -> Iterator[Path]:
    for name in _listed(folder_type):
        if stem(name) == stem(word):
            yield from _existing(folder_type, name)


def _listed(folder_type: str) -> list[str]:
    try:
        return folders.model_names(folder_type)
    except (KeyError, OSError):  # a type that is not registered, or a folder that was deleted
        return []


class QueuedModels:
    """The models of the queue. Any thread may call any method."""

    def __init__(self, queue: Callable[[], list[QueuedPrompt]]) -> None:
        """``queue`` returns the prompts in the order in which they run."""
        self._queue = queue
        self._lock = threading.Lock()
        self._posted: deque[tuple[float, Mapping[str, Any]]] = deque(maxlen=EXPECTED)
        self._version = 0  # counts what was posted
        self._names: dict[str, _Names] = {}  # of the prompts in the queue, by their ids
        self._noted: set[str] = set()  # the ids of those whose use is recorded
        self._held: dict[Path, frozenset[str]] = {}  # files in use, with the ids of prompts

    def posted(self, nodes: Mapping[str, Any]) -> None:
        """Note a prompt that may be in the queue soon: what it names is in use from now on."""
        with self._lock:
            self._posted.append((time.monotonic(), nodes))
            self._version += 1

    def changed(self, nodes: Mapping[str, Any], into: Mapping[str, Any]) -> None:
        """Note that a posted prompt will be in the queue with other nodes."""
        with self._lock:
            entries = [(at, into if one is nodes else one) for at, one in self._posted]
            self._posted = deque(entries, EXPECTED)

    def is_expecting(self) -> bool:
        """Return whether a prompt was posted a moment ago."""
        return any(True for _ in self._expected())

    def wanted(self) -> list[list[tuple[str, str]]]:
        """Return, for each prompt in the order in which they run, folder type and name of what its added
        nodes fetch.
        """
        return [
            [(one.folder_type, one.name) for one in names.added if not one.is_word]
            for names in self._in_queue().values()
        ]

    def ids(self) -> frozenset[str]:
        """Return the ids of the prompts in the queue."""
        return frozenset(self._in_queue())

    def new_uses(self) -> set[Path]:
        """Return the files named by prompts that came into the queue since this was called last."""
        found: set[Path] = set()
        for prompt_id, names in self._in_queue().items():
            if prompt_id not in self._noted:
                self._noted.add(prompt_id)
                found.update(names.paths())
        return found

    def paths(self) -> set[Path]:
        """Return the files that the queue names or holds, and those of the prompts that may be in it soon;
        links resolved.
        """
        expected = [_Names.of(nodes) for nodes in self._expected()]
        queued = self._in_queue()
        found = {path.resolve() for names in (*queued.values(), *expected) for path in names.paths()}
        with self._lock:
            self._held = {path: ids for path, ids in self._held.items() if not ids.isdisjoint(queued)}
            return found | set(self._held)

    def hold(self, path: Path, prompt_ids: Iterable[str]) -> None:
        """Count a file as named by these prompts, as long as one of them is in the queue: a node of theirs
        uses it, and only that node knows its name.
        """
        path = path.resolve()
        with self._lock:
            self._held[path] = self._held.get(path, frozenset()).union(prompt_ids)
            self._version += 1

    @contextlib.contextmanager
    def unless_named(self, path: Path) -> Iterator[bool]:
        """Yield whether no prompt names a file; none can be posted within the block, so that it may go."""
        while True:
            version = self._version
            is_named = path.resolve() in self.paths()
            with self._lock:
                if self._version == version:
                    yield not is_named
                    return

    def _expected(self) -> Iterator[Mapping[str, Any]]:
        too_old = time.monotonic() - EXPECTED_SECONDS
        with self._lock:
            while self._posted and self._posted[0][0] < too_old:
                self._posted.popleft()  # a prompt may hold pictures
            return iter([nodes for _, nodes in self._posted])

    def _in_queue(self) -> dict[str, _Names]:
        """What the prompts of the queue name, in their order; each prompt is searched once."""
        prompts = self._queue()
        found = {
            one.prompt_id: self._names.get(one.prompt_id) or _Names.of(one.nodes)
            for one in prompts
            if isinstance(one.nodes, Mapping)
        }
        with self._lock:
            there = [one.nodes for one in prompts]
            self._posted = deque((one for one in self._posted if one[1] not in there), EXPECTED)
            self._names = found
            self._noted &= set(found)
        return found
