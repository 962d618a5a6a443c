"""The documents say what the code does: tables are the code's; commands, files and tests exist."""

from __future__ import annotations

import json
import re
import shlex
import sys
from datetime import datetime

import cloud_storage
import pytest
from cloud_storage import node_inputs, profile, providers
from cloud_storage.comfyui import folders
from cloud_storage.config import settings
from cloud_storage.media import formats
from cloud_storage.saving import choices, names, outbox
from cloud_storage.storage import base, connect, connection_test, error_codes, retries
from cloud_storage.system.meter import Meter
from conftest import ROOT
from documents import DOCUMENTS, blocks, codes, json_blocks, section, sections, table, tables, text_of
from fault_operations import OPERATIONS
from fault_table import TABLE


def test_the_nodes_are_listed_with_their_names():
    shown = {node_id: name for node_id, name, _what in table("Nodes")}
    assert shown == cloud_storage.NODE_DISPLAY_NAME_MAPPINGS
    assert set(shown) == set(cloud_storage.NODE_CLASS_MAPPINGS)


def test_the_settings_are_listed_with_their_variables():
    listed = [(variable, name) for variable, name, _meaning in table("Settings")]
    rows = [(row.variable, row.name) for row in settings.SETTINGS.values()]
    assert listed == rows, "docs/settings.md and .zh.md list the rows of SETTINGS in their order"


def test_the_values_that_a_setting_may_have_are_listed():
    meanings = {name: meaning for _variable, name, meaning in table("Settings")}
    listed = meanings["upload"].split(": ")[1].split(", ")
    fields = list(settings.UploadSettings.__dataclass_fields__)
    assert listed == fields, (
        "row `upload` of docs/settings.md and .zh.md lists the fields of UploadSettings in order"
    )
    assert all(mode in meanings["auth"] for mode in settings.AUTH_MODES)
    assert f"the default is {providers.names()[0]}" in meanings["provider"]


def test_the_providers_are_listed():
    rows = providers.PROVIDERS.values()
    assert [name for name, *_ in table("Providers")] == [row.name for row in rows]
    for (_name, endpoint, region, needs), row in zip(table("Providers"), rows, strict=True):
        assert endpoint == (row.endpoint or ("" if row.requires else "the SDK's own for the region"))
        assert (region, needs.split()) == (row.region, list(row.requires))


def test_the_choices_are_listed():
    assert tuple(choice for choice, _what in table("if_exists")) == choices.IF_EXISTS
    assert tuple(choice for choice, _what in table("link")) == choices.LINKS
    assert tuple(choice for choice, _what in table("When a save fails")) == choices.ON_FAILURE


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
    assert f"`{folders.OUTBOX_FOLDER}`" in words


@pytest.mark.parametrize(
    "sentence",
    [
        f"is tried {retries.REQUEST.attempts} times in all",
        f"pauses between the attempts grow to {retries.REQUEST.longest:g} seconds",
        f"{retries.THROTTLED.attempts} times if the server asks to slow down",
        f"is tried {retries.PART.attempts} times, with pauses of up to {retries.PART.longest:g} seconds",
        f"after {retries.BODY.attempts} answers in a row without a new byte",
        f"ends after {base.READ_SECONDS} seconds without a byte",
        f"or {base.CONNECT_SECONDS} seconds without a connection",
    ],
)
def test_the_numbers_of_retries_are_the_codes(sentence):
    assert sentence in " ".join(section("When a save fails").split())


def test_the_kinds_of_video_are_listed():
    rows = {
        name: (codecs.split(", ") if codecs else [], sound)
        for name, codecs, sound, *_ in table("Save a video")
    }
    assert list(rows) == list(formats.CONTAINERS)
    sounds = {"aac": "AAC", "libopus": "Opus", "flac": "FLAC"}
    for name, row in formats.CONTAINERS.items():
        assert rows[name] == (list(row.codecs), sounds[row.audio.encoder] if row.audio else "none")


def test_every_token_is_replaced():
    prompt = {"1": {"class_type": "Node", "inputs": {"widget": "its value", "seed": 7}}}
    context = names.NameContext(datetime(2026, 11, 21), 0, 1, 512, 512, prompt, None, "1")
    for tokens, _becomes in table("Names"):
        for token in tokens.split():
            assert "%" not in names.Template("", f"a{token}", "png").name(context).fixed(), token


@pytest.mark.parametrize("page", ["docs/names-and-links.md", "docs/names-and-links.zh.md"])
def test_every_token_is_listed(page):
    listed = set(re.findall("%(.*?)%", " ".join(codes(text_of(page)))))
    missing = {"counter", "uuid", *names._TOKENS} - listed
    assert not missing, f"add these tokens to the table of {page}"
    in_tooltip = set(re.findall(r"%(\w+)%", node_inputs.FILENAME[1]["tooltip"]))
    assert in_tooltip <= listed


def test_the_example_of_profiles_json_is_read(tmp_path):
    file = tmp_path / settings.FILE_NAME
    file.write_text(json.dumps(json_blocks(section("Settings"))[0]))
    environ = {"R2_ACCESS_KEY": "key", "R2_SECRET_KEY": "secret"}
    assert settings.profile_names(file) == [settings.ENVIRONMENT, "renders"]
    assert connect.connect(profile.resolve("renders", {}, file, environ), environ).path_prefix == "comfyui/"


def test_the_profile_of_the_start_is_enough_for_a_node_without_a_wire(tmp_path):
    file = tmp_path / settings.FILE_NAME
    (content,) = json_blocks(re.sub("^   ", "", section("Start here"), flags=re.MULTILINE))
    file.write_text(json.dumps(content).replace("\\u2026", "KEY"))
    found = profile.resolve("", {}, file, {})
    assert found.name == "mine"
    assert connect.connect(found, {}).path_prefix == "studio/"
    assert f'"default": "{found.name}"' in section("Start here")


def test_the_start_has_install_lines_for_every_kind_of_comfyui():
    lines = "\n".join(blocks(section("Start here")))
    pip = "python_embeded\\python.exe -m pip", "venv/bin/python -m pip", "uv pip"
    for program in (*pip, "comfy node install"):
        assert program in lines, program
    asked = re.findall(r"-r (\S+)", lines)
    assert len(asked) == 4
    for path in asked:
        assert re.split(r"[\\/]", path)[-2:] == ["comfyui-cloud-storage", "requirements.txt"]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readme_is_short_and_has_a_profile_before_any_variable(name):
    """What leads to the first object; all else has pages of its own."""
    text = text_of(name)
    assert len(text.encode()) < 16_000
    assert (
        re.search("profiles\\.json", text).start() < re.search("COMFY_S3_|variables|环境变量", text).start()
    )
    rows = max(len(each) for each in tables(text))
    assert rows <= len(cloud_storage.NODE_CLASS_MAPPINGS), "troubles, settings and providers are elsewhere"


@pytest.mark.parametrize(
    "words",
    [
        "its second sentence",  # of a message: not every one has two
        "the addresses are on the node, to open",  # that of a private bucket opens by a click only
        "below every key and prefix",  # there is no button below path_prefix
        "write the same into a file",  # variables win over it, and the next step failed
    ],
)
def test_no_document_says_what_is_not_so(words):
    assert not [name for name in DOCUMENTS if words in " ".join(text_of(name).split())]


def test_the_buttons_of_the_picker_are_where_the_readme_says():
    (picked,) = re.findall(r"^const PICKED = {(.*)}", text_of("web/node_buttons.js"), re.MULTILINE)
    words = " ".join(text_of("README.md").split())
    (named,) = re.findall(r"\*\*Browse the bucket\*\*, below each (.*?), shows", words)
    assert sorted(re.findall("`(.*?)`", named)) == sorted(re.findall(r"(\w+):", picked))


def test_every_error_code_among_the_symptoms_is_one_that_the_code_knows():
    rows = section("When something does not work")
    words = re.findall(r"^\|[^|]*\(([^)|]*)\)", rows, re.MULTILINE)
    codes = {code for group in words for code in re.findall("`([^`]*)`", group)}
    assert len(codes) > 8
    assert codes <= set(error_codes.CODES)


def test_every_command_exists(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.delitem(sys.modules, "tryout", raising=False)
    import tryout

    found = []
    for name in DOCUMENTS:
        for block in blocks(text_of(name)):
            found += re.findall(r"^ *(?:python3 )?((?:tools/\w+\.py|\.ci/run).*)$", block, re.MULTILINE)
    for command in found:
        program, *words = shlex.split(command, comments=True)
        assert (ROOT / program).is_file(), command
        if program == "tools/tryout.py":
            tryout.arguments(words)  # exits where it does not know a word
    assert found[:2] == ["tools/tryout.py", "tools/test.py"]


def anchors(name):
    """What a link may name in a document: its headings, as GitHub writes them."""
    titles = [each.title.lower() for each in sections(text_of(name))]
    return {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}


def test_every_link_within_the_documents_leads_somewhere():
    for name in DOCUMENTS:
        for target in re.findall(r"\]\(([^)]+)\)", text_of(name)):
            if target.startswith("https://"):
                continue
            path, _, anchor = target.partition("#")
            file = (ROOT / name).parent / path if path else ROOT / name
            assert file.exists(), (name, target)
            if anchor:
                assert anchor in anchors(file.resolve().relative_to(ROOT)), (name, target)


def test_no_heading_stands_twice_in_a_document():
    for name in DOCUMENTS:
        if name != "CHANGELOG.md":
            assert len(anchors(name)) == len(sections(text_of(name))), name


def test_every_module_that_the_documents_name_exists():
    for name in DOCUMENTS:
        for module in re.findall(r"`([\w/.]+\.py)`", text_of(name)):
            assert (ROOT / module).is_file(), (name, module)


def test_every_test_that_the_documents_name_exists():
    named = {test for name in DOCUMENTS for test in re.findall(r"`(tests/[\w/]+\.py::\w+)`", text_of(name))}
    assert len(named) > 30
    for test in named:
        path, _, function = test.partition("::")
        assert f"\ndef {function}(" in text_of(path), test


def test_the_examples_are_listed():
    listed = [re.match(r"\[(.*?)\]", example)[1] for example, _what in table("Examples")]
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))


def test_the_start_names_every_line_of_the_report(fast_place, folder):
    profile, opened = fast_place.profile(path_prefix=folder), fast_place.open(path_prefix=folder)
    findings = connection_test.findings_of(profile, opened, Meter())
    (named,) = re.findall(r"a line each for (.*?)\. A", section("Start here"), re.DOTALL)
    assert re.findall("`(.*?)`", named) == [each.what for each in findings if each.works]


def test_every_page_is_named_in_the_readme():
    for name in DOCUMENTS:
        readme = "README.zh.md" if name.endswith(".zh.md") else "README.md"
        assert name == readme or f"]({name}" in text_of(readme), name


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
