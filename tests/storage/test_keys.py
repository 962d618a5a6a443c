from __future__ import annotations

import pytest
from cloud_storage.errors import BadKey
from cloud_storage.storage import keys


@pytest.mark.parametrize(
    ("key", "cleaned"),
    [
        ("/a//b.png ", "a/b.png"),
        (" //a///b.png \n", "a/b.png"),
        (" \n/a", "a"),
        ("e\u0301.png", "\u00e9.png"),
    ],
)
def test_a_key_to_write_is_put_in_order(key, cleaned):
    assert keys.clean_key(key) == cleaned


@pytest.mark.parametrize(
    "key",
    [
        *("a", "a.b/.c/..d/e..", "a b", "a/b .png", "a /b", "图/🙂", "100%+?#&'\"<>|*:", "...", "a/.../b"),
        *("x" * 1024, "é" * 512),
    ],
)
def test_a_good_key_is_kept_as_it_is(key):
    assert keys.clean_key(key) == keys.existing_key(key) == key


BAD = {
    "a\\b": "a backslash",
    "../a": "as a folder",
    "a/./b": "as a folder",
    "a/../b": "as a folder",
    "a/..": "as a folder",
    "a\tb": "a control character",
    "a\nb": "a control character",
    "a\x00": "a control character",
    "a\x7fb": "a control character",
    "a\x85b": "a control character",
    "a\ud83d": "half a character",
    "a\ufffe": "XML cannot carry",
    "\uffff": "XML cannot carry",
    "": "is empty",
    "/": "is empty",
    "a/": "it names a folder",
    "x" * 1025: "1025 bytes in UTF-8, and 1024 are allowed",
    "图" * 342: "1026 bytes",
}


@pytest.mark.parametrize("key", BAD, ids=ascii)
def test_a_key_that_cannot_be_written_is_refused_with_the_reason(key):
    with pytest.raises(BadKey, match=BAD[key]) as refused:
        keys.clean_key(key)
    assert len(str(refused.value)) < 500
    str(refused.value).encode()  # a lone surrogate must not break the message


STRANGE = [
    *("a//b.png", "a/b ", " a", " a ", "e\u0301.png", "/a/b.png", "//a", "a/b.png\n", "\ta", "a\tb", "a\\b"),
    *("C:\\x\\a.png", "x/./a.png", "../a", "a/..", ".", "a/", "/", "a\x01b", "a\x7fb", "\x00", "\ufffe.png"),
    "%2e",
]


@pytest.mark.parametrize("check", [keys.existing_key, keys.existing_prefix])
@pytest.mark.parametrize("key", STRANGE, ids=ascii)
def test_the_key_of_an_object_that_exists_is_kept_as_it_is(check, key):
    assert check(key) == key


@pytest.mark.parametrize(("key", "words"), [("\ud800.png", "half a character"), ("x" * 1025, "1025 bytes")])
def test_what_can_be_no_objects_key_is_refused_with_the_reason(key, words):
    for check in (keys.existing_key, keys.existing_prefix):
        with pytest.raises(BadKey, match=words) as refused:
            check(key)
        str(refused.value).encode()
    with pytest.raises(BadKey, match="is empty"):
        keys.existing_key("")


def test_the_length_counts_the_bytes_that_the_provider_leaves():
    assert keys.clean_key("图" * 3, max_bytes=9)
    with pytest.raises(BadKey, match="9 bytes in UTF-8, and 8"):
        keys.clean_key("图" * 3, max_bytes=8)


def test_a_key_that_is_too_long_to_exist_gets_no_advice_for_saving():
    with pytest.raises(BadKey, match="Shorten key_prefix or filename"):
        keys.clean_key("a" * 1025)
    for check in (keys.existing_key, keys.existing_prefix):
        with pytest.raises(BadKey, match=r"1025 bytes.*no object has one this long") as refused:
            check("a" * 1025)
        assert "key_prefix" not in str(refused.value)
    with pytest.raises(BadKey, match=r"Shorten path_prefix\."):
        keys.clean_prefix("a" * 1025)


def test_a_prefix_may_be_empty_and_end_anywhere():
    assert keys.existing_prefix("") == ""
    for prefix in ("", "a", "a/", "a/.", "a/..", "renders/2024-", "a//", "x" * 1024):
        assert keys.clean_prefix(prefix) == prefix
    assert keys.clean_prefix("/a/\n") == "a/"
    for prefix in ("a/../", "./a", "a/../b", "a\\", "a\x00", "x" * 1025):
        with pytest.raises(BadKey):
            keys.clean_prefix(prefix)


def test_a_long_key_is_shortened_in_messages():
    assert len(keys.shown_key("a" * 5000)) < 300


ADVICE = [
    ("x.png", ""),
    ("team", ""),
    ("my-bucket", ""),
    ("s3://my-bucket/team/x.png", "without the address. Try the key 'x.png'."),
    ("S3://other/a/x.png", "without the address. Try the key 'a/x.png'."),
    ("https://my-bucket.example.com/team/a%20b.png?X-Amz-Signature=0", "address. Try the key 'a b.png'."),
    ("http://127.0.0.1:9000/my-bucket/team/x.png", "without the address. Try the key 'x.png'."),
    ("oss://my-bucket", "Give the key alone, without the address."),
    ("team/x.png", "path_prefix, which is added to it. Try the key 'x.png'."),
    ("my-bucket/x.png", "starts with the bucket's name. Try the key 'x.png'."),
    ("my-bucket/team/x.png", "starts with the bucket's name. Try the key 'x.png'."),
]


@pytest.mark.parametrize(("key", "advice"), ADVICE)
def test_a_key_that_was_not_found_and_repeats_the_profile_gets_the_key_to_try(key, advice):
    found = keys.not_found_advice(key, "my-bucket", "team/")
    assert found.endswith(advice)
    assert bool(found) == bool(advice)
    assert "Signature" not in found


def test_without_a_path_prefix_only_the_bucket_is_repeated():
    assert keys.not_found_advice("team/x.png", "my-bucket", "") == ""
