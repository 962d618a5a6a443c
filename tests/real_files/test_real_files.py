"""Load Image, Load Audio and Load Video over the files that other packages are tested with (--real-files)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from real_files import differences, sources
from real_files.compare import REFUSED, SAME, TOO_LARGE

CRASH, HANG = "crash", "hang"
SECONDS = 900  # of silence, after which a file counts as one that never ends
RIGHT = {SAME, REFUSED, TOO_LARGE}


@pytest.fixture(scope="session")
def corpus(request):
    """Every file, by "package/name"."""
    if not request.config.getoption("--real-files"):
        pytest.skip("--real-files downloads them")
    return {
        f"{source.name}/{path.relative_to(sources.cache() / source.home).as_posix()}": path
        for source in sources.SOURCES
        for path in sources.files(source)
    }


def verdicts(node, paths):
    """What came of each file: (verdict, words)."""
    found, left = {}, [str(path) for path in paths]
    core = os.environ.get("COMFYUI_PATH")
    python = os.environ.get("COMFYUI_PYTHON", sys.executable) if core else sys.executable
    while left:
        command = [python, str(ROOT / "tests" / "real_files" / "compare.py"), node]
        given = "\n".join(left)
        try:
            ran = subprocess.run(
                command,
                cwd=core or ROOT / "tests",
                input=given,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            said, end = ran.stdout, CRASH
        except subprocess.TimeoutExpired as expired:
            said, end = (expired.stdout or b"").decode(), HANG
        last = None
        for line in said.splitlines():
            last, *outcome = json.loads(line)
            if outcome:
                found[last] = tuple(outcome)
        assert last is not None, ran.stderr
        found.setdefault(last, (end, ""))
        left = left[left.index(last) + 1 :]
    return {Path(path): outcome for path, outcome in found.items()}


@pytest.mark.parametrize("node", ["image", "audio", "video"])
def test_real_files_are_loaded_as_the_reference_loads_them(corpus, node):
    asked = {
        name: path
        for name, path in corpus.items()
        if node == "image" or not name.startswith(f"{sources.ONLY_IMAGES}/")
    }
    found = verdicts(node, asked.values())
    reference = differences.reference()
    expected = differences.of(node, reference)
    wrong = []
    for name, path in asked.items():
        verdict, words = found[path]
        meant = expected.get(name, RIGHT | differences.ALWAYS_RIGHT[reference])
        if verdict not in meant:
            wrong.append(f"{name}: {verdict} ({words[:300]})")
    assert not wrong, "\n".join([f"against {reference}:", *wrong])
    assert set(expected) <= set(asked)
