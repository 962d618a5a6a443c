"""One file into the buckets of real servers, after whatever a killed process has left."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage.mirror.journal import SENDING, STORED, Row
from cloud_storage.mirror.names import Names
from cloud_storage.mirror.sender import IN_MEMORY_BYTES, Target, WrittenTo, send
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.file_fingerprint import Fingerprint
from cloud_storage.system.meter import Meter


@pytest.fixture
def target(journal, tmp_path):
    root = tmp_path / "made"
    root.mkdir()
    return Target(root, Names("output", ""), journal, journal.begin("place", {}))


def sent(target, storage, name="a.png"):
    return send(target, storage, name, Fingerprint.of(target.root / name), Meter())


def put(storage, key, data):
    metadata = {"sha256": hashlib.sha256(data).hexdigest()}
    return storage.put(key, data, PutOptions(metadata=metadata), Meter())


def test_the_object_of_an_upload_that_was_killed_is_ones_own_and_is_renewed(target, cloud):
    (target.root / "a.png").write_bytes(b"first")
    put(cloud, "output/a.png", b"first")
    begun = Row("a.png", Fingerprint(5, 1), SENDING, hashlib.sha256(b"first").hexdigest(), "output/a.png")
    target.journal.write(target.number, [begun])
    assert sent(target, cloud).own
    target.journal.write(target.number, [begun])
    (target.root / "a.png").write_bytes(b"second")
    assert sent(target, cloud).key == "output/a.png"
    assert cloud.read("output/a.png") == b"second"


def test_an_object_of_the_same_name_that_is_not_of_that_upload_is_left(target, cloud):
    (target.root / "a.png").write_bytes(b"second")
    put(cloud, "output/a.png", b"of somebody else")
    begun = Row("a.png", Fingerprint(5, 1), SENDING, hashlib.sha256(b"first").hexdigest(), "output/a.png")
    target.journal.write(target.number, [begun])
    assert sent(target, cloud).key != "output/a.png"
    assert cloud.read("output/a.png") == b"of somebody else"


def test_an_object_that_somebody_deleted_is_made_again_when_the_file_changes(target, cloud):
    (target.root / "a.png").write_bytes(b"first")
    sent(target, cloud)
    cloud.delete("output/a.png")
    (target.root / "a.png").write_bytes(b"second")
    assert sent(target, cloud).key == "output/a.png"
    assert cloud.read("output/a.png") == b"second"


def test_a_file_that_is_not_as_it_was_when_it_was_complete_is_not_sent(target, cloud):
    (target.root / "a.png").write_bytes(b"first")
    with pytest.raises(WrittenTo):
        send(target, cloud, "a.png", Fingerprint(4, 1), Meter())
    assert list(cloud.list()) == []


def test_what_something_wrote_to_while_it_was_sent_does_not_count_as_stored(target, cloud, monkeypatch):
    first, second = bytes(IN_MEMORY_BYTES + 1), b"x" * (IN_MEMORY_BYTES + 1)
    (target.root / "a.mp4").write_bytes(first)
    stored = type(cloud).put

    def put(*arguments, **options):
        (target.root / "a.mp4").write_bytes(second)
        return stored(*arguments, **options)

    with monkeypatch.context() as patched, pytest.raises(WrittenTo):
        patched.setattr(type(cloud), "put", put)
        sent(target, cloud, "a.mp4")
    assert target.journal.row(target.number, "a.mp4").state == SENDING
    (target.root / "a.mp4").write_bytes(first)  # what the object's checksum says, though not its content
    assert sent(target, cloud, "a.mp4").state == STORED
    assert cloud.read("output/a.mp4") == first
    assert [info.key for info in cloud.list()] == ["output/a.mp4"]


def test_content_that_the_bucket_had_is_not_renewed_but_gets_a_name_of_its_own_that_is(target, cloud):
    put(cloud, "output/a.png", b"same")
    (target.root / "a.png").write_bytes(b"same")
    assert not sent(target, cloud).own
    (target.root / "a.png").write_bytes(b"changed")
    other = sent(target, cloud)
    assert other.own
    (target.root / "a.png").write_bytes(b"changed again")
    assert sent(target, cloud).key == other.key
    assert (cloud.read("output/a.png"), cloud.read(other.key)) == (b"same", b"changed again")
    assert len(list(cloud.list())) == 2


def test_what_somebody_replaces_just_before_it_is_renewed_is_left(target, cloud, monkeypatch):
    (target.root / "a.png").write_bytes(b"first")
    sent(target, cloud)
    stored = type(cloud).put

    def late(self, key, source, options, meter, **conditions):
        if conditions.get("replaces"):
            stored(self, key, b"theirs", PutOptions(), meter)
        return stored(self, key, source, options, meter, **conditions)

    monkeypatch.setattr(type(cloud), "put", late)
    (target.root / "a.png").write_bytes(b"second")
    other = sent(target, cloud).key
    assert (cloud.read("output/a.png"), cloud.read(other)) == (b"theirs", b"second")
