"""One model file into a folder: this package, boto3, obstore, s5cmd, rclone and the AWS CLI with CRT.

The server does no work and limits only each connection (null_server.py), as a far or busy store does: 20 to
200 MB/s each, then the same with 20 ms before every answer. "always N" is this package with N requests at
the same time from beginning to end. The file lies in memory where there is a /dev/shm, so that no disk is
measured. The object has no checksum.

Then it is compared with the same file with the checksums that our uploads record: on a line of 320 MB/s, and
without a limit, where server and checksum share the processors. At the end this package is killed at 90 %,
and the bytes are counted that the next run moves.

Usage: python benchmarks/model_download.py [--rounds N] [--mebibytes N] [--rates 20,60] [--delays 0,20]
See transfers.py for the programs that are compared.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from null_server import BUCKET, NullServer, missing
from transfers import DOWNLOAD, MIB, OURS, Task, compared, ours, run

KEY, CHECKED_KEY = "big.safetensors", "checked/big.safetensors"
RATES = "20,60,90,110,133,200"
KILLED_AT = 0.9
MOST = 64  # connections of this package
LINES = (5e6, 0.0)  # of each connection, bytes per second, where checked and unchecked are compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=3072)
    parser.add_argument("--rates", default=RATES, help="of one connection, MB/s; 0: no limit")
    parser.add_argument("--delays", default="0,20", help="of every answer, ms")
    parser.add_argument(
        "--checked", action="store_true", help="only the comparison with and without checksums"
    )
    parser.add_argument("--killed", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.killed:
        die(Task(**options.killed))
    if lacks := missing():
        raise SystemExit(f"Please install {lacks}.")
    shared, size = Path("/dev/shm"), options.mebibytes * MIB
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
        served, target = Path(scratch) / "server", Path(scratch) / "target"
        make_model(served / "files" / BUCKET, options.mebibytes)
        if not options.checked:
            for delay in map(float, options.delays.split(",")):
                for rate in map(float, options.rates.split(",")):
                    with NullServer(served, bytes_per_second=rate * 1e6, delay_seconds=delay / 1e3) as server:
                        label = f"{options.mebibytes} MiB, {rate:g} MB/s for each connection, {delay:g} ms"
                        task = task_of(server, target)
                        check = functools.partial(wrong, target, size)
                        compared(label, size, options.rounds, lambda name, task=task: task, check)
        for rate in LINES:
            with NullServer(served, bytes_per_second=rate) as server:
                compare_checked(server, target, size, options.rounds, rate)
        with NullServer(served, bytes_per_second=50e6) as server:
            resume(server, target, size)


def task_of(server: NullServer, target: Path, key: str = KEY) -> Task:
    keys, path = server.keys, target / "big.safetensors"
    target.mkdir(exist_ok=True)
    return Task(
        DOWNLOAD, server.endpoint_url, keys.access_key, keys.secret_key, server.region, BUCKET, key, str(path)
    )


def wrong(target: Path, size: int, name: str) -> str:
    """Return what is wrong with the file, and remove it."""
    file = target / "big.safetensors"
    found = "" if file.exists() and file.stat().st_size == size else "another size"
    shutil.rmtree(target)
    target.mkdir()
    return found


def compare_checked(server: NullServer, target: Path, size: int, rounds: int, rate: float) -> None:
    line = f"{rate * MOST / 1e6:g} MB/s in all" if rate else "no limit"
    print(f"this package, unchecked and checked, {line}, median of {rounds} rounds")
    found: dict[str, list[float]] = {KEY: [], CHECKED_KEY: []}
    for _ in range(rounds):
        for key, seconds in found.items():
            outcome = run(OURS, task_of(server, target, key))
            assert not isinstance(outcome, str), outcome
            seconds.append(outcome.seconds)
            assert not wrong(target, size, OURS)
    middle = {key: statistics.median(seconds) for key, seconds in found.items()}
    for key, seconds in found.items():
        print(f"  {key:24} {middle[key]:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"  unchecked / checked = {middle[KEY] / middle[CHECKED_KEY]:.2f}")
    sys.stdout.flush()


def resume(server: NullServer, target: Path, size: int) -> None:
    task = task_of(server, target, CHECKED_KEY)
    died = subprocess.run([sys.executable, __file__, "--killed", json.dumps(task.__dict__)], check=False)
    if died.returncode != -signal.SIGKILL:
        raise SystemExit(f"the first process ended with {died.returncode}")
    before = server.sent_bytes()
    outcome = run(OURS, task)
    assert not isinstance(outcome, str), outcome
    moved = server.sent_bytes() - before
    assert not wrong(target, size, OURS)
    print(f"killed at {KILLED_AT:.0%}, the next process moved {moved / size:.1%} of the bytes")


def die(task: Task) -> None:
    """Download until the process kills itself."""
    download = ours(task)
    from cloud_storage.system.meter import Meter

    add = Meter.add

    def deadly(self: Meter, count: int) -> None:
        add(self, count)
        if self.total and self.done >= KILLED_AT * self.total:
            os.kill(os.getpid(), signal.SIGKILL)

    Meter.add = deadly
    download()


def make_model(bucket: Path, mebibytes: int) -> None:
    """Write the file, and the same once more with the checksums that our uploads record."""
    (bucket / "checked").mkdir(parents=True)
    block = os.urandom(MIB)
    with (bucket / KEY).open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "big") + block[8:])
    from package import load_package

    load_package()
    from cloud_storage.system import digests
    from cloud_storage.system.meter import Meter

    whole, pieces = digests.sha256_and_pieces(bucket / KEY, Meter())
    os.link(bucket / KEY, bucket / CHECKED_KEY)
    headers = bucket.parent.parent / "headers"
    headers.write_text(f"x-amz-meta-sha256 {whole}\nx-amz-meta-{digests.PIECES} {pieces}\n")


if __name__ == "__main__":
    main()
