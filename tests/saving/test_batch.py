"""A batch of files into the bucket: in order, within bounded memory, and none is lost."""

from __future__ import annotations

import threading

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import folders
from cloud_storage.saving import batch, choices, numbering
from cloud_storage.saving.counter import CounterMemory
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Outbox
from cloud_storage.saving.store_file import File
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.budget import Budget
from cloud_storage.system.meter import Meter
from servers.faults import Answer, Fault, s3_error


def target(on_failure=choices.KEEP_AND_STOP):
    return batch.target(None, folders.profiles_file(), folders.outbox_folder(), on_failure)


def names(count):
    return [Name(("a/x_", ""), ".bin", number) for number in range(count)]


def encode(index):
    return File(b"%d" % index, "application/octet-stream", (f"note {index % 2}",))


def save(where, count=3, if_exists=choices.NEW_NAME, encode=encode, show=lambda file, key: key, **more):
    return batch.save(where, names(count), encode, show, if_exists, Meter(), Call(), **more)


def test_the_results_are_in_the_order_of_the_names(cloud):
    saved = save(target(), 20)
    assert [file.key for file in saved] == [f"a/x_{number:05d}.bin" for number in range(1, 21)]
    assert [file.shown for file in saved] == [file.key for file in saved]
    assert [cloud.read(file.key) for file in saved] == [b"%d" % index for index in range(20)]


@pytest.mark.parametrize("size", [100, 1000])
def test_files_that_wait_or_are_sent_have_no_more_bytes_than_the_budget(cloud, monkeypatch, size):
    budget = Budget(300)
    monkeypatch.setattr(batch, "_encoded", budget)
    monkeypatch.setattr(batch, "_encoding", Budget(2))
    lock, held, made = threading.Lock(), [], [0]
    real = type(cloud).put

    def count(change):
        with lock:
            made.append(made[-1] + change)

    def encode_some(index):
        count(size)
        return File(bytes(size), "application/octet-stream")

    def put(self, *arguments, **options):
        held.append(budget.held)
        stored = real(self, *arguments, **options)
        count(-size)
        return stored

    monkeypatch.setattr(type(cloud), "put", put)
    save(target(), 20, encode=encode_some)
    assert max(held) <= max(300, size)
    assert max(made) <= max(300, size) + 2 * size, "besides, two have just been made"
    assert budget.held == made[-1] == 0


def test_no_more_files_are_sent_at_once_than_the_measured_number_of_requests(cloud, monkeypatch):
    monkeypatch.setattr(batch, "MOST_UPLOADS", 2)
    lock, sending, most = threading.Lock(), set(), []
    real = type(cloud).put

    def put(self, key, *arguments, **options):
        with lock:
            sending.add(key)
            most.append(len(sending))
        try:
            return real(self, key, *arguments, **options)
        finally:
            with lock:
                sending.discard(key)

    monkeypatch.setattr(type(cloud), "put", put)
    save(target(), 12)
    assert max(most) <= 2


def test_a_server_that_asks_for_fewer_requests_gets_fewer(cloud, proxy, fast_place, monkeypatch, impatient):
    counts, halved = [], threading.Event()
    real = batch.AdaptiveConcurrency.__call__

    def asked(self):
        counts.append(real(self))
        if counts[-1] < counts[0]:
            halved.set()
        return counts[-1]

    def encode_until_then(index):
        assert index < 11 or halved.wait(60), "the number of requests is as before"
        return encode(index)

    monkeypatch.setattr(batch.AdaptiveConcurrency, "__call__", asked)
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    rule = proxy.add(Fault(Answer(503, s3_error("SlowDown")), "PUT"))
    assert len(save(target(), 12, encode=encode_until_then)) == 12
    assert rule.happened == 1
    assert (counts[0], min(counts)) == (8, 4)


def test_where_the_server_refuses_taken_names_a_save_is_one_listing_and_one_request_for_each_file(
    cloud, proxy, fast_place, monkeypatch
):
    monkeypatch.setattr(numbering, "counters", CounterMemory())
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    if fast_place.is_oss:  # whose answer to the first write says so
        target().storage.put("first", b"", PutOptions(), Meter(), create=True)
        proxy.clear()
    else:
        monkeypatch.setenv("COMFY_S3_PROVIDER", "MinIO")
    save(target(), 5)
    assert sorted(sent.method for sent in proxy.requests) == ["GET"] + ["PUT"] * 5
    proxy.clear()
    save(target(), 5)
    assert [sent.method for sent in proxy.requests] == ["PUT"] * 5
    cloud.put("a/x_00012.bin", b"of another machine", PutOptions(), Meter())
    proxy.clear()
    keys = [file.key for file in save(target(), 2)]
    assert sorted(keys) == keys
    assert keys[1] > "a/x_00012.bin"
    assert cloud.read("a/x_00012.bin") == b"of another machine"
    assert {sent.method for sent in proxy.requests} == {"PUT", "GET"}, "it is listed once more, then"


def test_the_numbers_are_looked_up_while_the_first_files_are_encoded(cloud, monkeypatch):
    encoded = threading.Event()
    real = type(cloud).list

    def list_late(self, *arguments):
        assert encoded.wait(60), "nothing is encoded before the listing has come"
        yield from real(self, *arguments)

    def encode_first(index):
        encoded.set()
        return encode(index)

    monkeypatch.setattr(type(cloud), "list", list_late)
    assert [file.key for file in save(target(), encode=encode_first)] == [
        f"a/x_{number:05d}.bin" for number in (1, 2, 3)
    ]


def test_a_file_that_is_there_is_not_even_encoded_where_that_is_looked_for_first(cloud):
    cloud.put("a/x_00001.bin", b"theirs", PutOptions(), Meter())
    made = []
    saved = save(
        target(),
        2,
        choices.SKIP,
        encode=lambda index: made.append(index) or encode(index),
        look_first=True,
    )
    assert made == [1]
    assert [file.stored.sent for file in saved] == [False, True]
    lines = [str(line) for line in batch.lines(target(), saved)]
    assert lines == ["Saved a/x_00002.bin. There already, and not sent: a/x_00001.bin. note 1"]


@pytest.mark.parametrize("on_failure", choices.ON_FAILURE)
def test_what_is_not_stored_is_kept_unless_nothing_is_to_be(cloud, monkeypatch, on_failure):
    where = target(on_failure)

    def fails(*_, **__):
        raise errors.Unreachable("Could not store it (here): no answer. Try again.")

    monkeypatch.setattr(type(cloud), "put", fails)
    if on_failure == choices.KEEP_AND_GO_ON:
        saved = save(where)
        assert [file.key for file in saved] == ["", "", ""]
        assert str(batch.lines(where, saved)[0]) == "NOT in the bucket yet: 3 files."
    else:
        with pytest.raises(errors.Unreachable):
            save(where)
    kept = Outbox(folders.outbox_folder()).contents().entries
    assert [entry.path.read_bytes() for entry in kept] == (
        [] if on_failure == choices.STOP else [b"0", b"1", b"2"]
    )


def test_links_are_plain_signed_or_none_and_a_kept_file_has_none(cloud):
    cloud.put("a.png", b"x", PutOptions(), Meter())
    hour = batch.timedelta(hours=1)
    assert batch.link(cloud, "a.png", choices.OBJECT_URL, hour) == cloud.url("a.png")
    assert "ignature" in batch.link(cloud, "a.png", choices.PRESIGNED, hour)
    assert batch.link(cloud, "a.png", choices.NO_LINK, hour) == ""
    assert batch.link(cloud, "", choices.PRESIGNED, hour) == ""
