from __future__ import annotations

import pytest
from cloud_storage.loading import model_record
from cloud_storage.loading.model_record import Record
from cloud_storage.system.file_fingerprint import Fingerprint


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"weights")
    return path


def record(target, former=None):
    return Record("bucket", "models/a.safetensors", "etag", "", Fingerprint.of(target), former)


def test_a_record_is_read_as_it_was_written(target):
    for former in (None, Fingerprint.of(target)):
        model_record.write(target, record(target, former))
        assert model_record.read(target) == record(target, former)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        ".a.safetensors.cloud.json",
        "a.safetensors",
    ]


def test_a_record_is_written_though_a_killed_process_has_left_half_of_one(target):
    path = model_record.record_path(target)
    path.with_name(f"{path.name}.new").write_text("half")
    model_record.write(target, record(target))
    assert model_record.read(target) == record(target)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"mark": 1}', '{"bucket": "b", "mark": {}}', "half {"]
)
def test_a_damaged_record_is_none(target, text):
    model_record.record_path(target).write_text(text)
    assert model_record.read(target) is None


def test_a_file_that_was_changed_is_no_copy(target):
    known = record(target)
    assert known.is_of(target)
    assert known.is_ours(target)
    target.write_bytes(b"other weights")
    assert not known.is_of(target)
    assert not known.is_ours(target)


def test_the_copy_before_is_ours_too_until_it_is_replaced(target):
    former = Fingerprint.of(target)
    fresh = target.with_name("b")
    fresh.write_bytes(b"newer weights")
    known = Record("bucket", "models/a.safetensors", "etag", "", Fingerprint.of(fresh), former)
    assert known.is_ours(target)
    assert not known.is_of(target)
    fresh.replace(target)
    assert known.is_of(target)


def test_a_record_is_told_by_its_name(tmp_path):
    target = tmp_path / "style" / "a.b.safetensors"
    assert model_record.target_of(model_record.record_path(target)) == target
    assert model_record.target_of(tmp_path / "a.cloud.json") is None
    assert model_record.target_of(tmp_path / ".a.json") is None
