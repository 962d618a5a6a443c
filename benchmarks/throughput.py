"""One object of 1 GiB, 500 of 1 MiB and 5,000 of 50 KiB, both ways: this package, boto3, obstore, the AWS CLI
with CRT, s5cmd and rclone.

Twice: on a server that does no work (null_server.py), where the client's own cost counts, and on Ceph, which
checks every signature and checksum and keeps what it gets. Files lie in memory where there is a /dev/shm.

Usage: python benchmarks/throughput.py [--rounds N] [--servers null,ceph] [--rows up,down,many_up,…]
See transfers.py for the programs that are compared.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import null_server
from servers.ceph import CephRgw
from transfers import DOWNLOAD, DOWNLOAD_MANY, EVERYBODY, FIXED, MIB, UPLOAD, UPLOAD_MANY, Task, compared, run

KIB = 1 << 10
ROWS = {  # verb, number of objects, bytes of each
    "up": (UPLOAD, 1, 1024 * MIB),
    "down": (DOWNLOAD, 1, 1024 * MIB),
    "many_up": (UPLOAD_MANY, 500, MIB),
    "many_down": (DOWNLOAD_MANY, 500, MIB),
    "small_up": (UPLOAD_MANY, 5000, 50 * KIB),
    "small_down": (DOWNLOAD_MANY, 5000, 50 * KIB),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", default="null,ceph")
    parser.add_argument("--rows", default=",".join(ROWS))
    options = parser.parse_args()
    shared = Path("/dev/shm")
    for name in options.servers.split(","):
        with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
            on_server(name, Path(scratch), options.rows.split(","), options.rounds)


def on_server(name: str, folder: Path, rows: list[str], rounds: int) -> None:
    server: Any
    if name == "null":
        if lacks := null_server.missing():
            print(f"The server that does no work is left out: please install {lacks}.")
            return
        server = null_server.NullServer(folder / "server")
    else:
        if lacks := CephRgw.available():
            print(f"Ceph is left out: {lacks}")
            return
        server = CephRgw(folder / "server", store_gibibytes=12)
    with server:
        is_null = name == "null"
        bucket = null_server.BUCKET if is_null else server.create_bucket()
        keys = server.keys
        place = (server.endpoint_url, keys.access_key, keys.secret_key, server.region, bucket)
        for row in rows:
            compare(name, row, place, server if is_null else None, folder, rounds)


def compare(
    name: str,
    row: str,
    place: tuple[str, str, str, str, str],
    null: null_server.NullServer | None,
    folder: Path,
    rounds: int,
) -> None:
    verb, count, size = ROWS[row]
    is_many, source, target = count > 1, folder / "source", folder / "target"
    filled(source, count, size)
    key = f"{row}/" if is_many else f"{row}.bin"
    path = target if is_many else target / "0.bin"
    if verb in (UPLOAD, UPLOAD_MANY):
        path = source if is_many else source / "0.bin"
    elif null:
        held = null.files / null_server.BUCKET / (row if is_many else "")
        shutil.copytree(source, held, dirs_exist_ok=True)
        if not is_many:
            (held / "0.bin").rename(held / key)
        null.list_files(key)
    else:
        up = UPLOAD_MANY if is_many else UPLOAD
        stored = run("boto3", Task(up, *place, key, str(source if is_many else source / "0.bin")))
        assert not isinstance(stored, str), stored

    def task_of(_: str) -> Task:
        target.mkdir(exist_ok=True)
        return Task(verb, *place, key, str(path))

    def after(_: str) -> str:
        moved = source if path.is_relative_to(source) else target
        sizes = [entry.stat().st_size for entry in os.scandir(moved) if entry.name.endswith(".bin")]
        shutil.rmtree(target, ignore_errors=True)
        return "" if sizes == [size] * count else f"{len(sizes)} files, {sum(sizes)} bytes"

    names = [each for each in EVERYBODY if each not in FIXED]
    compared(f"{name}, {row}: {count} x {size / MIB:g} MiB", count * size, rounds, task_of, after, names)
    shutil.rmtree(source)


def filled(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    for number in range(count):
        with (folder / f"{number}.bin").open("wb") as file:
            for _ in range(max(1, size // MIB)):
                file.write(os.urandom(min(size, MIB)))


if __name__ == "__main__":
    main()
