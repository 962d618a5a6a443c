"""A local file into the bucket: its name, its checksum, and when nothing is sent."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime

import pytest
from cloud_storage import errors
from cloud_storage.saving import choices, store_file, upload_file
from cloud_storage.saving.list_order import Call
from cloud_storage.saving.names import NameContext
from cloud_storage.storage.base import SHA256_METADATA, PutOptions
from cloud_storage.system.meter import Meter
from servers.faults import Answer, Cut, Fault, s3_error

pytestmark = pytest.mark.usefixtures("impatient")

MIB = 1 << 20
DATA = os.urandom(MIB) * 70  # three parts
CONTEXT = NameContext(datetime(2026, 11, 21))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(DATA)
    return path


def upload(storage, path, if_exists=choices.NEW_NAME, filename="", meter=None):
    name = upload_file.name("m/", filename, path.name, CONTEXT, 1000)
    return upload_file.upload(storage, name, path, if_exists, meter or Meter(), lambda text: None, Call())


def test_a_file_is_stored_with_its_checksum_and_its_own_name(shaky, direct, path):
    meter = Meter()
    uploaded = upload(shaky, path, meter=meter)
    assert uploaded.key == "m/a.safetensors"
    assert direct.read(uploaded.key) == DATA
    assert direct.stat(uploaded.key).sha256 == sha256(DATA)
    assert meter.done == meter.total == len(DATA)


@pytest.mark.parametrize("if_exists", choices.IF_EXISTS)
def test_what_the_bucket_holds_already_is_not_sent_again(shaky, proxy, path, if_exists):
    first = upload(shaky, path)
    proxy.clear()
    again = upload(shaky, path, if_exists)
    assert again.key == first.key
    assert "Nothing was sent" in again.status
    assert {record.method for record in proxy.requests} <= {"HEAD", "GET"}


def test_other_content_gets_what_if_exists_says(shaky, direct, path):
    upload(shaky, path)
    path.write_bytes(DATA[::-1])
    with pytest.raises(errors.AlreadyExists):
        upload(shaky, path, choices.FAIL)
    assert upload(shaky, path, choices.SKIP).key == "m/a.safetensors"
    assert direct.read("m/a.safetensors") == DATA
    assert upload(shaky, path).key == "m/a_00002.safetensors"
    assert direct.read("m/a_00002.safetensors") == DATA[::-1]
    assert "Nothing was sent" in upload(shaky, path).status  # it is found under its number
    assert upload(shaky, path, choices.OVERWRITE).key == "m/a.safetensors"
    assert direct.read("m/a.safetensors") == DATA[::-1]


@pytest.mark.parametrize(
    ("stored", "metadata", "is_same"),
    [
        (b"small", {SHA256_METADATA: sha256(b"small")}, True),
        (b"small", {}, True),
        (b"other", {SHA256_METADATA: sha256(b"other")}, False),
        (b"other", {}, False),
        (b"of another size", {SHA256_METADATA: sha256(b"small")}, False),
    ],
)
@pytest.mark.parametrize("moment", ["before its place is looked at", "while it is sent"])
def test_skip_tells_whether_what_another_was_faster_to_store_is_the_same(
    shaky, direct, tmp_path, monkeypatch, moment, stored, metadata, is_same
):
    path = tmp_path / "s.bin"
    path.write_bytes(b"small")
    owner, name = (store_file, "store") if moment.startswith("before") else (type(shaky), "put")
    step = getattr(owner, name)

    def step_of_the_slower(*given, **options):
        monkeypatch.setattr(owner, name, step)
        direct.put("m/s.bin", stored, PutOptions(metadata=metadata), Meter())
        return step(*given, **options)

    monkeypatch.setattr(owner, name, step_of_the_slower)
    uploaded = upload(shaky, path, choices.SKIP)
    assert (uploaded.key, direct.read("m/s.bin")) == ("m/s.bin", stored)
    words = (
        "holds this content already: m/s.bin" if is_same else "m/s.bin is there already, with other content"
    )
    assert words in uploaded.status


@pytest.mark.parametrize("moment", ["before its bytes are sent", "while they are"])
def test_a_file_that_is_written_to_meanwhile_is_not_taken_for_whole(shaky, direct, path, monkeypatch, moment):
    module, name = (upload_file, "_namesakes") if moment.startswith("before") else (store_file, "store")
    step = getattr(module, name)

    def step_while_another_writes(*given):
        result = step(*given)
        with path.open("ab") as file:
            file.write(b"more")
        return result

    monkeypatch.setattr(module, name, step_while_another_writes)
    with pytest.raises(errors.IntegrityError, match="something wrote to it meanwhile"):
        upload(shaky, path)
    assert len(list(direct.list())) == (moment == "while they are")


def test_a_number_stands_before_the_extension_of_the_file_and_of_no_folder():
    name = upload_file.name("m/", "", "v1.5/model", CONTEXT, 1000)
    assert name.numbered(2) == "m/v1.5/model_00002"


def test_an_upload_of_another_program_is_known_by_its_md5(shaky, direct, tmp_path):
    path = tmp_path / "s.bin"
    path.write_bytes(b"small")
    direct.put("m/s.bin", b"small", PutOptions(), Meter())
    assert "Nothing was sent" in upload(shaky, path).status
    direct.put("m/s.bin", b"other", PutOptions(), Meter())
    assert upload(shaky, path).key == "m/s_00002.bin"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_part_that_breaks_is_sent_again_and_the_others_are_not(shaky, proxy, direct, path, share):
    rule = proxy.add(Fault(Cut("request body", share), "PUT", query="partNumber=2", times=6))
    meter = Meter()
    upload(shaky, path, meter=meter)
    assert rule.happened == 6  # more than the SDK tries by itself
    assert direct.read("m/a.safetensors") == DATA
    assert meter.done == len(DATA)
    sent = sorted(record.query for record in proxy.requests if "partNumber=" in record.query)
    assert (
        sum("partNumber=1" in query for query in sent) == sum("partNumber=3" in query for query in sent) == 1
    )


def test_a_network_that_stays_away_leaves_no_upload_open(shaky, proxy, fast_place, direct, path):
    proxy.add(Fault(Answer(503, s3_error("SlowDown")), "PUT", query="partNumber=2", times=None))
    with pytest.raises(errors.Throttled):
        upload(shaky, path)
    assert fast_place.open_uploads() == []
    assert list(direct.list()) == []


def test_a_file_that_is_gone_is_named(shaky, tmp_path):
    with pytest.raises(errors.StorageError, match=r"gone\.bin"):
        upload(shaky, tmp_path / "gone.bin")


@pytest.mark.parametrize(
    ("filename", "file", "key"),
    [
        ("", "a b.mp4", "m/a b.mp4"),
        ("", "%date%.mp4", "m/%date%.mp4"),
        ("", "noextension", "m/noextension"),
        ("", "a.tar.gz", "m/a.tar.gz"),
        ("b_%date%", "a.mp4", "m/b_2026-11-21.mp4"),
        ("b.mp4", "a.mp4", "m/b.mp4"),
        ("", "Gru\u0308n.bin", "m/Gr\u00fcn.bin"),
    ],
)
def test_a_file_keeps_its_name_or_gets_the_one_that_is_asked_for(filename, file, key):
    assert upload_file.name("m/", filename, file, CONTEXT, 1000).fixed() == key


def test_tokens_in_the_folder_are_replaced_and_folders_of_the_file_kept():
    name = upload_file.kept_name("%date%/", "loras/x/a.pt", CONTEXT, 1000)
    assert name.fixed() == "2026-11-21/loras/x/a.pt"
    assert name.numbered(2) == "2026-11-21/loras/x/a_00002.pt"
    assert upload_file.kept_name("", "a.pt", CONTEXT, 1000).fixed() == "a.pt"
    with pytest.raises(errors.ConfigurationError):
        upload_file.kept_name("", "a.pt" * 400, CONTEXT, 1000)
