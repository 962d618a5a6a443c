"""Files are made in every way while the mirror is killed and the network goes away: what arrives, how often?

A process mirrors an output folder. Another one makes files: at once, in bursts, slowly, moved into place with
an old time, replaced, rewritten, deleted; it kills the mirror at any moment and starts it again, and takes
the network away. Each version of a file has content of its own. In the end every file of the folder is in the
bucket (lost), no content was stored twice (twice), and no object has content that no file ever had as a whole
(half).

Usage: python benchmarks/mirror_soak.py [--minutes 30] [--seed N] [--pace SECONDS]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]
    from package import load_package

    load_package()

import folder_paths  # the stand-in for ComfyUI
from cloud_storage.mirror import mirrored_folder, profile_mirror, service
from cloud_storage.system.meter import Meter
from servers import oss_objects
from servers.fault_proxy import FaultProxy
from servers.oss_server import OssServer

SECRET = "a secret"
LARGE_BYTES = 17 << 20  # in parts
LARGE_SHARE = 0.01
SETTLE_SECONDS = 240.0


@dataclass
class Outcome:
    """What came of it; ``lost``, ``twice`` and ``half`` are empty if all was as it should be."""

    versions: int = 0
    files: int = 0
    stored: int = 0
    kills: int = 0
    outages: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        return [*self.lost, *self.twice, *self.half]


def run(base: Path, still: float) -> None:
    """Mirror until this process is killed."""
    folder_paths.base_path = str(base)
    mirrored_folder.STILL_SECONDS = still
    service.LOOK_SECONDS = min(service.LOOK_SECONDS, still / 2)
    profile_mirror.PAUSE_SECONDS = profile_mirror.PAUSE_MAX_SECONDS = still
    mirrored_folder.LOCK_SECONDS = 0.2
    mirror = service.Mirror()
    mirror.look()
    print("ready", flush=True)
    mirror.run(Meter())


class Folder:
    """Makes files; ``whole`` has the digests of all complete versions, ``now`` that of each file."""

    def __init__(self, path: Path, numbers: random.Random) -> None:
        self._path, self._numbers = path, numbers
        self.whole: set[str] = set()
        self.now: dict[str, str] = {}
        self._count = 0
        self._threads: list[threading.Thread] = []
        self._busy: set[str] = set()

    def _content(self) -> bytes:
        large = self._numbers.random() < LARGE_SHARE
        size = LARGE_BYTES if large else self._numbers.randrange(50, 20_000)
        block = self._numbers.randbytes(64)
        return (block * (size // 64 + 1))[:size] + self._numbers.randbytes(16)

    def _name(self) -> str:
        self._count += 1
        return f"folder-{self._numbers.randrange(4)}/file-{self._count:05}.png"

    def _old(self) -> str | None:
        free = [name for name in self.now if name not in self._busy]
        return self._numbers.choice(free) if free else None

    def _note(self, name: str, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self.whole.add(digest)
        self.now[name] = digest

    def _target(self, name: str) -> Path:
        target = self._path / name
        target.parent.mkdir(exist_ok=True)
        return target

    def make(self) -> None:
        name, data = self._name(), self._content()
        self._note(name, data)
        self._target(name).write_bytes(data)

    def burst(self) -> None:
        for _ in range(20):
            self.make()

    def move_in(self) -> None:
        name, data = self._name(), self._content()
        elsewhere = self._path.parent / "elsewhere"
        elsewhere.write_bytes(data)
        os.utime(elsewhere, (1000, 1000 + self._count))
        self._note(name, data)
        elsewhere.replace(self._target(name))

    def replace(self) -> None:
        if name := self._old():
            data = self._content()
            fresh = self._target(name).with_suffix(".tmp")
            fresh.write_bytes(data)
            self._note(name, data)
            fresh.replace(self._target(name))

    def rewrite(self) -> None:
        if name := self._old():
            data = self._content()
            self._note(name, data)
            self._target(name).write_bytes(data)

    def touch(self) -> None:
        if name := self._old():
            os.utime(self._target(name))

    def delete(self) -> None:
        if name := self._old():
            del self.now[name]
            self._target(name).unlink()

    def grow(self) -> None:
        name, data = self._name(), self._content()
        parts = [data[at : at + len(data) // 5 + 1] for at in range(0, len(data), len(data) // 5 + 1)]
        self._busy.add(name)
        pause = self._numbers.choice((0.1, 0.5, 1.0))

        def work() -> None:
            with self._target(name).open("wb", buffering=0) as file:
                for part in parts:
                    file.write(part)
                    time.sleep(pause)
            self._busy.discard(name)

        self._note(name, data)
        self._threads.append(threading.Thread(target=work))
        self._threads[-1].start()

    def end(self) -> None:
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count by the digest of its content how often the server stores an object."""
    found: Counter[str] = Counter()
    kept = oss_objects.Bucket.put

    def put(self: oss_objects.Bucket, stored: oss_objects.StoredObject) -> None:
        kept(self, stored)
        found[hashlib.sha256(stored.data).hexdigest()] += 1

    oss_objects.Bucket.put = put
    try:
        yield found
    finally:
        oss_objects.Bucket.put = kept


def soak(seconds: float, seed: int = 0, pace: float = 0.3, still: float = 2.0) -> Outcome:
    """Make files for so long, ``pace`` seconds apart; ``still`` is how long a complete file stands still."""
    numbers, outcome = random.Random(seed), Outcome()
    with (
        tempfile.TemporaryDirectory() as temporary,
        OssServer(("bucket",), credentials={"key": SECRET}) as oss,
        FaultProxy("127.0.0.1", urllib.parse.urlsplit(oss.url).port or 0) as proxy,
        counted() as stores,
    ):
        base = Path(temporary)
        for name in ("user", "output", "input", "temp", "models"):
            (base / name).mkdir()
        process = started(base, proxy.url, still)
        files = Folder(base / "output", numbers)
        actions: list[tuple[int, Callable[[], object]]] = [
            (30, files.make),
            (2, files.burst),
            (10, files.move_in),
            (8, files.replace),
            (8, files.rewrite),
            (5, files.touch),
            (5, files.delete),
            (8, files.grow),
        ]
        end = time.monotonic() + seconds
        away_until = 0.0
        while time.monotonic() < end:
            numbers.choices([act for _, act in actions], [weight for weight, _ in actions])[0]()
            if numbers.random() < 0.04:
                process.send_signal(signal.SIGKILL)
                process.wait()
                outcome.kills += 1
                for _ in range(numbers.randrange(3)):
                    files.make()
                process = started(base, proxy.url, still)
            if away_until and time.monotonic() > away_until:
                proxy.resume()
                away_until = 0.0
            elif not away_until and numbers.random() < 0.02:
                proxy.refuse()
                outcome.outages += 1
                away_until = time.monotonic() + numbers.uniform(0.5, 8.0) * still
            time.sleep(numbers.random() * 2 * pace)
        if away_until:
            proxy.resume()
        files.end()
        last = time.monotonic() + SETTLE_SECONDS
        while set(files.now.values()) - set(stores) and time.monotonic() < last:
            time.sleep(0.2)
        time.sleep(2 * still)
        process.kill()
        process.wait()
        there = {hashlib.sha256(each.data).hexdigest(): key for key, each in oss.objects("bucket").items()}
        outcome.versions, outcome.files, outcome.stored = (
            len(files.whole),
            len(files.now),
            sum(stores.values()),
        )
        outcome.lost = [name for name, digest in files.now.items() if digest not in there]
        outcome.twice = [there.get(digest, digest) for digest, count in stores.items() if count > 1]
        outcome.half = [key for digest, key in there.items() if digest not in files.whole]
    return outcome


def started(base: Path, endpoint: str, still: float) -> subprocess.Popen[str]:
    """Start the process that mirrors, and wait until it has looked at the folder once."""
    settings = {
        "PROVIDER": "Aliyun OSS",
        "ENDPOINT_URL": endpoint,
        "ACCESS_KEY": "key",
        "SECRET_KEY": SECRET,
        "BUCKET": "bucket",
        "MIRROR": "output",
    }
    environ = {**os.environ, **{f"COMFY_S3_{key}": value for key, value in settings.items()}}
    command = [sys.executable, __file__, "--run", str(base), "--still", str(still)]
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise RuntimeError("the mirror did not start")
    return process


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pace", type=float, default=0.3)
    parser.add_argument("--still", type=float, default=2.0, help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(options.run, options.still)
        return
    found = soak(options.minutes * 60, options.seed, options.pace, options.still)
    print(
        f"{found.versions} versions of {found.files} files, {found.kills} kills, {found.outages} outages: "
        f"{found.stored} objects stored; lost {len(found.lost)}, twice {len(found.twice)}, "
        f"half {len(found.half)}"
    )
    for text in found.wrong:
        print(text)
    sys.exit(bool(found.wrong))


if __name__ == "__main__":
    main()
