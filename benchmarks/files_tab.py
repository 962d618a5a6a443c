"""How fast the panel Files is in this machine's Chromium, with 100,000 pictures in a bucket.

Measured on the page of the browser tests, with the real routes behind it. The bucket is the tests' OSS
server on loopback, in a process of its own; "--far" adds to each of its answers what a far one takes. "cells"
is from the click that opens the panel until the first screen of cells is painted, with names and sizes;
"pictures" until all thumbnails of that screen are painted too. The thumbnails are made anew for each figure.

* known: this ComfyUI has listed the bucket before, and the panel was open before.
* restarted: the list is on the disk, and ComfyUI has been restarted.
* nothing: there is no list. Then "all" is until the panel says how many files there are, and what it says
  before is printed too.

Each figure is the median and the worst of --repeat. Usage: python benchmarks/files_tab.py [--files 100000]
[--repeat 7] [--far 0.05]
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import conftest  # loads the package
import folder_paths
import server
from cloud_storage.page import bucket_catalogue, routes, thumbnails
from PIL import Image
from servers import chromium
from servers.oss_objects import Body, Piece, StoredObject
from servers.oss_server import OssServer
from servers.page import served

BUCKET = "bucket"
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
FOLDERS = 3
CLICK = """async () => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
    const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
    const until = async (test) => {
        while (!test()) await frame()
        await painted()
        return performance.now() - begin
    }
    const all = (selector) => [...document.querySelectorAll(selector)]
    const status = () => document.querySelector(".cs-files-status")?.textContent ?? ""
    window.tab?.close()
    document.querySelector("#sidebar").replaceChildren()
    const begin = performance.now()
    open_tab()
    const cells = await until(() => all(".cs-cell").length && all(".cs-cell[aria-busy]").length === 0)
    const first = status()
    const scroller = document.querySelector(".cs-files-scroller").getBoundingClientRect()
    const inSight = all(".cs-cell").filter((each) => each.getBoundingClientRect().top < scroller.bottom)
    const ofPictures = inSight.filter((each) => /\\.png/.test(each.title))
    const pictures = await until(() => ofPictures.every((each) => each.querySelector("img")?.complete))
    const whole = await until(() => /^[\\d,]+ files$/.test(status()))
    return { cells, pictures, whole, first, count: inSight.length, said: status() }
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--far", type=float, default=0.0, metavar="SECONDS")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told: Any = multiprocessing.get_context("spawn").Queue()
        bucket = multiprocessing.get_context("spawn").Process(
            target=serve, args=(asked.files, asked.far, told), daemon=True
        )
        bucket.start()
        prepare(folder, told.get())
        assert routes.register("comfyui-cloud-storage")
        places = {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}
        with (
            served(server.PromptServer.instance.routes, places) as address,
            chromium.browser() as browser,
            chromium.page(browser) as page,
        ):
            page.set_default_timeout(600_000)
            page.goto(f"{address}/page/files.html")
            page.wait_for_function("window.ready")
            known(folder)
            print(f"{asked.files:,} files, median / worst of {asked.repeat}")
            print(f"{'':<10}{'cells':>18}{'pictures':>18}{'all':>20}")
            for kind, begin in {"known": known, "restarted": restarted, "nothing": nothing}.items():
                print(f"{kind:<10}" + measured(page, folder, begin, asked.repeat), flush=True)
            page.goto("about:blank")
        bucket.terminate()


def serve(files: int, far: float, told: Any) -> None:
    """A bucket of pictures in a process of its own. Their times are in no order; all have one content."""
    written = io.BytesIO()
    Image.effect_noise((512, 512), 60).save(written, "PNG")
    data, order = written.getvalue(), list(range(files))
    random.Random(1).shuffle(order)
    with OssServer((BUCKET,), credentials={"LTAI-test": conftest.SECRET}) as running:
        for number, age in enumerate(order):
            key = f"project {number % FOLDERS:02}/render {number:06}_00001_.png"
            body, modified = Body((Piece(len(data), data),)), BEGIN + timedelta(seconds=age)
            running.buckets[BUCKET].put(StoredObject(key, body, f"{number:032X}", b"", None, modified))
        if far:
            delay(running, far)
        told.put(running.url)
        threading.Event().wait()


def delay(running: OssServer, seconds: float) -> None:
    """Have each answer come so much later."""
    now = running.now

    def late() -> datetime:
        time.sleep(seconds / 2)  # it is asked twice for each answer
        return now()

    running.now = late  # type: ignore[method-assign]


def prepare(folder: Path, url: str) -> None:
    """Point the stand-in ComfyUI at ``folder``, and the environment at the bucket."""
    (folder / "user").mkdir()
    folder_paths.base_path = str(folder)
    given = {
        "PROVIDER": "Aliyun OSS",
        "ENDPOINT_URL": url,
        "ACCESS_KEY": "LTAI-test",
        "SECRET_KEY": conftest.SECRET,
        "BUCKET": BUCKET,
    }
    os.environ.update({f"COMFY_S3_{name}": value for name, value in given.items()})


def catalogues() -> list[bucket_catalogue.BucketCatalogue]:
    return list(bucket_catalogue._open.values())


def known(_folder: Path) -> None:
    """List the bucket, and wait for it."""
    from cloud_storage.page import files
    from cloud_storage.system.meter import Meter

    while not (listed := files.listing({}, Meter()))["state"]["complete"] or listed["state"]["is_listing"]:
        time.sleep(0.1)


def restarted(folder: Path) -> None:
    known(folder)
    bucket_catalogue._open.clear()


def nothing(folder: Path) -> None:
    known(folder)
    bucket_catalogue._open.clear()
    for path in folder.rglob(bucket_catalogue.FOLDER):
        shutil.rmtree(path)


def measured(page: Any, folder: Path, begin: Any, repeat: int) -> str:
    found = []
    for _ in range(repeat):
        begin(folder)
        thumbnails._kept.clear()
        found.append(page.evaluate(CLICK))
    columns = [[each[name] for each in found] for name in ("cells", "pictures", "whole")]
    said = found[0]["first"]
    numbers = "".join(f"{statistics.median(each):>8.0f} / {max(each):>5.0f} ms" for each in columns)
    return f"{numbers}   {found[0]['count']} cells; at first: {said!r}"


if __name__ == "__main__":
    main()
