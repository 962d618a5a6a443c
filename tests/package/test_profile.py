from __future__ import annotations

import json
import os

import pytest
from cloud_storage import profile, providers
from cloud_storage.config import settings
from cloud_storage.config.profiles_file import ON_SERVER
from cloud_storage.errors import ConfigurationError

PAIR = {"access_key": "AK-file", "secret_key": "SK-file"}
ENVIRON_PAIR = {"access_key": "AK-env", "secret_key": "SK-env"}
MINIO = {"provider": "MinIO", "endpoint_url": "http://minio:9000"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


@pytest.fixture
def opened(file):
    """``opened(environment, profile, widgets)``: resolved from up to three layers, and a bucket."""

    def resolve(environ=None, entry=None, widgets=None):
        name = "" if entry is None else "team"
        file.write_text(json.dumps({"profiles": {"team": entry or {}, "other": {}}}))
        return profile.resolve(name, widgets or {}, file, variables({"bucket": "b", **(environ or {})}))

    return resolve


@pytest.fixture
def keys(file, opened):
    """As ``opened``, and gives access key, secret key, token, mode and source."""

    def unlock(environ=None, entry=None, widgets=None):
        found = opened(environ, entry, widgets)
        now, key = profile.unlock(found, variables({"bucket": "b", **(environ or {})}))
        assert now == found
        return (*key.reveal(), now.auth, key.source)

    return unlock


def variables(given):
    return {f"COMFY_S3_{name.upper()}": value for name, value in given.items()}


def refusal(function, *arguments):
    with pytest.raises(ConfigurationError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert message.endswith("."), message
    assert ". " in message, message
    for secret in ("SK-", "AK-"):
        assert secret not in message
    return message


# ------------------------------------------------------------ layers and their order


@pytest.mark.parametrize("setting", ["bucket", "region", "path_prefix"])
def test_a_widget_wins_over_the_profile_and_the_profile_over_the_environment(opened, setting):
    weak, strong, strongest = ({setting: word} for word in ("weak", "strong", "strongest"))
    for layers, value, source in (
        ((weak,), "weak", "the environment"),
        ((weak, strong), "strong", "profile 'team' of profiles.json"),
        ((weak, strong, strongest), "strongest", "the node"),
        ((weak, {}, strongest), "strongest", "the node"),
        ((weak, {}, {}), "weak", "the environment"),
    ):
        found = opened(*layers)
        assert getattr(found, setting) == value
        assert found.sources[setting] == source


@pytest.mark.parametrize(
    ("setting", "weak", "strong"),
    [
        ("public_url", "https://a.example", "https://b.example"),
        ("endpoint_url", "https://a.example", "https://b.example"),
        ("read_only", "1", False),
        ("locked", "1", False),
    ],
)
def test_the_profile_wins_over_the_environment(opened, setting, weak, strong):
    assert getattr(opened({setting: weak}), setting) in (weak, True)
    assert getattr(opened({setting: weak}, {setting: strong}), setting) == strong
    assert getattr(opened({setting: weak}, {}), setting) in (weak, True)


def test_a_provider_is_the_weakest_layer(opened):
    found = opened({"provider": "Backblaze B2"})
    assert found.region == "us-west-004"
    assert "us-west-004" in found.endpoint_url
    assert found.sources["region"] == found.sources["endpoint_url"] == profile.DEFAULT
    assert opened({"provider": "Backblaze B2", "region": "eu-central-003"}).region == "eu-central-003"


def test_without_a_word_the_provider_is_aws(opened):
    found = opened()
    assert (found.provider, found.region) == ("AWS S3", "us-east-1")
    assert found.auth == "keys"
    assert found.sources["provider"] == found.sources["auth"] == profile.DEFAULT
    assert found.name == settings.ENVIRONMENT


def test_upload_options_and_a_private_ca_come_along(opened, tmp_path):
    (tmp_path / "ca.pem").write_text("")
    found = opened({}, {"upload": {"acl": "private"}, "ca_file": str(tmp_path / "ca.pem")})
    assert found.upload == settings.UploadSettings(acl="private")
    assert found.ca_file == str(tmp_path / "ca.pem")


# ------------------------------------------------------------ rule 1: whole pairs


def test_the_pair_of_the_strongest_layer_is_used(keys):
    assert keys(ENVIRON_PAIR) == ("AK-env", "SK-env", "", "keys", "the environment")
    assert keys(ENVIRON_PAIR, {}) == ("AK-env", "SK-env", "", "keys", "the environment")
    assert keys({}, PAIR) == ("AK-file", "SK-file", "", "keys", "profile 'team' of profiles.json")
    assert keys(ENVIRON_PAIR, PAIR) == ("AK-file", "SK-file", "", "keys", "profile 'team' of profiles.json")


def test_a_token_never_joins_the_pair_of_another_layer(keys):
    assert keys({**ENVIRON_PAIR, "session_token": "T"}, PAIR)[:3] == ("AK-file", "SK-file", "")
    assert keys(ENVIRON_PAIR, {**PAIR, "session_token": "T"})[:3] == ("AK-file", "SK-file", "T")


@pytest.mark.parametrize(
    ("half", "given", "lacking"),
    [
        (("access_key",), "access_key", "secret_key"),
        (("secret_key",), "secret_key", "access_key"),
        (("session_token",), "session_token", "access_key and secret_key"),
        (("access_key", "session_token"), "access_key and session_token", "secret_key"),
        (("secret_key", "session_token"), "secret_key and session_token", "access_key"),
    ],
)
def test_half_a_pair_is_never_completed_from_another_layer(opened, file, half, given, lacking):
    message = refusal(opened, ENVIRON_PAIR, dict.fromkeys(half, "SK-half"))
    assert f"Profile 'team' of {ON_SERVER} has {given} but no {lacking}." in message
    message = refusal(opened, dict.fromkeys(half, "SK-half"), {"region": "r"})
    for field in (*given.split(" and "), *lacking.split(" and ")):
        assert f"COMFY_S3_{field.upper()}" in message


def test_half_a_pair_of_a_layer_that_is_not_used_does_not_matter(keys):
    assert keys({"access_key": "AK-half"}, PAIR)[0] == "AK-file"


@pytest.mark.parametrize("blank", [{"access_key": "", "secret_key": None}, {"secret_key": " "}])
def test_a_pair_left_blank_is_not_replaced_by_that_of_the_environment(opened, file, blank):
    assert f"left empty in profile 'team' of {ON_SERVER}" in refusal(opened, ENVIRON_PAIR, blank)
    assert "left empty" in refusal(opened, {"auth": "ambient"}, blank)
    assert opened(ENVIRON_PAIR, {**blank, "auth": "ambient"}).auth == "ambient"


def test_no_pair_at_all_is_an_error_that_names_where_it_may_stand(opened, file):
    message = refusal(profile.unlock, opened({}, {}), variables({"bucket": "b"}))
    for part in (
        "COMFY_S3_ACCESS_KEY and COMFY_S3_SECRET_KEY",
        "access_key and secret_key",
        ON_SERVER,
        "ambient",
    ):
        assert part in message


# ------------------------------------------------------------ auth


@pytest.mark.parametrize("mode", ["ambient", "anonymous"])
def test_a_mode_without_keys_uses_none_of_a_weaker_layer(keys, mode):
    assert keys({"auth": mode}) == ("", "", "", mode, f"{mode} (set by the environment)")
    assert keys(ENVIRON_PAIR, {"auth": mode})[:4] == ("", "", "", mode)


@pytest.mark.parametrize("mode", ["ambient", "anonymous"])
def test_a_pair_is_not_weakened_by_the_mode_of_a_weaker_layer(keys, mode):
    assert keys({"auth": mode}, PAIR)[:4] == ("AK-file", "SK-file", "", "keys")


def test_keys_may_be_asked_for_by_name(keys, opened):
    assert keys(ENVIRON_PAIR, {"auth": "keys"})[3:] == ("keys", "the environment")
    message = refusal(
        profile.unlock, opened({"auth": "ambient"}, {"auth": "keys"}), variables({"bucket": "b"})
    )
    assert "no access keys" in message


@pytest.mark.parametrize("mode", ["ambient", "anonymous"])
@pytest.mark.parametrize("given", ["access_key", "secret_key", "session_token"])
def test_a_mode_without_keys_and_a_key_beside_it_contradict(opened, file, mode, given):
    message = refusal(opened, {}, {"auth": mode, given: "SK-x"})
    assert f"auth in profile 'team' of {ON_SERVER} is {mode}" in message
    assert given in message
    assert f"COMFY_S3_{given.upper()}" in refusal(opened, {"auth": mode, given: "SK-x"})


def test_a_pair_beside_another_mode_is_no_pair_to_fall_back_to(opened):
    contradiction = {**ENVIRON_PAIR, "auth": "anonymous"}
    assert "COMFY_S3_AUTH" in refusal(opened, contradiction, {"auth": "keys"})


# ------------------------------------------------------------ rule 2: providers


CUSTOM = {"provider": "Custom", "endpoint_url": "https://own.example", "region": "own-1"}


@pytest.mark.parametrize(
    "layers",
    [
        (CUSTOM, {"provider": "Custom"}),
        ({}, CUSTOM, {"provider": "Custom"}),
        (CUSTOM, {}, {"provider": "Custom"}),
        (CUSTOM, {"provider": "Custom"}, {"provider": "Custom"}),
    ],
)
def test_naming_the_same_provider_again_drops_nothing(opened, layers):
    found = opened(*layers)
    assert (found.endpoint_url, found.region) == ("https://own.example", "own-1")


def test_naming_the_provider_that_nobody_had_to_name_keeps_a_region_and_no_strange_endpoint(opened):
    again = {"provider": "AWS S3"}
    assert opened({"region": "eu-north-1"}, {}, again).region == "eu-north-1"
    assert opened({}, {"endpoint_url": "https://own.example"}, again).endpoint_url == ""


@pytest.mark.parametrize("provider", ["Backblaze B2", "Wasabi"])
def test_a_layer_that_names_a_provider_drops_what_weaker_ones_said_of_theirs(opened, provider):
    weak = {**MINIO, "region": "weak-1", "account_id": "weak2"}
    row = providers.provider(provider)
    for found in (opened(weak, {"provider": provider}), opened({}, weak, {"provider": provider})):
        assert found.provider == provider
        assert found.region == row.region
        assert found.endpoint_url == providers.endpoint(row, row.region, "")
        assert found.sources["region"] == found.sources["endpoint_url"] == profile.DEFAULT


def test_what_the_same_layer_says_of_its_provider_stays(opened):
    found = opened({"endpoint_url": "https://weak.example", "region": "weak"}, {**MINIO, "region": "strong"})
    assert (found.endpoint_url, found.region) == ("http://minio:9000", "strong")
    assert found.sources["endpoint_url"] == "profile 'team' of profiles.json"


def test_a_layer_that_names_no_provider_drops_nothing(opened):
    found = opened({**MINIO, "region": "weak"}, {"region": "strong"}, {"bucket": "c"})
    assert (found.provider, found.endpoint_url, found.region) == ("MinIO", "http://minio:9000", "strong")


def test_bucket_prefix_and_public_url_belong_to_no_provider(opened):
    environ = {"bucket": "x", "path_prefix": "p", "public_url": "https://cdn.example"}
    found = opened(environ, None, {"provider": "MinIO"})
    assert (found.bucket, found.path_prefix, found.public_url) == ("x", "p", "https://cdn.example")


# ------------------------------------------------------------ rule 3: errors


def test_an_unknown_provider_is_an_error_that_names_its_place_and_the_known_names(opened, file):
    known = f"Known providers: {', '.join(providers.names())}."
    for layers, place in (
        (({"provider": "aws s3"},), "COMFY_S3_PROVIDER in the environment"),
        (({}, {"provider": "AWS  S3"}), f"provider in profile 'team' of {ON_SERVER}"),
        (({}, {}, {"provider": "AWS-S3"}), "provider in the inputs of the node"),
    ):
        message = refusal(opened, *layers)
        for part in (place, "Did you mean 'AWS S3'?", known):
            assert part in message


def test_a_missing_bucket_is_an_error_that_says_where_to_write_it(file):
    message = refusal(profile.resolve, "", {}, file, {})
    assert message == f"No bucket is set. Write a profile into {ON_SERVER}, or set COMFY_S3_BUCKET."
    file.write_text('{"profiles": {"team": {"bucket": ""}}}')
    assert f"Set bucket in profile 'team' of {ON_SERVER}" in refusal(profile.resolve, "team", {}, file, {})


def test_a_missing_account_or_endpoint_is_an_error(opened, file):
    message = refusal(opened, {"provider": "Cloudflare R2"})
    assert message == (
        "Cloudflare R2 needs account_id, which is not set. Set COMFY_S3_ACCOUNT_ID in the environment."
    )
    message = refusal(opened, {}, {"provider": "Custom"})
    assert "Custom needs endpoint_url, which is not set." in message
    assert f"Set endpoint_url in profile 'team' of {ON_SERVER}" in message
    assert (
        opened({"provider": "Cloudflare R2", "endpoint_url": "https://r2.example"}).endpoint_url
        == "https://r2.example"
    )


def test_a_missing_region_is_an_error_if_the_provider_has_no_default(opened, monkeypatch):
    row = providers.Provider(
        "Example", source="x", endpoint="https://s3.{region}.example", requires=("region",)
    )
    monkeypatch.setitem(providers.PROVIDERS, row.name, row)
    message = refusal(opened, {"provider": "Example"})
    assert message == "Example needs region, which is not set. Set COMFY_S3_REGION in the environment."
    found = opened({"provider": "Example", "region": "eu-1"})
    assert (found.region, found.endpoint_url) == ("eu-1", "https://s3.eu-1.example")


def test_an_account_that_was_dropped_is_told(opened):
    message = refusal(opened, {"account_id": "abc"}, {"provider": "Cloudflare R2"})
    assert "COMFY_S3_ACCOUNT_ID in the environment is that of another provider" in message


def test_a_node_that_names_another_provider_is_told_what_that_drops(opened):
    message = refusal(opened, {}, MINIO, {"provider": "Custom"})
    assert message == (
        f"The node sets provider to Custom, so endpoint_url in profile 'team' of {ON_SERVER} is ignored. "
        "Set provider back to (from profile)."
    )


def test_an_unknown_profile_does_not_use_the_environment(file):
    file.write_text('{"profiles": {"team": {}}}')
    environ = variables({**ENVIRON_PAIR, "bucket": "b"})
    assert "Known profiles: team" in refusal(profile.resolve, "gone", {}, file, environ)


def test_a_ca_file_that_is_not_there_is_an_error(opened, tmp_path):
    for path in (tmp_path / "gone.pem", tmp_path, "x" * 5000):
        assert "COMFY_S3_CA_FILE in the environment" in refusal(opened, {"ca_file": str(path)})


# ------------------------------------------------------------ rule 4 and addresses


@pytest.mark.parametrize("setting", ["region", "account_id"])
def test_nothing_that_bends_an_endpoint_gets_into_one(opened, file, setting):
    bad = {setting: "evil.example/"}
    assert f"COMFY_S3_{setting.upper()} in the environment is 'evil.example/'" in refusal(opened, bad)
    assert f"{setting} in profile 'team' of {ON_SERVER}" in refusal(opened, {}, bad)
    assert refusal(opened, {**bad, "endpoint_url": "https://e.example"}), "even where it is not used"


@pytest.mark.parametrize("value", ["a.b", "../x", "a/b", "x@evil.example", "us-east\t1", "ü", "a b", "#"])
def test_what_would_bend_an_endpoint_is_refused(opened, value):
    for entry in (
        {"provider": "Wasabi", "region": value},
        {"provider": "Cloudflare R2", "account_id": value},
    ):
        assert "team" in refusal(opened, {}, entry)
    assert "needs account_id" in refusal(opened, {}, {"provider": "Cloudflare R2", "account_id": ""})


def test_a_widget_cannot_bend_an_endpoint(opened):
    assert "region in the inputs of the node" in refusal(opened, {}, {}, {"region": "https://evil.example"})
    assert "bucket in the inputs of the node" in refusal(opened, {}, {}, {"bucket": "evil.example/x"})


@pytest.mark.parametrize("setting", ["endpoint_url", "public_url"])
def test_an_address_is_checked_and_loses_its_last_slash(opened, setting):
    assert getattr(opened({setting: "https://a.example/x/"}), setting) == "https://a.example/x"
    assert f"COMFY_S3_{setting.upper()}" in refusal(opened, {setting: "https://u:SK-x@a.example"})


def test_the_bucket_is_looked_for_in_the_endpoint_alone(opened):
    assert "contains the bucket's name b" in refusal(opened, {"endpoint_url": "https://a.example/b"})
    assert "contains the bucket's name b" in refusal(
        opened, {"endpoint_url": "https://b.s3.us-west-004.backblazeb2.com"}
    )
    assert opened({"endpoint_url": "https://b.example.com"}).endpoint_url == "https://b.example.com"
    assert opened({"public_url": "https://b.example.com/b"}).public_url == "https://b.example.com/b"


# ------------------------------------------------------------ locked and read-only


@pytest.mark.parametrize("widget", ["provider", "bucket", "path_prefix", "region"])
@pytest.mark.parametrize(
    ("environ", "entry"), [({"locked": "1"}, None), ({}, {"locked": True}), ({"locked": "1"}, {})]
)
def test_a_locked_profile_takes_nothing_from_a_node(opened, widget, environ, entry):
    message = refusal(opened, environ, entry, {widget: "MinIO"})
    assert "is locked" in message
    assert f"the node sets {widget}" in message


def test_a_locked_profile_is_used_with_empty_widgets(opened):
    empty = {"provider": settings.FROM_PROFILE, "bucket": "", "path_prefix": " ", "region": ""}
    found = opened({"locked": "1"}, {}, empty)
    assert found.locked is True
    assert found.overrides == {}


def test_a_profile_may_unlock_itself_and_no_widget_may(opened):
    assert opened({"locked": "1"}, {"locked": False}, {"bucket": "c"}).bucket == "c"
    assert "may not set locked" in refusal(opened, {"locked": "1"}, {}, {"locked": "0"})
    assert "may not set read_only" in refusal(opened, {"read_only": "1"}, {}, {"read_only": "0"})


def test_read_only_stays_whatever_a_node_sets(opened):
    assert opened({"read_only": "yes"}, {}, {"bucket": "c", "provider": "MinIO"}).read_only is True


# ------------------------------------------------------------ unlock and fingerprint


def test_key_and_endpoint_come_from_the_same_reading(file):
    def write(**entry):
        file.write_text(json.dumps({"profiles": {"team": {"bucket": "b", **entry}}}))

    write(**PAIR, **MINIO)
    wire = profile.resolve("team", {"path_prefix": "p"}, file, {})
    write(access_key="AK-2", secret_key="SK-2", provider="MinIO", endpoint_url="http://new:9000")
    now, key = profile.unlock(wire, {})
    assert (now.endpoint_url, key.reveal()[1]) == ("http://new:9000", "SK-2")
    assert now.path_prefix == "p", "the widgets still count"
    write(locked=True, **PAIR)
    assert "locked" in refusal(profile.unlock, wire, {})
    write(auth="anonymous")
    assert profile.unlock(wire, {})[0].auth == "anonymous"


def test_a_fingerprint_changes_with_every_setting_and_with_nothing_else(opened):
    start = {**ENVIRON_PAIR, "session_token": "T", "region": "r", "path_prefix": "p"}
    changes = [
        {"access_key": "AK-2"},
        {"secret_key": "SK-2"},
        {"session_token": "T2"},
        {"bucket": "b2"},
        {"region": "r2"},
        {"path_prefix": "p2"},
        {"provider": "MinIO"},
        {"endpoint_url": "https://e.example"},
        {"public_url": "https://p.example"},
        {"read_only": "1"},
        {"locked": "1"},
    ]

    def mark(**changed):
        environ = {"bucket": "b", **start, **changed}
        return profile.fingerprint(opened(environ), variables(environ))

    marks = [mark(), *(mark(**change) for change in changes)]
    assert len(set(marks)) == len(marks)
    assert mark() == marks[0]
    assert all(len(mark) == 16 and set(mark) <= set("0123456789abcdef") for mark in marks)


def test_a_fingerprint_never_raises_and_follows_the_error(opened, file):
    found = opened({}, PAIR)
    file.write_text("{")
    broken = profile.fingerprint(found, {})
    assert broken == profile.fingerprint(found, {})
    file.unlink()
    assert profile.fingerprint(found, {}) != broken


@pytest.mark.skipif(os.name == "nt", reason="paths of Windows are Unicode")
def test_a_path_that_is_no_unicode_does_no_harm(tmp_path):
    file = tmp_path / os.fsdecode(b"\xff.json")
    file.write_text(json.dumps({"profiles": {"team": {"bucket": "b", **PAIR}}}))
    found = profile.resolve("team", {}, file, {})
    assert profile.unlock(found, {})[1].digest()
    first = profile.fingerprint(found, {})
    file.write_text("{")
    assert profile.fingerprint(found, {}) != first


def test_a_profile_cannot_be_changed_and_says_what_it_is(opened):
    found = opened({}, {})
    with pytest.raises(AttributeError):
        found.bucket = "c"
    assert str(found) == "Cloud Storage Profile 'team': bucket 'b' at AWS S3"
    assert found == opened({}, {})


# ------------------------------------------------------------ the default profile

HOME, WORK = {"bucket": "home", **PAIR}, {"bucket": "work", "access_key": "AK-w", "secret_key": "SK-w"}


def described(file, environ=None, widgets=None, name="(env vars)"):
    found = profile.resolve(name, widgets or {}, file, variables(environ or {}))
    now, key = profile.unlock(found, variables(environ or {}))
    assert now == found
    return found.name, found.bucket, key.reveal()[0]


@pytest.mark.parametrize("name", ["", "(env vars)"])
def test_profiles_json_alone_is_enough(file, name):
    file.write_text(json.dumps({"profiles": {"home": HOME}}))
    assert described(file, name=name) == ("home", "home", "AK-file")
    assert described(file, {"read_only": "1"}, name=name)[0] == "home", "what is neither a bucket nor a key"
    assert described(file, {}, {"bucket": "other"}, name=name) == ("home", "other", "AK-file")


@pytest.mark.parametrize("default", ["home", "work"])
def test_of_several_profiles_the_file_may_name_the_default(file, default):
    file.write_text(json.dumps({"default": default, "profiles": {"home": HOME, "work": WORK}}))
    assert described(file)[:2] == (default, default)
    assert settings.profile_names(file) == ["(env vars)", "home", "work"]


def test_of_several_profiles_none_is_guessed(file):
    file.write_text(json.dumps({"profiles": {"home": HOME, "work": WORK}}))
    message = refusal(profile.resolve, "", {}, file, {})
    assert message.startswith(f"No profile is chosen, and {ON_SERVER} has several: home, work.")
    assert '"default": "home"' in message


@pytest.mark.parametrize("given", [{"bucket": "b"}, {"auth": "anonymous"}, ENVIRON_PAIR])
@pytest.mark.parametrize("default", ["", "home"])
def test_an_environment_that_names_a_bucket_or_a_key_is_used_as_it_is(file, given, default):
    file.write_text(json.dumps({"default": default, "profiles": {"home": HOME}}))
    found = profile.resolve("", {"bucket": "c"}, file, variables(given))
    assert (found.name, found.bucket) == (settings.ENVIRONMENT, "c")
    if "bucket" not in given:
        message = refusal(profile.resolve, "", {}, file, variables(given))
        assert message.startswith("No bucket is set. Choose a profile (home) in Cloud Storage Profile, or")


@pytest.mark.parametrize("default", ["gone", 5, ["home"], {"home": 1}])
def test_a_default_that_is_no_profile_is_an_error(file, default):
    file.write_text(json.dumps({"default": default, "profiles": {"home": HOME}}))
    assert "default in profiles.json on the server is not the name of a profile" in refusal(
        profile.resolve, "", {}, file, {}
    )


def test_a_default_profile_that_is_locked_takes_nothing_from_a_node(file):
    file.write_text(json.dumps({"profiles": {"home": {**HOME, "locked": True}}}))
    assert "is locked" in refusal(profile.resolve, "(env vars)", {"bucket": "c"}, file, {})


def test_the_settings_of_the_library_are_merged_like_all_others(tmp_path):
    from cloud_storage.config.settings import OFFER, ON_DEMAND, ModelSettings

    file = tmp_path / "profiles.json"
    file.write_text('{"profiles": {"a": {"bucket": "b", "models_prefix": "/", "models_budget_gb": 0}}}')
    environ = {
        "COMFY_S3_BUCKET": "c",
        "COMFY_S3_MODELS": "on demand",
        "COMFY_S3_MODELS_PREFIX": "/team/models",
    }
    assert profile.resolve("", {}, file, {"COMFY_S3_BUCKET": "c"}).models == ModelSettings(OFFER, "models/")
    assert profile.resolve("", {}, file, environ).models == ModelSettings(ON_DEMAND, "team/models/")
    assert profile.resolve("a", {}, file, environ).models == ModelSettings(ON_DEMAND, "", 0.0)


def test_the_settings_of_the_mirror_are_merged_like_all_others(tmp_path):
    from cloud_storage.config.settings import MirrorSettings

    file = tmp_path / "profiles.json"
    file.write_text('{"profiles": {"a": {"bucket": "b", "mirror_prefix": "/", "mirror": ""}}}')
    environ = {"COMFY_S3_BUCKET": "c", "COMFY_S3_MIRROR": "output", "COMFY_S3_MIRROR_EXCLUDE": "*.json, x/*"}
    assert profile.resolve("", {}, file, {"COMFY_S3_BUCKET": "c"}).mirror == MirrorSettings()
    excluded = ("*.json", "x/*")
    assert profile.resolve("", {}, file, environ).mirror == MirrorSettings(("output",), exclude=excluded)
    assert profile.resolve("a", {}, file, environ).mirror == MirrorSettings(("output",), "", excluded)
