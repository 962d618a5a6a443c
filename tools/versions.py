"""The libraries of other people's machines: sets of versions, and the tests that a version can break.

.venvs/dev has the newest of everything. Each further set has an environment beside it that holds only what
differs and borrows the rest from .venvs/dev through a .pth file: what an environment has itself comes first.

    python3 tools/versions.py [name of a set] [arguments of pytest]
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import environment
from environment import BIN, HOME, ROOT

MEDIA = (
    "media/**/test_*.py",
    "nodes/test_nodes_folder.py",
    "nodes/test_nodes_load.py",
    "nodes/test_nodes_video.py",
)
STORAGE = (
    "storage/**/test_*.py",
    "loading/test_resumable_download.py",
    "nodes/test_nodes_browse.py",
    "nodes/test_nodes_save.py",
    "system/test_locks.py",
)


@dataclass(frozen=True)
class Versions:
    """Versions of libraries, why these, and which test files they can break, as patterns below ``tests/``.

    ``newest_python`` is the last one that all of them have a build for.
    """

    name: str
    why: str
    pins: Mapping[str, str]
    tests: tuple[str, ...]
    newest_python: tuple[int, int]

    @property
    def home(self) -> Path:
        return HOME.parent / self.name


def floors() -> dict[str, str]:
    """What requirements.txt promises to work with: package -> its oldest version."""
    lines = environment.REQUIREMENTS[0].read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9-]+)>=([0-9.]+)", lines, re.MULTILINE))


SETS = (
    Versions(
        "oldest",
        "the floors of requirements.txt and of ComfyUI 0.3.64, which names none for Pillow",
        {**floors(), "av": "14.2.0", "numpy": "1.25.0", "Pillow": "10.1.0"},
        MEDIA + STORAGE,
        newest_python=(3, 11),
    ),
    Versions(
        "av-16",
        "the oldest PyAV of ComfyUI 0.33",
        {"av": "16.0.1", "Pillow": "11.3.0"},
        MEDIA,
        newest_python=(3, 14),
    ),
    Versions(
        "av-17",
        "the last PyAV before the newest major version",
        {"av": "17.1.0", "Pillow": "12.0.0"},
        MEDIA,
        newest_python=(3, 14),
    ),
)


def run(arguments: Sequence[str], sets: Sequence[Versions] = SETS) -> list[str]:
    """Pass the tests of every set and return the names of those that failed. ``arguments`` go to pytest.

    Raises SetupFailed.
    """
    failed = []
    for each in sets:
        print(f"\npytest with {_told(each)}: {each.why}", flush=True)
        if sys.version_info[:2] > each.newest_python:
            print(f"skipped: not all of them have a build for Python {sys.version.split()[0]}", flush=True)
            continue
        _make(each)
        command = [str(_python(each)), str(BIN / "pytest"), *arguments, *files(each)]
        if subprocess.call(command, cwd=ROOT):
            failed.append(each.name)
    return failed


def files(versions: Versions) -> list[str]:
    """The test files of a set, relative to the root."""
    found = [path for pattern in versions.tests for path in sorted((ROOT / "tests").glob(pattern))]
    return [path.relative_to(ROOT).as_posix() for path in found]


def _make(versions: Versions) -> None:
    """Make the environment where it is missing or holds something else. Raises SetupFailed."""
    stamp = versions.home / "versions.sha256"
    wanted = hashlib.sha256(f"{_told(versions)} {HOME}".encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    environment.create(versions.home)
    pins = [f"{package}=={version}" for package, version in versions.pins.items()]
    advice = "Check the network (or pip's proxy and index settings) and the disk, and run this again."
    environment.run(f"Installing {_told(versions)}", environment.pip(_python(versions), *pins), advice)
    borrowed = Path(sysconfig.get_path("purelib"))  # of .venvs/dev, which runs this
    site_packages = versions.home / borrowed.relative_to(sys.prefix)
    (site_packages / "borrowed.pth").write_text(f"{borrowed}\n", encoding="utf-8")
    stamp.write_text(wanted)


def _python(versions: Versions) -> Path:
    return versions.home / BIN.name / environment.PYTHON.name


def _told(versions: Versions) -> str:
    return ", ".join(f"{package} {version}" for package, version in versions.pins.items())


def main(arguments: list[str]) -> int:
    environment.enter()
    named = [each for each in SETS if each.name in arguments[:1]]
    try:
        return 1 if run(arguments[len(named) :], named or SETS) else 0
    except environment.SetupFailed as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
