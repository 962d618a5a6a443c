"""A server that lies, sends without end, or hardly sends: an error that says so, on both backends."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import os
import signal
import subprocess
import sys
import threading
import tracemalloc

import pytest
from cloud_storage import errors
from cloud_storage import profile as profiles
from cloud_storage.comfyui import folders
from cloud_storage.loading import is_changed
from cloud_storage.loading.range_reader import RangeReader
from cloud_storage.storage import (
    connect,
    connection_test,
    connection_watch,
    error_codes,
    listing_pages,
    multipart,
)
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import watch
from cloud_storage.system.meter import Meter
from comfy import model_management
from conftest import ROOT, run_node
from servers.faults import Answer, Cut, Drip, Fault, Headers, listing, s3_error

pytestmark = pytest.mark.usefixtures("impatient")
HERE = ROOT / "tests"
PAGE = b"<!doctype html><html><body>Please log in<p></body></html>"
LARGE = bytes(multipart.SINGLE_MAX_BYTES + 1)
MIB = 1 << 20


def put(target, key, data=b"data", create=False):
    return target.put(key, data, PutOptions(), Meter(), create)


def answers(proxy, make):
    """Have every listing answered by ``make(query, number)``."""
    numbers = itertools.count()
    return proxy.add(Fault(Answer(200, lambda query: make(query, next(numbers))), "GET", times=None))


# ------------------------------------------------------------ listings


def same_token(query, number):
    return listing(query, [f"{number:06d}"], "again")


def no_keys(query, number):
    return listing(query, [], f"token-{number}")


def same_keys(query, number):
    return listing(query, ["a", "b"], f"token-{number}")


def no_token(query, number):
    return listing(query, ["a"], truncated=True)


def foreign(query, number):
    return listing(query, ["a"]).replace(b"<Key>", b"<Key>elsewhere/")


def foreign_folder(query, number):
    return listing(query, ["a"]).replace(
        b"</ListBucketResult>", b"<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes></ListBucketResult>"
    )


def no_size(query, number):
    return listing(query, ["a"]).replace(b"<Size>1</Size>", b"")


def odd_size(query, number):
    return listing(query, ["a"]).replace(b"<Size>1<", b"<Size>much<")


def negative_size(query, number):
    return listing(query, ["a"]).replace(b"<Size>1<", b"<Size>-1<")


def odd_date(query, number):
    return listing(query, ["a"]).replace(b"2026-01-01T00:00:00.000Z", b"yesterday")


def page(query, number):
    return PAGE


def json(query, number):
    return b'{"error": "log in"}'


def other(query, number):
    return b"<Portal><Contents/></Portal>"


LIES = {
    same_token: "continues where it was before",
    no_keys: "answers one after another have no key",
    same_keys: "the same keys again",
    no_token: "it continues, and not where|NextContinuationToken could not be found",
    foreign: "which does not start with",
    foreign_folder: "which does not start with",
    no_size: "Size",
    odd_size: "a field has a wrong value",
    negative_size: "below zero",
    odd_date: "a field has a wrong value",
    page: "a page of HTML",
    json: "something else",
    other: "something else",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_a_listing_that_lies_is_an_error_that_says_so(shaky, proxy, monkeypatch, lie):
    monkeypatch.setattr(listing_pages, "EMPTY_PAGES_MAX", 5)
    answers(proxy, lie)
    with pytest.raises(errors.Unreachable, match=rf"Could not list the bucket .*({LIES[lie]})"):
        list(shaky.list())


@pytest.mark.parametrize("lie", [foreign, no_size, page, no_token], ids=lambda lie: lie.__name__)
def test_a_page_for_the_picker_lies_no_better(shaky, proxy, lie):
    answers(proxy, lie)
    with pytest.raises(errors.Unreachable, match="Could not list 'a/'"):
        shaky.page("a/")


def test_a_page_that_leads_to_itself_is_an_error(shaky, proxy):
    answers(proxy, same_token)
    with pytest.raises(errors.Unreachable, match="continues where it was before"):
        shaky.page("a/", token="again")


def test_a_listing_of_more_answers_than_any_bucket_has_ends(shaky, proxy, monkeypatch):
    monkeypatch.setattr(listing_pages, "PAGES_MAX", 10)
    answers(proxy, lambda query, number: listing(query, [f"{number:06d}"], f"token-{number}"))
    with pytest.raises(errors.Unreachable, match="has not ended after 10 answers"):
        list(shaky.list())


def test_a_page_without_keys_in_between_ends_no_listing(shaky, proxy):
    def make(query, number):
        return listing(
            query, [] if number in (0, 2) else [f"{number}"], f"token-{number}" if number < 4 else ""
        )

    answers(proxy, make)
    assert [info.key for info in shaky.list()] == ["1", "3", "4"]


# ------------------------------------------------------------ a yes that is none


@pytest.mark.parametrize("data", [b"data", LARGE], ids=["whole", "in parts"])
@pytest.mark.parametrize("create", [False, True])
def test_a_write_that_is_answered_with_success_and_an_error_is_no_success(shaky, proxy, direct, data, create):
    said = Answer(200, s3_error("InternalError", Message="Not now."))
    rule = proxy.add(Fault(said, "PUT" if data != LARGE else "POST", times=None))
    with pytest.raises(errors.Unreachable, match=r"InternalError \(Not now"):
        put(shaky, "a.bin", data, create)
    assert rule.happened > 1, "it was asked again"
    assert list(direct.list()) == []


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_false_yes_that_passes_is_not_seen(shaky, proxy, direct, method):
    data = b"data" if method == "PUT" else LARGE
    query = "" if method == "PUT" else "uploadId"
    proxy.add(Fault(Answer(200, s3_error("InternalError")), method, query=query))
    put(shaky, "a.bin", data)
    assert direct.read("a.bin") == data


def test_a_refusal_of_the_end_of_an_upload_is_that_refusal(shaky, proxy, fast_place):
    proxy.add(Fault(Answer(200, s3_error("AccessDenied")), "POST", query="uploadId", times=None))
    with pytest.raises(errors.AccessDenied):
        put(shaky, "a.bin", LARGE)
    assert fast_place.open_uploads() == []


def test_a_page_to_log_in_at_is_no_object(shaky, proxy):
    proxy.add(Fault(Answer(200, PAGE), times=None))
    for attempt in (lambda: shaky.read("a"), lambda: shaky.stat("a"), lambda: put(shaky, "a", create=True)):
        with pytest.raises(errors.Unreachable, match="Check endpoint_url"):
            attempt()


@pytest.mark.parametrize("header", ["Content-Length", "Content-Range"])
def test_a_number_that_is_none_is_an_error(shaky, proxy, direct, header):
    put(direct, "a", b"0123456789")
    proxy.add(
        Fault(Headers(response={header: "\u00b2" if header == "Content-Range" else "9" * 5000}), times=None)
    )
    with pytest.raises(errors.StorageError):
        shaky.read("a", 2, 8)


# ------------------------------------------------------------ without end


@pytest.fixture
def memory():
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 403])
def test_no_document_is_read_whole_whatever_it_says(shaky, proxy, memory, status):
    body = b"<Error><Code>x</Code><Message>" + b"x" * (64 * MIB)
    proxy.add(Fault(Answer(status, lambda query: body), times=None))
    before = memory()
    with pytest.raises(errors.StorageError) as refused:
        list(shaky.list())
    assert memory() - before < 48 * MIB
    assert len(str(refused.value)) < 5000


def test_a_packed_listing_is_not_unpacked(shaky, proxy, memory):
    packed = gzip.compress(b" " * (256 * MIB))
    proxy.add(Fault(Answer(200, packed, {"Content-Encoding": "gzip"}), times=None))
    before = memory()
    with pytest.raises(errors.Unreachable):
        list(shaky.list())
    assert memory() - before < 48 * MIB


def test_a_head_without_end_is_an_error(shaky, proxy, monkeypatch):
    monkeypatch.setattr(connection_watch, "HEAD_MAX_BYTES", 20_000)
    many = {"ETag": '"x"', **{f"X-Line-{number}": "x" * 1000 for number in range(50)}}
    proxy.add(Fault(Answer(200, b"", many), times=None))
    with pytest.raises(errors.Unreachable):
        shaky.stat("a")


def test_a_message_without_end_is_cut(shaky, proxy):
    proxy.add(Fault(Answer(403, s3_error("AccessDenied", Message="no " * 10_000)), times=None))
    with pytest.raises(errors.AccessDenied) as refused:
        list(shaky.list())
    assert len(str(refused.value)) < error_codes.SAID_MAX_CHARACTERS + 500


# ------------------------------------------------------------ byte by byte


@pytest.mark.parametrize("at", [-1, 0], ids=["head", "body"])
def test_an_answer_byte_by_byte_is_none_and_is_asked_for_again(shaky, proxy, direct, monkeypatch, at):
    data = os.urandom(MIB)
    put(direct, "a", data)
    monkeypatch.setattr(connection_watch, "SLOW_SECONDS", 0.3)
    rule = proxy.add(Fault(Drip(0.02, at), "GET"))
    assert shaky.read("a") == data
    assert rule.seen == 2
    proxy.add(Fault(Drip(0.02, at), "GET", times=None))
    with pytest.raises(errors.Unreachable, match=r"only .* bytes of the answer arrived in"):
        shaky.read("a")


def test_a_slow_line_that_brings_enough_is_waited_for(shaky, proxy, direct, monkeypatch):
    monkeypatch.setattr(connection_watch, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(connection_watch, "SLOW_BYTES_PER_SECOND", 1)
    data = os.urandom(20_000)
    put(direct, "a", data)
    proxy.bandwidth_bytes_per_second = 20_000
    assert shaky.read("a") == data
    assert [record.method for record in proxy.requests] == ["GET"]


@pytest.mark.parametrize("data", [bytes(12 * MIB), LARGE], ids=["whole", "in parts"])
def test_a_server_that_takes_nothing_more_of_an_upload_ends_it(shaky, proxy, direct, monkeypatch, data):
    monkeypatch.setattr(connection_watch, "SILENT_SECONDS", 0.1)
    proxy.add(Fault(Cut("request body", 0.1, "silence"), "PUT", times=None))
    with pytest.raises(errors.Unreachable):
        put(shaky, "a", data)
    assert list(direct.list()) == []


# ------------------------------------------------------------ Cancel


@pytest.fixture
def through(cloud, proxy, monkeypatch):
    """The user's settings lead through the proxy; gives the storage."""
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    return connect.storage_of(None, folders.profiles_file())


CANCELLED = {
    "list": lambda: run_node("ListBucketContents", prefix="t/"),
    "load folder": lambda: run_node("LoadImagesFromCloud", prefix="t/"),
    "test": lambda: run_node("TestCloudConnection"),
    "load": lambda: run_node("LoadImageFromCloud", key="t/a.png"),
}


def transfers():
    return [thread for thread in threading.enumerate() if thread.name == "cloud-storage"]


@pytest.mark.parametrize("name", CANCELLED)
def test_cancel_ends_the_request_of_a_node_and_no_other_follows(through, proxy, name):
    silent = proxy.add(Fault(Cut("response", how="silence"), times=None))
    cancel = threading.Thread(
        target=lambda: (silent.wait(), model_management.interrupt_current_processing(True))
    )
    cancel.start()
    with pytest.raises(model_management.InterruptProcessingException):
        CANCELLED[name]()
    cancel.join()
    for thread in transfers():
        thread.join(20)
    assert transfers() == [], "the request has ended, though nobody has answered it"
    assert silent.seen == 1


def test_cancel_ends_a_listing_between_two_answers(through, proxy):
    rule = answers(proxy, lambda query, number: listing(query, [f"{number:06d}"], f"token-{number}"))
    cancel = threading.Thread(
        target=lambda: (rule.wait(), model_management.interrupt_current_processing(True))
    )
    cancel.start()
    with pytest.raises(model_management.InterruptProcessingException):
        run_node("LoadImagesFromCloud", prefix="t/")
    cancel.join()
    for thread in transfers():
        thread.join(20)
    assert transfers() == []


def test_what_a_cancelled_test_has_written_is_removed(through, proxy, cloud):
    rule = proxy.add(
        Fault(Cut("response", how="silence"), "GET", path=connection_test.TEST_KEY_START, times=None)
    )
    cancel = threading.Thread(
        target=lambda: (rule.wait(), model_management.interrupt_current_processing(True))
    )
    cancel.start()
    with pytest.raises(model_management.InterruptProcessingException):
        run_node("TestCloudConnection")
    cancel.join()
    for thread in transfers():
        thread.join(20)
    assert list(cloud.list()) == []


def test_is_changed_asks_no_longer_than_it_is_waited_for(through, proxy, monkeypatch):
    monkeypatch.setattr(is_changed, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(is_changed, "_memories", {})  # else it answers what other tests have known
    silent = proxy.add(Fault(Cut("response", how="silence"), times=None))
    assert is_changed.answer("9", "a", lambda storage, key, _: storage.stat(key).etag) == is_changed.UNKNOWN
    for thread in transfers():
        thread.join(20)
    assert transfers() == []
    assert silent.seen <= 1


def test_the_threads_of_a_file_that_is_read_by_ranges_end_when_it_is_stopped(through, cloud, proxy):
    cloud.put("film.mp4", bytes(8 << 20), PutOptions(), Meter())
    meter = Meter()
    with contextlib.closing(RangeReader(through, "film.mp4", meter)) as reader:
        silent = proxy.add(Fault(Cut("response", how="silence"), times=None))
        cancel = threading.Thread(target=lambda: (silent.wait(), meter.stop()))
        cancel.start()
        reader.seek(6 << 20)
        with pytest.raises(errors.TransferCancelled):
            reader.read(1)
        cancel.join()
        for thread in transfers():
            thread.join(10)
        assert transfers() == [], "the request has ended, though nobody has answered it"


def test_a_counter_s_search_is_cancelled_as_well(through, proxy):
    answers(proxy, lambda query, number: listing(query, [f"{number:06d}"], f"token-{number}"))
    meter = Meter()
    rule = proxy.rules[0]

    async def node():
        def tick(_):
            if rule.seen > 2:
                raise model_management.InterruptProcessingException

        def search():
            return list(through.list("a_"))

        with pytest.raises(model_management.InterruptProcessingException):
            await watch.run_in_thread(search, meter, tick)

    asyncio.run(node())
    for thread in transfers():
        thread.join(20)
    assert transfers() == []


# ------------------------------------------------------------ what a server repeats

TOKEN = "FwoGZXIvYXdzEBYaDKsecretSESSIONtoken/+=="
SIGNED = "https://bucket.example.com/a?X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIA"


def chain(error):
    return list(error_codes.causes(error))


@pytest.mark.parametrize("status", [200, 400, 403, 500])
@pytest.mark.parametrize("place_of_it", ["Code", "Message", "Resource", "page"])
def test_the_cause_of_an_error_repeats_nothing_that_the_server_said(
    fast_place, proxy, folder, status, place_of_it
):
    storage = fast_place.open(path_prefix=folder, endpoint_url=proxy.url, session_token=TOKEN)
    told = {"Code": "InvalidToken", "Message": "No.", place_of_it: f"{TOKEN} {SIGNED}"}
    body = f"<html>{TOKEN} {SIGNED}".encode() if place_of_it == "page" else s3_error(told.pop("Code"), **told)
    proxy.add(Fault(Answer(status, body), times=None))
    for attempt in (lambda: list(storage.list()), lambda: put(storage, "a"), lambda: storage.stat("a")):
        with pytest.raises(errors.StorageError) as failed:
            attempt()
        for each in chain(failed.value):
            assert TOKEN not in f"{each} {each!r}"
            assert "X-Amz-Signature" not in f"{each} {each!r}"


# ------------------------------------------------------------ where nobody is


@pytest.mark.parametrize(("provider", "region"), [("AWS S3", "eu-nowhere-9"), ("Aliyun OSS", "cn-nowhere-9")])
def test_a_region_that_is_none_is_named(tmp_path, provider, region):
    said = {
        "PROVIDER": provider,
        "REGION": region,
        "BUCKET": "bucket",
        "ACCESS_KEY": "a",
        "SECRET_KEY": "s" * 8,
    }
    environ = {f"COMFY_S3_{name}": value for name, value in said.items()}
    found = profiles.resolve("", {}, tmp_path / "profiles.json", environ)
    storage = connect.connect(found, environ)
    with pytest.raises(errors.Unreachable, match="check the profile's region"):
        list(storage.list())


# ------------------------------------------------------------ a killed process


def begin_and_kill(proxy, key):
    half = proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", query="uploadId"))
    program = [sys.executable, str(HERE / "killed_upload.py"), str(folders.profiles_file()), key]
    process = subprocess.Popen(program)
    half.wait(60)
    return process


def test_an_upload_of_a_killed_process_is_ended_by_the_next_and_named_until_then(through, proxy, fast_place):
    others = len(fast_place.open_uploads())
    process = begin_and_kill(proxy, "a.bin")
    assert through.unfinished() == 0, "somebody is at it"
    put(through, "b.bin")
    assert len(fast_place.open_uploads()) == others + 1
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.wait()
    proxy.release()
    assert through.unfinished() == 1
    looked = connection_test.lines(through._profile, through, Meter(), may_write=False)
    assert "1 unfinished upload of a process that was killed: the next upload removes it" in str(looked)
    report = run_node("TestCloudConnection")["result"][0]
    assert "1 unfinished upload of a process that was killed is removed" in report, "by that of its probe"
    assert len(fast_place.open_uploads()) == others
    assert through.unfinished() == 0


def test_an_upload_of_another_machine_or_program_is_left_alone(through, proxy, fast_place, monkeypatch):
    others = len(fast_place.open_uploads())
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "another")
        with through._uploads.recorded("a.bin", "their-upload") as stays:
            stays()
    assert through.unfinished() == 0
    put(through, "b.bin")
    notes = list((folders.profiles_file().parent / "uploads").glob("*.json"))
    assert len(notes) == 1
    assert not [record for record in proxy.requests if record.method == "DELETE"]
    assert len(fast_place.open_uploads()) == others


def test_an_upload_that_could_not_be_aborted_is_ended_later(through, proxy, fast_place):
    others = len(fast_place.open_uploads())
    parts = proxy.add(Fault(Answer(403, s3_error("AccessDenied")), "PUT", query="uploadId"))
    aborts = proxy.add(Fault(Answer(403, s3_error("AccessDenied")), "DELETE"))
    with pytest.raises(errors.AccessDenied):
        put(through, "a.bin", LARGE)
    assert (parts.happened, aborts.happened) == (1, 1)
    assert len(fast_place.open_uploads()) == others + 1
    put(through, "b.bin")
    assert len(fast_place.open_uploads()) == others


@pytest.mark.parametrize("written", [b"", b"{", b"[]", b'{"place": 1}', b"\xff" * 100_000])
def test_a_note_that_makes_no_sense_stops_nobody(through, written):
    folder = folders.profiles_file().parent / "uploads"
    folder.mkdir(parents=True)
    (folder / "x.json").write_bytes(written)
    put(through, "b.bin")
    assert through.read("b.bin") == b"data"


def test_a_disk_that_takes_no_note_fails_no_upload(through, fast_place, caplog):
    folder = folders.profiles_file().parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "uploads").write_bytes(b"a file in the way")
    put(through, "a.bin", LARGE)
    assert through.stat("a.bin").size == len(LARGE)
    assert "is not recorded" in caplog.text
