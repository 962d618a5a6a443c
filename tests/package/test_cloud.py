"""The script: it hides no module of the standard library, and works from any folder."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize("cwd", [ROOT, "/"])
def test_it_starts_in_any_folder_and_profile_is_the_standard_librarys(cwd):
    program = (
        f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv = ['cloud.py', '--help']\n"
        f"try: runpy.run_path({str(ROOT / 'cloud.py')!r}, run_name='__main__')\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "import profile; print(profile.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(ROOT) not in done.stdout.splitlines()[-1]
    assert "usage: cloud.py" in done.stdout


def test_it_is_a_script_of_its_own():
    done = subprocess.run(
        [sys.executable, "cloud.py", "--help"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_before_a_command_begins_is_an_exit_code_and_no_traceback():
    program = (
        f"import sys, runpy, importlib; sys.argv = ['cloud.py', 'ls']\n"
        "def interrupted(name): raise KeyboardInterrupt\n"
        "importlib.import_module = interrupted\n"
        f"runpy.run_path({str(ROOT / 'cloud.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, b"")
