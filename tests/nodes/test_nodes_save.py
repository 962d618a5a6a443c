from __future__ import annotations

import asyncio
import errno
import json
import threading
import urllib.request
from io import BytesIO
from pathlib import Path

import pytest
import torch
from cloud_storage import errors, nodes_save
from cloud_storage.comfyui import folders, results
from cloud_storage.media.image import image_encoder
from cloud_storage.saving import batch, choices, numbering
from cloud_storage.saving.outbox import Outbox
from cloud_storage.storage import base
from cloud_storage.system import budget
from cloud_storage.system.meter import Meter
from comfy import cli_args, model_management, utils
from conftest import lines_of, of_a_list, run_node
from PIL import Image

PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 42, "steps": 20}, "_meta": {"title": "Sampler"}}}
WORKFLOW = {"workflow": {"nodes": [], "links": []}}


def pictures(count=3, height=24, width=32, channels=3):
    generator = torch.Generator().manual_seed(count * height)
    return torch.rand((count, height, width, channels), generator=generator)


def pixels(data):
    return torch.from_numpy(__import__("numpy").asarray(Image.open(BytesIO(data))).copy())


def as_stored(image):
    return (image * 255).clamp(0, 255).to(torch.uint8)


def test_a_batch_becomes_objects_in_order(cloud):
    images = pictures()
    saved = run_node("SaveImageToCloud", images=images, unique_id="9")
    urls, keys, passed = saved["result"]
    assert keys == [f"comfyui/images/ComfyUI_{number:05d}.png" for number in (1, 2, 3)]
    assert urls == ";".join(cloud.url(key) for key in keys)
    assert passed is images
    for image, key in zip(images, keys, strict=True):
        assert torch.equal(pixels(cloud.read(key)), as_stored(image))
        assert cloud.stat(key).content_type == "image/png"


def test_the_node_shows_what_it_stored(cloud, comfyui, tmp_path):
    saved = run_node("SaveImageToCloud", images=pictures(2), unique_id="9")
    for shown, key in zip(saved["ui"]["images"], saved["result"][1], strict=True):
        path = tmp_path / "temp" / shown["subfolder"] / shown["filename"]
        assert shown["type"] == "temp"
        assert path.read_bytes() == cloud.read(key)
    text, node_id, browser = comfyui.texts[-1]
    assert (node_id, browser) == ("9", "browser")
    assert "Saved 2 objects" in text
    assert "http" not in text


def test_a_preview_that_cannot_be_written_keeps_nothing_from_being_stored(cloud, monkeypatch):
    def preview(source, extension, key):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results, "preview", preview)
    saved = run_node("SaveImageToCloud", images=pictures(3), unique_id="9")
    assert [info.key for info in cloud.list("")] == saved["result"][1]
    assert len(saved["result"][1]) == 3
    assert saved["ui"]["images"] == []
    assert "There is no preview: No space left on device." in lines_of(saved)[0]


def test_a_second_run_never_replaces_the_first(cloud):
    first = run_node("SaveImageToCloud", images=pictures(2))["result"][1]
    before = {key: cloud.stat(key).etag for key in first}
    second = run_node("SaveImageToCloud", images=pictures(2, 30))["result"][1]
    assert second == [f"comfyui/images/ComfyUI_{number:05d}.png" for number in (3, 4)]
    assert {key: cloud.stat(key).etag for key in first} == before


@pytest.fixture
def first_is_slowest(monkeypatch):
    """An encoder that is done with the largest pictures when it has seen all others."""
    encode, seen, all_others = image_encoder.encode, [], threading.Event()

    def slow(image, *args):
        if len(image) > 24:
            all_others.wait(30)
        elif len(seen.append(None) or seen) == 3:
            all_others.set()
        return encode(image, *args)

    monkeypatch.setattr(image_encoder, "encode", slow)
    monkeypatch.setattr(batch, "_encoding", budget.Budget(2))  # also where one processor encodes


LISTED = [pictures(1, 48), *(pictures(1, height) for height in (8, 16, 24))]


@pytest.mark.usefixtures("first_is_slowest")
@pytest.mark.parametrize("filename", ["ComfyUI_%counter%", "picture"])
def test_the_items_of_a_list_get_their_numbers_in_order(cloud, filename):
    items = [{"images": images, "filename": filename} for images in LISTED]
    keys = [saved["result"][1][0] for saved in of_a_list("SaveImageToCloud", items)]
    assert keys == sorted(keys)
    assert [len(pixels(cloud.read(key))) for key in sorted(keys)] == [48, 8, 16, 24]


@pytest.mark.usefixtures("first_is_slowest")
@pytest.mark.parametrize("filename", ["ComfyUI_%counter%", "picture"])
def test_a_list_keeps_its_order_behind_what_another_machine_has_saved(cloud, filename):
    name = filename.replace("%counter%", "00001")
    run_node("SaveImageToCloud", images=pictures(1), filename=name)
    if filename != "picture":
        run_node("SaveImageToCloud", images=pictures(1), filename=filename)  # the series is known from now on
    stem = filename.replace("_%counter%", "")
    for number in range(3, 10):
        cloud.put(f"comfyui/images/{stem}_{number:05d}.png", b"theirs", base.PutOptions(), Meter())
    items = [{"images": images, "filename": filename} for images in LISTED]
    keys = [saved["result"][1][0] for saved in of_a_list("SaveImageToCloud", items)]
    assert keys == [f"comfyui/images/{stem}_{number:05d}.png" for number in (10, 11, 12, 13)]


def test_a_batch_keeps_its_order_behind_what_another_machine_has_saved(cloud):
    run_node("SaveImageToCloud", images=pictures(1))
    for number in range(2, 20):
        cloud.put(f"comfyui/images/ComfyUI_{number:05d}.png", b"theirs", base.PutOptions(), Meter())
    keys = run_node("SaveImageToCloud", images=pictures(10))["result"][1]
    assert keys == [f"comfyui/images/ComfyUI_{number:05d}.png" for number in range(20, 30)]


def test_a_number_taken_by_another_machine_is_replaced_for_files_that_are_not_stored(cloud, monkeypatch):
    encode, put, stored = image_encoder.encode, base.Storage.put, threading.Semaphore(0)

    def slow(image, *args):
        if len(image) > 24:
            assert all(stored.acquire(timeout=30) for _ in range(3))  # the files of all other items
        return encode(image, *args)

    def counted(self, *args, **options):
        done = put(self, *args, **options)
        stored.release()
        return done

    run_node("SaveImageToCloud", images=pictures(1))
    cloud.put("comfyui/images/ComfyUI_00002.png", b"theirs", base.PutOptions(), Meter())
    monkeypatch.setattr(image_encoder, "encode", slow)
    monkeypatch.setattr(base.Storage, "put", counted)
    monkeypatch.setattr(batch, "_encoding", budget.Budget(2))  # also where one processor encodes
    found = of_a_list("SaveImageToCloud", [{"images": images} for images in LISTED])
    keys = [saved["result"][1][0] for saved in found]
    assert cloud.read("comfyui/images/ComfyUI_00002.png") == b"theirs"
    assert len(set(keys)) == 4
    assert keys[0] > "comfyui/images/ComfyUI_00005.png"


@pytest.mark.usefixtures("first_is_slowest")
@pytest.mark.parametrize("if_exists", [choices.OVERWRITE, choices.FAIL, choices.SKIP])
@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("ComfyUI_%counter%", ["ComfyUI_00001", "ComfyUI_00002", "ComfyUI_00003", "ComfyUI_00004"]),
        ("picture", ["picture", "picture_1", "picture_2", "picture_3"]),
        ("%height%", ["48", "8", "16", "24"]),
    ],
)
def test_no_item_of_a_list_replaces_another(cloud, if_exists, filename, expected):
    items = [{"images": images, "filename": filename, "if_exists": if_exists} for images in LISTED]
    for again in (False, True):
        found = of_a_list("SaveImageToCloud", items)
        if again and if_exists == choices.FAIL:
            assert [type(one) for one in found] == [errors.AlreadyExists] * 4
        else:
            keys = [saved["result"][1] for saved in found]
            assert keys == [[f"comfyui/images/{key}.png"] for key in expected]
        sizes = [len(pixels(cloud.read(f"comfyui/images/{key}.png"))) for key in expected]
        assert sizes == [48, 8, 16, 24]
        assert len(list(cloud.list(""))) == 4


def test_batches_of_a_list_count_on(cloud):
    items = [{"images": pictures(count), "if_exists": choices.OVERWRITE} for count in (2, 1, 3)]
    keys = [saved["result"][1] for saved in of_a_list("SaveImageToCloud", items)]
    assert [[key[-5] for key in each] for each in keys] == [["1", "2"], ["3"], ["4", "5", "6"]]


def test_an_item_waits_for_the_numbers_before_it_and_not_for_the_bytes(cloud, monkeypatch):
    put, last, in_time = base.Storage.put, threading.Event(), []

    def held(self, key, *args, **options):
        if key.endswith(("2.png", "3.png")):  # of the first item's batch, and of the second item
            in_time.append(last.wait(20))
        info = put(self, key, *args, **options)
        if key.endswith("4.png"):
            last.set()
        return info

    monkeypatch.setattr(base.Storage, "put", held)
    found = of_a_list("SaveImageToCloud", [{"images": pictures(count)} for count in (2, 1, 1)])
    keys = [saved["result"][1] for saved in found]
    assert [[key[-5] for key in each] for each in keys] == [["1", "2"], ["3"], ["4"]]
    assert in_time == [True, True]


@pytest.mark.parametrize(
    "filenames",
    [["a", "b", "c"], ["a_%counter%", "b_%counter%", "c_%counter%"], ["a_%counter%"] * 3, ["a"] * 3],
)
def test_items_of_other_names_do_not_wait_nor_any_for_a_long_upload(cloud, monkeypatch, filenames):
    put, all_there, tried = base.Storage.put, threading.Barrier(3), []

    def held(self, *args, **options):
        if len(tried.append(args) or tried) <= 3:
            all_there.wait(20)
        return put(self, *args, **options)

    monkeypatch.setattr(base.Storage, "put", held)
    items = [{"images": pictures(1), "filename": name} for name in filenames]
    keys = [saved["result"][1][0] for saved in of_a_list("SaveImageToCloud", items)]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("filename", ["picture", "x_%batch_num%", "%batch_num%_%counter%"])
def test_batches_of_a_list_whose_images_are_of_several_series_keep_their_order(cloud, monkeypatch, filename):
    put, encode, others, seen = base.Storage.put, image_encoder.encode, threading.Event(), []

    def slow(image, *args):
        if len(image) == 48 and len(seen.append(image) or seen) == 2:
            others.wait(2)  # they are at work, and may not get there first
        return encode(image, *args)

    def told(self, key, *args, **options):
        info = put(self, key, *args, **options)
        if len(tried.append(key) or tried) == 3:
            others.set()
        return info

    tried = []
    monkeypatch.setattr(image_encoder, "encode", slow)
    monkeypatch.setattr(base.Storage, "put", told)
    items = [{"images": pictures(2, height), "filename": filename} for height in (48, 8)]
    first, second = (saved["result"][1] for saved in of_a_list("SaveImageToCloud", items))
    assert all(before < behind for before, behind in zip(first, second, strict=True)), (first, second)


def test_a_key_without_counter_is_sent_to_once(cloud, monkeypatch):
    """While it is under way nobody sees it there."""
    put, there, sent = base.Storage.put, threading.Event(), []

    def told(self, key, *args, **options):
        if len(sent.append(key) or sent) == 1:
            there.wait(20)
        info = put(self, key, *args, **options)
        there.set()
        return info

    monkeypatch.setattr(base.Storage, "put", told)
    found = of_a_list("SaveImageToCloud", [{"images": images, "filename": "a"} for images in LISTED[1:]])
    keys = [saved["result"][1][0] for saved in found]
    assert keys == ["comfyui/images/a.png", "comfyui/images/a_00002.png", "comfyui/images/a_00003.png"]
    assert sorted(sent) == keys


def test_cancel_ends_all_items_of_a_list(cloud, monkeypatch):
    def held(self, key, source, options, meter, **more):
        model_management.interrupt_current_processing()
        meter.wait(20)
        meter.check()
        raise AssertionError("nobody cancelled it")

    monkeypatch.setattr(base.Storage, "put", held)
    found = of_a_list("SaveImageToCloud", [{"images": pictures(1), "filename": "%uuid%"} for _ in range(4)])
    assert {type(one) for one in found} == {model_management.InterruptProcessingException}
    assert list(cloud.list("")) == []
    assert not folders.outbox_folder().exists()


def test_items_that_cannot_be_sent_do_not_try_it_one_after_another(cloud, monkeypatch):
    all_there = threading.Barrier(2)

    def fails(self, *args):
        if len(tried.append(None) or tried) > 1:
            all_there.wait(20)
        raise errors.Unreachable("no server")

    tried = []
    monkeypatch.setattr(type(cloud), "list", fails)
    found = of_a_list("SaveImageToCloud", [{"images": images} for images in LISTED[1:]])
    assert [type(one) for one in found] == [errors.Unreachable] * 3
    kept = Outbox(folders.outbox_folder()).contents().entries
    assert [Image.open(entry.path).height for entry in kept] == [8, 16, 24], "in the order of the list"


@pytest.mark.usefixtures("first_is_slowest")
def test_an_item_that_fails_holds_up_no_other(cloud):
    items = [{"images": images} for images in LISTED]
    items[1:1] = [{"images": pictures(1), "format": "gif"}, {"images": pictures(1), "filename": "a\\b"}]
    found = of_a_list("SaveImageToCloud", items)
    assert [type(one) for one in found] == [dict, errors.ConfigurationError, errors.BadKey, dict, dict, dict]
    assert [info.size > 0 for info in cloud.list("")] == [True] * 4


def test_another_machine_that_saves_at_once_is_not_overwritten(cloud, monkeypatch):
    run_node("SaveImageToCloud", images=pictures(1))
    with monkeypatch.context() as second_machine:
        second_machine.setattr(numbering, "counters", numbering.CounterMemory())
        other = run_node("SaveImageToCloud", images=pictures(1))["result"][1]
    assert other == ["comfyui/images/ComfyUI_00002.png"]
    # this machine had reserved 2 and 3; the first of them is taken, and the second may be stored by then
    first, second = run_node("SaveImageToCloud", images=pictures(2))["result"][1]
    assert first == "comfyui/images/ComfyUI_00004.png"
    assert second in ("comfyui/images/ComfyUI_00003.png", "comfyui/images/ComfyUI_00005.png")
    assert len(list(cloud.list())) == 4


def test_a_name_without_counter_is_kept_and_numbered_only_when_taken(cloud):
    def save(**inputs):
        return run_node("SaveImageToCloud", filename="portrait", key_prefix="p", **inputs)["result"][1]

    assert save(images=pictures(1)) == ["p/portrait.png"]
    assert save(images=pictures(1)) == ["p/portrait_00002.png"]
    assert save(images=pictures(2)) == ["p/portrait_0.png", "p/portrait_1.png"]


def test_tokens_are_replaced_on_the_server(cloud):
    keys = run_node(
        "SaveImageToCloud",
        images=pictures(2),
        key_prefix="%width%x%height%/",
        filename="s%seed%_%Sampler.steps%_%batch_num%",
        prompt=PROMPT,
        unique_id="9",
    )["result"][1]
    assert keys == ["32x24/s42_20_0.png", "32x24/s42_20_1.png"]


@pytest.mark.parametrize("format", ["png", "jpg", "webp"])
@pytest.mark.parametrize("channels", [3, 4])
def test_every_format_is_a_real_file_of_its_type(cloud, format, channels):
    result = run_node("SaveImageToCloud", images=pictures(1, channels=channels), format=format)["result"]
    data = cloud.read(result[1][0])
    assert Image.open(BytesIO(data)).format == {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[format]
    assert result[1][0].endswith(f".{format}")
    assert cloud.stat(result[1][0]).content_type == {"jpg": "image/jpeg"}.get(format, f"image/{format}")


def embedded(cloud, monkeypatch, **inputs):
    saved = run_node("SaveImageToCloud", images=pictures(1), prompt=PROMPT, extra_pnginfo=WORKFLOW, **inputs)
    return Image.open(BytesIO(cloud.read(saved["result"][1][0]))).info


def test_the_workflow_is_inside_unless_somebody_says_no(cloud, monkeypatch):
    info = embedded(cloud, monkeypatch)
    assert json.loads(info["prompt"]) == PROMPT
    assert json.loads(info["workflow"]) == WORKFLOW["workflow"]
    assert "prompt" not in embedded(cloud, monkeypatch, embed_workflow=False)
    monkeypatch.setattr(cli_args.args, "disable_metadata", True)
    assert "prompt" not in embedded(cloud, monkeypatch)


def test_if_exists_decides(cloud):
    def save(images, if_exists):
        return run_node("SaveImageToCloud", images=images, filename="x", key_prefix="p", if_exists=if_exists)[
            "result"
        ]

    one, two = pictures(1, 10), pictures(1, 11)
    save(one, "fail")
    with pytest.raises(errors.AlreadyExists, match=r"p/x\.png.*if_exists"):
        save(two, "fail")
    assert torch.equal(pixels(cloud.read("p/x.png")), as_stored(one[0]))
    skipped = run_node("SaveImageToCloud", images=two, filename="x", key_prefix="p", if_exists="skip")
    assert skipped["result"][:2] == (cloud.url("p/x.png"), ["p/x.png"])
    assert lines_of(skipped) == ["There already, and not sent: p/x.png.", cloud.url("p/x.png")]
    assert len(skipped["ui"]["images"]) == 1
    assert torch.equal(pixels(cloud.read("p/x.png")), as_stored(one[0]))
    assert save(two, "overwrite")[1] == ["p/x.png"]
    assert torch.equal(pixels(cloud.read("p/x.png")), as_stored(two[0]))


def test_a_counter_counts_the_batch_when_names_are_to_be_the_same_again(cloud):
    for _ in range(2):
        keys = run_node("SaveImageToCloud", images=pictures(2), if_exists="overwrite")["result"][1]
        assert keys == ["comfyui/images/ComfyUI_00001.png", "comfyui/images/ComfyUI_00002.png"]


def test_addresses_are_shown_as_they_are_handed_out_and_signed_ones_only_where_asked_for(cloud):
    plain = run_node("SaveImageToCloud", images=pictures(2))
    status, *links = lines_of(plain)
    assert status.startswith("Saved 2 objects, ")
    assert links == [cloud.url(key) for key in plain["result"][1]]
    signed = run_node("SaveImageToCloud", images=pictures(2), link="presigned")
    assert lines_of(signed)[1:] == signed["result"][0].split(";")
    assert "Signature" not in str(plain["ui"])
    opens = [more["opens"] for _, more in plain["ui"]["cloud_storage"][1:]]
    assert opens == [{"profile": "(env vars)", "key": key} for key in plain["result"][1]]
    assert "opens" not in str(signed["ui"]), "a signed address opens by itself"
    assert len(run_node("SaveImageToCloud", images=pictures(1), link="none")["ui"]["cloud_storage"]) == 1
    assert set(plain["ui"]) == {"cloud_storage", "images", "cloud_files"}


def test_the_line_of_an_address_names_the_profile_as_the_wire_brought_it(cloud):
    wire = run_node("CloudStorageProfile", path_prefix=f"{cloud.path_prefix}sub")[0]
    saved = run_node("SaveImageToCloud", images=pictures(1), profile=wire)
    (_, more) = saved["ui"]["cloud_storage"][1]
    assert more["opens"] == {
        "profile": "(env vars)",
        "path_prefix": f"{cloud.path_prefix}sub",
        "key": saved["result"][1][0],
    }


def test_a_preview_is_the_file_itself_under_the_name_of_its_object(cloud, tmp_path):
    saved = run_node("SaveImageToCloud", images=pictures(2), filename="Ü & %counter%", key_prefix="a/b")
    assert [one["filename"] for one in saved["ui"]["images"]] == ["Ü & 00001.png", "Ü & 00002.png"]
    for one, key in zip(saved["ui"]["images"], saved["result"][1], strict=True):
        file = tmp_path / "temp" / one["subfolder"] / one["filename"]
        assert (one["type"], file.read_bytes()) == ("temp", cloud.read(key))


def test_links_open_or_are_left_out(cloud):
    signed, keys, _ = run_node("SaveImageToCloud", images=pictures(2), link="presigned")["result"]
    for url, key in zip(signed.split(";"), keys, strict=True):
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == cloud.read(key)
    assert run_node("SaveImageToCloud", images=pictures(1), link="none")["result"][0] == ""


def test_a_bad_name_is_refused_before_anything_is_sent(cloud):
    for inputs in ({"filename": "../x"}, {"filename": "a\\b"}, {"key_prefix": "x" * 2000}, {"filename": ""}):
        with pytest.raises(errors.ConfigurationError):
            run_node("SaveImageToCloud", images=pictures(1), **inputs)
    assert list(cloud.list()) == []


def test_a_failing_save_shows_no_secret(cloud, fast_place, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    with pytest.raises(errors.AccessDenied) as denied:
        run_node("SaveImageToCloud", images=pictures(1))
    assert "%uuid%" not in str(denied.value)
    assert "wrong-secret" not in "".join(__import__("traceback").format_exception(denied.value))


def test_progress_is_drawn_on_the_node_in_bytes(cloud):
    run_node("SaveImageToCloud", images=pictures(4, 600, 600), unique_id="7")
    for node_id, value, total in utils.drawn:
        assert node_id == "7"
        assert 0 <= value <= total


def test_cancel_ends_the_node_as_the_host_does_and_stores_nothing_more(cloud, monkeypatch):
    reached = threading.Event()
    real = nodes_save.image_encoder.encode

    def encode(*arguments):
        reached.set()
        model_management.interrupt_current_processing()
        return real(*arguments)

    monkeypatch.setattr(nodes_save.image_encoder, "encode", encode)
    with pytest.raises(model_management.InterruptProcessingException):
        run_node("SaveImageToCloud", images=pictures(64, 700, 700))
    assert reached.is_set()
    assert len(list(cloud.list())) < 64


def test_other_coroutines_run_while_bytes_travel(cloud):
    node = nodes_save.SaveImageToCloud()
    turns = []

    async def main():
        save = asyncio.create_task(node.save(pictures(4, 300, 300)))
        while not save.done():
            turns.append(1)
            await asyncio.sleep(0)
        return await save

    asyncio.run(main())
    assert len(turns) > 10


def test_no_images_are_an_error_of_their_own(cloud):
    with pytest.raises(errors.MediaError, match="empty"):
        run_node("SaveImageToCloud", images=torch.zeros((0, 8, 8, 3)))


def test_the_folder_of_previews_holds_only_previews(cloud, tmp_path):
    run_node("SaveImageToCloud", images=pictures(2))
    assert all(path.suffix == ".png" for path in Path(tmp_path, "temp", "cloud_storage").glob("*/*"))


@pytest.mark.parametrize("if_exists", choices.IF_EXISTS)
def test_an_image_that_cannot_be_encoded_fails_the_node_and_holds_up_nobody(cloud, monkeypatch, if_exists):
    real = nodes_save.image_encoder.encode
    first = pictures(1)[0]

    def encode(image, *arguments):
        if torch.equal(image, first):
            raise errors.MediaError("This one cannot be encoded. Leave it out.")
        return real(image, *arguments)

    monkeypatch.setattr(nodes_save.image_encoder, "encode", encode)
    with pytest.raises(errors.MediaError, match="cannot be encoded"):
        run_node("SaveImageToCloud", images=torch.cat([pictures(1), pictures(3)]), if_exists=if_exists)
