"""What is special to OSS: signatures, addresses, refusals, and what is done where oss2 does nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import logging
import socket
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import ClassVar

import pytest
from cloud_storage import errors, profile
from cloud_storage.storage import connect, retries
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.oss import client as oss_client
from cloud_storage.storage.oss import ram_role
from cloud_storage.system.meter import Meter
from servers.certificates import certificates
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Fault, Flip, Headers
from servers.oss_http import Permissions
from servers.oss_server import OssServer

MIB = 1 << 20
SECRET = "a-secret-nobody-may-read"
TOKEN = "a-token-nobody-may-read"
LARGE = b"0123456789abcdef" * (MIB // 16) * 40  # two parts
FOR_AN_HOUR = timedelta(hours=1)


@pytest.fixture
def server():
    soon = datetime.now(timezone.utc) + timedelta(days=1)
    with OssServer(
        buckets={"bucket": "private", "open-bucket": "public-read"},
        credentials={"LTAI-test": SECRET},
        sts_tokens={"STS.test": (SECRET, TOKEN, soon)},
        cnames={"media.example.com": "bucket"},
        refuse_v1=True,
    ) as running:
        yield running


@pytest.fixture
def proxy(server):
    with FaultProxy("127.0.0.1", int(server.url.rpartition(":")[2])) as between:
        yield between


pytestmark = pytest.mark.usefixtures("impatient")

FILES = []  # where profiles.json would lie: notes of uploads go beside it, and no test finds another's


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path):
    FILES.append(tmp_path / "profiles.json")
    yield
    FILES.pop()


@pytest.fixture
def resolved_names(monkeypatch):
    """Every host name is this machine."""
    real = socket.getaddrinfo

    def local(host, port, *rest, **more):
        return real("127.0.0.1", port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)


@pytest.fixture
def connections(monkeypatch):
    """The addresses of every connection that is opened."""
    from urllib3.util import connection

    real, seen = connection.create_connection, []

    def connect_and_note(address, *rest, **more):
        seen.append(address)
        return real(address, *rest, **more)

    monkeypatch.setattr(connection, "create_connection", connect_and_note)
    return seen


def settings(url, **changes):
    given = {
        "provider": "Aliyun OSS",
        "endpoint_url": url,
        "access_key": "LTAI-test",
        "secret_key": SECRET,
        "bucket": "bucket",
        **changes,
    }
    return {f"COMFY_S3_{name.upper()}": value for name, value in given.items() if value}


def resolve(url, **changes):
    return profile.resolve("", {}, FILES[-1], settings(url, **changes))


def opened(url, **changes):
    return connect.connect(resolve(url, **changes), settings(url, **changes))


def put(storage, key="a.txt", data=b"data", create=False, **options):
    return storage.put(key, data, PutOptions(**options), Meter(), create=create)


class StopsAfter(Meter):
    """A meter that stops itself when a number of bytes has been counted."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def add(self, count):
        super().add(count)
        if self.done >= self.limit:
            self.stop()


def document(code, message, **elements):
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in elements.items())
    return f"<Error><Code>{code}</Code><Message>{message}</Message>{inner}</Error>".encode()


# --- who asks ---


def test_requests_are_signed_v4_for_the_region(server, proxy):
    storage = opened(proxy.url)
    put(storage)
    assert [info.key for info in storage.list()] == ["a.txt"]
    for request in proxy.requests:
        assert request.headers["authorization"].startswith("OSS4-HMAC-SHA256 Credential=LTAI-test/")
        assert "/cn-hangzhou/oss/aliyun_v4_request" in request.headers["authorization"]
        assert request.headers["x-oss-content-sha256"] == "UNSIGNED-PAYLOAD"
    signed = storage.signed_url("a.txt", FOR_AN_HOUR)
    assert "x-oss-signature-version=OSS4-HMAC-SHA256" in signed
    assert urllib.request.urlopen(signed).read() == b"data"


def test_temporary_credentials_work(server):
    storage = opened(server.url, access_key="STS.test", session_token=TOKEN)
    put(storage, data=b"temporary")
    assert storage.read("a.txt") == b"temporary"
    assert urllib.request.urlopen(storage.signed_url("a.txt", FOR_AN_HOUR)).read() == b"temporary"


def test_an_expired_token_is_named(server):
    keys = server.keyring.temporary
    keys["STS.test"] = dataclasses.replace(keys["STS.test"], expires=datetime.now(timezone.utc))
    storage = opened(server.url, access_key="STS.test", session_token=TOKEN)
    with pytest.raises(errors.AccessDenied, match="new temporary credentials") as denied:
        list(storage.list())
    assert "EC 0002-00000007" in str(denied.value)
    assert TOKEN not in str(denied.value)


def test_nothing_secret_is_logged(server, caplog):
    caplog.set_level(logging.DEBUG)
    storage = opened(server.url, access_key="STS.test", session_token=TOKEN)
    put(storage)
    storage.signed_url("a.txt", FOR_AN_HOUR)
    with pytest.raises(errors.NotFound):
        storage.stat("missing.txt")
    assert TOKEN not in caplog.text
    assert SECRET not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("oss2")] == []


def test_an_entry_in_netrc_does_not_replace_the_signature(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    put(opened(server.url))


def test_an_anonymous_profile_reads_what_is_public(server):
    put(opened(server.url, bucket="open-bucket"), data=b"for all")
    storage = opened(server.url, bucket="open-bucket", auth="anonymous", access_key="", secret_key="")
    assert storage.read("a.txt") == b"for all"
    assert urllib.request.urlopen(storage.url("a.txt")).read() == b"for all"
    with pytest.raises(errors.ConfigurationError, match="anonymous"):
        storage.signed_url("a.txt", FOR_AN_HOUR)
    with pytest.raises(errors.AccessDenied):
        put(storage)


class Metadata(http.server.BaseHTTPRequestHandler):
    """The metadata of an ECS instance in security hardening mode."""

    asked: ClassVar[list[str]]
    role = "a-role"
    lifetime = timedelta(hours=6)

    def log_message(self, *_):
        pass

    def do_PUT(self):
        self.answer("a-metadata-token" if self.headers["X-aliyun-ecs-metadata-token-ttl-seconds"] else "")

    def do_GET(self):
        type(self).asked.append(self.path)
        if self.headers["X-aliyun-ecs-metadata-token"] != "a-metadata-token":
            self.send_error(403)
        elif self.path.endswith("/security-credentials/"):
            self.answer(self.role)
        else:
            until = datetime.now(timezone.utc) + self.lifetime
            keys = {"AccessKeyId": "STS.test", "AccessKeySecret": SECRET, "SecurityToken": TOKEN}
            self.answer(json.dumps({**keys, "Expiration": f"{until:%Y-%m-%dT%H:%M:%SZ}", "Code": "Success"}))

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def metadata(monkeypatch):
    class Own(Metadata):
        asked: ClassVar[list[str]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{running.server_address[1]}/latest"
        monkeypatch.setattr(ram_role, "METADATA_URL", url)
        yield Own
        running.shutdown()
        thread.join()


def test_an_instance_uses_its_ram_role(server, metadata):
    storage = opened(server.url, auth="ambient", access_key="", secret_key="")
    assert metadata.asked == []
    put(storage)
    assert storage.read("a.txt") == b"data"
    assert metadata.asked[-1].endswith("/latest/meta-data/ram/security-credentials/a-role")
    assert len(metadata.asked) == 2
    assert TOKEN not in repr(vars(storage._bucket.auth.credentials_provider))


def test_a_role_is_asked_again_before_its_credentials_end(server, metadata):
    metadata.lifetime = timedelta(minutes=5)
    storage = opened(server.url, auth="ambient", access_key="", secret_key="")
    put(storage)
    put(storage)
    assert len(metadata.asked) == 4


@pytest.mark.parametrize("there", [True, False], ids=["on Aliyun", "elsewhere"])
def test_a_machine_without_a_role_is_told_so(server, metadata, monkeypatch, there):
    metadata.role = ""
    said = "it has no RAM role"
    if not there:
        monkeypatch.setattr(ram_role, "METADATA_URL", "http://127.0.0.1:9")
        said = "Connection refused"
    storage = opened(server.url, auth="ambient", access_key="", secret_key="")
    with pytest.raises(errors.AccessDenied, match=f"{said}. Attach a RAM role to the instance"):
        storage.stat("a.txt")


def test_cancel_while_a_role_is_asked_for_is_no_missing_role(server, metadata):
    storage = opened(server.url, auth="ambient", access_key="", secret_key="")
    meter = Meter()
    meter.stop()
    with meter.governs(), pytest.raises(errors.TransferCancelled):
        storage._bucket.auth.credentials_provider.get_credentials()
    put(storage)
    assert storage.read("a.txt") == b"data", "the next node is not held up"


def test_without_oss2_there_is_one_line_to_run(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "oss2", None)
    with pytest.raises(errors.MissingDependency, match="pip install --upgrade oss2"):
        opened(server.url)


# --- where it goes ---


@pytest.mark.parametrize(
    ("endpoint", "style", "region"),
    [
        ("https://oss-cn-beijing.aliyuncs.com", "virtual", "cn-beijing"),
        ("https://oss-cn-beijing-internal.aliyuncs.com", "virtual", "cn-beijing"),
        ("https://vpc100-oss-cn-beijing.aliyuncs.com", "virtual", "cn-beijing"),
        ("https://us-west-1.oss.aliyuncs.com", "virtual", "us-west-1"),
        ("https://oss-accelerate.aliyuncs.com", "virtual", "cn-hangzhou"),
        ("https://oss-accelerate-overseas.aliyuncs.com", "virtual", "cn-hangzhou"),
        ("https://media.example.com", "custom", "cn-hangzhou"),
        ("http://127.0.0.1:8080", "path", "cn-hangzhou"),
        ("http://localhost:8080", "path", "cn-hangzhou"),
    ],
)
def test_an_endpoint_says_how_and_for_which_region_to_ask(endpoint, style, region):
    address = oss_client.address(resolve(endpoint))
    assert (address.style, address.region) == (style, region)
    bases = {
        "virtual": endpoint.replace("://", "://bucket.") + "/",
        "custom": endpoint + "/",
        "path": endpoint + "/bucket/",
    }
    assert address.base == bases[style]
    signed = opened(endpoint).signed_url("a b/ü.png", FOR_AN_HOUR)
    assert signed.startswith(address.base + "a%20b/%C3%BC.png?")


def test_a_region_that_is_set_counts():
    # the internal endpoints of the finance cloud do not name their region
    endpoint = "https://oss-cn-hzjbp-a-internal.aliyuncs.com"
    assert oss_client.address(resolve(endpoint, region="cn-hangzhou-finance")).region == "cn-hangzhou-finance"
    assert oss_client.address(resolve(endpoint, region="oss-cn-hangzhou")).region == "cn-hangzhou"


@pytest.mark.parametrize(
    ("endpoint", "said"), [("http://[::1]:8080", "IPv6"), ("https://media.example.com/files", "has a path")]
)
def test_an_endpoint_that_cannot_be_used_is_refused(endpoint, said):
    with pytest.raises(errors.ConfigurationError, match=said):
        opened(endpoint)


def test_a_bucket_that_oss_cannot_have_is_refused(server):
    with pytest.raises(errors.ConfigurationError, match="bucket"):
        opened(server.url, bucket="Bucket_With.Dots")


@pytest.mark.parametrize("host", ["media.example.com", "oss-cn-hangzhou.aliyuncs.com", "localhost"])
def test_buckets_are_reached_by_every_kind_of_name(server, resolved_names, host):
    storage = opened(server.url.replace("127.0.0.1", host))
    put(storage, "a b/ü.png")
    assert storage.read("a b/ü.png") == b"data"
    assert storage.url("a b/ü.png").endswith("/a%20b/%C3%BC.png")
    assert urllib.request.urlopen(storage.signed_url("a b/ü.png", FOR_AN_HOUR)).read() == b"data"


def test_an_internal_endpoint_that_does_not_answer_is_explained(resolved_names):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        storage = opened(f"http://oss-cn-hangzhou-internal.aliyuncs.com:{unused.getsockname()[1]}")
        with pytest.raises(errors.Unreachable, match="only inside Aliyun's network: use the public endpoint"):
            storage.stat("a.txt")


def test_signed_addresses_last_seven_days_at_most(server):
    storage = opened(server.url)
    put(storage)
    assert urllib.request.urlopen(storage.signed_url("a.txt", timedelta(days=7))).read() == b"data"
    with pytest.raises(errors.ConfigurationError, match="7 days"):
        storage.signed_url("a.txt", timedelta(days=7, seconds=1))


def test_a_private_authority_is_trusted_when_named(tmp_path, monkeypatch, connections):
    ours, others = certificates(tmp_path / "ours"), certificates(tmp_path / "others")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others.authority))
    with OssServer(credentials={"LTAI-test": SECRET}, certificate=ours.server_context()) as server:
        put(opened(server.tls_url, ca_file=str(ours.authority)))
        connections.clear()
        with pytest.raises(errors.Unreachable, match="set ca_file") as failed:
            put(opened(server.tls_url))
        assert "certificate verify failed" in str(failed.value)
    assert len(connections) == 1


# --- what the server refuses ---


def test_a_clock_that_is_off_shows_both(server):
    storage = opened(server.url)
    both = r"This machine's clock says .* UTC, the server's .* UTC"
    for seconds in (3600, 3 * 24 * 3600):  # on another day, OSS calls it an invalid argument
        server.set_time(seconds)
        with pytest.raises(errors.AccessDenied, match=both) as off:
            storage.stat("a.txt")
        assert "enable NTP" in str(off.value)
        assert abs(storage.clock_difference.total_seconds() - seconds) < 5


def test_a_wrong_region_is_named(server):
    storage = opened(server.url, region="cn-shanghai")
    with pytest.raises(errors.ConfigurationError, match="region to the one in the endpoint's"):
        list(storage.list())


@pytest.mark.parametrize(
    ("status", "body", "raises", "advice"),
    [
        (
            403,
            document(
                "AccessDenied",
                "The bucket you are attempting to access must be addressed using the specified endpoint. "
                "Please send all future requests to this endpoint.",
                Bucket="bucket",
                Endpoint="oss-cn-beijing.aliyuncs.com",
            ),
            errors.ConfigurationError,
            "The bucket is at oss-cn-beijing.aliyuncs.com: set",
        ),
        (
            400,
            document("PublicEndpointForbidden", "Public endpoint is forbidden.", EC="0048-00000401"),
            errors.ConfigurationError,
            "Map a domain of your own",
        ),
        (403, document("PublicEndpointForbidden", "No."), errors.ConfigurationError, "Map a domain of your"),
        (400, document("ApkDownloadForbidden", "No."), errors.ConfigurationError, "Map a domain of your"),
        (
            400,
            document("InvalidEncryptionAlgorithmError", "No."),
            errors.ConfigurationError,
            "Change upload.server_side_encryption",
        ),
        (
            403,
            document("SecondLevelDomainForbidden", "Must be addressed using OSS third level domain."),
            errors.ConfigurationError,
            "the bucket's own domain",
        ),
        (403, document("InvalidObjectState", "Not valid"), errors.StorageError, "archived"),
        (403, document("AccessDenied", "No.", EC="0003-00000001"), errors.AccessDenied, "EC 0003-00000001"),
        (503, document("DownloadTrafficRateLimitExceeded", "Less."), errors.Throttled, "Wait a moment"),
        (
            400,
            document("InvalidArgument", "No.", ArgumentName="x-oss-tag"),
            errors.StorageError,
            "No: x-oss-tag",
        ),
        (500, b"", errors.Unreachable, "no further words"),
        (404, b"<html>not here</html>", errors.NotFound, "List Bucket Contents"),
    ],
)
def test_a_refusal_says_what_to_do(proxy, status, body, raises, advice):
    proxy.add(Fault(Answer(status, body), times=None))
    storage = opened(proxy.url)
    for attempt in (
        lambda: storage.stat("a.txt"),
        lambda: storage.read("a.txt"),
        lambda: list(storage.list()),
        lambda: put(storage),
        lambda: put(storage, data=LARGE),
        lambda: storage.delete("a.txt"),
    ):
        with pytest.raises(raises) as refused:
            attempt()
        assert advice in str(refused.value)
        assert "bucket 'bucket' at http://127.0.0.1:" in str(refused.value)


def test_an_object_under_a_retention_policy_stays(proxy):
    proxy.add(Fault(Answer(409, document("FileImmutable", "No.", EC="0055-00000011")), times=None))
    storage = opened(proxy.url)
    for attempt in (lambda: put(storage), lambda: storage.delete("a.txt")):
        with pytest.raises(errors.AccessDenied, match="retention policy protects it: choose another key"):
            attempt()


def test_a_missing_bucket_is_told_from_a_missing_key_even_by_head(server, proxy):
    proxy.add(Fault(Headers(response={"x-oss-err": None, "x-oss-ec": None}), method="HEAD", times=None))
    with pytest.raises(errors.NotFound, match="NoSuchKey"):
        opened(proxy.url).stat("a.txt")
    with pytest.raises(errors.NotFound, match=r"NoSuchBucket .*Check the bucket's name"):
        opened(proxy.url, bucket="no-such-bucket").stat("a.txt")


def test_a_hidden_object_may_be_a_missing_one(server):
    server.permissions["LTAI-test"] = Permissions(read=False)
    storage = opened(server.url)
    for attempt in (lambda: storage.stat("a.txt"), lambda: storage.read("a.txt")):
        with pytest.raises(errors.AccessDenied, match=r"is missing, or the profile's key may not\s+read it"):
            attempt()


LOGIN = {"Location": "http://login.example.com/"}


@pytest.mark.parametrize("answer", [Answer(302, headers=LOGIN), Answer(200)], ids=["redirect", "page"])
def test_a_login_page_is_not_mistaken_for_a_stored_object(server, proxy, answer):
    proxy.add(Fault(answer, times=None))
    with pytest.raises(errors.Unreachable, match="Check endpoint_url"):
        put(opened(proxy.url))
    assert len(proxy.requests) == 1
    with pytest.raises(errors.Unreachable):
        list(opened(proxy.url).list())


# --- what travels ---


def test_one_connection_serves_request_after_request(server, connections):
    storage = opened(server.url)
    for data in (b"", b"data", LARGE[: 15 * MIB]):  # parts would go side by side
        put(storage, data=data, create=True)
        assert storage.read("a.txt", 0, 20 * MIB) == data
        assert [info.key for info in storage.list()] == ["a.txt"]
        with pytest.raises(errors.NotFound):
            storage.read("b.txt")
        storage.delete("a.txt")
        with pytest.raises(errors.NotFound):
            storage.stat("a.txt")
    assert len(connections) == 1


def test_options_are_oss_headers(server, proxy):
    options = {
        "content_type": "text/plain",
        "content_disposition": 'inline; filename="图.txt"',
        "cache_control": "max-age=60",
        "storage_class": "IA",
        "acl": "public-read",
        "server_side_encryption": "AES256",
        "tags": {"project": "a b", "a=b": "c/d:e+f"},
        "metadata": {"note": "Grüße 100%"},
    }
    put(opened(proxy.url), **options)
    stored = server.objects("bucket")["a.txt"]
    assert stored.tags == options["tags"]
    assert stored.headers["x-oss-meta-note"] == "Gr%C3%BC%C3%9Fe 100%25"
    assert stored.headers["content-disposition"].encode("latin-1").decode() == options["content_disposition"]
    expected = {"content-type": "text/plain", "cache-control": "max-age=60", "x-oss-storage-class": "IA"}
    expected |= {"x-oss-object-acl": "public-read", "x-oss-server-side-encryption": "AES256"}
    assert expected.items() <= stored.headers.items()


@pytest.mark.parametrize("metadata", [{"under_score": "a"}, {"ü": "a"}, {"a": "x" * 9000}])
def test_metadata_that_oss_would_refuse_is_never_sent(server, metadata):
    with pytest.raises(errors.ConfigurationError, match=r"upload\.metadata"):
        put(opened(server.url), metadata=metadata)
    assert server.requests == []


@pytest.mark.parametrize("size", [0, 1, 3 * MIB])
def test_a_body_is_announced_by_its_length_and_digest(server, proxy, size, tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(size))
    meter = Meter()
    opened(proxy.url).put("a.bin", path, PutOptions(), meter)
    sent = proxy.requests[-1].headers
    assert sent["content-length"] == str(size)
    assert "transfer-encoding" not in sent
    assert sent["content-md5"]
    assert meter.done == size


def test_no_upload_waits_for_crcmod(server, monkeypatch):
    def slow(*_):
        raise AssertionError("crcmod would run at 13 MiB/s without its extension")

    monkeypatch.setattr("oss2.utils.Crc64", slow)
    storage = opened(server.url)
    put(storage)
    put(storage, "large.bin", LARGE)
    assert storage.read("a.txt") == b"data"


@pytest.mark.parametrize("data", [b"0123456789" * 1000, LARGE], ids=["one request", "parts"])
def test_what_was_damaged_on_its_way_is_sent_again_and_never_stored(server, proxy, data):
    flip = Flip(5000, where="request body")
    rule = proxy.add(Fault(flip, method="PUT"))
    put(opened(proxy.url), data=data)
    assert rule.happened == 1
    assert server.objects("bucket").pop("a.txt").data == data
    proxy.clear()
    proxy.add(Fault(flip, method="PUT", times=None))
    with pytest.raises(errors.IntegrityError, match="damaged"):
        put(opened(proxy.url), "b.txt", data=data)
    assert "b.txt" not in server.objects("bucket")
    assert server.open_uploads("bucket") == []


def test_an_object_stored_with_gzip_arrives_as_it_is_stored(server, proxy):
    storage = opened(proxy.url)
    put(storage, data=b"not really gzip")
    proxy.add(Fault(Headers(response={"Content-Encoding": "gzip"}), method="GET", times=None))
    assert storage.read("a.txt") == b"not really gzip"


def test_a_range_that_is_ignored_is_an_error(server, proxy):
    storage = opened(proxy.url)
    put(storage, data=b"0123456789")
    proxy.add(Fault(Headers(request={"Range": None}), method="GET"))
    with pytest.raises(errors.IntegrityError, match="ignored the range"):
        storage.read("a.txt", 5, 8)


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_broken_body_is_taken_up_where_it_ended(server, proxy, how):
    storage = opened(proxy.url)
    put(storage, data=LARGE)
    proxy.add(Fault(Cut("response body", 0.3, how), method="GET", times=2))
    meter = Meter()
    assert storage.read("a.txt", meter=meter) == LARGE
    assert meter.done == len(LARGE)


# --- trying again ---


@pytest.mark.parametrize(
    "fault",
    [
        Answer(503, document("ServiceUnavailable", "Thread pool is almost full, please retry later")),
        Answer(500, document("InternalError", "Please try again.")),
        Answer(429, document("QpsLimitExceeded", "Please reduce your request rate.")),
        Cut("request body", 0.5),
        LOST_ANSWER,
    ],
    ids=["503", "500", "429", "broken", "lost"],
)
@pytest.mark.parametrize("data", [b"x" * (3 * MIB), LARGE], ids=["one request", "parts"])
def test_a_passing_failure_is_not_seen(server, proxy, fault, data):
    storage = opened(proxy.url)
    methods = ("PUT", "POST", "GET", "HEAD", "DELETE")
    rules = [proxy.add(Fault(fault, method=method, times=3)) for method in methods]
    meter = Meter()
    storage.put("a.bin", data, PutOptions(), meter)
    assert meter.done == len(data)
    assert storage.stat("a.bin").size == len(data)
    assert storage.read("a.bin") == data
    assert [info.key for info in storage.list()] == ["a.bin"]
    storage.delete("a.bin")
    assert server.objects("bucket") == {}
    assert all(rule.happened for rule in rules if rule.fault.method != "POST")


def test_a_final_refusal_is_asked_once(server, proxy):
    with pytest.raises(errors.AccessDenied):
        put(opened(proxy.url, secret_key="wrong-secret"))
    assert len(proxy.requests) == 1


def test_a_cancelled_upload_is_not_tried_again(server, proxy):
    with pytest.raises(errors.TransferCancelled):
        opened(proxy.url).put("a.bin", LARGE[: 10 * MIB], PutOptions(), StopsAfter(5 * MIB))
    assert len(proxy.requests) == 1
    assert server.objects("bucket") == {}


def test_a_lost_answer_to_an_abort_is_no_worry(server, proxy, caplog):
    rule = proxy.add(Fault(LOST_ANSWER, method="DELETE"))
    with pytest.raises(errors.TransferCancelled):
        opened(proxy.url).put("a.bin", LARGE, PutOptions(), StopsAfter(20 * MIB))
    assert rule.seen == 2
    assert server.open_uploads("bucket") == []
    assert caplog.records == []


def test_a_stopped_meter_ends_the_waiting(server, proxy, monkeypatch):
    monkeypatch.setattr(retries.RetryPolicy, "backoff", lambda self, attempt: 3600)
    meter = Meter()
    rule = proxy.add(Fault(Answer(503), times=None))
    threading.Thread(target=lambda: (rule.wait(), meter.stop()), daemon=True).start()
    with pytest.raises(errors.TransferCancelled):
        opened(proxy.url).put("a.bin", b"data", PutOptions(), meter)
    assert rule.seen == 1


# --- creating ---


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
@pytest.mark.parametrize("crc64", [True, False])
def test_a_lost_answer_to_a_creation_is_no_conflict(server, proxy, data, crc64):
    server.crc64 = crc64
    metadata = {} if crc64 else {"sha256": hashlib.sha256(data).hexdigest()}
    method = "POST" if data is LARGE else "PUT"
    rule = proxy.add(Fault(LOST_ANSWER, method=method, query="uploadId" if data is LARGE else ""))
    stored = put(opened(proxy.url), data=data, create=True, metadata=metadata)
    assert rule.happened == 1
    found = server.objects("bucket")["a.txt"]
    assert (stored.etag, found.data) == (found.etag, data)
    assert server.open_uploads("bucket") == []


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_after_a_lost_answer_the_object_of_another_is_a_conflict(server, proxy, data):
    mine, other = opened(proxy.url), opened(server.url)
    put(mine, "first.txt")  # the bucket is known to have no versions from here on
    query = "uploadId" if data is LARGE else ""
    proxy.add(Fault(Answer(500), method="POST" if data is LARGE else "PUT", query=query))

    class Overtaken(Meter):
        def wait(self, seconds):
            put(other, data=data[::-1])

    with pytest.raises(errors.AlreadyExists):
        mine.put("a.txt", data, PutOptions(), Overtaken(), create=True)
    assert server.objects("bucket")["a.txt"].data == data[::-1]
    assert server.open_uploads("bucket") == []


def test_of_two_that_create_in_parts_one_wins(server):
    outcomes = {}
    start = threading.Barrier(2)

    def create(data):
        storage = opened(server.url)
        start.wait()
        try:
            outcomes[data] = put(storage, data=data, create=True).etag
        except errors.AlreadyExists:
            outcomes[data] = None

    threads = [threading.Thread(target=create, args=(data,)) for data in (LARGE, LARGE[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stored = server.objects("bucket")["a.txt"]
    assert outcomes == {stored.data: stored.etag, stored.data[::-1]: None}
    assert server.open_uploads("bucket") == []


def test_a_bucket_with_versions_is_looked_at_before_every_creation(server, proxy):
    proxy.add(Fault(Headers(response={"x-oss-version-id": "CAEQ"}), method="PUT", times=None))
    storage = opened(proxy.url)
    put(storage, "one.txt", create=True)
    put(storage, "two.txt", create=True)
    assert [request.method for request in proxy.requests] == ["HEAD", "PUT", "HEAD", "PUT"]
    with pytest.raises(errors.AlreadyExists):
        put(storage, "one.txt", b"other", create=True)
    assert proxy.requests[-1].method == "HEAD"


def test_a_bucket_without_versions_is_looked_at_once(server, proxy):
    storage = opened(proxy.url)
    put(storage, "one.txt", create=True)
    put(storage, "two.txt", create=True)
    assert [request.method for request in proxy.requests] == ["HEAD", "PUT", "PUT"]
    for data in (b"data", LARGE):
        with pytest.raises(errors.AlreadyExists):
            put(storage, "one.txt", data, create=True)
    assert [request.method for request in proxy.requests[3:]] == ["PUT", "POST"]


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_a_key_that_may_only_write_creates(server, data):
    server.permissions["LTAI-test"] = Permissions(read=False, list=False, delete=False)
    storage = opened(server.url)
    put(storage, data=data, create=True)
    with pytest.raises(errors.AlreadyExists):
        put(storage, data=data, create=True)
