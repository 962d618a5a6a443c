"""Save a batch of images over a network with a round trip of 50 ms: the node against a plain loop.

16 of 1024 x 1024 as PNG, and 64 of 512 x 512 as WebP. The loop does what most scripts do: encode with Pillow
(PNG with compress_level 4, as ComfyUI), put_object, next. Both sides use the same server behind the same
proxy, each a process of its own, in turn. The bound is the slowest of what no order of the work can avoid:
encoding all images on all processors with the node's encoder, three round trips, and all bytes in one request
without a round trip. The node keeps its numbers from round to round, as in a ComfyUI that runs.

Also printed: the share of the time for which the node kept the thread that runs the graph, and by how much a
coroutine that wants to run every millisecond came late, which on a machine with few cores includes waiting
for the processor. --provider Custom is a server of which nothing is known, so that each name is looked at
before it is written. Usage: python benchmarks/save_batch.py [--rounds N] [--provider NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]

import numpy as np
import torch
from package import load_package

load_package()

import folder_paths  # the stand-in for ComfyUI
from cloud_storage import nodes_save
from cloud_storage.media.image import image_encoder
from cloud_storage.system import thread_pool
from PIL import Image
from servers.fault_proxy import FaultProxy
from servers.ministack import MiniStack
from usage import line, measured

ROUND_TRIP_SECONDS = 0.05
ROUND_TRIPS = 3
BEAT_SECONDS = 0.001


@dataclass(frozen=True)
class Row:
    """A batch: ``format`` as the node calls it, ``pillow`` what the loop gives to Pillow."""

    count: int
    side: int
    format: str
    quality: int
    pillow: dict[str, Any]


ROWS = (
    Row(16, 1024, "png", 95, {"format": "PNG", "compress_level": 4}),
    Row(64, 512, "webp", 95, {"format": "WEBP", "quality": 95}),
)


def photos(row: Row) -> torch.Tensor:
    """Smooth shapes with the noise of a sensor, [count, side, side, 3] in 0..1."""
    generator = np.random.default_rng(7)
    x, y = np.meshgrid(np.linspace(0, 6, row.side), np.linspace(0, 6, row.side))
    images = []
    for number in range(row.count):
        waves = [np.sin(x * (1 + channel) + number) * np.cos(y * (2 - channel / 2)) for channel in range(3)]
        smooth = np.stack(waves, axis=-1) * 0.4 + 0.5
        images.append(np.clip(smooth + generator.normal(0, 2 / 255, smooth.shape), 0, 1))
    return torch.from_numpy(np.stack(images).astype(np.float32))


def plain_loop(client, bucket, row, images, run) -> None:
    for number, image in enumerate(images):
        data = BytesIO()
        pixels = np.clip(255.0 * image.numpy(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(data, **row.pillow)
        key = f"plain/{run}_{number:05d}.{row.format}"
        client.put_object(Bucket=bucket, Key=key, Body=data.getvalue())


def encoded(row, images) -> list[bytes]:
    """All files, made on all processors."""

    def encode(image):
        return bytes(image_encoder.encode(image, row.format, row.quality, None).data)

    return thread_pool.run((partial(encode, image) for image in images), os.cpu_count() or 1)


def bound(client, bucket, row, images) -> dict[str, float]:
    began = time.perf_counter()
    files = encoded(row, images)
    made = time.perf_counter()
    client.put_object(Bucket=bucket, Key="plain/all", Body=b"".join(files))
    sent = time.perf_counter() - made
    return {
        "encoding": made - began,
        "round trips": ROUND_TRIPS * ROUND_TRIP_SECONDS,
        "bytes": sent - ROUND_TRIP_SECONDS,
    }


async def with_node(row, images) -> tuple[float, float]:
    """Seconds kept by the node in this thread, and by which a coroutine beside it came late."""
    kept = time.thread_time()
    node = nodes_save.SaveImageToCloud()
    save = asyncio.create_task(node.save(images, format=row.format, quality=row.quality))
    late = 0.0
    while not save.done():
        asleep = time.perf_counter()
        await asyncio.sleep(BEAT_SECONDS)
        late += max(0.0, time.perf_counter() - asleep - 2 * BEAT_SECONDS)
    await save
    return time.thread_time() - kept, late


@contextmanager
def proxy_before(port: int) -> Iterator[str]:
    """The address of a proxy in a process of its own, which takes nothing from the one that is measured."""
    command = [sys.executable, __file__, "--proxy-for", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def be_proxy(port: int) -> None:
    with FaultProxy("127.0.0.1", port) as proxy:
        proxy.latency_seconds = ROUND_TRIP_SECONDS
        print(proxy.url, flush=True)
        sys.stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--provider", default="MinIO")
    parser.add_argument("--proxy-for", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy_for:
        return be_proxy(options.proxy_for)
    with tempfile.TemporaryDirectory() as scratch, MiniStack(Path(scratch)) as server:
        bucket = server.create_bucket()
        with proxy_before(server.port) as url:
            folder_paths.base_path = scratch
            os.environ.update(
                COMFY_S3_PROVIDER=options.provider,
                COMFY_S3_ENDPOINT_URL=url,
                COMFY_S3_BUCKET=bucket,
                COMFY_S3_REGION=server.region,
                COMFY_S3_ACCESS_KEY=server.keys.access_key,
                COMFY_S3_SECRET_KEY=server.keys.secret_key,
            )
            client = server.client(endpoint_url=url)
            for row in ROWS:
                measure(client, bucket, row, options.rounds)


def measure(client, bucket, row, rounds) -> None:
    images = photos(row)
    plain_loop(client, bucket, row, images[:1], "warm")
    asyncio.run(with_node(row, images[:1]))
    plain, node, kept, late = [], [], [], []
    bounds: dict[str, list[float]] = {}
    for number in range(rounds):
        for name, seconds in bound(client, bucket, row, images).items():
            bounds.setdefault(name, []).append(seconds)
        with measured() as usage:
            plain_loop(client, bucket, row, images, number)
        plain.append(usage)
        with measured() as usage:
            kept_seconds, late_seconds = asyncio.run(with_node(row, images))
        node.append(usage)
        kept.append(kept_seconds / usage.seconds)
        late.append(late_seconds / usage.seconds)
    medians = {name: statistics.median(seconds) for name, seconds in bounds.items()}
    slowest = max(medians, key=lambda name: medians[name])
    plain_seconds, seconds = (statistics.median(one.seconds for one in used) for used in (plain, node))
    print(
        f"{row.count} images of {row.side} x {row.side}, {row.format}, {ROUND_TRIP_SECONDS * 1000:.0f} ms "
        f"round trip, {os.cpu_count()} processors, median of {rounds} (fastest to slowest)"
    )
    print(line("plain loop", plain))
    print(line("the node", node))
    print(f"  bound: {slowest:21} {medians[slowest]:6.2f} s of", end=" ")
    print(", ".join(f"{name} {value:.2f} s" for name, value in medians.items()))
    print(f"  plain / node                    {plain_seconds / seconds:6.1f}")
    print(f"  node / bound                    {seconds / medians[slowest]:6.2f}")
    print(f"  graph's thread kept by the node {statistics.median(kept):6.1%} of the time")
    print(f"  a coroutine beside it late      {statistics.median(late):6.1%} of the time")


if __name__ == "__main__":
    main()
