"""Runs ``cloud.py`` as a process, in a ComfyUI folder of its own, with a bucket of a real server."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, make_place, own_prefix
from servers.fault_proxy import FaultProxy

SDKS = ("boto3", "oss2")
TIMEOUT_SECONDS = 300  # a hang is a failure


@functools.cache
def schema():
    import jsonschema

    return jsonschema.Draft202012Validator(json.loads((ROOT / "docs/command-line.schema.json").read_text()))


@dataclass
class Done:
    """What a process has written, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of JSON, each of which fits the schema of the documents."""
        found = [json.loads(line) for line in self.out.splitlines()]
        for event in found:
            schema().validate(event)
        return found

    def files(self, status: str) -> list[str]:
        """The keys of all files with this status."""
        return sorted(
            event["key"] for event in self.events if event["event"] == "file" and event["status"] == status
        )

    @property
    def done(self) -> dict[str, Any]:
        return next(event for event in self.events if event["event"] == "done")


@dataclass
class CommandLine:
    """One ComfyUI with the package in its custom_nodes, and settings in the environment."""

    comfyui: Path
    environ: Mapping[str, str]
    python: str = sys.executable
    cwd: Path = field(default_factory=Path.cwd)

    @property
    def script(self) -> Path:
        return self.comfyui / "custom_nodes" / "comfyui-cloud-storage" / "cloud.py"

    def start(self, *arguments: object, **changes: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, str(self.script), *map(str, arguments)],
            env={**self.environ, **changes},
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *arguments: object, **changes: str) -> Done:
        process = self.start(*arguments, **changes)
        out, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return Done(process.returncode, out, err)

    def json(self, *arguments: object, **changes: str) -> Done:
        return self.run(*arguments, "--json", **changes)

    def stopped_at(self, seen: Callable[[dict[str, Any]], bool], how: int, *arguments: object) -> Done:
        """Run a command with --json, and send it a signal once it has written an object like this."""
        process = self.start(*arguments, "--json")
        out = ""
        for line in process.stdout:
            out += line
            if seen(json.loads(line)):
                process.send_signal(how)
                break
        more, err = process.communicate(timeout=TIMEOUT_SECONDS)
        return Done(process.returncode, out + more, err)

    def killed_at(self, seen: Callable[[dict[str, Any]], bool], *arguments: object) -> Done:
        return self.stopped_at(seen, signal.SIGKILL, *arguments)


def clean_environ() -> dict[str, str]:
    """This environment without settings of ours, of pytest, and without a home."""
    kept = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }


def make_comfyui(folder: Path) -> Path:
    """A folder like ComfyUI's, with a link to the package in custom_nodes."""
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "custom_nodes" / "comfyui-cloud-storage").symlink_to(ROOT)
    return folder


def with_requirements(*names):
    """The installed packages of these names, and those that they require."""
    found, waiting = {}, list(names)
    while waiting:
        name = re.match(r"[\w.-]+", waiting.pop())[0]
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # an extra, or for another system
            continue
        if package.name not in found:
            found[package.name] = package
            waiting += [each for each in package.requires or () if "extra ==" not in each]
    return found.values()


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory) -> str:
    """A fresh virtual environment that has the SDKs of this one, and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for package in with_requirements(*SDKS):
        for name in {path.parts[0] for path in package.files} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(package.locate_file(name))
    return str(folder / "bin" / "python")


@pytest.fixture(scope="session", params=("ministack-http", "oss-http"))
def bucket(request, servers, tmp_path_factory):
    """A bucket of each backend."""
    return make_place(request.param, servers, tmp_path_factory.mktemp("user") / "profiles.json")


@pytest.fixture
def cli(bucket, tmp_path) -> CommandLine:
    """The command line, below a prefix of its own in the bucket."""
    settings = bucket.settings({"path_prefix": own_prefix()})
    environ = {**clean_environ(), **settings, "HOME": str(tmp_path / "home"), "COLUMNS": "120"}
    work = tmp_path / "work"
    work.mkdir()
    return CommandLine(make_comfyui(tmp_path / "ComfyUI"), environ, cwd=work)


@pytest.fixture
def storage(cli, bucket):
    """The same bucket and prefix, from here."""
    return bucket.open(path_prefix=cli.environ["COMFY_S3_PATH_PREFIX"])


@pytest.fixture
def proxied(cli, bucket):
    """``cli`` through a proxy that can fall silent; returns both."""
    target = urllib.parse.urlsplit(bucket.environ["COMFY_S3_ENDPOINT_URL"])
    with FaultProxy(target.hostname, target.port) as proxy:
        yield replace(cli, environ={**cli.environ, "COMFY_S3_ENDPOINT_URL": proxy.url}), proxy


@pytest.fixture
def offline(tmp_path) -> CommandLine:
    """The command line without any bucket."""
    work = tmp_path / "work"
    work.mkdir()
    environ = {**clean_environ(), "HOME": str(tmp_path / "home")}
    return CommandLine(make_comfyui(tmp_path / "ComfyUI"), environ, cwd=work)
