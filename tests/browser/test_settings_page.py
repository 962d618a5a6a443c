"""Our part of ComfyUI's settings, commands, menu, keys, toasts and about page, in a browser without it."""

from __future__ import annotations

import json

import pytest
from cloud_storage.comfyui import folders
from cloud_storage.page import status
from conftest import ROOT
from page_requests import put
from playwright.sync_api import expect

# What a test sees of ComfyUI's page: our extension, the user's settings, and what was said.
START = """async ([locale, chosen]) => {
    const [{ settingsExtension }, { serverOf }, { texts }] = await Promise.all(
        ["settings_page", "api", "texts"].map((name) => import(`/web/${name}.js`)))
    window.said = []
    window.shown = []
    window.LiteGraph = { registered_node_types: { CloudStorageProfile: { nodeData: {
        input: { required: { profile: [["(env vars)", "team"], {}] } } } } } }
    const app = { extensionManager: {
        toast: { add: (message) => window.said.push(message) },
        setting: { get: (id) => id === "comfyui-cloud-storage.DefaultProfile" ? chosen : undefined },
    } }
    const say = texts(locale)
    const host = {
        app,
        say: () => say,
        locale: () => locale,
        server: () => serverOf((path) => `/api${path}`, say),
        sidebar: { show: (panel) => window.shown.push(panel) },
    }
    window.ours = settingsExtension(host)
    await window.ours.setup()
}"""
SETTING = """async (id) => {
    const one = window.ours.settings.find((each) => each.id === `comfyui-cloud-storage.${id}`)
    document.body.replaceChildren(one.type())
}"""
COMMAND = "id => window.ours.commands.find((each) => each.id === `comfyui-cloud-storage.${id}`).function()"


@pytest.fixture
def ours(page, address):
    page.goto(f"{address}/page/setup.html")
    page.wait_for_function("window.ready")
    yield page


def start(page, locale="en", chosen=""):
    page.evaluate(START, [locale, chosen])
    return page


def new_node(page, kind, value="(env vars)"):
    """The profile of a node as it is just after it was made."""
    return page.evaluate(
        """([kind, value]) => {
            const widgets = [{ name: "bucket", value: "" }, { name: "profile", value }]
            const node = { comfyClass: kind, widgets }
            window.ours.nodeCreated(node)
            return node.widgets[1].value
        }""",
        [kind, value],
    )


# ------------------------------------------------------------ the profile of new nodes


def test_a_new_profile_node_begins_with_the_users_profile(ours, cloud):
    start(ours, chosen="team")
    assert new_node(ours, "CloudStorageProfile") == "team"
    assert new_node(ours, "SaveImageToCloud") == "(env vars)", "another node has no such setting"


def test_without_a_choice_or_with_a_profile_that_is_gone_the_servers_default_stays(ours, cloud):
    start(ours)
    assert new_node(ours, "CloudStorageProfile", "team") == "team"
    start(ours, chosen="(server)")
    assert new_node(ours, "CloudStorageProfile", "team") == "team"
    start(ours, chosen="gone")
    assert new_node(ours, "CloudStorageProfile") == "(env vars)"


def test_the_profiles_of_the_server_can_be_chosen(ours, cloud):
    start(ours)
    default, options = ours.evaluate(
        """() => {
            const one = window.ours.settings.find(({ id }) => id.endsWith(".DefaultProfile"))
            return [one.defaultValue, one.options()]
        }"""
    )
    assert [one["value"] for one in options] == ["(server)", "(env vars)", "team"]
    assert options[0] == {"text": "The server's default", "value": default}
    assert default, "ComfyUI shows nothing for an empty value"


# ------------------------------------------------------------ the menu, keys and the about page


def test_each_entry_of_the_menu_and_each_key_is_a_command_with_a_text(ours, cloud):
    start(ours)
    commands = ours.evaluate("() => window.ours.commands.map(({ id, label, icon }) => [id, label, icon])")
    ids = [id for id, _, _ in commands]
    assert all(label and icon.startswith("pi pi-") for _, label, icon in commands)
    [entry] = ours.evaluate("() => window.ours.menuCommands")
    assert entry == {"path": ["Extensions", "Cloud"], "commands": ids}
    keys = ours.evaluate("() => window.ours.keybindings")
    assert {one["commandId"] for one in keys} <= set(ids)
    assert len({json.dumps(one["combo"], sort_keys=True) for one in keys}) == len(keys)


def test_the_about_page_has_the_version_of_the_package(ours, cloud):
    start(ours)
    [badge] = ours.evaluate("() => window.ours.aboutPageBadges")
    assert badge == {"label": f"Cloud Storage {status.status({})['version']}", "icon": "pi pi-cloud"}
    version = next(
        line for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("version")
    )
    assert badge["label"].rpartition(" ")[2] in version


def test_the_about_page_links_to_where_the_package_is_published(ours, cloud, monkeypatch):
    monkeypatch.setattr(status, "_package", lambda: {"version": "1.2.3", "address": "https://example.org/x"})
    start(ours)
    [badge] = ours.evaluate("() => window.ours.aboutPageBadges")
    assert (badge["label"], badge["url"]) == ("Cloud Storage 1.2.3", "https://example.org/x")


def test_without_an_answer_of_the_server_there_is_no_badge(ours, cloud):
    ours.route("**/cloud_storage/status*", lambda route: route.abort())
    start(ours)
    assert ours.evaluate("() => window.ours.aboutPageBadges") == []


# ------------------------------------------------------------ toasts


def test_the_test_of_the_connection_says_what_works(ours, cloud):
    start(ours)
    ours.evaluate(COMMAND, "test")
    [said] = ours.evaluate("said")
    assert (said["severity"], said["summary"]) == ("success", "Cloud")
    assert "✓ list" in said["detail"]
    assert said["life"] > 0


def test_a_test_that_fails_is_a_warning_or_an_error_with_its_reason(ours, cloud, monkeypatch):
    monkeypatch.setenv("COMFY_S3_SECRET_KEY", "wrong-secret-that-nobody-may-see")
    start(ours)
    ours.evaluate(COMMAND, "test")
    monkeypatch.delenv("COMFY_S3_BUCKET")
    ours.evaluate(COMMAND, "test")
    warned, failed = ours.evaluate("said")
    assert (warned["severity"], failed["severity"]) == ("warn", "error")
    assert "does NOT work" in warned["detail"]
    assert "wrong-secret" not in warned["detail"]
    assert "COMFY_S3_BUCKET" in failed["detail"]


def test_without_a_choice_the_test_is_of_the_servers_default(ours, cloud):
    start(ours, chosen="(server)")
    ours.evaluate(COMMAND, "test")
    [said] = ours.evaluate("said")
    assert "(server)" not in said["detail"]


def test_the_test_is_of_the_users_profile(ours, cloud):
    start(ours, chosen="tem")
    ours.evaluate(COMMAND, "test")
    [said] = ours.evaluate("said")
    assert said["severity"] == "error"
    assert "tem" in said["detail"]


def test_the_other_commands_open_the_sidebar_and_list_the_models_again(ours, cloud):
    start(ours)
    ours.evaluate(COMMAND, "open")
    ours.evaluate(COMMAND, "refresh")
    assert ours.evaluate("shown") == ["models"]
    [said] = ours.evaluate("said")
    assert said["severity"] in ("info", "error"), "whether there is a library or not"


# ------------------------------------------------------------ what the panel shows of the server


def test_the_panel_shows_the_profile_and_the_library(ours, cloud, monkeypatch):
    monkeypatch.setenv("COMFY_S3_MODELS", "offer")
    start(ours)
    ours.evaluate(SETTING, "Server")
    expect(ours.locator("body")).to_have_text("Profile: (env vars). Models: offer.")
    monkeypatch.setenv("COMFY_S3_MODELS", "perhaps")
    ours.evaluate(SETTING, "Server")
    expect(ours.locator("body")).to_contain_text("COMFY_S3_MODELS")


def test_the_panel_shows_what_is_mirrored_and_where_that_is_set(ours, cloud, monkeypatch):
    start(ours)
    ours.evaluate(SETTING, "Mirror")
    expect(ours.locator("body")).to_have_text("Off. Set mirror on the server to switch it on.")
    monkeypatch.setenv("COMFY_S3_MIRROR", "output,workflows")
    ours.evaluate(SETTING, "Mirror")
    expect(ours.locator("body")).to_have_text("On for (env vars): output, workflows.")
    monkeypatch.setenv("COMFY_S3_MIRROR", "everything")
    ours.evaluate(SETTING, "Mirror")
    expect(ours.locator("body")).to_contain_text("everything")
    help_text = ours.evaluate("() => window.ours.settings.find(({ id }) => id.endsWith('.Mirror')).tooltip")
    assert "profiles.json" in help_text
    assert "COMFY_S3_MIRROR" in help_text


def test_the_panel_shows_how_large_the_cache_is_and_clears_it(ours, cloud):
    copy = folders.temp_folder() / "object-0-0.png"
    copy.write_bytes(b"x" * 1_200_000)
    start(ours)
    ours.evaluate(SETTING, "Cache")
    expect(ours.locator("body")).to_contain_text("1.2 MB of at most 2.2 GB.")
    ours.get_by_role("button", name="Clear").click()
    expect(ours.locator("body")).to_contain_text("0 B of at most 2.2 GB.")
    assert not copy.exists()
    ours.route("**/cloud_storage/cache/clear*", lambda route: route.abort())
    ours.get_by_role("button", name="Clear").click()
    expect(ours.locator("body")).to_contain_text("ComfyUI does not answer")


def test_the_rows_of_the_panel_have_the_text_of_those_around_them(ours, cloud):
    start(ours)
    ours.evaluate("() => { document.body.style = 'font: 19px serif; color: rgb(1, 2, 3)' }")
    for name in ("Server", "Mirror", "Cache"):
        ours.evaluate(SETTING, name)
        shown = ours.locator(".cs-setting-state")
        ours.wait_for_function("document.styleSheets.length > 1")
        look = shown.evaluate("one => [getComputedStyle(one).font, getComputedStyle(one).color]")
        assert look == ["19px serif", "rgb(1, 2, 3)"], name


def test_the_panel_is_in_chinese(ours, cloud):
    put(cloud, "a.txt")
    start(ours, "zh")
    ours.evaluate(SETTING, "Mirror")
    expect(ours.locator("body")).to_contain_text("未启用")
    names = ours.evaluate("() => window.ours.settings.map(({ name }) => name)")
    assert all(any("一" <= letter <= "鿿" for letter in name) for name in names)
