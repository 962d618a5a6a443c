from __future__ import annotations

import contextlib
import io
import os
from dataclasses import replace

import pytest
from cloud_storage import errors, providers
from cloud_storage.storage import multipart
from cloud_storage.system.meter import Meter

MIB = 1 << 20
GIB = 1 << 30
ROW = providers.provider("AWS S3")


@pytest.mark.parametrize("size", [17 * MIB, 12 * GIB, 50 * GIB, 5 << 40])
def test_equal_parts_fit_the_providers_limits(size):
    limits = ROW
    step = multipart.part_bytes(size, limits)
    assert -(-size // step) <= limits.max_parts
    assert limits.min_part_bytes <= step <= limits.max_part_bytes
    assert step % MIB == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [(17 * MIB, 8 * MIB), (3 * GIB, 8 * MIB), (5 * GIB, 14 * MIB), (6 * GIB, 16 * MIB), (9 * GIB, 16 * MIB)],
)
def test_a_file_has_parts_for_every_connection_that_may_be_and_none_is_too_small(size, expected):
    assert multipart.part_bytes(size, ROW) == expected


def test_few_parts_make_them_larger():
    assert multipart.part_bytes(100 * GIB, replace(ROW, max_parts=1000)) >= 100 * GIB / 1000


def test_what_fits_into_no_parts_is_refused():
    with pytest.raises(errors.ConfigurationError, match="parts"):
        multipart.part_bytes(10 * GIB, replace(ROW, max_parts=2, max_part_bytes=GIB))


def test_a_slice_counts_only_what_is_sent_and_takes_back_what_is_sent_again():
    data = os.urandom(3 * MIB)
    meter = Meter()
    body = multipart.Slice(data, MIB, 2 * MIB, meter)
    assert len(body) == 2 * MIB
    assert b"".join(iter(lambda: body.read(1000), b"")) == data[MIB:]  # signing
    assert meter.done == 0
    body.seek(0)
    body.begin()
    first = body.read(16384)
    assert 16384 < len(first) <= multipart.BLOCK_MAX_BYTES
    assert meter.done == len(first)
    body.seek(0)
    assert meter.done == 0
    body.begin()
    assert body.read() == data[MIB:]
    assert meter.done == 2 * MIB
    assert body.seek(0, io.SEEK_END) == 2 * MIB


def test_blocks_grow_while_the_line_takes_them_and_shrink_when_it_does_not(monkeypatch):
    now = 100.0
    monkeypatch.setattr(multipart.time, "monotonic", lambda: now)
    body = multipart.Slice(bytes(16 * MIB), 0, 16 * MIB, Meter())
    body.begin()
    fast = [len(body.read(16384)) for _ in range(6)]
    assert fast == sorted(fast)
    assert fast[-1] == multipart.BLOCK_MAX_BYTES
    slow = []
    for _ in range(6):
        now += 1
        slow.append(len(body.read(16384)))
    assert slow == sorted(slow, reverse=True)
    assert slow[-1] == multipart.BLOCK_MIN_BYTES


def test_a_stopped_slice_gives_nothing_more():
    meter = Meter()
    body = multipart.Slice(b"abc", 0, 3, meter)
    meter.stop()
    with pytest.raises(errors.TransferCancelled):
        body.read()


def test_a_file_that_shrinks_while_it_is_sent_is_an_error(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (multipart.SMALL_BYTES + 1))
    body = multipart.Slice(path, 0, multipart.SMALL_BYTES + 1, Meter())
    path.write_bytes(b"")
    with pytest.raises(errors.IntegrityError, match=r"a\.bin"):
        body.read()
    body.close()


class Sent(bytearray):
    """Takes what it is told to send from a descriptor: up to ``most`` bytes at a time, ``limit`` in all."""

    def __init__(self, most=MIB, limit=float("inf")):
        super().__init__()
        self.most, self.limit = most, limit

    def __call__(self, descriptor, start, count):
        data = os.pread(descriptor, min(count, self.most, self.limit - len(self)), start)
        self += data
        return len(data)


@pytest.mark.skipif(not hasattr(os, "pread"), reason="this system has no pread")
@pytest.mark.parametrize("limit", [float("inf"), 0, MIB + 5], ids=["all", "none", "some"])
def test_a_file_sends_itself_and_what_it_cannot_send_is_left_to_read(tmp_path, limit):
    path, data, meter = tmp_path / "a.bin", os.urandom(4 * MIB), Meter()
    path.write_bytes(data)
    with contextlib.closing(multipart.Slice(path, 100, 3 * MIB, meter)) as body:
        for _ in range(2):  # the second time as a retry does
            body.seek(0)
            body.begin()
            sent = Sent(100_000, limit)
            body.send_file(sent)
            assert len(sent) == meter.done == min(3 * MIB, limit)
            rest = b"".join(iter(lambda: body.read(MIB), b""))
            assert bytes(sent) + rest == data[100 : 100 + 3 * MIB]
            assert meter.done == 3 * MIB


@pytest.mark.skipif(not hasattr(os, "pread"), reason="this system has no pread")
def test_a_file_that_shrinks_while_it_sends_itself_is_an_error_and_cancel_ends_it(tmp_path):
    path, meter = tmp_path / "a.bin", Meter()
    path.write_bytes(bytes(2 * MIB))
    with contextlib.closing(multipart.Slice(path, 0, 2 * MIB, meter)) as body:
        path.write_bytes(bytes(MIB))
        body.send_file(Sent())
        with pytest.raises(errors.IntegrityError, match=r"a\.bin"):
            body.read()
        meter.stop()
        body.seek(0)
        with pytest.raises(errors.TransferCancelled):
            body.send_file(Sent())


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_in_memory_is_left_to_read(tmp_path, is_file):
    (tmp_path / "a").write_bytes(b"abc")
    source = tmp_path / "a" if is_file else b"abc"
    with contextlib.closing(multipart.Slice(source, 0, 3, Meter())) as body:
        body.send_file(Sent())
        assert body.read() == b"abc"


class Recorder:
    """Four requests that only take notes; the numbered part fails."""

    def __init__(self, failing: int = 0, failing_abort: bool = False) -> None:
        self.failing, self.failing_abort = failing, failing_abort
        self.sent: dict[int, bytes] = {}
        self.finished, self.aborted = None, False

    def start(self):
        return "upload"

    def send(self, upload_id, number, body):
        if number == self.failing:
            raise errors.AccessDenied("No. Ask somebody.")
        self.sent[number] = body.read()
        return number

    def finish(self, upload_id, parts):
        self.finished = parts

    def abort(self, upload_id):
        self.aborted = True
        if self.failing_abort:
            raise errors.Unreachable("Gone. Try again.")


def unrecorded(upload_id):
    return contextlib.nullcontext(lambda: None)


def test_parts_arrive_whole_and_in_order():
    data = os.urandom(MIB) * 70
    recorder = Recorder()
    multipart.upload(data, len(data), recorder, ROW, Meter(), unrecorded)
    assert recorder.finished == list(range(1, 10))
    assert b"".join(recorder.sent[number] for number in recorder.finished) == data
    assert not recorder.aborted


@pytest.mark.parametrize("failing_abort", [False, True])
def test_a_part_that_fails_aborts_the_upload_and_is_raised(failing_abort):
    recorder = Recorder(failing=2, failing_abort=failing_abort)
    meter = Meter()
    with pytest.raises(errors.AccessDenied):
        multipart.upload(bytes(70 * MIB), 70 * MIB, recorder, ROW, meter, unrecorded)
    assert recorder.aborted
    assert recorder.finished is None
    assert not meter.stopped
