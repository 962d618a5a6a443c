#!/usr/bin/env python3
"""Write the nodes' own texts into locales/en/nodeDefs.json, where ComfyUI's page looks them up. Then, in
English and Chinese, the description and the tables of each existing help page in web/docs/.

    python3 tools/nodedefs.py

locales/zh/nodeDefs.json is written by hand, before this is run: without the Chinese of every input and
output nothing is written. tests/package/test_texts.py fails if what this writes is not up to date.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import environment
from environment import ROOT

FILE = ROOT / "locales" / "en" / "nodeDefs.json"
CHINESE = ROOT / "locales" / "zh" / "nodeDefs.json"
HELP = ROOT / "web" / "docs"
KINDS = ("inputs", "outputs")
HELP_COLUMNS = 110  # Chinese has no spaces to break at, and stays one line
GLOB = re.compile(r"(\*\.\w+)")  # an asterisk of its own would begin what Markdown sets in italics
TABLE = re.compile(r"((?:^\|.*\n)+)", re.MULTILINE)


def described(classes: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The texts of each node: its name, what it does, and its inputs and outputs with their tooltips."""
    return {node_id: _node(classes[node_id], names[node_id]) for node_id in sorted(classes)}


def _node(node: Any, name: str) -> dict[str, Any]:  # noqa: ANN401  a node's class, as ComfyUI knows it
    declared = node.INPUT_TYPES()
    inputs = {**declared.get("required", {}), **declared.get("optional", {})}
    outputs = zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True)
    return {
        "display_name": name,
        "description": node.DESCRIPTION,
        "inputs": {name: {"name": name, "tooltip": spec[1]["tooltip"]} for name, spec in inputs.items()},
        "outputs": {
            str(number): {"name": name, "tooltip": tooltip} for number, (name, tooltip) in enumerate(outputs)
        },
    }


def text(content: Mapping[str, Any]) -> str:
    """The file's text."""
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def help_text(old: str, node: Mapping[str, Any], names: Sequence[list[str]], *, is_named: bool) -> str:
    """A page of help with its node's texts as they are now: the description below the title, and its tables.

    ``names`` are those of the inputs and of the outputs; ``is_named`` says that the tables have a column for
    what they are called in the page's language.
    """
    title, _, rest = old.split("\n\n", 2)
    description = "\n".join(textwrap.wrap(node["description"], HELP_COLUMNS, break_long_words=False))
    texts = [node[kind].values() for kind in KINDS]
    rows = [list(zip(*each, strict=True)) for each in zip(names, texts, strict=True)]
    tables = iter([each for each in rows if each])

    def table(found: re.Match[str]) -> str:
        lines = found[1].splitlines()[:2]
        for name, each in next(tables):
            cells = [f"`{name}`", *([each["name"]] if is_named else []), GLOB.sub(r"`\1`", each["tooltip"])]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join([*lines, ""])

    count = sum(map(bool, names))
    return TABLE.sub(table, "\n\n".join([title, description, rest]), count=count)


def missing(content: Mapping[str, Any]) -> list[str]:
    """What has to be written by hand before the help pages can be written, a line each."""
    chinese = json.loads(CHINESE.read_text(encoding="utf-8"))
    lines = []
    for node_id, english in content.items():
        node = chinese.get(node_id, {})
        for text in ("display_name", "description"):
            if text not in node:
                lines.append(f"{CHINESE.relative_to(ROOT)}: {node_id} has no {text}. Add it.")
        for kind in KINDS:
            wanted, there = english[kind], node.get(kind, {})
            for name in wanted:
                if {"name", "tooltip"} - set(there.get(name, ())):
                    what = f"{node_id} has no name and tooltip of {kind[:-1]} {name}"
                    lines.append(f"{CHINESE.relative_to(ROOT)}: {what}. Add them.")
            if set(wanted) <= set(there) and list(wanted) != list(there):
                what = f"{node_id} has other {kind} than the node, or in another order"
                lines.append(f"{CHINESE.relative_to(ROOT)}: {what}. Write exactly {', '.join(wanted)}.")
        for path in (HELP / f"{node_id}.md", HELP / node_id / "zh.md"):
            if not path.is_file():
                lines.append(
                    f"{path.relative_to(ROOT)} is missing. Copy that of a similar node, and change it."
                )
    return lines


def pages(content: Mapping[str, Any], classes: Mapping[str, Any]) -> dict[Path, str]:
    """Every help page as it should be; nothing may be ``missing``."""
    chinese = json.loads(CHINESE.read_text(encoding="utf-8"))
    found = {}
    for node_id, english in content.items():
        names = list(english["inputs"]), list(classes[node_id].RETURN_NAMES)
        for path, node in (
            (HELP / f"{node_id}.md", english),
            (HELP / node_id / "zh.md", chinese[node_id]),
        ):
            old = path.read_text(encoding="utf-8")
            found[path] = help_text(old, node, names, is_named=node is not english)
    return found


def write(package: ModuleType) -> None:
    """Write everything, or exit before the first file and say what is missing."""
    content = described(package.NODE_CLASS_MAPPINGS, package.NODE_DISPLAY_NAME_MAPPINGS)
    if lines := missing(content):
        sys.exit("\n".join(["Nothing was written.", *lines]))
    for path, page in {FILE: text(content), **pages(content, package.NODE_CLASS_MAPPINGS)}.items():
        path.write_text(page, encoding="utf-8")
    print(f"{FILE}: {len(content)} nodes")


def main() -> None:
    environment.enter()
    from story import load_package

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "user").mkdir()
        write(load_package(Path(folder)))


if __name__ == "__main__":
    main()
