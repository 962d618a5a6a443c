"""Makes a folder of the bucket like a folder of this machine, or the other way round.

First both are listed and compared, then files are moved: large ones a few at a time, each over several
connections, small ones many at a time. A file that fails does not stop the others. A run that is stopped at
any point is completed by the next one, which moves only what is missing.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..errors import Scope, StorageError, TransferCancelled, disk_errors
from ..system import thread_pool
from ..system.concurrency import AdaptiveConcurrency
from ..system.meter import Meter
from . import local_files, transfer
from . import plan as plans
from .history import History
from .plan import DELETED, FAILED, Plan, Result, Transfer

LARGE_AT_ONCE = 4  # while some are read for their checksum or synced to disk, the others move
DELETE_THREADS = 8
FAILURES_MAX = 8  # of the whole bucket one after another, without a success between; then it is given up

plan_upload, plan_download = plans.upload, plans.download
one_upload, one_download = plans.one_upload, plans.one_download


@dataclass
class Outcome:
    """What became of every file, by their names. ``bytes`` is how many were moved."""

    results: list[Result] = field(default_factory=list)
    bytes: int = 0

    @property
    def failed(self) -> list[Result]:
        return [result for result in self.results if result.status == FAILED]

    def count(self, status: str) -> int:
        return sum(result.status == status for result in self.results)

    def words(self) -> str:
        """A sentence that counts the files."""
        return plans.words(self.results)


def run(
    plan: Plan | Sequence[Plan],
    meter: Meter,
    report: Callable[[Result], object] = lambda result: None,
    say: Callable[[str], object] = lambda text: None,
) -> Outcome:
    """Do what a plan says, or several at once. ``report`` is called for each file, by any thread.

    A file that fails is a Result. Raises TransferCancelled, and StorageError if a whole bucket cannot be
    used.
    """
    all_plans = [plan] if isinstance(plan, Plan) else list(plan)
    meter.expect(sum(one.bytes for one in all_plans))
    with contextlib.ExitStack() as stack:
        stack.enter_context(meter.governs())
        running = _Run(meter, report, say)
        sides = [_Sides(one, stack.enter_context(_history(one)), _targets(one)) for one in all_plans]
        for one in all_plans:
            for result in (*one.unchanged, *one.refused):
                running.done(result)
        jobs: dict[bool, list[Callable[[], None]]] = {True: [], False: []}
        for side in sides:
            for transfer_ in side.plan.transfers:
                is_large = side.plan.size(transfer_) > transfer.LARGE_BYTES
                jobs[is_large].append(functools.partial(running.move, side, transfer_))
        thread_pool.run(jobs[True], min(LARGE_AT_ONCE, max(1, len(jobs[True]))))
        if jobs[False]:
            concurrency = AdaptiveConcurrency(
                lambda: meter.done, len(jobs[False]), refused=lambda: meter.refusals
            )
            thread_pool.run(jobs[False], concurrency)
        deletions = [
            functools.partial(running.delete, one, result) for one in all_plans for result in one.deletions
        ]
        thread_pool.run(deletions, min(DELETE_THREADS, max(1, len(deletions))))
        return Outcome(plans.by_name(running.results), running.bytes)


def _history(plan: Plan) -> History:
    return History(plan.options.state, plan.storage, plan.prefix, plan.folder)


def _targets(plan: Plan) -> local_files.Targets:
    return local_files.Targets(plan.folder)


@dataclass(frozen=True)
class _Sides:
    """What the transfers of one plan share."""

    plan: Plan
    history: History
    targets: local_files.Targets


class _Run:
    """One run. Any thread may call any method."""

    def __init__(
        self, meter: Meter, report: Callable[[Result], object], say: Callable[[str], object]
    ) -> None:
        self.results: list[Result] = []
        self.bytes = 0
        self._meter, self._report, self._say = meter, report, say
        self._lock = threading.Lock()
        self._failures = 0

    def done(self, result: Result) -> None:
        with self._lock:
            self.results.append(result)
            if result.status in plans.MOVED:
                self.bytes += result.size
        self._report(result)

    def move(self, sides: _Sides, one: Transfer) -> None:
        """Move one file. Raises TransferCancelled, and the error of a bucket that cannot be used."""
        self._meter.check()
        plan = sides.plan
        try:
            if plan.is_upload:
                moved = transfer.upload(plan, one, self._meter, self._say)
            else:
                moved = transfer.download(plan, one, sides.targets, self._meter, self._say)
        except TransferCancelled:
            raise
        except StorageError as error:
            self._meter.expect(-plan.size(one))
            self._failed(Result(one.name, FAILED, one.path, one.key, error=str(error)), error)
            return
        self._failures = 0
        if moved.result.info is not None:
            sides.history.add(one.name, moved.file, moved.result.info.etag)
        self.done(moved.result)

    def delete(self, plan: Plan, planned: Result) -> None:
        """Remove one file or object of the target. Raises as ``move``."""
        self._meter.check()
        try:
            if plan.is_upload:
                plan.storage.delete(planned.key)
            else:
                with disk_errors("delete a file", planned.path, "Check the folder's permissions."):
                    planned.path.unlink(missing_ok=True)
        except TransferCancelled:
            raise
        except StorageError as error:
            self._failed(replace(planned, status=FAILED, error=str(error)), error)
            return
        self._failures = 0
        self.done(replace(planned, status=DELETED))

    def _failed(self, result: Result, error: StorageError) -> None:
        """Report a failure. Raises it if so many files one after another failed for the whole bucket."""
        self.done(result)
        if error.scope is Scope.ALL:
            with self._lock:
                self._failures += 1
                if self._failures < FAILURES_MAX:
                    return
            raise error
