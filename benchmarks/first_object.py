"""How long it takes from ComfyUI's open page to the first object in a bucket, by the page alone.

ComfyUI starts without a profile. In this machine's Chromium the script opens the tab Cloud, sets up a bucket
of MiniStack's, tests and saves it, opens the example that the empty bucket offers, and runs it. It clicks and
pastes at a person's pace: --pace seconds before each action. It reads nothing, and knows every value before.
Printed are the seconds until the object is in the bucket, the part of them that was not waited on purpose,
and those until Files shows it. Usage, with COMFYUI_PATH and COMFYUI_PYTHON: python benchmarks/first_object.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from playwright.sync_api import Locator, expect
from servers import chromium, comfyui, comfyui_page
from servers.ministack import MiniStack

BUCKET, FOLDER = "studio", "first/"
POLL_SECONDS = 0.05


class Hand:
    """Clicks and pastes, after a pause before each."""

    def __init__(self, pace: float) -> None:
        self.pace, self.actions = pace, 0

    def _wait(self) -> None:
        time.sleep(self.pace)
        self.actions += 1

    def click(self, what: Locator) -> None:
        self._wait()
        what.click()

    def choose(self, what: Locator, option: str) -> None:
        self._wait()
        what.select_option(option)

    def paste(self, what: Locator, text: str) -> None:
        self._wait()
        what.fill(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pace", type=float, default=1.0, help="seconds before each action")
    hand = Hand(parser.parse_args().pace)
    with (
        tempfile.TemporaryDirectory(prefix="first-object-") as folder,
        MiniStack(Path(folder) / "s3") as server,
        comfyui.running(Path(folder) / "comfyui", ROOT, {}) as address,
        chromium.browser() as browser,
        chromium.page(browser) as page,
    ):
        server.create_bucket(BUCKET)
        client = server.client()
        comfyui_page.opened(page, address)
        begin = time.monotonic()

        hand.click(page.locator(".comfyui-cloud-storage-tab-button"))
        hand.click(page.get_by_role("button", name="Set up a bucket"))
        dialog = page.locator("dialog.cs-setup")
        hand.choose(dialog.get_by_label("Provider"), "Custom")
        for label, value in {
            "Address of the server": server.endpoint_url,
            "Bucket": BUCKET,
            "Folder in the bucket": FOLDER,
            "Access key": server.keys.access_key,
            "Its secret": server.keys.secret_key,
        }.items():
            hand.paste(dialog.get_by_label(label, exact=True), value)
        hand.click(dialog.get_by_role("button", name="Test", exact=True))
        expect(dialog.locator(".cs-report li").last).to_contain_text("It works")
        hand.click(dialog.get_by_role("button", name="Save", exact=True))
        hand.click(page.get_by_role("button", name="Open an example"))
        page.wait_for_function("() => comfy.graph.nodes.some(({ type }) => type === 'SaveImageToCloud')")
        hand.click(page.get_by_role("button", name="Run", exact=True).first)
        while not (found := client.list_objects_v2(Bucket=BUCKET).get("Contents")):
            time.sleep(POLL_SECONDS)
        stored = time.monotonic() - begin
        expect(page.locator('.cs-cell[title*=".png"]')).to_be_visible()
        shown = time.monotonic() - begin

        waited = hand.actions * hand.pace
        version = page.evaluate("window.__COMFYUI_FRONTEND_VERSION__")
        print(f"frontend {version}: {found[0]['Key']} is in the bucket")
        print(f"{hand.actions} actions, {hand.pace:g} s before each")
        print(f"in the bucket after {stored:.1f} s, of which {stored - waited:.1f} s not on purpose")
        print(f"shown in Files after {shown:.1f} s")


if __name__ == "__main__":
    main()
