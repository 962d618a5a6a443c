from __future__ import annotations

import pytest
from cloud_storage.errors import BadKey
from cloud_storage.storage import keys


@pytest.mark.parametrize(
    ("key", "cleaned"),
    [("a.png", "a.png"), ("/a//b.png ", "a/b.png"), (" \n/a", "a"), ("e\u0301.png", "\u00e9.png")],
)
def test_a_key_to_write_is_put_in_order(key, cleaned):
    assert keys.clean_key(key) == cleaned


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "it is empty"),
        ("a/", "it names a folder"),
        ("a\\b", "a backslash"),
        ("a/../b", "as a folder"),
        ("a\tb", "a control character"),
        ("\ud800", "half a character"),
        ("\uffff", "XML cannot carry"),
        ("a" * 1025, "1025 bytes in UTF-8, and 1024 are allowed"),
    ],
)
def test_a_key_that_cannot_be_written_is_refused_with_the_reason(key, said):
    with pytest.raises(BadKey, match=said):
        keys.clean_key(key)


@pytest.mark.parametrize("key", ["/a.png", "C:\\x\\a.png", "x/./a.png", "a\tb", " a ", "a//b", "../a"])
def test_the_key_of_an_object_that_exists_is_kept_as_it_is(key):
    assert keys.existing_key(key) == key
    assert keys.existing_prefix(key) == key


@pytest.mark.parametrize("key", ["", "\ud800", "a" * 1025])
def test_what_can_be_no_objects_key_is_refused(key):
    with pytest.raises(BadKey):
        keys.existing_key(key)


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
    assert keys.existing_prefix("") == keys.clean_prefix("") == ""
    assert keys.clean_prefix("/renders/2024-") == "renders/2024-"
    with pytest.raises(BadKey):
        keys.clean_prefix("a/../b")


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
