"""The model nodes as ComfyUI runs them: a file into its folder, its name by wire, a file into the bucket."""

from __future__ import annotations

import hashlib
import operator
import os
import threading

import pytest
from cloud_storage import errors, node_inputs, nodes_models
from cloud_storage.loading import is_changed, model_record, resumable_download
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import model_management
from conftest import of_a_list, outputs_of
from servers.faults import Cut, Fault

MIB = 1 << 20
DATA = os.urandom(MIB)


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(is_changed, "_memories", {})


@pytest.fixture
def local(tmp_path):
    def local(name, data=DATA):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return local


def put(cloud, key, data=DATA):
    cloud.put(key, data, PutOptions(), Meter())


def test_a_model_lands_in_its_folder_and_its_name_is_what_loaders_list(cloud, tmp_path, comfyui):
    import folder_paths

    put(cloud, "models/loras/style/a.safetensors")
    (name,) = outputs_of(
        "LoadModelFromCloud", model_type="loras", key="models/loras/style/a.safetensors", unique_id="4"
    )
    assert name == f"style{os.sep}a.safetensors"
    assert folder_paths.get_filename_list("loras") == [name]
    assert (tmp_path / "models" / "loras" / name).read_bytes() == DATA
    assert comfyui.texts[-1][:2] == ("Downloaded a.safetensors.", "4")


def test_a_second_run_moves_no_byte_and_says_so(cloud, comfyui):
    put(cloud, "checkpoints/a.safetensors")
    for _ in range(2):
        assert outputs_of("LoadModelFromCloud", key="checkpoints/a.safetensors", unique_id="4") == (
            "a.safetensors",
        )
    assert "Unchanged" in comfyui.texts[-1][0]


def test_a_pickled_format_is_taken_with_a_warning_in_the_status(cloud, comfyui):
    put(cloud, "vae/a.pt")
    outputs_of("LoadModelFromCloud", model_type="vae", key="vae/a.pt", unique_id="4")
    assert "can run code" in comfyui.texts[-1][0]


@pytest.mark.parametrize(
    "inputs",
    [
        {"key": "a.py"},
        {"key": "../a.safetensors"},
        {"key": "a.safetensors", "subfolder": ".."},
        {"key": "a.safetensors", "sha256": "abc"},
        {"key": "a.safetensors", "model_type": "custom_nodes"},
        {"key": ""},
    ],
)
def test_a_bad_input_is_refused_before_anything_is_made(cloud, tmp_path, inputs):
    put(cloud, "a.safetensors")
    with pytest.raises(errors.ConfigurationError):
        outputs_of("LoadModelFromCloud", **inputs)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_missing_model_is_named_and_leaves_nothing(cloud, tmp_path):
    with pytest.raises(errors.NotFound, match=r"gone\.safetensors"):
        outputs_of("LoadModelFromCloud", model_type="loras", key="loras/x/gone.safetensors")
    assert list((tmp_path / "models").iterdir()) == [tmp_path / "models" / "loras"]
    assert list((tmp_path / "models" / "loras").iterdir()) == []


def test_the_output_fits_every_list_and_every_text():
    kind = node_inputs.FILE_NAME
    assert operator.ne(kind, ["a.safetensors", "b.safetensors"]) is False  # how ComfyUI compares them
    assert operator.ne(kind, "COMBO") is False
    assert str(kind).split(",") == ["STRING", "COMBO"]
    assert hash(kind) == hash("STRING,COMBO")


def test_what_was_uploaded_is_downloaded_under_the_same_name(cloud, local, tmp_path):
    path = local("loras/style/mine.safetensors")
    name = f"style{os.sep}mine.safetensors"
    key, url = outputs_of("UploadModelToCloud", model_type="loras", model=name)
    assert key == "models/loras/style/mine.safetensors"
    assert url == cloud.url(key)
    assert cloud.stat(key).sha256 == hashlib.sha256(DATA).hexdigest()
    assert outputs_of("LoadModelFromCloud", model_type="loras", key=key) == (
        name,
    )  # the same file, known by that
    path.unlink()
    assert outputs_of("LoadModelFromCloud", model_type="loras", key=key) == (name,)
    assert path.read_bytes() == DATA


def test_a_model_of_another_type_is_refused_with_the_right_one(cloud, local):
    local("vae/a.safetensors")
    with pytest.raises(errors.NotFound, match="one of type vae"):
        outputs_of("UploadModelToCloud", model_type="loras", model="a.safetensors")


def test_content_that_is_there_already_is_not_sent_again(cloud, local, comfyui):
    local("loras/a.safetensors")
    keys = [
        outputs_of("UploadModelToCloud", model_type="loras", model="a.safetensors", unique_id="5")[0]
        for _ in range(2)
    ]
    assert keys == ["models/loras/a.safetensors"] * 2
    assert "Nothing was sent" in comfyui.texts[-1][0]


@pytest.mark.parametrize("if_exists", ["new name", "fail", "skip", "overwrite"])
def test_a_model_that_a_list_names_twice_is_stored_once(cloud, local, if_exists):
    local("loras/a.safetensors", os.urandom(1 << 20))
    items = [{"model_type": "loras", "model": "a.safetensors", "if_exists": if_exists}] * 2
    found = of_a_list("UploadModelToCloud", items)
    assert [one["result"][0] for one in found] == ["models/loras/a.safetensors"] * 2
    assert sorted(one["ui"]["cloud_storage"][0][:5] for one in found) == ["Saved", "The b"]
    assert [info.key for info in cloud.list("")] == ["models/loras/a.safetensors"]


def test_the_lists_of_the_widgets_follow_the_folders(comfyui, local):
    assert nodes_models.UploadModelToCloud.INPUT_TYPES()["required"]["model"][0] == [""]
    local("loras/new.safetensors")
    assert nodes_models.UploadModelToCloud.INPUT_TYPES()["required"]["model"][0] == ["new.safetensors"]
    assert nodes_models.LoadModelFromCloud.INPUT_TYPES()["required"]["model_type"][0][0] == "checkpoints"


def queue(comfyui, inputs):
    prompt = {"4": {"class_type": "LoadModelFromCloud", "inputs": inputs}}
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])


def changed(**inputs):
    return nodes_models.LoadModelFromCloud.IS_CHANGED(unique_id="4", **inputs)


@pytest.mark.parametrize("wired", [False, True])
def test_is_changed_stays_while_object_and_file_do(cloud, comfyui, tmp_path, wired):
    inputs = {"model_type": "loras", "key": "loras/a.safetensors", "subfolder": ""}
    asked = {**inputs, "model_type": None} if wired else inputs
    queue(comfyui, inputs)
    put(cloud, "loras/a.safetensors")
    first = changed(**asked)
    outputs_of("LoadModelFromCloud", **inputs, unique_id="4")
    assert changed(**asked) == first
    put(cloud, "loras/a.safetensors", DATA[::-1])
    second = changed(**asked)
    assert second != first
    outputs_of("LoadModelFromCloud", **inputs, unique_id="4")
    assert changed(**asked) == second
    (tmp_path / "models" / "loras" / "a.safetensors").unlink()
    assert changed(**asked) != second


def test_a_prompt_without_subfolder_runs_again_when_its_file_is_gone(cloud, comfyui, tmp_path):
    inputs = {"model_type": "loras", "key": "loras/a.safetensors"}
    queue(comfyui, inputs)
    put(cloud, "loras/a.safetensors")
    outputs_of("LoadModelFromCloud", **inputs, unique_id="4")
    first = changed(**inputs)
    (tmp_path / "models" / "loras" / "a.safetensors").unlink()
    assert changed(**inputs) != first


def test_is_changed_of_an_upload_follows_the_file(comfyui, local):
    local("loras/a.safetensors")
    before = nodes_models.UploadModelToCloud.IS_CHANGED(model_type="loras", model="a.safetensors")
    local("loras/a.safetensors", b"trained further")
    assert nodes_models.UploadModelToCloud.IS_CHANGED(model_type="loras", model="a.safetensors") != before


def test_is_changed_of_an_upload_follows_the_file_that_a_wire_brings(cloud, comfyui, local):
    def changed():
        return nodes_models.UploadModelToCloud.IS_CHANGED(model_type="loras", model=None, unique_id="4")

    local("loras/a.safetensors")
    first = changed()
    outputs_of("UploadModelToCloud", model_type="loras", model="a.safetensors", unique_id="4")
    assert changed() == first
    local("loras/a.safetensors", b"trained further")
    assert changed() != first


# ------------------------------------------------------------ the library's budget


@pytest.fixture
def three(cloud, monkeypatch, tmp_path):
    """Three models of which two are within the budget; ``three(name)`` downloads one of them."""
    monkeypatch.setenv("COMFY_S3_MODELS_BUDGET_GB", str(2.5 * MIB / 1e9))
    for name in "abc":
        put(cloud, f"models/loras/{name}.safetensors")

    def download(name):
        outputs_of(
            "LoadModelFromCloud", model_type="loras", key=f"models/loras/{name}.safetensors", unique_id="4"
        )
        return "".join(sorted(path.stem for path in (tmp_path / "models" / "loras").glob("*.safetensors")))

    return download


def test_a_download_removes_the_copies_that_were_not_used_for_longest(three, comfyui, tmp_path):
    three("a")
    three("b")
    os.utime(model_record.record_path(tmp_path / "models" / "loras" / "a.safetensors"), (1, 1))
    assert three("c") == "bc"
    assert "Removed 1 copy to make room" in comfyui.texts[-1][0]
    assert three("b") == "bc"
    os.utime(model_record.record_path(tmp_path / "models" / "loras" / "c.safetensors"), (1, 1))
    assert three("a") == "ab", "to find b unchanged was a use of it"


@pytest.mark.parametrize("asks", ["the run", "IS_CHANGED"])
def test_what_a_running_prompt_has_downloaded_is_not_removed_for_its_next_download(
    three, comfyui, cloud, asks, tmp_path
):
    three("a")
    three("b")
    os.utime(model_record.record_path(tmp_path / "models" / "loras" / "a.safetensors"), (1, 1))
    inputs = {"model_type": "loras", "key": ["5", 0], "subfolder": ""}
    queue(comfyui, inputs)
    if asks == "the run":
        three("a")
        three("b")
    else:
        for name in "ab":
            changed(**{**inputs, "key": f"models/loras/{name}.safetensors"})
    with pytest.raises(errors.StorageError, match="queued workflows name them"):
        three("c")
    comfyui.prompt_queue.currently_running.clear()
    assert three("c") == "bc"


# ------------------------------------------------------------ cancel


def press_when(rule):
    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()


def test_cancel_ends_a_download_and_the_next_run_goes_on(cloud, proxy, monkeypatch, tmp_path):
    data = os.urandom(MIB) * 40
    put(cloud, "loras/a.safetensors", data)
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    press_when(proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET")))
    with pytest.raises(model_management.InterruptProcessingException):
        outputs_of("LoadModelFromCloud", model_type="loras", key="loras/a.safetensors")
    target = tmp_path / "models" / "loras" / "a.safetensors"
    assert not target.exists()
    assert resumable_download.part_of(target).stat().st_size == len(data)
    proxy.clear()
    outputs_of("LoadModelFromCloud", model_type="loras", key="loras/a.safetensors")
    assert target.read_bytes() == data
    assert sum(record.response_bytes for record in proxy.requests if record.method == "GET") < len(data)


def test_cancel_ends_an_upload_and_leaves_nothing_in_the_bucket(cloud, proxy, monkeypatch, local, fast_place):
    local("loras/a.safetensors", os.urandom(MIB) * 40)
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    press_when(proxy.add(Fault(Cut("request body", 0.5, "silence"), "PUT")))
    with pytest.raises(model_management.InterruptProcessingException):
        outputs_of("UploadModelToCloud", model_type="loras", model="a.safetensors")
    proxy.clear()
    gone = threading.Event()
    while fast_place.open_uploads() and not gone.wait(0.05):  # the thread cleans up by itself
        pass
    assert list(cloud.list()) == []
    outputs_of("UploadModelToCloud", model_type="loras", model="a.safetensors")
    assert [info.size for info in cloud.list()] == [40 * MIB]
