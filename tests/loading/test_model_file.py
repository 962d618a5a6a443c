"""A model file from the bucket: when it is downloaded, what it may replace, and who waits for whom."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading

import pytest
from cloud_storage import errors
from cloud_storage.loading import download_journal, model_file, model_record, resumable_download
from cloud_storage.loading.model_file import Wanted
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import concurrency
from cloud_storage.system.meter import Meter
from conftest import ROOT
from servers.faults import Answer, Cut, Fault, s3_error

pytestmark = pytest.mark.usefixtures("impatient")

MIB = 1 << 20
DATA = os.urandom(MIB) * 20  # more than one request, sent in parts: its ETag is no MD5


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def put(direct):
    def put(data, recorded=True):
        metadata = {"sha256": sha256(data)} if recorded else {}
        return direct.put("m.safetensors", data, PutOptions(metadata=metadata), Meter())

    return put


@pytest.fixture
def target(tmp_path):
    return tmp_path / "loras" / "style" / "m.safetensors"


@pytest.fixture
def fetch(shaky, target):
    def fetch(meter=None, say=lambda text: None, **wanted):
        return model_file.fetch(shaky, Wanted("m.safetensors", target, **wanted), meter or Meter(), say)

    return fetch


def methods(proxy):
    return [record.method for record in proxy.requests]


def files(target):
    return sorted(path.name for path in target.parent.iterdir()) if target.parent.exists() else []


def test_it_is_downloaded_with_a_record_and_nothing_else_beside_it(put, fetch, target):
    put(DATA)
    fetched = fetch()
    assert target.read_bytes() == DATA
    assert fetched.status == "Downloaded m.safetensors."
    assert files(target) == [".m.safetensors.cloud.json", "m.safetensors"]


def test_an_unchanged_file_costs_one_request(put, fetch, proxy):
    put(DATA)
    fetch()
    proxy.clear()
    assert "Unchanged" in fetch().status
    assert methods(proxy) == ["HEAD"]


def test_a_changed_object_replaces_the_file_that_was_downloaded(put, fetch, target):
    put(DATA)
    assert fetch().status == "Downloaded m.safetensors."
    put(DATA[::-1])
    assert "may still use the older file" in fetch().status, "ComfyUI's LoraLoader does"
    assert target.read_bytes() == DATA[::-1]
    assert "Unchanged" in fetch().status


def test_offline_the_file_downloaded_earlier_is_used_and_the_status_says_so(put, fetch, target, proxy):
    put(DATA)
    fetch()
    proxy.refuse()
    fetched = fetch()
    assert "cannot be reached" in fetched.status
    assert fetched.etag is None
    with pytest.raises(errors.Unreachable):
        fetch(force=True)
    target.write_bytes(b"somebody else's")
    with pytest.raises(errors.Unreachable):
        fetch()


def test_a_missing_object_is_not_found_whatever_lies_there(put, fetch, direct):
    put(DATA)
    fetch()
    direct.delete("m.safetensors")
    with pytest.raises(errors.NotFound):
        fetch()


# ------------------------------------------------------------ files of somebody else


@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_that_was_not_downloaded_is_never_replaced_unless_forced(put, fetch, target, recorded):
    put(DATA, recorded)
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA[::-1])
    with pytest.raises(errors.AlreadyExists, match="force_redownload") as raised:
        fetch()
    assert str(target) in str(raised.value)
    assert target.read_bytes() == DATA[::-1]
    fetch(force=True)
    assert target.read_bytes() == DATA
    assert "Unchanged" in fetch().status


def test_a_file_with_the_same_content_is_used_without_a_download(put, fetch, target, proxy):
    put(DATA)
    target.parent.mkdir(parents=True)
    target.write_bytes(DATA)
    proxy.clear()
    assert "same content" in fetch().status
    assert methods(proxy) == ["HEAD"]
    assert "Unchanged" in fetch().status


def test_a_downloaded_file_that_was_changed_since_is_somebody_elses(put, fetch, target):
    put(DATA)
    fetch()
    target.write_bytes(b"trained further")
    put(DATA[::-1])
    with pytest.raises(errors.AlreadyExists):
        fetch()
    assert target.read_bytes() == b"trained further"


@pytest.mark.parametrize("recorded", [True, False])
def test_the_copy_of_another_object_is_never_replaced_unless_forced(
    direct, put, fetch, shaky, target, recorded
):
    put(DATA)
    fetch()
    metadata = {"sha256": sha256(DATA[::-1])} if recorded else {}
    direct.put("v2/m.safetensors", DATA[::-1], PutOptions(metadata=metadata), Meter())

    def fetch_other(**wanted):
        return model_file.fetch(
            shaky, Wanted("v2/m.safetensors", target, **wanted), Meter(), lambda text: None
        )

    with pytest.raises(errors.AlreadyExists, match=r"copy of another object, '.*m.safetensors'.*subfolder"):
        fetch_other()
    assert target.read_bytes() == DATA
    assert "Unchanged" in fetch().status
    assert "may still use the older file" in fetch_other(force=True).status
    assert target.read_bytes() == DATA[::-1]
    assert "Unchanged" in fetch_other().status
    with pytest.raises(errors.AlreadyExists, match=r"v2/m.safetensors' of bucket"):
        fetch()


def test_an_object_by_another_address_is_the_same(direct, put, fetch, target, fast_place, folder, proxy):
    put(DATA, recorded=False)
    model_file.fetch(direct, Wanted("m.safetensors", target), Meter(), lambda text: None)
    proxy.clear()
    assert "Unchanged" in fetch().status
    whole = fast_place.open(path_prefix="")
    wanted = Wanted(f"{folder}m.safetensors", target)
    assert "Unchanged" in model_file.fetch(whole, wanted, Meter(), lambda text: None).status
    put(DATA[::-1], recorded=False)
    assert "Downloaded" in fetch().status
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_copy_of_another_bucket_is_used_where_the_content_is_the_same(put, fetch, target, proxy, recorded):
    put(DATA, recorded)
    fetch()
    model_record.write(target, dataclasses.replace(model_record.read(target), bucket="another"))
    proxy.clear()
    if recorded:
        assert "same content" in fetch().status
        assert methods(proxy) == ["HEAD"]
        assert "Unchanged" in fetch().status
    else:
        with pytest.raises(errors.AlreadyExists, match="of bucket 'another'"):
            fetch()


@pytest.mark.parametrize("record", ["", "{}", "[1]", '{"place": 1}', '{"mark": {"size": 1}}'])
def test_a_record_that_cannot_be_read_is_none(put, fetch, target, record):
    put(DATA)
    fetch()
    model_record.record_path(target).write_text(record)
    assert "same content" in fetch().status


def test_a_process_that_ends_between_record_and_name_has_lost_nothing(put, fetch, target, monkeypatch, proxy):
    put(DATA)
    fetch()
    put(DATA[::-1])
    with monkeypatch.context() as killed:
        killed.setattr(type(target), "replace", fail_for(".part", type(target).replace))
        with pytest.raises(errors.StorageError, match="killed"):
            fetch()
    assert target.read_bytes() == DATA
    proxy.clear()
    fetch()
    assert target.read_bytes() == DATA[::-1]
    assert methods(proxy) == ["HEAD"]


def fail_for(suffix, real):
    def replace(self, new):
        if self.suffix == suffix:
            raise OSError("killed")
        return real(self, new)

    return replace


# ------------------------------------------------------------ sha256


def test_a_wrong_sha256_is_refused_before_a_byte_moves_where_the_right_one_is_known(
    put, fetch, target, proxy
):
    put(DATA)
    proxy.clear()
    with pytest.raises(errors.IntegrityError, match="recorded"):
        fetch(sha256="0" * 64)
    assert methods(proxy) == ["HEAD"]
    assert files(target) == []


def test_a_wrong_sha256_leaves_no_file(put, fetch, target):
    put(DATA, recorded=False)
    with pytest.raises(errors.IntegrityError, match="sha256"):
        fetch(sha256="0" * 64)
    assert files(target) == []
    fetch(sha256=sha256(DATA))
    assert target.read_bytes() == DATA


def test_a_wrong_record_of_the_upload_leaves_no_file(direct, fetch, target):
    direct.put("m.safetensors", DATA, PutOptions(metadata={"sha256": "0" * 64}), Meter())
    with pytest.raises(errors.IntegrityError, match="sha256"):
        fetch()
    assert files(target) == []


def test_a_sha256_given_later_is_held_against_the_file_that_is_there(put, fetch, target, proxy):
    put(DATA, recorded=False)
    fetch()
    assert "Unchanged" in fetch(sha256=sha256(DATA)).status
    with pytest.raises(errors.IntegrityError):
        fetch(sha256="0" * 64)
    assert target.read_bytes() == DATA
    proxy.refuse()
    assert "cannot be reached" in fetch(sha256=sha256(DATA)).status
    with pytest.raises(errors.Unreachable):
        fetch(sha256="0" * 64)


def test_a_sha256_is_taken_as_people_copy_it_and_refused_otherwise():
    assert model_file.clean_sha256(f" SHA256:{'A' * 64}\n") == "a" * 64
    assert model_file.clean_sha256("") == ""
    for bad in ("abc", "g" * 64, "a" * 63):
        with pytest.raises(errors.ConfigurationError, match="64 hexadecimal"):
            model_file.clean_sha256(bad)


# ------------------------------------------------------------ replaced, cancelled, failed


def test_an_object_replaced_halfway_is_downloaded_anew_in_the_same_run(
    put, fetch, target, proxy, monkeypatch
):
    monkeypatch.setattr(concurrency, "MOST", 1)
    put(DATA)
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET"))
    meter = Meter()
    thread = threading.Thread(target=lambda: fetch(meter))
    thread.start()
    rule.wait()
    put(DATA[::-1])
    proxy.release()
    thread.join()
    assert target.read_bytes() == DATA[::-1]
    assert meter.done == meter.total == len(DATA)


def test_an_object_that_is_replaced_again_and_again_is_given_up(put, fetch, target, monkeypatch):
    put(DATA)

    def changed(*_):
        raise errors.Changed("Another one. Again.")

    monkeypatch.setattr(resumable_download, "download", changed)
    with pytest.raises(errors.Changed):
        fetch()
    assert not target.exists()


def test_a_failed_replacement_leaves_the_file_that_was_there(put, fetch, target, proxy):
    put(DATA)
    fetch()
    put(DATA[::-1])
    proxy.add(Fault(Answer(503, s3_error("SlowDown")), "GET", times=None))
    with pytest.raises(errors.Throttled):
        fetch()
    assert target.read_bytes() == DATA
    proxy.clear()
    fetch()
    assert target.read_bytes() == DATA[::-1]


def test_a_folder_that_cannot_be_made_is_an_error_of_this_package(fetch, put, target):
    put(DATA)
    target.parent.parent.write_bytes(b"a file where a folder should be")
    with pytest.raises(errors.StorageError, match="folder's permissions"):
        fetch()


# ------------------------------------------------------------ two at once


def test_two_that_want_the_same_file_download_it_once(put, fetch, proxy):
    put(DATA)
    proxy.clear()
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET"))
    said, outcomes = [], []
    waits = threading.Event()

    def say(text):
        said.append(text)
        waits.set()

    threads = [threading.Thread(target=lambda: outcomes.append(fetch(say=say).status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    rule.wait()
    assert waits.wait(30)
    proxy.release()
    for thread in threads:
        thread.join()
    assert said == ["Waiting: m.safetensors is already being downloaded"]
    assert sorted(outcomes) == [
        "Downloaded m.safetensors.",
        "Unchanged: this is the file downloaded earlier.",
    ]
    assert sum(record.response_bytes for record in proxy.requests if record.method == "GET") == len(DATA)


CHILD = f"""
import os, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import conftest
from pathlib import Path
from cloud_storage.storage import connect
from cloud_storage.loading import model_file
from cloud_storage import profile
from cloud_storage.system.meter import Meter
storage = connect.connect(profile.resolve("", {{}}, Path("none.json"), os.environ))
wanted = model_file.Wanted("m.safetensors", Path(sys.argv[1]))
print(model_file.fetch(storage, wanted, Meter(), lambda text: print(text, flush=True)).status, flush=True)
"""


def test_two_processes_that_want_the_same_file_download_it_once(
    put, fetch, fast_place, folder, proxy, target
):
    put(DATA)
    proxy.clear()
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET"))
    thread = threading.Thread(target=fetch)
    thread.start()
    rule.wait()
    settings = fast_place.settings({"path_prefix": folder, "endpoint_url": proxy.url})
    command = [sys.executable, "-c", CHILD, str(target)]
    with subprocess.Popen(
        command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "Waiting: m.safetensors is already being downloaded\n"
        proxy.release()
        assert other.stdout.readline() == "Unchanged: this is the file downloaded earlier.\n"
    thread.join()
    assert target.read_bytes() == DATA
    assert sum(record.response_bytes for record in proxy.requests if record.method == "GET") == len(DATA)


def test_cancel_ends_the_wait_for_somebody_else(put, fetch, proxy, target):
    put(DATA)
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET"))
    thread = threading.Thread(target=fetch)
    thread.start()
    rule.wait()
    meter = Meter()
    with pytest.raises(errors.TransferCancelled):
        fetch(meter, lambda text: meter.stop())
    proxy.release()
    thread.join()
    assert target.read_bytes() == DATA


def test_the_state_is_another_one_when_object_or_copy_is(put, fetch, shaky, target):
    def state():
        return model_file.state(shaky, "m.safetensors", target)

    info = put(DATA)
    missing = state()
    assert fetch().etag == state() == info.etag != missing
    target.unlink()
    assert state() == missing
    fetch()
    put(DATA[::-1])
    assert state() not in (missing, info.etag)


def test_a_copy_of_another_key_or_place_is_no_copy(direct, put, fetch, shaky, target):
    info = put(DATA)
    other = direct.put("v2/m.safetensors", DATA[::-1], PutOptions(), Meter())
    fetch()
    assert model_file.state(shaky, "v2/m.safetensors", target) == f"{other.etag} and no copy"
    assert model_file.state(shaky, "m.safetensors", target) == info.etag
    record = model_record.read(target)
    model_record.write(target, dataclasses.replace(record, bucket="another"))
    assert model_file.state(shaky, "m.safetensors", target) == f"{info.etag} and no copy"


def test_notes_of_another_key_are_not_gone_on_with(direct, put, fetch, shaky, target, proxy):
    put(DATA)
    direct.put("other.safetensors", DATA[::-1], PutOptions(), Meter())
    proxy.add(Fault(Cut("response body", 0.5, "close"), "GET", times=None))
    with pytest.raises(errors.Unreachable):
        fetch()
    assert download_journal.journal_of(resumable_download.part_of(target)).exists()
    assert json.loads(
        download_journal.journal_of(resumable_download.part_of(target)).read_text().splitlines()[0]
    )["key"]
    proxy.clear()
    model_file.fetch(shaky, Wanted("other.safetensors", target), Meter(), lambda text: None)
    assert target.read_bytes() == DATA[::-1]
