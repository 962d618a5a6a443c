"""The dialog that sets up a bucket, in a real browser, with a real bucket behind the real routes."""

from __future__ import annotations

import json
import re

import pytest
from cloud_storage import providers
from cloud_storage.comfyui import folders
from conftest import own_prefix
from playwright.sync_api import expect


@pytest.fixture
def ours(page, address):
    """The page, with every body that the server sent it in ``answers``."""
    page.answers = []
    page.on("response", lambda got: "/cloud_storage/" in got.url and page.answers.append(got.text()))
    page.goto(f"{address}/page/setup.html")
    page.wait_for_function("window.ready")
    yield page


def opened(page, locale="en"):
    page.evaluate("locale => open_setup(locale)", locale)
    expect(page.locator("dialog.cs-setup")).to_be_visible()
    return page


def fill(page, place, prefix="", **changes):
    """Answer all questions as the user of a bucket does."""
    environ = place.environ
    answers = {
        "Address of the server": environ["COMFY_S3_ENDPOINT_URL"],
        "Bucket": environ["COMFY_S3_BUCKET"],
        "Folder in the bucket": prefix,
        "Access key": environ["COMFY_S3_ACCESS_KEY"],
        "Its secret": environ["COMFY_S3_SECRET_KEY"],
        **changes,
    }
    page.get_by_label("Provider").select_option("Custom")
    for label, text in answers.items():
        page.get_by_label(label, exact=True).fill(text)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def report(page):
    return page.locator(".cs-report li")


def profiles():
    return json.loads(folders.profiles_file().read_text(encoding="utf-8"))["profiles"]


def saved(page):
    page.wait_for_function("window.saved !== undefined")
    assert page.locator("dialog").count() == 0
    return page.evaluate("window.saved")


def test_a_bucket_is_tested_and_saved(ours, fast_place):
    opened(ours)
    prefix = own_prefix()
    fill(ours, fast_place, prefix)
    button(ours, "Test").click()
    expect(report(ours).last).to_have_text("It works. Press Save to keep it.")
    assert [text.split()[1] for text in report(ours).all_inner_texts()[:-1]] == [
        *("list", "write", "read", "create", "delete", "share")
    ]
    assert not folders.profiles_file().exists()
    button(ours, "Save").click()
    assert saved(ours) == "mine"
    assert profiles()["mine"]["path_prefix"] == prefix
    assert profiles()["mine"]["secret_key"] == fast_place.secret


def test_save_tests_first_and_asks_before_it_saves_what_does_not_work(ours, fast_place):
    opened(ours)
    fill(ours, fast_place, **{"Its secret": "a-wrong-secret-of-somebody"})
    button(ours, "Save").click()
    expect(report(ours).last).to_contain_text("cannot be used like this yet")
    assert ours.locator(".cs-report .cs-line-error").count() > 0
    assert not folders.profiles_file().exists()
    expect(button(ours, "Save anyway")).to_be_visible()
    ours.get_by_label("Its secret").fill(fast_place.secret)
    expect(button(ours, "Save")).to_be_visible()
    expect(report(ours)).to_have_count(0)
    button(ours, "Save").click()
    assert saved(ours) == "mine"
    assert profiles()["mine"]["secret_key"] == fast_place.secret


def test_what_does_not_work_is_saved_if_the_user_insists(ours, fast_place):
    opened(ours)
    fill(ours, fast_place, **{"Its secret": "a-wrong-secret-of-somebody"})
    button(ours, "Save").click()
    button(ours, "Save anyway").click()
    assert saved(ours) == "mine"
    assert profiles()["mine"]["secret_key"] == "a-wrong-secret-of-somebody"


def test_an_answer_that_cannot_be_right_is_marked_and_nothing_is_sent(ours, fast_place):
    opened(ours)
    fill(ours, fast_place, Bucket="s3://not/a/name", **{"Its secret": ""})
    button(ours, "Test").click()
    bucket = ours.get_by_label("Bucket", exact=True)
    expect(bucket).to_have_attribute("aria-invalid", "")
    expect(bucket).to_be_focused()
    expect(ours.locator(".cs-question", has=bucket)).to_contain_text("no s3://")
    expect(ours.locator(".cs-question", has=ours.get_by_label("Its secret"))).to_contain_text("needed")
    expect(report(ours)).to_have_count(0)
    bucket.fill("right")
    expect(bucket).not_to_have_attribute("aria-invalid", "")


def test_a_profile_is_replaced_only_after_a_second_press(ours, fast_place):
    file = folders.profiles_file()
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"profiles": {"mine": {"bucket": "old"}, "other": {"bucket": "b"}}}))
    opened(ours)
    fill(ours, fast_place)
    assert ours.get_by_label("Name of the profile").input_value() == ""
    ours.get_by_label("Name of the profile").fill("mine")
    button(ours, "Save").click()
    expect(button(ours, "Replace mine")).to_be_focused()
    assert profiles()["mine"] == {"bucket": "old"}
    ours.get_by_label("Name of the profile").fill("other")
    expect(button(ours, "Save")).to_be_visible()
    button(ours, "Save").click()
    button(ours, "Replace other").click()
    assert saved(ours) == "other"
    assert profiles()["mine"] == {"bucket": "old"}
    assert profiles()["other"]["bucket"] == fast_place.bucket


def test_each_provider_has_its_own_questions_in_its_console_s_words(ours):
    opened(ours)
    assert ours.get_by_label("Provider").locator("option").all_inner_texts() == providers.names()
    ours.get_by_label("Provider").select_option("Cloudflare R2")
    ours.get_by_label("Bucket", exact=True).fill("my-bucket")
    expect(ours.locator(".cs-questions")).to_contain_text("Account · Account ID")
    ours.get_by_label("Provider").select_option("Backblaze B2")
    expect(ours.locator(".cs-questions")).to_contain_text("Access key · keyID")
    expect(ours.get_by_label("Region")).to_have_value("us-west-004")
    expect(ours.get_by_label("Bucket", exact=True)).to_have_value("my-bucket")
    expect(ours.get_by_label("Account")).to_have_count(0)


def test_keys_are_hidden_and_nothing_of_them_is_kept_or_sent_back(ours, fast_place):
    opened(ours)
    fill(ours, fast_place)
    for label in ("Access key", "Its secret"):
        field = ours.get_by_label(label)
        expect(field).to_have_attribute("type", "password")
        expect(field).to_have_attribute("autocomplete", "off")
    assert ours.locator("dialog form").count() == 0, "the browser would offer to keep a password"
    button(ours, "Test").click()
    expect(report(ours).last).to_contain_text("It works")
    button(ours, "Save").click()
    saved(ours)
    kept = ours.evaluate(
        """async () => JSON.stringify([
            { ...localStorage }, { ...sessionStorage }, document.cookie, location.href,
            (await indexedDB.databases()).length, (await caches?.keys?.().catch(() => [])) ?? [],
        ])"""
    )
    opened(ours)
    everything = kept + "".join(ours.answers) + ours.content()
    assert len(ours.answers) >= 4
    for secret in (fast_place.secret, fast_place.environ["COMFY_S3_ACCESS_KEY"]):
        assert secret not in everything
    assert ours.get_by_label("Its secret").input_value() == ""


def test_it_works_by_keyboard_and_the_page_hears_nothing_of_it(ours, fast_place):
    ours.locator("#before").focus()
    opened(ours)
    expect(ours.get_by_label("Provider")).to_be_focused()
    ours.keyboard.type("Cus")
    expect(ours.get_by_label("Provider")).to_have_value("Custom")
    answers = [fast_place.environ[f"COMFY_S3_{name}"] for name in ("ENDPOINT_URL", "REGION", "BUCKET")]
    keys = [fast_place.environ["COMFY_S3_ACCESS_KEY"], fast_place.secret]
    for text in (*answers, own_prefix(), *keys):
        ours.keyboard.press("Tab")
        ours.keyboard.press("Control+a")
        ours.keyboard.type(text)
    ours.keyboard.press("Enter")
    expect(report(ours).last).to_contain_text("It works")
    for _ in range(4):  # the name, Cancel, Test, Save
        ours.keyboard.press("Tab")
    expect(button(ours, "Save")).to_be_focused()
    ours.keyboard.press("Enter")
    assert saved(ours) == "mine"
    assert ours.evaluate("window.heard") == []
    expect(ours.locator("#before")).to_be_focused()


def test_escape_and_cancel_save_nothing_but_a_click_beside_it_loses_nothing(ours, fast_place):
    opened(ours)
    fill(ours, fast_place)
    ours.mouse.click(5, 5)
    expect(ours.get_by_label("Bucket", exact=True)).to_have_value(fast_place.bucket)
    ours.keyboard.press("Escape")
    assert saved(ours) is None
    opened(ours)
    button(ours, "Cancel").click()
    assert saved(ours) is None
    assert not folders.profiles_file().exists()


def test_where_the_server_takes_no_settings_it_says_what_to_write_and_asks_for_no_secret(ours, monkeypatch):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "listen", "0.0.0.0")
    opened(ours)
    expect(ours.locator(".cs-setup-why")).to_contain_text("Other machines can reach this ComfyUI")
    ours.get_by_label("Provider").select_option("Cloudflare R2")
    ours.get_by_label("Account").fill("abc123")
    ours.get_by_label("Bucket", exact=True).fill("my-bucket")
    assert ours.locator("input[type=password]").count() == 0
    file, lines = ours.locator(".cs-setup-text pre").all_inner_texts()
    settings = {"provider": "Cloudflare R2", "account_id": "abc123", "bucket": "my-bucket"}
    assert json.loads(file) == {"profiles": {"mine": {**settings, "access_key": "…", "secret_key": "…"}}}
    assert "COMFY_S3_ACCOUNT_ID=abc123" in lines.splitlines()
    assert "COMFY_S3_SECRET_KEY=…" in lines.splitlines()
    assert button(ours, "Save").count() == 0
    button(ours, "Copy").first.click()
    expect(button(ours, "Copied")).to_be_visible()


def test_it_speaks_chinese(ours, fast_place):
    opened(ours, "zh")
    expect(ours.get_by_role("heading", name="设置存储桶")).to_be_visible()
    ours.get_by_label("服务商").select_option("Custom")
    ours.get_by_label("存储桶", exact=True).fill("s3://x")
    button(ours, "测试").click()
    expect(ours.get_by_label("存储桶", exact=True)).to_have_attribute("aria-invalid", "")
    wrong = ours.locator(".cs-question .cs-error").all_inner_texts()
    assert [text for text in wrong if text]
    assert all(re.search("[一-鿿]", text) for text in wrong if text), wrong
    shown = ours.locator("dialog").inner_text()
    assert not re.search("[A-Z][a-z]+ [a-z]+ [a-z]+", shown), shown


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_is_readable_in_both_themes_and_in_a_small_window(ours, theme):
    ours.evaluate("theme => (document.body.className = theme)", theme)
    ours.set_viewport_size({"width": 420, "height": 420})
    opened(ours)
    box = ours.locator("dialog").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 420
    assert box["y"] + box["height"] <= 420
    button(ours, "Save").click(trial=True)
    for part in (".cs-setup-intro", ".cs-question label"):
        colours = ours.locator(part).first.evaluate(
            """shown => [
                getComputedStyle(shown).color,
                getComputedStyle(shown.closest("dialog")).backgroundColor,
            ]"""
        )
        text, back = ([int(value) for value in re.findall(r"\d+", one)[:3]] for one in colours)
        assert abs(sum(text) - sum(back)) > 200, (part, colours)
