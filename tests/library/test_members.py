"""Which profiles make the library, in which order, and the limits that hold for all of them."""

from __future__ import annotations

import json

import pytest
from cloud_storage.library import members

KEYS = {"access_key": "a", "secret_key": "s"}


@pytest.fixture
def read(tmp_path):
    def read(environ=None, **profiles):
        file = tmp_path / "profiles.json"
        if profiles:
            file.write_text(json.dumps({"profiles": profiles}))
        return members.read(file, {f"COMFY_S3_{name}": value for name, value in (environ or {}).items()})

    return read


def test_the_environment_comes_first_then_the_file_in_its_order(read):
    found = read(
        {"BUCKET": "e"},
        b={"bucket": "b"},
        a={"bucket": "a", "models": "on demand"},
        c={"bucket": "c", "models": "off"},
    )
    assert [(one.name, one.profile.bucket) for one in found.members] == [
        ("(env vars)", "e"),
        ("b", "b"),
        ("a", "a"),
    ]
    assert found.mode == "on demand"
    assert found.named("a").models.mode == "on demand"
    assert found.named("c") is None
    assert not found.errors


def test_the_only_profile_is_one_member_and_not_two(read):
    assert [one.name for one in read(None, mine={"bucket": "b"}).members] == ["(env vars)"]


def test_several_profiles_without_a_default_are_no_error(read):
    found = read(None, a={"bucket": "a"}, b={"bucket": "b"})
    assert [one.name for one in found.members] == ["a", "b"]
    assert not found.errors


def test_a_wrong_profile_is_an_error_and_leaves_the_others(read):
    found = read({"BUCKET": "e"}, a={"bucket": "a", "models_budget_gb": "much"})
    assert [one.name for one in found.members] == ["(env vars)"]
    assert "models_budget_gb in profile 'a'" in found.errors[0]
    assert read({"BUCKET": "s3://e"}).errors


def test_a_file_that_cannot_be_read_is_an_error(read, tmp_path):
    (tmp_path / "profiles.json").write_text("{")
    assert "not valid JSON" in read({"BUCKET": "e"}).errors[0]


def test_nothing_set_is_no_library(read):
    assert read() == members.Members()
    assert members.Members().budget is None
    assert members.Members().keep_free == 0


def test_the_first_limit_counts_and_the_most_free_room(read):
    found = read(
        {"BUCKET": "e"},
        a={"bucket": "a", "models_budget_gb": 2, "models_keep_free_gb": 1},
        b={"bucket": "b", "models_budget_gb": 1, "models_keep_free_gb": 20},
    )
    assert found.budget == 2_000_000_000
    assert found.keep_free == 20_000_000_000


def test_a_place_tells_buckets_and_folders_apart(read):
    def place(**more):
        return read({"BUCKET": "e", **more}).members[0].place

    assert len({place(), place(MODELS_PREFIX="x"), place(PATH_PREFIX="p"), place(BUCKET="f")}) == 4
    assert place(ACCESS_KEY="a", SECRET_KEY="s") == place(), "another key sees the same bucket"
