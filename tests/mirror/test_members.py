from __future__ import annotations

import json

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.mirror import members

ON = {"COMFY_S3_BUCKET": "b", "COMFY_S3_MIRROR": "output"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


def write(file, **profiles):
    file.write_text(json.dumps({"profiles": profiles}))


def test_the_environment_means_its_own_bucket_and_not_those_of_all_profiles(file):
    write(file, a={"bucket": "a"}, b={"bucket": "c", "mirror": "input"})
    assert list(members.read(file, ON).profiles) == ["(env vars)", "b"]
    assert list(members.read(file, {"COMFY_S3_BUCKET": "b"}).profiles) == ["b"]


def test_the_environment_alone_uses_the_default_profile(file):
    write(file, a={"bucket": "a"})
    assert list(members.read(file, {"COMFY_S3_MIRROR": "output"}).profiles) == ["a"]


def test_one_bucket_and_folder_is_mirrored_once(file):
    write(
        file,
        a={"bucket": "a", "mirror": "output"},
        b={"bucket": "a", "mirror": "output"},
        c={"bucket": "a", "mirror": "output", "mirror_prefix": "other"},
    )
    assert list(members.read(file, {}).profiles) == ["a", "c"]


def test_a_profile_that_cannot_be_used_is_an_error_only_if_it_asks_for_a_mirror(file):
    write(file, a={"mirror": "output"}, b={"provider": "nobody"})
    found = members.read(file, {})
    assert not found.profiles
    assert found.is_on
    assert len(found.errors) == 1
    assert not members.read(file, {}).profiles


def test_nothing_is_on_by_default(file):
    assert not members.read(file, {"COMFY_S3_BUCKET": "b"}).is_on
    assert not members.read(file, {}).is_on


def test_the_folders_are_those_of_comfyui(comfyui, tmp_path):
    assert members.folder("output") == tmp_path / "output"
    assert members.folder("input") == tmp_path / "input"
    assert members.folder("workflows") == tmp_path / "user" / "default" / "workflows"
    assert folders.system_folder().is_relative_to(tmp_path / "user")
