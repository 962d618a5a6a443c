"""profiles.json as a file: missing, broken, readable by others. test_settings has what profiles contain."""

from __future__ import annotations

import json
import os

import pytest
from cloud_storage.config import profiles_file
from cloud_storage.errors import ConfigurationError

SECRET = "s3cr3t/+="


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


def test_a_missing_file_has_no_profiles(file):
    assert profiles_file.read(file) == profiles_file.ProfilesFile(exists=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_profiles_keep_the_order_of_the_file_and_their_names(file, encoding):
    content = {"profiles": {"z": {"bucket": "b"}, "Ä": {}}, "default": "Ä"}
    file.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)
    found = profiles_file.read(file)
    assert (found.exists, list(found.profiles), found.default) == (True, ["z", "Ä"], "Ä")
    assert found.profiles["z"] == {"bucket": "b"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not valid JSON"),
        (b'{"profiles": {"a": {"secret_key": "s3cr3t/+=', "is not valid JSON"),
        (b"\xff\xfe", "is not UTF-8 at byte 0"),
        (b"[]", "Not a JSON object: profiles.json on the server"),
        (b'{"profiles": []}', "Not a JSON object: profiles in profiles.json on the server"),
        (b'{"bucket": "b"}', 'profiles.json on the server has no "profiles"'),
        (b'{"mine": {"secret_key": "s3cr3t/+="}}', 'profiles.json on the server has no "profiles"'),
        (b'{"profile": {}}', "Did you mean 'profiles'?"),
        (b'{"profiles": {"a": {}, "a": {}}}', "'a' occurs twice in one object"),
        (b'{"profiles": {"(env vars)": {}}}', "is called '(env vars)'"),
        (b'{"profiles": {"a": {}}, "default": "b"}', "is not the name of a profile. Write one of: a."),
        (b'{"profiles": {}, "default": 1}', "is not the name of a profile. Write one of: none."),
    ],
)
def test_a_broken_file_is_an_error_without_its_path_and_without_its_content(file, content, words):
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        profiles_file.read(file)
    message = str(caught.value)
    assert words in message
    assert str(file) not in message
    assert SECRET not in message
    assert caught.value.__cause__ is None


def test_the_path_of_a_file_that_cannot_be_read_is_in_the_log(file, caplog):
    file.mkdir()
    with pytest.raises(ConfigurationError, match=r"profiles\.json on the server cannot be read"):
        profiles_file.read(file)
    assert str(file) in caplog.text


def test_no_value_is_in_a_repr(file):
    file.write_text(json.dumps({"profiles": {"a": {"secret_key": SECRET}}}))
    found = profiles_file.read(file)
    assert "a" in repr(found)
    assert SECRET not in repr(found)
    assert SECRET not in repr(found.profiles["a"])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such mode")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o604, 0o777])
def test_there_is_a_warning_if_others_may_read_the_file(file, mode):
    assert profiles_file.permission_warning(file) == ""
    file.touch()
    file.chmod(mode)
    warning = profiles_file.permission_warning(file)
    assert bool(warning) == bool(mode & 0o077)
    assert str(file) not in warning
