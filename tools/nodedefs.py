#!/usr/bin/env python3
"""Write locales/en/nodeDefs.json anew: the nodes' own texts, as ComfyUI's page looks them up.

    python3 tools/nodedefs.py

Other languages are written by hand, beside it. tests/test_texts.py tells when one of them is behind.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import environment
from environment import ROOT

FILE = ROOT / "locales" / "en" / "nodeDefs.json"


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


def main() -> None:
    environment.enter()
    from story import load_package

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "user").mkdir()
        package = load_package(Path(folder))
        FILE.parent.mkdir(parents=True, exist_ok=True)
        content = described(package.NODE_CLASS_MAPPINGS, package.NODE_DISPLAY_NAME_MAPPINGS)
        FILE.write_text(text(content), encoding="utf-8")
    print(f"{FILE}: {len(content)} nodes")


if __name__ == "__main__":
    main()
