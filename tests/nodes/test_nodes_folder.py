"""Load Image Folder: which images, in which order, in which sizes."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from cloud_storage import errors, nodes_folder
from cloud_storage.comfyui import progress, results
from cloud_storage.loading import is_changed
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import model_management, utils
from conftest import outputs_of, run_node
from PIL import Image
from servers.faults import Cut, Fault


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch):
    monkeypatch.setattr(is_changed, "_memories", {})


def noise(height=12, width=16, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stored(cloud, key, pixels, format="PNG", **options):
    data = BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    cloud.put(key, data.getvalue(), PutOptions(), Meter())


def as_loaded(pixels):
    return torch.from_numpy(pixels[None].astype(np.float32) / 255)


@pytest.fixture
def five(cloud):
    pictures = [noise(seed=number) for number in range(5)]
    for number, pixels in enumerate(pictures):
        stored(cloud, f"set/{number}.png", pixels)
    cloud.put("set/notes.txt", b"no image", PutOptions(), Meter())
    return torch.cat([as_loaded(pixels) for pixels in pictures])


def load(**inputs):
    return outputs_of("LoadImagesFromCloud", **{"prefix": "set/", **inputs})


def test_a_folder_becomes_a_batch_bit_for_bit_with_its_keys(cloud, five):
    images, masks, keys, count = load()
    assert len(images) == len(masks) == 1
    assert torch.equal(images[0], five)
    assert torch.equal(masks[0], torch.zeros((5, 12, 16)))
    assert keys == [f"set/{number}.png" for number in range(5)]
    assert count == 5


def test_one_image_is_one_and_more_are_many(cloud, five, monkeypatch):
    def told(limit):
        return run_node("LoadImagesFromCloud", prefix="set/", limit=limit)["ui"][results.LINES]

    assert [told(1), told(2)] == [["Loaded 1 image."], ["Loaded 2 images."]]

    def unplugged(self, *_):
        raise errors.Unreachable("Could not reach it. Plug it in.")

    for number in range(2):
        stored(cloud, f"set/{number}.png", noise(seed=10 + number))
    monkeypatch.setattr(type(cloud), "_open", unplugged)
    missing = "The server cannot be reached:"
    assert told(1) == [f"Loaded 1 image. {missing} 1 image is a copy downloaded earlier."]
    assert told(2) == [f"Loaded 2 images. {missing} 2 images are copies downloaded earlier."]


def test_skip_nth_and_limit_choose_after_sorting(cloud, five):
    assert load(skip_first=1, select_every_nth=2)[2] == ["set/1.png", "set/3.png"]
    assert load(limit=2)[2] == ["set/0.png", "set/1.png"]
    assert sorted(load(sort="newest", limit=5)[2]) == [f"set/{number}.png" for number in range(5)]
    assert load(pattern="[03].*")[2] == ["set/0.png", "set/3.png"]


def test_mixed_sizes_follow_the_rule(cloud, five):
    stored(cloud, "set/5.jpg", noise(30, 10), "JPEG")
    for size_mode in ("pad to first", "crop to first", "resize to first"):
        images, masks, _, count = load(size_mode=size_mode)
        assert images[0].shape == (6, 12, 16, 3)
        assert masks[0].shape == (6, 12, 16)
        assert torch.equal(images[0][:5], five)
        assert count == 6
    images, masks, keys, _ = load(size_mode="one item each")
    assert [image.shape[1:3] for image in images] == [(12, 16)] * 5 + [(30, 10)]
    assert len(images) == len(masks) == len(keys) == 6


def test_of_an_animation_the_first_frame_is_taken(cloud):
    frames = [Image.fromarray(noise(seed=seed)) for seed in (1, 2, 3)]
    data = BytesIO()
    frames[0].save(data, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    cloud.put("set/a.webp", data.getvalue(), PutOptions(), Meter())
    images, _, keys, _ = load()
    assert images[0].shape[0] == len(keys) == 1


@pytest.mark.parametrize("inputs", [{"prefix": "empty/"}, {"pattern": "*.webp"}, {"skip_first": 5}])
def test_an_empty_folder_is_an_error_that_names_the_prefix(cloud, five, inputs):
    with pytest.raises(errors.NotFound, match=inputs.get("prefix", "set/")) as raised:
        load(**inputs)
    assert "path_prefix" in str(raised.value)


@pytest.mark.parametrize("size_mode", ["pad to first", "one item each"])
def test_a_file_that_cannot_be_read_is_left_out_and_named(cloud, five, size_mode):
    def shown(limit):
        return run_node("LoadImagesFromCloud", prefix="set/", size_mode=size_mode, limit=limit)

    cloud.put("set/2.png", b"<html>", PutOptions(), Meter())
    ui, result = shown(16)["ui"], shown(16)["result"]
    images, masks, keys, count = result
    assert torch.equal(torch.cat(images), five[[0, 1, 3, 4]])
    assert sum(len(mask) for mask in masks) == count == 4
    assert keys == [f"set/{number}.png" for number in (0, 1, 3, 4)]
    status, line = ui[results.LINES]
    assert status == "Loaded 4 images. Left out: 1 file that cannot be read."
    assert "set/2.png" in line
    cloud.put("set/1.png", b"", PutOptions(), Meter())
    assert shown(3)["ui"][results.LINES][0] == "Loaded 1 image. Left out: 2 files that cannot be read."


@pytest.mark.parametrize("inputs", [{"on_damage": "fail"}, {"pattern": "9*"}])
def test_a_file_that_cannot_be_read_fails_if_asked_to_or_if_there_is_no_other(cloud, five, inputs):
    cloud.put("set/9.png", b"<html>", PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match=r"set/9\.png"):
        load(**inputs)


def test_an_image_that_does_not_fit_into_memory_is_never_left_out(cloud, five, monkeypatch):
    monkeypatch.setattr(model_management, "get_free_memory", lambda _device: 0)
    with pytest.raises(errors.MediaError, match="of memory are free"):
        load()


def test_progress_is_told_per_file(cloud, five, comfyui, proxy, monkeypatch):
    monkeypatch.setattr(progress, "DRAW_SECONDS", 0)
    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET", path="3.png"))

    def send(text, node_id, sid):
        comfyui.texts.append((text, node_id, sid))
        if text.startswith("Loaded 4 of 5 images, "):
            proxy.release()

    monkeypatch.setattr(comfyui, "send_progress_text", send)
    load(unique_id="4")
    assert comfyui.texts[-1][0] == "Loaded 5 images."
    assert all(value <= total for _, value, total in utils.drawn)


def test_unchanged_images_are_not_downloaded_again(cloud, five, monkeypatch):
    load()
    opened = []
    real = type(cloud)._open
    monkeypatch.setattr(
        type(cloud), "_open", lambda self, *arguments: opened.append(1) or real(self, *arguments)
    )
    assert torch.equal(load()[0][0], five)
    assert opened == []


def changed(**inputs):
    return nodes_folder.LoadImagesFromCloud.IS_CHANGED(unique_id="4", **{"prefix": "set/", **inputs})


AS_THEY_ARE = {"pattern": "*", "sort": "name", "skip_first": 0, "select_every_nth": 1}


def test_is_changed_stays_while_the_chosen_images_do(cloud, comfyui, five):
    prompt = {"4": {"class_type": "LoadImagesFromCloud", "inputs": {"prefix": "set/", "limit": 4}}}
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])
    first = changed(**AS_THEY_ARE, limit=4)
    load(limit=4, unique_id="4")
    assert changed(**AS_THEY_ARE, limit=4) == first
    stored(cloud, "set/4.png", noise(seed=99))  # not among the first four
    assert changed(**AS_THEY_ARE, limit=4) == first
    stored(cloud, "set/0.png", noise(seed=98))
    assert changed(**AS_THEY_ARE, limit=4) != first


@pytest.mark.parametrize("wired", ["prefix", "pattern", "sort", "skip_first", "select_every_nth", "limit"])
def test_is_changed_looks_at_what_the_wires_brought_in_the_last_run(cloud, comfyui, five, wired):
    widgets = {"prefix": "set/", "pattern": "?.*", "sort": "name", "skip_first": 1, "select_every_nth": 2}
    widgets["limit"] = 2
    inputs = {**widgets, wired: ["7", 0]}
    prompt = {"4": {"class_type": "LoadImagesFromCloud", "inputs": inputs}}
    comfyui.prompt_queue.currently_running[0] = (0, "id", prompt, {}, [])
    asked = {**widgets, wired: None}
    first = changed(**asked)
    assert load(unique_id="4", **widgets)[2] == ["set/1.png", "set/3.png"]
    assert changed(**asked) == first
    for other in ("set/0.png", "set/2.png", "set/4.png"):
        stored(cloud, other, noise(seed=99))
    assert changed(**asked) == first
    stored(cloud, "set/3.png", noise(seed=97))
    assert changed(**asked) != first


def test_cancel_stops_every_download(cloud, five, proxy, monkeypatch):
    import threading

    monkeypatch.setenv("COMFY_S3_ENDPOINT_URL", proxy.url)
    rule = proxy.add(Fault(Cut("response body", 0.5, "silence"), "GET", path=".png", times=None))

    def press():
        rule.wait()
        model_management.interrupt_current_processing()

    threading.Thread(target=press).start()
    with pytest.raises(model_management.InterruptProcessingException):
        load()
