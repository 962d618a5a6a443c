"""One model file into a folder: this package, boto3, obstore, s5cmd, rclone and the AWS CLI with CRT.

The server does no work and limits only each connection (null_server.py), as a far or busy store does: 20 to
200 MB/s each, then the same with 20 ms before every answer. "always N" is this package with N requests at
the same time from beginning to end. The file lies in memory where there is a /dev/shm, so that no disk is
measured. The object has no checksum; "checked" is the same file with the checksums that our uploads record.
At the end this package is killed at 90 %, and the bytes are counted that the next run moves.

Usage: python benchmarks/model_download.py [--rounds N] [--mebibytes N] [--rates 20,60] [--delays 0,20]
See transfers.py for the programs that are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from null_server import BUCKET, NullServer, missing
from transfers import DOWNLOAD, MIB, OURS, Task, compared, ours, run

KEY, CHECKED_KEY = "big.safetensors", "checked/big.safetensors"
RATES = "20,60,90,110,133,200"
KILLED_AT = 0.9


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
        folder, target = Path(scratch), Path(scratch) / "target"

        def task_of(server: NullServer, key: str = KEY) -> Task:
            target.mkdir()
            keys = server.keys
            path = target / "big.safetensors"
            return Task(
                DOWNLOAD,
                server.endpoint_url,
                keys.access_key,
                keys.secret_key,
                server.region,
                BUCKET,
                key,
                str(path),
            )

        def after(name: str) -> str:
            file = target / "big.safetensors"
            wrong = "" if file.exists() and file.stat().st_size == size else "another size"
            shutil.rmtree(target)
            return wrong

        served = folder / "server"
        make_model(served / "files" / BUCKET, options.mebibytes)
        if not options.checked:
            for delay in map(float, options.delays.split(",")):
                for rate in map(float, options.rates.split(",")):
                    with NullServer(served, bytes_per_second=rate * 1e6, delay_seconds=delay / 1e3) as server:
                        label = f"{options.mebibytes} MiB, {rate:g} MB/s for each connection, {delay:g} ms"

                        def each(name: str, server: NullServer = server) -> Task:
                            shutil.rmtree(target, ignore_errors=True)
                            return task_of(server)

                        compared(label, size, options.rounds, each, after)
        with NullServer(served) as server:
            print("this package, unchecked and checked, no limit")
            found: dict[str, list[float]] = {KEY: [], CHECKED_KEY: []}
            for _ in range(options.rounds):
                for key, seconds in found.items():
                    outcome = run(OURS, task_of(server, key))
                    assert not isinstance(outcome, str), outcome
                    seconds.append(outcome.seconds)
                    assert not after(key)
            middle = {key: sorted(seconds)[len(seconds) // 2] for key, seconds in found.items()}
            for key, seconds in found.items():
                print(f"  {key:24} {middle[key]:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
            print(f"  unchecked / checked = {middle[KEY] / middle[CHECKED_KEY]:.2f}")
        with NullServer(served, bytes_per_second=50e6) as server:
            task = task_of(server, CHECKED_KEY)
            died = subprocess.run(
                [sys.executable, __file__, "--killed", json.dumps(task.__dict__)], check=False
            )
            if died.returncode != -signal.SIGKILL:
                raise SystemExit(f"the first process ended with {died.returncode}")
            before = server.sent_bytes()
            outcome = run(OURS, task)
            assert not isinstance(outcome, str), outcome
            moved = server.sent_bytes() - before
            assert not after(OURS)
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
