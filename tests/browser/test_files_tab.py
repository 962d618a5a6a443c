"""The panel Files in a real browser, on a page of our own, with a real bucket, or 100,000 keys."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import hostile_texts
import pytest
from cloud_storage.page import bucket_catalogue
from cloud_storage.page.bucket_rows import Columns
from cloud_storage.storage.base import ObjectInfo
from cloud_storage.system import utc_clock
from held_answers import HeldAnswers
from page_requests import picture, put
from playwright.sync_api import expect

LISTS = "**/api/cloud_storage/files/list**"
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No catalogue of another test."""
    monkeypatch.setattr(bucket_catalogue, "_open", type(bucket_catalogue._open)())


@pytest.fixture
def ours(page, address):
    page.goto(f"{address}/page/files.html")
    page.wait_for_function("window.ready")
    yield page
    page.goto("about:blank")  # no question is on its way when the server ends


@pytest.fixture
def many(cloud, monkeypatch):
    """A bucket of 100,000 keys, already listed."""
    columns = Columns()
    for number in range(100_000):
        columns.add(
            ObjectInfo(f"f{number % 7}/{number:06}.txt", number, "e", BEGIN + timedelta(seconds=number))
        )

    def known(self, *given):
        init(self, *given)
        self._complete, self._listed, self._tried = True, utc_clock.now(), utc_clock.now()
        self._rows = columns
        self._draw()

    init = bucket_catalogue.BucketCatalogue.__init__
    monkeypatch.setattr(bucket_catalogue.BucketCatalogue, "__init__", known)


def opened(page, *given):
    page.evaluate("given => open_tab(...given)", list(given))
    return page


def names(page):
    return [cell.get_attribute("title").split("\n")[0] for cell in page.locator(".cs-cell").all()]


def cell(page, name):
    return page.locator(f'[role="option"][title^="{name}"]')


def test_of_a_hundred_thousand_files_the_newest_come_first_and_few_cells_are_drawn(many, ours):
    opened(ours)
    expect(ours.locator(".cs-files-status")).to_have_text("100,000 files")
    expect(cell(ours, "f4/099999.txt")).to_be_visible()
    assert ours.locator(".cs-cell").count() < 80
    ours.locator(".cs-files-scroller").evaluate("each => (each.scrollTop = each.scrollHeight)")
    expect(cell(ours, "f0/000000.txt")).to_be_visible()
    assert ours.locator(".cs-cell").count() < 80
    expect(cell(ours, "f0/000000.txt")).to_have_attribute("aria-posinset", "100007")


def test_of_more_files_than_are_listed_it_says_that_they_are_not_complete(many, ours, monkeypatch):
    monkeypatch.setattr(bucket_catalogue, "MOST_KEYS", 100_000)

    def cut(self, *given):
        known(self, *given)
        self._is_cut = True

    known = bucket_catalogue.BucketCatalogue.__init__
    monkeypatch.setattr(bucket_catalogue.BucketCatalogue, "__init__", cut)
    opened(ours)
    expect(ours.locator(".cs-files-status")).to_have_text("100,000 files · not complete")
    expect(ours.locator(".cs-models-notice")).to_contain_text("more than 100,000 files")
    expect(ours.locator(".cs-models-notice")).to_contain_text("the newest may be missing")


def test_search_kinds_and_orders_are_over_all_of_them(many, ours):
    opened(ours)
    ours.get_by_role("searchbox", name="Search files").fill("01234")
    expect(ours.locator(".cs-files-status")).to_have_text("11 files")
    ours.get_by_role("searchbox", name="Search files").fill("")
    ours.get_by_label("Order").select_option("oldest")
    expect(cell(ours, "f0/000000.txt")).to_be_visible()
    ours.get_by_label("Kind of file").select_option("image")
    expect(ours.locator(".cs-files-status")).to_have_text("0 files")


def test_folders_are_entered_and_left_by_keyboard_and_by_their_path(cloud, ours):
    put(cloud, "a/b/1.txt", "2.txt")
    opened(ours)
    ours.locator(".cs-cell").first.dblclick()
    expect(cell(ours, "a/b/1.txt")).to_be_visible()
    ours.keyboard.press("Enter")
    expect(ours.locator(".cs-step")).to_have_count(2)  # nothing is marked, so nothing is entered
    ours.keyboard.press("ArrowDown")
    ours.keyboard.press("Enter")
    expect(ours.locator(".cs-cell")).to_have_count(1)
    ours.keyboard.press("Backspace")
    expect(ours.locator(".cs-cell")).to_have_count(2)
    expect(ours.locator(".cs-cell").first).to_be_focused()  # where one comes from
    expect(ours.locator(".cs-cell").first).to_have_attribute("aria-selected", "true")
    ours.get_by_role("button", name="Top").click()
    expect(cell(ours, "2.txt")).to_be_visible()


def test_several_files_are_selected_by_mouse_and_keyboard(many, ours):
    opened(ours)
    expect(cell(ours, "f4/099999.txt")).to_be_visible()
    chosen = ours.locator('[role="option"][aria-selected="true"]')
    cell(ours, "f4/099999.txt").click()
    expect(chosen).to_have_count(1)
    cell(ours, "f2/099997.txt").click(modifiers=["Shift"])
    expect(chosen).to_have_count(3)
    cell(ours, "f3/099998.txt").click(modifiers=["Control"])
    expect(chosen).to_have_count(2)
    ours.keyboard.press("ArrowRight")
    expect(chosen).to_have_count(1)
    ours.keyboard.press("Shift+ArrowRight")
    expect(chosen).to_have_count(2)
    ours.keyboard.press("Escape")
    expect(chosen).to_have_count(0)
    ours.keyboard.press("Control+a")
    expect(ours.locator(".cs-files-status")).to_have_text("Only the first 1,000 are selected.")
    ours.keyboard.press("End")
    expect(cell(ours, "f0/000000.txt")).to_be_focused()
    assert ours.locator('[role="option"][tabindex="0"]').count() == 1
    expect(chosen).to_have_count(1)
    ours.keyboard.press("Home")
    expect(ours.locator('[role="option"]:focus')).to_have_attribute("aria-posinset", "1")
    assert [key for key in ours.evaluate("heard") if "Control" not in key and key != "keydown Tab"] == []


def test_what_is_selected_while_all_files_are_fetched_stays_selected(many, ours):
    opened(ours)
    cell(ours, "f4/099999.txt").click()
    held = HeldAnswers(ours, LISTS)
    with ours.expect_request(LISTS):
        ours.keyboard.press("Control+a")
    cell(ours, "f3/099998.txt").click()
    with ours.expect_response(LISTS):
        held.release()
    ours.wait_for_timeout(200)  # the page reads the answer
    expect(ours.locator('[role="option"][aria-selected="true"]')).to_have_count(1)
    expect(cell(ours, "f3/099998.txt")).to_have_attribute("aria-selected", "true")


def test_a_list_higher_than_an_element_can_be_is_shown_whole(many, ours):
    ours.evaluate("document.querySelector('#sidebar').style.width = '130px'")
    opened(ours)
    expect(ours.locator(".cs-cell").first).to_be_visible()
    assert ours.locator(".cs-grid").evaluate("each => each.clientHeight") < 100_000 * 118
    scroller = ours.locator(".cs-files-scroller")
    for part in (0, 0.37, 1):
        scroller.evaluate("(each, part) => (each.scrollTop = part * each.scrollHeight)", part)
        gaps = """each => {
            const cells = [...each.querySelectorAll(".cs-cell")]
            const tops = cells.map((cell) => cell.getBoundingClientRect().top)
            const { top, bottom } = each.getBoundingClientRect()
            const isFilled = Math.min(...tops) <= top && Math.max(...tops) + 118 >= bottom - 1
            return [isFilled, ...tops.slice(1).map((one, place) => Math.round(one - tops[place]))]
        }"""
        expect(cell(ours, {0: "f0/", 0.37: "f", 1: "f0/000000"}[part]).first).to_be_attached()
        is_whole = f"each => [...new Set(({gaps})(each))].join() === 'true,118'"  # once they are drawn anew
        ours.wait_for_function(is_whole, arg=scroller.element_handle())
        assert set(scroller.evaluate(gaps)) == {True, 118}
    ours.locator(".cs-cell").last.click()
    ours.keyboard.press("Home")
    expect(ours.locator('[aria-posinset="1"]')).to_be_focused()
    ours.keyboard.press("End")
    expect(ours.locator('[aria-posinset="100007"]')).to_be_focused()


def test_what_is_saved_is_shown_at_once_and_nothing_jumps(many, ours, cloud):
    opened(ours)
    expect(cell(ours, "f4/099999.txt")).to_be_visible()
    scroller = ours.locator(".cs-files-scroller")
    scroller.evaluate("each => each.scrollTo(0, 50_000)")
    middle = """each => {
        const topOf = (one) => one.getBoundingClientRect().top
        const cells = [...each.querySelectorAll(".cs-cell")].map((cell) => [cell.title, topOf(cell)])
        return cells.find(([, top]) => top >= topOf(each))
    }"""
    is_drawn = f"each => ({middle})(each)?.[0]"  # neither cells of before nor one that waits for its file
    ours.wait_for_function(is_drawn, arg=scroller.element_handle())
    before = scroller.evaluate(middle)
    cell(ours, before[0].split("\n")[0]).click()
    put(cloud, "new.txt")
    ours.evaluate("files.lookSoon()")  # as a message of the server does
    expect(ours.locator(".cs-files-status")).to_have_text("100,001 files")
    expect(cell(ours, before[0].split("\n")[0])).to_be_focused()
    assert scroller.evaluate(middle)[1] == before[1]
    scroller.evaluate("each => each.scrollTo(0, 0)")
    expect(cell(ours, "new.txt")).to_be_visible()


def test_a_picture_has_a_thumbnail_and_a_model_the_picture_beside_it(cloud, ours):
    put(cloud, "a.png", "m.preview.png", data=picture())
    put(cloud, "m.safetensors")
    opened(ours)
    for name in ("a.png", "m.safetensors"):
        expect(cell(ours, name).locator("img")).to_have_js_property("naturalWidth", 160)


def test_selected_files_are_added_to_the_workflow_with_their_profile(cloud, ours):
    put(cloud, "a.png")
    opened(ours)
    cell(ours, "a.png").click()
    ours.get_by_role("button", name="Add to workflow").click()
    assert ours.evaluate("happened") == [["insert", "(env vars)", ["a.png"]]]


@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("a.png", "LoadImageFromCloud"),
        ("a.MP4", "LoadVideoFromCloud"),
        ("a.flac", "LoadAudioFromCloud"),
        ("models/vae/a.safetensors", "LoadModelFromCloud"),
        ("a.latent", "LoadLatentFromCloud"),
        ("a.json", "LoadTextFromCloud"),
        ("a.glb", "DownloadFileFromCloud"),
        ("a", "DownloadFileFromCloud"),
    ],
)
def test_each_kind_of_file_has_its_node(ours, key, node):
    assert ours.evaluate("key => parts.loaderOf(key)", key) == node


def test_links_are_copied_and_shared(cloud, ours):
    put(cloud, "a.png")
    opened(ours)
    ours.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cell(ours, "a.png").click()
    ours.get_by_role("button", name="Copy link").click()
    expect(ours.locator(".cs-files-status")).to_contain_text("only if anybody may read")
    assert ours.evaluate("navigator.clipboard.readText()").endswith("/a.png")
    ours.get_by_role("button", name="Share…").click()
    ours.get_by_role("button", name="For 1 day").click()
    expect(ours.locator(".cs-files-status")).to_contain_text("The link is copied (For 1 day)")
    assert "X-Amz-Expires=86400" in ours.evaluate("navigator.clipboard.readText()")


def test_what_is_new_in_the_bucket_is_shown_after_a_refresh(cloud, ours):
    put(cloud, "a.png")
    opened(ours)
    expect(ours.locator(".cs-cell")).to_have_count(1)
    expect(ours.get_by_role("button", name="List the bucket again")).to_be_enabled()
    put(cloud, "b.png")
    ours.get_by_role("button", name="List the bucket again").click()
    expect(ours.locator(".cs-cell")).to_have_count(2)
    assert names(ours)[0] in ("b.png", "a.png")


def test_an_empty_bucket_and_none_at_all_say_what_to_do(cloud, ours, monkeypatch):
    opened(ours)
    expect(ours.get_by_role("heading", name="Nothing here yet.")).to_be_visible()
    monkeypatch.delenv("COMFY_S3_BUCKET")
    opened(ours)
    expect(ours.get_by_role("heading", name="No bucket is set up")).to_be_visible()


def test_an_empty_bucket_offers_an_example_and_says_why_it_cannot_be_opened(cloud, ours):
    ours.evaluate(
        """() => open_tab("en", "files", { openExample: async () => {
            happened.push("example")
            if (happened.length > 1) throw new Error("The example is away.")
        } })"""
    )
    example = ours.get_by_role("button", name="Open an example")
    example.click()
    assert ours.evaluate("happened") == ["example"]
    example.click()
    expect(ours.get_by_role("alert").filter(has_text="The example is away.")).to_be_visible()
    expect(example).to_be_visible()


def test_an_error_is_shown_in_place(cloud, ours, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    opened(ours)
    expect(ours.get_by_role("alert").first).to_contain_text("secret key of the profile")


def test_chinese_is_spoken_where_the_locale_is_chinese(cloud, ours):
    put(cloud, "a.png")
    opened(ours, "zh-CN")
    cell(ours, "a.png").click()
    expect(ours.get_by_role("button", name="添加到工作流")).to_be_visible()
    expect(ours.locator(".cs-files-status")).to_have_text("1 个文件")


@pytest.mark.parametrize("width", [160, 220, 320])
def test_it_fits_a_narrow_sidebar(cloud, ours, width):
    put(cloud, f"{'a very long name of a file ' * 4}.txt", "deep/deeper/deepest/x.png")
    ours.evaluate("width => (document.querySelector('#sidebar').style.width = `${width}px`)", width)
    opened(ours)
    expect(ours.locator(".cs-cell")).to_have_count(3)
    cell(ours, "a very").click()
    expect(ours.get_by_role("button", name="Add to workflow")).to_be_visible()
    edges = ours.locator(".cs-files > *").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right)"
    )
    assert max(edges) <= width
    assert ours.locator(".cs-files-scroller").evaluate("each => each.scrollWidth - each.clientWidth") <= 0


def test_what_a_name_says_is_text(cloud, ours):
    put(cloud, "a.png")
    opened(ours)
    expect(ours.locator(".cs-cell")).to_have_count(1)
    for text in hostile_texts.TEXTS:
        # Drawn and read in one step: the list looks at the server now and then, and draws what that says.
        shown, made = ours.evaluate(
            """([text, selectors]) => {
                const entry = { key: text.replaceAll("/", "_") + ".txt", size: 1, modified: null, etag: text }
                files.browser.list.windows = new Map([[0, [entry]]])
                files.browser.list.error = text
                files.browser.draw()
                return [
                    document.querySelector(".cs-files").textContent,
                    selectors.filter((selector) => document.querySelector(selector)),
                ]
            }""",
            [text, hostile_texts.MADE],
        )
        assert text in shown
        assert made == []
    assert not ours.evaluate(hostile_texts.RAN)


# ------------------------------------------------------------ as ComfyUI's own tabs look


def test_buttons_for_the_whole_list_are_in_the_header(many, ours):
    opened(ours)
    for name in ("Only this folder, without its subfolders", "As a list", "List the bucket again"):
        expect(ours.locator("header").get_by_role("button", name=name)).to_be_visible()
    ours.get_by_role("tab", name="Transfers").click()
    expect(ours.locator("header").get_by_role("button")).to_have_count(0)


def test_the_ending_of_a_file_is_within_its_cell_and_below_the_drawing(cloud, ours):
    put(cloud, "a.safetensors", "b.gguf", "c.superlongend")
    opened(ours)
    expect(ours.locator(".cs-ending")).to_have_count(3)
    for ending in ours.locator(".cs-ending").all():
        inside = ending.evaluate(
            """one => {
                const box = (each) => each.getBoundingClientRect()
                const around = [one.closest(".cs-cell"), one.parentNode.querySelector("svg")]
                const [own, cell, drawn] = [one, ...around].map(box)
                return own.left >= cell.left && own.right <= cell.right && own.top >= drawn.bottom - 2
            }"""
        )
        assert inside


@pytest.mark.parametrize("name", ["a workflow of mine.json", "comfyui/texts/notes.txt"])
def test_a_name_that_fits_has_no_gap(cloud, ours, name):
    put(cloud, name)
    opened(ours)
    ours.evaluate("document.querySelector('#sidebar').style.width = '520px'")
    ours.get_by_role("button", name="As a list").click()
    shown = ours.locator(f'.cs-row[title^="{name}"] .cs-name')
    expect(shown).to_be_visible()
    gaps = shown.evaluate(
        """one => {
            const parts = [...one.childNodes].map((part) => {
                const range = document.createRange()
                range.selectNodeContents(part)
                return range.getBoundingClientRect()
            })
            return parts.slice(1).map((part, number) => part.left - parts[number].right)
        }"""
    )
    assert all(gap < 1 for gap in gaps)


def test_without_anything_to_say_there_is_no_footer(cloud, ours):
    ours.route("**/files/list*", lambda route: None)
    opened(ours)
    expect(ours.get_by_role("heading", name="Loading")).to_be_visible()
    expect(ours.locator(".cs-files-footer")).to_be_hidden()


def test_the_profiles_are_named_in_the_users_language(cloud, ours):
    answer = {
        "profiles": [{"name": "(env vars)", "bucket": "b"}, {"name": "team", "bucket": ""}],
        "chosen": "team",
        "error": "",
    }
    ours.route("**/files/profiles*", lambda route: route.fulfill(json=answer))
    opened(ours, "zh")
    options = ours.locator(".cs-files > select option")
    expect(options).to_have_text(["（环境变量或默认配置） · b", "team"])
    expect(ours.locator(".cs-files > select")).to_have_value("team")
