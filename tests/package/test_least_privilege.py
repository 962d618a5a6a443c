"""Keys that may do only what they must: the nodes work with them, and say what is missing."""

from __future__ import annotations

import pytest
import torch
from cloud_storage import errors
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import make_place, outputs_of, run_node
from servers.s3_server import DELETE, LIST, READ, WRITE, allow

PREFIX = "team/"


@pytest.fixture
def limited(servers, comfyui, monkeypatch, tmp_path):
    """``limited(server, *actions)`` exports keys that may do only that, below PREFIX."""

    def make(kind, *actions):
        place = make_place(f"{kind}-http", servers, tmp_path / "profiles.json")
        if (
            kind == "ceph"
        ):  # its owner may do everything: the limited one is somebody else, let in by a policy
            policy = allow(place.bucket, *actions, prefix=PREFIX)
            keys = place.server.create_user()
            let_in(place, keys, policy)
        else:
            keys = place.server.create_user(allow(place.bucket, *actions, prefix=PREFIX))
        settings = place.settings(
            {"access_key": keys.access_key, "secret_key": keys.secret_key, "path_prefix": PREFIX}
        )
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return place

    return make


def let_in(place, keys, policy):
    import json

    user = next(
        one for one in place.server.admin("user", "list") if keys.access_key in str(user_keys(place, one))
    )
    statements = [
        {**statement, "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]}}
        for statement in policy["Statement"]
    ]
    place.server.client().put_bucket_policy(
        Bucket=place.bucket, Policy=json.dumps({**policy, "Statement": statements})
    )


def user_keys(place, user):
    return place.server.admin("user", "info", f"--uid={user}")["keys"]


def test_rights_below_the_prefix_are_enough_for_everything(limited):
    limited("ministack", *READ, *WRITE, *LIST, *DELETE)
    (report,) = outputs_of("TestCloudConnection")
    assert "✗" not in report, report
    keys = run_node("SaveImageToCloud", images=torch.rand((2, 8, 8, 3)))["result"][1]
    assert outputs_of("ListBucketContents", prefix="")[1] == keys
    assert outputs_of("LoadImageFromCloud", key=keys[0])[0].shape == (1, 8, 8, 3)


def test_without_the_right_to_list_a_counter_says_what_else_to_use(limited):
    limited("ministack", *READ, *WRITE)
    (report,) = outputs_of("TestCloudConnection")
    assert "✗ list" in report
    assert "✓ write" in report
    with pytest.raises(errors.AccessDenied, match="%uuid%"):
        run_node("SaveImageToCloud", images=torch.rand((1, 8, 8, 3)))
    (key,) = run_node("SaveImageToCloud", images=torch.rand((1, 8, 8, 3)), filename="a_%uuid%")["result"][1]
    assert outputs_of("LoadImageFromCloud", key=key)[0].shape == (1, 8, 8, 3)


def test_reading_keys_may_not_write_and_the_report_says_so(limited):
    place = limited("ministack", *READ, *LIST)
    place.open(path_prefix=PREFIX).put("a.txt", b"x", PutOptions(), Meter())
    (report,) = outputs_of("TestCloudConnection")
    assert "✓ list" in report
    assert "✗ write" in report
    assert "policy" in report
    with pytest.raises(errors.AccessDenied, match="policy"):
        run_node("SaveImageToCloud", images=torch.rand((1, 8, 8, 3)))


def test_a_key_missing_or_hidden_is_called_both(limited):
    limited("ceph", *READ, *WRITE)
    with pytest.raises(errors.AccessDenied, match="missing, or") as raised:
        run_node("LoadImageFromCloud", key="nothing.png")
    assert "nothing.png" in str(raised.value)


def test_another_prefix_is_out_of_reach(limited):
    place = limited("ministack", *READ, *WRITE, *LIST, *DELETE)
    place.open().put("private.png", b"x", PutOptions(), Meter())
    with pytest.raises(errors.ConfigurationError):
        run_node("LoadImageFromCloud", key="../private.png")
    (wire,) = run_node("CloudStorageProfile", path_prefix="")
    with pytest.raises(errors.NotFound):
        run_node("LoadImageFromCloud", key="private.png", profile=wire)
