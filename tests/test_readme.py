"""The README says what the code does: its tables are the code's, its commands exist, its policy suffices."""

from __future__ import annotations

import json
import re
import shlex
import sys
from datetime import datetime
from pathlib import Path

import cloud_storage
from cloud_storage import (
    connect,
    diagnosis,
    errors,
    host,
    media_video,
    naming,
    outbox,
    profile,
    providers,
    retries,
    saving,
    settings,
    storage,
    storing,
)
from cloud_storage.storage import Meter
from fault_operations import OPERATIONS
from fault_table import TABLE

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def section(title: str) -> str:
    """The text below a heading, up to the next heading of any level."""
    return re.split(r"^#+ ", README.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def table(title: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head; cells without their backticks."""
    rows = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows[2:]]


def blocks(text: str) -> list[str]:
    """Every fenced block, its first line being its language, or empty."""
    return re.findall(r"^ *```(.*?)^ *```", text, re.DOTALL | re.MULTILINE)


def json_blocks() -> list[object]:
    return [json.loads(block.removeprefix("json")) for block in blocks(README) if block.startswith("json")]


def test_the_nodes_are_listed_with_their_names():
    shown = {node_id: name for node_id, name, _what in table("Nodes")}
    assert shown == cloud_storage.NODE_DISPLAY_NAME_MAPPINGS
    assert set(shown) == set(cloud_storage.NODE_CLASS_MAPPINGS)


def test_the_settings_are_listed_with_their_variables():
    listed = [(variable, name) for variable, name, _meaning in table("Settings")]
    assert listed == [(row.variable, row.name) for row in settings.SETTINGS.values()]


def test_the_values_that_a_setting_may_have_are_listed():
    meanings = {name: meaning for _variable, name, meaning in table("Settings")}
    assert meanings["upload"].split(": ")[1].split(", ") == list(settings.Upload.__dataclass_fields__)
    assert all(mode in meanings["auth"] for mode in settings.AUTH_MODES)
    assert f"{providers.names()[0]} where nothing is said" in meanings["provider"]


def test_the_providers_are_listed():
    rows = providers.PROVIDERS.values()
    assert [name for name, *_ in table("Providers")] == [row.name for row in rows]
    for (_name, endpoint, region, needs), row in zip(table("Providers"), rows, strict=True):
        assert endpoint == (row.endpoint or ("" if row.requires else "the SDK's own for the region"))
        assert (region, needs.split()) == (row.region, list(row.requires))


def test_the_choices_are_listed():
    assert tuple(choice for choice, _what in table("if_exists")) == storing.IF_EXISTS
    assert tuple(choice for choice, _what in table("link")) == saving.LINKS
    assert tuple(choice for choice, _what in table("When a save fails")) == saving.ON_FAILURE


def test_the_table_of_faults_is_the_one_that_is_tested():
    faults = {
        fault: [row.outcome(name, operation.request) for name, operation in OPERATIONS.items()]
        for fault, row in TABLE.items()
    }
    title = "What holds when something breaks"
    assert {fault: outcomes for fault, *outcomes in table(title)} == faults
    assert f"| {' | '.join(OPERATIONS)} |" in section(title)


def test_the_figures_of_the_outbox_are_the_codes():
    words = section("When a save fails")
    assert f"takes {outbox.MAX_BYTES >> 30} GiB" in words
    assert outbox.WARN_BYTES == outbox.MAX_BYTES * 4 // 5
    assert f"`{host.OUTBOX_FOLDER}`" in words
    assert (retries.ATTEMPTS, retries.THROTTLED_ATTEMPTS) == (4, 8)
    assert (storage.READ_SECONDS, storage.CONNECT_SECONDS) <= (30, 30)


def test_the_kinds_of_video_are_listed():
    rows = {
        name: (codecs.split(", ") if codecs else [], sound)
        for name, codecs, sound, *_ in table("Video and sound")
    }
    assert list(rows) == list(media_video.CONTAINERS)
    sounds = {"aac": "AAC", "libopus": "Opus", "flac": "FLAC"}
    for name, row in media_video.CONTAINERS.items():
        assert rows[name] == (list(row.codecs), sounds[row.sound.encoder] if row.sound else "none")


def test_every_token_is_replaced():
    prompt = {"1": {"class_type": "Node", "inputs": {"widget": "its value", "seed": 7}}}
    context = naming.NameContext(datetime(2026, 11, 21), 0, 1, 512, 512, prompt, None, "1")
    for tokens, _becomes in table("Names"):
        for token in tokens.split():
            assert "%" not in naming.Template("", f"a{token}", "png").name(context).fixed(), token


def test_the_example_of_profiles_json_is_read(tmp_path):
    file = tmp_path / settings.FILE_NAME
    file.write_text(json.dumps(json_blocks()[0]))
    environ = {"R2_ACCESS_KEY": "key", "R2_SECRET_KEY": "secret"}
    assert settings.profile_names(file) == [settings.ENVIRONMENT, "renders"]
    assert connect.connect(profile.resolve("renders", {}, file, environ), environ).path_prefix == "comfyui/"


def test_the_policy_is_all_that_the_nodes_need(servers):
    server = servers("ministack")
    bucket = server.create_bucket()
    policy = json.loads(json.dumps(json_blocks()[1]).replace("my-bucket", bucket))
    keys = server.create_user(policy)
    environ = {
        "COMFY_S3_PROVIDER": "Custom",
        "COMFY_S3_ENDPOINT_URL": server.endpoint_url,
        "COMFY_S3_ACCESS_KEY": keys.access_key,
        "COMFY_S3_SECRET_KEY": keys.secret_key,
        "COMFY_S3_BUCKET": bucket,
        "COMFY_S3_REGION": server.region,
        "COMFY_S3_PATH_PREFIX": "comfyui/",
    }
    allowed = profile.resolve("", {}, Path("none.json"), environ)
    opened = connect.connect(allowed, environ)
    assert not [each for each in diagnosis._findings(allowed, opened, Meter()) if not each.works]
    environ["COMFY_S3_PATH_PREFIX"] = "elsewhere/"
    elsewhere = profile.resolve("", {}, Path("none.json"), environ)
    findings = diagnosis._findings(elsewhere, connect.connect(elsewhere, environ), Meter())
    assert [each.what for each in findings if each.works] == ["share"]  # signing asks no server


def test_every_error_code_among_the_symptoms_is_one_that_the_code_knows():
    rows = section("When something does not work")
    words = re.findall(r"^\|[^|]*\(([^)|]*)\)", rows, re.MULTILINE)
    codes = {code for group in words for code in re.findall("`([^`]*)`", group)}
    assert len(codes) > 8
    assert codes <= set(errors.CODES)


def test_every_command_exists(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.delitem(sys.modules, "tryout", raising=False)
    import tryout

    found = []
    for name in DOCUMENTS:
        for block in blocks((ROOT / name).read_text(encoding="utf-8")):
            found += re.findall(r"^ *(?:python3 )?((?:tools/\w+\.py|\.ci/run).*)$", block, re.MULTILINE)
    for command in found:
        program, *words = shlex.split(command, comments=True)
        assert (ROOT / program).is_file(), command
        if program == "tools/tryout.py":
            tryout.arguments(words)  # exits where it does not know a word
    assert found[:2] == ["tools/tryout.py", "tools/test.py"]


def test_every_link_within_the_documents_leads_somewhere():
    for name in DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        titles = re.findall("^#+ (.*)", text, re.MULTILINE)
        headings = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in headings, (name, target)
            elif not target.startswith("https://"):
                assert (ROOT / target).exists(), (name, target)


def test_every_module_that_the_documents_name_exists():
    for name in DOCUMENTS:
        for module in re.findall(r"`([\w/.]+\.py)`", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / module).is_file(), (name, module)


def test_the_requirements_are_the_same_for_pip_and_for_the_registry():
    asked = re.findall(r"^[a-z][^\s#]*", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    declared = re.search(r"^dependencies = (\[.*?\])", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert json.loads(declared[1]) == asked


def test_what_is_kept_out_of_the_registry_is_there_and_is_no_module():
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    kept_out = [line for line in lines if not line.startswith("#")]
    assert "/tests/" in kept_out
    for line in kept_out:
        assert (ROOT / line.strip("/")).exists(), line
        assert not line.endswith(".py"), line
