"""The bar and the text that a node has while it works, one for all its calls."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace

import pytest
from cloud_storage.comfyui import progress
from cloud_storage.comfyui.progress import Progress
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from comfy import utils
from conftest import of_a_list
from PIL import Image


@pytest.fixture(autouse=True)
def every_look_is_drawn(monkeypatch):
    monkeypatch.setattr(progress, "DRAW_SECONDS", 0)
    frozen(monkeypatch)


def frozen(monkeypatch, *seconds):
    """A clock that stands still, or shows these times one after another."""
    times = iter(seconds)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times, 0.0)))


class Call:
    """A call of a node that expects so many bytes, and draws as they arrive."""

    def __init__(self, node_id: str, total: int) -> None:
        self.meter, self.progress = Meter(total), Progress(node_id, "Downloaded", "Loaded")

    def arrive(self, count: int) -> None:
        self.meter.add(count)
        self.progress(self.meter)


def in_one_prompt(work):
    async def prompt():
        work()

    asyncio.run(prompt())


def test_calls_side_by_side_share_one_bar_that_grows_and_one_text(comfyui):
    def work():
        calls = [Call("9", total) for total in (1000, 3000)]
        for call in calls:
            call.arrive(500)
        calls[0].arrive(500)
        del calls[0]
        calls[0].arrive(1000)

    in_one_prompt(work)
    assert utils.drawn == [("9", 500, 1000), ("9", 1000, 4000), ("9", 1500, 4000), ("9", 2500, 4000)]
    assert [text for text, _, _ in comfyui.texts] == [
        "Downloaded 500 B of 1.0 kB",
        "Downloaded 1.0 kB of 4.0 kB",
        "Downloaded 1.5 kB of 4.0 kB",
        "Downloaded 2.5 kB of 4.0 kB",
    ]


def test_frames_are_told_until_all_calls_have_theirs(comfyui):
    def work():
        calls = [Call("9", 0), Call("9", 0)]
        for call in calls:
            call.meter.expect_frames(10)
            call.meter.add_frames(10 if call is calls[0] else 4)
        calls[0].arrive(100)
        calls[1].arrive(100)
        calls[1].meter.add_frames(6)
        calls[1].meter.expect(400)
        calls[0].arrive(100)

    in_one_prompt(work)
    assert [text for text, _, _ in comfyui.texts] == [
        "Loaded 10 of 10 frames, 100 B",
        "Loaded 14 of 20 frames, 200 B",
        "Downloaded 300 B of 400 B",
    ]
    assert utils.drawn == [("9", 10, 10), ("9", 14, 20), ("9", 300, 400)]


def test_other_nodes_and_calls_that_have_ended_are_not_counted(comfyui):
    def work():
        Call("9", 1000).arrive(1000)
        one, other = Call("9", 2000), Call("4", 10)
        one.arrive(1)
        other.arrive(2)

    in_one_prompt(work)
    assert utils.drawn == [("9", 1000, 1000), ("9", 1, 2000), ("4", 2, 10)]


def test_the_next_run_counts_anew_though_a_failed_call_lives_on(comfyui):
    kept = []

    def work():
        kept.append(Call("9", 1000))
        kept[-1].arrive(700)

    in_one_prompt(work)
    in_one_prompt(work)
    assert utils.drawn == [("9", 700, 1000)] * 2


@pytest.mark.parametrize("since_boot", [0.0, 5.0, 1e7])
def test_what_is_drawn_is_as_often_for_a_list_as_for_one(comfyui, monkeypatch, since_boot):
    monkeypatch.setattr(progress, "DRAW_SECONDS", 3600)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: since_boot))

    def work():
        for call in [Call("9", 1000) for _ in range(20)]:
            call.arrive(10)

    in_one_prompt(work)
    assert len(utils.drawn) == 1


def test_the_images_of_a_list_are_loaded_under_one_bar(cloud):
    sizes = []
    for number, side in enumerate((300, 900, 600)):
        written = io.BytesIO()
        Image.effect_noise((side, side), 100).save(written, "PNG")
        cloud.put(f"{number}.png", written.getvalue(), PutOptions(), Meter())
        sizes.append(len(written.getvalue()))
    of_a_list("LoadImageFromCloud", [{"key": f"{number}.png"} for number in range(3)])
    done = [value for _, value, _ in utils.drawn]
    assert done == sorted(done)
    assert utils.drawn[-1] == ("9", sum(sizes), sum(sizes))


# ------------------------------------------------------------ how fast, how long still


@pytest.mark.parametrize("began", [0.0, 7.0, 1e9], ids=["just started", "soon after", "up for years"])
def test_a_long_transfer_says_how_fast_it_is_and_how_long_it_takes_still(comfyui, monkeypatch, began):
    frozen(monkeypatch, *(began + second for second in (0, 1, 4, 5)))

    def work():
        call = Call("9", 100_000_000)
        for count in (2_000_000, 2_000_000, 4_000_000, 12_000_000):
            call.arrive(count)

    in_one_prompt(work)
    assert [text.partition("MB")[2] for text, _, _ in comfyui.texts] == [
        " of 100.0 MB",
        " of 100.0 MB",
        " of 100.0 MB, 1.5 MB/s, 2 min left",
        " of 100.0 MB, 3.6 MB/s, 23 s left",
    ]


def test_one_operation_is_shown_on_several_nodes_or_on_none(comfyui):
    def work():
        meter = Meter(1000)
        several = progress.Several([Progress(one, "Downloaded") for one in ("4", "12:5")])
        meter.add(500)
        several(meter, "Waiting")
        several(meter, "Waiting")
        several.text("Done")
        progress.Several([])(meter, "nobody sees it")

    in_one_prompt(work)
    assert utils.drawn == [("4", 500, 1000), ("12:5", 500, 1000)]
    assert [(node, text) for text, node, _ in comfyui.texts] == [
        ("4", "Downloaded 500 B of 1.0 kB"),
        ("12:5", "Downloaded 500 B of 1.0 kB"),
        ("4", "Waiting"),
        ("12:5", "Waiting"),
        ("4", "Done"),
        ("12:5", "Done"),
    ]
