"""One file into the bucket: what each value of if_exists stores, skips or refuses."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage import errors
from cloud_storage.saving import choices, store_file
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.names import Name
from cloud_storage.saving.store_file import File
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import digests
from cloud_storage.system.meter import Meter

NAME = Name(("a/cat",), ".png")
OURS = File(b"ours", "image/png")


@pytest.fixture
def taken(cloud):
    cloud.put("a/cat.png", b"theirs", PutOptions(), Meter())
    return cloud


def store(storage, if_exists, file=OURS, name=NAME, trying=lambda key: None):
    (reserved,) = Call().reserve(storage, [name], if_exists, Meter())
    return store_file.store(reserved, file, if_exists, Meter(), trying)


@pytest.mark.parametrize("if_exists", choices.IF_EXISTS)
def test_a_free_key_gets_the_file_with_its_type_and_checksum(cloud, if_exists):
    stored = store(cloud, if_exists)
    assert stored.sent
    assert stored.info.key == "a/cat.png"
    there = cloud.stat("a/cat.png")
    assert (there.content_type, there.sha256) == ("image/png", hashlib.sha256(b"ours").hexdigest())


def test_a_taken_key_is_replaced_skipped_refused_or_left_for_the_next_number(taken):
    skipped = store(taken, choices.SKIP)
    assert (skipped.info.key, skipped.sent) == ("a/cat.png", False)
    with pytest.raises(errors.AlreadyExists):
        store(taken, choices.FAIL)
    tried = []
    assert store(taken, choices.NEW_NAME, trying=tried.append).info.key == "a/cat_00002.png"
    assert tried == ["a/cat_00002.png"]
    assert taken.read("a/cat.png") == b"theirs"
    assert store(taken, choices.OVERWRITE).sent
    assert taken.read("a/cat.png") == b"ours"


def test_a_file_whose_number_is_taken_meanwhile_is_sent_under_another(cloud):
    (reserved,) = Call().reserve(cloud, [NAME], choices.NEW_NAME, Meter())
    cloud.put("a/cat.png", b"theirs", PutOptions(), Meter())
    meter, tried = Meter(len(b"ours")), []
    stored = store_file.store(reserved, OURS, choices.NEW_NAME, meter, tried.append)
    assert tried == ["a/cat.png", "a/cat_00002.png"]
    assert stored.info.key == "a/cat_00002.png"
    assert cloud.read("a/cat.png") == b"theirs"
    assert meter.total == 2 * len(b"ours"), "the bar does not go past its end"


@pytest.mark.parametrize(
    ("if_exists", "there", "expected"),
    [
        (choices.NEW_NAME, True, None),
        (choices.OVERWRITE, True, None),
        (choices.FAIL, False, None),
        (choices.SKIP, False, None),
        (choices.SKIP, True, "a/cat.png"),
        (choices.FAIL, True, errors.AlreadyExists),
    ],
)
def test_a_look_before_the_file_is_made_says_what_storing_it_would_do(cloud, if_exists, there, expected):
    if there:
        cloud.put("a/cat.png", b"theirs", PutOptions(), Meter())
    if expected is errors.AlreadyExists:
        with pytest.raises(errors.AlreadyExists, match="if_exists"):
            store_file.look(cloud, NAME, if_exists)
    else:
        found = store_file.look(cloud, NAME, if_exists)
        assert (found and found.info.key) == expected


def test_a_file_on_disk_has_the_size_and_checksum_of_its_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"ours")
    on_disk = File(path, "image/png")
    assert (on_disk.size, on_disk.digests(Meter())) == (OURS.size, OURS.digests(Meter()))
    assert File(path, "image/png", known=("abc", "")).digests(Meter()) == ("abc", "")
    with pytest.raises(errors.StorageError, match=r"gone\.png"):
        _ = File(tmp_path / "gone.png", "image/png").size


def test_an_upload_records_the_checksum_of_the_whole_and_that_by_pieces(cloud, tmp_path, monkeypatch):
    monkeypatch.setattr(digests, "PIECE_BYTES", 4)
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    (reserved,) = Call().reserve(cloud, [NAME], choices.OVERWRITE, Meter())
    store_file.store(reserved, File(path, "a/b"), choices.OVERWRITE, Meter())
    stored = cloud.stat("a/cat.png")
    assert stored.sha256 == hashlib.sha256(b"0123456789").hexdigest()
    by_hand = [hashlib.sha256(piece).digest() for piece in (b"0123", b"4567", b"89")]
    assert stored.pieces == hashlib.sha256(b"".join(by_hand)).hexdigest()
