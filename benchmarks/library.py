"""What the library costs: the handler of prompts, the catalogue, and how much of a transfer prefetch hides.

Usage: python benchmarks/library.py [names|catalogue|prefetch]
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]
from package import load_package

load_package()

import folder_paths
import nodes
import server
from cloud_storage import nodes_library
from cloud_storage.comfyui import folders
from cloud_storage.library import catalogue, catalogue_file, members, service
from cloud_storage.library.service import Library
from cloud_storage.profile import resolve
from cloud_storage.storage.base import ObjectInfo, PutOptions
from cloud_storage.storage.connect import connect
from cloud_storage.system.meter import Meter
from servers.fault_proxy import FaultProxy
from servers.oss_server import OssServer

NAMES, MODELS = 500, 10_000
RUNS = 50
LARGE_BYTES = 64 << 20
LINE_BYTES_PER_SECOND = 2 << 20  # of each connection
RENDER_SECONDS = 10.0


class Output:
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}}


@contextmanager
def comfyui(endpoint: str) -> Iterator[Path]:
    """A stand-in for ComfyUI with empty folders, and settings for a bucket at ``endpoint``."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        folder_paths.base_path, folder_paths.models_dir = str(base), str(base / "models")
        entry = ([str(base / "models" / "loras")], folder_paths.supported_pt_extensions)
        folder_paths.folder_names_and_paths = {"loras": entry}
        nodes.NODE_CLASS_MAPPINGS["SaveImage"] = Output
        server.PromptServer.instance = server.PromptServer()
        settings = {
            **{
                "PROVIDER": "Aliyun OSS",
                "ENDPOINT_URL": endpoint,
                "ACCESS_KEY": "key",
                "SECRET_KEY": "secret",
            },
            **{"BUCKET": "bucket", "MODELS": "on demand", "MODELS_KEEP_FREE_GB": "0"},
        }
        os.environ.update({f"COMFY_S3_{name}": value for name, value in settings.items()})
        yield base


def key(number: int) -> str:
    return f"models/loras/style-{number % 40:02}/a-model-of-some-name-v{number:05}.safetensors"


def catalogued(count: int) -> Library:
    """A library with so many models in its catalogue on disk; nothing is asked."""
    objects = tuple(ObjectInfo(key(number), 6_000_000_000, f'"{number:032x}"') for number in range(count))
    listing = catalogue_file.Listing(datetime.now(timezone.utc), objects)
    file = folders.profiles_file()
    places = [one.place for one in members.read(file).members]
    catalogue_file.write(file.with_name(catalogue_file.FILE_NAME), dict.fromkeys(places, listing))
    return service.assembled(catalogue.of_this_comfyui())


def prompt(names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        str(at): {
            "class_type": "LoraLoader",
            "inputs": {
                **{"model": [str(at + 1), 0], "clip": [str(at + 1), 1], "lora_name": name},
                **{"strength_model": 1.0, "strength_clip": 1.0},
            },
        }
        for at, name in enumerate(names)
    }
    found["save"] = {"class_type": "SaveImage", "inputs": {"images": ["0", 0]}}
    return found


# ------------------------------------------------------------ the three figures


def measure_names() -> None:
    """How long the handler takes for a prompt with 500 names of models, of 10,000 in the catalogue."""
    with comfyui("http://127.0.0.1:9") as base:
        library = catalogued(MODELS)
        library.prefetcher.wake = lambda: None  # type: ignore[method-assign]  another thread's work
        own = [key(number).removeprefix("models/loras/") for number in range(NAMES)]
        others = [f"own/{number}.safetensors" for number in range(NAMES)]
        print(f"{NAMES} names, milliseconds (median, and the worst of {RUNS}):")
        _timed("  not in the bucket", library, prompt(others))
        _timed("  in the bucket, missing here", library, prompt(own), forget=True)
        _timed("  the same again: they stay wires", library, prompt(own))
        for name in own:
            path = base / "models" / "loras" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        _timed("  in the bucket, and here", library, prompt(own), forget=True)


def _timed(what: str, library: Library, body: dict[str, Any], *, forget: bool = False) -> None:
    taken = []
    for _ in range(RUNS):
        if forget:
            library.rewriter._wired.clear()
        began = time.perf_counter()
        library.rewriter({"prompt": body})
        taken.append((time.perf_counter() - began) * 1000)
    print(f"{what}: {statistics.median(taken):.1f}, {max(taken):.1f}")


def measure_catalogue() -> None:
    """How many requests and how much memory a catalogue of 10,000 models takes, of a server."""
    with OssServer(("bucket",), credentials={"key": "secret"}) as oss, comfyui(oss.url):
        storage = connect(resolve("", {}, folders.profiles_file()))
        for number in range(MODELS):
            storage.put(key(number), b"", PutOptions(), Meter())
        with FaultProxy("127.0.0.1", int(oss.url.rpartition(":")[2])) as proxy:
            os.environ["COMFY_S3_ENDPOINT_URL"] = proxy.url
            library = service.assembled(catalogue.of_this_comfyui())
            library.catalogue.refresh()
            library.catalogue.wait(Meter())
            requests, found = len(proxy.requests), len(library.catalogue.models())
            gc.collect()
            tracemalloc.start()
            again = catalogue.of_this_comfyui()
            again.refresh()
            again.wait(Meter())
            gc.collect()
            used, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        print(
            f"{found:,} models: {requests} requests, {used / 1e6:.1f} MB, {peak / 1e6:.1f} MB while listing"
        )


def measure_prefetch() -> None:
    """How long a prompt waits for its model: queued while another one renders, and without that."""
    with OssServer(("bucket",), credentials={"key": "secret"}) as oss, comfyui(oss.url):
        storage = connect(resolve("", {}, folders.profiles_file()))
        storage.put(key(0), os.urandom(LARGE_BYTES), PutOptions(), Meter())
        with FaultProxy("127.0.0.1", int(oss.url.rpartition(":")[2])) as proxy:
            proxy.bandwidth_bytes_per_second = LINE_BYTES_PER_SECOND
            os.environ["COMFY_S3_ENDPOINT_URL"] = proxy.url
            alone, queued = (_waited(ahead) for ahead in (0.0, RENDER_SECONDS))
        hidden = 1 - queued / alone
        after = f"{queued:.2f} s after {RENDER_SECONDS:.0f} s in the queue"
        print(f"{LARGE_BYTES >> 20} MiB: {alone:.1f} s alone, {after}")
        print(f"prefetch hides {hidden:.0%}")


def _waited(ahead: float) -> float:
    """The seconds that the added node takes, if the prompt is in the queue ``ahead`` seconds before."""
    service._made.cache_clear()
    library = service.library()
    library.catalogue.refresh()
    library.catalogue.wait(Meter())
    name = key(0).removeprefix("models/loras/")
    (Path(folder_paths.models_dir) / "loras" / name).unlink(missing_ok=True)
    body = library.rewriter({"prompt": prompt([name])})["prompt"]
    queue = server.PromptServer.instance.prompt_queue
    queue.queue, queue.currently_running = [(1, f"waits {ahead}", body, {}, [])], {}
    if ahead:
        library.prefetcher.wake()
        threading.Event().wait(ahead)  # what an earlier prompt renders
    queue.queue, queue.currently_running = [], {0: (1, f"waits {ahead}", body, {}, [])}
    node = nodes_library.CloudStorageLibraryModel()
    began = time.perf_counter()
    asyncio.run(node.fetch(folder_type="loras", name=name))
    return time.perf_counter() - began


def main() -> None:
    measures = {"names": measure_names, "catalogue": measure_catalogue, "prefetch": measure_prefetch}
    for name in sys.argv[1:] or measures:
        measures[name]()


if __name__ == "__main__":
    main()
