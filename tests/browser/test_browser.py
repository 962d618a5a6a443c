"""The parts of web/ in a real browser, on a page of our own, with a real bucket behind the real routes."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO

import hostile_texts
import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import bucket_catalogue
from cloud_storage.storage.base import ObjectInfo, Page, PutOptions
from cloud_storage.system.meter import Meter
from held_answers import HeldAnswers
from PIL import Image
from playwright.sync_api import expect

HOSTILE = "a/<img src=x onerror=alert(1)>&amp;'\".txt"
LISTS = "**/api/cloud_storage/files/list**"
KEYS = ("a/b/deep.txt", "a/1.png", "a/2.txt", "a/no image.png", HOSTILE, "c/x.txt", "top.txt", "中文/图.txt")


def picture():
    written = BytesIO()
    Image.new("RGB", (320, 160), (200, 100, 50)).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No catalogue of another test."""
    monkeypatch.setattr(bucket_catalogue, "_open", type(bucket_catalogue._open)())


@pytest.fixture
def filled(cloud):
    for key in KEYS:
        cloud.put(key, picture() if key == "a/1.png" else b"12345", PutOptions(), Meter())
    return cloud


@pytest.fixture
def ours(page, address):
    """The page, with every request that it makes noted in ``asked``."""
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(f"{address}/page/page.html")
    page.wait_for_function("window.ready")
    yield page
    assert all(url.startswith((address, f"blob:{address}")) for url in page.asked)


def opened(page, *arguments):
    expect(page.locator("dialog.cs-picker")).to_have_count(0)  # one that was closed is gone a moment later
    page.evaluate("given => open_picker(...given)", list(arguments))
    expect(page.locator("dialog.cs-picker")).to_be_visible()
    expect(page.locator('.cs-picker [data-what^="l"]')).to_have_count(0)  # loading, listing
    return page


def names(page):
    return page.locator(".cs-row .cs-name").all_text_contents()


def selected(page):
    return page.locator('.cs-row[aria-selected="true"] .cs-name').text_content()


def marked(page):
    return page.locator('.cs-row[aria-selected="true"] .cs-name').all_text_contents()


def row(page, name):
    return page.locator(".cs-row", has=page.locator(".cs-name").get_by_text(name, exact=True))


def chosen(page):
    page.wait_for_function("window.chosen !== undefined")
    assert page.locator("dialog").count() == 0
    return page.evaluate("window.chosen")


# ------------------------------------------------------------ the picker


def test_a_file_is_picked_with_the_pointer(filled, ours):
    opened(ours)
    assert names(ours) == ["a", "c", "中文", "top.txt"]
    choose = ours.get_by_role("button", name="Choose", exact=True)
    expect(choose).to_be_disabled()
    row(ours, "a").click()
    expect(row(ours, "2.txt")).to_be_visible()
    assert ours.locator(".cs-step").all_inner_texts() == ["Top", "a"]
    row(ours, "2.txt").click()
    choose.click()
    assert chosen(ours) == "a/2.txt"


def test_a_double_click_picks_at_once(filled, ours):
    opened(ours, {"start": "a/"})
    row(ours, "1.png").dblclick()
    assert chosen(ours) == "a/1.png"


def test_everything_works_by_keyboard(filled, ours):
    opened(ours)
    press = ours.keyboard.press
    press("Enter")
    assert marked(ours) == [], "nothing is marked, so nothing is entered"
    press("ArrowDown")
    press("ArrowDown")
    assert selected(ours) == "c"
    press("ArrowUp")
    press("Enter")
    expect(row(ours, "b")).to_be_visible()
    press("ArrowDown")
    press("Enter")
    expect(row(ours, "deep.txt")).to_be_visible()
    press("Backspace")
    expect(row(ours, "1.png")).to_be_visible()
    assert selected(ours) == "b", "coming back, the folder that was left is where one stands"
    press("End")
    assert selected(ours) == names(ours)[-1]
    press("Home")
    press("ArrowDown")
    press("ArrowDown")
    press("Enter")
    assert chosen(ours) == "a/2.txt"
    assert ours.evaluate("window.heard") == [], "ComfyUI's shortcuts are not for what is typed here"


def test_what_a_screen_reader_is_told_follows_the_keys(filled, ours):
    opened(ours)
    entries = ours.get_by_role("listbox", name="Folders and files")
    expect(entries).to_be_focused()
    ours.keyboard.press("ArrowDown")
    option = entries.get_by_role("option", selected=True)
    expect(option).to_be_focused()
    assert (option.get_attribute("aria-posinset"), option.get_attribute("aria-setsize")) == ("1", "4")
    assert entries.get_by_role("option").count() == 4
    assert ours.get_by_role("dialog", name="Choose a file").count() == 1
    assert ours.get_by_role("searchbox", name="Search files").count() == 1
    expect(ours.get_by_role("status")).to_have_text("1 file")
    unnamed = "all => all.filter(each => !(each.ariaLabel || each.innerText.trim())).length"
    assert ours.locator("dialog button").evaluate_all(unnamed) == 0


def test_it_opens_where_the_widget_points(filled, ours):
    opened(ours, {"start": "a/2.txt"})
    expect(row(ours, "2.txt")).to_be_visible()
    assert selected(ours) == "2.txt"
    ours.keyboard.press("Enter")
    assert chosen(ours) == "a/2.txt"


@pytest.mark.parametrize(("start", "result"), [("a/", "a/"), ("a/b", "a/"), ("", ""), ("中文/", "中文/")])
def test_a_folder_is_picked_for_a_prefix(filled, ours, start, result):
    opened(ours, {"start": start, "wants": "folder"})
    expect(ours.locator(".cs-row").first).to_be_visible()
    files = ours.locator(".cs-row:not(:has(.cs-unseen))")
    assert all(file.get_attribute("aria-disabled") == "true" for file in files.all())
    label = f"Use folder {result[:-1]}" if result else "Use the top folder"
    ours.get_by_role("button", name=label, exact=True).click()
    assert chosen(ours) == result


def test_escape_picks_nothing_and_leaves_nothing_behind(filled, ours):
    ours.locator("#before").focus()
    opened(ours, {"start": "a/2.txt"})
    ours.keyboard.press("Escape")
    assert chosen(ours) is None
    expect(ours.locator("#before")).to_be_focused()
    assert ours.locator("body > *").count() == 3


def test_images_have_a_small_picture_and_other_files_a_drawing(filled, ours):
    opened(ours, {"start": "a/"})
    small = row(ours, "1.png").locator("img")
    expect(small).to_be_visible()
    size = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
    assert small.evaluate(size) == [160, 80]
    assert row(ours, "2.txt").locator("svg").count() == 1
    expect(row(ours, "no image.png").locator("svg")).to_be_visible()
    asked = [url for url in ours.asked if "/thumbnail?" in url]
    assert len(asked) == 2, "text files are not asked for"
    assert row(ours, "1.png").locator(".cs-size").inner_text() == f"{len(picture())} B"
    assert row(ours, "1.png").locator(".cs-date").inner_text()


def test_a_key_is_never_taken_for_html(filled, ours):
    opened(ours, {"start": HOSTILE})
    name = HOSTILE.removeprefix("a/")
    assert selected(ours) == name
    assert ours.locator(".cs-name img").count() == 0
    assert row(ours, name).locator(".cs-name").get_attribute("title") == HOSTILE
    ours.keyboard.press("Enter")
    assert chosen(ours) == HOSTILE


def test_of_a_long_folder_only_what_is_in_sight_is_drawn(cloud, ours):
    for number in range(260):
        cloud.put(f"{number:03}.txt", b"", PutOptions(), Meter())
    opened(ours)
    expect(ours.get_by_role("status")).to_have_text("260 files")
    assert ours.locator(".cs-row").count() < 40
    ours.keyboard.press("End")
    assert selected(ours) == "259.txt"
    ours.keyboard.press("PageUp")
    assert 245 < int(selected(ours)[:3]) < 258
    ours.keyboard.press("Home")
    assert selected(ours) == "000.txt"


def test_a_search_finds_what_lies_deeper(filled, ours):
    opened(ours, {"start": "a/"})
    field = ours.get_by_role("searchbox")
    field.fill("DEEP")
    expect(ours.locator(".cs-row")).to_have_count(1)
    assert names(ours) == ["b/deep.txt"]
    field.fill("nowhere to be found")
    expect(ours.locator(".cs-models-empty h3")).to_have_text("Nothing found.")
    field.fill("deep")
    expect(ours.locator(".cs-row")).to_have_count(1)
    field.press("ArrowDown")
    ours.keyboard.press("Enter")
    assert chosen(ours) == "a/b/deep.txt"


def test_files_are_put_in_another_order(cloud, ours):
    for key, size in (("a", 1), ("b", 3), ("c", 2)):
        cloud.put(key, b"x" * size, PutOptions(), Meter())
    opened(ours)
    ours.get_by_label("Order").select_option("largest")
    expect(ours.locator(".cs-name").first).to_have_text("b")
    assert names(ours) == ["b", "c", "a"]
    ours.get_by_label("Order").select_option("name")
    expect(ours.locator(".cs-name").first).to_have_text("a")
    assert names(ours) == ["a", "b", "c"]


def test_an_error_says_what_the_server_said_and_may_be_tried_again(filled, ours, monkeypatch, fast_place):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong")
    opened(ours)
    alert = ours.get_by_role("alert")
    expect(alert).to_contain_text("secret key of the profile")
    expect(ours.get_by_role("button", name="Choose", exact=True)).to_be_disabled()
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", fast_place.secret)
    ours.get_by_role("button", name="Try again").click()
    expect(row(ours, "a")).to_be_visible()
    assert alert.count() == 0


def test_an_empty_folder_and_an_old_server_have_words_too(cloud, ours):
    opened(ours)
    expect(ours.locator(".cs-models-empty h3")).to_have_text("Nothing here yet.")
    ours.keyboard.press("Escape")
    ours.route("**/api/cloud_storage/**", lambda route: route.fulfill(status=404, body="404: Not Found"))
    opened(ours)
    expect(ours.get_by_role("alert")).to_contain_text("Restart ComfyUI")
    ours.keyboard.press("Escape")
    ours.unroute("**/api/cloud_storage/**")
    ours.route("**/api/cloud_storage/**", lambda route: route.abort())
    opened(ours)
    expect(ours.get_by_role("alert")).to_contain_text("does not answer")


def test_reload_shows_what_came_meanwhile(filled, ours):
    opened(ours)
    filled.put("new.txt", b"", PutOptions(), Meter())
    ours.get_by_role("button", name="List the bucket again").click()
    expect(row(ours, "new.txt")).to_be_visible()


def test_chinese_is_spoken_where_the_locale_is_chinese(filled, ours):
    opened(ours, {}, "zh")
    expect(ours.get_by_role("status")).to_have_text("1 个文件")
    words = ours.locator("dialog").inner_text()
    assert "选择文件" in words
    for english in ("Choose", "Cancel", "item", "Name", "Top"):
        assert english not in words


def test_colours_are_those_of_the_theme(filled, ours):
    def colours():
        look = "each => [getComputedStyle(each).backgroundColor, getComputedStyle(each).color]"
        return ours.locator("dialog").evaluate(look)

    opened(ours)
    assert colours() == ["rgb(53, 53, 53)", "rgb(221, 221, 221)"]
    ours.evaluate("document.body.className = 'light'")
    assert colours() == ["rgb(255, 255, 255)", "rgb(34, 34, 34)"]


def test_it_fits_a_small_screen(filled, ours):
    ours.set_viewport_size({"width": 400, "height": 500})
    opened(ours, {"start": "a/"})
    expect(row(ours, "1.png")).to_be_visible()
    box = ours.locator("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 400
    assert ours.get_by_role("button", name="Choose", exact=True).bounding_box()["y"] < 480
    too_wide = ours.locator(".cs-files-scroller").evaluate("each => each.scrollWidth - each.clientWidth")
    assert too_wide <= 0


# ------------------------------------------------------------ the picker: only what was chosen is handed over


@pytest.fixture
def long(cloud, ours, monkeypatch):
    """The page, and 60 files in the bucket. The last one is the largest, and the newest."""
    for number in range(60):
        cloud.put(f"{number:02}.txt", b"x" * number, PutOptions(), Meter())
    page, listed = type(cloud).page, type(cloud).list

    def dated(info):
        return replace(info, modified=datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=info.size))

    def dated_page(self, *given, **named):
        found = page(self, *given, **named)
        return replace(found, objects=list(map(dated, found.objects)))

    monkeypatch.setattr(type(cloud), "page", dated_page)
    monkeypatch.setattr(type(cloud), "list", lambda *given, **named: map(dated, listed(*given, **named)))
    ours.set_viewport_size({"width": 900, "height": 420})
    return ours


def loaded(page, count):
    expect(page.locator(".cs-row")).to_have_count(count)


def test_what_arrives_after_a_click_changes_nothing_of_what_was_clicked(long, cloud):
    opened(long)
    row(long, "03.txt").click()
    for key in ("00 new.txt", "01 new.txt"):
        cloud.put(key, b"x", PutOptions(), Meter())
        expect(row(long, key)).to_have_count(1)
        assert marked(long) == ["03.txt"]
    expect(row(long, "03.txt")).to_be_focused()
    long.keyboard.press("Enter")
    assert chosen(long) == "03.txt"


def test_keys_pressed_while_the_list_is_fetched_again_count(long, cloud):
    opened(long)
    for _ in range(3):
        long.keyboard.press("ArrowDown")
    held = HeldAnswers(long, LISTS)
    with long.expect_request(LISTS, timeout=60_000):  # it looks every 15 s
        cloud.put("00 new.txt", b"x", PutOptions(), Meter())
    for _ in range(4):
        long.keyboard.press("ArrowDown")
    assert marked(long) == ["06.txt"]
    held.release()
    expect(row(long, "06.txt")).to_have_attribute("aria-posinset", "8")  # the new one is before it
    assert marked(long) == ["06.txt"]
    expect(row(long, "06.txt")).to_be_focused()
    long.keyboard.press("ArrowDown")
    assert marked(long) == ["07.txt"]


@pytest.mark.parametrize(
    ("keys", "result"),
    [
        (["End"], "59.txt"),
        (["ArrowDown"] * 20, "19.txt"),
        (["PageDown"] * 60, "59.txt"),
        (["ArrowUp"], "00.txt"),
        (["End", "Home"], "00.txt"),
    ],
    ids=["end", "arrows", "pages", "up", "home"],
)
def test_keys_mark_a_file_and_enter_takes_it(long, keys, result):
    opened(long)
    for key in keys:
        long.keyboard.press(key)
    assert marked(long) == [result]
    long.keyboard.press("Enter")
    assert chosen(long) == result


@pytest.mark.parametrize("start", ["gone.txt", "", "nowhere/"])
def test_what_is_not_in_the_list_marks_nothing_and_enter_takes_nothing(long, start):
    opened(long, {"start": start})
    assert marked(long) == []
    expect(long.get_by_role("button", name="Choose", exact=True)).to_be_disabled()
    long.keyboard.press("Enter")
    long.keyboard.press("ArrowRight")
    assert long.evaluate("window.chosen") is None
    assert long.locator("dialog").count() == 1


def test_the_nodes_own_key_is_marked_and_in_sight_wherever_it_is_in_the_list(long):
    opened(long, {"start": "55.txt"})
    expect(row(long, "55.txt")).to_be_visible()
    assert marked(long) == ["55.txt"]


def test_a_double_click_takes_nothing_where_its_first_click_met_another_row(long):
    opened(long)
    press = """names => {
        const rows = [...document.querySelectorAll(".cs-row")]
        const at = (name) => rows.find((each) => each.querySelector(".cs-name").textContent === name)
        for (const name of names) at(name).click()
        at(names.at(-1)).dispatchEvent(new MouseEvent("dblclick", { bubbles: true }))
    }"""
    long.evaluate(press, ["03.txt", "04.txt"])
    assert long.locator("dialog[open]").count() == 1
    long.evaluate(press, ["04.txt", "04.txt"])
    assert chosen(long) == "04.txt"


def test_what_is_marked_stays_so_in_another_order_and_after_a_reload(long):
    opened(long)
    row(long, "07.txt").click()
    long.get_by_label("Order").select_option("largest")
    expect(row(long, "07.txt")).to_be_visible()
    assert marked(long) == ["07.txt"]
    long.get_by_role("button", name="List the bucket again").click()
    expect(long.get_by_role("button", name="List the bucket again")).to_be_enabled()
    expect(long.locator('.cs-row[aria-selected="true"] .cs-name')).to_have_text("07.txt")
    expect(long.locator("footer .cs-marked")).to_have_text("07.txt")
    long.get_by_role("searchbox").fill("5")
    expect(row(long, "07.txt")).to_have_count(0)
    expect(row(long, "59.txt")).to_have_count(1)
    assert marked(long) == []
    expect(long.get_by_role("button", name="Choose", exact=True)).to_be_disabled()


@pytest.mark.parametrize("order", ["newest", "largest"])
def test_an_order_is_that_of_the_whole_folder(long, order):
    opened(long)
    long.get_by_label("Order").select_option(order)
    expect(row(long, "59.txt")).to_be_visible()
    assert names(long)[:3] == ["59.txt", "58.txt", "57.txt"]
    expect(long.get_by_role("status")).to_have_text("60 files")


def test_five_thousand_files_are_browsed_and_put_in_order(cloud, ours, monkeypatch):
    infos = [ObjectInfo(f"{number:04}.png", number + 1, str(number)) for number in range(5000)]
    monkeypatch.setattr(type(cloud), "page", lambda *_given, **_named: Page(infos[:1000], "more"))
    monkeypatch.setattr(type(cloud), "list", lambda *_given, **_named: iter(infos))
    ours.route("**/thumbnail?*", lambda route: route.fulfill(status=415, json={"error": "none"}))
    opened(ours, {"kind": "image"})
    expect(ours.get_by_role("status")).to_have_text("5,000 files")
    ours.keyboard.press("End")
    assert selected(ours) == "4999.png"
    ours.get_by_label("Order").select_option("largest")
    expect(ours.locator(".cs-row").first.locator(".cs-name")).to_have_text("4999.png")
    assert selected(ours) == "4999.png"
    ours.locator('.cs-row[aria-selected="true"]').press("Enter")
    assert chosen(ours) == "4999.png"


def test_the_rows_become_a_grid_and_what_is_marked_stays_so(filled, ours):
    opened(ours, {"start": "a/1.png"})
    expect(row(ours, "1.png").locator("img")).to_be_visible()
    ours.get_by_role("button", name="As a list").click()
    cell = ours.locator('.cs-cell[aria-selected="true"]')
    expect(cell.locator("img")).to_be_visible()
    assert ours.locator(".cs-row").count() == 0
    cell.press("Enter")
    assert chosen(ours) == "a/1.png"


def test_only_what_a_node_takes_is_offered_and_the_rest_on_request(cloud, ours):
    for key in ("a.PNG", "b.txt", "c.mp4", "d", "sub/e.webp"):
        cloud.put(key, b"x", PutOptions(), Meter())
    opened(ours, {"kind": "image"})
    assert names(ours) == ["sub", "a.PNG"]
    expect(ours.get_by_role("status")).to_have_text("1 file · 3 files of other kinds hidden")
    ours.get_by_label("Kind of file").select_option("all")
    loaded(ours, 5)
    row(ours, "b.txt").click()
    ours.get_by_role("button", name="Choose", exact=True).click()
    assert chosen(ours) == "b.txt"
    opened(ours, {"kind": "video"})
    assert names(ours) == ["sub", "c.mp4"]
    ours.get_by_role("searchbox").fill("e.webp")
    expect(ours.locator(".cs-models-empty")).to_contain_text("Choose “All files” to see them.")


def test_a_value_of_another_kind_is_seen_where_the_picker_opens(cloud, ours):
    for key in ("a.png", "b.txt"):
        cloud.put(key, b"x", PutOptions(), Meter())
    opened(ours, {"kind": "image", "start": "b.txt"})
    assert names(ours) == ["a.png", "b.txt"]
    assert marked(ours) == ["b.txt"]


def test_letters_that_are_typed_in_the_list_search(filled, ours):
    opened(ours)
    ours.keyboard.type("deep")
    loaded(ours, 1)
    assert ours.get_by_role("searchbox").input_value() == "deep"
    ours.keyboard.press("ArrowDown")
    ours.keyboard.press("Enter")
    assert chosen(ours) == "a/b/deep.txt"


@pytest.mark.parametrize(
    "key", ["/uploads/a.png", "x//y.png", "a/./b.png", "c\\d\\e.png", " f .png", "%2e/g?h#i.png"]
)
def test_any_key_that_a_bucket_may_hold_is_reached_by_its_folders_and_handed_over_as_it_is(cloud, ours, key):
    cloud.put(key, b"x", PutOptions(), Meter())
    opened(ours, {"kind": "image"})
    for depth in range(1, key.count("/") + 1):
        expect(ours.locator(".cs-row")).to_have_count(1)
        assert names(ours)[0].strip(), "a folder without a name is shown too"
        ours.keyboard.press("ArrowDown")
        ours.keyboard.press("Enter")
        expect(ours.locator(".cs-step")).to_have_count(depth + 1)
        expect(ours.locator(".cs-row")).to_have_count(1)
    ours.keyboard.press("ArrowDown")
    ours.keyboard.press("Enter")
    assert chosen(ours) == key
    opened(ours, {"kind": "image", "start": key})
    assert len(marked(ours)) == 1
    ours.keyboard.press("Enter")
    assert chosen(ours) == key


def test_of_a_long_name_the_end_is_in_sight(cloud, ours):
    key = f"{'a long folder/' * 8}{'portrait of a lady ' * 6}_00017_.png"
    cloud.put(key, b"x", PutOptions(), Meter())
    ours.set_viewport_size({"width": 500, "height": 500})
    opened(ours)
    ours.get_by_role("searchbox").fill("00017")
    expect(ours.locator(".cs-row:not(:has(.cs-unseen))")).to_have_count(1)
    assert names(ours) == [key]
    ours.locator(".cs-row").click()
    for end in (ours.locator(".cs-row .cs-name > span").last, ours.locator(".cs-marked span").last):
        assert end.inner_text().endswith("_00017_.png")
        inside = """end => {
            const around = end.closest(".cs-row, footer")
            const [one, other] = [end, around].map((each) => each.getBoundingClientRect())
            const top = document.elementFromPoint(one.right - 2, (one.top + one.bottom) / 2)
            return one.left >= other.left && one.right <= other.right && top === end
        }"""
        assert end.evaluate(inside)


def test_the_folder_that_is_marked_is_the_one_that_is_used(filled, ours):
    opened(ours, {"wants": "folder"})
    use = ours.locator(".cs-primary")
    expect(use).to_have_text("Use the top folder")
    ours.keyboard.press("ArrowDown")
    expect(use).to_have_text("Use folder a")
    ours.keyboard.press("ArrowDown")
    expect(use).to_have_text("Use folder c")
    ours.keyboard.press("End")
    assert selected(ours) == "top.txt"
    expect(use).to_have_text("Use the top folder")
    ours.keyboard.press("Enter")
    row(ours, "top.txt").dblclick(force=True)
    assert ours.locator("dialog").count() == 1, "a file is no folder"
    ours.keyboard.press("Home")
    use.click()
    assert chosen(ours) == "a/"


def test_the_title_names_the_bucket_the_prefix_and_the_profile(filled, ours, fast_place):
    opened(ours, {"where": "my profile"})
    prefix = filled.path_prefix.rstrip("/")
    assert ours.locator(".cs-where").inner_text() == f"{fast_place.bucket}/{prefix} · my profile"


def test_the_title_names_the_profile_that_is_used(filled, ours, fast_place, monkeypatch):
    place = f"{fast_place.bucket}/{filled.path_prefix.rstrip('/')}"
    opened(ours)
    assert ours.locator(".cs-where").inner_text() == f"{place} · (env vars)"
    ours.keyboard.press("Escape")
    given = {name: value for name, value in os.environ.items() if name.startswith("COMFY_S3_")}
    for name in given:
        monkeypatch.delenv(name)
    entry = {name.removeprefix("COMFY_S3_").lower(): value for name, value in given.items()}
    file = folders.profiles_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"profiles": {"home": entry}}))
    opened(ours)
    assert ours.locator(".cs-where").inner_text() == f"{place} · home"
    ours.keyboard.press("Escape")
    opened(ours, {}, "en", {"bucket": fast_place.bucket})
    assert ours.locator(".cs-where").inner_text() == f"{place} · home · {fast_place.bucket}"


# ------------------------------------------------------------ lines

SIGNED = "https://127.0.0.1/b/a%20b/%E5%9B%BE.png?X-Amz-Signature=abc&X-Amz-Expires=60"


def test_addresses_open_and_are_copied_whole_and_other_lines_are_text(ours):
    lines = ["Saved <b>2</b> objects.", "javascript://%0aalert()", "http://127.0.0.1/a", SIGNED, "http://a b"]
    ours.evaluate("lines => show_lines(lines)", lines)
    links = ours.locator("#lines a")
    assert links.evaluate_all("all => all.map(each => each.href)") == lines[2:4]
    for link in links.all():
        assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
    assert links.nth(1).inner_text().replace("\n", "") == "https://127.0.0.1/b/a b/图.png?…"
    assert "abc" not in ours.locator("#lines").inner_text()
    assert ours.locator("#lines b").count() == 0
    ours.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ours.get_by_role("button", name="Copy", exact=True).nth(1).click()
    assert ours.evaluate("navigator.clipboard.readText()") == SIGNED
    ours.get_by_role("button", name="Copy all").click()
    assert ours.evaluate("navigator.clipboard.readText()") == "\n".join(lines[2:4])
    assert "pointerdown " not in ours.evaluate("window.heard"), "the node below is not dragged"


@pytest.mark.parametrize("text", hostile_texts.TEXTS)
def test_what_a_name_or_a_server_says_is_text_in_lines_and_in_the_picker(ours, text):
    told = [f"{text}  12 B", f"Could not load {text!r} (bucket 'b'): {text}.", f" {text}"]
    ours.evaluate("lines => show_lines(lines)", told)
    assert ours.locator("#lines .cs-line").all_text_contents() == told
    assert ours.locator("#lines .cs-line *").count() == 0
    error = {"error": text, "kind": "StorageError"}
    ours.route(LISTS, lambda route: route.fulfill(status=502, json=error))
    opened(ours, {"where": text, "start": f"{text}/"})
    expect(ours.get_by_role("alert")).to_contain_text(text)
    for made in hostile_texts.MADE:
        assert ours.locator(made).count() == 0
    assert not ours.evaluate(hostile_texts.RAN)


def test_copying_works_where_the_clipboard_is_not_offered(ours):
    ours.context.grant_permissions(["clipboard-read"])
    ours.evaluate("Object.defineProperty(window, 'isSecureContext', { value: false })")
    ours.evaluate("lines => show_lines(lines)", [SIGNED])
    ours.get_by_role("button", name="Copy").click()
    expect(ours.locator("[data-done]")).to_have_count(1)
    assert ours.evaluate("navigator.clipboard.readText()") == SIGNED
    assert ours.locator("textarea").count() == 0


def colour(shown):
    return shown.evaluate("each => getComputedStyle(each).color")


def test_warnings_and_errors_are_told_by_their_colour_in_both_themes(ours):
    lines = ["Saved 1.", ["NOT in the bucket yet", {"level": "warning"}], ["It failed", {"level": "error"}]]
    for theme in ("dark", "light"):
        ours.evaluate("theme => (document.body.className = theme)", theme)
        for count, level in ((1, None), (2, "warning"), (3, "error")):
            ours.evaluate("lines => show_lines(lines)", lines[:count])
            shown = ours.locator("#lines .cs-line")
            assert shown.all_inner_texts() == ["Saved 1.", "NOT in the bucket yet", "It failed"][:count]
            assert len({colour(each) for each in shown.all()}) == count
            assert ours.locator("#lines .cs-lines").get_attribute("data-level") == level
    ours.evaluate("lines => show_lines(lines)", [["<b>It</b> failed", {"level": "x onclick=alert()"}]])
    assert ours.locator("#lines .cs-line").get_attribute("class") == "cs-line"
    assert ours.locator("#lines b").count() == 0


def test_a_box_is_as_high_as_what_is_in_it_in_any_language(ours):
    for lines in (["short"], ["long words " * 40], ["中文" * 120], ["a", "b", SIGNED, SIGNED]):
        ours.evaluate("lines => show_lines(lines)", lines)
        height = ours.evaluate("window.box.height(320)")
        ours.evaluate("height => (document.querySelector('#lines').style.height = `${height}px`)", height)
        room = "each => [each.scrollHeight - each.clientHeight, each.clientHeight]"
        further, own = ours.locator("#lines .cs-lines-body").evaluate(room)
        assert further <= 0
        assert own <= max(44, height)
    assert ours.locator(".cs-measured").count() == 0


def test_whoever_waits_for_the_styles_measures_the_first_box_of_a_page_with_them(ours):
    size = ours.evaluate(
        """async () => {
            await (await import("/web/dom.js")).addStyles()
            show_lines(["short"])
            return getComputedStyle(document.querySelector(".cs-lines")).fontSize
        }"""
    )
    assert size == "12px"
    sheets = ours.eval_on_selector_all("link[rel=stylesheet]", "links => links.map(({ href }) => href)")
    assert len(sheets) == len(set(sheets)) > 0, "each of them is loaded once"


def test_a_link_opens_what_is_in_a_private_bucket_and_copies_the_plain_address(filled, ours):
    plain, opens = filled.url("a/1.png"), {"profile": "(env vars)", "key": "a/1.png"}
    filled.put("a/1.png", picture(), PutOptions(content_type="image/png"), Meter())
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(plain)
    ours.evaluate("lines => show_lines(lines)", [[plain, {"opens": opens}]])
    link = ours.locator("#lines a")
    assert link.get_attribute("href") == plain
    for button in ("left", "middle"):
        with ours.context.expect_page() as opened_page:
            link.click(button=button)
        tab = opened_page.value
        tab.wait_for_url(f"{plain}?*")
        assert tab.evaluate("document.images[0]?.naturalWidth") == 320
        assert tab.evaluate("window.opener") is None
        tab.close()
    ours.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ours.get_by_role("button", name="Copy", exact=True).click()
    assert ours.evaluate("navigator.clipboard.readText()") == plain


def test_a_link_to_what_is_gone_says_so_on_the_node_and_leaves_no_empty_tab(filled, ours):
    plain = filled.url("a/gone.png")
    ours.evaluate("lines => show_lines(lines)", [[plain, {"opens": {"key": "a/gone.png"}}]])
    for _ in range(2):
        ours.locator("#lines a").click()
        expect(ours.locator("#lines .cs-error")).to_contain_text("a/gone.png")
        expect(ours.locator("#lines .cs-error")).to_have_count(1)
    assert len(ours.context.pages) == 1


# ------------------------------------------------------------ which profile

GRAPH = """
    const link = (id, from, slot = 0) => ({ id, origin_id: from, origin_slot: slot })
    const widgets = (values) => Object.entries(values).map(([name, value]) => ({ name, value }))
    const choice = { profile: "team", provider: "(from profile)", bucket: " b ", path_prefix: "", region: "" }
    const make = (nodes, links) => {
        const graph = { nodes, links, getNodeById: (id) => nodes.find((node) => node.id === id) }
        for (const node of nodes) node.graph = graph
        return graph
    }
    const sockets = (link) => [{ name: "key", link: null }, { name: "profile", link }]
    const load = (link) => ({ id: 1, type: "LoadImageFromCloud", inputs: sockets(link), widgets: [] })
    const chooser = (more) => ({ id: 2, type: "CloudStorageProfile", widgets: widgets(choice), ...more })
    const { profileOf, titleOf } = window.parts
"""


@pytest.mark.parametrize(
    ("nodes", "links", "result"),
    [
        ("[load(null)]", "{}", {"profile": "(env vars)"}),
        ("[load(7), chooser()]", "{ 7: link(7, 2) }", {"profile": "team", "bucket": "b"}),
        ("[load(7), chooser()]", "new Map([[7, link(7, 2)]])", {"profile": "team", "bucket": "b"}),
        (
            "[load(7), { id: 3, type: 'Reroute', inputs: [{ link: 8 }] }, chooser()]",
            "{ 7: link(7, 3), 8: link(8, 2) }",
            {"profile": "team", "bucket": "b"},
        ),
        ("[load(7), chooser({ mode: 4 })]", "{ 7: link(7, 2) }", {"profile": "(env vars)"}),
        ("[load(7), chooser({ mode: 2 })]", "{ 7: link(7, 2) }", {"profile": "(env vars)"}),
        (
            "[load(7), chooser({ inputs: [{ name: 'bucket', widget: { name: 'bucket' }, link: 9 }] })]",
            "{ 7: link(7, 2), 9: link(9, 5) }",
            None,
        ),
        ("[load(7), { id: 2, type: 'SwitchOfSomebody' }]", "{ 7: link(7, 2) }", None),
    ],
    ids=["no wire", "wire", "map of links", "reroute", "bypassed", "muted", "wired settings", "stranger"],
)
def test_the_profile_is_found_in_the_graph(ours, nodes, links, result):
    ask = f"() => {{ {GRAPH} const graph = make({nodes}, {links}); return profileOf(graph.nodes[0], graph) }}"
    assert ours.evaluate(ask) == result


def test_the_profile_is_found_outside_of_a_subgraph(ours):
    ask = f"""() => {{ {GRAPH}
        const inner = make([load(7)], {{ 7: link(7, -10, 1) }})
        const inputs = [{{ link: null }}, {{ link: 8 }}]
        const instance = {{ id: 4, type: "a-uuid", subgraph: inner, inputs }}
        const outer = make([instance, chooser()], {{ 8: link(8, 2) }})
        const settings = profileOf(inner.nodes[0], outer)
        return [settings, titleOf(settings)]
    }}"""
    assert ours.evaluate(ask) == [{"profile": "team", "bucket": "b"}, "team · b"]


# ------------------------------------------------------------ Chinese


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("Saved a/b (1).png.", "已保存 a/b (1).png。"),
        ("Saved 2 objects, a_1.png … a_2.png.", "已保存 2 个对象，a_1.png … a_2.png。"),
        (
            "Could not store 'a.png' (bucket 'x' at http://h:1): the profile is read-only. "
            "Use another one for writing.",
            "无法保存 'a.png'（http://h:1 的存储桶 'x'）：该配置为只读。请使用可写入的其他配置。",
        ),
        (
            "Could not read the image ('a.png'): the file is empty. Choose an image.",
            "无法读取图像（'a.png'）：文件是空的。请选择一张图像。",
        ),
        (
            "Saved a.png. There is no preview: disk full. Run the node again.",
            "已保存 a.png。没有预览：disk full。请再次运行节点。",
        ),
        (
            "Could not read 'a.png' (bucket 'x' at http://h:1): the server answered NoSuchKey (It is not "
            "there.). Check the key; List Bucket Contents shows all keys.",
            "无法读取 'a.png'（http://h:1 的存储桶 'x'）：服务器返回 NoSuchKey (It is not there.)。"
            "请检查对象名称；“列出存储桶内容”会显示所有对象名称。",
        ),
        ("✓ list    allowed, 9 ms", "✓ list    允许，9 ms"),
        (
            "✗ write   Could not store 'a.png' (bucket 'x' at http://h:1): the profile is read-only. "
            "Use another one for writing.",
            "✗ write   无法保存 'a.png'（http://h:1 的存储桶 'x'）：该配置为只读。请使用可写入的其他配置。",
        ),
        (
            "Warning      Other users of this machine may read profiles.json on the server (its mode is "
            "644). Run `chmod 600` on it.",
            "警告         本机其他用户可以读取 服务器上的 profiles.json（权限为 644）。"
            "请对其执行 `chmod 600`。",
        ),
        ("3 objects, times in UTC", "3 个对象，时间为 UTC"),
        ("Loaded 1 image.", "已加载 1 张图像。"),
        ("AccessDenied: whatever a server says", "AccessDenied: whatever a server says"),
        ("https://h/Saved%20a.png?x=Saved a", "https://h/Saved%20a.png?x=Saved a"),
        ("", ""),
    ],
)
def test_what_a_node_has_to_tell_is_in_chinese(ours, english, chinese):
    ours.evaluate("lines => show_lines(lines, 'zh-CN')", [english])
    shown = ours.locator(".cs-line").first.text_content()
    if english.startswith("https"):
        assert "Saved" in shown
    else:
        assert shown == chinese
    ours.evaluate("lines => show_lines(lines, 'en')", [english])
    assert english.startswith("https") or ours.locator(".cs-line").first.text_content() == english


def test_a_message_of_any_content_is_translated_in_bounded_work(ours):
    """Each template is looked for once, from left to right, whatever a server sends."""
    for piece in ("a (", "Could not ", "): ", ". ", "{}", "$&", "Saved . "):
        ours.evaluate("lines => show_lines(lines, 'zh')", [piece * 3000, piece * 300])
        assert ours.locator(".cs-line").count() == 2


def test_an_error_of_the_server_is_in_chinese(ours, cloud, monkeypatch):
    monkeypatch.delenv("COMFY_S3_BUCKET")
    ours.evaluate("given => open_picker(...given)", [{}, "zh"])
    expect(ours.get_by_role("alert")).to_contain_text("未设置存储桶。请在")
