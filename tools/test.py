#!/usr/bin/env python3
"""Pass the tests on a machine that has nothing but Python: set up, ruff, mypy, pytest.

    python3 tools/test.py [--versions] [arguments of pytest]
    python3 tools/test.py --checks      without tests

With --versions, pytest runs once more for each set of versions.py. Everything runs, whatever the first ones
find; the exit code is 0 when all passed. Unless a test is named, several processes share the test files, each
with servers of its own; -n0 keeps it to one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import environment
import versions
from environment import BIN, PYTHON, ROOT, modules

SOURCES = ROOT / ".mypy_cache" / "source"

PROCESSES_MIN, PROCESSES_MAX = 2, 4  # most tests wait; each process has a Ceph and a browser of its own

# What mypy checks: where it lies, and what the folder is called for mypy.
CHECKED = (("", "cloud_storage"), ("tests/servers/", "servers"), ("tools/", "tools"))


def main(arguments: list[str]) -> int:
    environment.enter()
    only_checks = arguments == ["--checks"]
    if not only_checks:
        environment.set_up_ministack()
    failed = []
    also_versions = "--versions" in arguments
    arguments = [each for each in arguments if each != "--versions"]
    for name, check in (("ruff", ruff), ("mypy", mypy)):
        print(f"\n{name}", flush=True)
        if check():
            failed.append(name)
    if only_checks:
        return _result(failed)
    print("\npytest", flush=True)
    arguments = [*side_by_side(arguments), *arguments]
    # Its own command, not `python -m`: that would put our profile.py in front of the standard library's.
    if subprocess.call([str(BIN / "pytest"), *arguments], cwd=ROOT):
        failed.append("pytest")
    if also_versions:
        try:
            failed += versions.run(arguments)
        except environment.SetupFailed as error:
            sys.exit(f"\n{error}")
    return _result(failed)


def side_by_side(arguments: list[str]) -> list[str]:
    """Return the arguments by which pytest shares the test files among processes; none if a test is named."""
    if any((ROOT / argument.partition("::")[0]).exists() for argument in arguments):
        return []
    processes = max(PROCESSES_MIN, min(PROCESSES_MAX, os.cpu_count() or 1))
    return ["-n", str(processes), "--dist", "loadfile"]


def _result(failed: list[str]) -> int:
    if failed:
        print(f"\nFailed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def ruff() -> int:
    found = subprocess.call([str(BIN / "ruff"), "check", "."], cwd=ROOT)
    return subprocess.call([str(BIN / "ruff"), "format", "--check", "."], cwd=ROOT) or found


def mypy() -> int:
    """Check the types of the package, the test servers and the tools.

    mypy takes a folder with an ``__init__.py`` for a package only where its name is an identifier, and this
    one's is whatever the clone was called: so it gets a copy of the modules under names that are.
    """
    shutil.rmtree(SOURCES, ignore_errors=True)
    for folder, name in CHECKED:
        for module in modules(ROOT / folder):
            copy = SOURCES / name / module.relative_to(ROOT / folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(module, copy)
    command = [str(PYTHON), "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache"), "-p", "cloud_storage", "-p", "servers"]
    for tool in (SOURCES / "tools").glob("*.py"):
        command += ["-m", tool.stem]
    search = {"MYPYPATH": os.pathsep.join((str(SOURCES), str(SOURCES / "tools")))}
    done = subprocess.run(
        command, cwd=SOURCES, env={**os.environ, **search}, stdout=subprocess.PIPE, text=True, check=False
    )
    said = done.stdout
    for folder, name in CHECKED:
        said = re.sub(rf"^{name}/", folder, said, flags=re.MULTILINE)
    print(said, end="", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
