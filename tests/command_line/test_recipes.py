"""The commands of docs/command-line.md, run as they are written there, on folders of a test."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cloud_storage.command_line import parser
from cloud_storage.storage.base import PutOptions
from cloud_storage.system.meter import Meter
from conftest import ROOT
from documents import blocks, json_blocks, section, sections, text_of

PAGE = "docs/command-line.md"


def recipe(title: str, language: str) -> str:
    (block,) = [block for block in blocks(section(title)) if block.startswith(f"{language}\n")]
    return block.removeprefix(f"{language}\n")


@pytest.fixture
def machine(cli, tmp_path):
    """What runs a recipe: its shell script, with /opt and /workspace in a folder of the test."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "pip").write_text('#!/bin/sh\necho "pip $@" >> "$HOME/pip.log"\n')
    (programs / "pip").chmod(0o755)
    (tmp_path / "home").mkdir()
    (cli.comfyui / "main.py").write_text("import sys; print('ComfyUI runs', *sys.argv[1:])\n")

    def run(script: str, **changes: str):
        script = script.replace("/opt/", f"{tmp_path}/").replace("/workspace", str(tmp_path))
        environ = {**cli.environ, **changes, "PATH": f"{programs}{os.pathsep}{cli.environ['PATH']}"}
        return subprocess.run(
            ["/bin/sh", "-c", script],
            env=environ,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def put_models(storage):
    manifest = []
    for number, name in enumerate(("base", "detail", "upscale")):
        data = name.encode() * 100
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"models/checkpoints/{name}.safetensors"
        storage.put(key, data, PutOptions(metadata={"sha256": sha256}), Meter())
        manifest.append({"type": "checkpoints", "name": f"{name}.safetensors"})
        if number:
            manifest[-1]["sha256"] = sha256
    return json.dumps(manifest)


def test_the_entrypoint_of_the_container_pulls_and_then_starts_comfyui(cli, storage, machine, tmp_path):
    (tmp_path / "models.json").write_text(put_models(storage))
    script = recipe("A container that pulls its models", "sh")
    first = machine(script)
    assert first.returncode == 0, first.stderr
    said, last = first.stdout.splitlines()[-2:]
    assert said.startswith("3 files downloaded (")
    assert last == "ComfyUI runs --listen 0.0.0.0"
    assert machine(script).stdout.splitlines() == ["3 unchanged.", "ComfyUI runs --listen 0.0.0.0"]
    failing = machine(script, COMFY_S3_SECRET_KEY="wrong")
    assert failing.returncode != 0
    assert "ComfyUI runs" not in failing.stdout


def test_the_dockerfile_copies_what_the_entrypoint_uses():
    lines = recipe("A container that pulls its models", "dockerfile")
    script = recipe("A container that pulls its models", "sh")
    for path in re.findall(r"/opt/[\w./-]+", script):
        assert path.startswith("/opt/ComfyUI/") or f"{Path(path).name} " in lines
    assert (ROOT / "requirements.txt").is_file()


def test_the_provisioning_script_brings_workflows_and_models(cli, storage, machine, tmp_path):
    storage.put("workflows/mine.json", b"{}", PutOptions(), Meter())
    storage.put("provisioning/models.json", put_models(storage).encode(), PutOptions(), Meter())
    script = recipe("A rented machine that sets itself up", "bash")
    for expected in ("fetched", "unchanged"):
        done = machine(script)
        assert done.returncode == 0, done.stderr
        last = json.loads((tmp_path / "models.log").read_text().splitlines()[-1])
        assert last["files"] == {expected: 3}
    assert (cli.comfyui / "user/default/workflows/mine.json").read_bytes() == b"{}"
    assert "requirements.txt" in (tmp_path / "home" / "pip.log").read_text()


def test_the_line_for_cron_backs_up_what_is_new_and_is_silent(cli, storage, machine):
    line = recipe("A backup every hour", "crontab").strip()
    times, command = re.fullmatch(r"((?:\S+ ){5})(.*)", line).groups()
    assert times == "15 * * * * "
    (cli.comfyui / "output").mkdir()
    (cli.comfyui / "output" / "a.png").write_bytes(b"a")
    for count in (1, 2):
        done = machine(command)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        (cli.comfyui / "output" / "b.png").write_bytes(b"b")
        assert len(list(storage.list("backup/output/"))) == count
    assert machine(command, COMFY_S3_SECRET_KEY="wrong").stderr != ""


def test_every_command_of_the_page_is_one_that_the_parser_knows():
    found = 0
    for name in (PAGE, "docs/command-line.zh.md"):
        for block in blocks(text_of(name)):
            for line in re.findall(r"^\S*(?:python3? \S*)?cloud\.py (.*)$", block, re.MULTILINE):
                words = shlex.split(line, comments=True)
                if words != ["--help"]:
                    parser.parser().parse_args(words)
                    found += 1
    assert found > 20


def test_the_table_of_commands_and_options_is_the_parsers():
    text = text_of(PAGE)
    shown = parser.parser().format_help()
    for command in ("setup", "test", "ls", "pull", "push", "sync", "models", "outbox"):
        assert f"| `{command}" in text
        assert command in shown
    for each in ("--profile", "--json", "--quiet", "--comfyui", "--base-directory", "--models-directory"):
        assert f"`{each}" in text


def test_the_lines_of_the_example_fit_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "command-line.schema.json").read_text())
    (lines,) = [block for block in blocks(section("Lines for programs")) if block.startswith("json\n")]
    for line in lines.removeprefix("json\n").splitlines():
        jsonschema.validate(json.loads(line), schema)
    names = {name for each in schema["oneOf"] for name in each["properties"]["event"]["enum"]}
    (events, *_) = [
        set(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", each.text, re.MULTILINE))
        for each in sections(text_of(PAGE))
        if each.title == "Lines for programs"
    ]
    assert {name for cell in events for name in re.findall(r"`(\w+)`", cell)} == names
    assert json_blocks(section("Models by name"))
