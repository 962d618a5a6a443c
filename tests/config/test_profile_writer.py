"""profiles.json after a profile was written into it: the profile is there, and all else is as it was."""

from __future__ import annotations

import json

import pytest
from cloud_storage.config import profile_writer, profiles_file
from cloud_storage.errors import AlreadyExists, ConfigurationError

VALUES = {"bucket": "b", "access_key": "a", "secret_key": "s", "region": ""}
ENTRY = {"bucket": "b", "access_key": "a", "secret_key": "s"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "user" / "profiles.json"


def written(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize(
    "text",
    [
        '{"profiles": {}}',
        '{ "profiles" : { } }',
        "{}",
        '{"default": ""}',
        '{"profiles": {"a": {"bucket": "x}\\"{,"}}, "default": "a"}',
        '{"default":"a","profiles":{"a":{"upload":{"tags":{"mine":"{"}}}}}',
        '\ufeff{\r\n  "profiles": {\r\n    "a": {}\r\n  }\r\n}\r\n',
        '{"profiles": {"\\u0061": {"bucket": "ü\\u00fc"}, "mine ": {}}}',
    ],
)
def test_any_file_gets_the_profile_and_keeps_the_rest_of_its_text(file, text):
    before = json.loads(text.removeprefix("\ufeff"))
    written(file, text)
    profile_writer.write(file, "mine", VALUES)
    after = file.read_bytes().decode()
    said = json.loads(after.removeprefix("\ufeff"))
    assert said["profiles"] == {**before.get("profiles", {}), "mine": ENTRY}
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    assert ("\r\n" in after) == ("\r\n" in text)
    for name in before.get("profiles", {}):
        start = text.index('"a"' if '"a"' in text else '"\\u0061"')
        assert text[start : text.index("}", start)] in after, name


def test_a_profile_is_replaced_where_it_stands_and_keeps_what_nobody_asked_for(file):
    text = '{"profiles": {"x": {"bucket": "1"}, "mine": {"bucket": "2", "read_only": true}, "y": {}}}'
    written(file, text)
    with pytest.raises(AlreadyExists):
        profile_writer.write(file, "mine", VALUES)
    assert file.read_text() == text
    profile_writer.write(file, "mine", VALUES, replaces=True)
    after = json.loads(file.read_text())["profiles"]
    assert list(after) == ["x", "mine", "y"]
    assert after["mine"] == {**ENTRY, "read_only": True}


def test_the_profile_of_nodes_without_one_changes_only_if_that_is_asked_for(file):
    assert profile_writer.write(file, "first", VALUES) is True
    assert "default" not in json.loads(file.read_text()), "an only profile is the default one by itself"
    assert profile_writer.write(file, "second", VALUES) is False
    assert profiles_file.read(file).default == "first"
    assert profile_writer.write(file, "third", VALUES, is_default=True) is True
    assert profiles_file.read(file).default == "third"
    assert profile_writer.write(file, "third", VALUES, replaces=True) is True
    assert profiles_file.read(file).default == "third"


def test_the_owner_of_the_machine_replaces_a_locked_profile_too(file):
    written(file, '{"profiles": {"mine": {"locked": true, "bucket": "old"}}}')
    with pytest.raises(ConfigurationError, match="locked"):
        profile_writer.write(file, "mine", VALUES, replaces=True)
    profile_writer.write(file, "mine", VALUES, replaces=True, even_locked=True)
    assert json.loads(file.read_text())["profiles"]["mine"] == {**ENTRY, "locked": True}


def test_a_link_to_the_file_is_kept(file, tmp_path):
    target = written(tmp_path / "shared" / "real.json", '{"profiles": {}}')
    file.parent.mkdir(parents=True)
    file.symlink_to(target)
    profile_writer.write(file, "mine", VALUES)
    assert file.is_symlink()
    assert json.loads(target.read_text())["profiles"] == {"mine": ENTRY}


def test_numbers_that_json_does_not_know_are_kept_as_they_stand(file):
    written(file, '{"profiles": {"a": {"models_budget_gb": NaN, "x": 1E400}}}')
    profile_writer.write(file, "mine", VALUES)
    assert '"a": {"models_budget_gb": NaN, "x": 1E400}' in file.read_text()
