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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from . import workers
from .errors import IntegrityError
from .storage import Meter, ObjectInfo, Storage

T = TypeVar("T")

TICK_SECONDS = 0.1
GRACE_SECONDS = 0.8  # that a cancelled transfer gets to clean up before the node ends without it
SINGLE_MAX_BYTES = 8 << 20  # up to this size one request reads the whole object
RANGE_BYTES = 32 << 20
THREADS = 4


async def watched(
    operation: Callable[[], T], meter: Meter, tick: Callable[[Meter], None], *, finish: bool = False
) -> T:
    """Run ``operation`` in a thread of its own and call ``tick`` about every TICK_SECONDS in this one.

    ``tick`` draws progress and raises when the user cancels. On any exception ``meter`` is stopped, the
    clean-up gets GRACE_SECONDS, and the exception goes on; where the network does not answer even then, the
    thread cleans up by itself later. ComfyUI cancels this coroutine when another node fails: with ``finish``
    the operation is completed first, so that an image already made is not lost because of its neighbour.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    result: list[T] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            result.append(operation())
        except BaseException as error:  # noqa: BLE001  raised again below, in the node's thread
            failure.append(error)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=work, name="cloud-storage", daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    try:
        while not ended.is_set():
            try:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), TICK_SECONDS)
            except asyncio.CancelledError as error:
                if not finish or cancelled is not None:
                    raise
                cancelled = error
            tick(meter)
    except BaseException:
        meter.stop()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(ended.wait(), GRACE_SECONDS)
        raise
    if cancelled is not None:
        raise cancelled
    if failure:
        raise failure[0]
    return result[0]


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
            file.write(chunk)
        file.truncate(info.size)
    rest = range(SINGLE_MAX_BYTES, info.size, RANGE_BYTES)
    own = meter.part()

    def job(start: int) -> Callable[[], None]:
        def fetch() -> None:
            stop = min(start + RANGE_BYTES, info.size)
            with part.open("r+b", buffering=0) as file:
                file.seek(start)
                for chunk in storage.stream(key, start, stop, info.etag, own)[1]:
                    file.write(chunk)

        return fetch

    def jobs() -> Iterator[Callable[[], None]]:
        for start in rest:
            own.check()
            yield job(start)

    if rest:
        workers.run(jobs(), min(THREADS, len(rest)), on_failure=own.stop)
    meter.check()
    return info


def file_sha256(path: Path, meter: Meter) -> str:
    """The hexadecimal sha256 of a file, stopped by ``meter``."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(1 << 20):
            meter.check()
            digest.update(block)
    return digest.hexdigest()
