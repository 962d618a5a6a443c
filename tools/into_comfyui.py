"""A ComfyUI of the user's own: the package linked into its custom_nodes, what it lacks installed, and
started.

Nothing in that ComfyUI is replaced: a folder that is in the link's place stays, and its packages are left
alone but for those of requirements.txt that are missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import environment
from environment import ROOT, SetupFailed

NAME = "comfyui-cloud-storage"  # of the link; a dot in it would break ComfyUI's module names
PYTHONS = (  # where people keep a ComfyUI's Python, seen from its folder; the last is Windows portable's
    ".venv/bin/python",
    "venv/bin/python",
    ".venv/Scripts/python.exe",
    "venv/Scripts/python.exe",
    "../python_embeded/python.exe",
)
PROBE_NODE = "SaveImageToCloud"
DEFAULT_PORT = 8188
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class ComfyUI:
    """A ComfyUI that can be started: its folder, its Python, the arguments for it, and where it will
    answer."""

    folder: Path
    python: Path
    arguments: tuple[str, ...]
    url: str


def find(folder: Path, python: Path | None, arguments: Sequence[str]) -> ComfyUI:
    """Check everything that can be checked before anything is changed. Raises SetupFailed."""
    folder = folder.expanduser().resolve()
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        raise SetupFailed(f"{folder} is no ComfyUI: it lacks main.py or the folder comfy. Give its folder.")
    if python is None:
        python = next((folder / each for each in PYTHONS if (folder / each).is_file()), None)
        if python is None:
            raise SetupFailed(f"There is no Python in {folder}. Name the one that starts it: --python PYTHON")
    python = Path(os.path.abspath(python.expanduser()))  # noqa: PTH100  resolve() would leave its environment
    if not python.is_file():
        raise SetupFailed(f"There is no {python}. Name the Python that starts this ComfyUI: --python PYTHON")
    link_of(_custom_nodes(folder, arguments))
    host, port = option(arguments, "--listen", "127.0.0.1"), option(arguments, "--port", "")
    if not port:
        port = str(_free_port())
        arguments = [*arguments, "--port", port]
    url = f"http://{'127.0.0.1' if host.startswith('0.0.0.0') else host.split(',')[0]}:{port}"  # noqa: S104
    return ComfyUI(folder, python, tuple(arguments), url)


def run(host: ComfyUI, settings: Mapping[str, str]) -> int:
    """Link, install, start, and stay until ComfyUI ends; returns its exit code. Raises SetupFailed."""
    print(f"\nComfyUI in {host.folder}", flush=True)
    made = link(_custom_nodes(host.folder, host.arguments))
    print(f"  {made}", flush=True)
    install_missing(host.python)
    command = [str(host.python), "main.py", *host.arguments]
    print(f"  starting: {' '.join(command)}\n", flush=True)
    variables = {**os.environ, **settings}
    variables.pop("__PYVENV_LAUNCHER__", None)  # macOS: would lend our environment to that Python
    process = subprocess.Popen(command, cwd=host.folder, env=variables)
    try:
        print(_when_ready(process, host), flush=True)
        return process.wait()
    finally:  # after Ctrl-C too, which ComfyUI gets by itself only in a terminal
        process.terminate()
        process.wait()


def link(custom_nodes: Path) -> str:
    """Make the package one of ``custom_nodes``, unless it is already; returns what was done, in words."""
    target, there = link_of(custom_nodes)
    if there:
        return f"the package is linked already: {target}"
    if os.name == "nt":  # a junction: symbolic links need a privilege there
        subprocess.run(["cmd", "/c", "mklink", "/J", str(target), str(ROOT)], check=True, capture_output=True)
    else:
        target.symlink_to(ROOT, target_is_directory=True)
    return f"linked {target}; to undo, remove that link"


def link_of(custom_nodes: Path) -> tuple[Path, bool]:
    """The package's place in ``custom_nodes``, and whether it is there already. Raises SetupFailed when it is
    taken."""
    if not custom_nodes.is_dir():
        raise SetupFailed(f"There is no {custom_nodes}. Start this ComfyUI once, it makes its folders.")
    for entry in custom_nodes.iterdir():
        if entry.resolve() == ROOT:
            if "." in entry.name:
                raise SetupFailed(f"{entry} has a dot in its name, which ComfyUI cannot import. Rename it.")
            return entry, True
    target = custom_nodes / NAME
    if os.path.lexists(target):
        raise SetupFailed(f"{target} is something else than this package ({ROOT}). Move it away first.")
    return target, False


def install_missing(python: Path) -> None:
    """Install what ``python`` lacks of requirements.txt, and touch nothing that it has. Raises
    SetupFailed."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = re.findall(r"^[A-Za-z0-9][^\s#]*", text, re.MULTILINE)
    look = (
        "import importlib.util, sys\n"
        "print(*(word for word in sys.argv[1:] if not importlib.util.find_spec(word.split('>')[0])))"
    )
    done = subprocess.run([str(python), "-c", look, *wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupFailed(f"{python} does not run: {done.stderr.strip()}")
    missing = done.stdout.split()
    if missing:
        names = " and ".join(missing)
        advice = f"Install {names} with whatever installs packages for {python}, and run this again."
        environment.run(f"Installing {names} for this ComfyUI", environment.pip(python, *missing), advice)


def option(arguments: Sequence[str], name: str, default: str) -> str:
    """The value of ``--name value`` or ``--name=value`` in a command line; the last one counts, as in
    argparse."""
    found = default
    for number, word in enumerate(arguments):
        if word == name and number + 1 < len(arguments) and not arguments[number + 1].startswith("-"):
            found = arguments[number + 1]
        elif word.startswith(f"{name}="):
            found = word.partition("=")[2]
    return found


def _custom_nodes(folder: Path, arguments: Sequence[str]) -> Path:
    return Path(option(arguments, "--base-directory", str(folder))).expanduser() / "custom_nodes"


def _free_port() -> int:
    from servers.processes import accepts_connections, free_ports  # on the path by now

    return free_ports(1)[0] if accepts_connections(DEFAULT_PORT) else DEFAULT_PORT


def _when_ready(process: subprocess.Popen[bytes], host: ComfyUI) -> str:
    """Wait until ComfyUI answers, and return what to do then. Raises SetupFailed when it ends before."""
    while True:
        if process.poll() is not None:
            raise SetupFailed(
                f"ComfyUI ended with {process.returncode} before it answered; its own words are above. Where "
                "there is no graphics card it needs: -- --cpu"
            )
        try:
            with urllib.request.urlopen(f"{host.url}/object_info/{PROBE_NODE}", timeout=5) as answer:
                known = json.load(answer)
            break
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(POLL_SECONDS)
    if PROBE_NODE not in known:
        return f"\n✗ {host.url} is up, but it did not load the package; its own words are above.\n"
    examples = ROOT / "example_workflows"
    return (
        f"\n✓ ComfyUI is up at {host.url} with the cloud storage nodes, connected to the server above.\n"
        f"  Open it, choose Templates, {NAME}, save-and-share, and press Run; or drop\n"
        f"  {examples / 'save-and-share.json'} on its canvas. Ctrl-C stops both.\n"
    )
