"""One object of 1 GiB and 500 of 1 MiB, both ways: this package, boto3's own transfers, obstore and the AWS
CLI.

All run in turn on one server on this machine (Ceph RGW where its packages are installed, MiniStack
otherwise), round after round; each figure is the median of the rounds. The rivals come from a virtual
environment of their own where a package pins another botocore. Usage: python benchmarks/throughput.py
[--rounds N] [--tls] [--mebibytes N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from package import PROFILES_FILE, load_package

load_package()

from cloud_storage import profile
from cloud_storage.loading import download
from cloud_storage.storage import connect
from cloud_storage.storage.base import PutOptions
from cloud_storage.system import thread_pool
from cloud_storage.system.meter import Meter
from servers.ceph import CephRgw
from servers.ministack import MiniStack

SMALL = 500
SMALL_BYTES = 1 << 20
SMALL_THREADS = 8


class Ours:
    name = "this package"

    def __init__(self, server, bucket, tls):
        environ = {
            "COMFY_S3_PROVIDER": "Custom",
            "COMFY_S3_ENDPOINT_URL": server.tls_endpoint_url if tls else server.endpoint_url,
            "COMFY_S3_REGION": server.region,
            "COMFY_S3_BUCKET": bucket,
            "COMFY_S3_ACCESS_KEY": server.keys.access_key,
            "COMFY_S3_SECRET_KEY": server.keys.secret_key,
            "COMFY_S3_CA_FILE": str(server.certificates.authority),
        }
        resolved = profile.resolve("", {}, PROFILES_FILE, environ)
        self.storage = connect.connect(resolved, environ)

    def up(self, path: Path) -> None:
        self.storage.put("ours.bin", path, PutOptions(), Meter())

    def down(self, path: Path) -> None:
        download.download(self.storage, "ours.bin", path, Meter())

    def many_up(self, data: bytes) -> None:
        keys = (f"ours/{number}.bin" for number in range(SMALL))
        thread_pool.run(
            (lambda key=key: self.storage.put(key, data, PutOptions(), Meter()) for key in keys),
            SMALL_THREADS,
        )

    def many_down(self, folder: Path) -> None:
        jobs = (
            lambda number=number: download.download(
                self.storage, f"ours/{number}.bin", folder / f"{number}.bin", Meter()
            )
            for number in range(SMALL)
        )
        thread_pool.run(jobs, SMALL_THREADS)


class Boto3:
    name = "boto3"

    def __init__(self, server, bucket, tls):
        self.client = server.client(tls=tls, max_pool_connections=32)
        self.bucket = bucket

    def up(self, path: Path) -> None:
        self.client.upload_file(str(path), self.bucket, "boto3.bin")

    def down(self, path: Path) -> None:
        self.client.download_file(self.bucket, "boto3.bin", str(path))

    def many_up(self, data: bytes) -> None:
        def put(number):
            self.client.put_object(Bucket=self.bucket, Key=f"boto3/{number}.bin", Body=data)

        thread_pool.run((lambda number=number: put(number) for number in range(SMALL)), SMALL_THREADS)

    def many_down(self, folder: Path) -> None:
        def get(number):
            self.client.download_file(self.bucket, f"boto3/{number}.bin", str(folder / f"{number}.bin"))

        thread_pool.run((lambda number=number: get(number) for number in range(SMALL)), SMALL_THREADS)


class Obstore:
    name = "obstore"

    def __init__(self, server, bucket, tls):
        import obstore
        from obstore.store import S3Store

        options = {"allow_http": True}
        if tls:
            options["allow_invalid_certificates"] = True
        self.obstore = obstore
        self.store = S3Store(
            bucket,
            endpoint=server.tls_endpoint_url if tls else server.endpoint_url,
            region=server.region,
            access_key_id=server.keys.access_key,
            secret_access_key=server.keys.secret_key,
            virtual_hosted_style_request=False,
            client_options=options,
        )

    def up(self, path: Path) -> None:
        self.obstore.put(self.store, "obstore.bin", path, chunk_size=32 << 20, max_concurrency=4)

    def down(self, path: Path) -> None:
        with path.open("wb", buffering=0) as file:
            for chunk in self.obstore.get(self.store, "obstore.bin").stream(min_chunk_size=4 << 20):
                file.write(chunk)

    def many_up(self, data: bytes) -> None:
        put = self.obstore.put
        thread_pool.run(
            (lambda number=number: put(self.store, f"obstore/{number}.bin", data) for number in range(SMALL)),
            SMALL_THREADS,
        )

    def many_down(self, folder: Path) -> None:
        def get(number):
            data = self.obstore.get(self.store, f"obstore/{number}.bin").bytes()
            (folder / f"{number}.bin").write_bytes(data)

        thread_pool.run((lambda number=number: get(number) for number in range(SMALL)), SMALL_THREADS)


class AwsCli:
    name = "AWS CLI"

    def __init__(self, server, bucket, tls):
        self.command = shutil.which("aws", path=os.environ.get("AWS_CLI_PATH")) or shutil.which("aws")
        if not self.command:
            raise ImportError("no aws command")
        self.bucket = bucket
        self.endpoint = server.tls_endpoint_url if tls else server.endpoint_url
        self.environ = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": server.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": server.keys.secret_key,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_CA_BUNDLE": str(server.certificates.authority),
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def _run(self, *arguments: str) -> None:
        command = [self.command, "--endpoint-url", self.endpoint, "s3", *arguments, "--only-show-errors"]
        subprocess.run(command, env=self.environ, check=True)

    def up(self, path: Path) -> None:
        self._run("cp", str(path), f"s3://{self.bucket}/cli.bin")

    def down(self, path: Path) -> None:
        self._run("cp", f"s3://{self.bucket}/cli.bin", str(path))

    def many_up(self, data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(SMALL):
                (Path(folder) / f"{number}.bin").write_bytes(data)
            self._run("cp", "--recursive", folder, f"s3://{self.bucket}/cli/")

    def many_down(self, folder: Path) -> None:
        self._run("cp", "--recursive", f"s3://{self.bucket}/cli/", str(folder))


def timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tls", action="store_true", help="over https")
    parser.add_argument("--mebibytes", type=int, default=1024, help="of the large object")
    parser.add_argument("--ministack", action="store_true", help="even where Ceph is installed")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        large, data = folder / "large.bin", os.urandom(SMALL_BYTES)
        with large.open("wb") as file:
            for _ in range(options.mebibytes):
                file.write(os.urandom(1 << 20))
        kind = CephRgw if CephRgw.available() == "" and not options.ministack else MiniStack
        more = {"store_gibibytes": 12} if kind is CephRgw else {}
        with kind(folder / "server", **more) as server:
            bucket = server.create_bucket()
            contenders = []
            for contender in (Ours, Boto3, Obstore, AwsCli):
                try:
                    contenders.append(contender(server, bucket, options.tls))
                except ImportError as error:
                    print(f"{contender.name}: left out, {error}")
            print(
                f"{server.name} over {'https' if options.tls else 'http'}, median of {options.rounds} rounds"
            )
            for label, size in (
                ("up", options.mebibytes),
                ("down", options.mebibytes),
                ("many_up", SMALL),
                ("many_down", SMALL),
            ):
                seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
                for _ in range(options.rounds):
                    for contender in contenders:
                        target = folder / "target"
                        target.mkdir()
                        argument = {
                            "up": large,
                            "down": target / "large.bin",
                            "many_up": data,
                            "many_down": target,
                        }[label]
                        action = getattr(contender, label)
                        seconds[contender.name].append(
                            timed(lambda action=action, argument=argument: action(argument))
                        )
                        if label == "down" and (target / "large.bin").stat().st_size != large.stat().st_size:
                            raise SystemExit(f"{contender.name} downloaded something else")
                        shutil.rmtree(target)
                medians = {name: statistics.median(values) for name, values in seconds.items()}
                fastest = min(value for name, value in medians.items() if name != Ours.name)
                for name, value in medians.items():
                    print(f"  {label:9} {name:13} {value:7.2f} s  {size / value:7.0f} MiB/s")
                print(f"  {label:9} fastest other / ours = {fastest / medians[Ours.name]:.2f}")


if __name__ == "__main__":
    main()
