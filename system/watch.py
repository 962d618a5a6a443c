"""One operation in a thread of its own, watched by the node's coroutine.

SDK threads only count bytes and look at a flag; the node's own coroutine draws the progress and polls for
Cancel. An exception raised inside an SDK's callback would be lost or retried, and the file truncated.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import StorageError
from .meter import Meter

T = TypeVar("T")
TICK_SECONDS = 0.1
HEED_SECONDS = 0.01  # a sampler takes the sign of Cancel away at its next step
GRACE_SECONDS = 0.8  # that a cancelled transfer gets to clean up before the node ends without it


class _Watch(Generic[T]):
    """One operation in a thread of its own, seen from the node's coroutine."""

    under_way: ClassVar[set[_Watch[Any]]] = set()

    def __init__(self, operation: Callable[[], T], meter: Meter, tick: Callable[[Meter], None]) -> None:
        self.ended = asyncio.Event()
        self.is_cancelled = False  # by the user, as was noticed beside the event loop
        self._operation, self._meter, self._tick = operation, meter, tick
        self._loop = asyncio.get_running_loop()
        self._interruption: BaseException | None = None  # that another one's ``tick`` has met
        self._result: list[T] = []
        self._failure: BaseException | None = None
        self._over = threading.Event()

    def begin(self, is_cancelled: Callable[[], bool] | None) -> None:
        self.under_way.add(self)
        threading.Thread(target=self._work, name="cloud-storage", daemon=True).start()
        if is_cancelled is not None:
            heed = threading.Thread(
                target=self._heed, args=(is_cancelled,), name="cloud-storage-cancel", daemon=True
            )
            heed.start()

    def _work(self) -> None:
        try:
            with self._meter.governs():
                self._result.append(self._operation())
        except BaseException as error:  # noqa: BLE001  raised again in the node's thread
            self._failure = error
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self.ended.set)

    def _heed(self, is_cancelled: Callable[[], bool]) -> None:
        while not self._over.wait(HEED_SECONDS):
            if is_cancelled():
                self.is_cancelled = True
                self._meter.stop()
                return

    def look(self) -> None:
        """Tick; raises what that raises, or what it has raised for another operation."""
        if self._interruption is not None:
            raise self._interruption
        try:
            self._tick(self._meter)
        except StorageError:  # this one takes too long, which is no matter of the others
            raise
        except BaseException as interruption:
            for other in self.under_way:
                if other._loop is self._loop:
                    other._interruption = interruption
            raise

    def end(self) -> None:
        self._over.set()
        self.under_way.discard(self)

    def outcome(self) -> T:
        if self._failure is not None:
            raise self._failure
        return self._result[0]


async def watched(
    operation: Callable[[], T],
    meter: Meter,
    tick: Callable[[Meter], None],
    *,
    finish_unless: Callable[[], bool] | None = None,
) -> T:
    """Run ``operation`` in a thread of its own and call ``tick`` about every TICK_SECONDS in this one.

    ``tick`` draws progress and raises when the user cancels. On any exception ``meter`` is stopped, the
    clean-up gets GRACE_SECONDS, and the exception goes on; where the network does not answer even then, the
    thread cleans up by itself later. What ``tick`` raises ends all operations under watch in this event loop:
    ComfyUI tells of Cancel only whoever asks first (comfy/model_management.py), and all items of a list, and
    nodes beside each other, belong to what the user cancels. A StorageError of ``tick`` ends this one alone.

    ComfyUI cancels this coroutine when another node fails: with ``finish_unless`` the operation is completed
    first, so that an image already made is not lost because of its neighbour. It does so as well when another
    node has met Cancel and ended the prompt, a sampler that had held up the event loop: so ``finish_unless``,
    whether the user cancels, is asked by a thread beside it as long as the operation lasts.
    """
    watch = _Watch(operation, meter, tick)
    watch.begin(finish_unless)
    cancelled: asyncio.CancelledError | None = None
    try:
        while not watch.ended.is_set():
            try:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(watch.ended.wait(), TICK_SECONDS)
            except asyncio.CancelledError as error:
                if finish_unless is None or watch.is_cancelled or cancelled is not None:
                    raise
                cancelled = error
            watch.look()  # after the end as well: it may be Cancel that has ended it
    except BaseException:
        meter.stop()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(watch.ended.wait(), GRACE_SECONDS)
        raise
    finally:
        watch.end()
    if cancelled is not None:
        raise cancelled
    return watch.outcome()
