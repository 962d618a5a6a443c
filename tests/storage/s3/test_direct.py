from __future__ import annotations

from types import SimpleNamespace

import pytest
from cloud_storage import profile, providers
from cloud_storage.storage import headers
from cloud_storage.storage.s3 import client, direct

BASE = "https://b.s3.eu-west-1.amazonaws.com/"
SHA256 = "ab" * 32


class Answered:
    """What is sent instead of a network: keeps requests, and answers each with the same."""

    def __init__(self, status=200, body=b"", **answer):
        self.requests, self.status, self.body, self.answer = [], status, body, answer

    def __call__(self, request):
        request.headers = {name: value.decode() for name, value in request.headers.items()}
        self.requests.append(request)
        raw = SimpleNamespace(stream=lambda: [self.body], close=lambda: None)
        return SimpleNamespace(
            status_code=self.status, headers=self.answer, raw=raw, content=self.body, request=request
        )


@pytest.fixture
def boto(tmp_path):
    environ = {
        "PROVIDER": "AWS S3",
        "BUCKET": "b",
        "REGION": "eu-west-1",
        "ACCESS_KEY": "AK",
        "SECRET_KEY": "S",
    }
    environ = {f"COMFY_S3_{name}": value for name, value in environ.items()}
    found = profile.resolve("", {}, tmp_path / "profiles.json", environ)
    return client.build(found, providers.provider("AWS S3"), profile.credentials(found, environ))[0]


def sent_by_botocore(authorization, key="a b/ü.png", base=BASE):
    """A request as botocore shows it before it sends it."""
    named = {"User-Agent": b"Boto3/1", **({"Authorization": authorization} if authorization else {})}
    return SimpleNamespace(url=base + headers.quoted(key) + "?x-id=GetObject", headers=named)


def fast(
    boto, send, authorization="AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3/aws4_request, Sig=x"
):
    made = direct.Direct(boto, send)
    direct._last.set(sent_by_botocore(authorization))
    made.learn("a b/ü.png")
    return made


def test_nothing_is_sent_before_botocore_has_shown_where_the_bucket_is(boto):
    assert not direct.Direct(boto, Answered()).is_ready
    assert fast(boto, Answered()).is_ready


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3express/aws4_request, Sig=x",
        "AWS4-ECDSA-P256-SHA256 Credential=AK/20260101/s3/aws4_request, Sig=x",
        "AWS AK:signature",
    ],
)
def test_another_kind_of_signature_is_left_to_botocore(boto, authorization):
    assert not fast(boto, Answered(), authorization).is_ready


def test_an_address_that_does_not_end_in_the_key_is_left_to_botocore(boto):
    made = direct.Direct(boto, Answered())
    direct._last.set(sent_by_botocore("", "another.png"))
    made.learn("a.png")
    assert not made.is_ready


def test_a_get_goes_to_the_same_address_signed_with_its_conditions(boto):
    send = Answered(206, ETag="x", **{"Content-Length": "3"})
    reply = fast(boto, send).get("c/ 1.png", {"Range": "bytes=0-2", "If-Match": '"x"'})
    (request,) = send.requests
    assert (request.method, request.url) == ("GET", f"{BASE}c/%201.png")
    assert request.headers["Range"] == "bytes=0-2"
    signed = request.headers["Authorization"]
    assert "/eu-west-1/s3/aws4_request" in signed
    assert "SignedHeaders=host;if-match;range;x-amz-content-sha256;x-amz-date" in signed
    assert request.headers["X-Amz-Content-SHA256"] == direct.EMPTY_SHA256
    assert request.headers["User-Agent"] == "Boto3/1"
    assert (reply.status, reply.headers["etag"]) == (206, "x")


@pytest.mark.parametrize("payload", [SHA256, direct.UNSIGNED])
def test_a_put_signs_the_digest_that_it_is_given(boto, payload):
    send = Answered(ETag="x")
    answer = fast(boto, send).put("c.png", {"If-None-Match": "*", "Content-Length": "3"}, payload, b"abc")
    (request,) = send.requests
    assert (request.method, request.body, answer["etag"]) == ("PUT", b"abc", "x")
    assert request.headers["X-Amz-Content-SHA256"] == payload
    assert "if-none-match" in request.headers["Authorization"]


def test_an_anonymous_profile_signs_nothing(boto):
    send = Answered(ETag="x")
    fast(boto, send, "").get("c.png", {})
    assert "Authorization" not in send.requests[0].headers


def test_a_refusal_is_the_error_that_botocore_makes_of_it(boto):
    from botocore.exceptions import ClientError

    body = b"<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"
    made = fast(boto, Answered(404, body, date="now"))
    with pytest.raises(ClientError) as raised:
        made.get("c.png", {})
    assert raised.value.response["Error"] == {"Code": "NoSuchKey", "Message": "gone"}
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert made.is_ready


@pytest.mark.parametrize("status", [301, 307, 400])
def test_after_an_answer_of_another_region_botocore_finds_the_bucket_again(boto, status):
    from botocore.exceptions import ClientError

    made = fast(boto, Answered(status, b"<Error><Code>PermanentRedirect</Code></Error>"))
    with pytest.raises(ClientError):
        made.get("c.png", {})
    assert not made.is_ready


def test_an_error_of_ours_comes_out_of_what_botocore_puts_around_it(boto):
    from botocore.exceptions import HTTPClientError
    from cloud_storage.storage.connection_watch import TooSlow

    def send(_request):
        raise HTTPClientError(error=TooSlow("slow"))

    with pytest.raises(TooSlow):
        fast(boto, send).get("c.png", {})


def test_the_signing_key_is_kept_for_its_day_and_signs_as_botocore_does(boto):
    from botocore.auth import S3SigV4Auth
    from botocore.credentials import ReadOnlyCredentials

    credentials = ReadOnlyCredentials("AK", "secret", None)
    ours, theirs = (made(credentials, "s3", "r") for made in (direct._signer_class(), S3SigV4Auth))
    for day in ("20260101", "20260101", "20260102", "20260101"):
        request = SimpleNamespace(context={"timestamp": f"{day}T000000Z"})
        assert ours.signature("text", request) == theirs.signature("text", request)


def test_credentials_that_change_are_signed_with_at_once(boto, monkeypatch):
    from botocore.credentials import Credentials

    send = Answered(ETag="x")
    made = fast(boto, send)
    made.get("c.png", {})
    monkeypatch.setattr(boto._request_signer, "_credentials", Credentials("NEW", "other", "token"))
    made.get("c.png", {})
    first, second = (request.headers for request in send.requests)
    assert "Credential=AK/" in first["Authorization"]
    assert "Credential=NEW/" in second["Authorization"]
    assert second["X-Amz-Security-Token"] == "token"
