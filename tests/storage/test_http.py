"""What S3 and OSS do alike where a server, a disk or a key is not as one would wish."""

from __future__ import annotations

import errno
import io
import os
import time
import urllib.parse
from datetime import timedelta
from pathlib import Path

import pytest
from cloud_storage import errors
from cloud_storage.storage import retries
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.oss import client as oss_client
from cloud_storage.storage.s3 import client as s3_client
from cloud_storage.system.meter import Meter
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Fault, Headers, s3_error

MIB = 1 << 20
LARGE = os.urandom(MIB) * 40  # two parts


pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def proxy(fast_place):
    target = urllib.parse.urlsplit(fast_place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        yield proxy


@pytest.fixture
def folder():
    return f"h-{os.urandom(5).hex()}/"


@pytest.fixture
def direct(fast_place, folder):
    return fast_place.open(path_prefix=folder)


@pytest.fixture
def shaky(fast_place, proxy, folder):
    return fast_place.open(path_prefix=folder, endpoint_url=proxy.url)


def put(target, key, data=b"data", create=False, meter=None, **options):
    return target.put(key, data, PutOptions(**options), meter or Meter(), create)


class StopsAfter(Meter):
    """A meter that stops itself when a number of bytes has been counted."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def add(self, count):
        super().add(count)
        if self.done >= self.limit:
            self.stop()


# ------------------------------------------------------------------------------------------------ writing


def test_a_slow_link_is_no_time_out(fast_place, proxy, direct, folder, monkeypatch):
    # The first request of a connection is sent under the time-out for connecting. A block of 64 KiB takes an
    # eighth of it here, and one of 1 MiB twice as much as there is.
    for client in (s3_client, oss_client):
        monkeypatch.setattr(client, "CONNECT_SECONDS", 0.5)
    slow = fast_place.open(path_prefix=folder, endpoint_url=proxy.url)
    proxy.bandwidth_bytes_per_second = MIB
    data = LARGE[: 5 * MIB]
    put(slow, "a.bin", data)
    assert [request.method for request in proxy.requests] == ["PUT"]
    assert direct.read("a.bin") == data


class BadDisk(type(Path())):
    """A file that can be read for its digests; the next time, which is to send it, reading fails halfway."""

    passes, good = 0, 1

    def open(self, *_, **__):
        path = self

        class Bad(io.FileIO):
            def read(self, size=-1):
                if self.tell() == 0:
                    path.passes += 1
                if path.passes > path.good and self.tell() > 2 * MIB:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                return super().read(size)

        return Bad(str(self), "rb")


def test_a_disk_that_fails_while_a_file_is_sent_is_named_at_once(shaky, proxy, fast_place, direct, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(LARGE[: 4 * MIB])
    path = BadDisk(tmp_path / "model.safetensors")
    path.good = 1 if fast_place.is_oss else 2  # the MD5, and on S3 the signature's digest
    with pytest.raises(errors.StorageError, match=r"model\.safetensors.*Input/output error") as failed:
        put(shaky, "a.bin", path)
    assert type(failed.value) is errors.StorageError
    assert len(proxy.requests) <= 1  # which may break off before the proxy has read its head
    assert list(direct.list()) == []


@pytest.mark.parametrize("name", ["missing.bin", "."])
def test_what_cannot_be_opened_is_named(shaky, proxy, tmp_path, name):
    with pytest.raises(errors.StorageError, match="read what to upload"):
        put(shaky, "a.bin", tmp_path / name)
    assert proxy.requests == []


def test_a_lost_answer_to_an_abort_is_no_worry(shaky, proxy, fast_place, caplog):
    rule = proxy.add(Fault(LOST_ANSWER, "DELETE"))
    with pytest.raises(errors.TransferCancelled):
        put(shaky, "a.bin", LARGE, meter=StopsAfter(20 * MIB))
    assert rule.seen == 2
    assert fast_place.open_uploads() == []
    assert [record for record in caplog.records if record.name == "cloud_storage"] == []


@pytest.mark.parametrize(
    ("status", "code", "raised", "attempts"),
    [
        (500, "InternalError", errors.Unreachable, retries.REQUEST.attempts),
        (503, "SlowDown", errors.Throttled, retries.THROTTLED.attempts),
        (429, "TooManyRequests", errors.Throttled, retries.THROTTLED.attempts),
        (403, "AccessDenied", errors.AccessDenied, 1),
        (400, "ExpiredToken", errors.AccessDenied, 1),
        (501, "NotImplemented", errors.StorageError, 1),
        (409, "QuotaExceeded", errors.StorageError, 1),
    ],
)
def test_what_passes_is_tried_again_and_what_is_final_is_not(shaky, proxy, status, code, raised, attempts):
    rule = proxy.add(Fault(Answer(status, s3_error(code)), times=None))
    for method, attempt in {
        "GET": lambda: next(shaky.list()),
        "PUT": lambda: put(shaky, "a"),
        "DELETE": lambda: shaky.delete("a"),
    }.items():
        before = rule.seen
        with pytest.raises(raised):
            attempt()
        assert rule.seen - before == attempts, method


@pytest.mark.parametrize("status", [500, 503])
def test_a_part_of_an_upload_is_sent_as_often_as_its_policy_says(shaky, proxy, direct, status):
    rule = proxy.add(Fault(Answer(status), "PUT", query="partNumber=2", times=None))
    with pytest.raises(errors.Unreachable, match="part 2"):
        put(shaky, "a", LARGE)
    assert rule.seen == retries.PART.attempts
    assert list(direct.list()) == []


def test_a_download_that_brings_nothing_is_asked_for_as_often_as_its_policy_says(shaky, proxy, direct):
    put(direct, "a")
    rule = proxy.add(Fault(Cut("response body", 0, "close"), "GET", times=None))
    with pytest.raises(errors.Unreachable):
        shaky.read("a")
    assert rule.seen == retries.BODY.attempts


class StopsWhenTakenBack(Meter):
    """A meter that is stopped while a failed request is prepared to be sent again."""

    def add(self, count):
        if count < 0:
            self.stop()
        super().add(count)


def test_a_cancel_between_two_attempts_is_a_cancel(shaky, proxy):
    proxy.add(Fault(Cut("request body", 0.9), "PUT", times=None))
    with pytest.raises(errors.TransferCancelled):
        put(shaky, "a.bin", LARGE[: 9 * MIB], meter=StopsWhenTakenBack())


LOGIN = {"Location": "http://login.example.com/"}
PAGE = b"<html><body>Please log in<p></body></html>"


@pytest.mark.parametrize("answer", [Answer(302, PAGE, LOGIN), Answer(200)], ids=["redirect", "nothing"])
def test_a_login_page_is_not_mistaken_for_an_object_store(shaky, proxy, answer):
    proxy.add(Fault(answer, times=None))
    for attempt in (lambda: put(shaky, "a"), lambda: put(shaky, "a", LARGE), lambda: list(shaky.list())):
        with pytest.raises(errors.Unreachable, match="Check endpoint_url"):
            attempt()


@pytest.mark.parametrize("metadata", [{"ü": "a"}, {"a b": "c"}, {"a": "x" * 9000}])
def test_metadata_that_would_be_refused_is_never_sent(shaky, proxy, metadata):
    with pytest.raises(errors.ConfigurationError, match=r"upload\.metadata"):
        put(shaky, "a", metadata=metadata)
    assert proxy.requests == []


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_a_refusal_because_of_a_setting_names_the_setting(shaky, proxy, data):
    proxy.add(Fault(Answer(400, s3_error("InvalidArgument", Message="bad ACL")), times=None))
    with pytest.raises(errors.StorageError, match=r"correct or remove upload\.acl in the profile\.$"):
        put(shaky, "a", data, acl="public-read")
    with pytest.raises(errors.StorageError) as other:
        put(shaky, "a", data)
    assert "upload." not in str(other.value)


# ------------------------------------------------------------------------------------------------ reading


def test_a_range_that_comes_short_is_an_error(shaky, proxy, direct):
    put(direct, "a.bin", b"0123456789")
    proxy.add(Fault(Answer(206, b"234", {"Content-Range": "bytes 2-4/10", "ETag": '"x"'}), "GET"))
    with pytest.raises(errors.IntegrityError, match="ignored the range"):
        shaky.read("a.bin", 2, 8)


def test_an_answer_without_a_length_is_an_error(shaky, proxy, direct):
    put(direct, "a.bin", b"0123456789")
    proxy.add(Fault(Headers(response={"Content-Length": None}), times=None))
    attempts = (lambda: shaky.read("a.bin"), lambda: shaky.read("a.bin", 2, 8), lambda: shaky.stat("a.bin"))
    for attempt in attempts:
        with pytest.raises(errors.IntegrityError, match="does not say how long it is"):
            attempt()


def test_an_empty_range_of_a_replaced_object_is_changed(direct):
    before = put(direct, "a.bin", b"before")
    put(direct, "a.bin", b"after!")
    with pytest.raises(errors.Changed):
        direct.read("a.bin", 3, 3, etag=before.etag)


def test_a_cancelled_read_gives_its_connection_up_at_once(shaky, proxy, direct):
    put(direct, "a.bin", LARGE)
    meter = StopsAfter(MIB)
    _, chunks = shaky.stream("a.bin", meter=meter)
    with pytest.raises(errors.TransferCancelled) as cancelled:
        for _ in chunks:
            pass
    for _ in range(3000):  # while the exception still holds every frame that it went through
        if not proxy.connections:
            break
        time.sleep(0.01)
    assert not proxy.connections
    assert cancelled.value


def test_a_message_is_whole_whatever_the_key(shaky, proxy):
    proxy.add(Fault(Answer(403, s3_error("AccessDenied", Message="No. Not you.")), times=None))
    with pytest.raises(errors.AccessDenied, match="The object is missing, or") as denied:
        shaky.read("a. b.png")
    assert "'a. b.png'" in str(denied.value)
    assert "No. Not you" in str(denied.value)


@pytest.mark.parametrize("date", ["Fri, 20 Nov 2026 10:00:00 -0000", "yesterday", ""])
def test_a_strange_date_is_no_failure(shaky, proxy, direct, date):
    put(direct, "a.bin", b"data")
    proxy.add(Fault(Headers(response={"Date": date}), times=None))
    assert shaky.read("a.bin") == b"data"


@pytest.mark.parametrize(
    "start", ["s3://any-bucket/{prefix}", "https://any.example.com/{prefix}", "{prefix}"]
)
def test_an_object_that_is_not_found_by_an_address_or_with_the_prefix_says_which_key_to_try(
    direct, folder, start
):
    key = start.format(prefix=folder) + "a.png"
    for read in (direct.stat, direct.read, lambda key: direct.read(key, 2, 8)):
        with pytest.raises(errors.NotFound, match=r"Check the key.* Try the key 'a\.png'\.$"):
            read(key)
        with pytest.raises(errors.NotFound) as plain:
            read("a.png")
        assert "Try the key" not in str(plain.value)


# ------------------------------------------------------------------------------------------------ addresses


def test_signed_addresses_last_seven_days_at_most(direct):
    direct.signed_url("a", timedelta(days=7))
    with pytest.raises(errors.ConfigurationError, match="7 days"):
        direct.signed_url("a", timedelta(days=7, seconds=1))
