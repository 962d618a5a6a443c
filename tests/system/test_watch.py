"""An operation in a thread, watched by a coroutine: its result, progress, Cancel, and failing neighbours."""

from __future__ import annotations

import asyncio
import functools
import threading

import pytest
from cloud_storage import errors
from cloud_storage.errors import TransferCancelled
from cloud_storage.system import watch
from cloud_storage.system.meter import Meter


class Cancelled(BaseException):
    """Stands for the host's interrupt, which is no Exception in new cores."""


def quiet(meter):
    pass


def never():
    """Whether the user cancels."""
    return False


def test_the_result_of_the_thread_comes_back():
    async def main():
        return await watch.run_in_thread(threading.current_thread, Meter(), quiet)

    assert asyncio.run(main()) is not threading.current_thread()


def test_an_error_of_the_thread_is_raised_as_it_is():
    error = ValueError("as it is")

    def fail():
        raise error

    with pytest.raises(ValueError, match="as it is") as raised:
        asyncio.run(watch.run_in_thread(fail, Meter(), quiet))
    assert raised.value is error


def test_the_tick_sees_the_meter_while_the_thread_works():
    seen = threading.Event()
    meter = Meter()

    def work():
        meter.add(7)
        seen.wait()

    def tick(meter):
        if meter.done == 7:
            seen.set()

    asyncio.run(watch.run_in_thread(work, meter, tick))


def test_cancel_stops_the_meter_waits_for_the_clean_up_and_is_raised():
    meter, cleaned, running = Meter(), [], threading.Event()

    def work():
        running.set()
        try:
            meter.wait(60)
        finally:
            cleaned.append(True)

    def tick(meter):
        if running.is_set():
            raise Cancelled

    with pytest.raises(Cancelled):
        asyncio.run(watch.run_in_thread(work, meter, tick))
    assert meter.stopped
    assert cleaned == [True]


def test_cancel_does_not_wait_for_a_network_that_is_silent():
    silent = threading.Event()

    def tick(meter):
        raise Cancelled

    with pytest.raises(Cancelled):
        asyncio.run(watch.run_in_thread(silent.wait, Meter(), tick))
    assert not silent.is_set()
    silent.set()


@pytest.mark.parametrize("finish", [never, None])
def test_what_one_of_several_is_told_of_cancel_ends_them_all(finish):
    """ComfyUI tells it once."""
    under_way, meters, told = threading.Barrier(3), [Meter() for _ in range(3)], []

    def tick(meter):
        if under_way.broken and not told:
            told.append(meter)
            raise Cancelled

    def work(meter):
        under_way.wait()
        under_way.abort()
        meter.wait(60)
        meter.check()

    async def main():
        calls = [
            watch.run_in_thread(functools.partial(work, one), one, tick, finish_unless=finish)
            for one in meters
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    assert [type(one) for one in asyncio.run(main())] == [Cancelled] * 3
    assert len(told) == 1
    assert all(meter.stopped for meter in meters)


def test_what_takes_too_long_ends_no_other():
    """The requests of all pages share an event loop, and each has its own limit of time."""
    late_is_over = threading.Event()

    def limit(_meter):
        raise errors.Unreachable("it takes too long")

    async def main():
        async def late():
            meter = Meter()
            try:
                await watch.run_in_thread(lambda: meter.wait(60), meter, limit)
            finally:
                late_is_over.set()

        async def other():
            return await watch.run_in_thread(lambda: late_is_over.wait(30), Meter(), lambda _meter: None)

        return await asyncio.gather(other(), late(), return_exceptions=True)

    arrived, failed = asyncio.run(main())
    assert arrived is True
    assert isinstance(failed, errors.Unreachable)


def neighbour_fails(finish):
    """What ComfyUI does when another node raises meanwhile: the loop ends and cancels its tasks."""
    meter, finished, begun = Meter(), [], threading.Event()

    def work():
        begun.set()
        meter.wait(0.3)
        meter.check()
        finished.append(True)

    async def main():
        task = asyncio.create_task(watch.run_in_thread(work, meter, quiet, finish_unless=finish))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    return finished


def test_a_save_is_completed_when_another_node_fails():
    assert neighbour_fails(never) == [True]


def test_a_save_is_stopped_when_the_other_node_met_cancel(monkeypatch):
    """A sampler holds up the event loop, takes the sign away, and ends the prompt."""
    monkeypatch.setattr(watch, "CANCEL_POLL_SECONDS", 0)
    meter, cancel, stopped, finished = Meter(), threading.Event(), threading.Event(), []

    def work():
        try:
            meter.wait(30)
            finished.append(True)
        finally:
            stopped.set()

    async def main():
        task = asyncio.create_task(watch.run_in_thread(work, meter, quiet, finish_unless=cancel.is_set))
        await asyncio.sleep(0)
        cancel.set()
        assert stopped.wait(20), "while the loop stands still"
        task.cancel()
        with pytest.raises((asyncio.CancelledError, TransferCancelled)):
            await task

    asyncio.run(main())
    assert finished == []


def test_cancel_that_ends_the_operation_before_the_tick_is_the_hosts_own(monkeypatch):
    monkeypatch.setattr(watch, "CANCEL_POLL_SECONDS", 0)
    monkeypatch.setattr(watch, "TICK_SECONDS", 30)
    meter = Meter()

    def work():
        meter.wait(30)
        meter.check()

    def tick(meter):
        raise Cancelled

    with pytest.raises(Cancelled):
        asyncio.run(watch.run_in_thread(work, meter, tick, finish_unless=lambda: True))


def test_a_load_is_stopped_when_another_node_fails():
    assert neighbour_fails(None) == []


def test_cancel_still_works_while_a_save_is_completed():
    meter, begun, cancelled = Meter(), threading.Event(), threading.Event()

    def work():
        begun.set()
        meter.wait(60)

    def tick(meter):
        if cancelled.is_set():
            raise Cancelled

    async def main():
        task = asyncio.create_task(watch.run_in_thread(work, meter, tick, finish_unless=never))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0.05)
        cancelled.set()
        with pytest.raises(Cancelled):
            await task

    asyncio.run(main())
    assert meter.stopped
