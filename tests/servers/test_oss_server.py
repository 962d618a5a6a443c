"""The OSS test server is right: Aliyun's own SDK, raw requests, and signatures that Aliyun published say so.

Those come from the pages that ``servers/oss_signature.py`` names and from the tests of Aliyun's SDK
(aliyun/alibabacloud-oss-python-sdk-v2, tests/unit/signer); V2's is the example of its former page.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.client
import os
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from servers import oss_signature as signature
from servers.certificates import certificates
from servers.oss_objects import Spool, crc64_function, crc64_joined
from servers.oss_server import OssServer

oss2 = pytest.importorskip("oss2")

HOUR = 3600
MIB = 1 << 20
STANDARD_RANGE = {"x-oss-range-behavior": "standard"}
SOON = datetime.now(timezone.utc) + timedelta(days=1)

AWKWARD_KEYS = (
    "two words.txt",
    "a+b=c&d?e#f%20g%.txt",
    "中文/图片.png",
    "🦊/émoji.txt",
    "a//b/",
    "'quotes\"<xml>&amp;",
    "~-_.!*()",
)


# --- the ways to ask ---


def v1_auth(key_id: str = "key id", secret: str = "secret") -> Any:
    return oss2.Auth(key_id, secret)


def v2_auth(key_id: str = "key id", secret: str = "secret") -> Any:
    return oss2.AuthV2(key_id, secret)


def v4_auth(key_id: str = "key id", secret: str = "secret", token: str = "") -> Any:
    return oss2.ProviderAuthV4(oss2.credentials.StaticCredentialsProvider(key_id, secret, token))


EVERY_AUTH = pytest.mark.parametrize("auth", [v1_auth, v2_auth, v4_auth])


def bucket(server: OssServer, auth: Any = None, name: str = "bucket", **options: Any) -> Any:
    return oss2.Bucket(auth or v4_auth(), server.url, name, **{"region": "cn-hangzhou", **options})


@pytest.fixture
def server() -> Iterator[OssServer]:
    with OssServer() as running:
        yield running


@pytest.fixture
def client(server: OssServer) -> Any:
    return bucket(server)


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def element(self, name: str) -> str | None:
        return ElementTree.fromstring(self.body).findtext(name)

    @property
    def code(self) -> str | None:
        return self.element("Code")


def ask(
    server: OssServer, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One request exactly as given; ``headers`` may name another Host."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc)
    connection.putrequest(method, target, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
    for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    answer = Answer(response.status, response.headers, response.read())
    connection.close()
    return answer


def signed(
    server: OssServer, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """As ``ask`` for /bucket/key?query, with a V4 signature by this file's own reading of the page on it."""
    path, _, query = target.partition("?")
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now[:8]}/cn-hangzhou/oss/aliyun_v4_request"
    sent = {"x-oss-date": now, "x-oss-content-sha256": "UNSIGNED-PAYLOAD", **(headers or {})}
    covered = {name.lower(): value for name, value in sent.items()}
    lines = sorted(
        f"{name}:{value}\n"
        for name, value in covered.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5")
    )
    pairs = "&".join(sorted(pair.removesuffix("=") for pair in query.split("&") if pair))
    canonical = f"{method}\n{path}\n{pairs}\n{''.join(lines)}\n\nUNSIGNED-PAYLOAD"
    text = f"OSS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = functools.reduce(
        lambda step, part: hmac_sha256(step, part.encode()), scope.split("/"), b"aliyun_v4" + b"secret"
    )
    credential = f"Credential=key id/{scope},Signature={hmac_sha256(key, text.encode()).hex()}"
    return ask(server, method, target, {**sent, "Authorization": f"OSS4-HMAC-SHA256 {credential}"}, body)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, spelled out, so that this file shares no line with the server."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def opened(url: str, method: str = "GET", body: bytes | None = None) -> Answer:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method)) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as refused:
        with refused:
            return Answer(refused.code, refused.headers, refused.read())


def refusal(call: Any, *arguments: Any, **options: Any) -> Any:
    with pytest.raises(oss2.exceptions.OssError) as raised:
        call(*arguments, **options)
    return raised.value


# --- signatures that Aliyun published ---

V1_SECRET = "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"
V1_DATE = "Wed, 28 Dec 2022 10:27:41 GMT"
V1_HEADERS = {
    "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
    "content-type": "text/html",
    "x-oss-meta-author": "alice",
    "x-oss-meta-magic": "abracadabra",
    "x-oss-date": V1_DATE,
}
V4_KEY = "1234+-/123/1.txt"
V4_TARGET = "/bucket/1234%2B-/123/1.txt"
V4_QUERY = (
    ("param1", "value1"),
    ("+param1", "value3"),
    ("|param1", "value4"),
    ("+param2", ""),
    ("|param2", ""),
    ("param2", ""),
)
V4_PLAIN_QUERY = "param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2&param2="
V4_HEADERS = {"x-oss-head1": "value", "abc": "value", "zabc": "value", "xyz": "value"}


def test_v1_gives_the_signature_that_the_documentation_gives() -> None:
    request = signature.Request(
        "PUT",
        "oss-example",
        "nelson",
        headers={
            "content-md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
            "content-type": "text/html",
            "x-oss-meta-author": "foo@bar.com",
            "x-oss-magic": "abracadabra",
        },
    )
    text = signature.v1_string_to_sign(request, "Thu, 17 Nov 2005 18:49:58 GMT")
    assert signature.base64_signature(V1_SECRET, text, "sha1") == "26NBxoKdsyly4EDv6inkoDft/yA="


@pytest.mark.parametrize(
    ("method", "key", "query", "headers", "expected"),
    [
        ("PUT", "nelson", (), V1_HEADERS, "kSHKmLxlyEAKtZPkJhG9bZb5k7M="),
        ("PUT", "nelson", (("acl", ""),), V1_HEADERS, "/afkugFbmWDQ967j1vr6zygBLQk="),
        (
            "GET",
            "",
            (("resourceGroup", ""), ("non-resousce", "null")),
            {"x-oss-date": V1_DATE},
            "vkQmfuUDyi1uDi3bKt67oemssIs=",
        ),
        (
            "GET",
            "",
            (("resourceGroup", ""), ("acl", "")),
            {"x-oss-date": V1_DATE},
            "x3E5TgOvl/i7PN618s5mEvpJDYk=",
        ),
    ],
)
def test_v1_headers_give_the_signatures_of_the_sdk(
    method: str, key: str, query: Any, headers: Any, expected: str
) -> None:
    request = signature.Request(method, "examplebucket", key, query, headers)
    assert signature.base64_signature("sk", signature.v1_string_to_sign(request, V1_DATE), "sha1") == expected


@pytest.mark.parametrize(
    ("key", "query", "expires", "expected"),
    [
        ("key", (("versionId", "versionId"),), "1699807420", "dcLTea+Yh9ApirQ8o8dOPqtvJXQ="),
        (
            "key+123",
            (("versionId", "versionId"), ("security-token", "token")),
            "1699808204",
            "jzKYRrM5y6Br0dRFPaTGOsbrDhY=",
        ),
    ],
)
def test_v1_urls_give_the_signatures_of_the_sdk(key: str, query: Any, expires: str, expected: str) -> None:
    text = signature.v1_string_to_sign(signature.Request("GET", "bucket", key, query), expires)
    assert signature.base64_signature("sk", text, "sha1") == expected


def test_v2_gives_the_published_signature() -> None:
    headers = {
        "content-md5": "FxqG8Ca0qEJPOghSihJ8Ew==",
        "content-type": "text/plain",
        "x-oss-object-acl": "private",
    }
    request = signature.Request("PUT", "oss-example", "nelson", headers=headers)
    text = signature.v2_string_to_sign(request, "Wed, 15 Feb 2017 09:37:11 GMT", [])
    assert (
        signature.base64_signature(V1_SECRET, text, "sha256")
        == "5Am2ewK1tL0gXX7GV6dwybZtj7efOEtc0Mo2FR6CkM8="
    )


def test_v4_takes_the_steps_of_the_documentation() -> None:
    headers = {
        "content-disposition": "attachment",
        "content-length": "3",
        "content-md5": "ICy5YqxZB1uWSwcVLSNLcA==",
        "content-type": "text/plain",
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
        "x-oss-date": "20250411T064124Z",
    }
    request = signature.Request("PUT", "examplebucket", "exampleobject", headers=headers)
    canonical = signature.v4_canonical_request(request, ["content-length", "content-disposition"])
    published = "c46d96390bdbc2d739ac9363293ae9d710b14e48081fcb22cd8ad54b63136eca"
    assert hashlib.sha256(canonical).hexdigest() == published
    text = signature.v4_string_to_sign(canonical, "20250411T064124Z", "20250411", "cn-hangzhou")
    # The page's signing key is of a secret that it does not show.
    key = bytes.fromhex("3543b7686e65eda71e5e5ca19d548d78423c37e8ddba4dc9d83f90228b457c76")
    published = "053edbf550ebd239b32a9cdfd93b0b2b3f2d223083aa61f75e9ac16856d61f23"
    assert signature.v4_signature(key, text) == published


V4_HEADER_EXAMPLES = [
    (1702743657, "", "", "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
    (1702784856, "token", "", "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"),
    (1702747512, "", "abc;zabc", "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f"),
]
V4_URL_EXAMPLES = [
    (1702781677, "", "", "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"),
    (1702785388, "token", "", "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5"),
    (1702783809, "", "abc;zabc", "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7"),
]


def example_server(moment: float, token: str) -> OssServer:
    """A server of ``moment`` that knows the examples' key, with its token if it has one."""
    if token:
        return OssServer(credentials={}, sts_tokens={"ak": ("sk", token, SOON)}, clock=lambda: moment)
    return OssServer(credentials={"ak": "sk"}, clock=lambda: moment)


def flipped(hexadecimal: str) -> str:
    """With the lowest bit of the last digit the other way round."""
    return hexadecimal[:-1] + f"{int(hexadecimal[-1], 16) ^ 1:x}"


@pytest.mark.parametrize(("moment", "token", "additional", "published"), V4_HEADER_EXAMPLES)
def test_a_request_with_a_published_v4_header_is_taken_and_no_other(
    moment: int, token: str, additional: str, published: str
) -> None:
    date = datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        **V4_HEADERS,
        "content-type": "text/plain",
        "x-oss-date": date,
        "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
    }
    if token:
        headers["x-oss-security-token"] = token
    fields = [f"Credential=ak/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request", f"Signature={published}"]
    if additional:
        fields.insert(1, f"AdditionalHeaders={additional}")
    headers["Authorization"] = f"OSS4-HMAC-SHA256 {','.join(fields)}"
    target = f"{V4_TARGET}?{V4_PLAIN_QUERY}"
    with example_server(moment, token) as server:
        assert ask(server, "PUT", target, headers, b"content").status == 200
        assert server.objects("bucket")[V4_KEY].data == b"content"
        other = {**headers, "Authorization": headers["Authorization"].replace(published, flipped(published))}
        assert ask(server, "PUT", target, other, b"other").code == "SignatureDoesNotMatch"
        other = {**headers, "x-oss-head1": "other"}
        assert ask(server, "PUT", target, other, b"other").code == "SignatureDoesNotMatch"
        covered = 403 if additional else 200  # abc is signed only where it is listed
        assert ask(server, "PUT", target, {**headers, "abc": "other"}, b"content").status == covered
        assert ask(server, "PUT", target + "&more", headers, b"other").code == "SignatureDoesNotMatch"
        assert ask(server, "GET", target, headers).code == "SignatureDoesNotMatch"
        assert server.objects("bucket")[V4_KEY].data == b"content"


@pytest.mark.parametrize(("moment", "token", "additional", "published"), V4_URL_EXAMPLES)
def test_a_url_with_a_published_v4_signature_is_taken_and_no_other(
    moment: int, token: str, additional: str, published: str
) -> None:
    date = datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    query = {
        "x-oss-signature-version": "OSS4-HMAC-SHA256",
        "x-oss-date": date,
        "x-oss-expires": "599",
        "x-oss-credential": f"ak/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request",
        "x-oss-signature": published,
    }
    if token:
        query["x-oss-security-token"] = token
    if additional:
        query["x-oss-additional-headers"] = additional
    headers = {**V4_HEADERS, "content-type": "application/octet-stream"}
    target = f"{V4_TARGET}?{V4_PLAIN_QUERY}&{urllib.parse.urlencode(query)}"
    with example_server(moment, token) as server:
        assert ask(server, "PUT", target, headers, b"content").status == 200
        answer = ask(server, "PUT", target.replace(published, flipped(published)), headers)
        assert answer.code == "SignatureDoesNotMatch"
        assert answer.element("EC") == "0002-00000201"
        longer = target.replace("x-oss-expires=599", "x-oss-expires=600")
        assert ask(server, "PUT", longer, headers).code == "SignatureDoesNotMatch"
        server.set_time(599)
        assert ask(server, "PUT", target, headers, b"content").status == 200
        server.set_time(600)
        assert ask(server, "PUT", target, headers).element("Message") == "Request has expired."
        server.set_time(-15 * 60)
        assert ask(server, "PUT", target, headers, b"content").status == 200
        server.set_time(-15 * 60 - 1)
        assert ask(server, "PUT", target, headers).code == "RequestTimeTooSkewed"


def test_a_request_with_a_published_v1_header_is_taken_and_no_other() -> None:
    moment = datetime(2022, 12, 28, 10, 27, 41, tzinfo=timezone.utc).timestamp()
    headers = {**V1_HEADERS, "Authorization": "OSS ak:kSHKmLxlyEAKtZPkJhG9bZb5k7M="}
    with OssServer({"examplebucket": "private"}, credentials={"ak": "sk"}, clock=lambda: moment) as server:
        assert ask(server, "PUT", "/examplebucket/nelson", headers, b"0123456789").status == 200
        assert server.objects("examplebucket")["nelson"].headers["x-oss-meta-author"] == "alice"
        other = {**headers, "Authorization": "OSS ak:kSHKmLxlyEAKtZPkJhG9bZb5k7N="}
        answer = ask(server, "PUT", "/examplebucket/nelson", other, b"0123456789")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
        assert answer.element("EC") == "0002-00000040"
        server.set_time(15 * 60 + 1)
        answer = ask(server, "PUT", "/examplebucket/nelson", headers, b"0123456789")
        assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")


def test_the_sdk_and_this_file_sign_alike(server: OssServer, client: Any) -> None:
    assert signed(server, "PUT", "/bucket/a%2Bb?x", {"Content-Type": "a/b"}, b"raw").status == 200
    assert client.get_object("a+b").read() == b"raw"


# --- who asks ---


@EVERY_AUTH
@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_every_key_goes_round_with_every_signature(server: OssServer, auth: Any, key: str) -> None:
    client = bucket(server, auth())
    client.put_object(key, b"content", headers={"x-oss-meta-a": "b c"})
    assert list(server.objects("bucket")) == [key]
    assert client.get_object(key).read() == b"content"
    assert client.head_object(key).headers["x-oss-meta-a"] == "b c"
    assert [each.key for each in client.list_objects_v2().object_list] == [key]
    assert [each.key for each in client.list_objects().object_list] == [key]
    for slash_safe in (False, True):
        assert opened(client.sign_url("GET", key, 60, slash_safe=slash_safe)).body == b"content"
    client.delete_object(key)
    assert server.objects("bucket") == {}


@EVERY_AUTH
def test_a_wrong_secret_is_told_from_a_wrong_key(server: OssServer, auth: Any) -> None:
    wrong = refusal(bucket(server, auth(secret="other")).put_object, "a", b"content")
    assert (wrong.status, wrong.code) == (403, "SignatureDoesNotMatch")
    assert wrong.details["OSSAccessKeyId"] == "key id"
    assert "PUT" in wrong.details["StringToSign"] or "PUT" in wrong.details["CanonicalRequest"]
    unknown = refusal(bucket(server, auth(key_id="nobody")).put_object, "a", b"content")
    assert (unknown.status, unknown.code, unknown.ec) == (403, "InvalidAccessKeyId", "0002-00000902")
    assert unknown.details["OSSAccessKeyId"] == "nobody"
    assert server.objects("bucket") == {}


@EVERY_AUTH
@pytest.mark.parametrize("offset_seconds", [HOUR, -HOUR, 15 * 60 + 30, -15 * 60 - 30])
def test_a_clock_that_is_off_is_refused(server: OssServer, auth: Any, offset_seconds: int) -> None:
    server.set_time(offset_seconds)
    refused = refusal(bucket(server, auth()).head_object, "a")
    assert refused.status in (403, 400)
    assert refused.code == "RequestTimeTooSkewed"
    assert refused.details["MaxAllowedSkewMilliseconds"] == "900000"
    assert refused.details["ServerTime"] != refused.details["RequestTime"]


@EVERY_AUTH
def test_a_clock_that_is_a_little_off_is_fine(server: OssServer, auth: Any) -> None:
    server.set_time(14 * 60)
    bucket(server, auth()).put_object("a", b"")
    server.set_time(-14 * 60)
    bucket(server, auth()).put_object("a", b"")


def test_another_day_is_an_invalid_signing_date(server: OssServer, client: Any) -> None:
    server.set_time(5 * 24 * HOUR)
    refused = refusal(client.head_object, "a")
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "Invalid signing date in Authorization header."


def test_another_region_is_refused(server: OssServer) -> None:
    refused = refusal(bucket(server, region="cn-shanghai").head_object, "a")
    assert (refused.status, refused.code, refused.ec) == (400, "InvalidArgument", "0002-00000226")
    assert refused.message == "Invalid signing region in Authorization header."


def test_a_server_that_refuses_v1_says_so() -> None:
    with OssServer(refuse_v1=True) as server:
        refused = refusal(bucket(server, v1_auth()).put_object, "a", b"")
        assert (refused.status, refused.ec) == (403, "0002-00000080")
        assert opened(bucket(server, v1_auth()).sign_url("GET", "a", 60)).element("EC") == "0002-00000080"
        bucket(server).put_object("a", b"")


def test_temporary_credentials_need_their_token_and_end() -> None:
    expiry = datetime.now(timezone.utc) + timedelta(minutes=10)
    with OssServer(sts_tokens={"STS.key": ("temporary", "token", expiry)}) as server:
        fitting = v4_auth("STS.key", "temporary", "token")
        bucket(server, fitting).put_object("a", b"content")
        assert opened(bucket(server, fitting).sign_url("GET", "a", 60)).body == b"content"
        for version in ("v1", "v2"):
            auth = oss2.StsAuth("STS.key", "temporary", "token", auth_version=version)
            bucket(server, auth).put_object("a", b"content")
            assert opened(bucket(server, auth).sign_url("GET", "a", 60)).body == b"content"
        wrong = refusal(bucket(server, v4_auth("STS.key", "temporary", "other")).get_object, "a")
        assert (wrong.status, wrong.code) == (403, "InvalidSecurityToken")
        missing = refusal(bucket(server, v4_auth("STS.key", "temporary")).get_object, "a")
        assert (missing.status, missing.code) == (403, "InvalidAccessKeyId")
        needless = refusal(bucket(server, v4_auth("key id", "secret", "token")).get_object, "a")
        assert (needless.status, needless.code) == (403, "InvalidAccessKeyId")
        twelve_hours = bucket(server, fitting).sign_url("GET", "a", 12 * HOUR)
        assert opened(twelve_hours).status == 200
        longer = opened(bucket(server, fitting).sign_url("GET", "a", 12 * HOUR + 1))
        assert longer.element("EC") == "0002-00000232"
        server.set_time(11 * 60)
        expired = refusal(bucket(server, fitting).get_object, "a")
        assert (expired.status, expired.code) == (403, "SecurityTokenExpired")


def test_nobody_reads_a_private_bucket() -> None:
    with OssServer({"private-bucket": "private", "open-bucket": "public-read"}) as server:
        bucket(server, name="private-bucket").put_object("a", b"mine")
        bucket(server, name="private-bucket").put_object(
            "b", b"all", headers={"x-oss-object-acl": "public-read"}
        )
        bucket(server, name="open-bucket").put_object("a", b"all")
        nobody = oss2.AnonymousAuth()
        refused = refusal(bucket(server, nobody, "private-bucket").get_object, "a")
        assert (refused.status, refused.code, refused.ec) == (403, "AccessDenied", "0003-00000001")
        assert bucket(server, nobody, "private-bucket").get_object("b").read() == b"all"
        assert bucket(server, nobody, "open-bucket").get_object("a").read() == b"all"
        assert refusal(bucket(server, nobody, "open-bucket").put_object, "a", b"").code == "AccessDenied"
        refused = refusal(bucket(server, nobody, "open-bucket").list_objects_v2)
        assert (refused.status, refused.code, refused.ec) == (403, "AccessDenied", "0003-00001201")


def test_a_key_may_do_what_it_was_granted_and_no_more() -> None:
    permissions = {
        "reader": {"prefix": "team/", "put": False, "delete": False},
        "writer": {"prefix": "team/", "read": False, "list": False},
    }
    with OssServer(
        credentials={"key id": "secret", "reader": "r", "writer": "w"}, permissions=permissions
    ) as server:
        reader, writer = bucket(server, v4_auth("reader", "r")), bucket(server, v4_auth("writer", "w"))
        writer.put_object("team/a", b"content")
        assert reader.get_object("team/a").read() == b"content"
        assert [each.key for each in reader.list_objects_v2(prefix="team/").object_list] == ["team/a"]
        denied = [
            refusal(reader.put_object, "team/b", b""),
            refusal(reader.delete_object, "team/a"),
            refusal(reader.list_objects_v2, prefix="tea"),
            refusal(reader.list_objects_v2),
            refusal(reader.get_object, "other/a"),
            refusal(reader.get_bucket_info),
            refusal(writer.put_object, "other/a", b""),
            refusal(writer.get_object, "team/a"),
            refusal(writer.list_objects_v2, prefix="team/"),
            refusal(writer.head_object, "team/a"),
        ]
        assert {(each.status, each.code) for each in denied} == {(403, "AccessDenied")}
        assert b"<AuthAction>oss:PutObject</AuthAction>" in denied[0].body
        assert bucket(server).get_bucket_info().name == "bucket"
        assert bucket(server).get_bucket_location().location == "oss-cn-hangzhou"


# --- presigned URLs ---


@EVERY_AUTH
def test_a_signed_url_ends_when_it_says(server: OssServer, auth: Any) -> None:
    client = bucket(server, auth())
    client.put_object("a", b"content")
    url = client.sign_url("GET", "a", 600)
    assert opened(url).body == b"content"
    server.set_time(630)
    answer = opened(url)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("Message") == "Request has expired."
    assert answer.element("Expires") < answer.element("ServerTime")


def test_a_signed_url_is_for_one_method_and_one_object(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content")
    client.put_object("b", b"other")
    url = client.sign_url("GET", "a", 60)
    assert opened(url, "DELETE").code == "SignatureDoesNotMatch"
    assert opened(url.replace("/bucket/a", "/bucket/b")).code == "SignatureDoesNotMatch"
    assert (
        opened(client.sign_url("PUT", "c", 60), "PUT", b"").code == "SignatureDoesNotMatch"
    )  # urllib's Content-Type
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    assert opened(client.sign_url("PUT", "c", 60, headers=typed), "PUT", b"new").status == 200
    assert client.get_object("c").read() == b"new"


def test_a_v4_url_lasts_seven_days_at_most(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content")
    assert opened(client.sign_url("GET", "a", 7 * 24 * HOUR)).status == 200
    answer = opened(client.sign_url("GET", "a", 7 * 24 * HOUR + 1))
    assert (answer.status, answer.element("EC")) == (400, "0002-00000232")
    assert opened(client.sign_url("GET", "a", 0)).status == 400


def test_a_signed_url_can_choose_the_headers_of_its_answer(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content")
    wanted = {
        "response-content-disposition": 'attachment; filename="b.txt"',
        "response-content-type": "text/css",
    }
    answer = opened(client.sign_url("GET", "a", 60, params=dict(wanted)))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="b.txt"'
    assert answer.headers["Content-Type"] == "text/css"


# --- addresses ---


def test_the_bucket_stands_in_the_host_or_in_the_path() -> None:
    with OssServer({"bucket": "public-read"}, cnames={"cdn.example.com": "bucket"}) as server:
        bucket(server).put_object("a/b", b"content")
        port = urllib.parse.urlsplit(server.url).port

        def at(host: str, path: str) -> Answer:
            return ask(server, "GET", path, {"Host": host})

        assert at(f"127.0.0.1:{port}", "/bucket/a/b").body == b"content"
        assert at("localhost", "/bucket/a/b").body == b"content"
        assert at("bucket.localhost", "/a/b").body == b"content"
        assert at("bucket.oss-cn-hangzhou.aliyuncs.com", "/a/b").body == b"content"
        assert at("bucket.oss-cn-hangzhou-internal.aliyuncs.com", "/a/b").body == b"content"
        assert at(f"CDN.example.com:{port}", "/a/b").body == b"content"
        assert at("nobody.oss-cn-hangzhou.aliyuncs.com", "/a/b").code == "NoSuchBucket"
        answer = at("oss-cn-hangzhou.aliyuncs.com", "/bucket/a/b")
        assert (answer.status, answer.code) == (403, "SecondLevelDomainForbidden")
        assert at("www.example.com", "/a/b").code == "NonStandardHostForbidden"


@EVERY_AUTH
def test_a_signature_is_the_same_whatever_the_address(auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo
    names = ("bucket.oss-cn-hangzhou.aliyuncs.com", "files.example.com")

    def local(host: Any, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if host in names else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    with OssServer(cnames={"files.example.com": "bucket"}) as server:
        port = urllib.parse.urlsplit(server.url).port
        options = {"region": "cn-hangzhou"}
        virtual = oss2.Bucket(auth(), f"http://oss-cn-hangzhou.aliyuncs.com:{port}", "bucket", **options)
        custom = oss2.Bucket(auth(), f"http://files.example.com:{port}", "bucket", is_cname=True, **options)
        virtual.put_object("a/中 文", b"content")
        assert custom.get_object("a/中 文").read() == b"content"
        assert opened(custom.sign_url("GET", "a/中 文", 60, slash_safe=True)).body == b"content"
        assert virtual.sign_url("GET", "a", 60).startswith("http://bucket.oss-cn-hangzhou.aliyuncs.com")


# --- what is answered ---


def test_every_answer_names_its_request_and_the_servers_time(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content")
    server.set_time(-600)
    for answer in (client.head_object("a"), refusal(client.head_object, "b"), client.delete_object("a")):
        assert len(answer.request_id) == 24
        assert answer.headers["Server"] == "AliyunOSS"
        told = datetime.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S GMT").replace(
            tzinfo=timezone.utc
        )
        assert timedelta(seconds=-610) < told - datetime.now(timezone.utc) < timedelta(seconds=-590)


def test_an_error_document_has_no_namespace_and_all_its_parts(server: OssServer) -> None:
    answer = signed(server, "GET", "/bucket/missing")
    document = ElementTree.fromstring(answer.body)
    assert document.tag == "Error"
    assert document.findtext("Code") == "NoSuchKey"
    assert document.findtext("Message") == "The specified key does not exist."
    assert document.findtext("RequestId") == answer.headers["x-oss-request-id"]
    assert document.findtext("HostId") == urllib.parse.urlsplit(server.url).netloc
    assert document.findtext("EC") == answer.headers["x-oss-ec"] == "0026-00000001"
    assert answer.headers["Content-Type"] == "application/xml"


def test_the_error_of_a_head_request_is_in_a_header(server: OssServer, client: Any) -> None:
    answer = signed(server, "HEAD", "/bucket/missing")
    assert (answer.status, answer.body) == (404, b"")
    assert (
        ElementTree.fromstring(base64.b64decode(answer.headers["x-oss-err"])).findtext("Code") == "NoSuchKey"
    )
    assert isinstance(refusal(client.head_object, "missing"), oss2.exceptions.NoSuchKey)
    assert isinstance(refusal(bucket(server, name="nowhere").head_object, "a"), oss2.exceptions.NoSuchBucket)
    assert not client.object_exists("missing")


def test_what_is_missing_is_not_found(server: OssServer, client: Any) -> None:
    assert refusal(client.get_object, "missing").code == "NoSuchKey"
    assert refusal(bucket(server, name="nowhere").put_object, "a", b"").code == "NoSuchBucket"
    assert refusal(bucket(server, name="nowhere").list_objects_v2).code == "NoSuchBucket"
    assert client.delete_object("missing").status == 204


def test_what_the_server_lacks_is_not_implemented(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content")
    assert refusal(client.copy_object, "bucket", "a", "b").code == "NotImplemented"
    assert refusal(client.append_object, "c", 0, b"").code == "NotImplemented"
    assert refusal(client.get_bucket_acl).code == "NotImplemented"
    assert refusal(client.put_object, "b", b"", headers={"If-None-Match": "*"}).code == "NotImplemented"
    assert list(server.objects("bucket")) == ["a"]


def test_a_key_has_at_most_1023_bytes_and_no_leading_slash(server: OssServer, client: Any) -> None:
    client.put_object("é" * 511 + "x", b"")
    assert refusal(client.put_object, "é" * 512, b"").code == "InvalidObjectName"
    for key in ("/a", "//a", "\\a"):
        assert refusal(client.put_object, key, b"").code == "InvalidObjectName"
    assert len(server.objects("bucket")) == 1


def test_a_leading_slash_is_seen_in_virtual_host_style_too() -> None:
    with OssServer({"bucket": "public-read"}) as server:
        bucket(server).put_object("a", b"content")
        assert ask(server, "GET", "/a", {"Host": "bucket.localhost"}).body == b"content"
        assert ask(server, "GET", "//a", {"Host": "bucket.localhost"}).code == "InvalidObjectName"


def test_every_request_is_recorded(server: OssServer, client: Any) -> None:
    client.put_object("a", b"")
    refusal(client.get_object, "b")
    assert server.requests == [("PUT", "/bucket/a", 200), ("GET", "/bucket/b", 404)]


def test_a_mistake_of_the_server_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), OssServer() as server:
        monkeypatch.setattr(server, "new_spool", lambda: 1 // 0)
        assert refusal(bucket(server).put_object, "a", bytes(2 * MIB)).code == "InternalError"


# --- objects ---


def test_an_object_keeps_its_headers(server: OssServer, client: Any) -> None:
    headers = {
        "Content-Type": "image/png",
        "Cache-Control": "max-age=60",
        "Content-Disposition": "inline",
        "Content-Language": "zh",
        "Expires": "Thu, 01 Jan 2032 00:00:00 GMT",
        "x-oss-meta-sha256": "abc",
        "x-oss-storage-class": "IA",
        "x-oss-server-side-encryption": "AES256",
    }
    result = client.put_object("a", b"content", headers=headers)
    assert result.etag == hashlib.md5(b"content").hexdigest().upper()
    for answer in (client.head_object("a"), client.get_object("a")):
        assert {name: answer.headers.get(name) for name in headers} == headers
        assert answer.object_type == "Normal"
        assert answer.content_length == len(b"content")
        assert answer.etag == result.etag
    meta = client.get_object_meta("a")
    assert (meta.content_length, meta.etag) == (len(b"content"), result.etag)
    client.put_object("b", b"")
    assert client.head_object("b").content_type == "application/octet-stream"
    assert client.head_object("b").headers["x-oss-storage-class"] == "Standard"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-oss-storage-class": "Cold"}, "InvalidArgument"),
        ({"x-oss-object-acl": "everybody"}, "InvalidArgument"),
        ({"x-oss-server-side-encryption": "ROT13"}, "InvalidEncryptionAlgorithmError"),
        ({"x-oss-forbid-overwrite": "yes"}, "InvalidArgument"),
        ({"x-oss-tagging": "a=b=c"}, "InvalidArgument"),
        ({"x-oss-tagging": "a=b&a=c"}, "InvalidTag"),
        ({"x-oss-tagging": urllib.parse.urlencode({"键": "value"})}, "InvalidTag"),
        ({"x-oss-tagging": urllib.parse.urlencode({"key": "值"})}, "InvalidTag"),
        ({"x-oss-tagging": "key=" + "v" * 257}, "InvalidTag"),
        ({"x-oss-tagging": "&".join(f"{each}=x" for each in range(11))}, "InvalidTag"),
        ({"Content-MD5": "no digest"}, "InvalidDigest"),
        ({"Content-MD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "InvalidDigest"),
    ],
)
def test_wrong_headers_are_refused_and_nothing_is_stored(
    server: OssServer, client: Any, headers: dict[str, str], code: str
) -> None:
    refused = refusal(client.put_object, "a", b"content", headers=headers)
    assert (refused.status, refused.code) == (400, code)
    assert refusal(client.put_object, "a", bytes(3 * MIB), headers=headers).code == code
    assert server.objects("bucket") == {}


def test_tags_go_with_the_object(server: OssServer, client: Any) -> None:
    tagging = oss2.models.Tagging()
    for key, value in {"source": "comfy ui", "a+b=c": "x/y:z", "empty": ""}.items():
        tagging.tag_set.add(key, value)
    client.put_object("a", b"", headers={"x-oss-tagging": tagging.tag_set.to_query_string()})
    assert server.objects("bucket")["a"].tags == {"source": "comfy ui", "a+b=c": "x/y:z", "empty": ""}
    assert client.head_object("a").headers["x-oss-tagging-count"] == "3"
    assert client.get_object_tagging("a").tag_set.tagging_rule["source"] == "comfy ui"


def test_the_right_digest_is_accepted(server: OssServer, client: Any) -> None:
    digest = base64.b64encode(hashlib.md5(b"content").digest()).decode()
    client.put_object("a", b"content", headers={"Content-MD5": digest})
    assert client.get_object("a").headers["Content-MD5"] == digest


def test_an_object_that_may_not_be_overwritten_is_not(server: OssServer, client: Any) -> None:
    forbid = {"x-oss-forbid-overwrite": "true"}
    client.put_object("a", b"first", headers=forbid)
    refused = refusal(client.put_object, "a", b"second", headers=forbid)
    assert (refused.status, refused.code, refused.ec) == (409, "FileAlreadyExists", "0026-00000002")
    assert client.get_object("a").read() == b"first"
    client.put_object("a", b"third", headers={"x-oss-forbid-overwrite": "false"})
    assert client.get_object("a").read() == b"third"


def test_of_many_creators_one_wins(server: OssServer) -> None:
    ready = threading.Barrier(8)

    def create(number: int) -> int:
        client = bucket(server)
        client.object_exists("warm up")
        ready.wait()
        try:
            return client.put_object("a", str(number), headers={"x-oss-forbid-overwrite": "true"}).status
        except oss2.exceptions.OssError as refused:
            return refused.status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [200] + [409] * 7


def test_an_archived_object_is_described_but_not_read(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content", headers={"x-oss-storage-class": "Archive"})
    assert client.head_object("a").content_length == len(b"content")
    refused = refusal(client.get_object, "a")
    assert (refused.status, refused.code) == (403, "InvalidObjectState")


@pytest.mark.parametrize(
    ("wanted", "plain", "standard"),
    [
        ("bytes=0-0", b"0", b"0"),
        ("bytes=2-5", b"2345", b"2345"),
        ("bytes=7-", b"789", b"789"),
        ("bytes=-3", b"789", b"789"),
        ("bytes=0-9", b"0123456789", b"0123456789"),
        ("bytes=0-1,4-5", b"01", b"01"),
        ("bytes=5-20", None, b"56789"),
        ("bytes=-20", None, b"0123456789"),
        ("bytes=10-", None, 416),
        ("bytes=10-20", None, 416),
        ("byte=0-1", None, None),
        ("bytes=5-2", None, None),
        ("bytes=a-b", None, None),
    ],
)
def test_ranges(server: OssServer, client: Any, wanted: str, plain: Any, standard: Any) -> None:
    client.put_object("a", b"0123456789")
    whole = client.head_object("a")
    for behaviour, expected in (({}, plain), (STANDARD_RANGE, standard)):
        headers = {"Range": wanted, **behaviour}
        if expected == 416:
            refused = refusal(client.get_object, "a", headers=headers)
            assert (refused.status, refused.code) == (416, "InvalidRange")
            continue
        answer = client.get_object("a", headers=headers)
        assert answer.status == (200 if expected is None else 206)
        assert answer.read() == (expected or b"0123456789")
        assert answer.server_crc == whole.server_crc  # of the whole object, whatever the range
        if expected is not None:
            start = b"0123456789".index(expected)
            assert answer.content_range == f"bytes {start}-{start + len(expected) - 1}/10"


def test_an_empty_object_has_no_range(server: OssServer, client: Any) -> None:
    client.put_object("a", b"")
    assert client.get_object("a").read() == b""
    assert client.get_object("a", byte_range=(0, None)).status == 200
    assert (
        refusal(client.get_object, "a", byte_range=(0, None), headers=STANDARD_RANGE).code == "InvalidRange"
    )


def test_conditions(server: OssServer, client: Any) -> None:
    etag = client.put_object("a", b"content").etag
    before, after = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2032 00:00:00 GMT"
    for ask_for in (client.get_object, client.head_object):
        for held in (
            {"If-Match": etag},
            {"If-Match": f'"{etag}"'},
            {"If-None-Match": "other"},
            {"If-Modified-Since": before},
            {"If-Unmodified-Since": after},
        ):
            assert ask_for("a", headers=held).status == 200
        for held in ({"If-None-Match": f'"{etag}"'}, {"If-Modified-Since": after}):
            assert isinstance(refusal(ask_for, "a", headers=held), oss2.exceptions.NotModified)
        for broken in ({"If-Match": "other"}, {"If-Unmodified-Since": before}):
            refused = refusal(ask_for, "a", headers=broken)
            assert (refused.status, refused.code) == (412, "PreconditionFailed")


def test_a_large_object_goes_through_a_file(server: OssServer, client: Any) -> None:
    data = os.urandom(5 * MIB + 3)
    result = client.put_object("a", data)
    assert result.etag == hashlib.md5(data).hexdigest().upper()
    assert client.get_object("a").read() == data
    assert client.get_object("a", byte_range=(MIB, 3 * MIB)).read() == data[MIB : 3 * MIB + 1]
    assert server.objects("bucket")["a"].data == data


def test_a_body_of_unknown_length_is_taken(server: OssServer, client: Any) -> None:
    client.put_object("a", iter([b"one ", b"two ", bytes(2 * MIB)]))
    assert client.get_object("a").read() == b"one two " + bytes(2 * MIB)
    client.put_object("b", iter([]))
    assert client.get_object("b").read() == b""


def test_a_reader_keeps_the_object_it_opened(server: OssServer, client: Any) -> None:
    old, new = os.urandom(16 * MIB), os.urandom(16 * MIB)
    client.put_object("a", old)
    reading = client.get_object("a")
    start = reading.read(MIB)
    client.put_object("a", new)
    rest = b"".join(iter(lambda: reading.read(MIB), b""))
    assert start + rest == old
    assert client.get_object("a").read() == new


def test_half_an_upload_leaves_nothing(server: OssServer, client: Any) -> None:
    url = urllib.parse.urlsplit(client.sign_url("PUT", "a", 60))
    for size in (1000, 3 * MIB):
        connection = socket.create_connection((url.hostname, url.port))
        head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode() + bytes(size // 2))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
        connection.close()
    assert server.objects("bucket") == {}


def test_a_connection_is_kept_and_survives_a_refusal(server: OssServer, client: Any) -> None:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(server.url).netloc)
    for _ in range(3):
        connection.request("PUT", "/bucket/a", body=bytes(2 * MIB))
        response = connection.getresponse()
        assert response.status == 403
        response.read()
        held = connection.sock
        connection.request("GET", "/bucket/a")
        assert connection.getresponse().read()
        assert connection.sock is held
    connection.close()


def test_the_server_speaks_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    made = certificates(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
    with OssServer(certificate=made.server_context()) as server:
        client = oss2.Bucket(v4_auth(), server.tls_url, "bucket", region="cn-hangzhou")
        data = os.urandom(3 * MIB)
        client.put_object("a", data)
        assert client.get_object("a").read() == data
        assert bucket(server).get_object("a").read() == data  # both ports, one store
        context = ssl.create_default_context(cafile=str(made.authority))
        with urllib.request.urlopen(client.sign_url("GET", "a", 60), context=context) as response:
            assert response.read() == data
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
        stranger = oss2.Bucket(v4_auth(), server.tls_url, "bucket", region="cn-hangzhou")
        assert isinstance(refusal(stranger.get_object, "a"), oss2.exceptions.RequestError)


# --- multipart uploads ---


def test_the_sdk_uploads_a_file_in_parts(server: OssServer, client: Any, tmp_path: Path) -> None:
    data = os.urandom(7 * MIB + 11)
    (tmp_path / "file").write_bytes(data)
    result = oss2.resumable_upload(
        client,
        "a",
        str(tmp_path / "file"),
        store=oss2.ResumableStore(root=str(tmp_path)),
        multipart_threshold=MIB,
        part_size=2 * MIB,
        num_threads=3,
        headers={"x-oss-meta-a": "b", "Content-Type": "image/png", "x-oss-tagging": "c=d"},
    )
    stored = server.objects("bucket")["a"]
    assert stored.data == data
    assert stored.tags == {"c": "d"}
    described = client.head_object("a")
    assert described.object_type == "Multipart"
    assert described.etag == result.etag
    assert described.etag.endswith("-4")
    assert described.etag == described.etag.upper()
    assert described.headers["x-oss-meta-a"] == "b"
    assert described.content_type == "image/png"
    client.put_object("b", data)
    assert described.server_crc == client.head_object("b").server_crc
    start, stop = 2 * MIB - 5, 6 * MIB + 5  # across three parts
    assert client.get_object("a", byte_range=(start, stop - 1)).read() == data[start:stop]
    assert server.open_uploads("bucket") == []


def test_parts_and_uploads_are_listed_until_they_are_aborted(server: OssServer, client: Any) -> None:
    uploads = {key: client.init_multipart_upload(key).upload_id for key in ("b", "a", "ü")}
    for number in (3, 1, 2):
        client.upload_part("a", uploads["a"], number, bytes(100 * number))
    listed = client.list_parts("a", uploads["a"], max_parts=2)
    assert [(part.part_number, part.size) for part in listed.parts] == [(1, 100), (2, 200)]
    assert listed.is_truncated
    rest = client.list_parts("a", uploads["a"], marker=listed.next_marker)
    assert [part.part_number for part in rest.parts] == [3]
    assert not rest.is_truncated
    assert [each.key for each in oss2.MultipartUploadIterator(client, max_uploads=1)] == ["a", "b", "ü"]
    assert [each.key for each in client.list_multipart_uploads(prefix="ü").upload_list] == ["ü"]
    for key, upload_id in uploads.items():
        assert client.abort_multipart_upload(key, upload_id).status == 204
    assert server.open_uploads("bucket") == []
    for gone in (
        refusal(client.abort_multipart_upload, "a", uploads["a"]),
        refusal(client.upload_part, "a", uploads["a"], 1, b""),
        refusal(client.list_parts, "a", uploads["a"]),
        refusal(client.complete_multipart_upload, "a", uploads["a"], [oss2.models.PartInfo(1, "x")]),
    ):
        assert isinstance(gone, oss2.exceptions.NoSuchUpload)


def uploaded(client: Any, key: str, *sizes: int) -> tuple[str, list[Any]]:
    """An open upload with parts of these sizes."""
    upload_id = client.init_multipart_upload(key).upload_id
    parts = []
    for number, size in enumerate(sizes, 1):
        result = client.upload_part(key, upload_id, number, bytes(size))
        parts.append(oss2.models.PartInfo(number, result.etag, size=size, part_crc=result.crc))
    return upload_id, parts


def test_every_part_but_the_last_has_100_kib(server: OssServer, client: Any) -> None:
    upload_id, parts = uploaded(client, "a", 100 * 1024 - 1, 5)
    refused = refusal(client.complete_multipart_upload, "a", upload_id, parts)
    assert (refused.status, refused.code, refused.ec) == (400, "EntityTooSmall", "0042-00000213")
    assert server.objects("bucket") == {}
    assert len(server.open_uploads("bucket")) == 1
    upload_id, parts = uploaded(client, "a", 100 * 1024, 5)
    client.complete_multipart_upload("a", upload_id, parts)
    assert client.head_object("a").content_length == 100 * 1024 + 5


def test_the_list_of_parts_has_to_be_right(server: OssServer, client: Any) -> None:
    upload_id, parts = uploaded(client, "a", 100 * 1024, 100 * 1024)
    first, second = ((part.part_number, part.etag) for part in parts)

    def complete(*listed: tuple[int, str]) -> str | None:
        body = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in listed
        )
        document = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
        answer = signed(server, "POST", f"/bucket/a?uploadId={upload_id}", {}, document)
        return answer.code if answer.status == 400 else str(answer.status)

    assert complete(second, first) == "InvalidPartOrder"
    assert complete(first, first) == "InvalidPartOrder"
    assert complete(first, (2, "0" * 32)) == "InvalidPart"
    assert complete(first, (3, second[1])) == "InvalidPart"
    assert complete() == "MalformedXML"
    assert server.objects("bucket") == {}
    assert complete(first) == "200"  # parts that are not listed are left out
    assert client.head_object("a").content_length == 100 * 1024


def test_an_upload_that_may_not_overwrite_does_not(server: OssServer, client: Any) -> None:
    forbid = {"x-oss-forbid-overwrite": "true"}
    upload_id, parts = uploaded(client, "a", 10)
    client.put_object("a", b"first")
    refused = refusal(client.complete_multipart_upload, "a", upload_id, parts, headers=forbid)
    assert (refused.status, refused.code, refused.ec) == (409, "FileAlreadyExists", "0042-00000214")
    assert client.get_object("a").read() == b"first"
    assert len(server.open_uploads("bucket")) == 1
    assert refusal(client.init_multipart_upload, "a", headers=forbid).code == "FileAlreadyExists"
    client.complete_multipart_upload("a", upload_id, parts)
    assert client.get_object("a").read() == bytes(10)


def test_a_part_can_be_sent_again_and_as_chunks(server: OssServer, client: Any) -> None:
    upload_id = client.init_multipart_upload("a").upload_id
    client.upload_part("a", upload_id, 1, os.urandom(2 * MIB))
    sent = [client.upload_part("a", upload_id, 1, iter([b"x" * MIB, b"y" * MIB]))]
    sent.append(client.upload_part("a", upload_id, 2, b"z"))
    parts = [oss2.models.PartInfo(number, result.etag) for number, result in enumerate(sent, 1)]
    client.complete_multipart_upload("a", upload_id, parts)
    assert server.objects("bucket")["a"].data == b"x" * MIB + b"y" * MIB + b"z"


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
def test_part_numbers_go_from_1_to_10000(server: OssServer, client: Any, number: str) -> None:
    upload_id = client.init_multipart_upload("a").upload_id
    answer = signed(server, "PUT", f"/bucket/a?partNumber={number}&uploadId={upload_id}", {}, b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


# --- listings ---


def filled(server: OssServer, keys: list[str]) -> None:
    """Put empty objects into the bucket, all through one signed request each."""
    client = bucket(server, enable_crc=False)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: client.put_object(key, b""), keys))


def test_more_than_a_page_is_listed_in_order(server: OssServer, client: Any) -> None:
    keys = [f"{'é' if number % 3 else 'z'}/{number:04}" for number in range(1234)]
    filled(server, keys)
    in_order = sorted(keys, key=str.encode)
    assert [each.key for each in oss2.ObjectIteratorV2(client, max_keys=1000)] == in_order
    assert [each.key for each in oss2.ObjectIterator(client, max_keys=100)] == in_order
    first = client.list_objects_v2(max_keys=1000)
    assert (len(first.object_list), first.is_truncated) == (1000, True)
    rest = client.list_objects_v2(max_keys=1000, continuation_token=first.next_continuation_token)
    assert (len(rest.object_list), rest.is_truncated) == (234, False)
    after = client.list_objects_v2(prefix="é/", start_after="é/1000", max_keys=1000)
    assert [each.key for each in after.object_list] == [key for key in in_order if key > "é/1000"]
    assert len(client.list_objects_v2().object_list) == 100
    assert client.list_objects_v2(prefix="nothing").object_list == []


def test_folders_are_rolled_up(server: OssServer, client: Any) -> None:
    filled(server, ["a", "b/1", "b/2", "b/c/3", "d/", "e", "f/1"])
    whole = client.list_objects_v2(delimiter="/")
    assert [each.key for each in whole.object_list] == ["a", "e"]
    assert whole.prefix_list == ["b/", "d/", "f/"]
    below = client.list_objects_v2(prefix="b/", delimiter="/")
    assert ([each.key for each in below.object_list], below.prefix_list) == (["b/1", "b/2"], ["b/c/"])
    for size in (1, 2, 3):
        for iterator in (oss2.ObjectIteratorV2, oss2.ObjectIterator):
            seen = [each.key for each in iterator(client, delimiter="/", max_keys=size)]
            assert seen == ["a", "b/", "d/", "e", "f/"]


@EVERY_AUTH
@pytest.mark.parametrize("prefix", ["two words/", "a+b/", "50%/", "中文/", "a&b=c/"])
def test_every_prefix_can_be_asked_for(server: OssServer, auth: Any, prefix: str) -> None:
    client = bucket(server, auth())
    filled(server, ["a", f"{prefix}1", f"{prefix}2", "zz"])
    wanted = {"prefix": prefix, "max_keys": 1}
    assert [each.key for each in oss2.ObjectIteratorV2(client, **wanted)] == [f"{prefix}1", f"{prefix}2"]
    after = client.list_objects_v2(prefix=prefix, start_after=f"{prefix}1")
    assert [each.key for each in after.object_list] == [f"{prefix}2"]


@pytest.mark.parametrize("count", [0, 1001, -1])
def test_a_page_has_1_to_1000_keys(server: OssServer, client: Any, count: int) -> None:
    refused = refusal(client.list_objects_v2, max_keys=count)
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.details["ArgumentName"] == "max-keys"


def test_a_listing_says_what_the_objects_are(server: OssServer, client: Any) -> None:
    client.put_object("a", b"content", headers={"x-oss-storage-class": "IA"})
    (listed,) = client.list_objects_v2(fetch_owner=True).object_list
    stored = server.objects("bucket")["a"]
    assert (listed.size, listed.etag, listed.type, listed.storage_class) == (7, stored.etag, "Normal", "IA")
    assert listed.last_modified == stored.modified.timestamp() == client.head_object("a").last_modified
    assert listed.owner is not None
    assert client.list_objects_v2().object_list[0].owner is None


def test_a_listing_without_encoding_is_plain_xml(server: OssServer, client: Any) -> None:
    client.put_object("a&b <中>", b"")
    assert [each.key for each in client.list_objects_v2(encoding_type="").object_list] == ["a&b <中>"]


# --- checksums ---


def test_the_checksum_is_the_documented_one() -> None:
    crc64 = crc64_function()
    if crc64 is None:
        pytest.skip("neither liblzma nor crcmod's C extension is here")
    assert (
        crc64(memoryview(bytearray(b"123456789")), 0) == 0x995DC9BBDF1939FA
    )  # CRC-64/XZ, the catalogue's check value
    data = bytearray(os.urandom(3000))
    whole = crc64(memoryview(data), 0)
    for cut in (0, 1, 7, 1024, 2999, 3000):
        front, back = memoryview(data)[:cut], memoryview(data)[cut:]
        assert crc64(back, crc64(front, 0)) == whole
        assert crc64_joined(crc64(front, 0), crc64(back, 0), len(back)) == whole


def test_a_server_without_checksums_leaves_the_header_out() -> None:
    with OssServer(crc64=False) as server:
        client = bucket(server)
        assert client.put_object("a", b"content").crc is None
        assert client.get_object("a").server_crc is None


def test_a_spool_gives_every_writer_its_own_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, second = spool.reserve(3), spool.reserve(4)
    spool.write(second, memoryview(b"wxyz"))
    spool.write(first, memoryview(b"abc"))
    assert spool.read(first, 3) + spool.read(second, 4) == b"abcwxyz"
    assert list(tmp_path.iterdir()) == [] or os.name == "nt"
