"""Save 16 images of 1024 x 1024 as PNG over a network with a round trip of 50 ms: the node against a plain
loop.

The loop does what most scripts do: encode with Pillow (compress_level 4, as ComfyUI), put_object, next. Both
sides use the same server behind the same proxy, each a process of its own, in turn. Also printed: the share
of the time for which the node kept the thread that runs the graph, and by how much a coroutine that wants to
run every millisecond came late, which on a machine with few cores includes waiting for the processor. Usage:
python benchmarks/save_batch.py [--rounds N]
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
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]

import numpy as np
import torch
from package import load_package

load_package()

import folder_paths  # the stand-in for ComfyUI
from cloud_storage import nodes_save
from PIL import Image
from servers.fault_proxy import FaultProxy
from servers.ministack import MiniStack

COUNT, SIDE = 16, 1024
ROUND_TRIP_SECONDS = 0.05
BEAT_SECONDS = 0.001


def photos() -> torch.Tensor:
    """Smooth shapes with the noise of a sensor, [COUNT, SIDE, SIDE, 3] in 0..1."""
    generator = np.random.default_rng(7)
    x, y = np.meshgrid(np.linspace(0, 6, SIDE), np.linspace(0, 6, SIDE))
    images = []
    for number in range(COUNT):
        waves = [np.sin(x * (1 + channel) + number) * np.cos(y * (2 - channel / 2)) for channel in range(3)]
        smooth = np.stack(waves, axis=-1) * 0.4 + 0.5
        images.append(np.clip(smooth + generator.normal(0, 2 / 255, smooth.shape), 0, 1))
    return torch.from_numpy(np.stack(images).astype(np.float32))


def plain_loop(client, bucket, images, run) -> float:
    began = time.perf_counter()
    for number, image in enumerate(images):
        data = BytesIO()
        Image.fromarray(np.clip(255.0 * image.numpy(), 0, 255).astype(np.uint8)).save(
            data, "PNG", compress_level=4
        )
        client.put_object(Bucket=bucket, Key=f"plain/{run}_{number:05d}.png", Body=data.getvalue())
    return time.perf_counter() - began


async def with_node(images) -> tuple[float, float, float]:
    """Seconds in all, kept by the node in this thread, and by which a coroutine beside it came late."""
    began, kept = time.perf_counter(), time.thread_time()
    save = asyncio.create_task(nodes_save.SaveImageToCloud().save(images))
    late = 0.0
    while not save.done():
        asleep = time.perf_counter()
        await asyncio.sleep(BEAT_SECONDS)
        late += max(0.0, time.perf_counter() - asleep - 2 * BEAT_SECONDS)
    await save
    return time.perf_counter() - began, time.thread_time() - kept, late


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
    parser.add_argument("--proxy-for", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy_for:
        return be_proxy(options.proxy_for)
    images = photos()
    with tempfile.TemporaryDirectory() as scratch, MiniStack(Path(scratch)) as server:
        bucket = server.create_bucket()
        with proxy_before(server.port) as url:
            folder_paths.base_path = scratch
            os.environ.update(
                COMFY_S3_PROVIDER="Custom",
                COMFY_S3_ENDPOINT_URL=url,
                COMFY_S3_BUCKET=bucket,
                COMFY_S3_REGION=server.region,
                COMFY_S3_ACCESS_KEY=server.keys.access_key,
                COMFY_S3_SECRET_KEY=server.keys.secret_key,
            )
            client = server.client(endpoint_url=url)
            client.put_object(Bucket=bucket, Key="warm", Body=b"")
            asyncio.run(with_node(images[:1]))
            plain, node, kept, late = [], [], [], []
            for number in range(options.rounds):
                plain.append(plain_loop(client, bucket, images, number))
                seconds, kept_seconds, late_seconds = asyncio.run(with_node(images))
                node.append(seconds)
                kept.append(kept_seconds / seconds)
                late.append(late_seconds / seconds)
    print(
        f"{COUNT} images of {SIDE} x {SIDE}, PNG, {ROUND_TRIP_SECONDS * 1000:.0f} ms round trip, "
        f"median of {options.rounds}"
    )
    print(f"  plain loop  {statistics.median(plain):6.2f} s")
    print(f"  the node    {statistics.median(node):6.2f} s")
    print(f"  plain / node                    {statistics.median(plain) / statistics.median(node):6.1f}")
    print(f"  graph's thread kept by the node {statistics.median(kept):6.1%} of the time")
    print(f"  a coroutine beside it late      {statistics.median(late):6.1%} of the time")


if __name__ == "__main__":
    main()
