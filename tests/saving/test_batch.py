"""A batch of files into the bucket: in order, within bounded memory, and none is lost."""

from __future__ import annotations

import threading

import pytest
from cloud_storage import errors
from cloud_storage.comfyui import folders
from cloud_storage.saving import batch, choices
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Outbox
from cloud_storage.saving.store_file import File
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter


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


def test_no_more_files_are_encoded_than_threads_send(cloud, monkeypatch):
    monkeypatch.setattr(batch, "UPLOAD_THREADS", 2)
    lock, held, most = threading.Lock(), set(), []

    def counted(index):
        with lock:
            held.add(index)
            most.append(len(held))
        return encode(index)

    def shown(file, key):
        with lock:
            held.discard(int(file.source))

    save(target(), 12, encode=counted, show=shown)
    assert max(most) <= 2


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
