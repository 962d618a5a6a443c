"""The panel Transfers in a real browser, on a page of our own, with answers that each test writes."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT
from playwright.sync_api import expect
from servers.page import served

ENTRY = {"key": "a.png", "size": 2000, "profile": "team", "bucket": "b", "saved": "2026-01-01T00:00:00+00:00"}
WAITING = {"waiting": 1, "entries": [{**ENTRY, "why": "The network was away."}], "unreadable": []}
OUTBOX = {**WAITING, "sending": False, "last": {"sent": 0, "left": 0, "lines": []}}
NOTHING = {**OUTBOX, "waiting": 0, "entries": []}
FILE = {"name": "output/b.png", "key": "b.png", "size": 100, "done": 50, "status": "sending", "error": ""}
PROFILE = {"name": "(env vars)", "bucket": "b", "folders": [], "waiting": 3, "stored": 8, "failing": True}
MIRROR = {"on": True, "waiting": 3, "failing": True, "errors": []}
MIRROR["profiles"] = [{**PROFILE, "error": "The bucket is full.", "files": [FILE]}]
FETCH = {"type": "vae", "name": "v.safetensors", "status": "running", "done": 1, "total": 4}


@pytest.fixture
def ours(page):
    """``ours.said`` is what the server answers, by route."""
    page.said = {"transfers/waiting": NOTHING, "models/progress": {"state": {"mode": "offer"}, "fetches": []}}
    page.posted = []

    def answer(route):
        name = route.request.url.split("/cloud_storage/")[1].split("?")[0]
        if route.request.method == "POST":
            page.posted.append(name)
        said = page.said.get(name)
        route.fulfill(status=200 if said else 404, body=json.dumps(said or {}))

    page.route("**/api/cloud_storage/**", answer)
    with served([], {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}) as address:
        page.goto(f"{address}/page/files.html")
        page.wait_for_function("window.ready")
        yield page


def opened(page, locale="en"):
    page.evaluate("locale => open_tab(locale, 'transfers')", locale)


def test_nothing_to_transfer_is_said(ours):
    opened(ours)
    expect(ours.get_by_role("heading", name="Nothing is being transferred")).to_be_visible()
    expect(ours.get_by_role("alert")).to_be_hidden()


def test_what_waits_says_why_and_is_uploaded_by_a_click(ours):
    ours.said["transfers/waiting"] = OUTBOX
    ours.said["transfers/retry"] = OUTBOX
    opened(ours)
    row = ours.get_by_role("listitem").filter(has_text="a.png")
    expect(row).to_contain_text("2 kB")
    expect(row).to_contain_text("team · b")
    expect(row.locator(".cs-error")).to_have_text("The network was away.")
    assert ours.evaluate("transfers.waiting") == 1
    ours.said["transfers/waiting"] = {
        **NOTHING,
        "last": {"sent": 1, "left": 0, "lines": ["1 file was uploaded."]},
    }
    ours.get_by_role("button", name="Upload now").click()
    expect(ours.get_by_text("1 file was uploaded.")).to_be_visible()
    assert ours.posted == ["transfers/retry"]


def test_downloads_are_shown_with_their_progress(ours):
    ours.said["models/progress"] = {
        "state": {"mode": "offer"},
        "fetches": [{**FETCH, "text": "", "error": ""}],
    }
    opened(ours)
    bar = ours.get_by_role("progressbar", name="v.safetensors")
    expect(bar).to_have_attribute("aria-valuenow", "25")


def test_the_mirror_says_what_it_sends_and_why_it_fails(ours):
    ours.said["mirror/state"] = MIRROR
    ours.said["mirror/retry"] = MIRROR
    opened(ours)
    expect(ours.get_by_role("region", name="Mirror")).to_contain_text("3 waiting · 8 uploaded")
    expect(ours.get_by_text("The bucket is full.")).to_be_visible()
    expect(ours.get_by_role("progressbar", name="output/b.png")).to_have_attribute("aria-valuenow", "50")
    assert ours.evaluate("transfers.waiting") == 3
    ours.get_by_role("button", name="Try again").click()
    ours.wait_for_function("transfers.turn")
    assert ours.posted == ["mirror/retry"]


def test_it_speaks_chinese(ours):
    ours.said["transfers/waiting"] = OUTBOX
    ours.said["mirror/state"] = MIRROR
    opened(ours, "zh")
    expect(ours.get_by_role("button", name="立即上传")).to_be_visible()
    expect(ours.get_by_text("（环境变量或默认配置） · b", exact=True)).to_be_visible()


def test_a_comfyui_that_does_not_answer_is_said(ours):
    ours.route("**/api/cloud_storage/transfers/**", lambda route: route.abort())
    opened(ours)
    expect(ours.get_by_role("alert")).to_contain_text("ComfyUI does not answer")
