"""The tables of errors: what a code or an exception comes to, and what the message then says."""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest
from cloud_storage import errors, providers
from cloud_storage.storage import error_codes, multipart

ROWS = {**error_codes.CODES, **error_codes.FAILURES}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_every_row_raises_an_error_and_says_in_a_sentence_what_to_do(name):
    row = ROWS[name]
    assert issubclass(row.raises, errors.StorageError)
    assert row.advice[0].isupper()
    assert row.advice.endswith(".")
    assert "  " not in row.advice


def test_the_most_exact_of_what_a_server_says_counts():
    assert error_codes.meaning("InvalidArgument", 400).raises is errors.StorageError
    assert error_codes.meaning("InvalidArgument", 400, cause="0002-00000212").clocks
    assert error_codes.meaning("NobodyKnows", 404).raises is errors.NotFound
    assert error_codes.meaning("SlowDown", 404).raises is errors.Throttled


def test_the_same_refusal_means_another_thing_when_an_object_is_read():
    assert "may not read it" in error_codes.meaning("AccessDenied", 403, reading=True).advice
    assert "may not read it" not in error_codes.meaning("AccessDenied", 403).advice
    assert "may not read it" not in error_codes.meaning("UserDisable", 403, reading=True).advice
    assert error_codes.meaning("412").raises is errors.AlreadyExists
    assert error_codes.meaning("412", expected=True).raises is errors.Changed


@pytest.mark.parametrize(
    ("error", "raises"),
    [
        (ConnectionResetError(), errors.Unreachable),
        (TimeoutError(), errors.Unreachable),
        (socket.gaierror(), errors.Unreachable),
        (ssl.SSLCertVerificationError(), errors.Unreachable),
        (http.client.IncompleteRead(b""), errors.Unreachable),
        (PermissionError(), errors.StorageError),
        (UnicodeEncodeError("latin-1", "ü", 0, 1, "no"), errors.ConfigurationError),
    ],
)
def test_the_nearest_ancestor_in_the_table_counts(error, raises):
    assert error_codes.failure(error).raises is raises


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ("KeyTooLongError", errors.Scope.OBJECT),
        ("EntityTooLarge", errors.Scope.OBJECT),
        ("FileImmutable", errors.Scope.OBJECT),
        ("AccessDenied", errors.Scope.SOME),
        ("401", errors.Scope.SOME),
        ("NobodyKnows", errors.Scope.SOME),
        ("InvalidAccessKeyId", errors.Scope.ALL),
        ("QuotaExceeded", errors.Scope.ALL),
        ("SlowDown", errors.Scope.ALL),
    ],
)
def test_an_error_tells_how_much_of_the_bucket_it_stands_in_the_way_of(code, scope):
    row = error_codes.meaning(code)
    assert row.error("said").scope is scope
    if issubclass(row.raises, errors.AccessDenied):
        assert error_codes.meaning(code, reading=True).error("said").scope is scope
        assert issubclass(row.raises, errors.Forbidden) == (scope is errors.Scope.SOME)


def test_a_size_that_fits_into_no_parts_is_the_objects_own_trouble():
    with pytest.raises(errors.TooLarge) as raised:
        multipart.part_bytes(1 << 60, providers.provider("AWS S3"))
    assert raised.value.scope is errors.Scope.OBJECT
    assert raised.value.with_advice("More.").scope is errors.Scope.OBJECT


def test_a_fault_of_the_program_is_in_no_table():
    assert error_codes.failure(KeyError()) is None
    assert error_codes.failure(AttributeError()) is None


def test_both_clocks_are_told_where_they_are_the_reason():
    row = error_codes.CODES["RequestTimeTooSkewed"]
    told = str(error_codes.refusal(row, "read 'a'", "here", "no", "Fri, 20 Nov 2026 10:00:00 GMT"))
    assert "the server's 2026-11-20 10:00:00 UTC. Set this machine's clock" in told
    assert "clock says" not in str(error_codes.refusal(row, "read 'a'", "here", "no", ""))
