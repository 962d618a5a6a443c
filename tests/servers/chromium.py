"""This machine's Chromium, for tests and for the pictures of the documents: a page that reaches this machine
and no other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from .processes import ServerUnavailable

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MILLISECONDS = 20_000


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's Browser, without a window. Raises ServerUnavailable where there is no Chromium."""
    from playwright.sync_api import expect, sync_playwright

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise ServerUnavailable("There is no Chromium. On Debian: apt-get install chromium")
    expect.set_options(timeout=TIMEOUT_MILLISECONDS)  # 5 s are too few where a server loads its SDK first
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])


@contextmanager
def page(browser: Any, width: int = 1400, height: int = 900, pixel_ratio: float = 1) -> Iterator[Any]:
    """A page of its own, as Playwright's Page; what goes wrong in it is noted in its ``faults``, a list of
    texts.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale="en-GB", device_scale_factor=pixel_ratio
    )
    context.route(lambda url: urlsplit(url).hostname != "127.0.0.1", lambda route: route.abort())
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MILLISECONDS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"{error}\n{error.stack}"))

    def answer(dialog: Any) -> None:
        if dialog.type == "beforeunload":  # a workflow that is not saved need not hold anybody
            dialog.accept()
        else:
            faults.append(f"dialog: {dialog.message}")
            dialog.dismiss()

    page.on("dialog", answer)
    page.faults = faults
    try:
        yield page
    finally:
        context.close()
