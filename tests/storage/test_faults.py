"""What holds when network or server fail, made by a real proxy before a real server, on both backends."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from cloud_storage import errors
from cloud_storage.loading import download as download_module
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import concurrency, watch
from cloud_storage.system.meter import Meter
from comfy import model_management
from conftest import run_node
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Fault, Flip, s3_error

MIB = 1 << 20
LARGE = os.urandom(MIB) * 40


pytestmark = pytest.mark.usefixtures("impatient")


def put(target, key, data=b"data", create=False, **metadata):
    return target.put(key, data, PutOptions(metadata=metadata), Meter(), create)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ------------------------------------------------------------ writing


def looks(storage, proxy):
    """How often it looks for a key before it creates it, once it knows whether the bucket has versions."""
    put(storage, "before.png", create=True)
    asked = len(proxy.requests)
    put(storage, "again.png", create=True)
    return [record.method for record in proxy.requests[asked:]].count("HEAD")


def test_a_lost_answer_to_a_conditional_put_is_no_conflict(shaky, proxy, direct):
    rule = proxy.add(Fault(LOST_ANSWER, "PUT"))
    stored = put(shaky, "a.png", b"mine", create=True, sha256=sha256(b"mine"))
    assert rule.happened == 1
    assert direct.read("a.png") == b"mine"
    assert direct.stat("a.png").etag == stored.etag


def test_a_lost_answer_does_not_turn_a_real_conflict_into_success(shaky, proxy, direct):
    put(direct, "a.png", b"yours")
    if looks(shaky, proxy):  # it was not there yet
        proxy.add(Fault(Answer(404, ""), "HEAD"))
    rule = proxy.add(Fault(LOST_ANSWER, "PUT"))
    with pytest.raises(errors.AlreadyExists):
        put(shaky, "a.png", b"mine!", create=True, sha256=sha256(b"mine!"))
    assert rule.happened == 1
    assert direct.read("a.png") == b"yours"


@pytest.mark.parametrize(("status", "code"), [(500, "InternalError"), (403, "ExpiredToken")])
def test_a_lost_answer_that_cannot_be_asked_for_is_no_conflict(shaky, proxy, direct, status, code):
    before = looks(shaky, proxy)
    proxy.add(Fault(LOST_ANSWER, "PUT"))
    proxy.add(Fault(Answer(status, s3_error(code)), "HEAD", skip=before, times=None))
    proxy.add(Fault(Answer(status, s3_error(code)), "GET", times=None))
    with pytest.raises((errors.Unreachable, errors.AccessDenied)):
        put(shaky, "a.png", b"mine", create=True, sha256=sha256(b"mine"))
    assert direct.read("a.png") == b"mine"


def test_a_lost_answer_to_the_completion_is_no_failure(shaky, proxy, direct, fast_place):
    rule = proxy.add(Fault(LOST_ANSWER, "POST", query="uploadId"))
    assert put(shaky, "a.bin", LARGE, create=True).size == len(LARGE)
    assert rule.happened == 1
    assert direct.read("a.bin") == LARGE
    assert fast_place.open_uploads() == []


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_an_upload_that_breaks_is_sent_again_and_counted_once(shaky, proxy, direct, share):
    rule = proxy.add(Fault(Cut("request body", share), "PUT"))
    meter = Meter()
    shaky.put("a.bin", LARGE[: 9 * MIB], PutOptions(), meter)
    assert rule.happened == 1
    assert direct.read("a.bin") == LARGE[: 9 * MIB]
    assert meter.done == 9 * MIB


def test_one_failing_answer_is_tried_again(shaky, proxy, direct):
    for status in (500, 503):
        rule = proxy.add(
            Fault(Answer(status, s3_error("SlowDown" if status == 503 else "InternalError")), "PUT")
        )
        put(shaky, f"{status}.txt")
        assert rule.happened == 1
        assert direct.read(f"{status}.txt") == b"data"


def test_a_server_that_stays_busy_is_named(shaky, proxy):
    proxy.add(Fault(Answer(503, s3_error("SlowDown")), "PUT", times=None))
    with pytest.raises(errors.Throttled, match=r"SlowDown.*try again"):
        put(shaky, "a.txt")


def test_a_part_that_fails_for_good_leaves_no_upload_open(shaky, proxy, fast_place, direct):
    proxy.add(Fault(Answer(403, s3_error("AccessDenied")), "PUT", query="partNumber=2", times=None))
    with pytest.raises(errors.AccessDenied, match="part 2"):
        put(shaky, "a.bin", LARGE)
    assert fast_place.open_uploads() == []
    assert list(direct.list()) == []


def test_an_error_inside_a_200_answer_to_the_completion_is_an_error(shaky, proxy, fast_place, direct):
    if fast_place.is_oss:
        pytest.skip("OSS documents no such answer")
    body = s3_error("InternalError")
    proxy.add(Fault(Answer(200, body), "POST", query="uploadId", times=None))
    with pytest.raises(errors.Unreachable, match="InternalError"):
        put(shaky, "a.bin", LARGE)
    assert fast_place.open_uploads() == []
    assert list(direct.list()) == []


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_where_the_condition_is_refused_a_look_comes_before_the_write(
    shaky, proxy, fast_place, direct, status, code
):
    if fast_place.is_oss:
        pytest.skip("OSS has its own header, which it knows")
    put(direct, "taken.txt", b"before")
    rule = proxy.add(Fault(Answer(status, s3_error(code)), "PUT"))
    with pytest.raises(errors.AlreadyExists):
        put(shaky, "taken.txt", create=True)
    put(shaky, "free.txt", create=True)
    assert rule.seen == 2  # refused once, then remembered
    assert direct.read("taken.txt") == b"before"
    assert direct.read("free.txt") == b"data"


# ------------------------------------------------------------ reading


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_download_that_breaks_goes_on_where_it_ended(shaky, proxy, direct, tmp_path, share, how):
    put(direct, "a.bin", LARGE, sha256=sha256(LARGE))
    rule = proxy.add(Fault(Cut("response body", share, how), "GET", times=3))
    meter = Meter()
    download_module.download(shaky, "a.bin", tmp_path / "a.bin", meter)
    assert rule.happened == 3
    assert (tmp_path / "a.bin").read_bytes() == LARGE
    assert meter.done == len(LARGE)
    assert sum(record.response_bytes for record in proxy.requests) < len(LARGE) * 1.2


def test_a_download_that_never_ends_well_leaves_no_file(shaky, proxy, direct, tmp_path):
    put(direct, "a.bin", LARGE)
    proxy.add(Fault(Cut("response body", 0, "close"), "GET", times=None))
    with pytest.raises(errors.Unreachable):
        download_module.download(shaky, "a.bin", tmp_path / "a.bin", Meter())
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_is_noticed(shaky, proxy, direct, tmp_path):
    put(direct, "a.bin", LARGE, sha256=sha256(LARGE))
    rule = proxy.add(Fault(Flip(1000), "GET", skip=1))
    with pytest.raises(errors.IntegrityError, match="sha256"):
        download_module.download(shaky, "a.bin", tmp_path / "a.bin", Meter())
    assert rule.happened == 1
    assert list(tmp_path.iterdir()) == []


def test_an_object_replaced_halfway_is_changed_and_leaves_no_file(
    shaky, proxy, direct, tmp_path, monkeypatch
):
    monkeypatch.setattr(concurrency, "MOST", 1)  # so that a range is still to come
    put(direct, "a.bin", LARGE)
    rule = proxy.add(Fault(Cut("response body", 0.9, "silence"), "GET"))
    outcome = []

    def run():
        try:
            download_module.download(shaky, "a.bin", tmp_path / "a.bin", Meter())
        except errors.StorageError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    rule.wait()
    put(direct, "a.bin", LARGE[::-1])
    proxy.release()
    thread.join()
    assert isinstance(outcome[0], errors.Changed)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ignores_the_range_is_an_error(shaky, proxy, direct, fast_place):
    put(direct, "a.bin", b"0123456789")
    proxy.add(Fault(Answer(200, b"0123456789", {"ETag": '"x"', "Content-Type": "a/b"}), "GET", times=None))
    with pytest.raises(errors.IntegrityError, match="range"):
        shaky.read("a.bin", 5, 8)


# ------------------------------------------------------------ cancel


class Pressed(BaseException):
    """Cancel was pressed."""


def cancelled_when(rule, operation, meter):
    def tick(meter):
        if rule.happened:
            raise Pressed

    with pytest.raises(Pressed):
        asyncio.run(watch.run_in_thread(operation, meter, tick))


def test_cancel_ends_a_download_whose_network_is_silent_and_leaves_no_file(shaky, proxy, direct, tmp_path):
    put(direct, "a.bin", LARGE)
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET", skip=1))
    meter, ended = Meter(), threading.Event()

    def download():
        try:
            download_module.download(shaky, "a.bin", tmp_path / "a.bin", meter)
        finally:
            ended.set()

    cancelled_when(rule, download, meter)
    assert not (tmp_path / "a.bin").exists()
    proxy.release()
    assert ended.wait(30)
    assert list(tmp_path.iterdir()) == []


def test_cancel_ends_an_upload_whose_network_is_silent_and_leaves_nothing(shaky, proxy, direct, fast_place):
    rule = proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", query="partNumber=1"))
    meter, ended = Meter(), threading.Event()

    def upload():
        try:
            shaky.put("a.bin", LARGE, PutOptions(), meter)
        finally:
            ended.set()

    cancelled_when(rule, upload, meter)
    proxy.release()
    assert ended.wait(30)
    assert fast_place.open_uploads() == []
    assert list(direct.list()) == []


def test_cancel_in_a_node_leaves_no_upload_and_no_object(cloud, fast_place, proxy, monkeypatch):
    import torch

    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    rule = proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT", times=None))

    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()
    with pytest.raises(model_management.InterruptProcessingException):
        run_node("SaveImageToCloud", images=torch.rand((2, 1200, 1200, 3)))
    proxy.refuse()
    assert list(cloud.list()) == []


# ------------------------------------------------------------ reasons


def test_a_refused_connection_is_unreachable(shaky, proxy):
    proxy.refuse()
    for attempt in (lambda: shaky.stat("a"), lambda: put(shaky, "a"), lambda: list(shaky.list())):
        with pytest.raises(ConnectionError, match="endpoint"):
            attempt()


def test_a_name_that_does_not_resolve_is_unreachable(fast_place):
    with pytest.raises(errors.Unreachable, match=r"nowhere\.invalid"):
        fast_place.open(endpoint_url="http://nowhere.invalid").stat("a")


def test_a_certificate_nobody_vouches_for_is_named(fast_place, servers, tmp_path):
    from servers.certificates import certificates

    target = urllib.parse.urlsplit(fast_place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port, certificates=certificates(tmp_path)) as proxy:
        with pytest.raises(errors.Unreachable, match="ca_file"):
            fast_place.open(endpoint_url=proxy.url).stat("a")


def test_a_silent_server_is_a_time_out(shaky, proxy, monkeypatch, fast_place):
    from cloud_storage.storage.oss import client as oss_client
    from cloud_storage.storage.s3 import client as s3_client
    from cloud_storage.storage.s3 import kept_connection

    for module in (s3_client, kept_connection, oss_client):
        monkeypatch.setattr(module, "READ_SECONDS", 0.2)
    hasty = fast_place.open(endpoint_url=proxy.url, path_prefix="hasty/")
    proxy.add(Fault(Cut("response", how="silence"), times=None))
    with pytest.raises(errors.Unreachable, match=r"silent|in time|timed out"):
        hasty.stat("a")


def test_a_clock_that_is_off_shows_both_clocks(shaky, proxy, fast_place):
    hour = timedelta(hours=1)
    if fast_place.is_oss:
        fast_place.server.set_time(hour.total_seconds())
    else:
        refusal = s3_error("RequestTimeTooSkewed")
        date = format_datetime(datetime.now(timezone.utc) + hour, usegmt=True)
        proxy.add(Fault(Answer(403, refusal, {"Date": date}), times=None))
    try:
        with pytest.raises(errors.AccessDenied, match=r"clock says .* UTC.*NTP"):
            shaky.read("a")
    finally:
        if fast_place.is_oss:
            fast_place.server.set_time(0)


def test_a_wrong_region_names_the_right_one(shaky, proxy, fast_place):
    if fast_place.is_oss:
        pytest.skip("OSS names its endpoint instead, see test_storage_oss")
    body = (
        b"<?xml version='1.0'?><Error><Code>AuthorizationHeaderMalformed</Code><Message>the region is wrong;"
        b" expecting 'eu-north-1'</Message><Region>eu-north-1</Region></Error>"
    )
    proxy.add(Fault(Answer(400, body), times=None))
    for attempt in (lambda: shaky.read("a"), lambda: list(shaky.list()), lambda: put(shaky, "a")):
        with pytest.raises(errors.ConfigurationError, match="region to that") as raised:
            attempt()
        assert "eu-north-1" in str(raised.value)


def test_an_expired_token_says_to_renew_it(shaky, proxy):
    proxy.add(Fault(Answer(400, s3_error("ExpiredToken")), times=None))
    with pytest.raises(errors.AccessDenied, match="temporary credentials"):
        shaky.read("a")


def test_no_message_holds_a_signature(shaky, proxy):
    proxy.refuse()
    with pytest.raises(errors.Unreachable) as raised:
        shaky.stat("a")
    assert "Signature" not in str(raised.value)
