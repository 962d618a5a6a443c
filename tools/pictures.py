#!/usr/bin/env python3
"""Take the pictures of the documents anew, from ComfyUI's own page: of the examples, the help, the README.

    COMFYUI_PATH=~/ComfyUI COMFYUI_PYTHON=~/ComfyUI/venv/bin/python python3 tools/pictures.py [name …]

Without names all of them: an example's, a node's id, or one of picker, connection, help, cloud-files and
so on. A server, a ComfyUI with folders of its own, and Chromium are started for it; see CONTRIBUTING.md. Look
at each before it is committed.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import environment
from environment import ROOT
from help_workflows import SMALL_WORKFLOWS
from studio import PIXEL_RATIO, Size, Studio, opened

EXAMPLES, HELP, ASSETS = ROOT / "example_workflows", ROOT / "web" / "docs", ROOT / "docs" / "assets"
EXAMPLE_SIZE = Size(1800, 1200, 190_000)
HELP_SIZE = Size(1100, 900, 70_000)
README_SIZE = Size(1500, 950, 190_000)
HELP_WIDER = 230  # pixels by which the panel is drawn wider than it comes
QUALITIES = range(92, 40, -4)

SLOW_BYTES_PER_SECOND = 400_000  # of each connection to the bucket
TOGGLE_TAB = """() => {
    comfy.extensionManager.command.execute("Workspace.ToggleSidebarTab.comfyui-cloud-storage")
}"""
RUN_UNTIL_SOMETHING_ARRIVES = """() => {
    const told = ({ detail }) => (window.arriving ||= detail.text.includes(" of "))
    comfy.api.addEventListener("progress_text", told)
    comfy.queuePrompt(0, 1)
}"""

# Of an example that needs a model of one's own: the node up to which it runs here.
UP_TO = {"model-from-the-bucket": "LoadModelFromCloud"}
UNRUN = {"library"}  # it has nothing but what a model makes
TWICE = {"team-library"}  # its first run publishes, its second one lists what was published


def main(words: Sequence[str]) -> None:
    environment.enter()
    environment.set_up_ministack()

    examples = sorted(path.stem for path in EXAMPLES.glob("*.json"))
    known = (*examples, *SMALL_WORKFLOWS, *README)
    if unknown := sorted(set(words) - set(known)):
        sys.exit(f"No picture is called {', '.join(unknown)}. There are: {', '.join(known)}")
    if "COMFYUI_PATH" not in os.environ:
        sys.exit("COMFYUI_PATH names no ComfyUI: set it to the folder of one.")
    with opened() as studio:
        for name in words or known:
            if name in examples:
                keep(EXAMPLES / f"{name}.jpg", example(studio, name), EXAMPLE_SIZE)
            elif name in SMALL_WORKFLOWS:
                studio.small(SMALL_WORKFLOWS[name])
                keep(HELP / f"{name}.jpg", studio.nodes(HELP_SIZE), HELP_SIZE)
            else:
                keep(ASSETS / f"{name}.jpg", README[name](studio), README_SIZE)


def example(studio: Studio, name: str) -> bytes:
    """An example, after a run."""
    from servers import comfyui_page

    workflow = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    studio.empty()
    comfyui_page.show_workflow(studio.page, workflow)
    comfyui_page.only(studio.page, UP_TO.get(name, ""))
    if name not in UNRUN:
        studio.run(unplugged=name == "offline-outbox")
    if name in TWICE:
        studio.run()
    comfyui_page.only(studio.page, "")
    return studio.nodes(EXAMPLE_SIZE)


def picker(studio: Studio) -> bytes:
    """The picker, open on a folder of pictures."""
    from servers import comfyui_page

    def browse(page: Any) -> None:  # noqa: ANN401  Playwright's Page
        comfyui_page.press(page, 2, "browse_key")
        page.wait_for_function("document.querySelectorAll('.cs-row img').length > 5")

    studio.small(SMALL_WORKFLOWS["LoadImageFromCloud"])
    taken = studio.whole(README_SIZE, browse)
    studio.page.keyboard.press("Escape")
    return taken


def connection(studio: Studio) -> bytes:
    """What Test connection says on the profile, and the report of Test Cloud Connection."""
    studio.small(SMALL_WORKFLOWS["TestCloudConnection"])
    return studio.nodes(README_SIZE)


def page_of_help(studio: Studio) -> bytes:
    """A page of help beside the canvas."""
    from servers import comfyui_page

    def open_help(page: Any) -> None:  # noqa: ANN401  Playwright's Page
        comfyui_page.open_help(page, 3)
        studio.settle()
        edge = page.locator(".p-splitter-gutter:visible").last.bounding_box()
        page.mouse.move(edge["x"] + edge["width"] / 2, 500)
        page.mouse.down()
        page.mouse.move(edge["x"] - HELP_WIDER, 500, steps=5)
        page.mouse.up()
        page.mouse.move(700, 900)
        comfyui_page.fit(page)
        page.evaluate("() => { comfy.canvas.ds.offset[1] += 60; comfy.canvas.setDirty(true, true) }")

    studio.small(SMALL_WORKFLOWS["SaveImageToCloud"])
    return studio.whole(README_SIZE, open_help)


def cloud_models(studio: Studio) -> bytes:
    """Models in the tab Cloud beside a workflow whose models are in the bucket."""
    from servers import comfyui_page

    def open_tab(page: Any) -> None:  # noqa: ANN401  Playwright's Page
        page.evaluate(TOGGLE_TAB)
        page.get_by_role("tab", name="Models").click()
        page.wait_for_selector(".cs-rows li")
        studio.settle()
        comfyui_page.fit(page)

    show_library(studio)
    taken = studio.whole(README_SIZE, open_tab)
    studio.page.evaluate(TOGGLE_TAB)
    return taken


def cloud_files(studio: Studio) -> bytes:
    """Files in the tab Cloud beside the workflow that has saved one of them."""
    from servers import comfyui_page

    def open_tab(page: Any) -> None:  # noqa: ANN401  Playwright's Page
        page.evaluate(TOGGLE_TAB)
        page.get_by_role("tab", name="Files").click()
        page.get_by_label("Kind of file").select_option("image")
        page.wait_for_function("document.querySelectorAll('.cs-cell img').length > 5")
        studio.settle()
        comfyui_page.fit(page)

    example(studio, "save-and-share")
    taken = studio.whole(README_SIZE, open_tab)
    studio.page.evaluate(TOGGLE_TAB)
    return taken


def on_demand(studio: Studio) -> bytes:
    """Loaders of ComfyUI that show how far their models are, in a workflow that runs."""
    show_library(studio)
    studio.server.bandwidth_bytes_per_second = SLOW_BYTES_PER_SECOND
    studio.page.evaluate(RUN_UNTIL_SOMETHING_ARRIVES)
    studio.page.wait_for_function("window.arriving")
    taken = studio.nodes(README_SIZE)
    studio.server.clear()
    studio.page.evaluate("async () => { await comfy.api.interrupt() }")
    return taken


def show_library(studio: Studio) -> None:
    """The example of the library, not run."""
    from servers import comfyui_page

    studio.empty()
    workflow = json.loads((EXAMPLES / "library.json").read_text(encoding="utf-8"))
    comfyui_page.show_workflow(studio.page, workflow)


README = {
    "picker": picker,
    "connection": connection,
    "help": page_of_help,
    "cloud-files": cloud_files,
    "cloud-models": cloud_models,
    "on-demand": on_demand,
}


def keep(path: Path, picture: bytes, size: Size) -> None:
    """Write a PNG as the best JPEG that is small enough. Ends the program where there is none."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as taken:
        half = (taken.width // PIXEL_RATIO, taken.height // PIXEL_RATIO)
        smaller = taken.convert("RGB").resize(half, Image.Resampling.LANCZOS)
    for quality in QUALITIES:
        written = io.BytesIO()
        smaller.save(written, "JPEG", quality=quality, subsampling=0, optimize=True, progressive=True)
        if written.tell() <= size.most_bytes:
            path.write_bytes(written.getvalue())
            shown = path.relative_to(ROOT)
            print(f"{shown}  {half[0]} × {half[1]}, {written.tell():,} bytes, quality {quality}", flush=True)
            return
    raise SystemExit(f"{path.name} does not fit into {size.most_bytes:,} bytes.")


if __name__ == "__main__":
    main(sys.argv[1:])
