"""What IS_CHANGED answers for a node that reads from a bucket: the same while the cloud is the same.

ComfyUI calls IS_CHANGED before every run, with None for each linked input, waits for it, and writes the
answer into saved images. So: linked profiles are found in the running prompt, and what else comes by wires is
what they brought in the last run of the same prompt; the server gets a few seconds; an answer holds no
secret; and where the server stays silent the last answer stands, so that work done offline keeps its cache.
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
from ..errors import ConfigurationError, StorageError, TransferCancelled, Unreachable
from ..profile import Profile, resolve
from ..storage.base import Storage
from ..storage.connect import connect
from ..system import file_mark, thread_pool
from ..system.meter import Meter

ANSWER_SECONDS = 3.0
THREADS = 16
MEMORIES = 512  # of nodes in prompts; the one used longest ago is forgotten first
UNKNOWN = "unknown"
PROFILE_NODE = "CloudStorageProfile"

WIRED = object()  # stands for what comes by a wire
_DISK = object()  # stands for a profile where a local file is meant

State = Callable[[Storage, str, Any], str]


def given(*widgets: Hashable) -> Hashable:
    """What a node is told besides the key, for ``how``; None stands for a widget that is linked."""
    return WIRED if None in widgets else widgets


_lock = threading.Lock()


@dataclass(frozen=True)
class _Use:
    """What a call of a node reads: through which profile (its name and overrides), which key, and ``how``."""

    profile: Hashable
    key: Hashable
    how: Hashable = None

    def fits(self, other: _Use) -> bool:
        """Whether this may be the other, where that has WIRED parts."""
        pairs = ((self.profile, other.profile), (self.key, other.key), (self.how, other.how))
        return all(theirs is WIRED or ours == theirs for ours, theirs in pairs)


@dataclass
class _Memory:
    """What is known of a node in a prompt: its last answer, and what its last run used, each with its state.

    A list brings many uses in one run, from several threads; ``closed`` says that the next one noted belongs
    to a new run.
    """

    answer: str = UNKNOWN
    seen: dict[_Use, str] = field(default_factory=dict)
    before: dict[_Use, str] = field(default_factory=dict)  # that run
    closed: bool = True

    def note(self, use: _Use, seen: str | None) -> None:
        with _lock:
            if self.closed:
                self.before, self.seen, self.closed = self.seen, {}, False
            self.seen[use] = self.before.get(use, UNKNOWN) if seen is None else seen

    def compare(self, now: Mapping[_Use, str]) -> str:
        """The answer, another one if a state is. What is asked now comes last the next time."""
        if any(self.seen.get(use) != state for use, state in now.items()):
            self.seen.update(now)
            told = repr(sorted((repr(use), state) for use, state in self.seen.items()))
            self.answer = hashlib.sha256(told.encode()).hexdigest()[:16]
        for use in now:
            self.seen[use] = self.seen.pop(use)
        return self.answer


_memories: dict[tuple[str, str], _Memory] = {}


def _memory(node_id: str) -> _Memory:
    """That of the node and all that leads to it: the same node with other inputs is another one."""
    name = node_id, prompt.lineage(node_id)
    with _lock:
        memory = _memories[name] = _memories.pop(name) if name in _memories else _Memory()
        if len(_memories) > MEMORIES:
            del _memories[next(iter(_memories))]
        return memory


def remember(
    node_id: str | None, profile: Profile | None, key: str, seen: str | None, how: Hashable = None
) -> None:
    """Note at execution what a node really used, wires included, and the state of the cloud that it saw;
    None where it saw none and went by what it had.
    """
    if node_id is not None:
        used = _Use(_named(profile.name, profile.overrides) if profile else _named(), key, how)
        _memory(node_id).note(used, seen)


def answer(node_id: str | None, key: str | None, state: State, how: Hashable = None) -> str:
    """The value for IS_CHANGED of node ``node_id``; ``key`` is its widget's, None when wired, and ``how``
    what else decides on what it reads, WIRED where a part of that is.

    ``state(storage, key, how)`` describes what the node would read, for example by an ETag. Never raises;
    takes at most ANSWER_SECONDS: of what could not be asked in time, the last state stands.
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
        _memory(node_id).note(_Use(_DISK, path), file_mark.told(path))


def answer_of_files(node_id: str | None) -> str:
    """The value for IS_CHANGED of a node whose local files come by a wire: another one when they are."""
    memory = _memory(node_id or "")
    memory.closed = True
    return memory.compare({use: file_mark.told(Path(str(use.key))) for use in memory.seen})


# ------------------------------------------------------------ asking


def _states(uses: Sequence[_Use], state: State) -> dict[_Use, str]:
    """The states that could be had in time. An error but Unreachable is one too: execution will meet and show
    it.
    """
    found: list[tuple[_Use, str]] = []
    failures: list[Exception] = []
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
            except StorageError as error:
                found.append((use, type(error).__name__))

        return ask

    def work() -> None:
        try:
            with meter.governs():
                thread_pool.run(map(job, uses), min(THREADS, len(uses)))
        except Exception as error:  # noqa: BLE001  raised again by the caller's thread
            failures.append(error)

    if uses:
        thread = threading.Thread(target=work, name="cloud-storage", daemon=True)
        thread.start()
        thread.join(ANSWER_SECONDS)
        meter.stop()  # nobody waits any more for what is still asked
    if failures:
        raise failures[0]
    return dict(list(found))


# ------------------------------------------------------------ which profile


def _named(name: str = ENVIRONMENT, overrides: Mapping[str, str] | None = None) -> Hashable:
    return name, tuple(sorted((overrides or {}).items()))


def _profile(node_id: str | None) -> Hashable:
    """The profile that a node will get: the environment's without a wire, or that of the profile node it is
    wired to; WIRED where something else stands between, or the node is none of the prompt's own.
    """
    linked = prompt.linked_widgets(node_id, "profile")
    if linked is None:
        return _named() if prompt.is_of_prompt(node_id) else WIRED
    node_class, widgets = linked
    if node_class != PROFILE_NODE or any(isinstance(value, list) for value in widgets.values()):
        return WIRED
    name = str(widgets.get("profile") or ENVIRONMENT)
    overrides = {name: str(widgets[name]) for name, row in SETTINGS.items() if row.widget and name in widgets}
    try:  # the form in which it travels on a wire
        found = resolve(name, overrides, folders.profiles_file())
        return _named(found.name, found.overrides)
    except ConfigurationError:  # asking through it will come to the same
        return _named(name, overrides)
