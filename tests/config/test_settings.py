from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from cloud_storage.config import settings
from cloud_storage.config.profiles_file import ON_SERVER
from cloud_storage.errors import ConfigurationError

KEYS = {"access_key": "AKIAEXAMPLE", "secret_key": "s3cr3t/+="}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


def write(file, **profiles):
    file.write_text(json.dumps({"profiles": profiles}), encoding="utf-8")
    return file


def said(name, file, environ=None, overrides=None):
    """The message of the error that reading these layers raises: what and where, then what to do."""
    with pytest.raises(ConfigurationError) as caught:
        settings.layers(name, overrides or {}, file, environ or {})
    message = str(caught.value)
    assert message.endswith("."), message
    assert ". " in message, message
    assert "\n" not in message, message
    assert str(file) not in message, "others read it: the path is their business no more than the keys"
    return message


# ------------------------------------------------------------ layers


@pytest.mark.parametrize("number", ["much", "-1", "nan", "inf", True, [], None])
def test_a_number_of_gigabytes_is_checked(file, number):
    write(file, a={"bucket": "b", "models_budget_gb": number})
    if number is None:
        assert "models_budget_gb" not in settings.layers("a", {}, file, {})[1].values
    else:
        assert "models_budget_gb" in said("a", file)
    assert settings.layers("a", {}, write(file, a={"models_budget_gb": 12}), {})[1].values == {
        "models_budget_gb": 12.0
    }


def test_a_mode_of_the_library_is_one_of_three(file):
    assert "off, offer, on demand" in said("", file, {"COMFY_S3_MODELS": "always"})
    assert "models in profile 'a'" in said("a", write(file, a={"models": False}))


def test_the_folders_of_the_mirror_are_some_of_three():
    for text in ("outputs", "output;input", "models"):
        with pytest.raises(ConfigurationError, match="Write some of output, input, workflows"):
            settings.layers("", {}, Path("none"), {"COMFY_S3_MIRROR": text})
    with pytest.raises(ConfigurationError, match="is not a number of days"):
        settings.layers("", {}, Path("none"), {"COMFY_S3_MIRROR_DELETE_AFTER_DAYS": "never"})


def test_every_environment_variable_of_the_contract_is_read(file):
    given = {
        "PROVIDER": "MinIO",
        "ACCESS_KEY": "AK",
        "SECRET_KEY": "SK",
        "SESSION_TOKEN": "ST",
        "BUCKET": "b",
        "REGION": "r",
        "ENDPOINT_URL": "https://e",
        "ACCOUNT_ID": "acc",
        "PATH_PREFIX": "team/",
        "AUTH": "keys",
        "PUBLIC_URL": "https://p",
        "READ_ONLY": "1",
        "LOCKED": "no",
        "CA_FILE": "/ca.pem",
        "MODELS": "On-Demand",
        "MODELS_PREFIX": "library/models",
        "MODELS_BUDGET_GB": "200",
        "MODELS_KEEP_FREE_GB": "0.5",
        "MODELS_PICKLES": "yes",
        "MIRROR": "workflows, Output",
        "MIRROR_PREFIX": "box-1",
        "MIRROR_EXCLUDE": "*.json, drafts/*",
        "MIRROR_DELETE_AFTER_DAYS": "30",
        "MIRROR_MB_PER_SECOND": "2.5",
    }
    layer, widgets = settings.layers(
        "", {}, file, {f"COMFY_S3_{name}": value for name, value in given.items()}
    )
    expected = {name.lower(): value for name, value in given.items()}
    converted = {
        "read_only": True,
        "locked": False,
        "models": settings.ON_DEMAND,
        "models_budget_gb": 200.0,
        "models_keep_free_gb": 0.5,
        "models_pickles": True,
        "mirror": ("output", "workflows"),
        "mirror_delete_after_days": 30.0,
        "mirror_mb_per_second": 2.5,
    }
    assert dict(layer.values) == {**expected, **converted}
    assert not widgets.values


def test_the_table_has_every_setting_of_the_contract():
    variables = {row.variable for row in settings.SETTINGS.values()}
    assert "" in variables, "upload has no variable"
    assert {row.name for row in settings.SETTINGS.values() if row.widget} == {
        "provider",
        "bucket",
        "path_prefix",
        "region",
    }
    assert {row.name for row in settings.SETTINGS.values() if row.of_provider} == {
        "endpoint_url",
        "account_id",
        "region",
    }
    assert settings.KEYS == ("access_key", "secret_key", "session_token")


def test_without_arguments_the_real_environment_is_read(file, monkeypatch):
    monkeypatch.setenv("COMFY_S3_BUCKET", "from-the-process")
    assert settings.layers("", {}, file)[0].values["bucket"] == "from-the-process"


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_is_not_set(file, empty):
    (layer, _) = settings.layers("", {}, file, {"COMFY_S3_BUCKET": empty, "COMFY_S3_LOCKED": empty})
    assert layer.values == {}


def test_space_around_a_value_goes_wherever_it_comes_from(file):
    write(file, a={"bucket": " b ", "secret_key": "${KEY}"})
    environment, profile, widgets = settings.layers(
        "a", {"region": " r\n"}, file, {"COMFY_S3_SECRET_KEY": " s \r\n", "KEY": "k\n"}
    )
    assert environment.values["secret_key"] == "s"
    assert dict(profile.values) == {"bucket": "b", "secret_key": "k"}
    assert dict(widgets.values) == {"region": "r"}


@pytest.mark.parametrize(
    "key", [*settings.KEYS, "endpoint_url", "auth", "locked", "read_only", "ca_file", "nonsense"]
)
def test_a_node_can_set_neither_keys_nor_an_endpoint(file, key):
    assert f"may not set {key}" in said("", file, overrides={key: "x"})


def test_a_widget_that_says_nothing_overrides_nothing(file):
    overrides = {"provider": settings.FROM_PROFILE, "bucket": "", "region": "  ", "path_prefix": None}
    assert settings.layers("", overrides, file, {})[-1].values == {}


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "Yes", "on"])
def test_a_flag_is_true_in_many_words(file, word):
    write(file, a={"locked": word, "read_only": True})
    environment, profile, _ = settings.layers("a", {}, file, {"COMFY_S3_LOCKED": word})
    assert environment.values["locked"] is profile.values["locked"] is profile.values["read_only"] is True


@pytest.mark.parametrize("word", ["0", "false", "No", "OFF"])
def test_a_flag_is_false_in_as_many(file, word):
    assert settings.layers("", {}, file, {"COMFY_S3_LOCKED": word})[0].values["locked"] is False


@pytest.mark.parametrize("name", ["", settings.ENVIRONMENT])
def test_an_environment_that_is_enough_reads_no_file(file, name):
    file.write_bytes(b"{")
    assert settings.choose_profile(name, file, {"COMFY_S3_BUCKET": "b"}) == settings.ENVIRONMENT
    assert len(settings.layers(name, {}, file, {})) == 2


# ------------------------------------------------------------ profiles.json


def test_a_profile_is_read_anew_each_time(file):
    for bucket in ("first", "second"):
        write(file, a={"bucket": bucket})
        assert settings.layers("a", {}, file, {})[1].values["bucket"] == bucket


def test_a_byte_order_mark_does_no_harm(file):
    file.write_text(json.dumps({"profiles": {"Ä": {"bucket": "b"}}}), encoding="utf-8-sig")
    assert settings.profile_names(file) == [settings.ENVIRONMENT, "Ä"]
    assert settings.layers("Ä", {}, file, {})[1].values["bucket"] == "b"


def test_names_come_in_the_order_of_the_file(file):
    write(file, z={}, a={}, m={})
    assert settings.profile_names(file) == [settings.ENVIRONMENT, "z", "a", "m"]


def test_a_variable_stands_in_for_a_value(file):
    upload = {"cache_control": "${CACHE}", "tags": {"team": "${TEAM}"}}
    write(file, a={"secret_key": " ${KEY} ", "locked": "${LOCK}", "upload": upload})
    environ = {"KEY": "k", "LOCK": "yes", "CACHE": "no-cache", "TEAM": "red"}
    values = settings.layers("a", {}, file, environ)[1].values
    assert (values["secret_key"], values["locked"]) == ("k", True)
    assert (values["upload"].cache_control, values["upload"].tags) == ("no-cache", {"team": "red"})


def test_a_variable_in_the_environment_layer_is_taken_as_it_stands(file):
    values = settings.layers("", {}, file, {"COMFY_S3_SECRET_KEY": "a${X}", "X": "x"})[0].values
    assert values["secret_key"] == "a${X}"


@pytest.mark.parametrize("unset", [{}, {"KEY": ""}, {"KEY": " "}])
def test_a_variable_that_is_not_set_is_an_error_that_names_it(file, unset):
    write(file, a={"secret_key": "${KEY}"})
    message = said("a", file, {"COMFY_S3_SECRET_KEY": "another", **unset})
    assert "KEY, which secret_key in profile 'a' of" in message
    assert ON_SERVER in message


@pytest.mark.parametrize("value", ["x${KEY}", "${KEY}${KEY}", "${}", "${A-B}", "${KEY", "${KEY:-x}"])
def test_a_variable_among_other_text_is_not_taken_literally(file, value):
    write(file, a={"path_prefix": value})
    assert "path_prefix in profile 'a'" in said("a", file, {"KEY": "k"})


def test_upload_options_are_read(file):
    options = {"storage_class": "COLD", "acl": "private", "tags": {"a": "b"}, "metadata": {"c": "ü"}}
    write(file, a={"upload": {**options, "kms_key_id": "", "cache_control": None}}, b={"upload": None})
    upload = settings.layers("a", {}, file, {})[1].values["upload"]
    assert upload == settings.UploadSettings(**options)
    assert settings.layers("b", {}, file, {})[1].values == {}


BROKEN_FILES = {
    "empty": (b"", "not valid JSON"),
    "half-written": (b'{"profiles": {"a": {"bucket": "b', "not valid JSON"),
    "with a trailing comma": (b'{"profiles": {"a": {},}}', "not valid JSON"),
    "with two objects": (b"{} {}", "not valid JSON"),
    "nested deep": (b"[" * 200_000, "not valid JSON"),
    "nested deep in an object": (b'{"profiles": {"a": ' + b'{"x":' * 200_000, "not valid JSON"),
    "with a number of 9999 digits": (b'{"profiles": {"a": {"bucket": ' + b"9" * 9999 + b"}}}", "not"),
    "with a profile twice": (b'{"profiles": {"a": {}, "a": {}}}', "'a' occurs twice"),
    "with a field twice": (b'{"profiles": {"a": {"bucket": "b", "bucket": "c"}}}', "'bucket' occurs twice"),
    "in UTF-16": ('{"profiles": {}}'.encode("utf-16"), "not UTF-8"),
    "in Latin-1": ('{"profiles": {"ä": {}}}'.encode("latin-1"), "not UTF-8"),
    "a list": (b"[]", "Not a JSON object"),
    "a text": (b'"a"', "Not a JSON object"),
    "null": (b"null", "Not a JSON object"),
    "a bare profile": (
        b'{"provider": "AWS S3", "bucket": "b"}',
        'profiles.json on the server has no "profiles"',
    ),
    "profiles without a frame": (
        b'{"mine": {"bucket": "b"}, "default": "mine"}',
        'has no "profiles"',
    ),
    "with a list of profiles": (b'{"profiles": [{"a": 1}]}', "profiles in"),
    "with a text as profile": (b'{"profiles": {"a": "b"}}', "Not a JSON object: profile 'a' of"),
    "with null as profile": (b'{"profiles": {"a": null}}', "Not a JSON object: profile 'a' of"),
    "with a misspelt top": (b'{"profile": {"a": {}}}', "Did you mean 'profiles'?"),
    "with the environment's name": (b'{"profiles": {"(env vars)": {}}}', "'(env vars)'"),
    "with a profile without name": (b'{"profiles": {"": {}}}', "''"),
}


@pytest.mark.parametrize(("content", "words"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_broken_file_is_an_error_that_names_it(file, content, words):
    file.write_bytes(content)
    message = said("a", file, {f"COMFY_S3_{name.upper()}": value for name, value in KEYS.items()})
    assert words in message
    assert ON_SERVER in message
    assert settings.profile_names(file)[0] == settings.ENVIRONMENT


BROKEN_FIELDS = {
    "misspelt": ({"secretkey": "x"}, "Unknown field 'secretkey'", "Did you mean 'secret_key'?"),
    "with capitals": ({"Bucket": "x"}, "Unknown field 'Bucket'", "Did you mean 'bucket'?"),
    "far from any": ({"qqq": "x"}, "Unknown field 'qqq'", "Known fields: provider, access_key"),
    "a number": ({"bucket": 5}, "bucket in profile 'a'", "not text"),
    "zero": ({"account_id": 0}, "account_id in profile 'a'", "not text"),
    "false": ({"region": False}, "region in profile 'a'", "not text"),
    "a list": ({"access_key": []}, "access_key in profile 'a'", "not text"),
    "an object": ({"secret_key": {}}, "secret_key in profile 'a'", "not text"),
    "two lines": ({"bucket": "a\nb"}, "bucket in profile 'a'", "unprintable"),
    "half a character": ({"secret_key": "a\ud800b"}, "secret_key in profile 'a'", "unprintable"),
    "a null byte": ({"ca_file": "a\0b"}, "ca_file in profile 'a'", "unprintable"),
    "a key with a space": ({"access_key": "AK IA"}, "access_key in profile 'a'", "not ASCII"),
    "a key with a typographic dash": ({"access_key": "AK–IA"}, "access_key in profile 'a'", "not ASCII"),
    "a token in two words": ({"session_token": "a b"}, "session_token in profile 'a'", "not ASCII"),
    "no mode": ({"auth": "key"}, "auth in profile 'a'", "keys, ambient, anonymous"),
    "auth as a flag": ({"auth": True}, "auth in profile 'a'", "not text"),
    "a flag in other words": ({"read_only": "maybe"}, "read_only in profile 'a'", "true or false"),
    "a flag as a number": ({"locked": 2}, "locked in profile 'a'", "true or false"),
    "a flag as a list": ({"locked": [True]}, "locked in profile 'a'", "true or false"),
    "upload as a list": ({"upload": []}, "upload in profile 'a'", "Not a JSON object"),
    "upload with an unknown field": ({"upload": {"acls": "x"}}, "'acls' in upload in", "Did you mean 'acl'?"),
    "upload with a number": ({"upload": {"acl": 1}}, "acl of upload in profile 'a'", "not text"),
    "tags as a list": ({"upload": {"tags": []}}, "tags of upload in profile 'a'", "Not a JSON object"),
    "a tag as a number": ({"upload": {"tags": {"n": 1}}}, "tags.n of upload in profile 'a'", "not text"),
    "metadata in two lines": (
        {"upload": {"metadata": {"n": "a\r\nb"}}},
        "metadata.n of upload",
        "unprintable",
    ),
    "metadata nested": ({"upload": {"metadata": {"n": {}}}}, "metadata.n of upload", "not text"),
}


@pytest.mark.parametrize(("entry", "where", "words"), BROKEN_FIELDS.values(), ids=BROKEN_FIELDS)
def test_a_wrong_field_is_an_error_that_names_it(file, entry, where, words):
    write(file, a=entry, b={"bucket": "b"})
    message = said("a", file)
    assert where in message
    assert words in message
    assert ON_SERVER in message
    assert settings.layers("b", {}, file, {})[1].values["bucket"] == "b", "other profiles go on working"


def test_a_field_nested_as_deep_as_json_goes_is_still_an_error_of_ours(file):
    nested = '{"x": ' * 900 + "1" + "}" * 900
    file.write_text(f'{{"profiles": {{"a": {{"upload": {{"metadata": {nested}}}}}}}}}')
    assert "metadata" in said("a", file)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AUTH", "magic", "one of keys, ambient, anonymous"),
        ("LOCKED", "maybe", "true or false"),
        ("READ_ONLY", "2", "true or false"),
        ("ACCESS_KEY", "AK\u200bIA", "not ASCII"),
        ("SECRET_KEY", "a\udcffb", "unprintable"),
        ("BUCKET", "a\nb", "unprintable"),
    ],
)
def test_a_wrong_variable_is_an_error_that_names_it(file, variable, value, words):
    message = said("", file, {f"COMFY_S3_{variable}": value})
    assert f"COMFY_S3_{variable} in the environment" in message
    assert words in message


def test_a_secret_key_may_hold_spaces_and_letters_of_any_alphabet(file):
    secret = "correct horse bättery"
    write(file, a={"secret_key": secret})
    assert settings.layers("a", {}, file, {})[1].values["secret_key"] == secret


def test_an_unknown_profile_is_an_error_that_names_the_file_and_the_known_names(file):
    write(file, team={"bucket": "b"}, mine={"bucket": "c"})
    message = said("Taem", file, {f"COMFY_S3_{name.upper()}": value for name, value in KEYS.items()})
    for part in (
        "'Taem'",
        ON_SERVER,
        "Did you mean 'team'?",
        "Known profiles: team, mine",
        "Choose one of them",
    ):
        assert part in message
    write(file)
    assert "Known profiles: none" in said("team", file)


def test_a_missing_file_is_an_error_only_when_a_profile_is_named(file):
    assert f"there is no {ON_SERVER}" in said("team", file)
    assert settings.profile_names(file) == [settings.ENVIRONMENT]
    assert settings.layers("", {}, file, {})


def test_a_folder_in_the_place_of_the_file_cannot_be_read(file):
    file.mkdir()
    assert f"{ON_SERVER} cannot be read" in said("team", file)
    assert settings.profile_names(file) == [settings.ENVIRONMENT]


def test_a_file_in_the_place_of_the_folder_cannot_be_read(tmp_path):
    (tmp_path / "user").write_text("")
    assert "cannot be read" in said("team", tmp_path / "user" / "profiles.json")


@contextmanager
def without_rights(file):
    """Nobody may read ``file``, and for a while this process is nobody."""
    file.chmod(0)
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_a_file_without_the_right_to_read_it_cannot_be_read(file):
    write(file, team={"bucket": "b"})
    with without_rights(file):
        message = said("team", file)
        names = settings.profile_names(file)
    assert f"{ON_SERVER} cannot be read: Permission denied" in message
    assert names == [settings.ENVIRONMENT]


def test_nothing_of_a_layer_is_shown(file):
    write(file, a={**KEYS, "session_token": "t0ken"})
    shown = repr(settings.layers("a", {}, file, {"COMFY_S3_SECRET_KEY": KEYS["secret_key"]}))
    assert "the environment" in shown
    for secret in (*KEYS.values(), "t0ken"):
        assert secret not in shown
