"""What could not be stored arrives once the cause is gone: through the nodes, on both backends."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch
from cloud_storage import errors, nodes_save
from cloud_storage.comfyui import folders, progress
from cloud_storage.saving import batch, choices, outbox, outbox_sender, store_file
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.outbox import Outbox
from cloud_storage.storage import connect, retries
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import durable_write, thread_pool
from cloud_storage.system.meter import Meter
from comfy import model_management
from conftest import ROOT, outputs_of, run_node
from result_lists import files_of
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Fault, s3_error

FORBIDDEN = Answer(403, s3_error("AccessDenied"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch, impatient):
    monkeypatch.setattr(retries, "PACE_MIN_SECONDS", 0.001)
    monkeypatch.setattr(retries, "PACE_MAX_SECONDS", 0.001)


class Started(list):
    """Threads, in their order."""

    are_waited_for = True


@pytest.fixture(autouse=True)
def started(monkeypatch):
    """The threads that saves have started to send what waits; each is waited for where it is started, unless
    a test says otherwise.
    """
    threads = Started()
    real = outbox_sender.begin

    def begin(*arguments):
        thread = real(*arguments)
        if thread is not None:
            threads.append(thread)
            if threads.are_waited_for:
                thread.join()
        return thread

    monkeypatch.setattr(outbox_sender, "begin", begin)
    return threads


@pytest.fixture
def proxy(cloud, fast_place, monkeypatch):
    """A proxy before the server, which the environment leads through; ``cloud`` goes past it."""
    target = urllib.parse.urlsplit(fast_place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def box(comfyui):
    return Outbox(folders.outbox_folder())


def pictures(count=1, seed=0):
    return torch.rand((count, 16, 16, 3), generator=torch.Generator().manual_seed(seed))


def save(images=None, **inputs):
    return run_node("SaveImageToCloud", images=pictures() if images is None else images, **inputs)["result"]


def retry(**inputs):
    return outputs_of("RetryPendingUploads", **inputs)


def written():
    """The environment's settings as profile ``renders``: its file, and the entry in it."""
    entry = {
        name.removeprefix("COMFY_S3_").lower(): value
        for name, value in os.environ.items()
        if name.startswith("COMFY_S3_")
    }
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {"renders": entry}}))
    return file, entry


def keys_of(cloud):
    return [info.key for info in cloud.list()]


def kept(box):
    return list(box.contents().entries)


def refused(proxy, **inputs):
    """Save while nothing can be reached, and return the error."""
    proxy.refuse()
    try:
        with pytest.raises(errors.StorageError) as raised:
            save(**inputs)
    finally:
        proxy.resume()
    return raised.value


# ------------------------------------------------------------ what is kept


FAULTS = {
    "a refused connection": (None, errors.Unreachable),
    "a server that fails": (Answer(500, s3_error("InternalError")), errors.Unreachable),
    "a server that is busy": (Answer(503, s3_error("SlowDown")), errors.Throttled),
    "a policy": (FORBIDDEN, errors.AccessDenied),
    "an expired token": (Answer(400, s3_error("ExpiredToken")), errors.AccessDenied),
    "a missing bucket": (Answer(404, s3_error("NoSuchBucket")), errors.NotFound),
    "a full bucket": (Answer(409, s3_error("QuotaExceeded")), errors.StorageError),
    "a page to log in at": (Answer(200, b"<html></html>"), errors.StorageError),
    "an upload that breaks": (Cut("request body", 0.5), errors.Unreachable),
}


@pytest.mark.parametrize("on_failure", [choices.KEEP_AND_STOP, choices.KEEP_AND_GO_ON, choices.STOP])
@pytest.mark.parametrize(("fault", "raised"), FAULTS.values(), ids=FAULTS)
def test_whatever_the_cloud_does_wrong_an_image_is_kept_and_arrives_later(
    cloud, proxy, box, fault, raised, on_failure
):
    save(pictures(1, 9))  # the counter is known from here on
    if fault is None:
        proxy.refuse()
    else:
        proxy.add(Fault(fault, "PUT", times=None))
    if on_failure == choices.KEEP_AND_GO_ON:
        urls, keys, images = save(pictures(3), on_failure=on_failure)
        assert (urls, keys, len(images)) == ("", ["", "", ""], 3)
    else:
        with pytest.raises(raised) as told:
            save(pictures(3), on_failure=on_failure)
        assert ("kept on this computer" in str(told.value)) == (on_failure == choices.KEEP_AND_STOP)
    proxy.clear()
    if fault is None:
        proxy.resume()
    assert len(kept(box)) == (0 if on_failure == choices.STOP else 3)
    sent, left, report = retry()
    assert (sent, left) == (0 if on_failure == choices.STOP else 3, 0), report
    assert kept(box) == []
    assert len(keys_of(cloud)) == 1 + sent


def test_what_arrives_is_what_would_have_been_stored_in_order_and_with_its_options(cloud, proxy, box):
    images = pictures(5)
    refused(proxy, images=images, format="webp", quality=90)
    refused(proxy, images=pictures(1, 7), filename="other")
    assert retry()[:2] == (6, 0)
    later = keys_of(cloud)
    expected = save(images, format="webp", quality=90, key_prefix="twin")[1]
    assert later[:5] == [f"comfyui/images/ComfyUI_{number:05d}.webp" for number in range(1, 6)]
    assert later[5] == "comfyui/images/other.png"
    for key, twin in zip(later, expected, strict=False):
        assert cloud.read(key) == cloud.read(twin)
        found, other = cloud.stat(key), cloud.stat(twin)
        assert (found.content_type, found.sha256) == (other.content_type, other.sha256)


def test_the_error_says_what_happened_where_the_file_is_and_that_it_will_be_sent(proxy, box):
    said = str(refused(proxy))
    (entry,) = kept(box)
    assert said.startswith("Could not ")
    assert "A copy is kept on this computer and will be uploaded after the next successful save" in said
    assert "Retry Pending Uploads" in said
    assert entry.why in said
    said = str(refused(proxy, images=pictures(3)))
    assert "Copies of 3 files are kept on this computer" in said


def test_going_on_gives_empty_keys_for_what_is_kept_and_says_so_on_the_node(cloud, proxy, comfyui, box):
    proxy.add(Fault(FORBIDDEN, "PUT", path="_00003", times=None))
    images = pictures(5)
    done = run_node("SaveImageToCloud", images=images, on_failure=choices.KEEP_AND_GO_ON, unique_id="4")
    urls, keys, passed = done["result"]
    stored = [key for key in keys if key]
    assert len(keys) == 5
    assert keys[2] == ""
    assert urls == ";".join(connect.storage_of(None, folders.profiles_file()).url(key) for key in stored)
    assert len(done["ui"]["images"]) == 5
    assert passed is images
    assert len(kept(box)) == 5 - len(stored)
    text = comfyui.texts[-1][0]
    assert "kept" in text
    assert "AccessDenied" in text


def test_a_node_that_goes_on_says_first_that_nothing_is_in_the_bucket_and_why(cloud, proxy):
    proxy.refuse()
    for count, waits in ((1, "comfyui/images/ComfyUI_….png"), (3, "3 files")):
        done = run_node("SaveImageToCloud", images=pictures(count), on_failure=choices.KEEP_AND_GO_ON)
        (first, more), (why, further), kept, *_ = done["ui"]["cloud_storage"]
        assert (first, more) == (f"NOT in the bucket yet: {waits}.", {"level": "warning"})
        assert why.startswith("Could not ")
        assert further == {"level": "warning"}
        assert "cloud_storage_outbox" in kept or "kept" in kept
        assert "Saved" not in str(done["ui"]["cloud_storage"])
        assert [one["filename"] for one in done["ui"]["images"]] == ["ComfyUI_….png"] * count


def test_after_a_failure_the_rest_of_a_batch_is_kept_without_trying(proxy, box, monkeypatch):
    monkeypatch.setattr(batch, "MOST_UPLOADS", 2)
    save(pictures(1, 5))
    rule = proxy.add(Fault(FORBIDDEN, "PUT", times=None))
    with pytest.raises(errors.AccessDenied):
        save(pictures(40))
    assert len(kept(box)) == 40
    assert rule.seen <= 2


def test_a_read_only_profile_promises_no_later_upload(cloud, box, monkeypatch):
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    with pytest.raises(errors.ConfigurationError) as told:
        save()
    said = str(told.value)
    assert "the profile is read-only" in said
    assert "next successful save" not in said
    assert "make it writable, then run Retry Pending Uploads" in said
    done = run_node("SaveImageToCloud", images=pictures(1), on_failure=choices.KEEP_AND_GO_ON, unique_id="4")
    assert "next successful save" not in str(done["ui"])
    assert retry()[:2] == (0, 2)
    monkeypatch.delenv("COMFY_S3_READ_ONLY")
    assert retry()[:2] == (2, 0)


def test_a_save_that_cannot_list_says_what_it_was_that_the_save_tried(cloud, proxy, box):
    proxy.add(Fault(FORBIDDEN, "GET", times=None))
    with pytest.raises(errors.StorageError) as told:
        save(key_prefix="ux/", filename="a_%counter%")
    said = str(told.value)
    assert said.startswith("Could not save to 'ux/': finding the next free number failed (")
    assert "Could not list" not in said


def test_settings_that_are_missing_lose_nothing(cloud, box, monkeypatch):
    secret = os.environ["COMFY_S3_SECRET_KEY"]
    bucket = os.environ["COMFY_S3_BUCKET"]
    monkeypatch.delenv("COMFY_S3_SECRET_KEY")
    with pytest.raises(errors.ConfigurationError, match=r"but no COMFY_S3_SECRET_KEY.*copy is kept"):
        save()
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", secret)
    monkeypatch.setenv("COMFY_S3_BUCKET", "")
    with pytest.raises(errors.ConfigurationError, match=r"No bucket is set.*copy is kept on this computer"):
        save()
    assert retry()[:2] == (0, 2)
    monkeypatch.setenv("COMFY_S3_BUCKET", bucket)
    assert retry()[:2] == (2, 0)
    assert keys_of(cloud) == ["comfyui/images/ComfyUI_00001.png", "comfyui/images/ComfyUI_00002.png"]


def test_a_file_on_disk_is_kept_as_well(cloud, proxy, box, tmp_path):
    source = tmp_path / "film.mp4"
    source.write_bytes(b"film" * 1000)
    proxy.refuse()
    target = batch.target(None, folders.profiles_file(), folders.outbox_folder(), choices.KEEP_AND_STOP)
    name = outbox.Name(("films/a",), ".mp4")
    file = store_file.File(source, "video/mp4", linkable=True)
    with pytest.raises(errors.Unreachable):
        batch.save(target, [name], lambda index: file, lambda *_: None, "new name", Meter(), Call())
    (entry,) = kept(box)
    assert entry.path.samefile(source)
    source.unlink()
    proxy.resume()
    assert retry()[:2] == (1, 0)
    assert cloud.read("films/a.mp4") == b"film" * 1000
    assert cloud.stat("films/a.mp4").content_type == "video/mp4"


# ------------------------------------------------------------ what is not


def test_what_lies_in_the_output_folder_is_sent_when_asked_for_and_replaces_nothing(cloud, proxy, box):
    save(if_exists="overwrite", filename="mine")
    before = cloud.read("comfyui/images/mine.png")
    refused(proxy, if_exists="overwrite", filename="mine", images=pictures(1, seed=9))
    (entry,) = kept(box)
    earlier = Outbox(folders.earlier_outbox_folder(), is_own=False)
    earlier.folder.mkdir()
    entry.folder.rename(earlier.folder / entry.folder.name)
    save(filename="another")  # sends what waits, and not what somebody may have put there
    assert earlier.contents().entries
    sent, left, report = retry()
    assert (sent, left) == (1, 0)
    assert "replaces nothing" in report
    assert cloud.read("comfyui/images/mine.png") == before
    assert earlier.is_empty


def test_cancel_keeps_nothing(cloud, proxy, box):
    rule = proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", times=None))

    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()
    with pytest.raises(model_management.InterruptProcessingException):
        save(pictures(2))
    proxy.refuse()
    for thread in [each for each in threading.enumerate() if each.name == "cloud-storage"]:
        thread.join()
    assert kept(box) == []


def test_a_taken_key_is_not_kept_where_that_was_to_fail(cloud, box):
    save(filename="x", if_exists="fail")
    with pytest.raises(errors.AlreadyExists):
        save(pictures(1, 3), filename="x", if_exists="fail")
    assert kept(box) == []


def test_an_image_that_cannot_be_encoded_is_not_kept(cloud, box, monkeypatch):
    def encode(*_):
        raise errors.MediaError("This one cannot be encoded. Leave it out.")

    monkeypatch.setattr(nodes_save.image_encoder, "encode", encode)
    with pytest.raises(errors.MediaError):
        save()
    assert kept(box) == []


def test_a_fault_of_this_program_loses_no_image_either(cloud, box, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(type(cloud), "_store_single", broken)
        with pytest.raises(errors.StorageError, match=r"a bug.*copy is kept on this computer"):
            save()
    assert retry()[:2] == (1, 0)


# ------------------------------------------------------------ a disk or an outbox that is full


@pytest.mark.parametrize("on_failure", [choices.KEEP_AND_STOP, choices.KEEP_AND_GO_ON])
def test_a_full_disk_hides_no_error_and_stops_the_node(proxy, box, monkeypatch, on_failure):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(durable_write, "write", full)
    said = str(refused(proxy, on_failure=on_failure))
    assert "endpoint" in said
    assert re.search(r"It could not be kept for later either: .*No space left", said)
    assert kept(box) == []


def test_a_full_outbox_hides_no_error_and_keeps_what_fits(proxy, box, monkeypatch):
    refused(proxy)
    size = box.size()
    monkeypatch.setattr(outbox, "MAX_BYTES", int(size * 2.5))
    monkeypatch.setattr(outbox, "WARN_BYTES", int(size * 1.5))
    said = str(refused(proxy, images=pictures(3), on_failure=choices.KEEP_AND_GO_ON))
    assert "endpoint" in said
    assert "could not be kept for later either" in said
    assert "nearly full" in said
    assert 1 < len(kept(box)) < 4


# ------------------------------------------------------------ sending again


def test_the_next_save_that_succeeds_sends_what_waits(cloud, proxy, box, started):
    refused(proxy, images=pictures(3))
    assert started == []
    assert save(pictures(1, 1))[1] == ["comfyui/images/ComfyUI_00001.png"]
    assert len(started) == 1
    assert kept(box) == []
    assert len(keys_of(cloud)) == 4
    save(pictures(1, 2))
    assert len(started) == 1, "nothing waits any more"


def test_programs_hear_of_what_is_sent_by_itself(cloud, proxy, box, comfyui):
    refused(proxy, images=pictures(2))
    save(pictures(1, 1))
    ((event, told, client),) = comfyui.events
    assert (event, client) == ("cloud_storage.outbox", None)
    files = files_of({"ui": told})
    assert {file["status"] for file in files} == {"stored"}
    assert sorted(file["key"] for file in files) == keys_of(cloud)[1:]
    save(pictures(1, 2))
    assert len(comfyui.events) == 1, "nothing was waiting"


def test_a_save_does_not_wait_for_what_waits_nor_fail_with_it(cloud, proxy, box, monkeypatch, started):
    refused(proxy, filename="slow")
    entered, release = threading.Event(), threading.Event()
    real = outbox_sender._send

    def send(*arguments):
        entered.set()
        assert release.wait(60), "the save waits for this thread"
        real(*arguments)
        raise RuntimeError("a bug")

    monkeypatch.setattr(outbox_sender, "_send", send)
    started.are_waited_for = False
    save(pictures(1, 1))
    assert entered.wait(60)
    assert len(kept(box)) == 1
    release.set()
    started[-1].join()
    assert kept(box) == []


def test_a_machine_that_starts_no_more_threads_fails_no_save(cloud, proxy, box, monkeypatch):
    refused(proxy, filename="x")

    class Tired(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as tired:
        tired.setattr(outbox_sender, "threading", SimpleNamespace(Thread=Tired))
        save(pictures(1, 1))
    assert len(kept(box)) == 1
    save(pictures(1, 2))
    assert kept(box) == []


def test_an_entry_that_is_stuck_is_not_sent_again_behind_every_save(cloud, proxy, box, started):
    refused(proxy, filename="x", if_exists="fail")
    cloud.put("comfyui/images/x.png", b"x", PutOptions(), Meter())
    proxy.clear()
    asked = []
    for seed in range(2):
        save(pictures(1, seed))
        asked.append(sum("x.png" in request.path for request in proxy.requests))
    assert len(started) == 2
    assert asked[0] == asked[1] > 0
    assert retry()[:2] == (0, 1), "the node tries it all the same"


def test_a_save_through_another_profile_leaves_what_waits(cloud, proxy, box, fast_place, started):
    written()
    wire = run_node("CloudStorageProfile", profile="renders")[0]
    deeper = run_node("CloudStorageProfile", profile="renders", path_prefix="deeper/")[0]
    for profile in (None, wire, deeper):
        refused(proxy, profile=profile)
    assert len(kept(box)) == 3
    save(pictures(1, 1), profile=wire)
    assert [one.sender.profile for one in kept(box)] == ["(env vars)", "renders"]
    assert retry(profile=wire)[:2] == (0, 0)
    assert retry(profile=deeper)[:2] == (1, 0)
    assert retry()[:2] == (1, 0)


def test_what_fails_again_stays_and_the_report_says_why(cloud, proxy, box):
    refused(proxy, images=pictures(6))
    rule = proxy.add(Fault(FORBIDDEN, "PUT", times=None))
    sent, left, report = retry()
    assert (sent, left) == (0, 6)
    first, waiting = report.splitlines()
    assert first == "6 files are still waiting."
    assert waiting.startswith("Waiting: comfyui/images/ComfyUI_….png, ")
    assert "and 1 more (profile (env vars)): Could not" in waiting
    assert report.count("AccessDenied") == 1, "the same reason is told once"
    assert str(box.folder) not in report, "key and profile first, no path"
    assert rule.seen <= outbox_sender.SEND_THREADS, "the rest is not tried"
    proxy.clear()
    assert retry()[:2] == (6, 0)


def forge(entry, **changes):
    path = entry.folder / outbox.ENTRY_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def sent_all(box):
    return outbox_sender.send(box, folders.profiles_file(), lambda entry: True, Meter())


OWN_CODES = ("KeyTooLongError", "InvalidObjectName", "EntityTooLarge", "FileImmutable")


@pytest.mark.parametrize("code", ["", *OWN_CODES])
@pytest.mark.parametrize("filename", ["bad", "bad_%counter%"])
def test_one_that_can_never_be_sent_keeps_nothing_else_away(cloud, proxy, box, code, filename):
    refused(proxy, filename=filename)
    refused(proxy, images=pictures(2, 1))
    refused(proxy, images=pictures(1, 2), filename="good")
    first, *_ = kept(box)
    if code:
        where = {"Region": "eu-north-1", "Endpoint": "oss-cn-beijing.aliyuncs.com"}  # some say it every time
        proxy.add(Fault(Answer(400, s3_error(code, **where)), "PUT", path="bad", times=None))
    else:
        pieces = ["x" * 1100] if filename == "bad" else ["x" * 1100, ""]
        forge(first, name={"pieces": pieces, "extension": ".png", "batch_num": 0}, tried="")
    for sent in (3, 0):
        report = sent_all(box)
        assert (report.sent, report.left, report.stuck) == (sent, 1, {first.folder}), str(report)
        assert "to that" not in str(report), "the region is not what is wrong"
    assert [entry.folder for entry in kept(box)] == [first.folder]
    assert len(keys_of(cloud)) == 3


def test_a_refusal_that_may_be_of_one_folder_keeps_no_other_away(cloud, proxy, box):
    refused(proxy, images=pictures(6), key_prefix="wrong")
    for seed in (1, 2):
        refused(proxy, images=pictures(1, seed), key_prefix="wrong", filename="x")
    refused(proxy, images=pictures(2, 3), key_prefix="right")
    refused(proxy, images=pictures(1, 4), key_prefix="right", filename="x")
    for answer in (FORBIDDEN, Answer(400, s3_error("XMinioInvalidObjectName"))):
        rule = proxy.add(Fault(answer, "PUT", path="wrong", times=None))
        report = sent_all(box)
        assert report.left == 8
        assert rule.seen <= outbox_sender.SEND_THREADS + 1, "the rest of the folder is not tried"
        assert report.stuck == set(), "it is tried again once the policy may have changed"
        assert keys_of(cloud) == ["right/ComfyUI_00001.png", "right/ComfyUI_00002.png", "right/x.png"]
        proxy.clear()
    assert retry()[:2] == (8, 0)


def test_a_policy_that_forbids_to_list_one_folder_keeps_no_other_away(cloud, proxy, box, monkeypatch):
    monkeypatch.setattr(outbox_sender, "SEND_THREADS", 1)
    for folder in ("wrong", "wrong", "right"):
        refused(proxy, key_prefix=folder)
    proxy.add(Fault(FORBIDDEN, "GET", query="wrong", times=None))
    sent, left, report = retry()
    assert (sent, left) == (1, 2)
    assert "needs the right to list" in report


PLACE_CODES = ("NoSuchBucket", "ExpiredToken", "InvalidAccessKeyId", "PermanentRedirect", "QuotaExceeded")


@pytest.mark.parametrize("code", PLACE_CODES)
def test_a_refusal_that_is_of_the_place_ends_the_attempts(cloud, proxy, box, code):
    for name in ("a", "b", "c"):
        refused(proxy, key_prefix=name, filename="x")
    rule = proxy.add(Fault(Answer(400, s3_error(code)), "PUT", times=None))
    assert retry()[:2] == (0, 3)
    assert rule.seen == 1


def test_one_that_cannot_be_looked_for_keeps_nothing_else_away(cloud, proxy, box):
    proxy.add(Fault(LOST_ANSWER, "PUT", times=None))
    with pytest.raises(errors.StorageError):
        save(filename="bad")
    proxy.clear()
    refused(proxy, images=pictures(1, 1), filename="good")
    for method in ("HEAD", "GET"):
        answer = Answer(400, s3_error("XMinioInvalidObjectName"))
        proxy.add(Fault(answer, method, path="bad", times=None))
    sent, left, report = retry()
    assert (sent, left) == (1, 1)
    assert "bad" in report
    assert [request for request in proxy.requests if request.method == "PUT" and "bad" in request.path] == []
    proxy.clear()
    assert retry()[:2] == (1, 0)


def test_profiles_that_read_alike_are_not_one(cloud, proxy, box):
    file, entry = written()
    alike = f"a with bucket {entry['bucket']}"
    other = {**entry, "path_prefix": f"{entry['path_prefix']}other/"}
    file.write_text(json.dumps({"profiles": {"a": entry, alike: other}}))
    overridden = run_node("CloudStorageProfile", profile="a", bucket=entry["bucket"])[0]
    refused(proxy, profile=overridden, filename="x")
    refused(proxy, profile=run_node("CloudStorageProfile", profile=alike)[0], filename="x")
    assert len({str(one.sender) for one in kept(box)}) == 1
    assert retry()[:2] == (2, 0)
    assert keys_of(cloud) == ["comfyui/images/x.png", "other/comfyui/images/x.png"]


def test_a_profile_that_is_gone_leaves_its_entries_and_is_named(cloud, proxy, box):
    file, entry = written()
    refused(proxy, profile=run_node("CloudStorageProfile", profile="renders")[0])
    refused(proxy)
    for changes, said in (
        ({"profiles": {}}, "There is no profile 'renders'"),
        ({"profiles": {"renders": {**entry, "read_only": True}}}, "read-only"),
        ({"profiles": {"renders": {**entry, "secret_key": ""}}}, "secret_key"),
    ):
        file.write_text(json.dumps(changes))
        _, left, report = retry()
        assert left == 1
        assert said in report
    file.write_text(json.dumps({"profiles": {"renders": entry}}))
    assert retry()[:2] == (1, 0)
    assert len(keys_of(cloud)) == 2


def test_a_profile_locked_meanwhile_takes_no_overrides_from_the_outbox(cloud, proxy, box, monkeypatch):
    prefix = os.environ["COMFY_S3_PATH_PREFIX"]
    wire = run_node("CloudStorageProfile", profile="(env vars)", path_prefix=prefix)[0]
    refused(proxy, profile=wire)
    monkeypatch.setenv("COMFY_S3_LOCKED", "true")
    _, left, report = retry()
    assert left == 1
    assert "locked" in report


def test_after_a_failure_of_the_network_an_entry_goes_to_its_own_bucket_and_nowhere_else(
    cloud, proxy, box, monkeypatch
):
    refused(proxy)
    prefix = os.environ["COMFY_S3_PATH_PREFIX"]
    monkeypatch.setenv("COMFY_S3_PATH_PREFIX", f"{prefix}elsewhere/")
    _, left, report = retry()
    assert left == 1
    assert "now leads to" in report
    monkeypatch.setenv("COMFY_S3_PATH_PREFIX", prefix)
    assert retry()[:2] == (1, 0)


def test_after_a_refusal_an_entry_follows_the_profile_that_was_corrected(cloud, proxy, box, monkeypatch):
    proxy.add(Fault(Answer(404, s3_error("NoSuchBucket")), times=None))
    with pytest.raises(errors.NotFound):
        save()
    proxy.clear()
    monkeypatch.setenv("COMFY_S3_PATH_PREFIX", f"{os.environ['COMFY_S3_PATH_PREFIX']}right/")
    assert retry()[:2] == (1, 0)
    assert keys_of(cloud) == ["right/comfyui/images/ComfyUI_00001.png"]


# ------------------------------------------------------------ once, and never over what exists


def test_an_upload_whose_answer_was_lost_is_recognised_and_not_sent_again(cloud, proxy, box):
    proxy.add(Fault(LOST_ANSWER, "PUT", times=None))
    with pytest.raises(errors.StorageError):
        save()
    assert len(keys_of(cloud)) == 1
    proxy.clear()
    assert retry()[:2] == (1, 0)
    assert [request.method for request in proxy.requests if request.method == "PUT"] == []
    assert len(keys_of(cloud)) == 1


def test_what_has_arrived_and_cannot_be_removed_is_not_sent_again(cloud, proxy, box, monkeypatch):
    proxy.add(Fault(LOST_ANSWER, "PUT", times=None))
    with pytest.raises(errors.StorageError):
        save(filename="x")
    proxy.clear()
    refused(proxy, images=pictures(1, 1), filename="y")
    first, _ = kept(box)
    real = Outbox.remove

    def remove(self, entry):
        if entry.folder == first.folder:
            raise PermissionError(errno.EACCES, "in use")
        real(self, entry)

    with monkeypatch.context() as open_elsewhere:
        open_elsewhere.setattr(Outbox, "remove", remove)
        sent, left, report = retry()
    assert (sent, left) == (1, 1)
    assert "in use" in report

    def removed(self, entry):
        shutil.rmtree(entry.folder)
        real(self, entry)

    with monkeypatch.context() as faster:
        faster.setattr(Outbox, "remove", removed)
        assert retry()[:2] == (1, 0), "it is there, whoever removed the entry"
    assert keys_of(cloud) == ["comfyui/images/x.png", "comfyui/images/y.png"]
    assert sum("x.png" in request.path for request in proxy.requests if request.method == "PUT") == 0


def test_what_may_have_arrived_waits_until_somebody_may_look(cloud, proxy, box):
    proxy.add(Fault(LOST_ANSWER, "PUT", times=None))
    with pytest.raises(errors.StorageError):
        save()
    proxy.clear()
    for method in ("HEAD", "GET"):
        proxy.add(Fault(Answer(403, s3_error("ExpiredToken")), method, times=None))
    _, left, report = retry()
    assert left == 1
    assert "token" in report
    proxy.clear()
    assert retry()[:2] == (1, 0)
    assert len(keys_of(cloud)) == 1


def test_new_names_step_behind_what_was_stored_meanwhile(cloud, proxy, box):
    refused(proxy, images=pictures(2), filename="x")
    refused(proxy, images=pictures(2, 2))
    taken = {}
    for name in ("x_0", "ComfyUI_00001", "ComfyUI_00041"):
        key = f"comfyui/images/{name}.png"
        taken[key] = cloud.put(key, key.encode(), PutOptions(), Meter()).etag
    assert retry()[:2] == (4, 0)
    assert keys_of(cloud) == [
        *(f"comfyui/images/ComfyUI_{number:05d}.png" for number in (1, 41, 42, 43)),
        *(f"comfyui/images/x_{rest}.png" for rest in ("0", "0_00002", "1")),
    ]
    assert {key: cloud.stat(key).etag for key in taken} == taken


def test_entries_of_one_name_get_their_numbers_in_order(cloud, proxy, box):
    for seed in range(3):
        refused(proxy, images=pictures(1, seed), filename="x")
    digests = [entry.sha256 for entry in kept(box)]
    assert retry()[:2] == (3, 0)
    keys = [f"comfyui/images/x{rest}.png" for rest in ("", "_00002", "_00003")]
    assert [cloud.stat(key).sha256 for key in keys] == digests


def test_of_several_that_overwrite_the_last_one_stays(cloud, proxy, box):
    for seed in range(3):
        refused(proxy, images=pictures(1, seed), filename="x", if_exists="overwrite")
    digests = [entry.sha256 for entry in kept(box)]
    assert retry()[:2] == (3, 0)
    assert keys_of(cloud) == ["comfyui/images/x.png"]
    assert cloud.stat("comfyui/images/x.png").sha256 == digests[-1]


def test_what_was_overwritten_by_a_newer_save_stays_and_the_older_one_gets_a_name_of_its_own(
    cloud, proxy, box
):
    refused(proxy, filename="x", if_exists="overwrite")
    older = kept(box)[0].sha256
    save(pictures(1, 1), filename="x", if_exists="overwrite")
    newer = cloud.stat("comfyui/images/x.png").sha256
    assert newer != older
    assert kept(box) == []
    assert keys_of(cloud) == ["comfyui/images/x.png", "comfyui/images/x_00002.png"]
    assert cloud.stat("comfyui/images/x_00002.png").sha256 == older


def test_an_older_object_is_overwritten_as_was_asked(cloud, proxy, box):
    cloud.put("comfyui/images/x.png", b"old", PutOptions(), Meter())
    refused(proxy, filename="x", if_exists="overwrite")
    (entry,) = kept(box)
    forge(entry, saved_at=(entry.saved_at + timedelta(minutes=1)).isoformat())  # later than it was stored
    assert retry()[:2] == (1, 0)
    assert keys_of(cloud) == ["comfyui/images/x.png"]
    assert cloud.stat("comfyui/images/x.png").size > 3


def test_an_entry_from_before_all_times_ends_no_sending(cloud, proxy, box):
    cloud.put("comfyui/images/x.png", b"new", PutOptions(), Meter())
    refused(proxy, filename="x", if_exists="overwrite")
    forge(kept(box)[0], saved_at="0001-01-01T00:00:00+00:00")
    assert retry()[:2] == (1, 0)
    assert keys_of(cloud) == ["comfyui/images/x.png", "comfyui/images/x_00002.png"]


def test_fail_and_skip_mean_the_same_later(cloud, proxy, box):
    refused(proxy, filename="x", if_exists="fail")
    refused(proxy, filename="y", if_exists="skip")
    cloud.put("comfyui/images/x.png", b"x", PutOptions(), Meter())
    cloud.put("comfyui/images/y.png", b"y", PutOptions(), Meter())
    sent, left, report = retry()
    assert (sent, left) == (1, 1)
    assert "Choose another name" in report
    assert cloud.read("comfyui/images/x.png") == b"x"
    assert cloud.read("comfyui/images/y.png") == b"y"


def test_an_entry_goes_only_when_the_server_has_confirmed_it(cloud, proxy, box, monkeypatch):
    refused(proxy)
    real = type(cloud).stat
    with monkeypatch.context() as lying:
        lying.setattr(type(cloud), "stat", lambda self, key: dataclasses.replace(real(self, key), size=1))
        _, left, report = retry()
    assert left == 1
    assert "describes another object" in report
    assert len(kept(box)) == 1
    assert retry()[:2] == (1, 0)
    assert len(keys_of(cloud)) == 1, "it had arrived, and is recognised"


def test_a_key_that_may_only_write_has_the_server_s_word_for_it(cloud, proxy, box):
    refused(proxy, filename="x")
    proxy.add(Fault(FORBIDDEN, "HEAD", times=None))
    proxy.add(Fault(FORBIDDEN, "GET", times=None))
    assert retry()[:2] == (1, 0)
    assert keys_of(cloud) == ["comfyui/images/x.png"]


def test_a_file_that_was_changed_in_the_outbox_is_never_sent(cloud, proxy, box):
    refused(proxy, images=pictures(2))
    first, _ = kept(box)
    size = first.path.stat().st_size
    first.path.write_bytes(os.urandom(size))
    sent, left, report = retry()
    assert (sent, left) == (1, 1)
    assert "is not what was kept" in report
    assert keys_of(cloud) != []
    assert kept(box) == [first]


def test_what_cannot_be_read_is_left_and_reported_and_keeps_nothing_else_away(cloud, proxy, box):
    refused(proxy, images=pictures(2))
    broken = kept(box)[0].folder / outbox.ENTRY_FILE
    broken.write_text("{")
    sent, left, report = retry()
    assert (sent, left) == (1, 1)
    assert broken.parent.name in report
    assert broken.exists()


def test_what_somebody_removes_meanwhile_is_nobodys_failure(cloud, proxy, box, monkeypatch):
    refused(proxy, images=pictures(1), filename="x")
    real = outbox_sender.file_sha256

    def removed(path, meter):
        shutil.rmtree(path.parent)
        return real(path, meter)

    monkeypatch.setattr(outbox_sender, "file_sha256", removed)
    assert retry()[:2] == (0, 0)


def test_a_forged_entry_reaches_no_key_of_another_kind(cloud, proxy, box):
    refused(proxy)
    (entry,) = kept(box)
    path = entry.folder / outbox.ENTRY_FILE

    def through(**overrides):
        return {"sender": {"profile": "(env vars)", "overrides": overrides}}

    for changes, said in (
        (through(endpoint_url="http://127.0.0.1:9"), "may not set"),
        (through(secret_key="x"), "may not set"),
        ({"name": {"pieces": ["../../x"], "extension": "", "batch_num": 0}, "tried": ""}, ". or .."),
    ):
        whole = json.loads(path.read_text())
        path.write_text(json.dumps({**whole, **changes}))
        if "name" in changes:
            entry.path.rename(entry.folder / "file")
        _, left, report = retry()
        assert left == 1
        assert said in report
        path.write_text(json.dumps(whole))
    assert keys_of(cloud) == []


def test_cancel_ends_the_sending_and_loses_nothing(cloud, proxy, box):
    refused(proxy, images=pictures(3))
    rule = proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", times=None))

    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()
    with pytest.raises(model_management.InterruptProcessingException):
        retry()
    proxy.clear()
    for thread in [each for each in threading.enumerate() if each.name == "cloud-storage"]:
        thread.join()
    assert retry()[1] == 0
    assert len(keys_of(cloud)) == 3


# ------------------------------------------------------------ several that send at once


def test_who_sends_beside_another_sends_what_that_one_leaves(cloud, proxy, box, fast_place):
    written()
    wire = run_node("CloudStorageProfile", profile="renders")[0]
    for profile in (None, wire):
        refused(proxy, profile=profile)
    waits, beside = threading.Event(), []

    def send_beside():
        everything = box, folders.profiles_file(), lambda entry: True, Meter()
        beside.append(outbox_sender.send(*everything, lambda text: waits.set()))
        waits.set()

    thread = threading.Thread(target=send_beside)

    def wanted(entry):
        if thread.ident is None:
            thread.start()
            waits.wait()
        return entry.sender.profile == "renders"

    assert outbox_sender.send(box, folders.profiles_file(), wanted, Meter()).sent == 1
    thread.join()
    assert [(report.sent, report.left) for report in beside] == [(1, 0)], str(beside[0])
    assert len(keys_of(cloud)) == 2


def test_the_node_says_that_it_waits_for_another_and_can_be_cancelled(cloud, proxy, box, monkeypatch):
    refused(proxy)
    shown = []

    def show(node_id, text):
        shown.append(text)
        then()

    monkeypatch.setattr(progress, "show_text", show)
    with contextlib.ExitStack() as other:
        other.enter_context(box.alone())
        then = model_management.interrupt_current_processing
        with pytest.raises(model_management.InterruptProcessingException):
            retry()
        assert len(kept(box)) == 1
        then = other.close
        assert retry()[:2] == (1, 0)
    assert [text for text in shown if "being sent already" in text] == shown[:2]


def test_a_save_s_own_sending_waits_for_nobody(cloud, proxy, box, started):
    refused(proxy)
    with box.alone():
        save(pictures(1, 1))
        assert len(started) == 1
        assert len(kept(box)) == 1
    assert retry()[:2] == (1, 0)


# ------------------------------------------------------------ two processes, and one that is killed


_SENDER = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT / "tests" / "stand_in")!r}]
from conftest import run_node, outputs_of
import folder_paths
folder_paths.base_path = sys.argv[1]
"""


def test_two_processes_on_one_output_folder_never_send_twice(cloud, proxy, box, tmp_path):
    refused(proxy, images=pictures(8))
    program = (
        _SENDER
        + """
print("ready", flush=True)
sys.stdin.readline()
print(*outputs_of("RetryPendingUploads")[:2])
"""
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": "/"}
    with subprocess.Popen(command, **pipes) as first, subprocess.Popen(command, **pipes) as second:
        for each in (first, second):
            assert each.stdout.readline() == "ready\n"
        for each in (first, second):
            each.stdin.write("\n")
            each.stdin.flush()
        sent = sum(int(each.communicate()[0].split()[0]) for each in (first, second))
    assert sent + retry()[0] == 8
    assert len(keys_of(cloud)) == 8


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_sender_killed_at_any_step_sends_everything_once_in_the_end(cloud, proxy, box, tmp_path):
    refused(proxy)
    original = tmp_path / "one-entry"
    shutil.copytree(box.folder, original)
    program = (
        _SENDER
        + """
import os, signal
from pathlib import Path
from cloud_storage.storage import connect
from cloud_storage.saving import outbox_sender
from cloud_storage.comfyui import folders
from cloud_storage.system.meter import Meter
from cloud_storage.saving.outbox import Outbox
connect.storage_of(None, folders.profiles_file())  # the SDK is imported once, before the forks
folder, left = str(folders.outbox_folder()), 1

def hook(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.rmdir", "socket.connect") and (
        event == "socket.connect" or folder in str(arguments)
    ):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

while True:
    box = Outbox(folders.outbox_folder())
    pid = os.fork()
    if pid == 0:
        sys.addaudithook(hook)
        report = outbox_sender.send(box, folders.profiles_file(), lambda entry: True, Meter())
        os._exit(0 if report.left == 0 else 1)
    status = os.waitpid(pid, 0)[1]
    print(status, flush=True)
    if sys.stdin.readline() != "again\\n" or status == 0:
        break
    left += 1
"""
    )
    steps = 0
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    ) as killed:
        while True:
            steps += 1
            status = int(killed.stdout.readline())
            retry()
            assert box.is_empty, "no half of an entry is left either"
            assert len(keys_of(cloud)) == 1, f"killed at step {steps}"
            if status == 0:
                break
            assert status == 9
            for key in keys_of(cloud):
                cloud.delete(key)
            shutil.rmtree(box.folder)
            shutil.copytree(original, box.folder)
            killed.stdin.write("again\n")
            killed.stdin.flush()
        killed.stdin.write("end\n")
        killed.stdin.flush()
    assert steps > 8


def test_workers_of_the_outbox_are_few(monkeypatch, cloud, proxy, box):
    refused(proxy, images=pictures(12))
    seen = []
    real = thread_pool.run
    monkeypatch.setattr(
        thread_pool,
        "run",
        lambda jobs, threads, **more: (seen.append(threads), real(jobs, threads, **more))[1],
    )
    assert retry()[:2] == (12, 0)
    assert max(seen) == outbox_sender.SEND_THREADS
