from __future__ import annotations

import pytest
from cloud_storage import errors
from cloud_storage.loading import file_download
from cloud_storage.loading.file_download import FAIL, NEW_NAME, OVERWRITE, SKIP
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter


@pytest.fixture
def put(direct):
    def put(key, content):
        return direct.put(key, content, PutOptions(metadata={}), Meter())

    return put


def fetched(storage, key, target, if_exists=NEW_NAME):
    found = file_download.fetch(storage, key, target, if_exists, Meter(), lambda text: None)
    return found.path.name, found.cloud_file(storage, key, "").status


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_is_downloaded_once_and_brought_up_to_date(direct, put, tmp_path):
    put("a.zip", b"one")
    target = tmp_path / "new" / "a.zip"
    assert [fetched(direct, "a.zip", target) for _ in range(2)] == [
        ("a.zip", "fetched"),
        ("a.zip", "unchanged"),
    ]
    put("a.zip", b"another")
    assert fetched(direct, "a.zip", target) == ("a.zip", "fetched")
    assert target.read_bytes() == b"another"
    assert names(target.parent) == ["a.zip"]


@pytest.mark.parametrize("origin", ["a person", "another object"])
def test_another_file_of_that_name_is_kept_unless_it_is_to_be_overwritten(direct, put, tmp_path, origin):
    target = tmp_path / "a.zip"
    put("b/a.zip", b"theirs")
    put("a.zip", b"ours")

    def theirs():
        for path in tmp_path.iterdir():
            path.unlink()
        if origin == "a person":
            target.write_bytes(b"theirs")
        else:
            fetched(direct, "b/a.zip", target)

    theirs()
    with pytest.raises(errors.AlreadyExists, match="no copy of this object"):
        fetched(direct, "a.zip", target, FAIL)
    assert fetched(direct, "a.zip", target, SKIP) == ("a.zip", "skipped")
    assert target.read_bytes() == b"theirs"
    for status in ("fetched", "unchanged"):
        assert fetched(direct, "a.zip", target) == ("a_00002.zip", status)
    assert (target.read_bytes(), (tmp_path / "a_00002.zip").read_bytes()) == (b"theirs", b"ours")
    theirs()
    assert fetched(direct, "a.zip", target, OVERWRITE) == ("a.zip", "fetched")
    assert fetched(direct, "a.zip", target, OVERWRITE) == ("a.zip", "unchanged")
    assert target.read_bytes() == b"ours"


def test_a_file_that_somebody_has_changed_since_is_another_one(direct, put, tmp_path):
    put("a.zip", b"ours")
    target = tmp_path / "a.zip"
    fetched(direct, "a.zip", target)
    target.write_bytes(b"edited by hand")
    assert fetched(direct, "a.zip", target) == ("a_00002.zip", "fetched")
    assert target.read_bytes() == b"edited by hand"


@pytest.mark.parametrize("if_exists", [OVERWRITE, FAIL, SKIP])
def test_a_folder_of_that_name_is_never_replaced(direct, put, tmp_path, if_exists):
    put("a.zip", b"ours")
    (tmp_path / "a.zip").mkdir()
    with pytest.raises(errors.AlreadyExists):
        fetched(direct, "a.zip", tmp_path / "a.zip", if_exists)
    assert fetched(direct, "a.zip", tmp_path / "a.zip") == ("a_00002.zip", "fetched")


def test_a_missing_object_leaves_nothing(direct, tmp_path):
    with pytest.raises(errors.NotFound):
        fetched(direct, "gone", tmp_path / "new" / "gone")
    assert not (tmp_path / "new").exists()


def test_the_state_follows_the_object_and_the_file(direct, put, tmp_path):
    put("a.zip", b"ours")
    target = tmp_path / "a.zip"

    def state():
        return file_download.state(direct, "a.zip", target, NEW_NAME)

    states = [state()]
    fetched(direct, "a.zip", target)
    states.append(state())
    assert state() == states[-1]
    target.write_bytes(b"edited by hand")
    states.append(state())
    fetched(direct, "a.zip", target)
    states.append(state())
    put("a.zip", b"another")
    states.append(state())
    assert len(set(states)) == len(states) - 1, "without a copy it is the same, whoever's file is there"
    assert states[0] == states[2]
