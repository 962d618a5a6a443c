"""Sync Folder as ComfyUI runs it; what is moved and how is in tests/syncing/."""

from __future__ import annotations

import hashlib

import pytest
from cloud_storage import errors, nodes_sync
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import lines_of, outputs_of, run_node
from result_lists import files_of

FILES = {"model_index.json": b"{}", "unet/config.json": b"{1}", "unet/weights.safetensors": b"w" * 5000}


def put(cloud, key, content):
    return cloud.put(key, content, PutOptions(), Meter())


def written(folder, files=FILES):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def sync(direction, folder, **given):
    given = {"prefix": "models/diffusers/sd/", **given}
    return run_node("SyncFolderWithCloud", direction=direction, folder=folder, unique_id="3", **given)


def test_a_folder_goes_up_and_comes_down_and_the_second_run_moves_nothing(cloud, tmp_path):
    written(tmp_path / "output" / "sd")
    for status in ("stored", "skipped"):
        done = sync("upload", "output/sd")
        files = files_of(done)
        assert [file["key"] for file in files] == [f"models/diffusers/sd/{name}" for name in sorted(FILES)]
        assert {file["status"] for file in files} == {status}
    target = tmp_path / "models" / "diffusers" / "sd"
    for status in ("fetched", "unchanged"):
        done = sync("download", "models/diffusers/sd")
        assert {file["status"] for file in files_of(done)} == {status}
        assert content(target) == FILES
    path, name, report = done["result"]
    assert (path, name) == (str(target), "sd")
    assert report == lines_of(done)[0] == "3 unchanged."
    weights = files_of(done)[-1]
    assert (weights["size"], weights["bucket"]) == (5000, cloud.bucket)


def test_a_dry_run_moves_nothing_and_says_what_it_would(cloud, tmp_path):
    written(tmp_path / "output" / "sd")
    done = sync("upload", "output/sd", dry_run=True)
    assert list(cloud.list()) == []
    assert files_of(done) == []
    assert lines_of(done)[0] == "3 files to upload (5.0 kB)."
    assert lines_of(done)[1:] == sorted(FILES)
    assert done["result"][2].splitlines() == lines_of(done)
    sync("upload", "output/sd")
    done = sync("download", "input/sd", dry_run=True)
    assert not (tmp_path / "input" / "sd").exists()
    assert lines_of(done)[0] == "3 files to download (5.0 kB)."


def test_only_what_matches_is_moved(cloud, tmp_path):
    written(tmp_path / "output" / "sd")
    sync("upload", "output/sd", pattern="*.json")
    assert [info.key for info in cloud.list()] == [
        "models/diffusers/sd/model_index.json",
        "models/diffusers/sd/unet/config.json",
    ]


def test_what_differs_is_replaced_or_kept_and_nothing_is_deleted(cloud, tmp_path):
    folder = written(tmp_path / "output" / "sd", {"a.txt": b"mine", "b.txt": b"only here"})
    put(cloud, "models/diffusers/sd/a.txt", b"theirs")
    put(cloud, "models/diffusers/sd/c.txt", b"only there")
    done = sync("upload", "output/sd")
    assert cloud.read("models/diffusers/sd/a.txt") == b"theirs"
    assert "a.txt: Could not store" in "\n".join(lines_of(done))
    assert [file["status"] for file in files_of(done)] == ["stored"]
    done = sync("download", "output/sd")
    assert content(folder) == {"a.txt": b"mine", "b.txt": b"only here", "c.txt": b"only there"}
    sync("upload", "output/sd", overwrite=True)
    assert cloud.read("models/diffusers/sd/a.txt") == b"mine"
    assert len(list(cloud.list())) == 3


def test_hidden_files_stay_here_and_are_not_named(cloud, tmp_path):
    folder = written(tmp_path / "output" / "sd", {"a.txt": b"a", ".env": b"secret", ".git/config": b"secret"})
    (folder / "link.txt").symlink_to(".env")
    done = sync("upload", "output/sd")
    assert [info.key for info in cloud.list()] == ["models/diffusers/sd/a.txt"]
    assert not [line for line in lines_of(done) if "env" in line or "git" in line or "link" in line]


def test_programs_and_hidden_files_of_the_bucket_are_named_and_not_written_among_models(cloud, tmp_path):
    for name in ("a.safetensors", "b.py", ".env", "../up.txt", "c.bin"):
        put(cloud, f"models/diffusers/sd/{name}", name.encode())
    done = sync("download", "models/diffusers/sd")
    assert content(tmp_path / "models") == {
        "diffusers/sd/a.safetensors": b"a.safetensors",
        "diffusers/sd/c.bin": b"c.bin",
    }
    told = "\n".join(lines_of(done))
    assert "b.py: It cannot be a file here: it is a program." in told
    assert "can run code" in told, "of c.bin"


def test_it_runs_again_when_either_side_of_a_download_changes(cloud, tmp_path):
    put(cloud, "models/diffusers/sd/a.txt", b"one")
    given = {"direction": "download", "folder": "input/sd", "prefix": "models/diffusers/sd/"}

    def changed(**other):
        return nodes_sync.SyncFolderWithCloud.IS_CHANGED(**{**given, "unique_id": "3", **other})

    sync("download", "input/sd")
    states = [changed()]
    assert changed() == states[0]
    (tmp_path / "input" / "sd" / "a.txt").unlink()
    states.append(changed())
    sync("download", "input/sd")
    put(cloud, "models/diffusers/sd/b.txt", b"two")
    states.append(changed())
    assert len(set(states)) == 3
    assert changed(folder=None) != changed(folder=None), "what is wired is not known"
    before = changed(direction="upload")
    assert changed(direction="upload") == before
    (tmp_path / "input" / "sd" / "c.txt").write_bytes(b"new")
    assert changed(direction="upload") != before


def test_a_missing_folder_and_another_one_are_refused(cloud):
    with pytest.raises(errors.NotFound):
        sync("upload", "output/gone")
    with pytest.raises(errors.ConfigurationError, match="input, output or models"):
        sync("upload", "user/x")
    assert list(cloud.list()) == []


def test_a_file_that_cannot_be_moved_fails_the_node_and_the_next_run_completes_it(
    cloud, tmp_path, monkeypatch
):
    written(tmp_path / "output" / "sd")
    real = type(cloud)._put

    def failing(self, key, *arguments):
        if key.endswith("config.json"):
            raise errors.AccessDenied(f"Could not store {key!r} (here): denied. Ask for the permission.")
        return real(self, key, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(type(cloud), "_put", failing)
        with pytest.raises(errors.StorageError, match=r"1 file was not moved.*config.json.*denied"):
            sync("upload", "output/sd")
    done = sync("upload", "output/sd")
    assert sorted(file["status"] for file in files_of(done)) == ["skipped", "skipped", "stored"]


def test_many_unchanged_files_are_not_listed_for_programs(cloud, tmp_path, monkeypatch):
    monkeypatch.setattr(nodes_sync, "LISTED", 3)
    folder = written(tmp_path / "output" / "sd")
    sync("upload", "output/sd")
    (folder / "d.txt").write_bytes(b"d")
    (file,) = files_of(sync("upload", "output/sd"))
    assert (file["key"], file["status"]) == ("models/diffusers/sd/d.txt", "stored")
    assert file["sha256"] == hashlib.sha256(b"d").hexdigest()


def test_a_long_report_is_cut_on_the_node_alone(cloud, tmp_path):
    written(tmp_path / "output" / "many", {f"{number:03}.txt": b"x" for number in range(60)})
    _, _, report = outputs_of(
        "SyncFolderWithCloud", direction="upload", folder="output/many", prefix="many", unique_id="3"
    )
    done = sync("upload", "output/many", prefix="again")
    assert len(report.splitlines()) == 61
    assert len(lines_of(done)) == nodes_sync.SHOWN_LINES + 1
    assert lines_of(done)[-1] == "… and 31 more"
