"""What is special to S3: conditions that not every server knows, keys that may only write, checksums."""

from __future__ import annotations

import base64
import os
import urllib.parse
import zlib
from dataclasses import replace

import pytest
from cloud_storage import errors, providers
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import make_place
from servers.fault_proxy import FaultProxy
from servers.faults import Answer, Fault, Headers, s3_error
from servers.s3_server import READ, WRITE, allow

MIB = 1 << 20
LARGE = os.urandom(MIB) * 40  # five parts


@pytest.fixture(scope="session", params=["ministack-http", "ceph-http"])
def any_place(request, servers, tmp_path_factory):
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture(scope="session")
def place(servers, tmp_path_factory):
    return make_place("ministack-http", servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def proxy(place):
    target = urllib.parse.urlsplit(place.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        yield proxy


@pytest.fixture
def folder():
    return f"s-{os.urandom(5).hex()}/"


@pytest.fixture
def shaky(place, proxy, folder):
    return place.open(path_prefix=folder, endpoint_url=proxy.url)


def put(target, key, data=b"data", create=False, meter=None, **options):
    return target.put(key, data, PutOptions(**options), meter or Meter(), create)


def limited(place, folder, *actions, **changes):
    """The bucket opened with keys that may do ``actions`` and nothing else."""
    keys = place.server.create_user(allow(place.bucket, *actions))
    return place.open(path_prefix=folder, access_key=keys.access_key, secret_key=keys.secret_key, **changes)


# --- keys that may only write ---


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_a_key_that_may_only_write_stores(any_place, folder, data):
    stored = put(limited(any_place, folder, *WRITE), "a.bin", data, content_type="x/y")
    (found,) = any_place.open(path_prefix=folder).list()
    assert (stored.size, stored.etag) == (found.size, found.etag) == (len(data), found.etag)
    assert stored.content_type == "x/y"
    assert any_place.open_uploads() == []


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_a_key_that_may_only_write_creates_where_the_server_refuses_taken_keys(place, folder, data):
    storage = limited(place, folder, *WRITE, provider="AWS S3")  # whose row says that it does
    put(storage, "a.bin", data, create=True)
    with pytest.raises(errors.AlreadyExists):
        put(storage, "a.bin", data[::-1], create=True)
    assert place.open(path_prefix=folder).read("a.bin") == data
    assert place.open_uploads() == []


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
def test_a_server_that_takes_the_condition_in_vain_replaces_nothing(place, folder, monkeypatch, data):
    storage = place.open(path_prefix=folder)
    put(storage, "a.bin", b"before")
    for name in ("put_object", "complete_multipart_upload"):
        send = getattr(storage._client, name)
        monkeypatch.setattr(
            storage._client,
            name,
            lambda Condition=None, send=send, **rest: send(**rest),  # noqa: N803
        )
    with pytest.raises(errors.AlreadyExists):
        put(storage, "a.bin", data, create=True)
    assert storage.read("a.bin") == b"before"
    put(storage, "b.bin", data, create=True)
    assert storage.read("b.bin") == data


def test_only_a_server_that_is_known_to_refuse_the_write_says_so(place, folder):
    assert not place.open(path_prefix=folder, provider="Custom").refuses_replaced
    assert place.open(path_prefix=folder, provider="AWS S3").refuses_replaced


def test_a_key_that_may_only_write_never_replaces(any_place, folder):
    owner = any_place.open(path_prefix=folder)
    put(owner, "a.bin", b"before")
    storage = limited(any_place, folder, *WRITE)
    with pytest.raises(errors.AccessDenied, match=r"check whether 'a\.bin' is taken"):
        put(storage, "a.bin", LARGE, create=True)
    with pytest.raises(errors.AlreadyExists):
        put(storage, "a.bin", b"after!", create=True)
    assert owner.read("a.bin") == b"before"
    assert any_place.open_uploads() == []


def test_a_key_that_may_look_has_the_size_compared(place, proxy, folder):
    storage = limited(place, folder, *WRITE, *READ, endpoint_url=proxy.url)
    proxy.add(Fault(Headers(response={"Content-Length": str(len(LARGE) - 1)}), "HEAD"))
    with pytest.raises(errors.IntegrityError, match="bytes arrived"):
        put(storage, "a.bin", LARGE)


# --- conditions that a server may not know ---


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_where_the_condition_is_refused_the_whole_body_is_sent_again(shaky, proxy, status, code):
    rule = proxy.add(Fault(Answer(status, s3_error(code)), "PUT"))
    data, meter = LARGE[: 3 * MIB], Meter()
    put(shaky, "a.bin", data, create=True, meter=meter)
    assert shaky.read("a.bin") == data
    assert meter.done == len(data)
    put(shaky, "b.bin", create=True)
    assert rule.seen == 3  # refused, sent without, and remembered
    assert "if-none-match" not in proxy.requests[-1].headers


def test_another_refusal_with_the_same_code_does_not_end_the_condition(shaky, proxy):
    rule = proxy.add(Fault(Answer(400, s3_error("InvalidArgument", Message="x-amz-acl")), "PUT", times=2))
    with pytest.raises(errors.StorageError, match="x-amz-acl"):
        put(shaky, "a.bin", create=True)
    put(shaky, "b.bin", create=True)
    assert rule.seen == 3
    assert proxy.requests[-1].headers["if-none-match"] == "*"


def test_a_completion_has_the_condition_and_a_look_before_it(shaky, proxy):
    put(shaky, "a.bin", LARGE, create=True)
    completed = [number for number, request in enumerate(proxy.requests) if "uploadId" in request.query][-1]
    assert proxy.requests[completed].headers["if-none-match"] == "*"
    assert proxy.requests[completed - 1].method == "HEAD"


def test_a_completion_whose_condition_is_refused_is_sent_without(shaky, proxy, place):
    rule = proxy.add(Fault(Answer(501, s3_error("NotImplemented")), "POST", query="uploadId"))
    put(shaky, "a.bin", LARGE, create=True)
    assert rule.seen == 2
    assert shaky.read("a.bin") == LARGE
    put(shaky, "b.bin", create=True)  # one request still has the condition
    assert proxy.requests[-1].headers["if-none-match"] == "*"
    assert place.open_uploads() == []


@pytest.mark.parametrize("data", [b"small", LARGE], ids=["one request", "parts"])
@pytest.mark.parametrize(
    ("respects", "looks", "conditions"),
    [(True, False, True), (None, True, True), (False, True, False)],
    ids=str,
)
def test_the_row_says_if_a_key_is_looked_up_first_and_if_the_condition_is_sent(
    place, proxy, folder, monkeypatch, data, respects, looks, conditions
):
    name = place.environ["COMFY_S3_PROVIDER"]
    columns = {"conditional_writes": respects, "conditional_complete": respects}
    monkeypatch.setitem(providers.PROVIDERS, name, replace(providers.provider(name), **columns))
    storage = place.open(path_prefix=folder, endpoint_url=proxy.url)
    put(storage, "a.bin", data, create=True)
    (write,) = [
        number
        for number, request in enumerate(proxy.requests)
        if (request.method, data == LARGE) in {("PUT", False), ("POST", True)}
        and "uploads" not in request.query
    ]
    assert (proxy.requests[write - 1].method == "HEAD") == looks  # right before the write
    assert ("if-none-match" in proxy.requests[write].headers) == conditions
    before = len(proxy.requests)
    with pytest.raises(errors.AlreadyExists):
        put(storage, "a.bin", b"other", create=True)
    again = [request.method for request in proxy.requests[before:]]
    assert again == (["HEAD"] if looks else ["PUT"])
    assert storage.read("a.bin") == data
    assert place.open_uploads() == []


def test_an_object_that_is_not_there_is_deleted_where_the_server_minds(shaky, proxy):
    proxy.add(Fault(Answer(404, s3_error("NoSuchKey")), "DELETE"))
    shaky.delete("a.bin")
    proxy.add(Fault(Answer(404, s3_error("NoSuchBucket")), "DELETE"))
    with pytest.raises(errors.NotFound, match="NoSuchBucket"):
        shaky.delete("a.bin")


def test_nothing_is_asked_about_the_bucket(shaky, proxy, place, folder):
    for status in (301, 302, 307, 400, 403, 404):
        proxy.add(Fault(Answer(status), times=2))
        with pytest.raises(errors.StorageError):
            shaky.stat("a.bin")
    assert {request.path for request in proxy.requests} == {f"/{place.bucket}/{folder}a.bin"}


# --- what AWS gets and others do not ---


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [3 * MIB, 40 * MIB], ids=["one request", "parts"])
def test_bytes_are_counted_under_checksums_too(servers, tmp_path, folder, scheme, size):
    place = make_place(f"ministack-{scheme}", servers, tmp_path / "profiles.json")
    storage, meter = place.open(path_prefix=folder, provider="AWS S3"), Meter()
    put(storage, "a.bin", LARGE[:size], meter=meter)
    assert meter.done == size
    assert storage.read("a.bin") == LARGE[:size]


@pytest.mark.parametrize(("provider", "checked"), [("AWS S3", True), ("Custom", False)])
def test_every_part_has_a_checksum_that_the_server_checks_if_it_is_one_of_aws(
    place, proxy, folder, provider, checked
):
    put(place.open(path_prefix=folder, endpoint_url=proxy.url, provider=provider), "a.bin", LARGE)
    parts = [request.headers for request in proxy.requests if "partNumber" in request.query]
    assert len(parts) == 5
    sums = [
        base64.b64encode(zlib.crc32(LARGE[at : at + 8 * MIB]).to_bytes(4, "big")).decode()
        for at in range(0, len(LARGE), 8 * MIB)
    ]
    found = {headers.get("x-amz-checksum-crc32") for headers in parts}
    assert found == (set(sums) if checked else {None})


# --- whose key it is ---


def test_with_keys_the_machines_own_login_is_not_read(place, tmp_path, monkeypatch):
    login = tmp_path / "login"
    login.write_text(
        "[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other\n"
        "endpoint_url = http://127.0.0.1:9\nregion = eu-north-1\n"
    )
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(login))
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    opened = place.open(path_prefix="own/")
    assert opened.endpoint == place.environ["COMFY_S3_ENDPOINT_URL"]
    assert put(opened, "a.txt").size == 4


@pytest.mark.parametrize(("data", "looks"), [(b"small", False), (LARGE, True)], ids=["one request", "parts"])
def test_a_key_that_a_listing_has_shown_to_be_free_is_not_looked_up_again(shaky, proxy, data, looks):
    put(shaky, "first.bin")
    for name in ("a.bin", "b.bin"):
        before = len(proxy.requests)
        shaky.put(name, data, PutOptions(), Meter(), create=True, listed_free=True)
        sent = [request.method for request in proxy.requests[before:]]
        assert ("HEAD" in sent) == looks
    with pytest.raises(errors.AlreadyExists):  # the server refuses it by itself
        shaky.put("a.bin", b"other", PutOptions(), Meter(), create=True, listed_free=True)
    assert shaky.read("a.bin") == data


def test_a_key_that_a_listing_has_shown_to_be_free_is_looked_up_where_nothing_else_helps(shaky, proxy):
    rule = proxy.add(Fault(Answer(501, s3_error("NotImplemented")), "PUT"))
    shaky.put("a.bin", b"data", PutOptions(), Meter(), create=True, listed_free=True)
    assert rule.seen == 2
    with pytest.raises(errors.AlreadyExists):
        shaky.put("a.bin", b"other", PutOptions(), Meter(), create=True, listed_free=True)
    assert shaky.read("a.bin") == b"data"
