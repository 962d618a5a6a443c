"""What the headers of an answer say of an object, and which of them are sent with one."""

from __future__ import annotations

import pytest
from cloud_storage import errors, providers
from cloud_storage.storage import error_codes, headers
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.oss.storage import OssStorage
from cloud_storage.storage.s3.storage import S3Storage

DIALECTS = [S3Storage.dialect, OssStorage.dialect]


@pytest.mark.parametrize(
    ("status", "length", "span", "asked", "size"),
    [
        (206, 3, "bytes 2-4/10", (2, 5), 10),
        (206, 8, "bytes 2-9/10", (2, None), 10),
        (206, 8, "bytes 2-9/10", (2, 50), 10),
        (206, 3, "bytes 2-4/*", (2, 5), 5),
        (200, 10, "", (0, 10), 10),
        (200, 4, "", (0, 10), 4),
        (200, 10, "", (0, 9), None),
        (200, 10, "", (2, None), None),
        (206, 3, "bytes 0-2/10", (2, 5), None),
        (206, 2, "bytes 2-3/10", (2, 5), None),
        (206, 3, "bytes 2-3/10", (2, 4), None),
        (206, 3, "bytes 2-4/10", (2, None), None),
        (200, 3, "bytes 2-4/10", (2, 5), None),
        (206, 4, "bytes 2-5/*", (2, 5), None),
        (206, 3, "nonsense", (2, 5), None),
    ],
)
def test_only_the_range_that_was_asked_for_tells_the_size(status, length, span, asked, size):
    answer = {"content-length": str(length), "content-range": span}
    assert headers.whole_size(status, answer, *asked) == size


@pytest.mark.parametrize("dialect", DIALECTS, ids=["S3", "OSS"])
def test_every_option_has_a_name_and_empty_ones_are_left_out(dialect):
    row = providers.provider("AWS S3")
    named = set(dialect.fields) | {"metadata"}
    assert named == set(vars(PutOptions())), "PutOptions and Dialect.fields of both backends have the same"
    sent = headers.fields(PutOptions(tags={"a b": "c&d"}, storage_class="IA"), dialect, row)
    assert sent == {
        dialect.fields["content_type"]: "application/octet-stream",
        dialect.fields["storage_class"]: "IA",
        dialect.fields["tags"]: "a%20b=c%26d",
    }


@pytest.mark.parametrize("dialect", DIALECTS, ids=["S3", "OSS"])
def test_metadata_may_hold_any_text(dialect):
    encoded = headers.metadata(PutOptions(metadata={"note": " Grüße, 世界\n100% "}), dialect)
    assert encoded == {"note": "Gr%C3%BC%C3%9Fe, %E4%B8%96%E7%95%8C%0A100%25"}


def test_what_a_provider_does_not_have_is_refused():
    row = providers.provider("Cloudflare R2")
    for options in (PutOptions(tags={"a": "b"}), PutOptions(acl="public-read")):
        with pytest.raises(errors.ConfigurationError, match=r"R2 has no object .* Remove upload\."):
            headers.fields(options, S3Storage.dialect, row)


@pytest.mark.parametrize(
    ("code", "words", "options", "advice"),
    [
        ("InvalidArgument", "x-amz-acl", {"acl": "public-read"}, "remove upload.acl in"),
        ("AccessControlListNotSupported", "no ACLs", {"acl": "private"}, ""),  # its row names the setting
        ("AccessDenied", "not authorized to perform: s3:PutObjectAcl", {"acl": "private"}, "upload.acl in"),
        (
            "AccessDenied",
            "Access Denied",
            {"acl": "private", "tags": {"a": "b"}},
            "sets upload.acl, upload.tags:",
        ),
        ("AccessDenied", "Access Denied", {}, ""),
        ("InvalidArgument", "ETag", {"tags": {"a": "b"}}, "also sets upload.tags:"),
        ("KMS.NotFoundException", "Invalid keyId", {"kms_key_id": "k"}, "remove upload.kms_key_id in"),
        (
            "NotImplemented",
            "A header you provided implies functionality: x-amz-server-side-encryption",
            {"server_side_encryption": "AES256", "storage_class": "IA"},
            "remove upload.server_side_encryption in",
        ),
        ("InvalidStorageClass", "no", {"storage_class": "IA"}, ""),
        ("SignatureDoesNotMatch", "no", {"acl": "private"}, ""),
        ("SlowDown", "no", {"acl": "private"}, ""),
    ],
)
def test_the_settings_that_a_server_may_have_refused_are_named(code, words, options, advice):
    row = error_codes.meaning(code)
    found = headers.settings_advice(PutOptions(**options), row, f"{code} ({words})")
    assert advice in found
    assert bool(found) == bool(advice)


@pytest.mark.parametrize("text", ["", "-1", "many", "1.5"])
def test_a_length_that_is_none_is_unknown(text):
    assert headers.length({"content-length": text}) is None
