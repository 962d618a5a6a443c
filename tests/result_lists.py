"""``cloud_files`` as programs read it: checked against the JSON Schema in docs/, and printed by the program
there.
"""

from __future__ import annotations

import json
import subprocess
import sys

from conftest import ROOT
from documents import blocks, text_of

SCHEMA = ROOT / "docs" / "results.schema.json"


def checked(files):
    """The list after a journey through JSON, once it fits the schema and has no field that this lacks."""
    import jsonschema

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    found = json.loads(json.dumps(files, allow_nan=False))
    jsonschema.Draft202012Validator(schema).validate(found)
    for file in found:
        assert file.keys() <= schema["items"]["properties"].keys()
    return found


def files_of(done):
    """The list in what a node returned, see ``checked``."""
    return checked(done["ui"]["cloud_files"])


def run_program(address, prompt, folder):
    """Run the program of the page as a user does."""
    (program,) = [block for block in blocks(text_of("docs/results.md")) if block.startswith("python\n")]
    assert program.strip().count("\n") <= 20
    (folder / "files.py").write_text(program.removeprefix("python\n"), encoding="utf-8")
    (folder / "workflow.json").write_text(json.dumps(prompt), encoding="utf-8")
    command = [sys.executable, str(folder / "files.py"), address, str(folder / "workflow.json")]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT.parent, check=False, timeout=120
    )
