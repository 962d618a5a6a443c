"""What IS_CHANGED answers for a node that reads from a bucket: the same while the cloud is the same.

ComfyUI calls IS_CHANGED before every run, with None for each linked input, waits for it, and writes the
answer into saved images. So: linked profiles are found in the running prompt, the server gets a few seconds,
an answer holds no secret, and where the server stays silent the last answer stands, so that work done offline
keeps its cache.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import host, workers
from .connect import connect
from .errors import StorageError, Unreachable
from .profile import Profile, resolve
from .settings import ENVIRONMENT, SETTINGS
from .storage import Storage

ANSWER_SECONDS = 3.0
THREADS = 8
UNKNOWN = "unknown"
PROFILE_NODE = "CloudStorageProfile"

T = TypeVar("T")


@dataclass
class _Memory:
    """What is known of one node: its last answer, and the profile and keys its last run used, each with its
    state.

    A wire may bring many keys in one run; ``closed`` says that the next key noted belongs to a new run.
    """

    answer: str = UNKNOWN
    profile: Profile | None = None
    seen: dict[str, str] = field(default_factory=dict)
    closed: bool = True


_memories: dict[str, _Memory] = {}


def remember(node_id: str | None, profile: Profile | None, key: str, seen: str) -> None:
    """Note at execution what a node really used, wires included, and the state of the cloud that it saw."""
    if node_id is None:
        return
    memory = _memories.setdefault(node_id, _Memory())
    if memory.closed:
        memory.seen, memory.closed = {}, False
    memory.profile = profile
    memory.seen[key] = seen


def answer(node_id: str | None, key: str | None, state: Callable[[Storage, str], str]) -> str:
    """The value for IS_CHANGED of node ``node_id``; ``key`` is its widget's, None when wired.

    ``state(storage, key)`` describes what the node would read, for example by an ETag. Never raises; takes at
    most ANSWER_SECONDS.
    """
    memory = _memories.setdefault(node_id or "", _Memory())
    memory.closed = True
    keys = list(memory.seen) if key is None else [key]
    try:
        profile = wired_profile(node_id, memory.profile)
        if profile is None or not keys:
            return memory.answer
        now = _within(ANSWER_SECONDS, lambda: _states(connect(profile), keys, state))
    except Unreachable:
        return memory.answer
    except (
        StorageError
    ) as error:  # execution will meet and show it; here it only counts that something is different
        now = dict.fromkeys(keys, type(error).__name__)
    if now != memory.seen:
        memory.answer = hashlib.sha256(repr(now).encode()).hexdigest()[:16]
        memory.seen = now
    return memory.answer


def _states(storage: Storage, keys: list[str], state: Callable[[Storage, str], str]) -> dict[str, str]:
    def job(key: str) -> Callable[[], str]:
        return lambda: state(storage, key)

    return dict(zip(keys, workers.run(map(job, keys), min(THREADS, len(keys))), strict=True))


def wired_profile(node_id: str | None, last: Profile | None) -> Profile | None:
    """The profile that a node will get: the environment's without a wire, that of the profile node it is
    wired to, or where something else stands between, the one of its last execution. Raises
    ConfigurationError.
    """
    linked = host.linked_widgets(node_id, "profile")
    file = host.profiles_file()
    if linked is None:
        return resolve(ENVIRONMENT, {}, file)
    node_class, widgets = linked
    if node_class != PROFILE_NODE or any(isinstance(value, list) for value in widgets.values()):
        return last
    overrides = {name: str(widgets[name]) for name, row in SETTINGS.items() if row.widget and name in widgets}
    return resolve(str(widgets.get("profile", ENVIRONMENT)), overrides, file)


def _within(seconds: float, operation: Callable[[], T]) -> T:
    """The result of ``operation``; Unreachable when it takes longer, which leaves its thread to end by
    itself.
    """
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append(operation())
        except Exception as error:  # noqa: BLE001  raised again by the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=work, name="cloud-storage", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Unreachable(
            f"The server did not answer within {seconds:g} seconds. The last known state stands."
        )
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]  # type: ignore[no-any-return]
