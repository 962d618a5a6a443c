"""One translation for both SDKs: each test gives the same failure in the words of botocore and of oss2."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cloud_storage import errors
from cloud_storage.profile import Credentials
from cloud_storage.storage.oss.errors import OssErrors, Refused
from cloud_storage.storage.retries import Verdict
from cloud_storage.storage.s3.errors import S3Errors

KEY = Credentials("AK", "secret-key", "session-token", "the test")


def s3_refusal(status, code, message="", **details):
    answer = {"Error": {"Code": code, "Message": message, **details}}
    return ClientError(
        {**answer, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}}}, "GetObject"
    )


def oss_refusal(status, code, message="", **details):
    fields = {"Code": code, "Message": message, **details}
    body = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    answer = SimpleNamespace(status_code=status, headers={}, close=lambda: None)
    return Refused(answer, f"<Error>{body}</Error>".encode())


BOTH = pytest.mark.parametrize(
    ("translator", "refusal"),
    [(S3Errors("here", KEY), s3_refusal), (OssErrors("here", KEY), oss_refusal)],
    ids=["s3", "oss"],
)


@BOTH
def test_a_refusal_has_its_code_its_status_and_a_verdict(translator, refusal):
    busy = refusal(503, "SlowDown")
    assert (translator.code(busy), translator.status(busy)) == ("SlowDown", 503)
    assert translator.verdict(busy) is Verdict.THROTTLED
    assert (translator.code(OSError()), translator.status(OSError())) == ("", 0)


@BOTH
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", errors.NotFound),
        (403, "AccessDenied", errors.Forbidden),
        (403, "SignatureDoesNotMatch", errors.AccessDenied),
        (500, "InternalError", errors.Unreachable),
    ],
)
def test_a_refusal_is_the_error_of_the_table(translator, refusal, status, code, kind):
    error = translator.translate(refusal(status, code, "No."), "read 'a'")
    assert type(error) is kind
    assert str(error).startswith(f"Could not read 'a' (here): the server answered {code} (No")


@BOTH
def test_no_secret_that_a_server_repeats_is_told(translator, refusal):
    error = translator.translate(refusal(403, "AccessDenied", "secret-key session-token"), "read 'a'")
    assert "AccessDenied (*** ***)" in str(error)


@BOTH
def test_an_exception_without_an_answer_is_the_one_of_the_table(translator, refusal):
    silent = EndpointConnectionError(endpoint_url="http://here", error=ConnectionError())
    assert type(translator.translate(silent, "read 'a'")) is errors.Unreachable


@BOTH
def test_our_own_error_and_a_fault_of_the_program_stay_as_they_are(translator, refusal):
    for error in (errors.Changed("It changed."), KeyError("x")):
        assert translator.translate(error, "read 'a'") is error
        with pytest.raises(type(error)), translator.translated("read 'a'"):
            raise error


@BOTH
def test_what_is_raised_has_the_sdks_exception_as_its_cause(translator, refusal):
    said = refusal(404, "NoSuchKey")
    with pytest.raises(errors.NotFound) as raised, translator.translated("read 'a'"):
        raise said
    assert raised.value.__cause__ is said


def test_a_bucket_that_is_elsewhere_is_told_where():
    redirect = s3_refusal(301, "PermanentRedirect", Region="eu-west-1")
    assert "is in region eu-west-1" in str(S3Errors("here", KEY).translate(redirect, "read 'a'"))
    elsewhere = oss_refusal(403, "AccessDenied", Endpoint="oss-cn-beijing.aliyuncs.com")
    error = OssErrors("here", KEY).translate(elsewhere, "read 'a'")
    assert type(error) is errors.ConfigurationError
    assert "is at oss-cn-beijing.aliyuncs.com" in str(error)
