"""Many images, many keys, large objects, many saves at once: bounded memory and no failure."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from datetime import datetime, timezone

import pytest
import torch
from cloud_storage import nodes_save, providers
from cloud_storage.comfyui import folders
from cloud_storage.saving import batch, counter, store_file
from cloud_storage.saving.names import Name
from cloud_storage.saving.outbox import Outbox
from cloud_storage.storage import multipart
from cloud_storage.storage.base import ObjectInfo, PutOptions
from cloud_storage.storage.http import PAGE_KEYS, Page
from cloud_storage.storage.s3 import storage as s3_storage
from cloud_storage.system import concurrency
from cloud_storage.system.meter import Meter
from conftest import outputs_of, run_node

GIB = 1 << 30
KEYS = 100_000


class Payload(bytes):
    """Bytes of an encoded file that are counted while they are in memory."""

    alive = 0
    most = 0
    lock = threading.Lock()

    def __new__(cls, data):
        made = super().__new__(cls, data)
        with cls.lock:
            cls.alive += 1
            cls.most = max(cls.most, cls.alive)
        return made

    def __del__(self):
        with self.lock:
            Payload.alive -= 1


@pytest.fixture
def counted(monkeypatch):
    monkeypatch.setattr(Payload, "alive", 0)
    monkeypatch.setattr(Payload, "most", 0)
    real = nodes_save.image_encoder.encode

    def encode(*arguments):
        encoded = real(*arguments)
        return dataclasses.replace(encoded, data=Payload(encoded.data))

    monkeypatch.setattr(nodes_save.image_encoder, "encode", encode)
    return Payload


def test_a_batch_of_a_thousand_images_is_stored_in_order_with_few_of_them_in_memory(cloud, counted):
    images = torch.zeros((1000, 8, 8, 3))
    urls, keys, _ = run_node("SaveImageToCloud", images=images)["result"]
    assert keys == [f"comfyui/images/ComfyUI_{number:05d}.png" for number in range(1, 1001)]
    assert urls.count(";") == 999
    assert [info.key for info in cloud.list()] == keys
    at_work = batch.MOST_UPLOADS + batch.ENCODE_THREADS
    assert 0 < counted.most <= at_work + 1, "one more while it is handed over"
    assert counted.alive == 0


def test_a_thousand_images_are_kept_with_few_of_them_in_memory(cloud, counted, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "")
    with pytest.raises(ValueError, match="1000 files are kept"):
        run_node("SaveImageToCloud", images=torch.zeros((1000, 8, 8, 3)))
    assert len(Outbox(folders.outbox_folder()).contents().entries) == 1000
    # One at work in each thread, and one that the failure of each thread's first try holds on to.
    assert 0 < counted.most <= 2 * (batch.MOST_UPLOADS + batch.ENCODE_THREADS)


def test_fifty_saves_at_once_fail_nowhere_and_share_no_name(cloud):
    async def main():
        saves = [nodes_save.SaveImageToCloud().save(torch.full((2, 8, 8, 3), n / 50)) for n in range(50)]
        return await asyncio.gather(*saves)

    done = asyncio.run(main())
    keys = [key for each in done for key in each["result"][1]]
    assert len(set(keys)) == 100
    assert sorted(keys) == [info.key for info in cloud.list()]


# ------------------------------------------------------------ a bucket of 100,000 keys


@pytest.fixture
def crowded(cloud, fast_place, monkeypatch):
    """``cloud`` with KEYS objects called img_00001.png and so on; S3's server is not asked for its pages."""
    names = [
        f"img_{number:05d}.png" if number < 100_000 else "img_99999b.png" for number in range(1, KEYS + 1)
    ]
    if fast_place.is_oss:
        cloud.put("img_00001.png", b"x", PutOptions(), Meter())
        bucket = fast_place.server.buckets[fast_place.bucket]
        (stored,) = (each for key, each in bucket.objects.items() if key.startswith(cloud.path_prefix))
        with fast_place.server.lock:
            for name in names:
                key = cloud.path_prefix + name
                bucket.put(type(stored)(**{**vars(stored), "key": key}))
        yield names
        with fast_place.server.lock:
            for name in names:
                bucket.delete(cloud.path_prefix + name)
        return
    now = datetime.now(timezone.utc)

    def page(self, prefix, after, token, count, delimiter):
        start = max((name for name in (after, token) if name), default="")
        full = (self.path_prefix + name for name in names)
        keys = (key for key in full if key.startswith(prefix) and key > start)
        found = [ObjectInfo(key, 1, "e", now) for _, key in zip(range(count), keys, strict=False)]
        return Page(found, found[-1].key if len(found) == count else "")

    monkeypatch.setattr(s3_storage.S3Storage, "_page", page)
    yield names


def test_a_bucket_of_100_000_keys_is_listed_page_by_page(crowded, cloud):
    seen = cloud.list()
    assert next(seen).key == crowded[0], "the first of them needs no more than one page"
    text, keys, count = outputs_of("ListBucketContents", max_results=KEYS)
    assert count == len(keys) == KEYS
    assert keys == sorted(crowded)
    assert text.count("\n") == KEYS - 1


def test_the_next_number_among_100_000_keys_takes_few_pages(crowded, cloud, monkeypatch):
    pages = []
    real = type(cloud)._page

    def page(*arguments):
        pages.append(1)
        return real(*arguments)

    monkeypatch.setattr(type(cloud), "_page", page)
    found = counter.next_counter(
        "img_", lambda *asked: (info.key for info in cloud.list(asked[0], asked[2], asked[1]))
    )
    assert found == 100_000
    assert len(pages) < 40 < KEYS / PAGE_KEYS


# ------------------------------------------------------------ an object of 50 GiB, on paper


@pytest.mark.parametrize("row", providers.PROVIDERS.values(), ids=lambda row: row.name)
@pytest.mark.parametrize("size", [50 * GIB, 50 * GIB + 1, 48 * GIB - 1, 5 * GIB])
def test_the_parts_of_a_large_object_fit_every_provider_and_the_memory(row, size):
    part = multipart.part_bytes(size, row)
    parts = -(-size // part)
    assert parts <= row.max_parts
    assert row.min_part_bytes <= part <= row.max_part_bytes
    assert part % multipart.MIB == 0
    assert part <= 64 * multipart.MIB
    assert multipart.BLOCK_MAX_BYTES * concurrency.MOST <= 64 * multipart.MIB, "in memory at once, of a file"


def test_a_part_is_read_from_disk_block_by_block(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(50 * GIB)  # a hole: it takes no room
    last = multipart.Slice(path, 50 * GIB - 64 * multipart.MIB, 64 * multipart.MIB, Meter())
    assert len(last.read(1 << 30)) <= multipart.BLOCK_MAX_BYTES
    assert multipart.size_of(path) == 50 * GIB
    last.close()
    name = Name(("m",), ".safetensors")
    assert store_file.File(path, "a/b").size == 50 * GIB
    assert name.fixed() == "m.safetensors"
