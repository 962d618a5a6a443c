"""Whatever the wire, an error, a log or IS_CHANGED shows, it is no part of a key."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import logging
import pickle
import pprint
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from cloud_storage import nodes_profile, profile
from cloud_storage.comfyui import folders
from cloud_storage.config import settings
from cloud_storage.errors import ConfigurationError
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT

SECRETS = {
    "access_key": "AKIA-nobody-may-see",
    "secret_key": "S3cr3t/nobody+may=see",
    "session_token": "T0ken-nobody-may-see",
}
OTHERS = {
    name: f"{value}-either" for name, value in SECRETS.items()
}  # of the environment; SECRETS are in the file
SETTINGS = {"provider": "MinIO", "bucket": "b", "path_prefix": "team", "upload": {"metadata": {"a": "b"}}}


def hidden(text):
    """Whether no secret is in ``text``, neither as it is nor in base64 of any alignment."""
    return not any(core in str(text) for core in ("nobody", "S3cr3t", "bm9ib2R5", "5vYm9ke", "ub2JvZH"))


def test_the_search_finds_a_secret():
    assert not any(hidden(text) for text in (*SECRETS.values(), *OTHERS.values(), pickle.dumps(SECRETS)))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


@pytest.fixture
def written(file, monkeypatch):
    """``written(changes)`` puts a profile with a key into the file, and another key into the environment."""

    def write(changes=None, content=None, **environ):
        entry = {**SETTINGS, **SECRETS, **(changes or {})}
        whole = json.dumps(
            {"profiles": {"team": {name: value for name, value in entry.items() if value is not None}}}
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content or whole.encode())
        for name, value in {**OTHERS, **environ}.items():
            monkeypatch.setenv(f"COMFY_S3_{name.upper()}", value)
        return file

    return write


# ------------------------------------------------------------ the wire

SHOWN = {
    "str": str,
    "repr": repr,
    "format": lambda value: f"{value} {value!s:>99} {value!r}",
    "percent": lambda value: "%s %r" % (value, value),  # noqa: UP031
    "pprint": pprint.pformat,
    "members": lambda value: repr(inspect.getmembers(value)) + repr(dir(value)),
    "list": lambda value: str([{"profile": value}]),
    "json with a default": lambda value: json.dumps(value, default=str) + json.dumps([value], default=repr),
    "hash or none": lambda value: str(value.__hash__),
}
OPENED = {
    "vars": lambda value: repr(vars(value)),
    "asdict": lambda value: (
        repr(dataclasses.asdict(value)) + json.dumps(dataclasses.asdict(value), default=str)
    ),
    "astuple": lambda value: repr(dataclasses.astuple(value)),
    "pickle": lambda value: "".join(
        pickle.dumps(value, protocol).decode("latin-1") for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    ),
    "copy": lambda value: repr(vars(copy.copy(value))) + repr(vars(copy.deepcopy(value))),
    "replace": lambda value: repr(dataclasses.replace(value, bucket="c")),
    "state": lambda value: repr(value.__reduce_ex__(4)),
}


@pytest.mark.parametrize("show", [*SHOWN.values(), *OPENED.values()], ids=[*SHOWN, *OPENED])
@pytest.mark.parametrize("name", ["team", ""])
def test_nothing_of_a_profile_shows_a_secret(written, show, name):
    wire = profile.resolve(name, {"bucket": "b"}, written())
    assert hidden(show(wire))


def test_a_profile_that_was_pickled_still_finds_its_key_and_brings_none(written):
    wire = pickle.loads(pickle.dumps(profile.resolve("team", {}, written())))
    assert profile.unlock(wire)[1].reveal() == tuple(SECRETS.values())


def test_json_refuses_a_profile(written):
    with pytest.raises(TypeError) as caught:
        json.dumps(profile.resolve("team", {}, written()))
    assert hidden(caught.value)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_nothing_of_credentials_shows_a_secret(written, show):
    key = profile.credentials(profile.resolve("team", {}, written()))
    assert key.reveal() == tuple(SECRETS.values())
    assert hidden(show(key))
    assert hidden(key.digest())
    assert hidden(profile.fingerprint_of(profile.resolve("team", {}, written()), key))


@pytest.mark.parametrize("show", OPENED.values(), ids=OPENED)
def test_credentials_are_neither_opened_nor_copied(written, show):
    key = profile.credentials(profile.resolve("team", {}, written()))
    with pytest.raises(TypeError) as caught:
        show(key)
    assert hidden(caught.value)


def test_python_shows_no_state_of_credentials(written):
    key = profile.credentials(profile.resolve("team", {}, written()))
    assert hidden(getattr(key, "__getstate__", str)())
    assert not hasattr(key, "__dict__")


def test_layers_show_the_names_of_settings_and_no_values(written):
    found = settings.layers("team", {}, written())
    assert all(hidden(show(found)) for show in SHOWN.values())
    assert all(hidden(pprint.pformat(layer.values)) for layer in found)


# ------------------------------------------------------------ errors

KEY = SECRETS["secret_key"]
BROKEN = {
    "a key beside another mode": {"changes": {"auth": "ambient"}},
    "half a pair": {"changes": {"access_key": None}},
    "a token alone": {"changes": {"access_key": None, "secret_key": None}},
    "half a pair in the environment": {"changes": dict.fromkeys(SECRETS), "access_key": ""},
    "a key left blank": {"changes": {**dict.fromkeys(SECRETS), "secret_key": ""}},
    "no key": {"changes": dict.fromkeys(SECRETS), **dict.fromkeys(SECRETS, "")},
    "an unknown provider": {"changes": {"provider": "S4"}},
    "an unknown field": {"changes": {"secret": KEY}},
    "an unknown field of upload": {"changes": {"upload": {"key": KEY}}},
    "no bucket": {"changes": {"bucket": None}},
    "no endpoint": {"changes": {"provider": "Custom"}},
    "no account": {"changes": {"provider": "Cloudflare R2"}},
    "a bad bucket": {"changes": {"bucket": "s3://b"}},
    "a bad region": {"changes": {"region": "a.b"}},
    "a bad mode": {"changes": {"auth": "none"}},
    "a bad flag": {"changes": {"locked": "perhaps"}},
    "a bad flag in the environment": {"changes": {}, "read_only": "perhaps"},
    "a bad path prefix": {"changes": {"path_prefix": "../x"}},
    "no ca_file": {"changes": {"ca_file": "/none.pem"}},
    "a key in two lines": {"changes": {"secret_key": f"{KEY}\n{KEY}"}},
    "an access key with a space": {"changes": {"access_key": f"{KEY} {KEY}"}},
    "a token in the environment with a space": {"changes": {}, "session_token": f"{KEY} {KEY}"},
    "a key as a list": {"changes": {"secret_key": [KEY]}},
    "a key as an object": {"changes": {"secret_key": {"key": KEY}}},
    "a key with a variable in it": {"changes": {"secret_key": KEY + "${HOME}"}},
    "a variable that is not set": {"changes": {"secret_key": "${NOT_SET_ANYWHERE}"}},
    "the bucket in the endpoint": {"changes": {"endpoint_url": "https://s3.example.com/b"}},
    "metadata as a number": {"changes": {"upload": {"metadata": {"a": 1}}}},
    "a file cut in half": {"content": json.dumps({"profiles": {"team": SECRETS}})[:-9].encode()},
    "a file in Latin-1": {
        "content": json.dumps({"profiles": {"ä": SECRETS}}, ensure_ascii=False).encode("latin-1")
    },
    "a key twice": {"content": b'{"profiles": {"team": {"secret_key": "nobody", "secret_key": "nobody"}}}'},
    "a list of profiles": {"content": json.dumps({"profiles": [SECRETS]}).encode()},
    "a list": {"content": json.dumps([{"team": SECRETS}]).encode()},
    "another profile": {"content": json.dumps({"profiles": {"other": SECRETS}}).encode()},
    "a profile that is a text": {
        "content": json.dumps({"profiles": {"team": "x", "other": SECRETS}}).encode()
    },
    "a profile that is a list": {"content": json.dumps({"profiles": {"team": [SECRETS]}}).encode()},
}
BROKEN_ADDRESSES = {
    "a password in the endpoint": {"changes": {"endpoint_url": f"https://user:{KEY}@s3.example.com"}},
    "a password in the endpoint's port": {"changes": {"endpoint_url": "https://user:nobody"}},
    "a password in the public address": {"changes": {"public_url": f"https://{KEY}@cdn.example.com"}},
    "a signed public address": {"changes": {"public_url": f"https://cdn.example.com/?token={KEY}"}},
}
WIDGETS = {
    "a widget for a key": {"secret_key": "x"},
    "a widget for an endpoint": {"endpoint_url": "x"},
    "a widget of a bad name": {"bucket": "../x"},
    "a widget of a locked profile": {"region": "r"},
}


def told(error):
    """Everything that may be shown of an error and of those it came from: words, arguments, attributes."""
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        error = error.__cause__ or error.__context__


def local_variables(error):
    """Those of this package's own functions on the way to an error, as a traceback with locals shows them."""
    while error is not None:
        walk = traceback.walk_tb(error.__traceback__)
        inside = [(frame, line) for frame, line in walk if Path(frame.f_code.co_filename).parent == ROOT]
        yield from (f"{name} = {value!r}" for frame, _ in inside for name, value in frame.f_locals.items())
        yield "".join(traceback.StackSummary.extract(iter(inside), capture_locals=True).format())
        error = error.__cause__ or error.__context__


def test_the_search_sees_the_local_variables_of_the_package(written):
    with pytest.raises(ConfigurationError) as caught:
        profile.resolve("gone", {}, written())
    assert any("name = 'gone'" in text for text in local_variables(caught.value))


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_no_error_shows_a_secret(written, broken):
    file = written(**broken)
    with pytest.raises(ConfigurationError) as caught:
        connect.connect(profile.resolve("team", {}, file))
    for text in (*told(caught.value), *local_variables(caught.value)):
        assert hidden(text)


@pytest.mark.parametrize("broken", BROKEN_ADDRESSES.values(), ids=BROKEN_ADDRESSES)
def test_no_error_about_an_address_shows_it(written, broken):
    file = written(**broken)
    with pytest.raises(ConfigurationError) as caught:
        profile.resolve("team", {}, file)
    for text in told(caught.value):
        assert hidden(text)


@pytest.mark.parametrize("overrides", WIDGETS.values(), ids=WIDGETS)
def test_no_error_about_a_widget_shows_a_secret(written, overrides):
    file = written({"locked": "region" in overrides})
    with pytest.raises(ConfigurationError) as caught:
        profile.resolve("team", overrides, file)
    for text in (*told(caught.value), *local_variables(caught.value)):
        assert hidden(text)


def test_a_file_that_breaks_later_shows_no_secret(written):
    wire = profile.resolve("team", {}, written())
    written(content=BROKEN["a file cut in half"]["content"])
    with pytest.raises(ConfigurationError) as caught:
        connect.connect(wire)
    for text in (*told(caught.value), *local_variables(caught.value)):
        assert hidden(text)


def test_an_error_below_connect_shows_no_secret_of_it(written, monkeypatch):
    monkeypatch.setitem(connect.BACKENDS, "s3", ("connect", "nothing_of_this_name"))
    monkeypatch.setattr(connect, "_open", type(connect._open)())
    with pytest.raises(AttributeError) as caught:
        connect.connect(profile.resolve("team", {}, written()))
    for text in (*told(caught.value), *local_variables(caught.value)):
        assert hidden(text)


# ------------------------------------------------------------ logs and IS_CHANGED


def test_no_log_shows_a_secret(written, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "cloud_storage")
    storage = connect.connect(profile.resolve("team", {}, written()))
    storage.url("a.png")
    assert not hidden(storage.signed_url("a.png", timedelta(hours=1))), (
        "a signed URL holds the key's id and token"
    )
    logging.getLogger("cloud_storage").warning("%s %r", storage, vars(storage))
    assert "S3Storage" in caplog.text
    own = [record.getMessage() for record in caplog.records if record.name.startswith("cloud_storage")]
    assert all(map(hidden, own))
    assert SECRETS["secret_key"] not in caplog.text, "the SDK logs ids and tokens, and no secret key"


@pytest.mark.parametrize(
    "broken", [{}, *BROKEN.values(), *BROKEN_ADDRESSES.values()], ids=["nothing", *BROKEN, *BROKEN_ADDRESSES]
)
def test_is_changed_shows_no_secret_and_no_digest_of_one(comfyui, written, monkeypatch, broken):
    monkeypatch.setattr(folders, "profiles_file", lambda: written(**broken))
    shown = nodes_profile.CloudStorageProfile.IS_CHANGED(profile="team")
    assert json.loads(json.dumps(shown)) == shown
    assert hidden(shown)
    if not broken:
        monkeypatch.setattr(profile, "_SALT", b"of another process")
        assert nodes_profile.CloudStorageProfile.IS_CHANGED(profile="team") != shown, "it is salted"


def test_debug_logging_of_the_host_does_not_bring_signatures_into_its_log(fast_place, caplog):
    storage = fast_place.open(path_prefix="log/")
    with caplog.at_level(logging.DEBUG):
        storage.put("a.txt", b"x", PutOptions(), Meter())
        storage.signed_url("a.txt", timedelta(hours=1))
    assert [record for record in caplog.records if record.name.startswith(("botocore", "oss2"))] == []
    assert "ignature" not in caplog.text
