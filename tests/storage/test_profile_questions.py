"""What is asked about a bucket, and how each answer is checked."""

from __future__ import annotations

import pytest
from cloud_storage import providers
from cloud_storage.errors import ConfigurationError
from cloud_storage.profile import resolve
from cloud_storage.storage import profile_questions

ANSWERS = {
    **{"bucket": "my-bucket", "path_prefix": "studio", "access_key": "key", "secret_key": "secret of it"},
    **{"account_id": "abc", "endpoint_url": "s3.example.com"},
}


@pytest.mark.parametrize("name", providers.names())
def test_the_answers_to_the_questions_are_all_that_a_profile_needs(name, tmp_path):
    row = providers.provider(name)
    questions = [*profile_questions.of_place(row), *profile_questions.of_keys(row)]
    given = {
        each.setting: profile_questions.checked(each.setting, each.default or ANSWERS[each.setting])
        for each in questions
        if not each.optional
    }
    entry = profile_questions.profile_of(row, given)
    environ = {f"COMFY_S3_{setting.upper()}": value for setting, value in entry.items()}
    profile = resolve("", {}, tmp_path / "none", environ)
    assert (profile.provider, profile.bucket, profile.region) == (name, "my-bucket", row.region)
    assert [each.setting for each in questions if each.secret] == ["secret_key"]


def test_what_is_the_providers_own_default_is_not_written():
    row = providers.provider("AWS S3")
    assert profile_questions.profile_of(row, {"region": row.region, "path_prefix": ""}) == {
        "provider": row.name
    }
    assert profile_questions.profile_of(row, {"region": "eu-central-1"})["region"] == "eu-central-1"


@pytest.mark.parametrize(
    ("setting", "answer", "expected"),
    [
        ("endpoint_url", "s3.example.com/", "https://s3.example.com"),
        ("endpoint_url", "http://LOCALHOST:9000", "http://localhost:9000"),
        ("path_prefix", "a/b", "a/b/"),
        ("path_prefix", "/a//", "a/"),
        ("path_prefix", "/", ""),
        ("secret_key", "any thing", "any thing"),
    ],
)
def test_an_answer_is_cleaned(setting, answer, expected):
    assert profile_questions.checked(setting, answer) == expected


@pytest.mark.parametrize(
    ("setting", "answer"),
    [
        *(("bucket", "s3://b"), ("bucket", "a/b"), ("region", "evil.example"), ("account_id", "a/b")),
        *(("endpoint_url", "ftp://x"), ("endpoint_url", "https://user:password@x"), ("path_prefix", "../a")),
        *(("access_key", "a b"), ("access_key", "ü"), ("secret_key", "a\nb"), ("secret_key", "${HOME}")),
        ("bucket", "b" * (profile_questions.ANSWER_CHARACTERS + 1)),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused_without_repeating_a_secret(setting, answer):
    with pytest.raises(ConfigurationError) as refused:
        profile_questions.checked(setting, answer)
    assert setting in str(refused.value) or setting == "path_prefix"
    if setting == "secret_key":
        assert answer not in str(refused.value)


def test_an_address_with_the_bucket_in_it_is_named_before_anything_is_sent():
    given = {"endpoint_url": "https://s3.example.com/my-bucket", "bucket": "my-bucket"}
    assert "bucket's name" in profile_questions.wrong_together(given)["endpoint_url"]
    assert profile_questions.wrong_together({**given, "bucket": "other"}) == {}
