"""What a workflow that somebody else wrote cannot do, and where no secret is, seen from the nodes."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import struct
import traceback
import urllib.parse
import zlib
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from cloud_storage import errors
from cloud_storage.comfyui import cloud_files, folders, results, video
from cloud_storage.config import profiles_file
from cloud_storage.loading import object_cache
from cloud_storage.media.image import image_batch, image_decoder
from cloud_storage.storage import connect, connection_test
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT, lines_of, outputs_of, run_node
from odd_images import odd_images
from servers.fault_proxy import FaultProxy

TOKEN = "a-session-token-nobody-may-see"


pytestmark = pytest.mark.usefixtures("impatient")


def pictures(count=1):
    return torch.rand((count, 16, 16, 3), generator=torch.Generator().manual_seed(count))


def save(**inputs):
    return run_node("SaveImageToCloud", images=pictures(), **inputs)


def profiles(**entries):
    """Write profiles.json; each entry is the environment's settings with changes."""
    known = {
        name.removeprefix("COMFY_S3_").lower(): value
        for name, value in os.environ.items()
        if name.startswith("COMFY_S3_")
    }
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {name: {**known, **entry} for name, entry in entries.items()}}))
    file.chmod(0o600)
    return file


def everything_below(folder):
    return b"".join(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())


# ------------------------------------------------------------ secrets


@pytest.mark.parametrize("through", ["the environment", "a profile"])
def test_a_save_that_fails_shows_no_secret_anywhere(
    cloud, fast_place, tmp_path, caplog, through, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    target = urllib.parse.urlsplit(fast_place.environ["COMFY_S3_ENDPOINT_URL"])
    secret = fast_place.secret
    with FaultProxy(target.hostname, target.port) as proxy:
        proxy.refuse()
        changes = {"endpoint_url": proxy.url, "session_token": TOKEN}
        if through == "a profile":
            profiles(renders=changes)
            wire = run_node("CloudStorageProfile", profile="renders")[0]
        else:
            for name, value in changes.items():
                monkeypatch.setenv(f"COMFY_S3_{name.upper()}", value)
            wire = None
        inputs = {"profile": wire, "link": "presigned", "prompt": {"1": {"inputs": {}}}}
        with pytest.raises(errors.Unreachable) as told:
            save(**inputs)
        shown = run_node("SaveImageToCloud", images=pictures(), on_failure="keep and go on", **inputs)
        report = outputs_of("RetryPendingUploads", profile=wire)
    assert outputs_of("RetryPendingUploads")[1] == 2, "there is something that could show it"
    frames = "".join(
        str(frame.f_locals)
        for error in (told.value, told.value.__cause__)
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if Path(frame.f_code.co_filename).parent == ROOT
    )
    own = [record.getMessage() for record in caplog.records if record.name.startswith("cloud_storage")]
    for place in (
        *("".join(traceback.format_exception(told.value)), repr(told.value), str(inputs), frames),
        *(str(shown["result"][:2]), str(shown["ui"]), str(report), "".join(own)),
        everything_below(tmp_path / "output").decode("latin-1"),
        everything_below(tmp_path / "temp").decode("latin-1"),
    ):
        assert secret not in place
        assert TOKEN not in place
        assert "Signature" not in place


def test_a_presigned_link_is_in_its_output_and_on_its_node_and_nowhere_else(cloud, comfyui, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    prompt = {"1": {"class_type": "SaveImageToCloud", "inputs": {"link": "presigned"}}}
    done = save(link="presigned", prompt=prompt, extra_pnginfo={"workflow": {}}, unique_id="1")
    urls, keys, _ = done["result"]
    signature = urls.rpartition("ignature=")[2][:20]
    assert len(signature) == 20
    for place in (
        cloud.read(keys[0]).decode("latin-1"),
        everything_below(tmp_path).decode("latin-1"),
        caplog.text,
        str(comfyui.texts),
        str(done["ui"]["images"]),
        keys[0],
    ):
        assert signature not in place
    assert set(done["ui"]) == {"images", results.LINES, cloud_files.CLOUD_FILES}
    assert signature in lines_of(done)[1]
    (file,) = done["ui"][cloud_files.CLOUD_FILES]
    assert file.pop("url") == urls
    assert signature not in str(file)


# ------------------------------------------------------------ another host, file, key or profile


@pytest.mark.parametrize(
    "widget", ["endpoint_url", "ca_file", "access_key", "account_id", "public_url", "auth"]
)
def test_the_profile_node_has_no_input_for_what_belongs_to_the_server(comfyui, widget):
    import cloud_storage

    declared = cloud_storage.NODE_CLASS_MAPPINGS["CloudStorageProfile"].INPUT_TYPES()
    assert widget not in {**declared["required"], **declared["optional"]}


HOSTS = ["evil.example.com/", "x@evil.example.com", "a.b", "..", "a/b", "%2e", "ａ", "a\nb"]


@pytest.mark.parametrize("value", HOSTS)
def test_a_region_from_a_workflow_bends_no_endpoint(cloud, value):
    with pytest.raises(errors.ConfigurationError):
        run_node("CloudStorageProfile", profile="(env vars)", provider="AWS S3", region=value)


@pytest.mark.parametrize("value", ["evil.example.com/b", "b@evil.example.com", "../b", "b?x", "b#x", "b\nc"])
def test_a_bucket_from_a_workflow_bends_no_endpoint(cloud, value):
    with pytest.raises(errors.ConfigurationError):
        run_node("CloudStorageProfile", profile="(env vars)", bucket=value)


def test_another_provider_from_a_workflow_does_not_get_requests_to_the_server_s_own_endpoint(cloud):
    wire = run_node("CloudStorageProfile", profile="(env vars)", provider="Wasabi")[0]
    assert wire.endpoint_url == "https://s3.us-east-1.wasabisys.com"


def test_a_profile_on_a_wire_that_was_made_up_is_read_anew_from_the_server_s_settings(cloud):
    profiles(renders={})
    wire = run_node("CloudStorageProfile", profile="renders")[0]
    forged = dataclasses.replace(
        wire, endpoint_url="http://127.0.0.1:9", bucket="other", path_prefix="", name="renders"
    )
    opened = connect.connect(forged)
    assert (opened.endpoint, opened.bucket) == (wire.endpoint_url, wire.bucket)
    assert opened.path_prefix == cloud.path_prefix
    with pytest.raises(errors.ConfigurationError, match="may not set"):
        connect.connect(dataclasses.replace(wire, overrides={"endpoint_url": "http://127.0.0.1:9"}))


NAMES = ["../x", "a/../../x", "..\\x", "/../x", "a/./b", "x\0"]


@pytest.mark.parametrize("name", NAMES)
def test_no_key_leaves_the_profile_s_prefix(cloud, name):
    for attempt in (
        lambda: save(filename=name),
        lambda: save(key_prefix=name, filename="x"),
        lambda: run_node("LoadImageFromCloud", key=name),
        lambda: run_node("LoadVideoFromCloud", key=name),
        lambda: run_node("GeneratePresignedURL", key=name),
        lambda: run_node("ListBucketContents", prefix=name),
    ):
        with pytest.raises((errors.ConfigurationError, errors.NotFound)):
            attempt()
    assert list(cloud.list()) == []


def test_what_a_widget_of_the_workflow_brings_into_a_name_does_not_leave_it_either(cloud):
    prompt = {"7": {"class_type": "Text", "inputs": {"text": "../../x"}}}
    (key,) = save(filename="%Text.text%", prompt=prompt)["result"][1]
    assert key.startswith("comfyui/images/")
    assert ".." not in key.split("/")


# ------------------------------------------------------------ locked and read_only


@pytest.mark.parametrize(
    "widget", [{"bucket": "b"}, {"path_prefix": "x"}, {"region": "r"}, {"provider": "MinIO"}]
)
def test_locked_holds_against_widgets_and_against_wires_from_before(cloud, widget):
    profiles(renders={})
    wire = run_node("CloudStorageProfile", profile="renders", **widget)[0]
    profiles(renders={"locked": True})
    with pytest.raises(errors.ConfigurationError, match="locked"):
        run_node("CloudStorageProfile", profile="renders", **widget)
    for node_id, inputs in (
        ("SaveImageToCloud", {"images": pictures()}),
        ("LoadImageFromCloud", {"key": "a.png"}),
        ("ListBucketContents", {}),
        ("GeneratePresignedURL", {"key": "a.png"}),
    ):
        with pytest.raises(errors.ConfigurationError, match="locked"):
            run_node(node_id, profile=wire, **inputs)


def test_read_only_holds_against_every_node_that_writes_and_the_outbox(cloud):
    profiles(renders={})
    wire = run_node("CloudStorageProfile", profile="renders")[0]
    profiles(renders={"read_only": True})
    with pytest.raises(errors.ConfigurationError, match="read-only"):
        run_node("SaveImageToCloud", images=pictures(), profile=wire)
    assert outputs_of("RetryPendingUploads")[:2] == (0, 1)
    report = outputs_of("TestCloudConnection", profile=wire)[0]
    assert "read-only" in report
    assert list(cloud.list()) == []


# ------------------------------------------------------------ profiles.json


@pytest.mark.skipif(os.name == "nt", reason="rights are kept elsewhere there")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o666, 0o604])
def test_a_profiles_file_that_others_may_read_is_reported_once(cloud, caplog, monkeypatch, mode):
    monkeypatch.setattr(connect, "_warned", set())
    file = profiles(renders={})
    file.chmod(mode)
    wire = run_node("CloudStorageProfile", profile="renders")[0]
    report = outputs_of("TestCloudConnection", profile=wire)[0]
    assert f"mode is {mode:o}" in report
    assert "chmod 600" in report
    run_node("SaveImageToCloud", images=pictures(), profile=wire)
    warned = [record for record in caplog.records if "chmod 600" in record.getMessage()]
    assert len(warned) == 1


def test_a_profiles_file_of_its_owner_alone_is_not_reported(cloud, tmp_path):
    file = profiles(renders={})
    assert profiles_file.permission_warning(file) == ""
    assert profiles_file.permission_warning(tmp_path / "none.json") == ""
    assert "Warning" not in outputs_of("TestCloudConnection")[0]
    assert connection_test.permission_warning is profiles_file.permission_warning


# ------------------------------------------------------------ hostile media


def bomb(width, height):
    """A PNG of a few bytes that says it has so many pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"")
    chunks = (header, body, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


@pytest.mark.parametrize("node_id", ["LoadImageFromCloud", "LoadMaskFromCloud"])
@pytest.mark.parametrize("core", ["Pillow", "FFmpeg"])
def test_an_image_of_more_pixels_than_fit_is_refused_unread(cloud, monkeypatch, node_id, core):
    asked = []
    if core == "FFmpeg":
        monkeypatch.setattr(
            video, "image_reader", lambda path: lambda container: asked.append(path) or torch.zeros(1)
        )
    cloud.put("bomb.png", bomb(60_000, 60_000), PutOptions(content_type="image/png"), Meter())
    with pytest.raises(errors.MediaError, match=r"bomb\.png.*pixels.*smaller"):
        run_node(node_id, key="bomb.png")
    assert asked == []


def test_frames_that_fit_one_by_one_and_not_together_are_refused_before_ffmpeg_reads_them(
    monkeypatch, tmp_path
):
    path = tmp_path / "animated.gif"
    path.write_bytes(odd_images()["animated.gif"])
    monkeypatch.setattr(image_batch, "MAX_PIXELS", 3000)
    with pytest.raises(errors.MediaError, match="pixels"):
        image_decoder.ImageFile(path, reader=lambda _: pytest.fail("it was read")).decode()


def test_an_object_that_is_too_large_for_an_image_is_refused_before_it_travels(cloud, monkeypatch):
    cloud.put("model.safetensors", bytes(5000), PutOptions(), Meter())
    monkeypatch.setattr(object_cache, "OBJECT_MAX_BYTES", 4999)
    monkeypatch.setattr(type(cloud), "_open", lambda *_: pytest.fail("it was asked for"))
    with pytest.raises(errors.MediaError, match=r"5,000 bytes.*Choose an image\."):
        run_node("LoadImageFromCloud", key="model.safetensors")


def test_a_signed_address_is_no_longer_valid_than_asked(cloud):
    url = cloud.signed_url("a.png", timedelta(hours=1))
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert next(value for name, value in query.items() if name.lower().endswith("expires")) == "3600"
