"""The recipes of docs/providers.md: settings are taken, addresses come out, policies suffice."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
from cloud_storage import errors, profile, providers
from cloud_storage.config import settings
from cloud_storage.storage import connect, connection_test, multipart
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import SECRET, Place
from documents import blocks, json_blocks, section, table
from servers.oss_http import Permissions
from servers.oss_server import OssServer

RECIPES = ("Backblaze B2", "AWS S3", "Cloudflare R2", "MinIO", "Aliyun OSS", "Google Cloud Storage")
BUCKET, PREFIX = "my-bucket", "studio/"
FULL, READING = (block for block in json_blocks(section("AWS S3")) if "Statement" in block)
(RAM,) = (block for block in json_blocks(section("Aliyun OSS")) if "Statement" in block)

# The line of the connection's test that fails without a right.
NEEDED_FOR = {
    "s3:ListBucket": "list",
    "s3:GetObject": "read",
    "s3:PutObject": "write",
    "s3:DeleteObject": "delete",
}
OSS_RIGHTS = {
    "oss:ListObjects": "list",
    "oss:GetObject": "read",
    "oss:PutObject": "put",
    "oss:AbortMultipartUpload": "abort",
    "oss:DeleteObject": "delete",
}
OSS_NEEDED_FOR = {
    "oss:ListObjects": "list",
    "oss:GetObject": "read",
    "oss:PutObject": "write",
    "oss:DeleteObject": "delete",
}


def entry(title):
    """The name of the profile of a recipe, and what profiles.json says of it."""
    (file,) = (block for block in json_blocks(section(title)) if "profiles" in block)
    ((name, values),) = file["profiles"].items()
    return name, {setting: "key" if value == "…" else value for setting, value in values.items()}


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_has_its_profile_before_its_variables(title):
    assert section(title).index('"profiles"') < section(title).index("COMFY_S3_")


def variables(title):
    """What the recipe exports, by the name of the setting."""
    names = {row.variable: row.name for row in settings.SETTINGS.values()}
    (shell,) = (block for block in blocks(section(title)) if "export " in block)
    return {names[name]: value for name, value in re.findall(r"^export (\w+)='(.*)'$", shell, re.MULTILINE)}


# ------------------------------------------------------------ settings


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipes_profile_gives_the_address_that_it_tells(title, tmp_path):
    name, values = entry(title)
    file = tmp_path / settings.FILE_NAME
    file.write_text(json.dumps({"profiles": {name: values}}))
    resolved = profile.resolve(name, {}, file, {})
    assert resolved.provider in providers.names()
    assert resolved.auth == "keys"
    opened = connect.connect(resolved, {})
    assert opened.path_prefix == PREFIX
    assert f"`{opened.url('a.png')}`" in section(title)


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipes_variables_say_what_its_profile_says(title, tmp_path):
    _name, values = entry(title)
    exported = variables(title)
    assert list(exported) == list(values)
    secrets = {"access_key", "secret_key"}
    assert {name: value for name, value in exported.items() if name not in secrets} == {
        name: value for name, value in values.items() if name not in secrets
    }
    environ = {settings.SETTINGS[name].variable: value for name, value in exported.items()}
    for secret in secrets:
        environ[settings.SETTINGS[secret].variable] = "key"
    assert profile.resolve("", {}, tmp_path / "none.json", environ).bucket == BUCKET


def test_every_way_to_say_a_right_stands_for_one_that_is_needed():
    needed = {right for right, *_ in table("What the key has to be allowed")}
    for title in ("Backblaze B2", "Google Cloud Storage"):
        said = {right for _own, stands_for in table(title) for right in re.findall(r"s3:\w+", stands_for)}
        assert said == needed, title
    (listing, objects) = FULL["Statement"]
    assert {listing["Action"], *objects["Action"]} == needed


def test_what_the_commands_grant_is_what_the_tables_say():
    (b2,) = (block for block in blocks(section("Backblaze B2")) if "b2 key create" in block)
    assert re.search(r"comfyui (\S+)$", b2, re.MULTILINE)[1].split(",") == [
        capability for capability, _ in table("Backblaze B2")
    ]
    (gcs,) = (block for block in blocks(section("Google Cloud Storage")) if "gcloud" in block)
    assert re.search(r"--permissions=(\S+)", gcs)[1].split(",") == [
        permission for permission, _ in table("Google Cloud Storage")
    ]


# ------------------------------------------------------------ policies of AWS S3 and MinIO


@pytest.fixture
def allowed(servers, tmp_path):
    """``allowed(policy)`` is a place whose keys may do what the policy says; its server has a key for all."""

    def make(policy):
        server = servers("ministack")
        bucket = server.create_bucket()
        keys = server.create_user(json.loads(json.dumps(policy).replace(BUCKET, bucket)))
        environ = {
            "COMFY_S3_PROVIDER": "Custom",
            "COMFY_S3_ENDPOINT_URL": server.endpoint_url,
            "COMFY_S3_ACCESS_KEY": keys.access_key,
            "COMFY_S3_SECRET_KEY": keys.secret_key,
            "COMFY_S3_BUCKET": bucket,
            "COMFY_S3_REGION": server.region,
        }
        return Place("ministack-http", server, environ, tmp_path / "none.json")

    return make


def findings(place, **changes):
    opened = place.open(**changes)
    found = connection_test.findings_of(place.profile(**changes), opened, Meter())
    return {each.what: each.works for each in found}


def without(policy, action):
    """The policy without one right; a statement that grants nothing any more is gone."""
    kept = []
    for statement in policy["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        if left := [each for each in actions if each != action]:
            kept.append({**statement, "Action": left})
    return {**policy, "Statement": kept}


def test_the_policy_is_all_that_the_nodes_need(allowed):
    place = allowed(FULL)
    assert all(findings(place, path_prefix=PREFIX).values())
    elsewhere = findings(place, path_prefix="elsewhere/")
    assert [what for what, works in elsewhere.items() if works] == ["share"]  # signing asks no server


@pytest.mark.parametrize("action", NEEDED_FOR)
def test_each_right_of_the_policy_is_needed(allowed, action):
    found = findings(allowed(without(FULL, action)), path_prefix=PREFIX)
    assert not found[NEEDED_FOR[action]]


def test_the_policy_is_enough_for_a_large_file_in_parts(allowed, tmp_path):
    place = allowed(FULL)
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(multipart.SINGLE_MAX_BYTES + 1))
    opened = place.open(path_prefix=PREFIX)
    assert opened.put("large.bin", large, PutOptions(), Meter(), create=True).size == large.stat().st_size
    assert place.open_uploads() == []


def test_the_reading_policy_reads_and_does_not_write(allowed):
    place = allowed(READING)
    client = place.server.client()
    client.put_object(Bucket=place.bucket, Key=f"{PREFIX}a.txt", Body=b"x")
    opened = place.open(path_prefix=PREFIX)
    assert [info.key for info in opened.list()] == ["a.txt"]
    assert opened.read("a.txt", meter=Meter()) == b"x"
    for write in (
        lambda: opened.put("b.txt", b"x", PutOptions(), Meter()),
        lambda: opened.delete("a.txt"),
    ):
        with pytest.raises(errors.AccessDenied):
            write()
    report = findings(place, path_prefix=PREFIX, read_only="true")
    assert report == {"list": True, "write": False, "share": True}


# ------------------------------------------------------------ the policy of OSS


def granted(policy):
    """A RAM policy as the stand-in server takes it, which knows one bucket, one prefix and these rights."""
    listing, objects = policy["Statement"]
    assert {statement["Effect"] for statement in (listing, objects)} == {"Allow"}
    assert listing["Resource"] == f"acs:oss:*:*:{BUCKET}"
    assert listing["Condition"] == {"StringLike": {"oss:Prefix": f"{PREFIX}*"}}
    assert objects["Resource"] == f"acs:oss:*:*:{BUCKET}/{PREFIX}*"
    return {listing["Action"], *objects["Action"]}


@pytest.fixture
def oss(tmp_path):
    """``oss(rights)`` is a place of a key that may do that below the prefix and nothing else."""
    with OssServer((BUCKET,), credentials={"LTAI-renders": SECRET}) as server:

        def make(rights):
            may = {name: right in rights for right, name in OSS_RIGHTS.items()}
            server.permissions["LTAI-renders"] = Permissions(prefix=PREFIX, **may)
            environ = {
                "COMFY_S3_PROVIDER": "Aliyun OSS",
                "COMFY_S3_ENDPOINT_URL": server.url,
                "COMFY_S3_ACCESS_KEY": "LTAI-renders",
                "COMFY_S3_SECRET_KEY": SECRET,
                "COMFY_S3_BUCKET": BUCKET,
            }
            return Place("oss-http", server, environ, tmp_path / "none.json")

        yield make


def test_every_right_of_oss_is_one_that_its_server_knows():
    assert granted(RAM) == set(OSS_RIGHTS)
    assert {*OSS_RIGHTS.values(), "prefix", "info"} == {each.name for each in fields(Permissions)}


def test_the_ram_policy_is_all_that_the_nodes_need(oss, tmp_path):
    place = oss(granted(RAM))
    assert all(findings(place, path_prefix=PREFIX).values())
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(multipart.SINGLE_MAX_BYTES + 1))
    place.open(path_prefix=PREFIX).put("large.bin", large, PutOptions(), Meter(), create=True)
    assert place.open_uploads() == []
    elsewhere = findings(place, path_prefix="elsewhere/")
    assert [what for what, works in elsewhere.items() if works] == ["share"]


@pytest.mark.parametrize("right", OSS_NEEDED_FOR)
def test_each_right_of_the_ram_policy_is_needed(oss, right):
    found = findings(oss(granted(RAM) - {right}), path_prefix=PREFIX)
    assert not found[OSS_NEEDED_FOR[right]]


class Stopping(Meter):
    """Is told to stop by the first bytes that leave."""

    def add(self, count):
        super().add(count)
        self.stop()


@pytest.mark.parametrize("may_abort", [True, False])
def test_the_right_to_abort_is_what_removes_the_parts_of_a_cancelled_upload(oss, tmp_path, may_abort):
    place = oss(granted(RAM) - (set() if may_abort else {"oss:AbortMultipartUpload"}))
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(multipart.SINGLE_MAX_BYTES + 1))
    with pytest.raises(errors.TransferCancelled):
        place.open(path_prefix=PREFIX).put("large.bin", large, PutOptions(), Stopping())
    assert bool(place.open_uploads()) == (not may_abort)
