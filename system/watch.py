"""Run an operation in a thread of its own while the node's coroutine draws progress and checks for Cancel.

The threads of an SDK only count bytes and check a flag. An exception raised inside a callback of an SDK
would be lost or retried, and the file truncated.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar, Generic, TypeVar

from ..errors import StorageError
from .meter import Meter

T = TypeVar("T")
TICK_SECONDS = 0.1
CANCEL_POLL_SECONDS = 0.01  # a sampler clears ComfyUI's interrupt flag at its next step
GRACE_SECONDS = 0.8  # for a cancelled operation to clean up before the node ends without it


class _Operation(Generic[T]):
    """An operation in a thread of its own, seen from the coroutine that waits for it."""

    running: ClassVar[set[_Operation[Any]]] = set()

    def __init__(self, work: Callable[[], T], meter: Meter, tick: Callable[[Meter], None]) -> None:
        self.ended = asyncio.Event()
        self.result: Future[T] = Future()
        self.is_cancelled = False  # by the user, as the polling thread has seen
        self._work, self._meter, self._tick = work, meter, tick
        self._loop = asyncio.get_running_loop()
        self._interruption: BaseException | None = None  # raised by the tick of another operation
        self._closed = threading.Event()

    def start(self, is_cancelled: Callable[[], bool] | None) -> None:
        self.running.add(self)
        threading.Thread(target=self._run, name="cloud-storage", daemon=True).start()
        if is_cancelled is not None:
            poll = functools.partial(self._poll, is_cancelled)
            threading.Thread(target=poll, name="cloud-storage-cancel", daemon=True).start()

    def _run(self) -> None:
        try:
            with self._meter.governs():
                self.result.set_result(self._work())
        except BaseException as error:  # noqa: BLE001  raised again in the node's thread
            self.result.set_exception(error)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self.ended.set)

    def _poll(self, is_cancelled: Callable[[], bool]) -> None:
        while not self._closed.wait(CANCEL_POLL_SECONDS):
            if is_cancelled():
                self.is_cancelled = True
                self._meter.stop()
                return

    async def wait(self, seconds: float) -> None:
        """Wait for the end of the operation, ``seconds`` at most."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)

    def tick(self) -> None:
        """Call ``tick``; raises what it raises, or what it has raised for another operation."""
        if self._interruption is not None:
            raise self._interruption
        try:
            self._tick(self._meter)
        except StorageError:  # a time limit of this operation alone
            raise
        except BaseException as interruption:
            for other in self.running:
                if other._loop is self._loop:
                    other._interruption = interruption
            raise

    def close(self) -> None:
        self._closed.set()
        self.running.discard(self)


async def run_in_thread(
    work: Callable[[], T],
    meter: Meter,
    tick: Callable[[Meter], None],
    *,
    finish_unless: Callable[[], bool] | None = None,
) -> T:
    """Run ``work`` in a thread of its own, and call ``tick`` in this one about every TICK_SECONDS.

    ``tick`` draws progress and raises when the user cancels. After any exception ``meter`` is stopped,
    ``work`` has GRACE_SECONDS to clean up, and the exception is raised; if the network does not answer in
    that time, the thread cleans up later. What ``tick`` raises ends all operations of this event loop:
    ComfyUI reports Cancel only to the first that asks (comfy/model_management.py), and the user cancels the
    whole prompt. Only a StorageError of ``tick`` ends this operation alone.

    When another node fails, ComfyUI cancels this coroutine. With ``finish_unless`` the operation is completed
    first, so that an image is not lost because of another node. ComfyUI does the same when a sampler, which
    had blocked the event loop, has met Cancel: so a second thread asks ``finish_unless``, which says whether
    the user cancels, as long as the operation lasts.
    """
    operation = _Operation(work, meter, tick)
    operation.start(finish_unless)
    cancelled: asyncio.CancelledError | None = None
    try:
        while not operation.ended.is_set():
            try:
                await operation.wait(TICK_SECONDS)
            except asyncio.CancelledError as error:
                if finish_unless is None or operation.is_cancelled or cancelled is not None:
                    raise
                cancelled = error
            operation.tick()  # after the end as well: perhaps it was Cancel that ended it
    except BaseException:
        meter.stop()
        await operation.wait(GRACE_SECONDS)
        raise
    finally:
        operation.close()
    if cancelled is not None:
        raise cancelled
    return operation.result.result()
