"""A disk that is full, or has a file where a folder is to be: a plain error, and no half file left."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import films
import pytest
import torch
from cloud_storage import errors, nodes_load
from cloud_storage.media.image import image_encoder
from cloud_storage.saving import choices
from cloud_storage.storage import base
from cloud_storage.system.meter import Meter
from conftest import run_node

PLAIN = (errors.StorageError, errors.MediaError)


def put_picture(cloud, key="in/a.png"):
    noise = torch.rand((64, 64, 3), generator=torch.Generator().manual_seed(1))
    cloud.put(key, image_encoder.encode(noise, "png").data, base.PutOptions(), Meter())


def film():
    from comfy_api.input_impl import VideoFromComponents
    from comfy_api.util import VideoComponents

    return VideoFromComponents(VideoComponents(images=torch.zeros((2, 16, 16, 3)), audio=None, frame_rate=8))


def sound():
    return {"waveform": torch.zeros((1, 1, 800)), "sample_rate": 8000}


# What needs the temp folder, with what it is given
USERS = {
    "SaveImageToCloud": lambda: {"images": torch.zeros((1, 16, 16, 3))},
    "SaveVideoToCloud": lambda: {"video": film()},
    "SaveAudioToCloud": lambda: {"audio": sound()},
    "LoadImageFromCloud": lambda: {"key": "in/a.png"},
    "LoadMaskFromCloud": lambda: {"key": "in/a.png"},
    "LoadImagesFromCloud": lambda: {"prefix": "in/"},
}


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def outcome(node_id):
    """What the node says, error or not; anything else is raised."""
    try:
        return str(run_node(node_id, **USERS[node_id]())["ui"])
    except PLAIN as error:
        return str(error)


@pytest.fixture(params=["temp", "temp/cloud_storage"])
def file_for_temp(request, tmp_path):
    """A file where the temp folder, or ours in it, is to be."""
    folder = tmp_path / request.param
    if folder.is_dir():
        folder.rmdir()
    folder.write_bytes(b"")
    return folder


@pytest.fixture
def small_temp(tmp_path):
    """A temp folder of 128 KiB."""
    folder = tmp_path / "temp"
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    (folder / "cloud_storage" / "cache").mkdir(parents=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "all").open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))


@pytest.fixture
def full_temp(small_temp):
    """One that is full."""
    fill(small_temp)
    return small_temp


@pytest.mark.parametrize("node_id", USERS)
def test_a_file_in_the_place_of_temp_ends_in_a_plain_error(cloud, file_for_temp, node_id):
    put_picture(cloud)
    said = outcome(node_id)
    assert "Errno" not in said
    assert file_for_temp.is_file()


@pytest.mark.parametrize("node_id", USERS)
def test_a_full_temp_ends_in_a_plain_error_and_leaves_no_half_file(cloud, full_temp, node_id):
    put_picture(cloud)
    said = outcome(node_id)
    assert "Errno" not in said
    assert [path for path in files_below(full_temp) if path.name != "all"] == []


def test_a_load_from_a_full_disk_says_what_to_do(cloud, full_temp):
    put_picture(cloud)
    with pytest.raises(errors.StorageError, match=r"No space left on device\. Free room on the disk"):
        run_node("LoadImageFromCloud", key="in/a.png")


def test_a_film_is_loaded_where_no_preview_of_it_can_be_written(cloud, file_for_temp, tmp_path):
    path = films.write(tmp_path / "f.mp4", films.KINDS["mp4"], films.numbered(3), 8)
    cloud.put("f.mp4", path.read_bytes(), base.PutOptions(), Meter())
    loaded = run_node("LoadVideoFromCloud", key="f.mp4")
    assert loaded["result"][1] == 3
    assert loaded["ui"][nodes_load.PICTURES] == []


@pytest.mark.parametrize("node_id", ["LoadImageFromCloud", "LoadMaskFromCloud"])
def test_a_picture_that_has_no_room_costs_no_load_and_leaves_no_half_file(cloud, small_temp, node_id):
    put_picture(cloud)
    outcome(node_id)  # from here on the object itself is at hand
    before = files_below(small_temp)
    fill(small_temp)
    said = outcome(node_id)
    assert "Loaded in/a.png" in said
    assert "Errno" not in said
    assert [path for path in files_below(small_temp) if path.name != "all"] == before


@pytest.mark.parametrize("place", ["models/loras", "models/loras/x"])
def test_a_file_in_the_place_of_a_model_folder_is_told(cloud, tmp_path, place):
    put_picture(cloud, "models/loras/x/a.safetensors")
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"somebody's")
    with pytest.raises(errors.StorageError, match="Could not download"):
        run_node("LoadModelFromCloud", model_type="loras", key="models/loras/x/a.safetensors")
    assert files_below(tmp_path / "models") == [file]
    assert file.read_bytes() == b"somebody's"


@pytest.mark.parametrize("place", ["user/__cloud_storage", "user/__cloud_storage/outbox"])
@pytest.mark.parametrize("on_failure", choices.ON_FAILURE)
def test_a_file_in_the_place_of_the_outbox_hides_no_error(comfyui, monkeypatch, tmp_path, place, on_failure):
    for name, value in {
        "PROVIDER": "Custom",
        "ENDPOINT_URL": "http://127.0.0.1:9",
        "BUCKET": "b",
        "ACCESS_KEY": "a",
        "SECRET_KEY": "s" * 20,
        "MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(f"COMFY_S3_{name}", value)
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    with pytest.raises(errors.StorageError) as raised:
        run_node("SaveImageToCloud", images=torch.zeros((1, 16, 16, 3)), on_failure=on_failure)
    assert "Errno" not in str(raised.value)
    assert str(tmp_path) not in str(raised.value)
    assert file.is_file()


@pytest.mark.parametrize("place", ["user/__cloud_storage", "user/__cloud_storage/outbox"])
def test_a_retry_with_a_file_in_the_place_of_the_outbox_ends_plainly(cloud, tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    try:
        run_node("RetryPendingUploads")
    except errors.StorageError as error:
        assert "Errno" not in str(error)
