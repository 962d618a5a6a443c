"""The entry: which module a command has, wrong usage, where ComfyUI is."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from cloud_storage.command_line import main
from conftest import ROOT


@pytest.mark.parametrize("command", main.COMMANDS)
def test_every_command_has_its_function(command):
    module, function = main.COMMANDS[command]
    assert callable(getattr(importlib.import_module(f"cloud_storage.command_line.{module}"), function))


@pytest.mark.parametrize("words", [[], ["pull"], ["nothing"], ["models"], ["ls", "--unknown"]])
def test_wrong_usage_ends_with_2(offline, words):
    done = offline.run(*words)
    assert (done.code, "usage:" in done.err) == (2, True)


def test_settings_that_are_missing_or_wrong_end_with_2(offline):
    done = offline.json("ls")
    assert (done.code, done.done["exit_code"]) == (2, 2)
    assert "No bucket is set." in done.events[0]["message"]
    unknown = offline.run("ls", "--profile", "nothing")
    assert (unknown.code, "There is no profile 'nothing'" in unknown.err) == (2, True)
    nowhere = offline.run("ls", "--comfyui", "/does/not/exist")
    assert (nowhere.code, "There is no /does/not/exist" in nowhere.err) == (2, True)


def test_a_profile_of_the_comfyui_that_the_script_is_in_is_used(cli, storage):
    file = cli.comfyui / "user" / "__cloud_storage" / "profiles.json"
    file.parent.mkdir(parents=True)
    names = ("provider", "bucket", "access_key", "secret_key", "region", "endpoint_url", "path_prefix")
    profile = {name: cli.environ.get(f"COMFY_S3_{name.upper()}", "") for name in names}
    file.write_text(json_of(profile))
    file.chmod(0o600)
    nothing = {name: "" for name in cli.environ if name.startswith("COMFY_S3_")}
    (cli.cwd / "a.txt").write_text("a")
    done = cli.json("push", "a.txt", "--profile", "mine", **nothing)
    assert (done.code, done.events[-2]["profile"]) == (0, "mine")
    assert storage.read("a.txt") == b"a"


def json_of(profile):
    import json

    return json.dumps({"profiles": {"mine": {name: value for name, value in profile.items() if value}}})


def test_nothing_heavy_is_imported_before_a_command_needs_it(offline):
    program = (
        "import sys, runpy; sys.argv = ['cloud.py', 'outbox', 'list']\n"
        f"try: runpy.run_path({str(offline.script)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "heavy = {'boto3', 'botocore', 'oss2', 'torch', 'numpy', 'PIL', 'av', 'tqdm', 'requests'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(offline.environ),
        cwd=ROOT,  # where our profile.py is
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1] == "[]", shown.stderr
