"""One model file into a bucket: this package, boto3, obstore, s5cmd, rclone and the AWS CLI with CRT.

As model_download.py, in the other direction: the server keeps nothing and limits only what it takes from each
connection, 20 to 200 MB/s, then with 20 ms more before every answer.

Usage: python benchmarks/model_upload.py [--rounds N] [--mebibytes N] [--rates 20,60] [--delays 0,20]
See transfers.py for the programs that are compared.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from model_download import RATES
from null_server import BUCKET, NullServer, missing
from transfers import MIB, UPLOAD, Task, compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mebibytes", type=int, default=3072)
    parser.add_argument("--rates", default=RATES, help="of one connection, MB/s; 0: no limit")
    parser.add_argument("--delays", default="0,20", help="of every answer, ms")
    options = parser.parse_args()
    if lacks := missing():
        raise SystemExit(f"Please install {lacks}.")
    shared, size = Path("/dev/shm"), options.mebibytes * MIB
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
        folder = Path(scratch)
        model, block = folder / "model" / "big.safetensors", os.urandom(MIB)
        model.parent.mkdir()
        with model.open("wb") as file:
            for number in range(options.mebibytes):
                file.write(number.to_bytes(8, "big") + block[8:])
        for delay in map(float, options.delays.split(",")):
            for rate in map(float, options.rates.split(",")):
                limits = {"bytes_per_second": rate * 1e6, "delay_seconds": delay / 1e3}
                with NullServer(folder / "server", **limits, limits_uploads=True) as server:
                    keys = server.keys
                    task = Task(
                        UPLOAD,
                        server.endpoint_url,
                        keys.access_key,
                        keys.secret_key,
                        server.region,
                        BUCKET,
                        "big.safetensors",
                        str(model),
                    )
                    label = f"{options.mebibytes} MiB, {rate:g} MB/s for each connection, {delay:g} ms"

                    def after(name: str, server: NullServer = server) -> str:
                        return "" if server.size_of("big.safetensors") == size else "another size"

                    compared(label, size, options.rounds, lambda name, task=task: task, after)


if __name__ == "__main__":
    main()
