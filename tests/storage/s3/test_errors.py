import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from cloud_storage import errors
from cloud_storage.profile import Credentials
from cloud_storage.storage.s3.errors import S3Errors


def answer(code, status, message="", **headers):
    details = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return ClientError(details, "GetObject")


@pytest.fixture
def translate():
    return S3Errors("bucket 'b' at https://s3.example.com", Credentials("AK", "SECRET", "", "the test"))


def test_code_and_status_are_those_of_the_answer(translate):
    assert (translate.code(answer("NoSuchKey", 404)), translate.status(answer("NoSuchKey", 404))) == (
        "NoSuchKey",
        404,
    )
    assert (translate.code(ValueError()), translate.status(ValueError())) == ("", 0)


@pytest.mark.parametrize(
    ("error", "raises", "said"),
    [
        (answer("NoSuchKey", 404, "gone"), errors.NotFound, r"NoSuchKey \(gone\)"),
        (answer("AccessDenied", 403), errors.Forbidden, "no further words"),
        (answer("InvalidAccessKeyId", 403), errors.AccessDenied, "InvalidAccessKeyId"),
        (EndpointConnectionError(endpoint_url="https://s3.example.com"), errors.Unreachable, "connect"),
    ],
    ids=["no such key", "a policy", "a wrong key", "no answer"],
)
def test_each_becomes_an_error_of_this_package(translate, error, raises, said):
    with pytest.raises(raises, match=said), translate.translated("read 'a.png'"):
        raise error


def test_a_bucket_elsewhere_names_its_region(translate):
    moved = answer("PermanentRedirect", 301, **{"x-amz-bucket-region": "eu-west-1"})
    with pytest.raises(errors.ConfigurationError, match="region eu-west-1"), translate.translated("read 'a'"):
        raise moved


def test_no_message_has_the_secret(translate):
    with pytest.raises(errors.StorageError) as raised, translate.translated("read 'a'"):
        raise answer("SignatureDoesNotMatch", 403, "you signed with SECRET")
    assert "SECRET" not in str(raised.value)
