"""Eight workers save, load and list for half an hour while the line breaks and the server is killed.

Nothing may be lost, nothing wrong, and the memory stays. The nodes run as in ComfyUI, through a proxy that
does something bad every second or two: resets, silence, errors, a busy server, flipped bits, lost answers,
refused connections, and the server killed and started anew. Every image that is saved carries its own number.
In the end the line is mended, what waits in the outbox is sent, and every object of the bucket is looked at.

Usage: python benchmarks/soak.py [--seconds 1800] [--server s3|oss] [--workers 8] [--seed N]. With --seconds
120 it is the short form.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]
    from package import load_package

    load_package()

import folder_paths  # the stand-in for ComfyUI
import torch
from cloud_storage import errors, nodes_browse, nodes_load, nodes_outbox, nodes_save
from cloud_storage.comfyui import folders
from cloud_storage.storage import connection_watch
from cloud_storage.storage.oss import client as oss_client
from cloud_storage.storage.s3 import client as s3_client
from PIL import Image
from servers.certificates import certificates
from servers.fault_proxy import FaultProxy
from servers.faults import LOST_ANSWER, Answer, Cut, Delay, Fault, Flip, s3_error
from servers.ministack import MiniStack
from servers.oss_server import OssServer

WORKERS = 8
PAUSE_SECONDS = (0.3, 2.0)  # between two faults
REFUSED_SECONDS = (0.1, 6.0)
READ_SECONDS = 2  # instead of 30: a minute has room for more silences then
SIDE = 48
MEBIBYTE = 1 << 20


@dataclass
class Outcome:
    """What came of it. ``shown`` are the failures that a user saw, by their kind."""

    operations: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    saved: set[int] = field(default_factory=set)
    kept: int = 0
    lost: set[int] = field(default_factory=set)
    twice: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)  # at the start, half-way and at the end
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str, error: BaseException | None = None) -> None:
        with self.lock:
            self.operations[what] += 1
            if error is not None:
                self.shown[f"{what}: {type(error).__name__}"] += 1

    def __str__(self) -> str:
        lines = [
            f"operations             {sum(self.operations.values())} ({_listed(self.operations)})",
            f"faults                 {sum(self.faults.values())} ({_listed(self.faults)})",
            f"failures shown         {sum(self.shown.values())} ({_listed(self.shown)})",
            f"images saved           {len(self.saved)}, of which {self.kept} waited in the outbox to the end",
            f"objects lost           {len(self.lost)}",
            f"objects stored twice   {len(self.twice)}",
            f"objects wrong          {len(self.wrong)} {' '.join(self.wrong[:5])}",
            f"memory                 {', '.join(f'{each / MEBIBYTE:.0f}' for each in self.memory_bytes)} MiB "
            "at the start, half-way and at the end",
        ]
        return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


# ------------------------------------------------------------ what is saved


def image(number: int) -> torch.Tensor:
    """[1, SIDE, SIDE, 3] that carries its number in its first row, and noise that only it has."""
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (SIDE, SIDE, 3), generator=generator)
    for bit in range(32):
        pixels[0, bit] = 255 if number >> bit & 1 else 0
    return (pixels / 255).unsqueeze(0).float()


def number_of(pixels: torch.Tensor) -> int:
    """The number that an image [SIDE, SIDE, 3] of bytes carries."""
    return sum(1 << bit for bit in range(32) if pixels[0, bit, 0] > 127)


def is_whole(pixels: torch.Tensor) -> bool:
    """Whether an image is the one whose number it carries, bit for bit."""
    if pixels.shape != (SIDE, SIDE, 3):
        return False
    return torch.equal(pixels, (image(number_of(pixels))[0] * 255).round().to(torch.uint8))


class Worker(threading.Thread):
    """One user, who saves, loads what was saved, and lists."""

    def __init__(self, index: int, seed: int, until: float, outcome: Outcome) -> None:
        super().__init__(name=f"worker-{index}")
        self._index, self._until, self._outcome = index, until, outcome
        self._chance = random.Random(f"{seed}-{index}")
        self._keys: list[str] = []
        self._next = index << 24

    def run(self) -> None:
        while time.monotonic() < self._until:
            chosen = self._chance.random()
            what = "save" if chosen < 0.6 or not self._keys else "load" if chosen < 0.9 else "browse"
            try:
                getattr(self, what)()
                error: BaseException | None = None
            except errors.StorageError as failure:
                error = failure
            except Exception as failure:  # noqa: BLE001  a fault of this program, which no user should see
                error = failure
                self._outcome.wrong.append(f"{what}: {failure!r}")
            self._outcome.count(what, error)

    def save(self) -> None:
        """One to three images, under a name of this worker's or one that all share."""
        numbers = list(range(self._next, self._next + self._chance.randint(1, 3)))
        self._next = numbers[-1] + 1
        with self._outcome.lock:
            self._outcome.saved.update(numbers)
        folder = self._chance.choice(("soak/shared/", f"soak/{self._index}/"))
        images = torch.cat([image(number) for number in numbers])
        node = nodes_save.SaveImageToCloud()
        done = asyncio.run(
            node.save(images, folder, on_failure=self._chance.choice(("keep and stop", "keep and go on")))
        )
        self._keys += [key for key in done["result"][1] if key]

    def load(self) -> None:
        key = self._chance.choice(self._keys)
        frames, _ = asyncio.run(nodes_load.LoadImageFromCloud().load(key))["result"]
        if not is_whole((frames[0] * 255).round().to(torch.uint8)):
            self._outcome.wrong.append(f"loaded {key}")

    def browse(self) -> None:
        asyncio.run(nodes_browse.ListBucketContents().list_objects("soak/", 1000))


# ------------------------------------------------------------ what goes wrong


class Trouble(threading.Thread):
    """Breaks the line, mends it, and breaks it again, until it is told to end."""

    def __init__(self, proxy: FaultProxy, restart: Any, seed: int, outcome: Outcome) -> None:
        super().__init__(name="trouble")
        self._proxy, self._restart, self._outcome = proxy, restart, outcome
        self._chance = random.Random(seed)
        self.ended = threading.Event()

    def run(self) -> None:
        turns: list[str] = []
        while not self.ended.wait(self._chance.uniform(*PAUSE_SECONDS)):
            choices = self._choices()
            if not turns:  # each of them, before one comes again
                turns = self._chance.sample(list(choices), len(choices))
            name = turns.pop()
            choices[name]()
            self._outcome.faults[name] += 1
            self.ended.wait(self._chance.uniform(*PAUSE_SECONDS))
            self._proxy.clear()

    def _choices(self) -> dict[str, Any]:
        share, times = self._chance.random(), self._chance.randint(1, 12)

        def fault(action: Any, method: str = "") -> Any:
            return lambda: self._proxy.add(Fault(action, method, times=times))

        return {
            "reset up": fault(Cut("request body", share), "PUT"),
            "reset down": fault(Cut("response body", share), "GET"),
            "cut down": fault(Cut("response body", share, "close"), "GET"),
            "silence up": fault(Cut("request body", share, "silence"), "PUT"),
            "silence down": fault(Cut("response body", share, "silence"), "GET"),
            "lost answer": fault(LOST_ANSWER, "PUT"),
            "500": fault(Answer(500, s3_error("InternalError"))),
            "503": fault(Answer(503, s3_error("SlowDown"))),
            "403": fault(Answer(403, s3_error("ExpiredToken"))),
            "flip up": fault(Flip(200, where="request body"), "PUT"),
            "flip down": fault(Flip(200), "GET"),
            "delay": fault(Delay(1.0)),
            "refused": self._refuse,
            "restart": self._restart,
        }

    def _refuse(self) -> None:
        self._proxy.refuse()
        self.ended.wait(self._chance.uniform(*REFUSED_SECONDS))
        self._proxy.resume()


# ------------------------------------------------------------ the servers


@contextlib.contextmanager
def _server(kind: str, folder: Path) -> Iterator[tuple[Any, dict[str, str]]]:
    if kind == "s3":
        with MiniStack(folder, auth=False, persistent=True) as server:
            bucket = server.create_bucket()
            server.client().put_object(Bucket=bucket, Key="first", Body=b"")  # an empty bucket dies with it
            yield (
                server,
                {
                    "PROVIDER": "Custom",
                    "BUCKET": bucket,
                    "REGION": server.region,
                    "ACCESS_KEY": server.keys.access_key,
                    "SECRET_KEY": server.keys.secret_key,
                    "ENDPOINT_URL": server.endpoint_url,
                },
            )
        return
    keys = {"LTAI-soak": "soak-secret"}
    with OssServer(("soak",), credentials=keys, certificate=certificates(folder).server_context()) as server:
        yield (
            server,
            {
                "PROVIDER": "Aliyun OSS",
                "BUCKET": "soak",
                "ACCESS_KEY": "LTAI-soak",
                "SECRET_KEY": keys["LTAI-soak"],
                "ENDPOINT_URL": server.url,
            },
        )


def soak(kind: str, seconds: float, workers: int = WORKERS, seed: int = 1) -> Outcome:
    """Run it, mend the line, send what waits, and look at everything."""
    outcome = Outcome()
    before = dict(os.environ), folder_paths.base_path, s3_client.READ_SECONDS, oss_client.READ_SECONDS
    silent = connection_watch.SILENT_SECONDS
    with (
        tempfile.TemporaryDirectory() as scratch,
        _server(kind, Path(scratch, "server")) as (server, settings),
    ):
        (Path(scratch) / "temp").mkdir()
        target = urllib.parse.urlsplit(settings["ENDPOINT_URL"])
        with FaultProxy(str(target.hostname), target.port or 0) as proxy:

            def restart() -> None:
                server.restart()
                if kind == "oss":
                    url = urllib.parse.urlsplit(server.url)
                    proxy.upstream = (str(url.hostname), url.port or 0)

            try:
                folder_paths.base_path = scratch
                s3_client.READ_SECONDS = oss_client.READ_SECONDS = connection_watch.SILENT_SECONDS = (
                    READ_SECONDS
                )
                for name in [name for name in os.environ if name.startswith("COMFY_S3_")]:
                    del os.environ[name]
                for name, value in {**settings, "ENDPOINT_URL": proxy.url}.items():
                    os.environ[f"COMFY_S3_{name}"] = value
                _work(proxy, restart, seconds, workers, seed, outcome)
                _settle(outcome)
                _look(outcome)
            finally:
                os.environ.clear()
                os.environ.update(before[0])
                folder_paths.base_path, s3_client.READ_SECONDS, oss_client.READ_SECONDS = before[1:]
                connection_watch.SILENT_SECONDS = silent
    return outcome


def _work(proxy: FaultProxy, restart: Any, seconds: float, workers: int, seed: int, outcome: Outcome) -> None:
    until = time.monotonic() + seconds
    users = [Worker(index, seed, until, outcome) for index in range(workers)]
    trouble = Trouble(proxy, restart, seed, outcome)
    for thread in (*users, trouble):
        thread.start()
    for moment in (min(seconds / 4, 30), seconds / 2):  # the first, when caches and pools are filled
        time.sleep(max(0, until - seconds + moment - time.monotonic()))
        outcome.memory_bytes.append(_memory())
    for thread in users:
        thread.join()
    trouble.ended.set()
    trouble.join()
    proxy.clear()
    outcome.memory_bytes.append(_memory())


def _settle(outcome: Outcome) -> None:
    """Send what waits, on a line that is whole again."""
    for thread in [each for each in threading.enumerate() if each.name.startswith("cloud-storage")]:
        thread.join()
    for attempt in range(5):
        sent, left, report = asyncio.run(nodes_outbox.RetryPendingUploads().retry())["result"]
        outcome.kept += sent
        if left == 0:
            return
        print(f"attempt {attempt + 1}: {report}", file=sys.stderr)


def _look(outcome: Outcome) -> None:
    """Compare every object with what was saved."""
    from cloud_storage.storage.connect import storage_of

    storage = storage_of(None, folders.profiles_file())
    found: Counter[int] = Counter()
    for info in list(storage.list("soak/")):
        pixels = torch.frombuffer(
            bytearray(Image.open(BytesIO(storage.read(info.key))).convert("RGB").tobytes()), dtype=torch.uint8
        ).reshape(-1, SIDE, 3)
        if not is_whole(pixels):
            outcome.wrong.append(info.key)
            continue
        found[number_of(pixels)] += 1
    outcome.lost = outcome.saved - set(found)
    outcome.twice = {number for number, count in found.items() if count > 1}
    outcome.wrong += [f"nobody saved {number}" for number in set(found) - outcome.saved]


def _memory() -> int:
    """What this process holds in memory, in bytes; 0 where that is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--server", choices=("s3", "oss"), default="s3")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    outcome = soak(options.server, options.seconds, options.workers, options.seed)
    print(f"{options.server}, {options.workers} workers, {time.monotonic() - began:.0f} s\n{outcome}")
    return 1 if outcome.lost or outcome.wrong or outcome.twice else 0


if __name__ == "__main__":
    sys.exit(main())
