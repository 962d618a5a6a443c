"""The tools' own virtual environment, .venvs/dev: made where it is missing, kept up to date, and entered.

Nothing but the standard library, in the words of Python 3.7: it must be able to say that this Python is too
old. What takes long shows what it is doing and for how long; what pip has to say is shown only when it fails.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("CLOUD_STORAGE_VENVS") or ROOT / ".venvs") / "dev"  # as tests/servers/ministack.py
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
REQUIREMENTS = (ROOT / "requirements.txt", ROOT / "tools" / "requirements.txt")
OLDEST = (3, 10)

DRAW_SECONDS = 0.2
REPORT_SECONDS = 20  # between two lines where the output is no terminal
TAIL_LINES = 25  # of a failed command's output

# What pip says while it works, and what is shown of it.
PIP_SAYS = (
    (re.compile(r"Collecting ([A-Za-z0-9._-]+)"), "looking up {}"),
    (re.compile(r"\s*Downloading (?:\S*/)?([^\s/]+?)(?:-(?:cp|py)\S*)? (\(.*\))"), "downloading {} {}"),
    (re.compile(r"\s*(?:Building wheel for|Preparing metadata for) ([A-Za-z0-9._-]+)"), "building {}"),
    (re.compile(r"Installing collected packages: "), "unpacking what was downloaded"),
)


def modules(folder: Path) -> list[Path]:
    """The modules in a folder and in the packages below it, but no test."""
    packages = [module.parent for module in folder.glob("*/__init__.py")]
    found = [*folder.glob("*.py"), *(module for package in packages for module in package.rglob("*.py"))]
    return [module for module in found if not module.name.startswith("test_")]


class SetupFailed(Exception):
    """The environment could not be made; the message says why and what to do."""


class Step:
    """One long step on the screen: its title, how long it takes, and what it is doing now."""

    def __init__(self, title: str) -> None:
        self.title, self.doing = title, ""
        self._began = self._reported = time.monotonic()
        self._live = sys.stdout.isatty()

    def draw(self) -> None:
        """Show the elapsed time: on a terminal in place, elsewhere as a line now and then."""
        now = time.monotonic()
        line = f"  … {self.title}  {now - self._began:.0f} s  {self.doing}".rstrip()
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[2K{line[:width]}", end="", flush=True)
        elif now - self._reported >= REPORT_SECONDS:
            self._reported = now
            print(line, flush=True)

    def end(self, mark: str) -> None:
        erase = "\r\x1b[2K" if self._live else ""
        print(f"{erase}  {mark} {self.title}  {time.monotonic() - self._began:.0f} s", flush=True)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Show ``title`` with the elapsed seconds for as long as the block runs, and ✓ or ✗ after it."""
    shown = Step(title)
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(DRAW_SECONDS):
            shown.draw()

    if not sys.stdout.isatty():
        print(f"  … {title}", flush=True)
    thread = threading.Thread(target=draw, daemon=True)
    thread.start()
    mark = "✗"
    try:
        yield shown
        mark = "✓"
    finally:
        ended.set()
        thread.join()
        shown.end(mark)


def run(title: str, command: Sequence[object], advice: str) -> None:
    """Run a command as one step. Raises SetupFailed with the end of its output and ``advice``."""
    last: deque[str] = deque(maxlen=TAIL_LINES)
    with step(title) as shown:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        for line in process.stdout or ():
            last.append(line.rstrip())
            for pattern, words in PIP_SAYS:
                match = pattern.match(line)
                if match:
                    shown.doing = words.format(*match.groups())
        if process.wait():
            said = "\n".join(f"    {line}" for line in last)
            raise SetupFailed(f"{title} failed:\n{said}\n{advice}")


def enter() -> None:
    """Return inside an up-to-date .venvs/dev; from elsewhere, make it and run this command again in it."""
    prepare()
    try:
        if sys.version_info < OLDEST:
            _again(_newer_python())
        ready = _is_complete()
        if not ready:
            _make()
        if not (ready and Path(sys.prefix).resolve() == HOME.resolve()):
            _again(PYTHON)
    except SetupFailed as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nStopped; the next run continues the set-up.")


def set_up_ministack() -> None:
    """Have MiniStack's own environment made, as one step. Call it inside ``enter``'s environment."""
    sys.path.append(str(ROOT / "tests"))
    from servers.ministack import VERSION, ministack_python  # written for newer Pythons than this file
    from servers.processes import ServerUnavailable

    with ExitStack() as shown:

        def begin(_words: str) -> None:
            shown.enter_context(step(f"Installing MiniStack {VERSION}, an S3 server for this machine alone"))

        try:
            ministack_python(begin)
        except ServerUnavailable as error:
            sys.exit(f"\n{error}")


def prepare() -> None:
    """Let this process print ✓ and … on every console, and reach the servers that it starts."""
    for name in ("NO_PROXY", "no_proxy"):  # a proxy would look for 127.0.0.1 on its own machine
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


def pip(python: object, *arguments: object) -> list[object]:
    """A pip command line that asks nothing and tells of no newer pip."""
    return [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *arguments]


def _make() -> None:
    print(f"Setting up {HOME} (once, and when the requirements change)", flush=True)
    if not _runs(PYTHON):
        create(HOME)
    advice = (
        "Check the network (or pip's proxy and index settings) and the disk, and run this again. Where a "
        f"package has no build for Python {sys.version.split()[0]} on {sys.platform}, use another Python."
    )
    run("Installing torch and the other packages", pip(PYTHON, "-r", REQUIREMENTS[1]), advice)
    (HOME.parent / ".gitignore").write_text("*\n")
    _stamp().write_text(_wanted())


def create(home: Path) -> None:
    """Make an empty virtual environment, as one step; one that is there is emptied. Raises SetupFailed."""
    with step(f"Making a virtual environment for Python {sys.version_info[0]}.{sys.version_info[1]}"):
        try:
            venv.EnvBuilder(clear=True, with_pip=True).create(home)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SetupFailed(
                f"{home} could not be made: {error}. Check that the disk has room and that Python's venv "
                "module is complete (on Debian and Ubuntu: apt-get install python3-venv)."
            ) from error


def _stamp() -> Path:
    return HOME / "requirements.sha256"


def _wanted() -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in REQUIREMENTS)).hexdigest()


def _is_complete() -> bool:
    return _stamp().is_file() and _stamp().read_text() == _wanted() and _runs(PYTHON)


def _runs(python: Path) -> bool:
    """Whether an environment's interpreter is there, still works (a system upgrade may remove it), and is new
    enough."""
    check = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([str(python), "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _newer_python() -> Path:
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return Path(found)
    raise SetupFailed(
        f"This is Python {sys.version.split()[0]}; {OLDEST[0]}.{OLDEST[1]} or newer is needed, and there is "
        "none on the PATH. Install one and run this command with it."
    )


def _again(python: Path) -> NoReturn:
    """Become the same command under another interpreter."""
    command = [str(python), *sys.argv]
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)  # noqa: S606  our own command line
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Windows has no exec: wait, and leave Ctrl-C to the child
    sys.exit(subprocess.call(command))
