"""Requests around botocore's own work, on real connections to a server that answers what a test says."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest
from cloud_storage.storage import headers
from cloud_storage.storage.multipart import Slice
from cloud_storage.storage.s3 import direct
from cloud_storage.system.meter import Meter
from servers.scripted_server import answered

SHA256 = "ab" * 32
KEY = "a b/ü.png"
NO_KEY = b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"


def get(made, key="c.png", conditions=None):
    connection = made.connection()
    assert connection is not None, "no connection waits"
    return made.get(connection, key, conditions or {})


def put(made, body=b"abc", sent=None, payload=SHA256, part=None):
    with contextlib.closing(Slice(body, 0, len(body), Meter())) as opened:
        return made.put(made.connection(), "c.png", sent or {}, payload, opened, part)


def sent_by_botocore(authorization, key=KEY, base="https://b.s3.eu-west-1.amazonaws.com/"):
    """A request as botocore shows it before it sends it."""
    named = {"User-Agent": b"Boto3/1", **({"Authorization": authorization} if authorization else {})}
    return base + headers.quoted(key) + "?x-id=GetObject", named


@pytest.mark.parametrize(
    ("authorization", "learned"),
    [
        ("AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Sig=x", "eu-west-1"),
        ("", ""),
        ("AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3express/aws4_request, Sig=x", None),
        ("AWS4-ECDSA-P256-SHA256 Credential=AK/20260101/s3/aws4_request, Sig=x", None),
        ("AWS AK:signature", None),
    ],
)
def test_another_kind_of_signature_is_left_to_botocore(serve, authorization, learned):
    made = serve()[1]
    made.address = None
    direct._last.set(sent_by_botocore(authorization))
    made.learn(KEY)
    assert (made.address and made.address.region) == learned


def test_an_address_that_does_not_end_in_the_key_is_left_to_botocore(serve):
    made = serve()[1]
    made.address = None
    direct._last.set(sent_by_botocore("", "another.png"))
    made.learn("a.png")
    assert made.address is None


@pytest.mark.parametrize(
    ("base", "host", "path"),
    [
        ("https://b.s3.amazonaws.com/", "b.s3.amazonaws.com", "/"),
        ("https://s3.example:443/b/", "s3.example", "/b/"),
        ("http://s3.example:80/b/", "s3.example", "/b/"),
        ("http://s3.example:443/x/b/", "s3.example:443", "/x/b/"),
    ],
)
def test_the_host_has_no_port_that_is_the_schemes_own(base, host, path):
    address = direct.Address(base, "r", "")
    assert (address.host, address.path) == (host, path)


def test_a_get_goes_over_the_open_connection_to_the_same_address(serve):
    server, made = serve(answered("206 Partial Content", b"abc"))
    reply = get(made, "c/ 1.png", {"Range": "bytes=0-2", "If-Match": '"x"'})
    assert (reply.status, reply.headers["etag"], reply.read(10), reply.read(10)) == (206, '"x"', b"abc", b"")
    line, sent, _ = server.requests[1]
    assert line == "GET /b/c/%201.png HTTP/1.1"
    assert sent["range"] == "bytes=0-2"
    assert sent["host"] == f"127.0.0.1:{server.port}"
    assert sent["user-agent"] == server.requests[0][1]["user-agent"]
    assert sent["x-amz-content-sha256"] == direct.EMPTY_SHA256
    signed = "SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date,"
    assert signed in sent["authorization"]
    assert server.connections == 1


@pytest.mark.parametrize("token", [None, "a token"])
@pytest.mark.parametrize("payload", [SHA256, direct.UNSIGNED])
@pytest.mark.parametrize("part", [None, direct.Part("an id/=+~ü", 12)])
def test_it_signs_as_botocore_does(serve, monkeypatch, payload, token, part):
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    credentials = Credentials("NEW", "another", token)
    server, made = serve(answered())
    monkeypatch.setattr(made._client._request_signer, "_credentials", credentials)
    put(made, sent={"x-amz-meta-a": "two  spaces", "If-None-Match": "*"}, payload=payload, part=part)
    line, sent, body = server.requests[1]
    assert body == b"abc"
    unsigned = {name: value for name, value in sent.items() if name not in ("authorization", "user-agent")}
    theirs = AWSRequest("PUT", f"http://{sent['host']}{line.split()[1]}", unsigned)
    theirs.context["timestamp"] = sent["x-amz-date"]
    auth = S3SigV4Auth(credentials.get_frozen_credentials(), "s3", "eu-west-1")
    monkeypatch.setattr(auth, "payload", lambda request: payload)
    signature = auth.signature(auth.string_to_sign(theirs, auth.canonical_request(theirs)), theirs)
    assert sent["authorization"].endswith(f"Signature={signature}")


def test_the_signing_key_is_kept_for_its_day_and_its_credentials(serve):
    made = serve()[1]
    one, other = (SimpleNamespace(secret_key=secret) for secret in ("1", "2"))
    first = made._signing_key(one, "20260101/r/s3/aws4_request")
    assert made._signing_key(one, "20260101/r/s3/aws4_request") is first
    assert made._signing_key(one, "20260102/r/s3/aws4_request") != first
    assert made._signing_key(other, "20260101/r/s3/aws4_request") != first
    assert made._signing_key(one, "20260101/r/s3/aws4_request") == first


def test_an_anonymous_profile_signs_nothing(serve):
    server, made = serve(answered(), anonymous=True)
    get(made)
    assert not {"authorization", "x-amz-date"} & server.requests[1][1].keys()


CHUNKED = answered(
    "404 Not Found", Content_Length="", Transfer_Encoding="chunked"
) + b"%x\r\n%s\r\n0\r\n\r\n" % (
    len(NO_KEY),
    NO_KEY,
)


@pytest.mark.parametrize(("part", "operation"), [(None, "PutObject"), (direct.Part("gone", 1), "UploadPart")])
@pytest.mark.parametrize("status", ["404 Not Found", "200 OK"])
def test_a_refusal_names_what_was_refused(serve, status, part, operation):
    from botocore.exceptions import ClientError

    made = serve(answered(status, NO_KEY))[1]
    with pytest.raises(ClientError) as raised:
        put(made, part=part)
    assert raised.value.operation_name == operation


@pytest.mark.parametrize("answer", [answered("404 Not Found", NO_KEY), CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize("send", [get, put])
def test_a_refusal_is_the_error_that_botocore_makes_of_it_and_the_connection_stays(serve, send, answer):
    from botocore.exceptions import ClientError

    server, made = serve(answer, answered(body=b"abc"))
    with pytest.raises(ClientError) as raised:
        send(made)
    assert raised.value.response["Error"] == {"Code": "NoSuchKey", "Message": "gone"}
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert get(made).read(3) == b"abc"
    assert server.connections == 1


def head(made, key="c.png"):
    connection = made.connection()
    assert connection is not None, "no connection waits"
    return made.head(connection, key)


def test_a_head_goes_over_the_open_connection_and_leaves_it_there(serve):
    server, made = serve(answered(Content_Length="12"), answered(body=b"abc"))
    answer = head(made)
    assert (answer["content-length"], answer["etag"]) == ("12", '"x"')
    assert server.requests[-1][0].startswith("HEAD /")
    assert get(made).read(3) == b"abc"
    assert server.connections == 1


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refused_head_is_the_error_that_botocore_makes_of_it_and_the_connection_stays(serve, status):
    from botocore.exceptions import ClientError

    server, made = serve(answered(f"{status} No", Content_Length="243"), answered(body=b"abc"))
    with pytest.raises(ClientError) as raised:
        head(made)
    assert raised.value.response["Error"]["Code"] == str(status)
    assert raised.value.operation_name == "HeadObject"
    assert get(made).read(3) == b"abc"
    assert server.connections == 1


@pytest.mark.parametrize("status", [301, 307, 400])
def test_after_an_answer_of_another_region_botocore_finds_the_bucket_again(serve, status):
    from botocore.exceptions import ClientError

    made = serve(answered(f"{status} Moved", b"<Error><Code>PermanentRedirect</Code></Error>"))[1]
    with pytest.raises(ClientError):
        get(made)
    assert made.address is None
    assert made.connection() is None


def test_an_error_document_after_a_put_that_seemed_to_succeed_is_a_failure(serve):
    from botocore.exceptions import ClientError

    made = serve(answered(body=b"<Error><Code>InternalError</Code></Error>"), answered(body=b" "))[1]
    with pytest.raises(ClientError, match="InternalError"):
        put(made)
    assert put(made)["etag"] == '"x"'


def test_a_header_with_a_line_break_is_not_sent(serve):
    server, made = serve()
    with pytest.raises(ValueError, match="line break"):
        put(made, sent={"Content-Type": "a\r\nx-amz-acl: public-read"})
    assert len(server.requests) == 1
