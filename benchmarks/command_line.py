"""cloud.py against s5cmd and rclone: models of 50 MB to 2 GB, and 10,000 files of 50 KB, both ways.

All run in turn, as processes, on one server on this machine (Ceph RGW where its packages are installed,
MiniStack otherwise), round after round; each figure is the median of the rounds, with the start of the
program. Then: how long after its start cloud.py sends its first request. s5cmd and rclone are taken from the
PATH, or from OTHERS_PATH. At full size it needs 65 GB of disk.
Usage: python benchmarks/command_line.py [--rounds N] [--scale F] [--only models] [--ministack]
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from package import load_package

load_package()

from servers.ceph import CephRgw
from servers.ministack import MiniStack

MODELS, FILES = 20, 10_000
MODEL_MIN_BYTES, MODEL_MAX_BYTES, FILE_BYTES = 50_000_000, 2_000_000_000, 50_000
STARTS = 5
STORE_GIBIBYTES = 40  # three times the models, and what is not yet removed of them
EMPTIES_SECONDS = 45  # in which Ceph's garbage collector removes what was deleted, before the next round


class Tool:
    """A program that copies a folder to a prefix, and back."""

    name = ""

    def __init__(self, server, bucket: str, home: Path) -> None:
        self.server, self.bucket, self.home = server, bucket, home
        self.environ = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self.environ["HOME"] = str(home)

    def up(self, folder: Path, prefix: str) -> list[str]:
        raise NotImplementedError

    def down(self, prefix: str, folder: Path) -> list[str]:
        raise NotImplementedError

    def run(self, command: Sequence[str]) -> float:
        began = time.perf_counter()
        subprocess.run(command, env=self.environ, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - began

    @staticmethod
    def found(name: str) -> str:
        path = shutil.which(name, path=os.environ.get("OTHERS_PATH")) or shutil.which(name)
        if path is None:
            raise ImportError(f"no {name} command")
        return path


class Ours(Tool):
    name = "cloud.py"

    def __init__(self, server, bucket, home):
        super().__init__(server, bucket, home)
        self.environ |= {
            "COMFY_S3_PROVIDER": "Custom",
            "COMFY_S3_ENDPOINT_URL": server.endpoint_url,
            "COMFY_S3_REGION": server.region,
            "COMFY_S3_BUCKET": bucket,
            "COMFY_S3_ACCESS_KEY": server.keys.access_key,
            "COMFY_S3_SECRET_KEY": server.keys.secret_key,
        }

    def up(self, folder, prefix):
        return [sys.executable, str(ROOT / "cloud.py"), "push", f"{folder}/", "--to", prefix, "--quiet"]

    def down(self, prefix, folder):
        return [sys.executable, str(ROOT / "cloud.py"), "pull", prefix, "--to", str(folder), "--quiet"]


class S5cmd(Tool):
    name = "s5cmd"

    def __init__(self, server, bucket, home):
        super().__init__(server, bucket, home)
        self.command = [self.found("s5cmd"), "--endpoint-url", server.endpoint_url]
        self.environ |= {
            "AWS_ACCESS_KEY_ID": server.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret_key,
            "AWS_REGION": server.region,
        }

    def up(self, folder, prefix):
        return [*self.command, "cp", f"{folder}/*", f"s3://{self.bucket}/{prefix}"]

    def down(self, prefix, folder):
        return [*self.command, "cp", f"s3://{self.bucket}/{prefix}*", f"{folder}/"]


class Rclone(Tool):
    name = "rclone"

    def __init__(self, server, bucket, home):
        super().__init__(server, bucket, home)
        self.command = [self.found("rclone"), "copy", "--transfers", "32", "--checkers", "32"]
        self.environ |= {
            "RCLONE_CONFIG_S_TYPE": "s3",
            "RCLONE_CONFIG_S_PROVIDER": "Other",
            "RCLONE_CONFIG_S_ENDPOINT": server.endpoint_url,
            "RCLONE_CONFIG_S_REGION": server.region,
            "RCLONE_CONFIG_S_ACCESS_KEY_ID": server.keys.access_key,
            "RCLONE_CONFIG_S_SECRET_ACCESS_KEY": server.keys.secret_key,
            "RCLONE_CONFIG_S_FORCE_PATH_STYLE": "true",
            "RCLONE_CONFIG_S_NO_CHECK_BUCKET": "true",
        }

    def up(self, folder, prefix):
        return [*self.command, str(folder), f"s:{self.bucket}/{prefix}"]

    def down(self, prefix, folder):
        return [*self.command, f"s:{self.bucket}/{prefix}", str(folder)]


def model_sizes(scale: float) -> list[int]:
    """Sizes between the smallest and the largest, each the same factor above the one before."""
    factor = (MODEL_MAX_BYTES / MODEL_MIN_BYTES) ** (1 / (MODELS - 1))
    return [int(MODEL_MIN_BYTES * scale * factor**number) for number in range(MODELS)]


def write(folder: Path, sizes: Sequence[int], ending: str) -> None:
    folder.mkdir()
    for number, size in enumerate(sizes):
        with (folder / f"{number:05}{ending}").open("wb") as file:
            for start in range(0, size, 1 << 20):
                file.write(os.urandom(min(1 << 20, size - start)))


def compare(tools: Sequence[Tool], label: str, source: Path, rounds: int, scratch: Path) -> None:
    """Copy a folder up and down with each tool in turn, and print the medians."""
    size = sum(path.stat().st_size for path in source.iterdir())
    count = len(list(source.iterdir()))
    print(f"{label}: {count} files, {size / 1e6:,.0f} MB")
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for tool in tools:
            prefix = f"{tool.name}-{label}-{number}/"
            seconds.setdefault(("up", tool.name), []).append(tool.run(tool.up(source, prefix)))
        for tool in tools:
            target = scratch / "target"
            target.mkdir()
            prefix = f"{tool.name}-{label}-{number}/"
            seconds.setdefault(("down", tool.name), []).append(tool.run(tool.down(prefix, target)))
            if len([path for path in target.iterdir() if path.stat().st_size]) != count:
                raise SystemExit(f"{tool.name} downloaded something else")
            shutil.rmtree(target)
        for tool in tools:
            remove(tool, f"{tool.name}-{label}-{number}/")
        time.sleep(EMPTIES_SECONDS)
    for way in ("up", "down"):
        medians = {tool.name: statistics.median(seconds[way, tool.name]) for tool in tools}
        for name, value in medians.items():
            spread = " ".join(f"{each:.2f}" for each in seconds[way, name])
            print(f"  {way:5} {name:9} {value:7.2f} s  {size / value / 1e6:7.0f} MB/s  ({spread})")
        others = [value for name, value in medians.items() if name != Ours.name]
        if others:
            print(f"  {way:5} fastest other / cloud.py = {min(others) / medians[Ours.name]:.2f}")


def remove(tool: Tool, prefix: str) -> None:
    client = tool.server.client()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=tool.bucket, Prefix=prefix):
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
        if keys:
            client.delete_objects(Bucket=tool.bucket, Delete={"Objects": keys})


def first_request(ours: Ours) -> None:
    """Print how long after its start cloud.py sends its first request, without what importing boto3 takes."""
    alone, imported, first = [], [], []
    program = "import boto3"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {**ours.environ, "COMFY_S3_ENDPOINT_URL": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        for _ in range(STARTS):
            alone.append(ours.run([sys.executable, "-c", "pass"]))
            imported.append(ours.run([sys.executable, "-c", program]))
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "cloud.py"), "ls"],
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            connection, _ = listener.accept()
            first.append(time.perf_counter() - began)
            connection.close()
            process.kill()
            process.wait()
    boto3 = statistics.median(imported) - statistics.median(alone)
    found = statistics.median(first)
    print(f"first request: {found:.2f} s after the start, of which importing boto3 is {boto3:.2f} s")
    print(f"first request without that import: {found - boto3:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the models' sizes and of the files' number"
    )
    parser.add_argument("--ministack", action="store_true", help="even where Ceph is installed")
    parser.add_argument("--only", choices=("models", "files", "start"), help="this part alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        kind = CephRgw if CephRgw.available() == "" and not options.ministack else MiniStack
        more = {"store_gibibytes": STORE_GIBIBYTES, "store": "bluestore"} if kind is CephRgw else {}
        if options.only != "files":
            write(scratch / "models", model_sizes(options.scale), ".safetensors")
        if options.only != "models":
            write(scratch / "files", [FILE_BYTES] * int(FILES * options.scale), ".bin")
        with kind(scratch / "server", **more) as server:
            bucket = server.create_bucket()
            tools: list[Tool] = []
            for tool in (Ours, S5cmd, Rclone):
                try:
                    tools.append(tool(server, bucket, scratch / "home"))
                except ImportError as error:
                    print(f"{tool.name}: left out, {error}")
            print(f"{server.name}, median of {options.rounds} rounds")
            for label in ("models", "files"):
                if options.only in (None, label):
                    compare(tools, label, scratch / label, options.rounds, scratch)
            if options.only in (None, "start"):
                first_request(Ours(server, bucket, scratch / "home"))


if __name__ == "__main__":
    main()
