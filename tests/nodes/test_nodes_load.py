from __future__ import annotations

import re
import urllib.parse
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from cloud_storage import errors, nodes_load
from cloud_storage.comfyui import results
from cloud_storage.storage import base
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import outputs_of, run_node
from PIL import Image


def stored(cloud, key, image, **options):
    data = BytesIO()
    image.save(data, options.pop("format", "PNG"), **options)
    cloud.put(key, data.getvalue(), PutOptions(), Meter())
    return data.getvalue()


def noise(height=20, width=30, channels=4, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture
def requests(monkeypatch, cloud):
    """The backend's requests by method name, as they are made."""
    made = []
    for name in ("stat", "_open"):
        real = getattr(type(cloud), name)

        def counting(self, *arguments, real=real, name=name):
            made.append(name)
            return real(self, *arguments)

        monkeypatch.setattr(type(cloud), name, counting)
    return made


def test_an_image_comes_back_bit_for_bit_with_its_mask(cloud):
    picture = noise()
    stored(cloud, "a/图 1.png", Image.fromarray(picture))
    image, mask = outputs_of("LoadImageFromCloud", key="a/图 1.png")
    assert torch.equal(image, torch.from_numpy(picture[None, :, :, :3].astype(np.float32) / 255))
    assert torch.allclose(mask, 1 - torch.from_numpy(picture[None, :, :, 3].astype(np.float32) / 255))


def test_a_key_that_save_gave_loads_what_was_saved(cloud):
    images = torch.from_numpy(noise(channels=3)).float()[None] / 255
    (key,) = run_node("SaveImageToCloud", images=images)["result"][1]
    image, mask = outputs_of("LoadImageFromCloud", key=key)
    assert torch.equal((image * 255).round(), (images * 255).floor())
    assert torch.equal(mask, torch.zeros((1, 20, 30)))


@pytest.mark.parametrize("channel", ["alpha", "red", "green", "blue"])
def test_a_mask_is_one_channel(cloud, channel):
    picture = noise()
    stored(cloud, "m.png", Image.fromarray(picture))
    (mask,) = outputs_of("LoadMaskFromCloud", key="m.png", channel=channel)
    expected = (
        picture[None, :, :, {"red": 0, "green": 1, "blue": 2, "alpha": 3}[channel]].astype(np.float32) / 255
    )
    assert torch.allclose(mask, torch.from_numpy(1 - expected if channel == "alpha" else expected))


def test_an_unchanged_object_is_read_once(cloud, requests):
    stored(cloud, "a.png", Image.fromarray(noise()))
    run_node("LoadImageFromCloud", key="a.png")
    requests.clear()
    run_node("LoadImageFromCloud", key="a.png")
    assert requests == ["stat"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>Sign in</html>", "HTML"),
        (b"\x89PNG\r\n\x1a\n garbage", "image"),
    ],
)
def test_what_is_no_image_is_named(cloud, data, words):
    cloud.put("x.png", data, PutOptions(), Meter())
    with pytest.raises(errors.MediaError, match=words) as raised:
        run_node("LoadImageFromCloud", key="x.png")
    assert "x.png" in str(raised.value)


def test_a_missing_key_is_named(cloud):
    with pytest.raises(errors.NotFound, match=r"gone\.png"):
        run_node("LoadImageFromCloud", key="gone.png")
    with pytest.raises(errors.ConfigurationError):
        run_node("LoadImageFromCloud", key="")


def test_offline_the_last_copy_is_loaded_and_the_node_says_so(cloud, monkeypatch, comfyui):
    picture = noise(channels=3)
    stored(cloud, "a.png", Image.fromarray(picture))
    run_node("LoadImageFromCloud", key="a.png", unique_id="4")
    unplug(monkeypatch, cloud)
    image, _ = outputs_of("LoadImageFromCloud", key="a.png", unique_id="4")
    assert torch.equal(image, torch.from_numpy(picture[None].astype(np.float32) / 255))
    assert "last downloaded copy" in comfyui.texts[-1][0]


def test_the_node_shows_a_small_picture_and_where_it_came_from(cloud, comfyui):
    import folder_paths

    wide = np.zeros((40, 3000, 4), np.uint8)
    wide[:, :1500] = (250, 10, 10, 255)
    stored(cloud, "a.png", Image.fromarray(wide))
    for node_id, left, right in (
        ("LoadImageFromCloud", (250, 10, 10), (0, 0, 0)),
        ("LoadMaskFromCloud", (0, 0, 0), (255, 255, 255)),
    ):
        told = run_node(node_id, key="a.png")["ui"]
        assert "images" not in told, "ComfyUI's Mask Editor and assets would take the thumbnail for the image"
        file = dict(urllib.parse.parse_qsl(told[nodes_load.PICTURES][0]))
        assert (file["width"], file["height"], file["frames"], file["type"]) == ("3000", "40", "1", "temp")
        folder = Path(folder_paths.get_temp_directory()) / file["subfolder"]
        with Image.open(folder / file["filename"]) as picture:
            assert picture.size == (384, 5)
            for place, colour in (((60, 2), left), ((320, 2), right)):
                assert np.abs(np.subtract(picture.convert("RGB").getpixel(place), colour)).max() < 20
        assert re.fullmatch(r"Loaded a\.png, ([\d.]+ k?B downloaded|unchanged)\.", told[results.LINES][0])


@pytest.mark.parametrize("fails", ["the encoder", "the disk"])
def test_a_picture_that_cannot_be_shown_costs_no_load(cloud, monkeypatch, caplog, fails):
    def fail(*_given):
        kind = RuntimeError if fails == "the encoder" else errors.StorageError
        raise kind("no room for it")

    if fails == "the encoder":
        monkeypatch.setattr(nodes_load.preview, "make_preview", fail)
    else:
        monkeypatch.setattr(results, "preview", fail)
    stored(cloud, "a.png", Image.fromarray(noise()))
    for node in ("LoadImageFromCloud", "LoadMaskFromCloud"):
        loaded = run_node(node, key="a.png")
        assert loaded["result"][0].shape[1:3] == (20, 30)
        assert loaded["ui"][nodes_load.PICTURES] == []
    assert "There is no preview of what was loaded: no room for it" in caplog.text


def test_a_node_that_loads_again_says_that_nothing_was_downloaded(cloud):
    stored(cloud, "a.png", Image.fromarray(noise()))
    lines = [run_node("LoadImageFromCloud", key="a.png")["ui"][results.LINES] for _ in range(2)]
    assert "downloaded" in lines[0][0]
    assert lines[1] == ["Loaded a.png, unchanged."]


def unplug(monkeypatch, cloud):
    def stat(self, key):
        raise errors.Unreachable("Could not reach it. Plug it in.")

    monkeypatch.setattr(type(cloud), "stat", stat)


@pytest.mark.usefixtures("impatient")
def test_the_seams_own_read_goes_on_after_a_broken_body(monkeypatch):
    opened = []

    class Breaking(base.Storage):
        place, max_key_bytes = "here", 1024

        def _open(self, key, start, stop, etag):
            opened.append((start, stop, etag))

            def chunks():
                yield b"0123456789"[start : start + 3]
                if start < 9:
                    raise errors.Unreachable("Broken. Again.")

            return base.Opened(base.ObjectInfo(key, 10, "tag"), 10 - start, chunks())

        stat = list = _put = _delete = url = signed_url = None

    Breaking.__abstractmethods__ = frozenset()
    broken = Breaking()
    assert broken.read("k") == b"0123456789"
    assert opened == [(0, None, None), (3, 10, "tag"), (6, 10, "tag"), (9, 10, "tag")]
