"""Answers IS_CHANGED of the nodes that read from a bucket: with the same text while the objects are
unchanged.

ComfyUI calls IS_CHANGED before every run, with None for each linked input, waits for the answer, and writes
it into saved images. So a linked profile is looked up in the running prompt, and other linked inputs are
assumed to be as in the last run of this prompt; the server has a few seconds to answer; an answer holds no
secret; and if the server does not answer, the last answer is repeated, so that ComfyUI's cache works offline.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..comfyui import folders, prompt
from ..config.profiles_file import ENVIRONMENT
from ..config.settings import SETTINGS
from ..errors import ConfigurationError, TransferCancelled, Unreachable
from ..profile import Profile, resolve
from ..storage.base import Storage
from ..storage.connect import connect
from ..system import thread_pool
from ..system.file_fingerprint import fingerprint_text
from ..system.meter import Meter

ANSWER_SECONDS = 3.0
THREADS = 16
MEMORIES = 512  # of nodes in prompts; the least recently used are dropped first
UNKNOWN = "unknown"
PROFILE_NODE = "CloudStorageProfile"

WIRED = object()  # in place of a value that comes by a wire
_DISK = object()  # in place of the profile, for a local file

State = Callable[[Storage, str, Any], str]


def given(*widgets: Hashable) -> Hashable:
    """The widgets besides the key that decide what is read, for ``how``; WIRED if one is linked (None)."""
    return WIRED if None in widgets else widgets


_lock = threading.Lock()


@dataclass(frozen=True)
class _Use:
    """What one call of a node reads: the profile's name and overrides, the key, and the widgets ``how``."""

    profile: Hashable
    key: Hashable
    how: Hashable = None

    def fits(self, other: _Use) -> bool:
        """Whether this is ``other``, whose WIRED parts match anything."""
        pairs = ((self.profile, other.profile), (self.key, other.key), (self.how, other.how))
        return all(theirs is WIRED or ours == theirs for ours, theirs in pairs)


@dataclass
class _Memory:
    """What is known of one node in one prompt: its last answer, and what its last run read, with the states.

    A list input gives many uses in one run, from several threads. ``closed``: the next use begins a new run.
    """

    answer: str = UNKNOWN
    seen: dict[_Use, str] = field(default_factory=dict)
    before: dict[_Use, str] = field(default_factory=dict)  # of the run before
    closed: bool = True

    def note(self, use: _Use, seen: str | None) -> None:
        with _lock:
            if self.closed:
                self.before, self.seen, self.closed = self.seen, {}, False
            self.seen[use] = self.before.get(use, UNKNOWN) if seen is None else seen

    def compare(self, now: Mapping[_Use, str]) -> str:
        """The answer, a new one if any state differs. The uses asked now are asked last the next time."""
        if any(self.seen.get(use) != state for use, state in now.items()):
            self.seen.update(now)
            told = repr(sorted((repr(use), state) for use, state in self.seen.items()))
            self.answer = hashlib.sha256(told.encode()).hexdigest()[:16]
        for use in now:
            self.seen[use] = self.seen.pop(use)
        return self.answer


_memories: dict[tuple[str, str], _Memory] = {}


def _memory(node_id: str) -> _Memory:
    """The memory of a node together with all nodes that lead to it: with other inputs it is another one."""
    name = node_id, prompt.lineage(node_id)
    with _lock:
        memory = _memories[name] = _memories.pop(name) if name in _memories else _Memory()
        if len(_memories) > MEMORIES:
            del _memories[next(iter(_memories))]
        return memory


def remember(
    node_id: str | None, profile: Profile | None, key: str, seen: str | None, how: Hashable = None
) -> None:
    """Record at execution what a node really reads, wired inputs included, and the state that it ``seen``: an
    ETag or the like, None if it used a local copy that nobody could confirm.
    """
    if node_id is not None:
        used = _Use(_named(profile.name, profile.overrides) if profile else _named(), key, how)
        _memory(node_id).note(used, seen)


def answer(node_id: str | None, key: str | None, state: State, how: Hashable = None) -> str:
    """The answer for the node ``node_id``. ``key`` is its widget, None if wired; ``how`` is of ``given``.

    ``state(storage, key, how)`` returns a text for what the node would read, for example an ETag. Never
    raises. Takes at most ANSWER_SECONDS: what does not answer in time counts as unchanged.
    """
    memory = _memory(node_id or "")
    memory.closed = True
    asked = _Use(_profile(node_id), WIRED if key is None else key, how)
    is_known = WIRED not in (asked.profile, asked.key, asked.how)
    uses = [asked] if is_known else [use for use in memory.seen if use.fits(asked)]
    return memory.compare(_states(uses, state))


def remember_file(node_id: str | None, path: Path) -> None:
    """Note at execution which local file a node read."""
    if node_id is not None:
        _memory(node_id).note(_Use(_DISK, path), fingerprint_text(path))


def answer_of_files(node_id: str | None) -> str:
    """The answer for a node whose local files come by a wire: a new one if any of them has changed."""
    memory = _memory(node_id or "")
    memory.closed = True
    return memory.compare({use: fingerprint_text(Path(str(use.key))) for use in memory.seen})


# ------------------------------------------------------------ asking


def _states(uses: Sequence[_Use], state: State) -> dict[_Use, str]:
    """The states that arrived in time. An error counts as a state, unless the server could not be reached."""
    found: list[tuple[_Use, str]] = []
    meter = Meter()
    file = folders.profiles_file()

    @functools.cache
    def storage(name: str, overrides: tuple[tuple[str, str], ...]) -> Storage:
        return connect(resolve(name, dict(overrides), file))

    def job(use: _Use) -> Callable[[], None]:
        def ask() -> None:
            try:
                found.append((use, state(storage(*use.profile), str(use.key), use.how)))  # type: ignore[misc]
            except (Unreachable, TransferCancelled):
                pass
            except Exception as error:  # noqa: BLE001  the node will meet it too when it runs, and show it
                found.append((use, type(error).__name__))

        return ask

    def work() -> None:
        with meter.governs():
            thread_pool.run(map(job, uses), min(THREADS, len(uses)))

    if uses:
        thread = threading.Thread(target=work, name="cloud-storage", daemon=True)
        thread.start()
        thread.join(ANSWER_SECONDS)
        meter.stop()  # ends the requests that are still waiting
    return dict(list(found))


# ------------------------------------------------------------ which profile


def _named(name: str = ENVIRONMENT, overrides: Mapping[str, str] | None = None) -> Hashable:
    return name, tuple(sorted((overrides or {}).items()))


def _profile(node_id: str | None) -> Hashable:
    """The profile that a node will get: the default one without a wire, else that of the linked profile node.
    WIRED if another node is between them, or if the prompt does not have the node (graph expansion).
    """
    linked = prompt.linked_widgets(node_id, "profile")
    if linked is None:
        return _named() if prompt.is_of_prompt(node_id) else WIRED
    node_class, widgets = linked
    if node_class != PROFILE_NODE or any(isinstance(value, list) for value in widgets.values()):
        return WIRED
    name = str(widgets.get("profile") or ENVIRONMENT)
    overrides = {name: str(widgets[name]) for name, row in SETTINGS.items() if row.widget and name in widgets}
    try:  # as the profile node gives it on
        found = resolve(name, overrides, folders.profiles_file())
        return _named(found.name, found.overrides)
    except ConfigurationError:  # asking the server will meet the same error
        return _named(name, overrides)
