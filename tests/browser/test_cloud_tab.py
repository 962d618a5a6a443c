"""The tab Cloud in a real browser, on a page of our own, with panels that note what happens to them."""

from __future__ import annotations

import pytest
from conftest import ROOT
from playwright.sync_api import expect
from servers.page import served


@pytest.fixture
def ours(page):
    with served([], {"/web": ROOT / "web", "/page": ROOT / "tests" / "browser"}) as address:
        page.goto(f"{address}/page/cloud.html")
        page.wait_for_function("window.ready")
        page.evaluate("open_tab()")
        yield page


def test_one_panel_is_shown_at_a_time_and_only_that_one_works(ours):
    expect(ours.get_by_role("tab", name="Files")).to_have_attribute("aria-selected", "true")
    expect(ours.get_by_role("tabpanel", name="Files")).to_have_text("in files")
    ours.get_by_role("tab", name="Transfers").click()
    expect(ours.get_by_role("tabpanel", name="Transfers")).to_have_text("in transfers")
    assert ours.evaluate("happened") == ["open files", "close files", "open transfers"]


def test_the_panel_that_was_shown_last_is_shown_when_the_tab_is_opened_again(ours):
    ours.get_by_role("tab", name="Models").click()
    ours.evaluate("tab.close()")
    assert ours.locator("#sidebar").evaluate("each => [each.childNodes.length, each.className]") == [0, ""]
    ours.evaluate("tab.open(document.querySelector('#sidebar'))")
    expect(ours.get_by_role("tabpanel")).to_have_text("in models")
    assert ours.evaluate("happened.slice(-2)") == ["close models", "open models"]


def test_it_is_used_by_keyboard(ours):
    ours.locator("#before").focus()
    press = ours.keyboard.press
    press("Tab")
    expect(ours.get_by_role("button", name="tool of files")).to_be_focused()
    press("Tab")
    expect(ours.get_by_role("tab", name="Files")).to_be_focused()
    press("ArrowRight")
    expect(ours.get_by_role("tab", name="Models")).to_be_focused()
    press("End")
    expect(ours.get_by_role("tab", name="Transfers")).to_be_focused()
    press("Tab")
    expect(ours.get_by_role("button", name="in transfers")).to_be_focused()
    press("Shift+Tab")
    press("Home")
    expect(ours.get_by_role("tabpanel", name="Files")).to_have_text("in files")
    assert [key for key in ours.evaluate("heard") if key != "keydown Tab"] == []


def test_a_number_stands_at_a_tab_as_long_as_there_is_one(ours):
    ours.evaluate("tab.count('transfers', 3, '3 waiting')")
    expect(ours.get_by_role("tab", name="Transfers")).to_contain_text("3")
    ours.evaluate("tab.count('transfers', 12, '12 waiting')")
    expect(ours.locator(".cs-count")).to_have_text(["12"])
    ours.evaluate("tab.count('transfers', 0, '')")
    expect(ours.locator(".cs-count")).to_have_count(0)


def test_the_header_has_the_tools_of_the_panel_that_is_shown(ours):
    expect(ours.locator("header").get_by_role("button")).to_have_text(["tool of files"])
    ours.get_by_role("tab", name="Models").click()
    expect(ours.locator("header").get_by_role("button")).to_have_count(0)
    ours.get_by_role("tab", name="Files").click()
    expect(ours.locator("header").get_by_role("button")).to_have_text(["tool of files"])


def test_it_can_be_closed_where_comfyui_s_own_tabs_can(ours):
    expect(ours.get_by_role("button", name="Close")).to_have_count(0)
    ours.evaluate("open_tab('en', '', () => window.happened.push('leave'))")
    ours.get_by_role("button", name="Close").click()
    assert ours.evaluate("happened.at(-1)") == "leave"


@pytest.mark.parametrize("look", ["", "cs-small-titles", "cs-wide-margins"])
def test_the_title_is_one_line_above_the_tabs(ours, look):
    ours.evaluate("look => open_tab('en', look)", look)
    ours.evaluate("document.querySelector('#sidebar').style.width = '224px'")
    title, header, tabs = ours.evaluate(
        """() => ["h2", "header", "[role=tablist]"].map((one) => {
            const box = document.querySelector(`.cs-cloud ${one}`).getBoundingClientRect()
            return [box.top, box.bottom]
        })"""
    )
    assert header[1] - header[0] == (38 if look == "cs-small-titles" else 64), "as ComfyUI's own"
    assert (title[0] + title[1]) / 2 == pytest.approx((header[0] + header[1]) / 2, abs=1.5)
    assert tabs[0] >= header[1]


def test_it_makes_room_for_another_extension_that_gets_the_same_place(ours):
    ours.evaluate("document.querySelector('#sidebar').append('another tab')")
    expect(ours.locator("#sidebar")).to_have_text("another tab")
    assert ours.evaluate("happened") == ["open files", "close files"]


@pytest.mark.parametrize("width", [160, 220, 320])
def test_it_fits_a_narrow_sidebar(ours, width):
    ours.evaluate("width => (document.querySelector('#sidebar').style.width = `${width}px`)", width)
    edges = ours.locator(".cs-cloud > *").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right)"
    )
    assert max(edges) <= width


def test_chinese_is_spoken_where_the_locale_is_chinese(ours):
    ours.evaluate("open_tab('zh-CN')")
    assert ours.get_by_role("tab").all_inner_texts() == ["文件", "模型", "传输"]
    expect(ours.get_by_role("heading", name="云端")).to_be_visible()
