from __future__ import annotations

import pytest
from cloud_storage.storage import answers, connection_watch


class Raw:
    """A body as urllib3 gives it, in pieces."""

    def __init__(self, body):
        self.body, self.closed = body, False

    def stream(self, size, decode_content):
        assert decode_content is False
        return iter([self.body[start : start + size] for start in range(0, len(self.body), size)])

    def close(self):
        self.closed = True


def test_a_document_is_read_whole_up_to_its_limit(monkeypatch):
    monkeypatch.setattr(answers, "DOCUMENT_MAX_BYTES", 200_000)
    assert answers.document(Raw(b"x" * 200_000)) == b"x" * 200_000
    longer = Raw(b"x" * 200_001)
    with pytest.raises(connection_watch.TooLong):
        answers.document(longer)
    assert longer.closed, "nothing more of it is read"


def test_of_an_error_that_is_too_long_the_beginning_is_kept():
    assert answers.error_document(Raw(b"x" * 1_000_000)) == b"x" * answers.ERROR_MAX_BYTES


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", ""),
        (b"<?xml version='1.0'?><ListBucketResult/>", ""),
        (b"<!DOCTYPE html><html></html>", "a page of HTML"),
        (b"<other/>", "something else"),
        (b"{}", "something else"),
    ],
)
def test_an_answer_is_a_document_of_an_object_store(body, said):
    if said:
        with pytest.raises(answers.InvalidAnswer, match=said):
            answers.check(body)
    else:
        answers.check(body)


def test_an_error_is_found_whatever_the_status_says():
    assert answers.is_error(b"\xef\xbb\xbf<?xml version='1.0'?>\n<Error><Code>X</Code></Error>")
    assert not answers.is_error(b"<ErrorList/>")
    assert not answers.is_error(b"")


def test_a_field_that_makes_no_sense_is_no_answer():
    with pytest.raises(answers.InvalidAnswer, match="'Size'"), answers.parsing():
        {}["Size"]
    with pytest.raises(answers.InvalidAnswer, match="a field has a wrong value"), answers.parsing():
        int("12x")
    with pytest.raises(TypeError), answers.parsing():
        raise TypeError("a fault of this program")
