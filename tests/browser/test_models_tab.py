"""The Models tab in a real browser, on a page of our own, with a real bucket and the real library."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import hostile_texts
import pytest
from cloud_storage.errors import StorageError, TransferCancelled
from cloud_storage.library import fetches as fetches_module
from cloud_storage.library import service
from cloud_storage.library.catalogue import Model
from cloud_storage.loading.model_file import Wanted
from cloud_storage.page import models, routes
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT
from models_page import arrived, fill, listed, loaders, workflow
from playwright.sync_api import expect
from servers.page import served

SUBGRAPH = {"id": "abc", **workflow(("LoraLoaderModelOnly", "style/ink.safetensors"))}
WORKFLOW = workflow(
    ("VAELoader", "soft.safetensors"),
    ("LoraLoaderModelOnly", "elsewhere/paper.safetensors"),
    ("CheckpointLoaderSimple", "gone.safetensors"),
    ("abc", ""),
    definitions={"subgraphs": [SUBGRAPH]},
)


@pytest.fixture
def library(cloud, monkeypatch):
    """A bucket, listed at once, with nothing in it yet; ``library(models)`` fills it."""
    import nodes

    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", loaders())

    def filled(models=None):
        fill(cloud, models)
        return listed()

    yield filled
    for fetch in service.fetches().busy():
        fetch.meter.stop()
    arrived()


@pytest.fixture
def ours(page, address):
    page.address = f"{address}/page/models.html"
    load(page)
    yield page
    page.goto("about:blank")  # no question is on its way when the server ends


def load(page):
    page.goto(page.address)
    page.wait_for_function("window.ready")


def opened(page, given=WORKFLOW, *options):
    page.evaluate("given => open_tab(...given)", [given, *options])
    return page


def section(page, name):
    return page.get_by_role("region", name=name, exact=True).or_(
        page.locator(".cs-models section", has=page.get_by_role("heading", name=name, exact=True))
    )


def rows(page, name):
    """The texts of a section's rows, line by line."""
    found = section(page, name).locator("li").all()
    return [row.inner_text().split("\n") for row in found]


def row(page, part, name):
    return section(page, part).locator("li", has_text=name)


def local(name, content=b"mine"):
    import folder_paths

    path = Path(folder_paths.models_dir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def held(monkeypatch):
    """Downloads that report half of their bytes and then wait, until ``held.set()``."""
    may_end = threading.Event()
    fetch = fetches_module.Fetches._fetch

    def slow(self, one):
        one.meter.total = one.model.size
        one.meter.add(one.model.size // 2)
        while not may_end.is_set():
            one.meter.check()
            may_end.wait(0.05)
        one.meter.add(-(one.model.size // 2))
        fetch(self, one)

    monkeypatch.setattr(fetches_module.Fetches, "_fetch", slow)
    yield may_end
    may_end.set()


# ------------------------------------------------------------ the open workflow


def test_the_models_of_the_workflow_are_here_in_the_bucket_or_missing(library, ours):
    library()
    local("vae/soft.safetensors")
    opened(ours)
    expect(section(ours, "This workflow")).to_contain_text("1 here, 2 in the bucket, 1 missing")
    assert rows(ours, "This workflow") == [
        [
            "elsewhere/paper.safetensors",
            "loras · 5 B · in the bucket · as paper.safetensors (same file name)",
        ],
        ["style/ink.safetensors", "loras · 3 B · in the bucket"],
        ["gone.safetensors", "checkpoints · missing: neither here nor in the bucket"],
        ["soft.safetensors", "vae · 3 B · here"],
    ]
    shown = ours.locator(".cs-models-list .cs-model").evaluate_all("all => all.map(one => one.dataset.state)")
    assert shown == ["in the bucket", "in the bucket", "missing", "here"]
    ours.get_by_role("button", name="style/ink.safetensors", exact=True).click()
    assert ours.evaluate("window.happened") == [["4:1"]], "the node in the subgraph is shown"


def test_another_workflow_has_other_models(library, ours):
    library()
    opened(ours)
    expect(section(ours, "This workflow").locator("li")).to_have_count(4)
    ours.evaluate("given => { window.workflow = given; library.readWorkflow() }", workflow())
    expect(section(ours, "This workflow")).to_contain_text("names no models")
    expect(ours.get_by_role("button", name="Download all")).to_have_count(0)
    expect(section(ours, "This workflow").locator("li")).to_have_count(0)


def test_one_button_downloads_all_that_the_workflow_needs(library, ours):
    import folder_paths

    library()
    opened(ours)
    ours.get_by_role("button", name="Download all (11 B)").click()
    expect(section(ours, "This workflow")).to_contain_text("3 here, 0 in the bucket, 1 missing")
    for name in ("loras/elsewhere/paper.safetensors", "loras/style/ink.safetensors", "vae/soft.safetensors"):
        assert (Path(folder_paths.models_dir) / name).is_file()
    expect(ours.get_by_role("button", name="Download all")).to_have_count(0)
    ours.wait_for_function("happened.includes('arrived')")


def test_one_model_is_downloaded_alone(library, ours):
    library()
    opened(ours)
    ours.get_by_role("button", name="Download soft.safetensors").first.click()
    expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text("here")
    expect(section(ours, "This workflow")).to_contain_text("1 here, 2 in the bucket, 1 missing")


def test_progress_is_drawn_and_is_there_again_after_a_reload(library, ours, held):
    library({"vae/soft.safetensors": b"x" * 2000})
    opened(ours)
    ours.get_by_role("button", name="Download all").click()
    for _ in range(2):
        bar = section(ours, "This workflow").get_by_role("progressbar", name="soft.safetensors")
        expect(bar).to_have_attribute("aria-valuenow", "50")
        expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text("1 kB of 2 kB")
        expect(ours.get_by_role("status")).to_have_text("1 model is being downloaded")
        load(ours)
        opened(ours)
    held.set()
    expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text("here")


def test_a_download_that_another_workflow_began_is_shown_too_and_can_be_cancelled(library, ours, held):
    library({"vae/soft.safetensors": b"x" * 2000})
    opened(ours, workflow())
    ours.get_by_role("option").get_by_role("button").click()
    expect(section(ours, "Downloads").get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    section(ours, "Downloads").get_by_role("button", name="Cancel soft.safetensors").click()
    expect(ours.get_by_role("progressbar")).to_have_count(0)
    section(ours, "Downloads").get_by_role("button", name="Clear").click()
    expect(ours.locator(".cs-models").get_by_text("Downloads", exact=True)).to_be_hidden()


def test_a_click_that_began_before_a_change_is_not_lost(library, ours, held):
    library({"vae/soft.safetensors": b"x" * 2000})
    opened(ours)
    ours.get_by_role("button", name="Download all").click()
    cancel = section(ours, "This workflow").get_by_role("button", name="Cancel soft.safetensors")
    cancel.hover()
    ours.mouse.down()
    ours.evaluate("library.look()")
    ours.evaluate("library.look()")
    ours.mouse.up()
    expect(section(ours, "This workflow").get_by_role("progressbar")).to_have_count(0)


def test_a_download_that_fails_says_why_and_can_be_tried_again(library, ours, monkeypatch):
    library()
    failing = StorageError("Could not fetch 'soft.safetensors': the disk is full. Free some room.")

    def fail(*_given):
        raise failing

    with monkeypatch.context() as patched:
        patched.setattr(fetches_module.Fetches, "_fetch", fail)
        opened(ours)
        ours.get_by_role("button", name="Download soft.safetensors").first.click()
        expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text(str(failing))
    ours.get_by_role("button", name="Download soft.safetensors").first.click()
    expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text("here")
    expect(ours.locator(".cs-error")).to_have_count(0)


def test_a_download_under_another_name_and_type_can_be_tried_again_without_its_workflow(
    library, ours, monkeypatch
):
    import folder_paths

    soft = library().find("vae", "soft.safetensors")

    def fail(*_given):
        raise StorageError("Could not fetch 'mine.safetensors': the disk is full. Free some room.")

    with monkeypatch.context() as patched:
        patched.setattr(fetches_module.Fetches, "_fetch", fail)
        service.fetches().start(soft, "mine.safetensors", folder_type="checkpoints")
        arrived()
        opened(ours)
        expect(row(ours, "Downloads", "mine.safetensors")).to_contain_text("the disk is full")
    row(ours, "Downloads", "mine.safetensors").get_by_role("button").click()
    expect(row(ours, "Downloads", "mine.safetensors")).to_have_count(0)
    assert (Path(folder_paths.models_dir) / "checkpoints/mine.safetensors").read_bytes() == b"vae"


def test_a_download_that_begins_and_ends_between_two_questions_is_noticed(library, ours):
    soft = library().find("vae", "soft.safetensors")
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(4)
    service.fetches().start(soft)
    arrived()
    ours.evaluate("library.look()")
    expect(row(ours, "This workflow", "soft.safetensors")).to_contain_text("here")


def test_what_a_node_downloads_is_shown_and_can_be_cancelled_but_not_begun(
    library, ours, cloud, tmp_path, monkeypatch
):
    library({"elsewhere/own.safetensors": b"own", "vae/soft.safetensors": b"vae"})

    def download(storage, info, part, digest, meter):
        meter.wait(60)

    monkeypatch.setattr(fetches_module.model_file.resumable_download, "download", download)
    wanted = Wanted("models/elsewhere/own.safetensors", tmp_path / "models" / "loras" / "own.safetensors")
    given = (cloud, wanted, "loras", "own.safetensors", Meter(), print)

    def node():
        with contextlib.suppress(TransferCancelled):
            service.download(*given)

    running = threading.Thread(target=node)
    running.start()
    opened(ours, workflow())
    expect(ours.get_by_role("option")).to_have_count(1)  # from now on nothing moves
    row(ours, "Downloads", "own.safetensors").get_by_role("button", name="Cancel").click()
    running.join(60)
    expect(row(ours, "Downloads", "own.safetensors").get_by_role("button")).to_have_count(0)


def test_what_the_server_refuses_is_said_where_it_was_asked(library, ours, cloud):
    library()
    opened(ours)
    expect(section(ours, "This workflow").locator("li")).to_have_count(4)
    cloud.delete("models/vae/soft.safetensors")
    listed()
    ours.get_by_role("button", name="Download soft.safetensors").first.click()
    expect(ours.locator(".cs-models-list .cs-error")).to_contain_text("the list of models does not have it")


# ------------------------------------------------------------ the whole catalogue


def test_everything_in_the_bucket_is_listed_with_what_is_known_of_it(library, ours, cloud):
    library()
    opened(ours, workflow())
    expect(section(ours, "In the bucket")).to_contain_text("4 models")
    assert rows(ours, "In the bucket") == [
        ["base.safetensors", "checkpoints · 10 B"],
        ["paper.safetensors", "loras · 5 B"],
        ["style/ink.safetensors", "loras · 3 B"],
        ["soft.safetensors", "vae · 3 B"],
    ]
    ours.get_by_role("option").nth(2).get_by_role("button").click()
    expect(ours.get_by_role("option").nth(2)).to_contain_text("here · used")
    expect(ours.locator(".cs-models-footer")).to_contain_text("Downloaded models: 3 B.")
    cloud.delete("models/loras/style/ink.safetensors")
    ours.get_by_role("button", name="List the bucket again").click()
    expect(ours.get_by_role("option").nth(2)).to_contain_text("no longer in the bucket")


def test_a_search_finds_names_and_types_as_it_is_typed(library, ours):
    library()
    opened(ours)
    search = ours.get_by_role("searchbox", name="Search models")
    search.press_sequentially("INK lora")
    expect(section(ours, "In the bucket")).to_contain_text("1 of 4 models")
    assert [found[0] for found in rows(ours, "In the bucket")] == ["style/ink.safetensors"]
    assert [found[0] for found in rows(ours, "This workflow")] == ["style/ink.safetensors"]
    search.fill("nothing has this name")
    expect(ours.get_by_role("option")).to_have_count(0)
    search.fill("")
    expect(ours.get_by_role("option")).to_have_count(4)


def test_of_ten_thousand_models_only_what_is_seen_is_drawn(library, ours, monkeypatch):
    library({})
    catalogue = service.catalogue()
    made = models_of(10_000)
    monkeypatch.setattr(catalogue, "models", lambda: made)
    opened(ours, workflow())
    expect(section(ours, "In the bucket")).to_contain_text("10,000 models")
    assert ours.get_by_role("option").count() < 60
    body = ours.locator(".cs-models-body")
    body.evaluate("each => (each.scrollTop = each.scrollHeight / 2)")
    expect(ours.get_by_role("option", name="05000.safetensors")).to_be_visible()
    assert ours.get_by_role("option").count() < 60
    ours.get_by_role("searchbox").fill("09999")
    expect(ours.get_by_role("option")).to_have_count(1)
    ours.get_by_role("searchbox").fill("")
    ours.get_by_role("listbox").press("End")
    expect(ours.get_by_role("option", name="09999.safetensors")).to_be_in_viewport()
    assert ours.get_by_role("option", name="09999.safetensors").get_attribute("aria-posinset") == "10000"


def models_of(count):
    names = (f"{number:05}.safetensors" for number in range(count))
    return tuple(
        Model("loras", name, f"models/loras/{name}", 1000, "e", None, None, "(env vars)") for name in names
    )


def test_a_catalogue_that_changes_while_it_is_read_is_read_again(library, ours, cloud, monkeypatch):
    library()
    monkeypatch.setattr(models, "PAGE_MODELS", 2)
    answered = models.catalogue
    calls = []

    def changing(said):
        calls.append(said)
        if len(calls) == 2:
            cloud.put("models/loras/new.safetensors", b"new", PutOptions(), Meter())
            listed()
        return answered(said)

    monkeypatch.setitem(routes._MODELS, "models/catalogue", changing)
    from server import PromptServer

    PromptServer.instance.routes._items.clear()
    routes.register("comfyui-cloud-storage")
    with served(PromptServer.instance.routes, {"/web": ROOT / "web", "/page": ROOT / "tests/browser"}) as url:
        ours.goto(f"{url}/page/models.html")
        ours.wait_for_function("window.ready")
        opened(ours, workflow())
        expect(section(ours, "In the bucket")).to_contain_text("5 models")
        names = [found[0] for found in rows(ours, "In the bucket")]
        assert names.count("new.safetensors") == 1
        ours.goto("about:blank")


def test_it_is_used_by_keyboard(library, ours):
    library()
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(4)
    ours.locator("#before").focus()
    press = ours.keyboard.press
    press("Tab")
    expect(ours.get_by_role("searchbox")).to_be_focused()
    press("Tab")
    expect(ours.get_by_role("button", name="List the bucket again")).to_be_focused()
    press("Shift+Tab")
    press("ArrowDown")
    expect(ours.get_by_role("listbox", name="In the bucket")).to_be_focused()
    marked = ours.locator('[role="option"][aria-selected="true"]')
    expect(marked).to_contain_text("base.safetensors")
    press("End")
    expect(marked).to_contain_text("soft.safetensors")
    active = ours.get_by_role("listbox").get_attribute("aria-activedescendant")
    assert marked.get_attribute("id") == active
    press("ArrowUp")
    press("Enter")
    expect(marked).to_contain_text("here")
    expect(marked).to_contain_text("style/ink.safetensors")
    expect(ours.get_by_role("listbox")).to_be_focused()
    unnamed = "all => all.filter(each => !(each.ariaLabel || each.textContent.trim())).length"
    assert ours.locator(".cs-models button").evaluate_all(unnamed) == 0
    assert [key for key in ours.evaluate("window.heard") if key != "keydown Tab"] == []


# ------------------------------------------------------------ when there is nothing to list


def test_a_library_that_is_off_says_which_setting_to_set(library, ours, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "off")
    library()
    opened(ours)
    expect(ours.get_by_role("heading", name="The library is off")).to_be_visible()
    expect(ours.locator(".cs-models-empty")).to_contain_text("Set COMFY_S3_MODELS to offer")
    expect(ours.get_by_role("searchbox")).to_be_disabled()
    assert ours.get_by_role("option").count() == 0
    assert not section(ours, "This workflow").is_visible()


def test_an_empty_bucket_says_how_models_come_there(library, ours):
    library({})
    opened(ours, workflow())
    expect(ours.get_by_role("heading", name="No models in the bucket")).to_be_visible()
    expect(ours.locator(".cs-models-empty")).to_contain_text("Upload Model to Cloud")


def test_the_first_listing_is_awaited_and_then_shown(cloud, ours, monkeypatch):
    may_list = threading.Event()
    fill(cloud)
    listing = type(service.catalogue())._listing

    def slow(self, member):
        assert may_list.wait(60)
        return listing(self, member)

    monkeypatch.setattr(type(service.catalogue()), "_listing", slow)
    try:
        opened(ours, workflow())
        expect(ours.get_by_role("heading", name="Listing the bucket…")).to_be_visible()
        expect(ours.get_by_role("button", name="List the bucket again")).to_be_disabled()
    finally:
        may_list.set()
    expect(section(ours, "In the bucket")).to_contain_text("4 models")
    ours.wait_for_function("happened.includes('listed')")
    expect(ours.locator(".cs-models-footer")).to_contain_text("Listed ")


def test_a_bucket_that_does_not_answer_is_an_error_beside_what_was_known(library, ours, monkeypatch):
    library()
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    opened(ours, workflow())
    ours.get_by_role("button", name="List the bucket again").click()
    expect(ours.get_by_role("alert")).to_contain_text("secret key of the profile")
    expect(section(ours, "In the bucket")).to_contain_text("4 models")


def test_a_comfyui_that_does_not_answer_is_asked_again(library, ours):
    library()
    ours.route("**/api/cloud_storage/models/**", lambda route: route.abort())
    opened(ours, workflow())
    expect(ours.get_by_role("alert")).to_have_text("ComfyUI does not answer. Check that it is running.")
    ours.unroute("**/api/cloud_storage/models/**")
    ours.evaluate("library.look()")
    expect(section(ours, "In the bucket")).to_contain_text("4 models")
    expect(ours.get_by_role("alert")).to_be_hidden()


# ------------------------------------------------------------ how it looks


def test_chinese_is_spoken_where_the_locale_is_chinese(library, ours):
    library()
    opened(ours, WORKFLOW, "zh-CN")
    expect(section(ours, "当前工作流")).to_contain_text("本机 0 个，存储桶 3 个，缺少 1 个")
    expect(section(ours, "存储桶中的模型")).to_contain_text("4 个模型")
    expect(ours.get_by_role("button", name="全部下载")).to_be_visible()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_texts_are_readable_in_both_themes(library, ours, theme):
    library()
    ours.evaluate("theme => (document.body.className = theme)", theme)
    opened(ours)
    expect(section(ours, "This workflow").locator("li")).to_have_count(4)
    contrasts = ours.evaluate(
        """theme => {
            const light = (colour) => {
                const pen = document.createElement("canvas").getContext("2d")
                pen.fillStyle = colour
                pen.fillRect(0, 0, 1, 1)
                const parts = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => part / 255)
                const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
                const [red, green, blue] = parts.map(linear)
                return 0.2126 * red + 0.7152 * green + 0.0722 * blue
            }
            const around = theme === "light" ? "#f5f5f5" : "#171718"
            const backOf = (one) => {
                const own = one && getComputedStyle(one).backgroundColor
                return !one ? around : /^rgb\\(/.test(own) ? own : backOf(one.parentElement)
            }
            const shown = [...document.querySelectorAll(".cs-models *")].filter((one) =>
                [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
            return shown.map((one) => {
                const both = [backOf(one), getComputedStyle(one).color].map(light)
                const [less, more] = both.sort((a, b) => a - b)
                return [one.textContent, (more + 0.05) / (less + 0.05)]
            })
        }""",
        theme,
    )
    assert len(contrasts) > 10
    assert [text for text, contrast in contrasts if contrast < 4.5] == []


@pytest.mark.parametrize("width", [160, 220, 320])
def test_it_fits_a_narrow_sidebar(library, ours, width):
    library({f"loras/{'a very long name of a model ' * 4}.safetensors": b"x", "vae/soft.safetensors": b"y"})
    ours.evaluate("width => (document.querySelector('#sidebar').style.width = `${width}px`)", width)
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(2)
    edges = ours.locator(".cs-models *:not(.cs-unseen)").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right)"
    )
    assert max(edges) <= width
    assert ours.locator(".cs-models-body").evaluate("each => each.scrollWidth - each.clientWidth") <= 0


def test_what_a_name_or_a_server_says_is_text(library, ours):
    library()
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(4)
    for text in hostile_texts.TEXTS:
        # Drawn and read in one step: the library looks at the server now and then, and draws what that says.
        alert, name, made = ours.evaluate(
            """([text, selectors]) => {
                const model = { type: text, name: text, size: 1, profile: text }
                const named = { ...model, state: "in the bucket", matched_by: "hash", nodes: [text], model }
                const failed = { ...model, status: "failed", done: 0, total: 1, text, error: text }
                library.named = [named]
                library.catalogue = [{ ...model, here: false }]
                const running = { ...failed, status: "running" }
                library.fetches = new Map([[`${text}\\0${text}`, failed], ["x", running]])
                library.state = { ...library.state, error: text }
                tab.draw()
                return [
                    document.querySelector("[role=alert]").textContent,
                    document.querySelector("[role=option] span").textContent,
                    selectors.filter((selector) => document.querySelector(selector)),
                ]
            }""",
            [text, hostile_texts.MADE],
        )
        assert text in alert
        assert name == text
        assert made == []
    assert not ours.evaluate(hostile_texts.RAN)


# ------------------------------------------------------------ the sidebar around it


def test_it_makes_room_for_another_extension_that_gets_the_same_place(library, ours):
    library()
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(4)
    ours.evaluate("document.querySelector('#sidebar').append('another tab')")
    expect(ours.locator("#sidebar")).to_have_text("another tab")
    assert ours.evaluate("library.isWatched") is False
    ours.evaluate("tab.open(document.querySelector('#sidebar'))")
    expect(ours.get_by_role("option")).to_have_count(4)
    expect(ours.get_by_text("another tab")).to_have_count(0)


def test_a_closed_tab_asks_nothing_more(library, ours):
    library()
    opened(ours)
    expect(ours.get_by_role("option")).to_have_count(4)
    ours.evaluate("tab.close()")
    assert ours.locator("#sidebar").evaluate("each => [each.childNodes.length, each.className]") == [0, ""]
    assert (
        ours.evaluate("library.look().then(() => library.timer === undefined || library.isWatched)")
        is not None
    )
    assert ours.evaluate("library.isWatched") is False


# ------------------------------------------------------------ the lists of loaders

OLD = {"required": {"lora_name": [["b", "here"], {"tooltip": "x"}], "strength": ["FLOAT", {}]}}
NEW = {"required": {"lora_name": ["COMBO", {"options": ["b", "here"]}]}}


@pytest.mark.parametrize(
    "inputs", [OLD, NEW, {"optional": OLD["required"]}], ids=["list", "COMBO", "optional"]
)
def test_the_bucket_s_names_follow_the_local_ones(ours, inputs):
    found = ours.evaluate(
        """inputs => {
            const lists = new parts.LoaderLists()
            const definition = { name: "Loader", input: inputs }
            const declared = Object.values(inputs)[0].lora_name
            const list = Array.isArray(declared[0]) ? declared[0] : declared[1].options
            const given = (names) => ({ inputs: { Loader: { lora_name: ["loras", "more"] } }, names })
            const seen = []
            for (const names of [{ loras: ["a", "here"], more: ["z", "a"] }, { loras: ["z", "new"] }, {}]) {
                lists.take(given(names))
                lists.extend("Loader", definition)
                const isInBucket = (name) => lists.isInBucket("Loader", "lora_name", name)
                seen.push([[...list], ["b", "a", "new"].map(isInBucket)])
            }
            lists.extend("Unknown", definition)
            return seen
        }""",
        inputs,
    )
    assert found == [
        [["b", "here", "a", "z"], [False, True, False]],
        [["b", "here", "z", "new"], [False, False, True]],
        [["b", "here"], [False, False, False]],
    ]


def test_a_cloud_is_in_the_label_and_never_in_the_value(ours):
    found = ours.evaluate(
        """() => {
            const lists = new parts.LoaderLists()
            lists.take({ inputs: { Loader: { lora_name: ["loras"] } }, names: { loras: ["a"] } })
            lists.extend("Loader", { input: { required: { lora_name: [["b"]] } } })
            const own = (value) => `own ${value}`
            const widgets = [
                { name: "lora_name", value: "a", options: { values: ["b", "a"] } },
                { name: "lora_name", options: { getOptionLabel: own } },
                { name: "strength", options: {} },
            ]
            let isAllowed = true
            lists.label("Loader", widgets, () => isAllowed)
            const label = widgets[0].options.getOptionLabel
            isAllowed = false
            const isPlain = widgets[0].options.getOptionLabel === undefined
            const others = [widgets[1].options.getOptionLabel("a"), "getOptionLabel" in widgets[2].options]
            return [label("a"), label("b"), label(null), widgets[0].value, isPlain, ...others]
        }"""
    )
    assert found == ["\u2601\ufe0e a", "b", "", "a", True, "own a", False]
