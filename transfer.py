"""Bytes between a bucket and this machine's disk, and the node's thread that watches them travel.

SDK threads only count bytes and look at a flag; the node's own coroutine draws the progress and polls for
Cancel. An exception raised inside an SDK's callback would be lost or retried, and the file truncated.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from . import workers
from .durable import write_all
from .errors import IntegrityError, StorageError, sentence
from .lanes import FIRST, MOST, Lanes
from .storage import Meter, ObjectInfo, Storage

T = TypeVar("T")

TICK_SECONDS = 0.1
HEED_SECONDS = 0.01  # a sampler takes the sign of Cancel away at its next step
GRACE_SECONDS = 0.8  # that a cancelled transfer gets to clean up before the node ends without it
SINGLE_MAX_BYTES = 8 << 20  # up to this size one request reads the whole object
# What one request asks for: much, for few round trips; less at first, so that it is soon known how many at
# once are worth it, and less towards the end, so that all end together
RANGE_MIN_BYTES, RANGE_MAX_BYTES = 16 << 20, 64 << 20
RANGES_FIRST = 2 * FIRST  # that are small
RANGES_LEFT = 12  # that the rest is always cut into
NOTE_BYTES = 1 << 20  # of a range between two notes of what has arrived


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


def download(storage: Storage, key: str, target: Path, meter: Meter) -> ObjectInfo:
    """Write the object to ``target``: whole and checked, or not at all.

    Large objects come in parallel ranges, each guarded by the ETag, into a temporary file beside ``target``
    that is renamed at the end and removed on any failure. The size is always compared, the sha256 where the
    object's metadata has one. Raises NotFound, Changed, IntegrityError, Unreachable, TransferCancelled,
    OSError for the disk.
    """
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        info = _fetch(storage, key, part, meter)
        if part.stat().st_size != info.size:
            raise IntegrityError(
                f"Could not download {key!r} ({storage.place}): "
                f"{part.stat().st_size} of {info.size} bytes arrived. Run the node again."
            )
        if info.sha256 and file_sha256(part, meter) != info.sha256:
            raise IntegrityError(
                f"Could not download {key!r} ({storage.place}): the bytes are not those that "
                "were uploaded, their sha256 differs. Run the node again; if it stays, upload it anew."
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return info


def _fetch(storage: Storage, key: str, part: Path, meter: Meter) -> ObjectInfo:
    info, chunks = storage.stream(key, 0, SINGLE_MAX_BYTES, None, meter)
    meter.expect(info.size)
    with part.open("xb", buffering=0) as file:
        for chunk in chunks:
            write_all(file, chunk)
        file.truncate(info.size)
    fetch_ranges(storage, info, part, ranges(SINGLE_MAX_BYTES, info.size), meter)
    return info


def ranges(start: int, stop: int) -> list[range]:
    """Bytes ``start`` to ``stop`` in pieces to ask for, in their order."""
    pieces: list[range] = []
    while start < stop:
        most = RANGE_MAX_BYTES if len(pieces) >= RANGES_FIRST else RANGE_MIN_BYTES
        step = min(max((stop - start) // RANGES_LEFT, RANGE_MIN_BYTES), most)
        pieces.append(range(start, min(start + step, stop)))
        start += step
    return pieces


def fetch_ranges(
    storage: Storage,
    info: ObjectInfo,
    part: Path,
    wanted: Sequence[range],
    meter: Meter,
    arrived: Callable[[int, int], object] = lambda start, stop: None,
) -> None:
    """Write those ranges of exactly this version of the object into a file of its size, side by side.

    ``arrived(start, stop)`` is called, by several threads at once, for bytes that have been written: every
    NOTE_BYTES, at the end of a range, and for what a range that fails has got so far. Raises Changed when the
    object is another one by now, else as ``Storage.stream`` does, and OSError for the disk.
    """
    own = meter.part()

    def job(piece: range) -> Callable[[], None]:
        def fetch() -> None:
            noted = written = piece.start
            with own.governs(), part.open("r+b", buffering=0) as file:
                file.seek(piece.start)
                try:
                    for chunk in storage.stream(info.key, piece.start, piece.stop, info.etag, own)[1]:
                        write_all(file, chunk)
                        written += len(chunk)
                        if written - noted >= NOTE_BYTES:
                            arrived(noted, written)
                            noted = written
                finally:
                    if written > noted:
                        arrived(noted, written)
            if written < piece.stop:
                said = f"its end came after {written} of {info.size} bytes"
                advice = "Run the node again; if it stays, look at what stands between here and the server."
                raise IntegrityError(sentence(f"download {info.key!r}", storage.place, said, advice))

        return fetch

    def jobs() -> Iterator[Callable[[], None]]:
        for piece in wanted:
            own.check()
            yield job(piece)

    if wanted:
        lanes = Lanes(lambda: own.done, min(MOST, len(wanted)))
        workers.run(jobs(), lanes, on_failure=own.stop)
    meter.check()


def file_sha256(path: Path, meter: Meter) -> str:
    """The hexadecimal sha256 of a file, stopped by ``meter``."""
    return file_digest(path, "sha256", meter)


def file_digest(path: Path, algorithm: str, meter: Meter) -> str:
    """The hexadecimal digest of a file by an algorithm of ``hashlib``, stopped by ``meter``."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            meter.check()
            digest.update(block)
    return digest.hexdigest()
