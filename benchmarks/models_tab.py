"""How fast the Models tab is in this machine's Chromium: with 20 models in a workflow, 10,000 in the bucket.

Measured on the page of the browser tests, with the real routes and library behind it, and MiniStack as the
bucket. "open" is from the call that opens the tab until the workflow's rows are drawn; "catalogue" until the
rows of the bucket are drawn too. "letter" is from a letter in the search until the next frame, "scroll" from
a scroll to another place until then. Each figure is the median and the worst of --repeat. Usage: python
benchmarks/models_tab.py [--models 20 1000 10000] [--repeat 7]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import conftest  # loads the package
import folder_paths
import nodes
import server
from cloud_storage.page import routes
from cloud_storage.storage.base import PutOptions, Storage
from cloud_storage.system.meter import Meter
from models_page import listed, loaders, workflow
from servers import chromium
from servers.ministack import MiniStack
from servers.page import served
from servers.s3_server import started

OF_THE_WORKFLOW = 20
THREADS = 16
OPEN = """async (given) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve))
    const drawn = async (selector) => {
        while (!document.querySelector(selector)) await frame()
        return performance.now()
    }
    tab?.close()
    document.querySelector("#sidebar").replaceChildren()
    const begin = performance.now()
    open_tab(given)
    const [rows, all] = await Promise.all([drawn(".cs-models-list li"), drawn(".cs-rows li")])
    return [rows - begin, all - begin]
}"""
USE = """async (kind) => {
    const body = document.querySelector(".cs-models-body"), field = document.querySelector(".cs-models input")
    const begin = performance.now()
    if (kind === "letter") {
        field.value = field.value.length > 3 ? "" : field.value + "0"
        field.dispatchEvent(new InputEvent("input"))
    } else body.scrollTop = Math.random() * body.scrollHeight
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
    return performance.now() - begin
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--models", type=int, nargs="+", default=[20, 1000, 10_000])
    parser.add_argument("--repeat", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, started(MiniStack, Path(folder)) as bucket:
        storage = prepared(Path(folder), bucket)
        nodes.NODE_CLASS_MAPPINGS = loaders()
        assert routes.register("comfyui-cloud-storage")
        folders = {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}
        with (
            served(server.PromptServer.instance.routes, folders) as address,
            chromium.browser() as browser,
            chromium.page(browser) as page,
        ):
            page.goto(f"{address}/page/models.html")
            page.wait_for_function("window.ready")
            page.evaluate("window.tab = undefined")
            print(f"{'models':>8}  {'open':>16}  {'catalogue':>16}  {'letter':>16}  {'scroll':>16}")
            there = 0
            for count in asked.models:
                fill(storage, there, count)
                there = max(there, count)
                listed()
                print(f"{count:>8,}  " + "  ".join(measured(page, asked.repeat)))
            page.goto("about:blank")


def prepared(folder: Path, bucket: MiniStack) -> Storage:
    """Point the stand-in ComfyUI at ``folder`` and the environment at an empty bucket."""
    for name in ("user", "models"):
        (folder / name).mkdir()
    folder_paths.base_path, folder_paths.models_dir = str(folder), str(folder / "models")
    folder_paths.folder_names_and_paths = conftest.model_types(folder / "models")
    place = conftest.make_place("ministack-http", lambda _kind: bucket, folder / "user" / "profiles.json")
    os.environ.update(place.environ)
    return place.open()


def fill(storage: Storage, there: int, count: int) -> None:
    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(
            lambda number: storage.put(f"models/{name(number)}", b"x", PutOptions(), Meter()),
            range(there, count),
        ):
            pass


def name(number: int) -> str:
    return f"loras/of a series/lora number {number:05}.safetensors"


def measured(page: Any, repeat: int) -> list[str]:
    given = workflow(
        *(
            ("LoraLoaderModelOnly", name(number).removeprefix("loras/").replace("/", os.sep))
            for number in range(OF_THE_WORKFLOW)
        )
    )
    opened = [page.evaluate(OPEN, given) for _ in range(repeat)]
    columns = [
        [first for first, _ in opened],
        [last for _, last in opened],
        *([page.evaluate(USE, kind) for _ in range(4 * repeat)] for kind in ("letter", "scroll")),
    ]
    return [f"{statistics.median(each):>6.0f} / {max(each):>4.0f} ms" for each in columns]


if __name__ == "__main__":
    main()
