import base64
from types import SimpleNamespace

import pytest
import urllib3
from cloud_storage.storage.oss.errors import Refused, innermost_text

DOCUMENT = b"<Error><Code>NoSuchKey</Code><Message>gone</Message><EC>0026-00000001</EC></Error>"


def refused(status, body=b"", **headers):
    return Refused(SimpleNamespace(headers=headers, status_code=status, close=lambda: None), body)


def test_a_refusal_is_read_from_its_document():
    found = refused(404, DOCUMENT)
    assert (found.is_from_oss, found.code, found.status) == (True, "NoSuchKey", 404)
    assert found.details["EC"] == "0026-00000001"


def test_the_answer_to_a_head_has_its_document_in_a_header():
    found = refused(404, **{"x-oss-err": base64.b64encode(DOCUMENT).decode()})
    assert (found.is_from_oss, found.code) == (True, "NoSuchKey")


@pytest.mark.parametrize("body", [b"", b"<html>log in</html>", b"<Error", b"{}"])
def test_what_is_no_document_of_oss_is_known_by_its_status(body):
    found = refused(502, body)
    assert (found.is_from_oss, found.code, found.status) == (False, "502", 502)


def test_a_yes_with_an_error_inside_is_an_error_of_the_server():
    found = refused(200, DOCUMENT)
    assert (found.is_from_oss, found.code, found.status) == (True, "NoSuchKey", 500)


def test_a_refusal_repeats_no_word_of_the_server():
    assert str(refused(403, b"<Error><Code>X</Code><Message>a secret</Message></Error>")) == "HTTP status 403"


def test_only_the_innermost_words_of_a_network_error_are_said():
    inner = urllib3.exceptions.NewConnectionError(None, "Connection refused")
    outer = urllib3.exceptions.MaxRetryError(None, "/", inner)
    assert innermost_text(RuntimeError(outer)).endswith("Connection refused")
    assert innermost_text(ValueError()) == "ValueError"
