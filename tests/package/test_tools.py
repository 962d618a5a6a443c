"""The two commands of the README, as far as a test can go without making an environment for itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT

TOOLS = ROOT / "tools"
KEEPS_UP = "Ctrl-C stops it."

# A ComfyUI that answers one question, notes how it was started, and ends.
MAIN = """
import http.server, json, os, pathlib, sys
given = {name: value for name, value in os.environ.items() if name.startswith("COMFY_S3_")}
pathlib.Path("started.json").write_text(json.dumps({"given": given, "arguments": sys.argv[1:]}))
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({self.path.rsplit("/", 1)[1]: {}}).encode())
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Answer)
server.handle_request()
"""


@pytest.fixture
def tools(monkeypatch):
    """Imports a module of tools/ as its scripts do."""
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("environment", "into_comfyui", "tryout", "versions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__


@pytest.fixture
def ministack(servers):
    """Skips or fails, as every test that needs this server does where it cannot be had."""
    return servers("ministack")


@pytest.fixture
def comfy(tmp_path):
    folder = tmp_path / "ComfyUI"
    (folder / "comfy").mkdir(parents=True)
    (folder / "custom_nodes").mkdir()
    (folder / "main.py").write_text(MAIN)
    return folder


def tryout(*options):
    command = [sys.executable, str(TOOLS / "tryout.py"), "--here", *map(str, options)]
    environ = {**os.environ, "COMFY_S3_PATH_PREFIX": "somebodys-own", "PYTHONIOENCODING": "ascii"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    # A shell starts what runs in its background deaf to Ctrl-C, and every child inherits that.
    hears = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, cwd=ROOT.anchor, env=environ, preexec_fn=hears, **streams)  # noqa: PLW1509


def test_the_tryout_saves_lists_loads_compares_and_shares(ministack):
    with tryout() as process:
        told = process.stdout.read()
    assert process.returncode == 0, told
    assert told.count("equal in every bit") == 4
    assert told.count("HTTP 200, image/png") == 4
    assert "HTTP 403" in told
    assert "tryout_00008.png" in told
    assert "somebodys-own" not in told
    links = re.findall(r"http://127\.0\.0\.1:\S+X-Amz-Signature=\S+", told)
    assert len(links) == 4
    with pytest.raises(OSError):  # the server is gone with the command, as it says
        urllib.request.urlopen(links[0])
    assert "The server is stopped" in told
    shown = re.findall(r"^\d  .*", (ROOT / "docs" / "try-it.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert shown
    assert set(shown) <= set(told.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_kept_server_serves_what_it_printed_until_it_is_stopped(ministack, stop):
    with tryout("--keep") as process:
        told = ""
        for line in process.stdout:
            told += line
            if KEEPS_UP in line:
                break
        assert KEEPS_UP in told, told
        link = re.search(r"http://127\.0\.0\.1:\S+X-Amz-Signature=\S+", told)[0]
        assert urllib.request.urlopen(link).read().startswith(b"\x89PNG")
        exported = dict(re.findall(r"^export (\w+)='(.*)'$", told, re.MULTILINE))
        profile = json.loads(re.search(r"^\{.*^\}$", told, re.DOTALL | re.MULTILINE)[0])["profiles"]["tryout"]
        assert {f"COMFY_S3_{name.upper()}": value for name, value in profile.items()} == exported
        assert _lists(exported)
        process.send_signal(stop)
        process.stdout.read()
    assert process.returncode == 130
    with pytest.raises(OSError):
        urllib.request.urlopen(link)


def _lists(environ):
    """What a ComfyUI would list with these settings."""
    from cloud_storage import profile
    from cloud_storage.storage import connect

    storage = connect.connect(profile.resolve("", {}, Path("none.json"), environ), environ)
    return [info.key for info in storage.list("comfyui/")]


def test_the_settings_for_windows_are_in_both_of_its_shells(tools):
    shown = tools("tryout").how_to_use({"COMFY_S3_BUCKET": "b"}, windows=True)
    assert '$env:COMFY_S3_BUCKET = "b"' in shown
    assert "set COMFY_S3_BUCKET=b" in shown


def test_a_comfyui_is_linked_to_and_started_with_the_server(ministack, comfy):
    for again in (False, True):
        with tryout("--comfyui", comfy, "--python", sys.executable, "--", "--quick") as process:
            told = process.stdout.read()
        assert process.returncode == 0, told
        assert ("linked already" in told) == again
        started = json.loads((comfy / "started.json").read_text())
        assert started["given"]["COMFY_S3_BUCKET"] == "tryout"
        assert started["arguments"][0] == "--quick"
        assert f"ComfyUI is up at http://127.0.0.1:{started['arguments'][-1]}" in told
        (link,) = (comfy / "custom_nodes").iterdir()
        assert link.resolve() == ROOT
        assert "." not in link.name


def test_something_else_in_the_place_of_the_link_is_left_alone(tools, comfy):
    into_comfyui = tools("into_comfyui")
    other = comfy / "custom_nodes" / into_comfyui.NAME
    other.mkdir()
    with pytest.raises(Exception, match="is something else"):
        into_comfyui.find(comfy, Path(sys.executable), [])
    assert other.is_dir()
    assert not other.is_symlink()


def test_a_link_with_a_dot_in_its_name_is_refused(tools, comfy):
    into_comfyui = tools("into_comfyui")
    into_comfyui.link(comfy / "custom_nodes")
    (comfy / "custom_nodes" / into_comfyui.NAME).rename(comfy / "custom_nodes" / "cloud-0.1")
    with pytest.raises(Exception, match="dot in its name"):
        into_comfyui.find(comfy, Path(sys.executable), [])


def test_what_is_no_comfyui_or_has_no_python_is_said_before_anything_is_done(tools, comfy, tmp_path):
    into_comfyui = tools("into_comfyui")
    with pytest.raises(Exception, match="is no ComfyUI"):
        into_comfyui.find(tmp_path, None, [])
    with pytest.raises(Exception, match="--python"):
        into_comfyui.find(comfy, None, [])
    assert not list((comfy / "custom_nodes").iterdir())


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (["--port", "9001"], "http://127.0.0.1:9001"),
        (["--port=9002", "--cpu"], "http://127.0.0.1:9002"),
        (["--listen", "--port", "9003"], "http://127.0.0.1:9003"),
        (["--listen", "0.0.0.0", "--port", "9004"], "http://127.0.0.1:9004"),
        (["--listen", "192.0.2.1,::1", "--port", "9005"], "http://192.0.2.1:9005"),
    ],
)
def test_the_address_is_the_one_that_comfyui_is_told(tools, comfy, arguments, url):
    assert tools("into_comfyui").find(comfy, Path(sys.executable), arguments).url == url


def test_the_nodes_of_a_base_directory_are_linked_there(tools, comfy, tmp_path):
    into_comfyui = tools("into_comfyui")
    with pytest.raises(Exception, match=r"no .*elsewhere"):
        into_comfyui.find(comfy, Path(sys.executable), ["--base-directory", str(tmp_path / "elsewhere")])


def test_a_step_that_fails_shows_what_was_said_and_what_to_do(tools, capsys):
    environment = tools("environment")
    command = [sys.executable, "-c", "print('no such package'); raise SystemExit(3)"]
    with pytest.raises(environment.SetupFailed, match=r"(?s)no such package.*Try another way"):
        environment.run("Installing something", command, "Try another way.")
    assert "✗ Installing something" in capsys.readouterr().out


def test_a_step_that_works_says_nothing_of_the_output(tools, capsys):
    environment = tools("environment")
    environment.run("Installing something", [sys.executable, "-c", "print('Collecting noise')"], "")
    shown = capsys.readouterr().out
    assert "✓ Installing something" in shown
    assert "noise" not in shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Collecting torch==2.13.0", "looking up torch"),
        ("  Downloading torch-2.1-cp311-cp311-win_amd64.whl (191.8 MB)", "downloading torch-2.1 (191.8 MB)"),
        ("  Downloading https://a.example/six-1.17-py3-none-any.whl (9 kB)", "downloading six-1.17 (9 kB)"),
        ("  Preparing metadata for oss2 (pyproject.toml)", "building oss2"),
        ("Installing collected packages: six, torch", "unpacking what was downloaded"),
        ("Requirement already satisfied: six", ""),
    ],
)
def test_what_pip_does_is_told_in_short(tools, line, shown):
    table = tools("environment").PIP_SAYS
    says = [words.format(*found.groups()) for pattern, words in table if (found := pattern.match(line))]
    assert says == ([shown] if shown else [])


def test_an_environment_is_complete_until_the_requirements_change(tools, tmp_path, monkeypatch):
    environment = tools("environment")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six")
    monkeypatch.setattr(environment, "HOME", tmp_path)
    monkeypatch.setattr(environment, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(environment, "REQUIREMENTS", (requirements,))
    assert not environment._is_complete()
    environment._stamp().write_text(environment._wanted())
    assert environment._is_complete()
    requirements.write_text("six>=1")
    assert not environment._is_complete()


def test_the_continuous_integration_runs_the_readmes_command():
    script = ROOT / ".ci" / "run"
    assert os.name == "nt" or os.access(script, os.X_OK)
    last = 'exec python3 tools/test.py --versions --real-files "$@"'
    assert script.read_text().splitlines()[-1] == last


@pytest.mark.parametrize(
    ("arguments", "is_shared"),
    [([], True), (["-m", "quick"], True), (["tests/conftest.py"], False), (["-x", "tests/a.py::b"], True)],
)
def test_several_processes_share_the_tests_unless_one_is_named(tools, arguments, is_shared):
    assert bool(tools("test").side_by_side(arguments)) == is_shared
    assert not tools("test").side_by_side(["tests/package/test_tools.py::test_something"])


def test_the_tests_of_further_versions_are_there(tools):
    versions = tools("versions")
    for each in versions.SETS:
        for pattern in each.tests:
            assert list((ROOT / "tests").glob(pattern)), f"no test file is called {pattern}"
    media = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "media").rglob("test_*.py")}
    assert all(media <= set(versions.files(each)) for each in versions.SETS)


def test_the_oldest_versions_are_those_that_the_requirements_name(tools):
    oldest = tools("versions").SETS[0]
    named = re.findall(r"^(\w+)>=(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert named
    assert set(named) <= set(oldest.pins.items())
