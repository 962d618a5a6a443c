from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import types

import pytest
from cloud_storage import profile, providers
from cloud_storage.errors import ConfigurationError
from cloud_storage.storage import base, connect
from conftest import ROOT

KEYS = {"COMFY_S3_ACCESS_KEY": "AK", "COMFY_S3_SECRET_KEY": "SK"}
ENVIRON = {"COMFY_S3_PROVIDER": "MinIO", "COMFY_S3_BUCKET": "b", **KEYS}


class Recorded:
    """A storage that sends nothing and remembers what it was built from; ``built`` counts all of them."""

    built = 0
    fault: Exception | None = None
    begun = staticmethod(lambda: None)

    def __init__(self, settings, row, credentials):
        type(self).built += 1
        self.begun()
        if self.fault:
            raise self.fault
        self.settings, self.row, self.credentials = settings, row, credentials


@pytest.fixture
def recorded(monkeypatch):
    """A backend of the name s3 that builds nothing but Recorded, and an empty cache."""
    kind = type("Fresh", (Recorded,), {"built": 0})
    module = types.ModuleType("cloud_storage.storage.recorded")
    module.Fresh = kind
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(connect.BACKENDS, "s3", ("recorded", "Fresh"))
    monkeypatch.setattr(connect, "_open", type(connect._open)())
    return kind


@pytest.fixture
def file(tmp_path):
    return tmp_path / "profiles.json"


def opened(file, **changes):
    environ = {**ENVIRON, **{f"COMFY_S3_{name.upper()}": value for name, value in changes.items()}}
    return connect.connect(profile.resolve("", {}, file, environ), environ)


# ------------------------------------------------------------ one client for each


def test_equal_settings_and_credentials_share_a_client(recorded, file):
    assert opened(file) is opened(file)
    assert recorded.built == 1


@pytest.mark.parametrize(
    "change",
    [
        {"access_key": "AK2"},
        {"secret_key": "SK2"},
        {"session_token": "T"},
        {"auth": "anonymous", "access_key": "", "secret_key": ""},
        {"bucket": "c"},
        {"path_prefix": "p"},
        {"region": "r"},
        {"endpoint_url": "http://localhost:9001"},
        {"public_url": "https://cdn.example"},
        {"read_only": "1"},
    ],
)
def test_whatever_differs_gets_a_client_of_its_own(recorded, file, change):
    first = opened(file)
    assert opened(file, **change) is not first
    assert opened(file) is first


def test_a_rotated_key_counts_at_once_for_a_profile_that_is_wired_already(recorded, file):
    def write(secret):
        file.write_text(json.dumps({"profiles": {"team": {"access_key": "AK", "secret_key": secret}}}))

    write("old")
    wire = profile.resolve("team", {}, file, ENVIRON)
    assert connect.connect(wire, ENVIRON).credentials.reveal()[1] == "old"
    write("new")
    assert connect.connect(wire, ENVIRON).credentials.reveal()[1] == "new"
    file.unlink()
    with pytest.raises(ConfigurationError, match="team"):
        connect.connect(wire, ENVIRON)


def test_threads_that_ask_at_the_same_time_get_the_same_client(recorded, file):
    together, second, found = threading.Barrier(8), threading.Barrier(2), []

    def wait_for_a_second_one():
        with contextlib.suppress(threading.BrokenBarrierError):
            second.wait(0.2)  # seconds that the test loses where all is well: no second one ever comes

    recorded.begun = staticmethod(wait_for_a_second_one)

    def ask():
        together.wait()
        found.append(opened(file))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == recorded.built == 1


def test_the_least_recently_used_clients_are_let_go(recorded, file):
    buckets = [f"bucket-{number}" for number in range(connect.CACHED_CLIENTS)]
    clients = {bucket: opened(file, bucket=bucket) for bucket in buckets}
    assert opened(file, bucket=buckets[0]) is clients[buckets[0]]
    opened(file, bucket="one-more")
    assert len(connect._open) == connect.CACHED_CLIENTS
    assert opened(file, bucket=buckets[0]) is clients[buckets[0]]
    assert opened(file, bucket=buckets[1]) is not clients[buckets[1]]


def test_a_client_that_could_not_be_built_is_tried_again(recorded, file):
    recorded.fault = ConfigurationError("no")
    with pytest.raises(ConfigurationError):
        opened(file)
    recorded.fault = None
    assert opened(file).row.name == "MinIO"


def test_an_input_without_a_wire_means_the_environment(recorded, file, monkeypatch):
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert connect.storage_of(None, file).settings.bucket == "b"
    wire = profile.resolve("", {"bucket": "c"}, file)
    assert connect.storage_of(wire, file).settings.bucket == "c"


# ------------------------------------------------------------ path_prefix


@pytest.mark.parametrize(
    ("typed", "prefix"),
    [
        *(("", ""), ("/", ""), ("//", "")),
        *(("team", "team/"), ("team/", "team/"), ("/team/a", "team/a/"), ("team//", "team/")),
        *((" team ", "team/"), ("my team/ü", "my team/ü/"), ("...", ".../")),
    ],
)
def test_a_path_prefix_is_a_folder_in_front_of_every_key(recorded, file, typed, prefix):
    assert opened(file, path_prefix=typed).settings.path_prefix == prefix


@pytest.mark.parametrize("typed", ["..", "../other", "a/../b", "a/.", "a\\b", "ü" * 600])
def test_a_path_prefix_that_would_leave_its_folder_is_refused(recorded, file, typed):
    with pytest.raises(ConfigurationError, match="path_prefix from the environment is wrong"):
        opened(file, path_prefix=typed)
    assert recorded.built == 0


def test_keys_come_back_without_the_prefix_that_was_put_in_front_once(file):
    storage = opened(file, path_prefix="team")
    assert storage.path_prefix == "team/"
    assert storage.url("a.png").endswith("/b/team/a.png")
    assert storage._relative(storage._full("a.png")) == "a.png"


# ------------------------------------------------------------ the SDKs


def run(program):
    """What a fresh interpreter prints that has loaded the package and then runs ``program``."""
    loading = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
sys.dont_write_bytecode = True
import conftest
from pathlib import Path
from cloud_storage.storage import base, connect
from cloud_storage import errors, profile
def opened(**environ):
    environ = {{f"COMFY_S3_{{name.upper()}}": value for name, value in environ.items()}}
    return connect.connect(profile.resolve("", {{}}, Path("none.json"), environ), environ)
"""
    command = [sys.executable, "-c", loading + program]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    ).stdout


@pytest.mark.parametrize(
    ("missing", "provider"), [("boto3", "AWS S3"), ("botocore", "MinIO"), ("oss2", "Aliyun OSS")]
)
def test_without_its_sdk_a_provider_says_how_to_install_it(missing, provider):
    said = run(f"""
sys.modules[{missing!r}] = None
try:
    opened(provider={provider!r}, bucket="bucket", access_key="AK", secret_key="SK")
except errors.MissingDependency as error:
    assert isinstance(error, ImportError) and isinstance(error, ValueError)
    print(error)
""")
    assert "pip install" in said
    assert {"botocore": "boto3"}.get(missing, missing) in said
    assert provider in said


def test_a_provider_imports_the_sdk_that_it_needs_and_no_other():
    watched = "{'boto3', 'botocore', 'oss2', 'requests', 'PIL'}"
    said = run(f"""
print(sorted({watched} & set(sys.modules)))
opened(provider="MinIO", bucket="bucket", access_key="AK", secret_key="SK")
print(sorted({watched} & set(sys.modules)))
""")
    assert said.splitlines() == ["[]", "['boto3', 'botocore']"]


def test_every_provider_has_a_backend():
    for row in map(providers.provider, providers.names()):
        assert row.backend in connect.BACKENDS


def test_a_client_that_takes_long_to_build_holds_up_no_other_profile(recorded, file):
    begun, other_is_open, were_open = threading.Event(), threading.Event(), []
    known = opened(file)

    def build():
        if not begun.is_set():
            begun.set()
            were_open.append(other_is_open.wait(30))

    recorded.begun = staticmethod(build)
    slow = threading.Thread(target=opened, args=(file,), kwargs={"bucket": "slow"})
    slow.start()
    assert begun.wait(30)
    assert opened(file) is known
    opened(file, bucket="another")
    other_is_open.set()
    slow.join()
    assert were_open == [True], "the other profiles waited for this one"


@pytest.mark.parametrize("name", sorted(base.Storage.__abstractmethods__))
def test_a_storage_that_cannot_be_opened_raises_why_from_every_method(name):
    storage = connect.unopened(ConfigurationError("No bucket is set."))
    with pytest.raises(ConfigurationError, match="No bucket is set"):
        getattr(storage, name)("a")
