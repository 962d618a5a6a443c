from __future__ import annotations

import json
import threading

import pytest
from cloud_storage import errors, nodes_profile
from cloud_storage.comfyui import folders, status_text
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.storage.connection_test import TEST_KEY_START
from cloud_storage.system.meter import Meter
from conftest import lines_of, of_a_list, outputs_of, run_node


def write_profiles(**profiles):
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": profiles}))


def test_the_drop_down_follows_the_file(comfyui):
    def offered():
        return nodes_profile.CloudStorageProfile.INPUT_TYPES()["required"]["profile"][0]

    assert offered() == ["(env vars)"]
    write_profiles(team={"bucket": "b"}, mine={"bucket": "c"})
    assert offered() == ["(env vars)", "team", "mine"]
    folders.profiles_file().write_text('{"profiles": {"te')
    assert offered() == ["(env vars)"]


@pytest.fixture
def connected(comfyui, monkeypatch):
    """The profiles that are connected, as they are, and an event for the first."""
    seen, first = [], threading.Event()

    def note(profile):
        seen.append((profile.name, threading.current_thread() is threading.main_thread()))
        first.set()
        raise errors.ConfigurationError("No key. Set one.")

    monkeypatch.setattr(connect, "connect", note)
    return seen, first


def test_a_profile_is_connected_beside_the_graph_as_soon_as_it_is_chosen(connected):
    seen, first = connected
    write_profiles(team={"provider": "MinIO", "endpoint_url": "http://localhost:1", "bucket": "b"})
    run_node("CloudStorageProfile", profile="team")
    assert first.wait(60)
    assert seen == [("team", False)]


def test_a_configured_profile_is_connected_after_the_start_and_no_other(connected):
    seen, first = connected
    nodes_profile.connect_ahead()
    write_profiles(a={"bucket": "b"}, b={"bucket": "b"})
    nodes_profile.connect_ahead()
    file = folders.profiles_file()
    bucket = {"provider": "MinIO", "endpoint_url": "http://localhost:1", "bucket": "b"}
    file.write_text(json.dumps({"default": "mine", "profiles": {"mine": bucket}}))
    nodes_profile.connect_ahead()
    assert first.wait(60)
    assert seen == [("mine", False)]


def test_an_unknown_or_unreadable_profile_says_so_when_it_is_used(comfyui):
    assert nodes_profile.CloudStorageProfile.VALIDATE_INPUTS(profile="gone", provider="gone") is True
    with pytest.raises(errors.ConfigurationError, match="gone"):
        run_node("CloudStorageProfile", profile="gone")
    write_profiles(team={"bucket": "b"})
    folders.profiles_file().write_text('{"profiles": {"te')
    with pytest.raises(errors.ConfigurationError, match=r"profiles\.json on the server is not valid JSON"):
        run_node("CloudStorageProfile", profile="team")
    assert isinstance(nodes_profile.CloudStorageProfile.IS_CHANGED(profile="team"), str)


def test_a_wired_profile_is_used_by_other_nodes(cloud, comfyui, fast_place):
    prefix = cloud.path_prefix
    (wire,) = run_node("CloudStorageProfile", path_prefix=f"{prefix}wired/")
    cloud.put("wired/x.txt", b"12", PutOptions(), Meter())
    assert outputs_of("ListBucketContents", prefix="", profile=wire)[1] == ["x.txt"]
    assert fast_place.secret not in repr(wire) + str(wire) + repr(vars(wire))


def test_is_changed_follows_every_setting_and_shows_none(cloud, monkeypatch, fast_place):
    node = nodes_profile.CloudStorageProfile
    first = node.IS_CHANGED(profile="(env vars)")
    assert first == node.IS_CHANGED(profile="(env vars)")
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "another-secret")
    second = node.IS_CHANGED(profile="(env vars)")
    monkeypatch.setenv("COMFY_S3_BUCKET", "another-bucket")
    third = node.IS_CHANGED(profile="(env vars)")
    assert len({first, second, third}) == 3
    assert "another" not in first + second + third


def test_the_report_of_a_good_profile(cloud, comfyui, fast_place):
    (report,) = outputs_of("TestCloudConnection", unique_id="2")
    assert "works" in report.splitlines()[0]
    for word in (
        fast_place.environ["COMFY_S3_PROVIDER"],
        fast_place.bucket,
        cloud.endpoint,
        "the environment",
    ):
        assert word in report
    for what in ("list", "write", "read", "create", "delete", "share"):
        assert f"✓ {what}" in report, report
    assert "ms" in report
    assert fast_place.secret not in report
    assert comfyui.texts[-1][0] == status_text.safe(report)
    assert list(cloud.list()) == []


def test_connection_tests_side_by_side_do_not_disturb_each_other(cloud, monkeypatch):
    everybody = threading.Barrier(3)
    real, written = type(cloud).put, []

    def put(self, key, *arguments, create=False):
        info = real(self, key, *arguments, create=create)
        if not create:
            written.append(key)
            everybody.wait()
        return info

    monkeypatch.setattr(type(cloud), "put", put)
    for result in of_a_list("TestCloudConnection", [{}] * 3):
        (report,) = result["result"]
        assert "✗" not in report, report
    assert len(set(written)) == 3
    assert all(key.startswith(TEST_KEY_START) for key in written), "what a policy may name"
    assert list(cloud.list()) == []


def test_a_report_is_shown_line_by_line(cloud):
    tested = run_node("TestCloudConnection")
    assert lines_of(tested) == tested["result"][0].splitlines()


def levels_of(done):
    """The level of each line that a node shows, "" for one that has none."""
    return ["" if isinstance(line, str) else line[1].get("level", "") for line in done["ui"]["cloud_storage"]]


def test_a_report_begins_with_its_result_and_what_works_and_ends_with_the_settings(cloud):
    tested = run_node("TestCloudConnection")
    lines = lines_of(tested)
    assert lines[0].endswith(": works")
    assert [line[:1] for line in lines[1:7]] == ["✓"] * 6
    assert lines[7].startswith("Provider")
    assert set(levels_of(tested)) == {""}


def test_a_report_of_what_does_not_work_is_red_and_of_what_works_in_part_is_a_warning(cloud, monkeypatch):
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    part = run_node("TestCloudConnection")
    assert lines_of(part)[0].endswith(": works, but not write")
    assert levels_of(part)[0] == "warning"
    monkeypatch.setenv("COMFY_S3_BUCKET", "there-is-no-such-bucket")
    nothing = run_node("TestCloudConnection")
    assert "does NOT work" in lines_of(nothing)[0]
    assert levels_of(nothing)[0] == "error"
    for line, level in zip(lines_of(nothing), levels_of(nothing), strict=True):
        assert (level == "error") == (line.startswith("✗") or "does NOT work" in line), line


def test_the_report_of_a_wrong_secret_says_what_to_do(cloud, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    (report,) = outputs_of("TestCloudConnection")
    assert "does NOT work" in report
    assert "✗ list" in report
    assert "secret key of the profile" in report
    assert "wrong-secret" not in report


def test_a_read_only_profile_is_not_written_to(cloud, monkeypatch):
    monkeypatch.setenv("COMFY_S3_READ_ONLY", "1")
    (report,) = outputs_of("TestCloudConnection")
    assert "read-only" in report
    assert list(cloud.list()) == []
