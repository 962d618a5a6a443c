"""One file in either direction: whole and checked, or not at all."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage.errors import AlreadyExists, IntegrityError
from cloud_storage.storage.base import PutOptions
from cloud_storage.syncing import local_files, plan, transfer
from cloud_storage.syncing.plan import Options
from cloud_storage.system.file_fingerprint import Fingerprint
from cloud_storage.system.meter import Meter


def quiet(text):
    pass


def fetched(storage, target, key="a.txt", **options):
    planned = plan.one_download(storage, storage.stat(key), target, Options(**options), Meter())
    targets = local_files.Targets(planned.folder)
    return transfer.download(planned, planned.transfers[0], targets, Meter(), quiet)


def test_an_upload_records_its_checksum_and_media_type(direct, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 1000)
    planned = plan.one_upload(path, direct, "folder/a.png", Options(), Meter())
    meter = Meter()
    meter.expect(1000)
    moved = transfer.upload(planned, planned.transfers[0], meter, quiet)
    assert moved.file == Fingerprint.of(path)
    described = direct.stat("folder/a.png")
    assert (described.sha256, described.content_type) == (
        hashlib.sha256(b"x" * 1000).hexdigest(),
        "image/png",
    )
    assert (meter.done, meter.total) == (1000, 1000)


def test_an_object_whose_checksum_differs_leaves_no_file(direct, tmp_path):
    direct.put("a.txt", b"data", PutOptions(metadata={"sha256": "0" * 64}), Meter())
    with pytest.raises(IntegrityError, match="checksum differs"):
        fetched(direct, tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_replaced_unasked(direct, tmp_path, monkeypatch):
    direct.put("a.txt", b"data", PutOptions(), Meter())
    temporary = local_files.temporary

    def with_another(target):
        target.write_text("mine")
        return temporary(target)

    monkeypatch.setattr(local_files, "temporary", with_another)
    with pytest.raises(AlreadyExists):
        fetched(direct, tmp_path / "a.txt", overwrite=False)
    assert (tmp_path / "a.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_download_takes_its_bytes_back(direct, tmp_path):
    direct.put("a.txt", b"data", PutOptions(metadata={"sha256": "0" * 64}), Meter())
    planned = plan.one_download(direct, direct.stat("a.txt"), tmp_path / "a.txt", Options(), Meter())
    meter = Meter()
    with pytest.raises(IntegrityError):
        transfer.download(planned, planned.transfers[0], local_files.Targets(tmp_path), meter, quiet)
    assert meter.done == 0
